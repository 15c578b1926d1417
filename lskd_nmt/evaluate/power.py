"""How many seeds would decide: the sample size for a difference whose interval holds 0, at the scatter that was seen.

The interval of a difference over n seeds is wide for two reasons. Seeds scatter, which is divided by n. The test set is
a sample of sentences, and what this moves all seeds alike no number of seeds makes smaller. So its squared standard
error is se(n)² = sentences² + seeds² / n. Seeds have ν(n) = n - 1 degrees of freedom; their sum with the sentences',
which are many, has Satterthwaite's ν(n) · (se(n)² / (seeds² / n))². A true difference that is δ away from a bound is
told from it with power P if

    (t[1 - α/2] + t[P]) · se(n) ≤ δ        t: quantiles of Student's t with these degrees, α = 0.05, P = 0.8

The smallest such n is the sample size of Sokal & Rohlf (Biometry, 3rd ed. 1995, on the sample size of a test): the
normal (z[1 - α/2] + z[P])² seeds² / δ², iterated with Student's t. Where sentences do not vary it is that of the paired
t-test.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

from lskd_nmt.evaluate.bootstrap import LEVEL, Spread, Term
from lskd_nmt.evaluate.formulas import Array
from lskd_nmt.evaluate.records import Uncertainty

POWER = 0.8
MOST = 10**7  # seeds; where more are needed none are said


def uncertainty(terms: Sequence[Term], pooled: Spread | None = None, always: bool = False) -> Uncertainty:
    """What makes the interval of the weighted sum of the terms' means as wide as it is.

    Where all terms have the same seeds these are paired, as in `bootstrap.own`. With a scatter `pooled` over rows each
    seed scatters so, and by itself; `always`: intervals have its degrees of freedom, too.
    """
    values = [(term.weight * term.scores, term.weight * term.resampled) for term in terms]
    if all(term.seeds == terms[0].seeds for term in terms):
        values = [(sum_of([scores for scores, _ in values]), sum_of([draws for _, draws in values]))]
    alone = [own_answers(draws) for _, draws in values]  # variance
    all_of_it = float(sum_of([draws.mean(0) for _, draws in values]).var())
    sentences = max(0.0, all_of_it - sum(each / len(scores) for each, (scores, _) in zip(alone, values, strict=True)))
    if pooled is not None:
        parts = [pooled.deviation**2 * sum(term.weight**2 for term in terms)]
    elif any(len(scores) < 2 for scores, _ in values):
        return Uncertainty(math.sqrt(sentences), None)
    else:
        parts = [float(scores.var(ddof=1)) for scores, _ in values]
    below = sum(part**2 for part in parts)
    return Uncertainty(
        math.sqrt(sentences),
        math.sqrt(sum(parts) + sum(alone)),
        groups=sum(parts) ** 2 / below if below else 1.0,
        degrees=float(pooled.degrees) if pooled is not None and always else None,
    )


def sum_of(arrays: Sequence[Array]) -> Array:
    """Arrays of one shape, added."""
    return np.asarray(np.sum(arrays, axis=0))


def own_answers(draws: Array) -> float:
    """The variance over resamples of the sentences that each seed has for itself; 0 of one seed.   (K, R)

    The mean variance of the seeds less the mean covariance of two of them.
    """
    size = len(draws)
    return float((draws - draws.mean(0)).var(1).mean()) * size / (size - 1) if size > 1 else 0.0


def seeds_needed(found: Uncertainty, distance: float, more_than: int = 1, power: float = POWER) -> int | None:
    """The smallest number of seeds, above `more_than`, that tells a difference from a bound so far away.

    None where no number does, or where it is not known how seeds scatter.
    """
    if found.seeds is None or not detects(found, MOST, distance, power):
        return None
    low, high = max(more_than, 1), MOST
    if high <= low:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detects(found, middle, distance, power) else (middle, high)
    return high


def detects(found: Uncertainty, seeds: int, distance: float, power: float = POWER) -> bool:
    """Whether so many seeds, at least 2, tell a true difference from a bound so far away, with this power."""
    assert found.seeds is not None and seeds > 1
    by_seeds = found.seeds**2 / seeds
    variance = found.sentences**2 + by_seeds
    if by_seeds == 0:
        return quantiles(None, power) * math.sqrt(variance) <= distance and distance > 0
    degrees = found.degrees or found.groups * (seeds - 1)
    return quantiles(degrees * (variance / by_seeds) ** 2, power) * math.sqrt(variance) <= distance


def quantiles(degrees: float | None, power: float = POWER) -> float:
    """t[1 - α/2] + t[P] of so many degrees of freedom; None: of the normal distribution."""
    levels = ((1 + LEVEL) / 2, power)
    return float(sum(ndtri(level) if degrees is None else stdtrit(degrees, level) for level in levels))


def sentences_needed(found: Uncertainty, distance: float, power: float = POWER) -> float | None:
    """How many times as many sentences a test set needs at least, with however many seeds; None where it is enough.

    The variance of sentences is inverse to their number.
    """
    if distance <= 0:
        return None
    times = (quantiles(None, power) * found.sentences / distance) ** 2
    return times if times > 1 else None
