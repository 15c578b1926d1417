"""The metrics that translations are scored by: one entry each, which scores, intervals and contrasts read.

A metric is computed from numbers of each sentence that are added up over the test set, its sufficient statistics, so
that resampling sentences costs a sum and not another scoring. A metric that scores single sentences has two: the score
and 1. To add a metric, write a `Scorer` (or make a `SentenceScorer`) and an entry of `METRICS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from lskd_nmt.data.languages import is_unspaced
from lskd_nmt.data.moses import detokenised, tokenised
from lskd_nmt.errors import LskdError, require

Array = NDArray[np.float64]
Statistics = NDArray[np.number]  # of sentences: whole numbers may be kept in a small type
USUAL = "13a"  # sacreBLEU's tokeniser of languages that separate words by spaces
FORMS = ("raw", "fairseq14", "tokenised")
LOWERCASED = "bleu_tokenised_lowercased"
ORDERS = 4  # BLEU counts n-grams of up to so many words
FLORES = "flores200"  # the sentencepiece model of spBLEU
BETA = 2  # chrF weighs recall so many times as much as precision


@dataclass(frozen=True)
class EvaluationSet:
    """What translations are scored against, and how its text is written."""

    references: Sequence[str]
    lang: str  # of the references
    form: str = "raw"  # of references and translations: raw, fairseq14 (Moses, lower-cased) or tokenised (Moses)
    tokenizer: str = USUAL  # of BLEU
    sources: Sequence[str] | None = None  # for metrics that need them
    others: Sequence[Sequence[str]] = ()  # further references: of each a stream with a line for every sentence

    @property
    def streams(self) -> list[Sequence[str]]:
        """All streams of references, the first one first; sacreBLEU counts them as `nrefs`."""
        return [self.references, *self.others]


class Scorer(Protocol):
    """A metric at work on one evaluation set."""

    text: str  # which text it reads, in words

    @property
    def signature(self) -> str:
        """All settings and versions that decide the score."""

    def statistics(self, translations: Sequence[str]) -> Array:
        """The sufficient statistics of each translated sentence.   S sentences -> (S, K)"""

    def score(self, sums: Array) -> Array:
        """The score of a corpus from its summed statistics.   (…, K) -> (…)"""


@dataclass(frozen=True)
class Metric:
    """An entry of the registry."""

    name: str  # its key in metrics.json
    label: str  # its name in tables
    scorer: Callable[[EvaluationSet], Scorer]
    higher_is_better: bool = True
    needs_source: bool = False
    by_default: bool = True  # whether translations are scored by it where nothing is said of metrics
    packages: tuple[str, ...] = ("sacrebleu", "sacremoses")  # whose versions decide the score


class SacreBleu:
    """BLEU, chrF or TER by sacreBLEU, with a formula that takes many sums at once."""

    def __init__(self, metric: BLEU | CHRF | TER, formula: Callable[[Array], Array], text: "Text") -> None:
        """`metric` holds the references."""
        self.metric, self.formula, self.change, self.text = metric, formula, text.change, text.words

    @property
    def signature(self) -> str:
        """SacreBLEU's own."""
        return str(self.metric.get_signature())

    def statistics(self, translations: Sequence[str]) -> Array:
        """Lengths, and matches or edits; see `bleu`, `chrf` and `ter`."""
        found = self.metric._extract_corpus_statistics(self.change(translations), None)
        return np.array(found, dtype=np.float64)

    def score(self, sums: Array) -> Array:
        """In percent."""
        return self.formula(sums)


@dataclass(frozen=True)
class SentenceScorer:
    """A metric that scores each sentence, and a corpus by the mean."""

    function: Callable[[Sequence[str]], Sequence[float]]  # of translations in the form of the evaluation set
    signature: str
    text: str

    def statistics(self, translations: Sequence[str]) -> Array:
        """The score of each sentence, and 1.   -> (S, 2)"""
        scores = np.array(self.function(translations), dtype=np.float64)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    def score(self, sums: Array) -> Array:
        """The mean."""
        return np.asarray(sums[..., 0] / sums[..., 1])


def bleu(sums: Array) -> Array:
    """Corpus BLEU in percent (Papineni et al. 2002), smoothed as sacreBLEU's `exp`.   (…, 10) -> (…)

    Statistics: length of translation and reference, matching n-grams of order 1 to 4, all n-grams of these orders.
    """
    length, reference_length = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    none = correct == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(none, 0.5 ** none.cumsum(-1), correct) / total
        brevity = np.exp(np.minimum(0, 1 - reference_length / length))
        score = 100 * brevity * np.exp(np.log(precisions).mean(-1))
    return np.where(correct.any(-1) & total.all(-1), score, 0.0)


def chrf(sums: Array) -> Array:
    """Corpus chrF2 in percent (Popović 2015), of the orders that both sides have.   (…, 18) -> (…)

    Statistics of each order from 1 to 6: character n-grams of the translation, of the reference, and matching ones.
    chrF2++ (Popović 2017) has word n-grams of order 1 and 2, too.   (…, 24) -> (…)
    """
    ours, theirs, matching = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)  # (…, 6) each
    counted = (ours > 0) & (theirs > 0)
    orders = np.maximum(counted.sum(-1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (np.where(counted, matching / side, 0).sum(-1) / orders for side in (ours, theirs))
        score = 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
    return np.where(precision + recall > 0, score, 0.0)


def ter(sums: Array) -> Array:
    """Corpus TER in percent (Snover et al. 2006): edits over the words of the references.   (…, 2) -> (…)

    Statistics: edits to the closest reference, and the mean length of the references. Of empty references TER is 100,
    or 0 if the translations are empty, too.
    """
    edits, length = sums[..., 0], sums[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = 100 * edits / length
    return np.where(length > 0, score, np.where(edits > 0, 100.0, 0.0))


@dataclass(frozen=True)
class Text:
    """How a metric's text is made from text in the form of the evaluation set, and what that is in words."""

    change: Callable[[Sequence[str]], list[str]]
    words: str


def detokenised_text(data: EvaluationSet) -> Text:
    """Text as it is written, without a tokeniser's traces."""
    if data.form == "raw":
        return Text(list, "raw")
    words = f"detokenised by {moses(data.lang)}"
    return Text(lambda lines: detokenised(lines, data.lang), ("lower-cased, " * (data.form == "fairseq14")) + words)


def tokenised_text(data: EvaluationSet) -> Text:
    """Words and signs separated by spaces, as Moses does."""
    if data.form == "raw":
        return Text(lambda lines: tokenised(lines, data.lang), f"tokenised by {moses(data.lang)}")
    return Text(list, "tokenised, as prepared")


def changed(text: Text, data: EvaluationSet) -> list[list[str]]:
    """Every stream of references as the metric reads it."""
    return [text.change(stream) for stream in data.streams]


def moses(lang: str) -> str:
    """The package that tokenises, its version and language."""
    return f"sacremoses {metadata.version('sacremoses')}, -l {lang}"


def bleu_scorer(data: EvaluationSet) -> Scorer:
    """BLEU of detokenised text, with the tokeniser of the evaluation set."""
    text = detokenised_text(data)
    return SacreBleu(BLEU(tokenize=data.tokenizer, references=changed(text, data)), bleu, text)


def chrf_scorer(data: EvaluationSet) -> Scorer:
    """ChrF2 of detokenised text."""
    text = detokenised_text(data)
    return SacreBleu(CHRF(references=changed(text, data)), chrf, text)


def chrf_of_words_scorer(data: EvaluationSet) -> Scorer:
    """ChrF2++ of detokenised text: chrF with word n-grams of order 1 and 2."""
    text = detokenised_text(data)
    return SacreBleu(CHRF(word_order=2, references=changed(text, data)), chrf, text)


def ter_scorer(data: EvaluationSet) -> Scorer:
    """TER of detokenised text; of languages without spaces every character of theirs counts as a word."""
    text, unspaced = detokenised_text(data), is_unspaced(data.lang)
    return SacreBleu(TER(normalized=unspaced, asian_support=unspaced, references=changed(text, data)), ter, text)


def subword_bleu_scorer(data: EvaluationSet) -> Scorer:
    """BLEU of the subwords of FLORES-200, whose model must be on this disk: nothing is downloaded."""
    require_spm(FLORES, "or score by chrf++")
    text = detokenised_text(data)
    return SacreBleu(BLEU(tokenize=FLORES, references=changed(text, data)), bleu, text)


def require_spm(name: str, remedy: str) -> None:
    """Refuse a tokeniser whose sentencepiece model is not on this disk."""
    file = spm_model(name)
    require(
        file.is_file(),
        f"the BLEU tokeniser {name} needs {file}, which is not there: let sacreBLEU download "
        f"it (sacrebleu --tokenize {name} …), {remedy}",
    )


def spm_model(name: str) -> Path:
    """Where sacreBLEU keeps the model of a tokeniser that it downloads when it is first asked for it."""
    return Path(SACREBLEU_DIR) / "models" / str(SPM_MODELS[name]["url"]).rsplit("/", 1)[-1]


def lowercased_bleu_scorer(data: EvaluationSet) -> Scorer:
    """BLEU of tokenised, lower-cased text, as older papers have it; Moses' tokens are no words without spaces."""
    unspaced = is_unspaced(data.lang)
    text = detokenised_text(data) if unspaced else tokenised_text(data)
    tokenizer = data.tokenizer if unspaced else "none"
    metric = BLEU(lowercase=True, tokenize=tokenizer, force=not unspaced, references=changed(text, data))
    return SacreBleu(metric, bleu, text)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("bleu", "BLEU", bleu_scorer),
        Metric("chrf", "chrF", chrf_scorer),
        Metric(LOWERCASED, "BLEU tok. lc", lowercased_bleu_scorer),
        Metric("spbleu", "spBLEU", subword_bleu_scorer, by_default=False),
        Metric("chrf++", "chrF++", chrf_of_words_scorer, by_default=False),
        Metric("ter", "TER", ter_scorer, higher_is_better=False, by_default=False),
    )
}


def metric(name: str) -> Metric:
    """The entry of that name; `LskdError` lists the known ones if there is none."""
    require(name in METRICS, f"the metric is '{name}': one of {', '.join(METRICS)}")
    return METRICS[name]


def described(name: str) -> Metric:
    """The entry of that name, for tables; of a metric that this version does not know its name is all that is known."""
    return METRICS.get(name) or Metric(name, name, unknown_scorer, packages=())


def unknown_scorer(data: EvaluationSet) -> Scorer:
    """Refuse to score by a metric that is not known here."""
    raise LskdError(f"the metric is not known: one of {', '.join(METRICS)}")


def defaults() -> list[str]:
    """The metrics of translations where nothing is said of metrics."""
    return [name for name, each in METRICS.items() if each.by_default]


def scorer(name: str, data: EvaluationSet) -> Scorer:
    """The metric of that name at work on an evaluation set."""
    found = metric(name)
    require(
        not found.needs_source or data.sources is not None,
        f"the metric '{name}' needs the source sentences, which are not there: give them, or score by another metric",
    )
    return found.scorer(data)
