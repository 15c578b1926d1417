"""Whole distributions, made again from states and output projection chunk by chunk. N tokens, D wide, V symbols."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lskd_nmt.storage.arrays import Float32s, Float64s, Floats
from lskd_nmt.storage.typed import record

LOGITS = 1 << 23  # held at a time: 32 MB in float32
HISTOGRAM = 40  # bins of the entropy


@record
class Histogram:
    """How many tokens lie in each bin."""

    edges: list[float]
    count: list[int]


class Model(NamedTuple):
    """What makes the distributions of N tokens."""

    state: Floats  # (N, D)
    projection: Float32s  # (V, D)
    bias: Float32s | None  # (V,)


def chunks(tokens: int, symbols: int) -> Iterator[slice]:
    """Slices of the tokens whose logits fit."""
    size = max(1, LOGITS // symbols)
    return (slice(start, min(start + size, tokens)) for start in range(0, tokens, size))


def logits(state: Floats, projection: Float32s, bias: Float32s | None) -> Float32s:
    """z = projection · state + bias, in float32.   (C, D), (V, D), (V,) -> (C, V)"""
    z: Float32s = np.asarray(state, dtype=np.float32) @ projection.T
    return z if bias is None else z + bias


def log_softmax(z: Float32s) -> Float32s:
    """log softmax(z).   (…, V) -> (…, V)"""
    shifted: Float32s = z - z.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted


def kl(p: Model, q: Model) -> Float64s:
    """KL(p ‖ q) = Σ_v p_v · (log p_v − log q_v) of each token, nats.   (N, D) and (N, D′) -> (N,)"""
    parts = []
    for at in chunks(len(p.state), len(p.projection)):
        log_p, log_q = (log_softmax(logits(each.state[at], each.projection, each.bias)) for each in (p, q))
        parts.append(np.einsum("nv,nv->n", np.exp(log_p), log_p - log_q, dtype=np.float64))
    return np.concatenate(parts)


def entropy_histogram(entropy: Floats, symbols: int) -> Histogram:
    """How many tokens have how much entropy, up to log V nats.   (N,)"""
    highest = float(np.log(symbols))
    count, edges = np.histogram(np.clip(entropy, 0, highest), bins=HISTOGRAM, range=(0, highest))
    return Histogram(edges.tolist(), count.tolist())
