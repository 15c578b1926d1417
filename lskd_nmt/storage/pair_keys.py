"""Sentence pairs: their keys, where they stand in a store, and the data whose pairs a store must have."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import LskdError
from lskd_nmt.storage.header import Kind

Pair = tuple[NDArray[Any], NDArray[Any]]  # source and target ids without padding


class Keyed(Protocol):
    """A store that finds its content by the keys of sentence pairs."""

    kind: Kind
    folder: Path
    header: dict[str, Any]
    keys: NDArray[np.uint64]  # ascending


def pair_key(source: NDArray[Any], target: NDArray[Any]) -> int:
    """64 bits of a hash over the symbol ids of a sentence pair, without padding, wherever it stands in a corpus."""
    return ids_key(np.concatenate([[len(source)], source, target]))


def ids_key(ids: NDArray[Any]) -> int:
    """64 bits of a hash over numbers below 2³²."""
    return int.from_bytes(hashlib.blake2b(ids.astype("<u4").tobytes(), digest_size=8).digest(), "little")


def positions(store: Keyed, pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Where the key of each pair stands among the store's; `LskdError` names the first pair that is not there."""
    wanted = np.asarray([pair_key(*pair) for pair in pairs], dtype=np.uint64)
    if not len(store.keys) and pairs:
        raise LskdError(missing(store, *pairs[0]))
    found = np.searchsorted(store.keys, wanted).clip(max=len(store.keys) - 1)
    for lacking in np.flatnonzero(store.keys[found] != wanted)[:1]:
        raise LskdError(missing(store, *pairs[lacking]))
    return found


def missing(store: Keyed, source: NDArray[Any], target: NDArray[Any]) -> str:
    """What is wrong with a pair that the store does not have, in its words."""
    symbols = store.header["symbols"]
    left, right = (" ".join(symbols[side][i] for i in ids) for side, ids in (("source", source), ("target", target)))
    return (
        f"{store.kind.name} {store.folder} lacks the sentence pair '{left}' / '{right}': "
        f"{store.kind.make} of the data that you train and validate on"
    )
