"""Intervals of numbers that follow from sums over sentences: sentences are drawn again, with replacement.

S sentences, K sums of each, R resamples. Every draw is seeded: equal numbers of sentences are drawn alike, so that
models are paired.
"""

import numpy as np

from lskd_nmt.evaluate.bootstrap import LEVEL, SEED, counts
from lskd_nmt.storage.arrays import Float64s
from lskd_nmt.storage.typed import AnyFloat, record

RESAMPLES = 1000
DRAWN = 1 << 22  # sentences drawn at a time, which bounds the memory


@record
class Interval:
    """A number and its 95 % interval; None where there are too few sentences for one."""

    value: AnyFloat
    low: AnyFloat | None
    high: AnyFloat | None


def resampled(sums: Float64s) -> Float64s:
    """The sums over each resample's sentences; the same however many are drawn at a time.   (S, K) -> (R, K)

    The resamples are multiplied one by one: in a product of matrices the order of a sum depends on the processor and
    on how many rows there are.
    """
    generator, size = np.random.default_rng(SEED), max(1, DRAWN // len(sums))
    drawn = (
        counts(len(sums), len(sums), min(size, RESAMPLES - start), generator) for start in range(0, RESAMPLES, size)
    )
    return np.stack([row.astype(np.float64) @ sums for rows in drawn for row in rows])


def with_interval(value: float, draws: Float64s) -> Interval:
    """A number and its 95 % percentile interval; resamples that have nothing to divide by (nan) do not count.   (R,)"""
    low, high = np.nanquantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(float(value), float(low), float(high))
