"""Measures with their intervals, over the seeds of a model and beside its teacher.

Sentences are drawn again with replacement, the same for all models, so that differences are paired. Of several seeds
the weights are drawn, too, as in the table's intervals. Of a share of sentences the interval reaches at least as far as
Wilson's on either side. S sentences, K numbers of each, R resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lskd_nmt.analysis.intervals import RESAMPLES, resampled, with_interval
from lskd_nmt.evaluate.bootstrap import LEVEL, seed_weights
from lskd_nmt.evaluate.robustness import Measured
from lskd_nmt.evaluate.sensitivity import Numbers
from lskd_nmt.storage.arrays import Float64s


@dataclass(frozen=True)
class Drawn:
    """A measure's value and that of each resample (R,); of a share what was counted, summed over seeds."""

    value: float
    draws: Float64s
    count: int | None = None
    of: int | None = None
    sentences: int | None = None  # of one seed, where each of them has a defect or not


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


def over_seeds(seeds: Sequence[int], members: Sequence[Drawn]) -> Drawn:
    """The mean over the seeds of a model."""
    weights = seed_weights(seeds, RESAMPLES)  # (R, seeds)
    counts = [(each.count, each.of) for each in members if each.count is not None and each.of is not None]
    return Drawn(
        float(np.mean([each.value for each in members])),
        (weights * np.stack([each.draws for each in members], axis=1)).sum(1),
        sum(count for count, _ in counts) if counts else None,
        sum(of for _, of in counts) if counts else None,
        min((each.sentences for each in members if each.sentences is not None), default=None),
    )


def measured(found: Drawn, beside: Drawn | None = None) -> Measured:
    """A measure with its interval, and its difference to the model beside it."""
    difference = None
    if beside is not None:
        value, low, high = interval(found.value - beside.value, found.draws - beside.draws)
        difference = Measured(value, low, high)
    value, low, high = interval(found.value, found.draws)
    if found.sentences:
        edges = wilson(found.value, found.sentences)
        low, high = min(edges[0], edges[0] if low is None else low), max(edges[1], edges[1] if high is None else high)
    return Measured(value, low, high, found.count, found.of, difference)


def interval(value: float, draws: Float64s) -> tuple[float, float | None, float | None]:
    """A value with its interval; without one where no resample differs, as that says nothing of other sentences."""
    known = draws[np.isfinite(draws)]
    if not len(known) or np.ptp(known) == 0:
        return value, None, None
    found = with_interval(value, known)
    return found.value, found.low, found.high


def wilson(percent: float, sentences: int) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, in percent: of rare defects resamples have too few, and of none no other."""
    p, z = percent / 100, NormalDist().inv_cdf((1 + LEVEL) / 2)
    scale = 1 + z**2 / sentences
    centre = (p + z**2 / (2 * sentences)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / sentences + z**2 / (4 * sentences**2))
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)
