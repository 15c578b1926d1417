"""Sentence pairs: their keys, where they stand in a store, and the data whose pairs a store must have."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import LskdError
from lskd_nmt.storage.arrays import Ids, Rows
from lskd_nmt.storage.header import Kind, StoredSymbols

Pair = tuple[Ids, Ids]  # source and target ids with their end symbols, without padding


class KeyedHeader(Protocol):
    """What the header of a store by pairs says of the data that it was made of."""

    @property
    def symbols(self) -> StoredSymbols:
        """The dictionaries."""

    @property
    def data(self) -> dict[str, list[str]]:
        """The hashes of each split's binarised files."""


class Keyed(Protocol):
    """A store that finds its content by the keys of sentence pairs."""

    kind: Kind
    folder: Path
    keys: NDArray[np.uint64]  # ascending

    @property
    def header(self) -> KeyedHeader:
        """What the store says of itself."""


def pair_key(source: Ids, target: Ids) -> int:
    """64 bits of a hash over the symbol ids of a sentence pair, without padding, wherever it stands in a corpus."""
    return ids_key(np.concatenate([[len(source)], source, target]))


def ids_key(ids: Ids) -> int:
    """64 bits of a hash over numbers below 2³²."""
    return int.from_bytes(hashlib.blake2b(ids.astype("<u4").tobytes(), digest_size=8).digest(), "little")


def positions(store: Keyed, pairs: Sequence[Pair]) -> Rows:
    """Where the key of each pair stands among the store's; `LskdError` names the first pair that is not there."""
    wanted = np.asarray([pair_key(*pair) for pair in pairs], dtype=np.uint64)
    if not len(store.keys) and pairs:
        raise LskdError(missing(store, *pairs[0]))
    found = np.searchsorted(store.keys, wanted).clip(max=len(store.keys) - 1)
    for lacking in np.flatnonzero(store.keys[found] != wanted)[:1]:
        raise LskdError(missing(store, *pairs[lacking]))
    return found


def missing(store: Keyed, source: Ids, target: Ids) -> str:
    """What is wrong with a pair that the store does not have, in its words."""
    symbols = store.header.symbols
    left, right = (" ".join(side[i] for i in ids) for side, ids in ((symbols.source, source), (symbols.target, target)))
    return (
        f"{store.kind.name} {store.folder} lacks the sentence pair '{left}' / '{right}': "
        f"{store.kind.make} of the data that you train and validate on"
    )
