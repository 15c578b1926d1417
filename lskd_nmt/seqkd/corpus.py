"""The sentence pairs of a split, in their order, as ids and as subwords."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.teacher.pairs import ids_key


class SentencePair(NamedTuple):
    """A pair as ids with their ends, and as subwords without."""

    source_ids: NDArray[Any]
    target_ids: NDArray[Any]
    source: list[str]
    reference: str


def corpus_pairs(data: str, langs: tuple[str, str], split: str) -> Iterator[SentencePair]:
    """A split's pairs in their order, over all data folders."""
    for dataset in fairseq_io.translation_data(data, langs, split):
        for item in map(dataset.__getitem__, range(len(dataset))):
            ids = item["source"].numpy(), item["target"].numpy()
            source = [dataset.src_dict[i] for i in ids[0][:-1]]
            yield SentencePair(*ids, source, " ".join(dataset.tgt_dict[i] for i in ids[1][:-1]))


def source_key(ids: NDArray[Any]) -> str:
    """A hash of a source sentence's symbols."""
    return f"{ids_key(ids):016x}"


class Corpus(NamedTuple):
    """The source sentences of a split, and their references."""

    sources: list[list[str]]
    references: list[str]  # subwords
    keys: list[str]  # a hash of each source sentence's symbols


def read_corpus(data: str, langs: tuple[str, str], split: str) -> Corpus:
    """What is decoded."""
    corpus = Corpus([], [], [])
    for pair in corpus_pairs(data, langs, split):
        corpus.sources.append(pair.source)
        corpus.references.append(pair.reference)
        corpus.keys.append(source_key(pair.source_ids))
    return corpus
