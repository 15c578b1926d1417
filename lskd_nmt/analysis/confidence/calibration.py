"""Is a model right as often as it says? Confidence against accuracy, in bins whose sums add over shards.

N units (tokens or words), M bins. The confidence of a unit is the probability of what the model holds most probable; it
is right if that is the reference's.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EQUATIONS = {
    "ece": "Σ_m |B_m|/N · |accuracy(B_m) − confidence(B_m)|",
    "mce": "max_m |accuracy(B_m) − confidence(B_m)|",
    "nll": "mean of −log p(y), nats",
    "brier": "mean of Σ_v (p_v − [v = y])²",
    "entropy": "mean of −Σ_v p_v · log p_v, nats",
    "overconfidence": "mean confidence − accuracy",
}


def equal_width(bins: int) -> Array:
    """The edges of M bins (a, b] of equal width.   -> (M + 1,)"""
    return np.linspace(0, 1, bins + 1)


def equal_mass(confidence: NDArray[np.floating], bins: int) -> Array:
    """The edges of M bins (a, b] with equally many units each, as far as ties let them.   (N,) -> (M + 1,)"""
    return np.quantile(confidence.astype(np.float64), np.linspace(0, 1, bins + 1))


def binned(confidence: NDArray[np.floating], right: NDArray[np.bool_], edges: Array, group: NDArray[np.intp]) -> Array:
    """Count, confidence and right ones of each bin, summed over each group's units.   (N,) each -> (groups, 3, M)

    `group` counts from 0 (sentences, shards). The sums of a whole are the sums over its groups.
    """
    bins, groups = len(edges) - 1, int(group.max(initial=-1)) + 1
    cell = group * bins + np.searchsorted(edges[1:-1], confidence.astype(np.float64), side="left")
    sums = [
        np.bincount(cell, weights, groups * bins).reshape(groups, bins)
        for weights in (np.ones(len(cell)), confidence, right)
    ]
    return np.stack(sums, axis=1)


def gaps(sums: Array) -> Array:
    """|right ones − confidences| of each bin, sums.   (…, 3, M) -> (…, M)"""
    return np.asarray(np.abs(sums[..., 2, :] - sums[..., 1, :]))


def ece(sums: Array) -> Array:
    """Expected calibration error: Σ_m |B_m|/N · |accuracy − confidence|.   (…, 3, M) -> (…)"""
    return np.asarray(gaps(sums).sum(-1) / sums[..., 0, :].sum(-1))


def mce(sums: Array) -> Array:
    """Maximum calibration error: the largest |accuracy − confidence| of a bin that has units.   (…, 3, M) -> (…)"""
    return np.asarray((gaps(sums) / np.maximum(sums[..., 0, :], 1)).max(-1))


def brier(target_probability: Array, sum_squares: Array) -> Array:
    """Σ_v (p_v − [v = y])² = Σ_v p_v² − 2·p_y + 1 of each token.   (N,), (N,) -> (N,)"""
    return sum_squares - 2 * target_probability + 1


def reliability(sums: Array, edges: Array) -> dict[str, list[float | None]]:
    """A reliability diagram: each bin's units, mean confidence and accuracy, None where it is empty.   (3, M)"""
    count, confidence, right = sums
    filled = count > 0

    def share(part: Array) -> list[float | None]:
        return [float(part[m] / count[m]) if filled[m] else None for m in range(len(count))]

    return {"edges": edges.tolist(), "count": count.tolist(), "confidence": share(confidence), "accuracy": share(right)}
