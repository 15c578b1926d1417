"""Shards of a teacher store: written whole and in order, read by mapping them into memory.

A shard is `NNNNN.bin`, the arrays of its layout one after the other in little-endian byte order, and `NNNNN.json` with
its counts and its hash.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lskd_nmt.errors import require, writing
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import AnyFloat, read_record, record, write_record
from lskd_nmt.teacher.layout import Columns, Layout


@record
class ShardFacts:
    """A shard's counts and hash: `NNNNN.json`, and an entry in the header of the store."""

    name: str
    sentences: int
    tokens: int
    sha256: str
    tail_mass: list[AnyFloat]  # outside of the top k, at each temperature, summed over the tokens


def map_shard(file: Path, layout: Layout, facts: ShardFacts) -> Columns:
    """The arrays of a shard whose size is as its counts say."""
    parts = layout.parts(facts.sentences, facts.tokens)
    size = sum(kind.itemsize * int(np.prod(shape)) for kind, shape in parts.values())
    have = file.stat().st_size if file.is_file() else 0
    require(have == size, f"teacher store: {file} has {have} bytes instead of {size}: write the store again")
    arrays, offset = {}, 0
    for name, (kind, shape) in parts.items():
        arrays[name] = np.memmap(file, kind, "r", offset, shape) if np.prod(shape) else np.empty(shape, kind)
        offset += kind.itemsize * int(np.prod(shape))
    return arrays


def complete_shard(folder: Path, name: str, layout: Layout) -> ShardFacts | None:
    """The facts of a shard that is there and whole, else None."""
    if not (folder / f"{name}.json").is_file():
        return None
    facts = read_record(folder / f"{name}.json", ShardFacts)
    map_shard(folder / f"{name}.bin", layout, facts)
    return facts


class ShardBuffer:
    """What a shard will hold, while it is made."""

    def __init__(self, layout: Layout) -> None:
        """Hold nothing yet; `layout` says what is kept of each token."""
        self.layout = layout
        self.keys: list[int] = []
        self.lengths: list[int] = []
        self.columns: list[Columns] = []

    def add(self, keys: Sequence[int], lengths: Sequence[int], columns: Columns) -> None:
        """The tokens of some sentence pairs, in their order."""
        self.keys += keys
        self.lengths += lengths
        self.columns.append(columns)

    def write(self, folder: Path, name: str) -> None:
        """Publish the shard; its .json comes last and makes it count."""
        of_pairs: Columns = {"keys": np.asarray(self.keys, np.uint64), "lengths": np.asarray(self.lengths, np.uint32)}
        sentences, tokens = len(self.keys), sum(self.lengths)
        file, part = folder / f"{name}.bin", folder / f"{name}.bin.part"
        with writing(file):
            try:
                with part.open("wb") as stream:
                    for array in self.layout.parts(sentences, tokens):
                        for columns in [of_pairs] if array in of_pairs else self.columns:
                            stream.write(columns[array].tobytes())
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
        tail_mass = np.sum([self.layout.tail_mass(columns) for columns in self.columns], axis=0)
        facts = ShardFacts(name, sentences, tokens, sha256(file), tail_mass.tolist())
        write_record(folder / f"{name}.json", facts)
