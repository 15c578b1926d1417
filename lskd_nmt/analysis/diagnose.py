"""What `lskd diagnose` writes: the tail of a teacher's distribution."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lskd_nmt.analysis import teacher_tail
from lskd_nmt.analysis.features.folder import Features, described
from lskd_nmt.errors import LskdError

TAIL = "m = 1 − Σ of the k largest p(T), evenness = exp(H(p(T) / m outside of the top k)) / (V − k); means over tokens"


def diagnose(
    teacher: Features,
    temperatures: Sequence[float],
    tops: Sequence[int],
    tokens: int,
    seed: int,
    done: Callable[[int], None],
) -> dict[str, Any]:
    """The tail of a teacher, on `tokens` tokens drawn by the seed."""
    if min(tops, default=0) < 1 or min(temperatures, default=0) <= 0 or tokens < 1:
        raise LskdError("--temperatures, --top and --sample must be above 0")
    rows = np.arange(teacher.tokens)
    if tokens < teacher.tokens:
        rows = np.sort(np.random.default_rng(seed).choice(teacher.tokens, tokens, replace=False))
    found = teacher_tail.tail(teacher.state[rows], teacher.projection, teacher.bias, temperatures, sorted(tops), done)
    return {
        "equation": TAIL,
        "settings": {"tokens": len(rows), "seed": seed},
        "features": described(teacher),
        "symbols": len(teacher.symbols),
        "temperatures": found,
    }
