"""Translations that are far shorter or longer, in characters, than those of the same corpus are."""

import math
from collections.abc import Iterable
from statistics import median

from lskd_nmt.data.bitext import Pair

TIMES, SLACK = 2.0, 10.0


def length(text: str) -> int:
    """How many characters that are no spaces."""
    return sum(map(len, text.split()))


def typical_ratio(pairs: Iterable[Pair]) -> float:
    """The median of target characters per source character, of pairs of which both sides have some; 1 of none."""
    lengths = ((length(source), length(target)) for source, target in pairs)
    return math.exp(median([math.log(target / source) for source, target in lengths if source and target] or [0.0]))


def is_far(source: str, target: str, typical: float) -> bool:
    """Whether the lengths in characters are far from the corpus' own ratio.

    With a typical ratio of r the target's length t is t/r in characters of the source. The pair goes if t/r + 10 is
    more than twice the source's length + 10, or less than half of it; the ten characters let short lines vary. Since r
    is the corpus' own, the rule holds for all scripts alike.
    """
    own, other = length(source) + SLACK, length(target) / typical + SLACK
    return max(own, other) > TIMES * min(own, other)
