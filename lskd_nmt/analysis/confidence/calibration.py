"""Is a model right as often as it says? Confidence against accuracy, in bins whose sums add over shards.

N tokens or words, M bins, G groups. Confidence is the probability of what the model holds most probable; the model is
right if that is the reference's. The errors are those of Guo et al. (2017).
"""

import numpy as np

from lskd_nmt.storage.arrays import Float64s, Floats, Mask, Rows
from lskd_nmt.storage.typed import record

EQUATIONS = {
    "ece": "Σ_m |B_m|/N · |accuracy(B_m) − confidence(B_m)|",
    "mce": "max_m |accuracy(B_m) − confidence(B_m)|",
    "nll": "mean of −log p(y), nats",
    "brier": "mean of Σ_v (p_v − [v = y])²",
    "entropy": "mean of −Σ_v p_v · log p_v, nats",
    "overconfidence": "mean confidence − accuracy",
}


@record
class Reliability:
    """A reliability diagram: of each bin its count, mean confidence and accuracy, None where the bin is empty."""

    edges: list[float]  # M + 1
    count: list[float]
    confidence: list[float | None]
    accuracy: list[float | None]


def equal_width(bins: int) -> Float64s:
    """The edges of M bins (a, b] of equal width.   -> (M + 1,)"""
    return np.linspace(0, 1, bins + 1)


def equal_mass(confidence: Floats, bins: int) -> Float64s:
    """The edges of M bins (a, b] with equally many in each, as far as ties let them.   (N,) -> (M + 1,)"""
    return np.quantile(confidence.astype(np.float64), np.linspace(0, 1, bins + 1))


def binned(confidence: Floats, right: Mask, edges: Float64s, group: Rows) -> Float64s:
    """Of each group and bin: the count, the summed confidence, and how many were right.   (N,) each -> (G, 3, M)

    `group` counts from 0 (sentences, shards). The sums of a whole are the sums over its groups.
    """
    bins, groups = len(edges) - 1, int(group.max(initial=-1)) + 1
    cell = group * bins + np.searchsorted(edges[1:-1], confidence.astype(np.float64), side="left")
    sums = [
        np.bincount(cell, weights, groups * bins).reshape(groups, bins)
        for weights in (np.ones(len(cell)), confidence, right)
    ]
    return np.stack(sums, axis=1)


def gaps(sums: Float64s) -> Float64s:
    """|number of right ones − summed confidence| of each bin.   (…, 3, M) -> (…, M)"""
    return np.asarray(np.abs(sums[..., 2, :] - sums[..., 1, :]))


def ece(sums: Float64s) -> Float64s:
    """Expected calibration error: Σ_m |B_m|/N · |accuracy − confidence|.   (…, 3, M) -> (…)"""
    return np.asarray(gaps(sums).sum(-1) / sums[..., 0, :].sum(-1))


def mce(sums: Float64s) -> Float64s:
    """Maximum calibration error: the largest |accuracy − confidence| of a bin that is not empty.   (…, 3, M) -> (…)"""
    return np.asarray((gaps(sums) / np.maximum(sums[..., 0, :], 1)).max(-1))


def brier(target_probability: Float64s, sum_squares: Float64s) -> Float64s:
    """Σ_v (p_v − [v = y])² = Σ_v p_v² − 2·p_y + 1 of each token.   (N,), (N,) -> (N,)"""
    return sum_squares - 2 * target_probability + 1


def reliability(sums: Float64s, edges: Float64s) -> Reliability:
    """The reliability diagram of a whole.   (3, M), (M + 1,)"""
    count, confidence, right = sums
    filled = count > 0

    def share(part: Float64s) -> list[float | None]:
        return [float(part[m] / count[m]) if filled[m] else None for m in range(len(count))]

    return Reliability(edges.tolist(), count.tolist(), share(confidence), share(right))
