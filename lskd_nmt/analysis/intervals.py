"""Intervals of numbers that follow from sums over sentences: sentences are drawn again, with replacement.

S sentences, R resamples. Every draw is seeded: equal numbers of sentences are drawn alike, so models are paired.
"""

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.evaluate.bootstrap import LEVEL, SEED, counts

Array = NDArray[np.float64]
RESAMPLES = 1000
DRAWN = 1 << 22  # sentences drawn at a time: memory


def resampled(sums: Array) -> Array:
    """Their sum over each resample's sentences, however many are drawn at a time.   (S, K) -> (R, K)

    Resample by resample: in a product of matrices the order of a sum depends on the processor and on how many rows
    there are.
    """
    generator, size = np.random.default_rng(SEED), max(1, DRAWN // len(sums))
    drawn = (
        counts(len(sums), len(sums), min(size, RESAMPLES - start), generator) for start in range(0, RESAMPLES, size)
    )
    return np.stack([row.astype(np.float64) @ sums for rows in drawn for row in rows])


def with_interval(value: float, draws: Array) -> dict[str, float]:
    """A number and its 95 % percentile interval; resamples that have nothing to divide by (nan) do not count."""
    low, high = np.nanquantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {"value": float(value), "low": float(low), "high": float(high)}
