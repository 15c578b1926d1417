"""Whole distributions made again from states and output projection, chunk by chunk. N tokens, D wide, V symbols."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
LOGITS = 1 << 23  # held at a time: 32 MB in float32


def chunks(tokens: int, symbols: int) -> Iterator[slice]:
    """Slices of the tokens whose logits fit."""
    size = max(1, LOGITS // symbols)
    return (slice(start, min(start + size, tokens)) for start in range(0, tokens, size))


def logits(state: NDArray[np.floating], projection: Array, bias: Array | None) -> Array:
    """z = projection · state + bias, in float32.   (C, D), (V, D), (V,) -> (C, V)"""
    z: Array = np.asarray(state, dtype=np.float32) @ projection.T
    return z if bias is None else z + bias


def log_softmax(z: Array) -> Array:
    """log softmax(z).   (…, V) -> (…, V)"""
    shifted: Array = z - z.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted
