"""What a teacher is asked about: the data's sentence pairs, once each, in an order that makes good batches."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypedDict, overload

import numpy as np
from torch import Tensor

from lskd_nmt.errors import LskdError
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.pair_keys import pair_key

AT_A_TIME = 8192  # pairs that are Python objects


class Dictionary(Protocol):
    """What is asked of fairseq's dictionaries: symbols by their ids, and ids by their symbols."""

    symbols: list[str]
    pad_word: str
    unk_word: str

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> str: ...
    def index(self, symbol: str) -> int:
        """The id of a symbol, or that of unknown ones."""

    def pad(self) -> int:
        """The id of padding."""

    def eos(self) -> int:
        """The id of a sentence's end."""

    def unk(self) -> int:
        """The id that stands for symbols which the dictionary lacks."""


class PairItem(TypedDict):
    """A sentence pair as ids with their end symbols."""

    source: Tensor  # (S,)
    target: Tensor  # (T,)


class PairDataset(Protocol):
    """What is asked of fairseq's data sets of sentence pairs."""

    src_dict: Dictionary
    tgt_dict: Dictionary
    src_sizes: Ids  # symbols of each source sentence, with its end
    tgt_sizes: Ids

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> PairItem: ...


@dataclass(frozen=True)
class Entry:
    """A distinct sentence pair and where its data are."""

    key: int
    dataset: int
    index: int
    source_tokens: int
    target_tokens: int


class Entries(Sequence[Entry]):
    """Distinct pairs as columns of numbers: 28 bytes each, where a list of `Entry` takes some hundred."""

    def __init__(self, columns: Sequence[Ids]) -> None:
        """`columns` are those of an `Entry`."""
        self.columns = columns

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.columns[0])

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        """One pair, or several."""
        if isinstance(at, slice):
            return [Entry(*each) for each in zip(*(column[at].tolist() for column in self.columns), strict=True)]
        return Entry(*(int(column[at]) for column in self.columns))

    def __iter__(self) -> Iterator[Entry]:
        """All, some thousand at a time."""
        for start in range(0, len(self), AT_A_TIME):
            yield from self[start : start + AT_A_TIME]


def distinct_pairs(datasets: Sequence[PairDataset], limits: tuple[int, int]) -> tuple[Entries, int]:
    """All pairs once, short ones first, and how many were left out because the teacher cannot take their length."""
    found = [array(kind) for kind in "Qiqii"]  # of keys, datasets, places there, symbols of source and target
    too_long = 0
    for number, dataset in enumerate(datasets):
        for index in range(len(dataset)):
            item = dataset[index]
            source, target = item["source"].numpy(), item["target"].numpy()
            if len(source) > limits[0] or len(target) > limits[1]:
                too_long += 1
                continue
            require_no_padding(dataset, index, source, target)
            numbers = pair_key(source, target), number, index, len(source), len(target)
            for column, value in zip(found, numbers, strict=True):
                column.append(value)
    columns = [np.asarray(column) for column in found]
    _, first = np.unique(columns[0], return_index=True)  # where each key is first
    keys, _, _, sources, targets = (column[first] for column in columns)
    order = first[np.lexsort((keys, sources, targets))]
    return Entries([column[order] for column in columns]), too_long


def require_no_padding(dataset: PairDataset, index: int, source: Ids, target: Ids) -> None:
    """Refuse a pair with the symbol of padding where a batch could not be told from one without it.

    A target position of this symbol has no loss and no signal; before a source it is taken for padding.
    """
    if source[0] != dataset.src_dict.pad() and not (target == dataset.tgt_dict.pad()).any():
        return
    where = "at the beginning of its source or in its target, where a teacher store cannot tell it from padding"
    what = f"pair {index} (from 0) of the data has the symbol of padding, {dataset.tgt_dict.pad_word}, {where}"
    raise LskdError(f"{what}: take the word out of the text, or use --teacher-path")


def batches(pairs: Sequence[Entry], max_tokens: int) -> Iterator[list[Entry]]:
    """Neighbours, as many as the token budget allows; at least one."""
    batch: list[Entry] = []
    longest = 0
    for pair in pairs:
        longest = max(longest, pair.source_tokens, pair.target_tokens)
        if batch and longest * (len(batch) + 1) > max_tokens:
            yield batch
            batch, longest = [], max(pair.source_tokens, pair.target_tokens)
        batch.append(pair)
    if batch:
        yield batch


def shard_slices(pairs: Sequence[Entry], size: int) -> Iterator[list[Entry]]:
    """The pairs in consecutive parts of `size` pairs, the last of which may be shorter."""
    rest = iter(pairs)
    while chunk := list(islice(rest, size)):
        yield chunk
