"""Translations that lose their source: hallucination under perturbation, loops, and answers that say it twice."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from lskd_nmt.evaluate.words import Units

WEIGHTS = (1.0, 0.8)  # of the precisions of words and of pairs of words, as Lee et al. weigh them
GOOD, LOST = 0.09, 0.01  # adjusted BLEU: above it a translation is one, below it nothing is left of another
LOOP, MORE = 4, 2  # words of a repeated n-gram, and how often more than in the source it stands
BLOCK = 4  # words at most that are repeated at once


def ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram of that order stands in a sentence."""
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def adjusted_bleu(translation: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU of words and pairs of words alone, from 0 to 1: BP · p₁ · p₂^0.8 (Lee et al. 2018, section 3).

    BP is the brevity penalty exp(min(0, 1 − r/c)), p₁ and p₂ are the clipped precisions. Without a common pair of words
    it is 0. A text of a single word has no pairs: there p₂ is p₁.
    """
    if not translation or not reference:
        return 0.0
    precisions: list[float] = []
    for order in (1, 2):
        ours, theirs = ngrams(translation, order), ngrams(reference, order)
        if ours and theirs:
            precisions.append((ours & theirs).total() / ours.total())
    precisions += precisions[:1] * (2 - len(precisions))
    brevity = math.exp(min(0.0, 1 - len(reference) / len(translation)))
    return brevity * math.prod(math.pow(p, weight) for p, weight in zip(precisions, WEIGHTS, strict=True))


def is_hallucination(clean: Sequence[str], perturbed: Sequence[str], reference: Sequence[str]) -> bool | None:
    """Whether a small change of the source leaves nothing of its translation; None where that was bad before.

    Lee et al. 2018 (algorithm 1), Raunak et al. 2021: adjusted BLEU of the clean translation and the reference is above
    0.09, and that of the perturbed translation and the clean one is below 0.01.
    """
    if adjusted_bleu(clean, reference) <= GOOD:
        return None
    return adjusted_bleu(perturbed, clean) < LOST


def top_count(units: Units, order: int = LOOP) -> int:
    """How often the most frequent n-gram of that order stands in a text; 0 of a shorter one."""
    return max(ngrams(units, order).values(), default=0)


def is_loop(translation: Units, source: Units, reference: Units) -> bool:
    """Whether a translation oscillates: its most frequent 4-gram stands twice more often than any of the source.

    The count of Raunak et al. 2021 for oscillatory hallucinations (n = 4, t = 2); ours asks it of the reference, too,
    so that a refrain is none.
    """
    return top_count(translation) - max(top_count(source), top_count(reference)) >= MORE


def echoes(units: Units, most: int = BLOCK) -> int:
    """How often a word, or up to four words together, stands directly behind itself."""
    return sum(
        len([*run]) // size
        for size in range(1, most + 1)
        for same, run in groupby(one == other for one, other in zip(units, units[size:], strict=False))
        if same
    )


def is_echo(translation: Units, source: Units, reference: Units) -> bool:
    """Whether words stand twice in a row more often than in source and reference: `the the`, `in the in the`."""
    return echoes(translation) > max(echoes(source), echoes(reference))


def is_said_twice(units: Units) -> bool:
    """Whether a text is nothing but the same words two or more times."""
    size = len(units)
    return any(units == units[:part] * (size // part) for part in range(1, size // 2 + 1) if size % part == 0)
