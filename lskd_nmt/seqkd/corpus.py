"""The sentence pairs of a split, in their order, as ids and as subwords; read from disk when they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.pair_keys import ids_key
from lskd_nmt.teacher.batches import PairDataset, PairItem


class SentencePair(NamedTuple):
    """A pair as ids with their end symbols, and as subwords without."""

    source_ids: Ids
    target_ids: Ids
    source: list[str]
    reference: str


T = TypeVar("T")


def corpus_pairs(data: str, langs: tuple[str, str], split: str) -> Iterator[SentencePair]:
    """A split's pairs in their order, over all data folders (`data` names one or more, with ":" between)."""
    corpus = read_corpus(data, langs, split)
    return map(corpus.pair, range(len(corpus)))


def source_key(ids: Ids) -> str:
    """A hash of a source sentence's symbols, in 16 hexadecimal digits."""
    return f"{ids_key(ids):016x}"


class Column(Sequence[T]):
    """A sequence with one element for each sentence of a corpus, which is made when it is asked for."""

    def __init__(self, length: int, of: Callable[[int], T]) -> None:
        """`of` makes the element of a row."""
        self.length, self.of = length, of

    def __len__(self) -> int:
        """How many sentences there are."""
        return self.length

    @overload
    def __getitem__(self, row: int) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> list[T]: ...
    def __getitem__(self, row: int | slice) -> T | list[T]:
        """The element of one row, or those of several."""
        if isinstance(row, slice):
            return [self.of(each) for each in range(self.length)[row]]
        return self.of(range(self.length)[row])


class Corpus:
    """The sentence pairs of a split, over all data folders."""

    def __init__(self, datasets: Sequence[PairDataset]) -> None:
        """Over fairseq's data sets, whose text stays on disk."""
        self.datasets = datasets
        self.ends = np.cumsum([len(dataset) for dataset in datasets])
        lengths = [np.asarray(dataset.src_sizes, np.int32) - 1 for dataset in datasets]
        self.lengths: NDArray[np.int32] = np.concatenate(lengths)  # subwords of each source sentence, without its end
        self.sources = Column(len(self), lambda row: self.pair(row).source)
        self.references = Column(len(self), lambda row: self.pair(row).reference)  # subwords
        self.keys = Column(len(self), lambda row: source_key(self.item(row)[1]["source"].numpy()))

    def __len__(self) -> int:
        """How many pairs there are."""
        return int(self.ends[-1])

    def item(self, row: int) -> tuple[PairDataset, PairItem]:
        """The dataset of a pair, and its ids there."""
        number = int(np.searchsorted(self.ends, row, side="right"))
        dataset = self.datasets[number]
        return dataset, dataset[row - (int(self.ends[number - 1]) if number else 0)]

    def pair(self, row: int) -> SentencePair:
        """The pair in a row, counted from 0."""
        dataset, item = self.item(row)
        ids = item["source"].numpy(), item["target"].numpy()
        source = [dataset.src_dict[i] for i in ids[0][:-1]]
        return SentencePair(*ids, source, " ".join(dataset.tgt_dict[i] for i in ids[1][:-1]))


def read_corpus(data: str, langs: tuple[str, str], split: str) -> Corpus:
    """The corpus of a split, over all data folders (`data` names one or more, with ":" between)."""
    return Corpus(fairseq_io.translation_data(data, langs, split))
