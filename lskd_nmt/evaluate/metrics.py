"""The metrics that translations are scored by: one entry each, which scores, intervals and contrasts read.

A metric is computed from numbers of each sentence that are added up over the test set, its sufficient statistics, so
that resampling sentences costs a sum and not another scoring. A metric that scores single sentences has two: the score
and 1. To add a metric, write a `Scorer` (or make a `SentenceScorer`) and an entry of `METRICS`. Trained metrics are
computed by programs of the user's (`learned`), and have entries for their names and directions.
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
from lskd_nmt.evaluate.formulas import Array, bleu, chrf, ter

Statistics = NDArray[np.number]  # of sentences: whole numbers may be kept in a small type
USUAL = "13a"  # sacreBLEU's tokeniser of languages that separate words by spaces
FORMS = ("raw", "fairseq14", "tokenised")
LOWERCASED = "bleu_tokenised_lowercased"
# keys beside scores in metrics.json and in rows and cells of table.json, and columns: no metric is called so
RESERVED = frozenset(
    {
        *("run", "name", "teacher", "arch", "seed", "setting", "scores", "sentences", "tokenizer"),
        *("references_changed_by_subwords", "parameters", "epochs", "best_valid_bleu", "not_converged", "cpu_hours"),
        *("wall_hours", "gpu_hours", "peak_memory_mb", "peak_gpu_memory_mb", "words_per_second"),
        *("updates_per_second", "commit", "translations", "signature", "seeds", "teachers", "members", "runs"),
        *("named_runs", "differs_in", "cost", "interval", "baseline", "difference", "over", "published", "role"),
        *("label_smoothing", "kd_level", "hypotheses", "tail", "top_k", "kd_weight", "temperature", "method"),
        *("hypotheses_drawn", "init"),
        *("step_cost", "hyp_sha256", "ref_sha256", "other_refs_sha256", "decode", "needed", "set"),
        *("model", "start", "p", "note"),  # columns of the table that people read
    }
)
FLORES = "flores200"  # the sentencepiece model of spBLEU


@dataclass(frozen=True)
class EvaluationSet:
    """What translations are scored against, and how its text is written."""

    references: Sequence[str]
    lang: str  # of the references
    form: str = "raw"  # of references and translations: raw, fairseq14 (Moses, lower-cased) or tokenised (Moses)
    tokenizer: str = USUAL  # of BLEU
    sources: Sequence[str] | None = None  # for metrics that need them
    others: Sequence[Sequence[str]] = ()  # further references: of each a stream with a line for every sentence
    source_lang: str | None = None

    @property
    def streams(self) -> list[Sequence[str]]:
        """All streams of references, the first one first; sacreBLEU counts them as `nrefs`."""
        return [self.references, *self.others]


class Scorer(Protocol):
    """A metric at work on one evaluation set."""

    @property
    def text(self) -> str:
        """Which text it reads, in words."""

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
    by_program: bool = False  # computed by a program of the user's, see `learned`
    needs_reference: bool = True
    scale: float = 1.0  # by which a program's scores are multiplied: 100 for those from 0 to 1


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


@dataclass(frozen=True)
class KeptScores:
    """A metric that a program computed: the mean of its scores, which are kept; no table runs the program again."""

    name: str
    signature: str
    text: str

    def statistics(self, translations: Sequence[str]) -> Array:
        """Refused: sentences were scored before, or are not."""
        raise LskdError(
            f"the scores of {len(translations)} sentences by {self.name} are not kept, or are of other text: "
            f"lskd score --run RUN --metrics {self.name} makes them"
        )

    def score(self, sums: Array) -> Array:
        """The mean, times what the metric's scores are multiplied by."""
        return np.asarray(described(self.name).scale * sums[..., 0] / sums[..., 1])


def no_program(data: EvaluationSet) -> Scorer:
    """Refuse to compute what a program computes."""
    raise LskdError("this metric is computed by a program: name it under metric_commands (docs/metrics.md)")


def by_program(
    name: str,
    label: str,
    source: bool = True,
    reference: bool = True,
    higher_is_better: bool = True,
    scale: float = 100.0,
) -> Metric:
    """The entry of a metric that a program of the user's computes, and what that reads beside translations."""
    about = {"higher_is_better": higher_is_better, "needs_source": source, "needs_reference": reference}
    return Metric(name, label, no_program, packages=(), by_default=False, by_program=True, scale=scale, **about)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("bleu", "BLEU", bleu_scorer),
        Metric("chrf", "chrF", chrf_scorer),
        Metric(LOWERCASED, "BLEU tok. lc", lowercased_bleu_scorer),
        Metric("spbleu", "spBLEU", subword_bleu_scorer, by_default=False),
        Metric("chrf++", "chrF++", chrf_of_words_scorer, by_default=False),
        Metric("ter", "TER", ter_scorer, higher_is_better=False, by_default=False),
        by_program("comet22", "COMET-22"),
        by_program("cometkiwi22", "CometKiwi-22", reference=False),
        by_program("xcomet", "xCOMET"),
        by_program("xcomet-qe", "xCOMET-QE", reference=False),
        by_program("bleurt20", "BLEURT-20", source=False),
        by_program("metricx24", "MetricX-24", higher_is_better=False, scale=1.0),
        by_program("metricx24-qe", "MetricX-24-QE", reference=False, higher_is_better=False, scale=1.0),
    )
}


def metric(name: str) -> Metric:
    """The entry of that name; `LskdError` lists the known ones if there is none."""
    require(name in METRICS, f"the metric is '{name}': one of {', '.join(METRICS)}")
    return METRICS[name]


def described(name: str) -> Metric:
    """The entry of that name; of a name that is not known here that of a program of the user's, called by it."""
    return METRICS.get(name) or by_program(name, name, source=False, scale=1.0)


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
