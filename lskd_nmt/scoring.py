"""From fairseq-generate's output to sacreBLEU's numbers, each with the signature that makes it comparable."""

import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt.errors import require
from lskd_nmt.moses import detokenised, tokenised

HYPOTHESIS = re.compile(r"H-(\d+)\t[^\t]*\t(.*)")
SHOWN = 5  # row numbers in an error


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
    require(not text, f"decoding does not match the {sentences} test rows ({text}): "
                      "decode this binarised test set again with --required-batch-size-multiple 1")  # fmt: skip
    return [found[row] for row in range(sentences)]


def listed(rows: Sequence[int]) -> str:
    """How many rows, and the first few."""
    more = ", …" if len(rows) > SHOWN else ""
    return f"{len(rows)} rows ({', '.join(map(str, rows[:SHOWN]))}{more})"


def scores(hyps: Sequence[str], refs: Sequence[str], lang: str, form: str) -> dict[str, Any]:
    """BLEU and chrF on detokenised text, and BLEU on tokenised lower-cased text, with signatures.

    `form` is that of both texts: `raw` or `fairseq14` (Moses-tokenised, lower-cased; detokenised here first).
    """
    require(len(hyps) == len(refs), f"{len(hyps)} hypotheses and {len(refs)} references: decode the test set again")
    require(bool(refs), "the test set is empty: prepare the data with a test set")
    moses = f"sacremoses {metadata.version('sacremoses')}, -l {lang}"
    if form == "raw":
        plain, tokens = "raw", f"tokenised by {moses}"
    else:
        plain, tokens = f"lower-cased, detokenised by {moses}", "tokenised, as prepared"
    texts = {"bleu": plain, "chrf": plain, "bleu_tokenised_lowercased": tokens}
    sides = {name: [text_for(name, lines, lang, form) for lines in (hyps, refs)] for name in texts}
    facts = {name: {**measured(metric(name), *sides[name]), "text": text} for name, text in texts.items()}
    return {"sentences": len(refs), **facts}


def metric(name: str, refs: Sequence[str] | None = None) -> BLEU | CHRF:
    """sacreBLEU's metric of that name; with references, it keeps their n-grams."""
    cached = None if refs is None else [list(refs)]
    if name == "chrf":
        return CHRF(references=cached)
    if name == "bleu":
        return BLEU(references=cached)
    return BLEU(lowercase=True, tokenize="none", force=True, references=cached)


def text_for(name: str, lines: Sequence[str], lang: str, form: str) -> list[str]:
    """The text that the metric of that name reads, from text in `form`."""
    if name == "bleu_tokenised_lowercased":
        return tokenised(lines, lang) if form == "raw" else list(lines)
    return list(lines) if form == "raw" else detokenised(lines, lang)


def measured(metric: BLEU | CHRF, hyps: Sequence[str], refs: Sequence[str]) -> dict[str, Any]:
    """Score in percent, and signature."""
    score = metric.corpus_score(list(hyps), [list(refs)]).score
    return {"score": round(score, 2), "signature": str(metric.get_signature())}


def corpus_bleu(hyps: Sequence[str], refs: Sequence[str]) -> float:
    """sacreBLEU's default BLEU, in percent."""
    return float(measured(BLEU(), hyps, refs)["score"])
