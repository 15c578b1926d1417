"""How hypotheses are chosen: the best, the one closest to the reference, or several; and what is dropped before."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import bleu_tokenizer, sentence_bleu
from lskd_nmt.seqkd.store import Selection
from lskd_nmt.teacher.source import Hypothesis

METHODS = ("beam", "interpolate", "multi")
SIMILARITIES = ("bleu", "chrf")


@dataclass(frozen=True)
class SelectSettings:
    """How hypotheses are chosen."""

    method: str = "beam"
    hypotheses: int = 0  # of `multi`; 0: all
    similarity: str = "bleu"  # of `interpolate`: smoothed sentence BLEU, or chrF
    max_ratio: float = 0.0  # of the lengths of source and hypothesis in subwords; 0: any
    drop_copies: bool = False
    tokenize: str | None = None  # of the smoothed sentence BLEU, instead of the target language's own

    def __post_init__(self) -> None:
        require(self.method in METHODS, f"--method is {self.method}: one of {', '.join(METHODS)}")
        require(self.similarity in SIMILARITIES, f"--similarity is {self.similarity}: one of {', '.join(SIMILARITIES)}")
        require(self.hypotheses >= 0, f"--hypotheses is {self.hypotheses}: give a number above 0, or 0 for all")
        require(
            self.method == "multi" or not self.hypotheses,
            f"--hypotheses is {self.hypotheses} and --method is {self.method}: it is of multi",
        )
        require(
            self.max_ratio == 0 or self.max_ratio >= 1,
            f"--max-ratio is {self.max_ratio:g}: give at least 1, or 0 for any",
        )

    def content(self, lang: str) -> Selection:
        """What decides the choice, with the tokeniser of BLEU where it is not the one that was always taken."""
        found = Selection(self.method, self.hypotheses, self.similarity, self.max_ratio, self.drop_copies)
        if self.method == "interpolate" and self.similarity == "bleu":
            tokenizer = bleu_tokenizer(lang, self.tokenize)
            return replace(found, tokenizer=tokenizer if tokenizer != USUAL else None)
        return found


def fault(hypothesis: Hypothesis, source: Sequence[str], settings: SelectSettings) -> str | None:
    """Why a hypothesis is dropped, or None."""
    lengths = len(hypothesis.pieces.split()), len(source)
    if not lengths[0]:
        return "empty"
    if settings.max_ratio and max(lengths) > settings.max_ratio * min(lengths):
        return "ratio"
    if settings.drop_copies and joined(hypothesis.pieces) == joined(" ".join(source)):
        return "copy"
    return None


class Chooser:
    """Filters and chooses, and counts what it dropped; `lang` is the target language."""

    def __init__(self, settings: SelectSettings, lang: str = "en") -> None:
        self.settings = settings
        interpolates = settings.method == "interpolate" and settings.similarity == "bleu"
        self.similarity: BLEU | CHRF = sentence_bleu(lang, settings.tokenize) if interpolates else CHRF()
        self.dropped: Counter[str] = Counter()
        self.without: list[int] = []  # rows that have no hypothesis left

    def choose(self, row: int, hypotheses: Sequence[Hypothesis], source: Sequence[str], reference: str) -> list[int]:
        """The positions of those chosen.   `reference` in subwords"""
        faults = [fault(hypothesis, source, self.settings) for hypothesis in hypotheses]
        self.dropped.update(reason for reason in faults if reason)
        kept = [at for at, reason in enumerate(faults) if reason is None]
        if not kept:
            self.without.append(row)
            return []
        if self.settings.method == "beam":
            return [max(kept, key=lambda at: rank(hypotheses[at].score))]
        if self.settings.method == "interpolate":
            truth = [joined(reference)]
            return [
                max(kept, key=lambda at: self.similarity.sentence_score(joined(hypotheses[at].pieces), truth).score)
            ]
        return kept[: self.settings.hypotheses or len(kept)]


def rank(score: float) -> float:
    """A score to compare; where none is known (NaN), the translator's order counts, as the first of equals is taken."""
    return -math.inf if math.isnan(score) else score
