"""The temperature that calibrates a model afterwards (Guo et al. 2017): T* minimises the mean −log softmax(z/T)_y.

N tokens, D the width of states, V symbols.
"""

from typing import NamedTuple

import numpy as np

from lskd_nmt.analysis.features.distribution import chunks, log_softmax, logits
from lskd_nmt.storage.arrays import Float32s, Float64s, Floats, Ids, Mask

STEPS = 50  # at most, of Newton's method
CLOSE = 1e-4  # relative change of 1/T at which the search ends
LOWEST, HIGHEST = 0.05, 20.0  # bounds of T


class Scored(NamedTuple):
    """Tokens at a temperature, and the derivatives of their mean NLL."""

    log_prob: Float64s  # (N,) log p(y)
    top_log_prob: Float64s  # (N,)
    right: Mask  # (N,)
    slope: float  # first derivative of the mean NLL by β = 1/T
    curvature: float  # second derivative


def score(state: Floats, projection: Float32s, bias: Float32s | None, target: Ids, temperature: float) -> Scored:
    """Log-probabilities at T, and the mean NLL's derivatives: E_p[z] − z_y, and the variance of z under p.   (N, D)"""
    parts, slope, curvature = [], 0.0, 0.0
    for at in chunks(len(target), len(projection)):
        z = logits(state[at], projection, bias)
        z -= z.max(-1, keepdims=True)
        rows, ids = np.arange(len(z)), np.asarray(target[at], dtype=np.intp)
        log_p = log_softmax(z / np.float32(temperature))
        parts.append((log_p[rows, ids], log_p.max(-1), log_p.argmax(-1) == ids))
        p = np.exp(log_p)
        mean = np.einsum("nv,nv->n", p, z, dtype=np.float64)
        slope += float((mean - z[rows, ids]).sum())
        p *= z
        curvature += float((np.einsum("nv,nv->n", p, z, dtype=np.float64) - mean**2).sum())
    log_prob, top, right = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Scored(
        log_prob.astype(np.float64), top.astype(np.float64), right, slope / len(target), curvature / len(target)
    )


def fit(state: Floats, projection: Float32s, bias: Float32s | None, target: Ids) -> float:
    """T*, between 0.05 and 20.   (N, D), (V, D), (V,), (N,)

    The mean NLL is convex in β = 1/T. Newton's method finds its minimum; a step that leaves the interval in which the
    minimum is known to lie is replaced by the geometric mean of its ends.
    """
    for bound, side in ((LOWEST, -1), (HIGHEST, 1)):
        if side * score(state, projection, bias, target, bound).slope >= 0:  # it would be better still beyond
            return bound
    low, high, beta = 1 / HIGHEST, 1 / LOWEST, 1.0
    for _ in range(STEPS):
        scored = score(state, projection, bias, target, 1 / beta)
        low, high = (low, beta) if scored.slope > 0 else (beta, high)
        step = beta - scored.slope / max(scored.curvature, 1e-12)
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - beta) <= CLOSE * beta:
            break
        beta = following
    return 1 / beta
