"""The teacher's signal on disk: written once, memory-mapped, one record per target token, keyed by the sentence pair.

A store is a folder with `store.json` (what it holds and of what, written last) and `shards/NNNNN.bin`. A shard is, one
after the other, for S sentence pairs of together N target tokens, k symbols and G temperatures:

    keys uint64 (S,), log_sum_exps float32 (N, G), lengths uint32 (S,), ids uint16 or uint32 (N, k), log_probs (N, k)

in little-endian byte order. Beside it `NNNNN.json` has its counts and its hash.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.losses.signals import Record
from lskd_nmt.runs import read_json, sha256, write_json
from lskd_nmt.teacher import vocabulary

FORMAT = 1
FILE = "store.json"
UINT16_SYMBOLS = 1 << 16
LOG_PROBS: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}


@dataclass(frozen=True)
class Layout:
    """How many symbols and temperatures a record has, and in what types."""

    k: int
    temperatures: tuple[float, ...]
    symbols: int
    log_probs: str = "fp16"

    def __post_init__(self) -> None:
        require(
            1 <= self.k <= self.symbols, f"--top-k is {self.k}: give 1 to {self.symbols}, the size of the vocabulary"
        )
        require(
            bool(self.temperatures), "--temperatures is empty: give those that students will train at, such as 1,2,3,64"
        )
        bad = [t for t in self.temperatures if not 0 < t < float("inf")]
        require(not bad, f"--temperatures holds {bad}: give finite numbers above 0")
        require(self.log_probs in LOG_PROBS, f"--log-probs is {self.log_probs}: one of {', '.join(LOG_PROBS)}")

    @property
    def id_type(self) -> np.dtype[Any]:
        """uint16 up to 65,536 symbols, else uint32."""
        return np.dtype(np.uint16 if self.symbols <= UINT16_SYMBOLS else np.uint32)

    @property
    def token_bytes(self) -> int:
        """Bytes of one target token's record."""
        return self.k * (self.id_type.itemsize + LOG_PROBS[self.log_probs].itemsize) + 4 * len(self.temperatures)

    def column(self, temperature: float) -> int:
        """Where a temperature stands in the grid."""
        grid = ", ".join(f"{t:g}" for t in self.temperatures)
        require(temperature in self.temperatures, f"--temperature is {temperature:g}, the teacher store has {grid}: "
                                                  "train at one of these, or write a store with it")  # fmt: skip
        return self.temperatures.index(temperature)

    def parts(self, sentences: int, tokens: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """The arrays of a shard, in the order of the file."""
        return {
            "keys": (np.dtype(np.uint64), (sentences,)),
            "log_sum_exps": (np.dtype(np.float32), (tokens, len(self.temperatures))),
            "lengths": (np.dtype(np.uint32), (sentences,)),
            "ids": (self.id_type, (tokens, self.k)),
            "log_probs": (LOG_PROBS[self.log_probs], (tokens, self.k)),
        }


def pair_key(source: NDArray[Any], target: NDArray[Any]) -> int:
    """64 bits of a hash over the symbol ids of a sentence pair, without padding, wherever it stands in a corpus."""
    return ids_key(np.concatenate([[len(source)], source, target]))


def ids_key(ids: NDArray[Any]) -> int:
    """64 bits of a hash over numbers below 2³²."""
    return int.from_bytes(hashlib.blake2b(ids.astype("<u4").tobytes(), digest_size=8).digest(), "little")


class Encoded(NamedTuple):
    """Records as they are stored."""

    ids: NDArray[Any]  # (N, k)
    log_probs: NDArray[Any]  # (N, k)
    log_sum_exps: NDArray[np.float32]  # (N, G)


def encode(record: Record, layout: Layout) -> Encoded:
    """To the types of the store."""
    return Encoded(
        record.ids.cpu().numpy().astype(layout.id_type),
        record.log_probs.float().cpu().numpy().astype(LOG_PROBS[layout.log_probs]),
        record.log_sum_exps.float().cpu().numpy(),
    )


def decode(encoded: Encoded) -> Record:
    """Back to tensors that the losses take."""
    return Record(
        torch.from_numpy(encoded.ids.astype(np.int64)),
        torch.from_numpy(encoded.log_probs.astype(np.float32)),
        torch.from_numpy(np.asarray(encoded.log_sum_exps, dtype=np.float32)),
    )


class Shard(NamedTuple):
    """One shard's arrays, memory-mapped."""

    keys: NDArray[np.uint64]
    log_sum_exps: NDArray[np.float32]
    lengths: NDArray[np.uint32]
    ids: NDArray[Any]
    log_probs: NDArray[Any]


def map_shard(file: Path, layout: Layout, sentences: int, tokens: int) -> Shard:
    """The arrays of a shard whose size is as its counts say."""
    parts = layout.parts(sentences, tokens)
    size = sum(kind.itemsize * int(np.prod(shape)) for kind, shape in parts.values())
    have = file.stat().st_size if file.is_file() else 0
    require(have == size, f"teacher store: {file} has {have} bytes instead of {size}: write the store again")
    arrays, offset = [], 0
    for kind, shape in parts.values():
        arrays.append(np.memmap(file, kind, "r", offset, shape) if np.prod(shape) else np.empty(shape, kind))
        offset += kind.itemsize * int(np.prod(shape))
    return Shard(*arrays)


def digest(header: Mapping[str, Any]) -> str:
    """A hash over everything else in `store.json`."""
    rest = {key: value for key, value in header.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class TeacherStore:
    """A complete store, open for reading."""

    def __init__(self, folder: Path, header: dict[str, Any], layout: Layout, shards: list[Shard]) -> None:
        """See `open`."""
        self.folder, self.header, self.layout, self.shards = folder, header, layout, shards
        starts = [np.concatenate([[0], np.cumsum(shard.lengths[:-1], dtype=np.int64)])[: len(shard.lengths)]
                  for shard in shards]  # fmt: skip
        keys = np.concatenate([shard.keys for shard in shards])
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.shard_of = np.concatenate([np.full(len(s.keys), i) for i, s in enumerate(shards)])[order]
        self.start_of = np.concatenate(starts)[order]
        self.length_of = np.concatenate([shard.lengths for shard in shards]).astype(np.int64)[order]

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> "TeacherStore":
        """Map a store; `verify` hashes every byte of it and refuses one that was cut or edited."""
        folder = Path(folder)
        require((folder / FILE).is_file(), f"teacher store {folder} has no {FILE}: give a folder that lskd "
                                           "teacher-store finished, or run it again to finish this one")  # fmt: skip
        header = read_json(folder / FILE)
        require(header.get("format") == FORMAT, f"teacher store {folder} has format {header.get('format')}, this "
                                                f"version reads {FORMAT}: write the store again")  # fmt: skip
        require(
            header.get("digest") == digest(header), f"teacher store {folder}: {FILE} was edited: write the store again"
        )
        layout = layout_of(header["layout"])
        shards = []
        for facts in header["shards"]:
            file = folder / "shards" / f"{facts['name']}.bin"
            shards.append(map_shard(file, layout, facts["sentences"], facts["tokens"]))
            require(not verify or sha256(file) == facts["sha256"],
                    f"teacher store: {file} was edited or damaged: write the store again")  # fmt: skip
        return cls(folder, header, layout, shards)

    def positions(self, keys: Sequence[int]) -> NDArray[np.int64]:
        """Where each key stands among the store's, or -1."""
        wanted = np.asarray(keys, dtype=np.uint64)
        found = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where(self.keys[found] == wanted, found, -1)

    def lookup(self, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]], prefix: int = 0) -> Record:
        """The records of a batch, sentence after sentence, each without its first `prefix` tokens.

        `pairs` are (source ids, target ids) without padding; `LskdError` names the first pair that is not there.
        """
        parts: list[Encoded] = []
        positions = self.positions([pair_key(*pair) for pair in pairs])
        for (source, target), at in zip(pairs, positions, strict=True):
            if at < 0 or self.length_of[at] != len(target):
                raise LskdError(missing("teacher store", self.folder, self.header["symbols"], source, target))
            shard, start = self.shards[self.shard_of[at]], self.start_of[at]
            rows = slice(start + prefix, start + len(target))
            parts.append(Encoded(shard.ids[rows], shard.log_probs[rows], shard.log_sum_exps[rows]))
        if not parts:
            k, grid = self.layout.k, len(self.layout.temperatures)
            return Record(torch.zeros(0, k, dtype=torch.long), torch.zeros(0, k), torch.zeros(0, grid))
        return decode(Encoded(*(np.concatenate(column) for column in zip(*parts, strict=True))))


def missing(
    what: str, folder: Path, symbols: Mapping[str, Sequence[str]], source: NDArray[Any], target: NDArray[Any]
) -> str:
    """What is wrong with a pair that the store does not have, in its words."""
    advice = "write a store" if what == "teacher store" else "decode and select translations"
    left, right = (" ".join(symbols[side][i] for i in ids) for side, ids in (("source", source), ("target", target)))
    return (f"{what} {folder} lacks the sentence pair '{left}' / '{right}': "
            f"{advice} of the data that you train and validate on")  # fmt: skip


def check(folder: str, student: Symbols, temperature: float) -> "TeacherStore":
    """Refuse a store that is incomplete, damaged, of another vocabulary or without the temperature."""
    store = TeacherStore.open(folder)
    theirs = store.header["symbols"]
    vocabulary.require_equal(Symbols(theirs["source"], theirs["target"], tuple(theirs["langs"])), student, folder)
    store.layout.column(temperature)
    return store


def layout_of(content: Mapping[str, Any]) -> Layout:
    """The layout as `store.json` has it."""
    return Layout(**{**content, "temperatures": tuple(content["temperatures"])})


def layout_content(layout: Layout) -> dict[str, Any]:
    """The layout for `store.json`."""
    return {**asdict(layout), "temperatures": list(layout.temperatures)}


class ShardBuffer:
    """The records of one shard while they are made."""

    def __init__(self, layout: Layout) -> None:
        """Empty."""
        self.layout = layout
        self.keys: list[int] = []
        self.lengths: list[int] = []
        self.records: list[Encoded] = []
        self.tail_mass = np.zeros(len(layout.temperatures))

    def add(self, keys: Sequence[int], lengths: Sequence[int], record: Record) -> None:
        """The records of some sentence pairs, in their order."""
        encoded = encode(record, self.layout)
        self.keys += keys
        self.lengths += lengths
        self.records.append(encoded)
        for column, temperature in enumerate(self.layout.temperatures):
            sums = encoded.log_sum_exps[:, column : column + 1]
            kept = np.exp(encoded.log_probs.astype(np.float64) / temperature - sums).sum(-1)
            self.tail_mass[column] += np.clip(1 - kept, 0, None).sum()

    def write(self, folder: Path, name: str) -> None:
        """Publish the shard; its .json comes last and makes it count."""
        ids, log_probs, log_sum_exps = (np.concatenate(column) for column in zip(*self.records, strict=True))
        keys, lengths = np.asarray(self.keys, np.uint64), np.asarray(self.lengths, np.uint32)
        arrays = Shard(keys, log_sum_exps, lengths, ids, log_probs)
        folder.mkdir(parents=True, exist_ok=True)
        file, part = folder / f"{name}.bin", folder / f"{name}.bin.part"
        try:
            with part.open("wb") as stream:
                for array in arrays:
                    stream.write(np.ascontiguousarray(array).tobytes())
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        facts = {"name": name, "sentences": len(keys), "tokens": len(ids), "sha256": sha256(file),
                 "tail_mass": self.tail_mass.tolist()}  # fmt: skip
        write_json(folder / f"{name}.json", facts)


def finish(
    folder: Path, layout: Layout, facts: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write `store.json`, which makes the store complete; the mean mass outside the top k is in it."""
    tokens = sum(shard["tokens"] for shard in shards)
    means = np.sum([shard["tail_mass"] for shard in shards], axis=0) / max(tokens, 1)
    header = {
        "format": FORMAT,
        "layout": layout_content(layout),
        "sentences": sum(shard["sentences"] for shard in shards),
        "tokens": tokens,
        "tail_mass": {f"{t:g}": round(float(mean), 6) for t, mean in zip(layout.temperatures, means, strict=True)},
        **facts,
        "shards": list(shards),
    }
    header["digest"] = digest(header)
    write_json(folder / FILE, header)
    return header
