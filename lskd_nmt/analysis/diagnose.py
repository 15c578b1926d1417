"""What `lskd diagnose` writes: the tail of a teacher's distribution."""

from collections.abc import Callable, Sequence

import numpy as np

from lskd_nmt.analysis import teacher_tail
from lskd_nmt.analysis.features.folder import Described, Features, described
from lskd_nmt.analysis.teacher_tail import TailAtTemperature
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import record

TAIL = "m = 1 − Σ of the k largest p(T), evenness = exp(H(p(T) / m outside of the top k)) / (V − k); means over tokens"


@record
class TailSample:
    """The tokens that a tail was measured on."""

    tokens: int
    seed: int


@record
class TailDiagnosis:
    """The part `tail` of what `lskd diagnose` writes."""

    equation: str
    settings: TailSample
    features: Described
    symbols: int
    temperatures: dict[str, TailAtTemperature]


def diagnose(
    teacher: Features,
    temperatures: Sequence[float],
    tops: Sequence[int],
    tokens: int,
    seed: int,
    done: Callable[[int], None],
) -> TailDiagnosis:
    """The tail of a teacher for each k in `tops`, on `tokens` tokens drawn by the seed."""
    if min(tops, default=0) < 1 or min(temperatures, default=0) <= 0 or tokens < 1:
        raise LskdError("--temperatures, --top and --sample must be above 0")
    rows = np.arange(teacher.tokens)
    if tokens < teacher.tokens:
        rows = np.sort(np.random.default_rng(seed).choice(teacher.tokens, tokens, replace=False))
    found = teacher_tail.tail(teacher.state[rows], teacher.projection, teacher.bias, temperatures, sorted(tops), done)
    return TailDiagnosis(TAIL, TailSample(len(rows), seed), described(teacher), len(teacher.symbols), found)
