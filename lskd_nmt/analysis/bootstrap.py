"""Intervals of numbers that follow from sums over sentences: sentences are drawn again, with replacement.

S sentences, R resamples. Every draw is seeded: equal numbers of sentences are drawn alike, so models are paired.
"""

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.significance import LEVEL, SEED, counts

Array = NDArray[np.float64]
RESAMPLES = 1000
DRAWN = 1 << 22  # sentences drawn at a time: memory


def resampled(sums: Array) -> Array:
    """Their sum over each resample's sentences.   (S, K) -> (R, K)"""
    generator, size = np.random.default_rng(SEED), max(1, DRAWN // len(sums))
    parts = [counts(len(sums), len(sums), min(size, RESAMPLES - start), generator).astype(np.float64) @ sums
             for start in range(0, RESAMPLES, size)]  # fmt: skip
    return np.concatenate(parts)


def with_interval(value: float, draws: Array) -> dict[str, float]:
    """A number and its 95 % percentile interval; resamples that have nothing to divide by (nan) do not count."""
    low, high = np.nanquantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {"value": float(value), "low": float(low), "high": float(high)}
