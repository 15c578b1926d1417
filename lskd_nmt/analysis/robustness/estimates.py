"""Measures with their intervals, over the seeds of a model and beside its teacher.

Sentences are drawn again with replacement, the same for all models, so that differences are paired. Of several seeds
Student's t of their scatter is added, as in the table's intervals. Of a share of sentences the interval reaches at
least as far as Wilson's on either side. S sentences, K numbers of each, R resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lskd_nmt.analysis.intervals import resampled
from lskd_nmt.evaluate.bootstrap import LEVEL, Term, contrast
from lskd_nmt.evaluate.robustness import Measured
from lskd_nmt.evaluate.sensitivity import Numbers
from lskd_nmt.storage.arrays import Float64s, Mask

AGAIN = 10  # times that each resample of the sentences is used with another draw of the seeds' scatter


@dataclass(frozen=True)
class Drawn:
    """A measure's value of one model, and that of each resample (R,); of a share what was counted."""

    value: float
    draws: Float64s
    count: int | None = None
    of: int | None = None
    sentences: int | None = None  # where each of them has a defect or not


def drawn(found: Mapping[str, Numbers]) -> dict[str, Drawn]:
    """The measures of one model, all of the same sentences; those that have nothing to divide by are left out."""
    if not found:
        return {}
    rows = np.concatenate([each.rows for each in found.values()], axis=1)
    sums, places = resampled(rows), np.cumsum([each.rows.shape[1] for each in found.values()])[:-1]
    made = {}
    for (name, each), draws in zip(found.items(), np.split(sums, places, axis=1), strict=True):
        total = each.rows.sum(0)
        count, of = (int(total[0]), int(total[1])) if each.is_share else (None, None)
        sentences = of if each.is_of_sentences else None
        made[name] = Drawn(float(each.score(total)), each.score(draws), count, of, sentences)
    return {name: each for name, each in made.items() if np.isfinite(each.value)}


@dataclass(frozen=True)
class OverSeeds:
    """A measure of the seeds of a model."""

    seeds: tuple[int, ...]
    members: tuple[Drawn, ...]

    def term(self, weight: float, known: Mask) -> Term:
        """The mean over the seeds as a term of a contrast, on the resamples that are known."""
        scores, draws = (
            [each.value for each in self.members],
            [np.tile(each.draws[known], AGAIN) for each in self.members],
        )
        return Term(weight, self.seeds, np.array(scores), np.stack(draws))

    @property
    def known(self) -> Mask:
        """The resamples of which every seed has the measure."""
        return np.asarray(np.isfinite(np.stack([each.draws for each in self.members])).all(0))

    @property
    def counted(self) -> tuple[int | None, int | None]:
        """Numerator and denominator of a share, summed over seeds."""
        counts = [(each.count, each.of) for each in self.members if each.count is not None and each.of is not None]
        return (sum(count for count, _ in counts), sum(of for _, of in counts)) if counts else (None, None)


def measured(found: OverSeeds, beside: OverSeeds | None = None) -> Measured:
    """A measure with its interval, which stays between 0 and 100, and its difference to the model beside it."""
    difference = None
    if beside is not None:
        both = found.known & beside.known
        difference = Measured(*interval([found.term(1, both), beside.term(-1, both)]))
    value, low, high = interval([found.term(1, found.known)])
    low, high = (None if edge is None else min(max(edge, 0.0), 100.0) for edge in (low, high))
    sentences = min((each.sentences for each in found.members if each.sentences is not None), default=None)
    if sentences:
        edges = wilson(value, sentences)
        low, high = min(edges[0], edges[0] if low is None else low), max(edges[1], edges[1] if high is None else high)
    return Measured(value, low, high, *found.counted, difference)


def interval(terms: Sequence[Term]) -> tuple[float, float | None, float | None]:
    """A sum of terms with its interval; without one where nothing scatters, as that says nothing of other sentences."""
    value = float(sum(term.weight * term.scores.mean() for term in terms))
    if not terms[0].resampled.size:
        return value, None, None
    found = contrast(terms)
    return (value, None, None) if found.low == found.high else (value, found.low, found.high)


def wilson(percent: float, sentences: int) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, in percent: of rare defects resamples have too few, and of none no other."""
    p, z = percent / 100, NormalDist().inv_cdf((1 + LEVEL) / 2)
    scale = 1 + z**2 / sentences
    centre = (p + z**2 / (2 * sentences)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / sentences + z**2 / (4 * sentences**2))
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)
