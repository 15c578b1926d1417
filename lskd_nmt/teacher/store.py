"""The teacher's signal on disk: written once, memory-mapped, one record per target token, keyed by the sentence pair.

A store is a folder with `store.json` (what it holds and of what, written last) and `shards/`. One of features also has
each teacher's output projection, `projections/N.weight.npy` (V, D) and, if there is a bias, `N.bias.npy` (V,).
"""

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

import numpy as np
import torch

from lskd_nmt.errors import LskdError, reading, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.storage.arrays import AnyArray, map_array
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Kind, Origin, StoredSymbols, read_header
from lskd_nmt.storage.pair_keys import Pair, missing, positions
from lskd_nmt.storage.typed import absent, record
from lskd_nmt.teacher import vocabulary
from lskd_nmt.teacher.layout import Columns, FeatureLayout, Layout, TopKLayout, layout_of
from lskd_nmt.teacher.shards import ShardFacts, map_shard

KIND = Kind(
    "teacher store",
    "store.json",
    (TopKLayout.format, FeatureLayout.format),
    finish="give a folder that lskd teacher-store finished, or run it again to finish this one",
    again="write the store again",
    make="write a store",
)
PROJECTIONS = "projections"


@record
class LeftOut:
    """The pairs that the teacher could not take, as they are longer than its positions (source, target)."""

    pairs: int
    positions: list[int]


@record
class StoreHeader:
    """`store.json`: what a teacher store holds, and of what."""

    format: int
    layout: dict[str, object]  # see `layout_of`
    sentences: int
    tokens: int  # target tokens, with the ends of sentences
    tail_mass: dict[str, float]  # the mean mass outside of the top k, by temperature; empty for features
    teacher: list[Origin]
    symbols: StoredSymbols
    data: dict[str, list[str]]  # the hashes of each split's binarised files; empty of stores of before
    left_out: LeftOut | None = absent()
    projections: list[dict[str, str]] | None = absent()  # of features: each model's files and their hashes
    shards: list[ShardFacts] = field(default_factory=list)
    digest: str | None = absent()


class TeacherStore:
    """A complete store, open for reading."""

    kind = KIND

    def __init__(
        self, folder: Path, header: StoreHeader, layout: Layout, shards: list[Columns], projections: list[Projection]
    ) -> None:
        """See `open`."""
        self.folder, self.header, self.shards, self.projections = folder, header, shards, projections
        self.layout = layout
        lengths = [shard["lengths"].astype(np.int64) for shard in shards]
        keys = np.concatenate([shard["keys"] for shard in shards])
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.shard_of = np.concatenate([np.full(len(each), i) for i, each in enumerate(lengths)])[order]
        self.start_of = np.concatenate([np.cumsum(each) - each for each in lengths])[order]
        self.length_of = np.concatenate(lengths)[order]

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> "TeacherStore":
        """Map a store; `verify` hashes every byte of it and refuses one that was cut or edited."""
        folder, header = Path(folder), read_header(folder, KIND, StoreHeader)
        layout = layout_of(header.format, header.layout, folder / KIND.file)
        shards = []
        for facts in header.shards:
            file = folder / "shards" / f"{facts.name}.bin"
            shards.append(map_shard(file, layout, facts))
            require(
                not verify or sha256(file) == facts.sha256,
                f"teacher store: {file} was edited or damaged: write the store again",
            )
            require(
                int(shards[-1]["lengths"].sum()) == facts.tokens,
                f"teacher store: {file} has other lengths than its {facts.tokens} tokens: write the store again",
            )
        require(bool(shards), f"{KIND.name} {folder} has no shards: {KIND.again}")
        return cls(folder, header, layout, shards, read_projections(folder, header, verify))

    def lookup(self, pairs: Sequence[Pair], prefix: int = 0) -> Columns:
        """What is stored of a batch's tokens, sentence after sentence, each without its first `prefix` tokens.

        `pairs` are (source ids, target ids) without padding; `LskdError` names the first pair that is not there.
        """
        columns = [name for name in self.layout.parts(0, 0) if name not in ("keys", "lengths")]
        found: dict[str, list[AnyArray]] = {name: [self.shards[0][name][:0]] for name in columns}
        for pair, at in zip(pairs, positions(self, pairs), strict=True):
            if self.length_of[at] != len(pair[1]):
                raise LskdError(missing(self, *pair))
            start = self.start_of[at]
            for name in columns:
                found[name].append(self.shards[self.shard_of[at]][name][start + prefix : start + len(pair[1])])
        return {name: np.concatenate(each) for name, each in found.items()}


def read_projections(folder: Path, header: StoreHeader, verify: bool) -> list[Projection]:
    """The output projections that the header lists, in float32; none for a top k."""
    found = []
    for number, hashes in enumerate(header.projections or []):
        arrays = {
            name: map_array(folder / PROJECTIONS / f"{number}.{name}.npy", KIND, digest if verify else None)
            for name, digest in hashes.items()
        }
        with reading(folder / KIND.file, KIND.name, KIND.again):
            found.append(Projection(**{name: torch.tensor(array) for name, array in arrays.items()}))
    return found


def check(folder: str, student: DictionaryPair, temperature: float) -> TeacherStore:
    """Refuse a store that is incomplete, damaged, of another vocabulary or without the temperature."""
    store = TeacherStore.open(folder)
    vocabulary.require_equal(vocabulary.header_symbols(store.header.symbols), student, folder)
    if isinstance(store.layout, TopKLayout):
        store.layout.column(temperature)
    return store
