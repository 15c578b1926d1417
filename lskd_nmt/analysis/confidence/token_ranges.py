"""Tokens by ranges of a number: how often their symbol is in train, or their place in the sentence."""

from collections.abc import Sequence

import numpy as np

from lskd_nmt.storage.arrays import Ids, Rows

FREQUENCY = (0, 10, 100, 1_000, 10_000, 100_000, 1_000_000)  # a range begins at each
POSITION = (0, 1, 2, 4, 8, 16, 32, 64)


def range_of(values: Ids, begins: Sequence[int]) -> Rows:
    """The number of the range that each value lies in.   (N,) -> (N,)"""
    return np.searchsorted(begins, values, side="right") - 1


def names(begins: Sequence[int]) -> list[str]:
    """The ranges in words: `0`, `2-3`, …, `64+`."""
    ends = [following - 1 for following in begins[1:]]
    closed = [str(first) if first == last else f"{first}-{last}" for first, last in zip(begins, ends, strict=False)]
    return [*closed, f"{begins[-1]}+"]
