"""From fairseq-generate's output to sacreBLEU's numbers, each with the signature that makes it comparable."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS

from lskd_nmt.data.languages import base_language, is_unspaced
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.kept_statistics import Reading, place_of
from lskd_nmt.evaluate.metrics import FLORES, FORMS, USUAL, EvaluationSet, defaults, require_spm, spm_model
from lskd_nmt.evaluate.records import Score

HYPOTHESIS = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")
SHOWN = 5  # row numbers in an error
TOKENIZERS = {**dict.fromkeys(("zh", "yue", "wuu", "lzh"), "zh"), "ja": "ja-mecab", "ko": "ko-mecab"}
EXTRAS = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}  # packages that they need


def hypotheses(lines: Iterable[str], sentences: int) -> list[str]:
    """The subword text of rows 0 … sentences - 1, in order; every row must be there exactly once.

    fairseq-generate prints batches by length and may leave rows out.
    """
    found: dict[int, str] = {}
    twice: list[int] = []
    for match in filter(None, map(HYPOTHESIS.match, lines)):
        row = int(match[1])
        if row in found:
            twice.append(row)
        found[row] = match[2].rstrip("\n")
    missing = [row for row in range(sentences) if row not in found]
    beyond = [row for row in sorted(found) if row >= sentences]
    problems = {"missing": missing, "decoded twice": twice, "not in the test set": beyond}
    text = "; ".join(f"{what}: {listed(rows)}" for what, rows in problems.items() if rows)
    require(
        not text,
        f"decoding does not match the {sentences} test rows ({text}): "
        "decode this binarised test set again with --required-batch-size-multiple 1",
    )
    return [found[row] for row in range(sentences)]


def listed(rows: Sequence[int]) -> str:
    """How many rows, and the first few."""
    more = ", …" if len(rows) > SHOWN else ""
    return f"{len(rows)} rows ({', '.join(map(str, rows[:SHOWN]))}{more})"


def bleu_tokenizer(lang: str, wish: str | None = None) -> str:
    """The name of the tokeniser with which sacreBLEU counts words of this language, or the one that the user wishes.

    BLEU of text without spaces needs one that segments it: 13a sees a sentence as one word, and a perfect translation
    of Chinese has 0. Thai, Lao, Khmer, Burmese and Tibetan take `flores200` if its model is on this disk (nothing is
    downloaded), else single characters. A tokeniser that is not installed is refused.
    """
    if wish is not None:
        known = sorted(BLEU.TOKENIZERS)
        require(wish in known, f"the BLEU tokeniser is '{wish}': one of {', '.join(known)}")
        name = wish
    else:
        unspaced = FLORES if spm_model(FLORES).is_file() else "char"
        name = TOKENIZERS.get(base_language(lang), unspaced if is_unspaced(lang) else USUAL)
    require_working(name, lang)
    return name


def require_working(name: str, lang: str) -> None:
    """Refuse a tokeniser that is not installed; nothing is downloaded."""
    if name in SPM_MODELS:
        require_spm(name, "or choose char")
    try:
        BLEU(tokenize=name)
    except Exception as error:  # RuntimeError, ImportError, AssertionError, OSError: each tokeniser has its own
        remedy = f"pip install '{EXTRAS[name]}', or" if name in EXTRAS else "repair it, or"
        raise LskdError(
            f"BLEU of '{lang}' needs sacreBLEU's tokeniser {name}, which does not work here "
            f"({brief(error)}): {remedy} choose another (--tokenize char, data.tokenize: char in a "
            "config)"
        ) from None


def available_tokenizer(lang: str) -> str:
    """The language's tokeniser, or characters where it is not installed: for scores that are compared among themselves.

    Such are those that prove that two engines translate alike: they are neither published nor compared with others.
    """
    try:
        return bleu_tokenizer(lang)
    except LskdError:
        return "char"


def brief(error: Exception) -> str:
    """The first line that an error says, or its kind."""
    lines = str(error).split("\n")
    return next((line.strip()[:120] for line in lines if line.strip()), type(error).__name__)


def remark(lang: str, tokenizer: str) -> str | None:
    """What a reader must know of BLEU with this tokeniser in this language, if anything."""
    if tokenizer == USUAL and is_unspaced(lang):
        return f"BLEU: tokeniser 13a does not segment '{lang}', so these numbers say little: score again"
    if tokenizer == "char" and is_unspaced(lang):
        return (
            f"BLEU: of characters (tok:char), which is not comparable with BLEU of words; '{lang}' is written "
            f"without spaces, and its own tokeniser ({TOKENIZERS.get(base_language(lang), FLORES)}) was not there "
            "or not wished"
        )
    return None


def scores(
    translations: Sequence[str],
    references: Sequence[str],
    lang: str,
    form: str,
    tokenize: str | None = None,
    sources: Sequence[str] | None = None,
    file: Path | None = None,
    others: Sequence[Sequence[str]] = (),
    names: Sequence[str] | None = None,
) -> dict[str, Score]:
    """The score of a corpus by the metrics of these names, or by those that are scored where nothing is said.

    `form` is that of both texts: `raw`, `fairseq14` (Moses-tokenised, lower-cased; detokenised here where a metric
    needs it) or `tokenised` (Moses-tokenised, with case). `tokenize` is the wished tokeniser of BLEU, see
    `bleu_tokenizer`. Beside the translations' `file`, if it is given, the sentences' statistics are kept. `others` are
    further references of each sentence.
    """
    count, wanted = len(translations), len(references)
    require(count == wanted, f"{count} hypotheses and {wanted} references: decode the test set again")
    uneven = [len(stream) for stream in others if len(stream) != wanted]
    require(not uneven, f"references of {wanted} and of {(uneven or [0])[0]} lines: give one line a sentence in each")
    require(bool(references), "the test set is empty: prepare the data with a test set")
    require(form in FORMS, f"the form of the text is '{form}': one of {', '.join(FORMS)}")
    data = EvaluationSet(references, lang, form, bleu_tokenizer(lang, tokenize), sources, others)
    return {name: score(name, translations, data, file) for name in (defaults() if names is None else names)}


def score(name: str, translations: Sequence[str], data: EvaluationSet, file: Path | None = None) -> Score:
    """The score of a corpus by the metric of that name, rounded to two digits; `file` as in `scores`."""
    reading = Reading(name, data)
    scorer = reading.scorer
    statistics = scorer.statistics(translations)
    if file is not None:
        reading.keep(place_of(file, name), translations, statistics)
    value = float(scorer.score(statistics.sum(0)))
    return Score(round(value, 2), scorer.signature, scorer.text, data.tokenizer if name == "bleu" else None)


def corpus_bleu(
    translations: Sequence[str], references: Sequence[str], lang: str, tokenize: str | None = None
) -> float:
    """BLEU of text as it is written with the language's tokeniser, or the one wished, in percent."""
    return score("bleu", translations, EvaluationSet(references, lang, tokenizer=bleu_tokenizer(lang, tokenize))).score


def sentence_bleu(lang: str, tokenize: str | None = None) -> BLEU:
    """sacreBLEU's metric for single sentences: orders without a match do not count."""
    return BLEU(effective_order=True, tokenize=bleu_tokenizer(lang, tokenize))
