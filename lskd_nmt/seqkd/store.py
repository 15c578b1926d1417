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

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.teacher import vocabulary
from lskd_nmt.teacher.arrays import map_array, write_array
from lskd_nmt.teacher.header import Kind, read_header, write_header
from lskd_nmt.teacher.layout import id_type
from lskd_nmt.teacher.pairs import Pair, positions

BIN = "bin"
ARRAYS = ("keys", "first", "start", "ids", "scores")
KIND = Kind(
    "hypothesis store", "hypotheses.json", (1,), finish="give a folder that lskd seqkd select wrote",
    again="select again", make="decode and select translations",
)  # fmt: skip
Ids = NDArray[Any]


class HypothesisStore:
    """A complete store, open for reading."""

    kind = KIND

    def __init__(self, folder: Path, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `open`."""
        self.folder, self.header = folder, header
        self.keys, self.first, self.start, self.ids, self.scores = (arrays[name] for name in ARRAYS)

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> "HypothesisStore":
        """Map a store; `verify` hashes every byte of it and refuses one that was cut or edited."""
        folder, header = Path(folder), read_header(folder, KIND)
        hashes = header["arrays"]
        arrays = {name: map_array(folder / f"{name}.npy", KIND, hashes[name] if verify else None) for name in ARRAYS}
        fits = all(array.ndim == 1 for array in arrays.values()) and arrays["keys"].dtype == np.uint64
        fits = fits and is_offsets(arrays["first"], len(arrays["keys"]), len(arrays["scores"]))
        fits = fits and is_offsets(arrays["start"], len(arrays["scores"]), len(arrays["ids"]))
        require(fits, f"{KIND.name} {folder}: the sizes of its arrays do not fit together: {KIND.again}")
        return cls(folder, header, arrays)

    def lookup(self, pairs: Sequence[Pair]) -> list[list[Ids]]:
        """The hypotheses of each pair, with their end symbol; a pair may have none."""
        return [[np.asarray(self.ids[self.start[h] : self.start[h + 1]], dtype=np.int64)
                 for h in range(self.first[at], self.first[at + 1])]
                for at in positions(self, pairs)]  # fmt: skip


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
        .astype(id_type(symbols)),
        "scores": np.asarray([score for _, score in found], np.float32),
    }  # fmt: skip
    hashes = {name: write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
    longest = max((len(ids) for ids, _ in found), default=0)
    write_header(folder, KIND, {"format": 1, **facts, "longest": longest, "arrays": hashes})


def offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Where each of consecutive pieces starts, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))]).astype(np.int64)


def is_offsets(array: NDArray[Any], pieces: int, total: int) -> bool:
    """Whether the array is `offsets` of so many pieces of so many things."""
    fits = len(array) == pieces + 1 and array.dtype == np.int64 and array[0] == 0 and array[-1] == total
    return bool(fits and (np.diff(array) >= 0).all())


def check(folder: str, student: Symbols) -> HypothesisStore:
    """Refuse a store that is incomplete, damaged or of another vocabulary."""
    store = HypothesisStore.open(folder)
    vocabulary.require_equal(vocabulary.header_symbols(store.header), student, folder)
    return store
