"""The same pair but for case, punctuation and digits."""

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.data.bitext import Pair
from lskd_nmt.data.filters.folding import folded

RUN = 200_000  # new keys that are sorted at a time
DIGITS = re.compile(r"\d+")


def near_key(pair: Pair) -> int:
    """A hash of 64 bits that pairs have in common which differ in case, punctuation, spaces and digits alone."""
    text = "\n".join(DIGITS.sub("0", folded(side)) for side in pair)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Seen:
    """Keys that were there before, of which memory holds 8 bytes each: sorted runs, and a few that are new."""

    def __init__(self, keys: Iterable[int] = ()) -> None:
        self.new: set[int] = set(keys)
        self.runs: list[NDArray[np.uint64]] = []

    def __contains__(self, key: int) -> bool:
        """Whether the key was added before."""
        return key in self.new or any(is_in(run, key) for run in self.runs)

    def add(self, key: int) -> None:
        """Remember a key."""
        self.new.add(key)
        if len(self.new) < RUN:
            return
        self.runs.append(np.sort(np.fromiter(self.new, np.uint64, len(self.new))))
        self.new.clear()
        while len(self.runs) > 1 and len(self.runs[-2]) <= 2 * len(self.runs[-1]):  # each is merged a few times only
            self.runs[-2:] = [np.union1d(*self.runs[-2:])]

    def copy(self) -> "Seen":
        """One that goes on by itself; the runs, which never change, are shared."""
        found = Seen(self.new)
        found.runs = list(self.runs)
        return found


def is_in(run: NDArray[np.uint64], key: int) -> bool:
    """Whether an ascending array holds a key."""
    at = int(np.searchsorted(run, np.uint64(key)))
    return at < len(run) and int(run[at]) == key
