"""A teacher before it is distilled: how much of its probability lies outside of its top k.

N tokens, n of a chunk, D the width of states, V symbols.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lskd_nmt.analysis.features.distribution import logits
from lskd_nmt.storage.arrays import Float32s, Float64s, Floats
from lskd_nmt.storage.typed import record

CHUNK = 256  # tokens at a time, which bounds the memory


@record
class Tail:
    """What lies outside of the top k, as means over tokens, see `tail_of`."""

    mass: float
    evenness: float


@record
class TailAtTemperature:
    """A teacher at one temperature: its mean entropy in nats, and its tail for each k, as text."""

    entropy: float
    tail: dict[str, Tail]


def tail(
    state: Floats,
    projection: Float32s,
    bias: Float32s | None,
    temperatures: Sequence[float],
    tops: Sequence[int],
    done: Callable[[int], None] = lambda tokens: None,
) -> dict[str, TailAtTemperature]:
    """For each temperature, as text: mean entropy, and of each k the tail's mean mass and evenness.

    Of (N, D), (V, D) and (V,). `done` is told how many tokens more are done.
    """
    sums = np.zeros((len(temperatures), 1 + 2 * len(tops)))
    for start in range(0, len(state), CHUNK):
        chunk = state[start : start + CHUNK]
        ordered = arranged(logits(chunk, projection, bias).astype(np.float64), max(tops))
        for place, temperature in enumerate(temperatures):
            sums[place] += np.column_stack(tail_of(ordered / temperature, tops)).sum(0)
        done(len(chunk))
    means = sums / len(state)
    return {
        f"{temperature:g}": TailAtTemperature(
            float(row[0]),
            {
                str(k): Tail(float(mass), float(evenness))
                for k, mass, evenness in zip(tops, row[1::2], row[2::2], strict=True)
            },
        )
        for temperature, row in zip(temperatures, means, strict=True)
    }


def arranged(logits: Float64s, most: int) -> Float64s:
    """Logits with the `most` largest of each token at the end, ascending.   (n, V) -> (n, V)"""
    head = logits.shape[1] - min(most, logits.shape[1])
    ordered = np.partition(logits, min(head, logits.shape[1] - 1), axis=1)
    ordered[:, head:].sort(axis=1)
    return ordered


def tail_of(arranged: Float64s, tops: Sequence[int]) -> list[Float64s]:
    """Entropy, and for each k the mass m outside of the top k and its evenness exp(H(p / m)) / (V − k).   (n, V)

    Evenness is 1 where all symbols outside are equally probable; where none is outside, both are 0. The tail is summed
    by itself, not as a difference from 1, so that small masses keep their digits.
    """
    size = arranged.shape[1]
    most = min(max(tops), size)
    logs = arranged - arranged[:, -1:]
    weights = np.exp(logs)
    products = weights * logs
    # outside of the top `most`, `most` − 1, …, 0
    masses, sums = (
        np.cumsum(np.column_stack((each[:, : size - most].sum(1), each[:, size - most :])), axis=1)
        for each in (weights, products)
    )
    total = masses[:, -1]
    found = [np.log(total) - sums[:, -1] / total]
    for k in tops:
        m, s = (each[:, max(most - k, 0)] for each in (masses, sums))
        some = (m > 0) & (k < size)
        safe = np.where(some, m, 1.0)
        found += [
            np.where(some, m / total, 0.0),
            np.where(some, np.exp(np.log(safe) - s / safe) / max(size - k, 1), 0.0),
        ]
    return found
