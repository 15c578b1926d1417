"""Sentence pairs: their keys, where they stand in a store, and the data whose pairs a store must have."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.runs import sha256
from lskd_nmt.teacher.header import Kind

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


def data_hashes(data: str, langs: tuple[str, str], splits: Sequence[str]) -> dict[str, list[str]]:
    """Hashes of the binarised text of each split, source then target, over all data folders that have it.

    The first has to have it: where nothing was hashed, two hashes would always agree.
    """
    result: dict[str, list[str]] = {}
    for split in splits:
        folders = data.split(":")
        found = [fairseq_io.split_files(folder, langs, split) for folder in folders]
        require(
            found[0] is not None,
            f"data folder {folders[0]} has no '{split}' of {langs[0]}-{langs[1]}: "
            "name what it has with --split or --splits",
        )
        result[split] = [sha256(file) for files in found if files is not None for file in files if file.is_file()]
    return result


def require_pairs(store: Keyed, data: str, langs: tuple[str, str], splits: Sequence[str]) -> None:
    """Refuse data with a sentence pair that the store lacks; data that it was made of are known by their hashes.

    A header without hashes proves nothing: its store is asked for each pair.
    """
    hashes = data_hashes(data, langs, splits)
    for split in splits:
        if hashes[split] and hashes[split] == store.header["data"].get(split):
            continue
        for dataset in fairseq_io.translation_data(data, langs, split):
            for item in map(dataset.__getitem__, range(len(dataset))):
                positions(store, [(item["source"].numpy(), item["target"].numpy())])
