"""Chosen hypotheses on disk: written once, memory-mapped, keyed by the sentence pair as the teacher store is.

A store is a folder with `hypotheses.json` (what it holds and of what), `bin/` (the same as an ordinary corpus) and five
arrays, for S distinct sentence pairs with together H hypotheses of N target symbols, each with its end symbol:

    keys uint64 (S,) ascending, first int64 (S + 1,) into the hypotheses, start int64 (H + 1,) into the symbols,
    ids uint16 or uint32 (N,), scores float32 (H,)

A pair may have no hypothesis: the filters left none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.runs import read_json, sha256, write_json
from lskd_nmt.teacher import vocabulary
from lskd_nmt.teacher.store import UINT16_SYMBOLS, digest, missing, pair_key
from lskd_nmt.teacher.writer import data_hashes

FORMAT = 1
FILE = "hypotheses.json"
BIN = "bin"
ARRAYS = ("keys", "first", "start", "ids", "scores")
Ids = NDArray[Any]


class HypothesisStore:
    """A complete store, open for reading."""

    def __init__(self, folder: Path, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `open`."""
        self.folder, self.header = folder, header
        self.keys, self.first, self.start, self.ids, self.scores = (arrays[name] for name in ARRAYS)

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> "HypothesisStore":
        """Map a store; `verify` hashes every byte of it and refuses one that was cut or edited."""
        folder = Path(folder)
        require((folder / FILE).is_file(), f"hypothesis store {folder} has no {FILE}: give a folder that lskd seqkd "
                                           "select wrote")  # fmt: skip
        header = read_json(folder / FILE)
        require(header.get("format") == FORMAT, f"hypothesis store {folder} has format {header.get('format')}, this "
                                                f"version reads {FORMAT}: select again")  # fmt: skip
        require(header.get("digest") == digest(header),
                f"hypothesis store {folder}: {FILE} was edited: select again")  # fmt: skip
        arrays = {}
        for name in ARRAYS:
            file = folder / f"{name}.npy"
            is_whole = file.is_file() and (not verify or sha256(file) == header["arrays"][name])
            require(is_whole, f"hypothesis store: {file} was edited, damaged or removed: select again")
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
        return cls(folder, header, arrays)

    def positions(self, pairs: Sequence[tuple[Ids, Ids]]) -> NDArray[np.int64]:
        """Where each (source ids, reference ids) pair stands; `LskdError` names the first that is not there."""
        wanted = np.asarray([pair_key(*pair) for pair in pairs], dtype=np.uint64)
        found = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        for lacking in np.flatnonzero(self.keys[found] != wanted)[:1]:
            raise LskdError(missing("hypothesis store", self.folder, self.header["symbols"], *pairs[lacking]))
        return found

    def lookup(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[Ids]]:
        """The hypotheses of each pair, with their end symbol; a pair may have none."""
        return [[np.asarray(self.ids[self.start[h] : self.start[h + 1]], dtype=np.int64)
                 for h in range(self.first[at], self.first[at + 1])]
                for at in self.positions(pairs)]  # fmt: skip


def write(folder: Path, hypotheses: Mapping[int, Sequence[tuple[Ids, float]]], facts: Mapping[str, Any]) -> None:
    """Fill `folder` with a store; `hypotheses` are ids and scores by the key of their pair."""
    keys = sorted(hypotheses)
    found = [entry for key in keys for entry in hypotheses[key]]
    symbols = len(facts["symbols"]["target"])
    arrays = {
        "keys": np.asarray(keys, np.uint64),
        "first": offsets([len(hypotheses[key]) for key in keys]),
        "start": offsets([len(ids) for ids, _ in found]),
        "ids": np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in found)])
        .astype(np.uint16 if symbols <= UINT16_SYMBOLS else np.uint32),
        "scores": np.asarray([score for _, score in found], np.float32),
    }  # fmt: skip
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as stream:  # of a full disk np.save does not say what it is
            np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
            stream.write(array.tobytes())
    hashes = {name: sha256(folder / f"{name}.npy") for name in ARRAYS}
    longest = max((len(ids) for ids, _ in found), default=0)
    header = {"format": FORMAT, **facts, "longest": longest, "arrays": hashes}
    write_json(folder / FILE, {**header, "digest": digest(header)})


def offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Where each of consecutive pieces starts, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))]).astype(np.int64)


def check(folder: str, student: Symbols) -> HypothesisStore:
    """Refuse a store that is incomplete, damaged or of another vocabulary."""
    store = HypothesisStore.open(folder)
    theirs = store.header["symbols"]
    vocabulary.require_equal(Symbols(theirs["source"], theirs["target"], tuple(theirs["langs"])), student, folder)
    return store


def require_pairs(store: HypothesisStore, data: str, langs: tuple[str, str], split: str) -> None:
    """Refuse data with a sentence pair that the store lacks; data that it was made of are known by their hashes."""
    if data_hashes(data, langs, (split,)).get(split) == store.header["data"].get(split):
        return
    for dataset in fairseq_io.translation_data(data, langs, split):
        for item in map(dataset.__getitem__, range(len(dataset))):
            store.positions([(item["source"].numpy(), item["target"].numpy())])
