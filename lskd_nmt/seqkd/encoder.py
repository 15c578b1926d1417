"""Text as the subwords and symbols of binarised data, by the sentencepiece model that the data were prepared with."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.corpus import Corpus, read_corpus
from lskd_nmt.seqkd.ledger import Row
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.pair_keys import ids_key
from lskd_nmt.teacher.source import Hypothesis

UNKNOWN, SHOWN_UNKNOWN = "<unk>", "⁇"  # a subword that a dictionary has no name for, and in text
TRAIN, HELD_OUT = "in train", "in valid or test"
SPLITS = {"train": TRAIN, "valid": HELD_OUT, "test": HELD_OUT}


def subword_model(data: str) -> Path:
    """The sentencepiece model of binarised data (the first of several folders); the source's may stand beside it."""
    folder = Path(data.split(":", maxsplit=1)[0])
    places = (folder / "spm.model", folder.parent / "spm" / "spm.model")
    found = next((file for file in places if file.is_file()), None)
    if found is None:
        what = f"--data {folder} has no sentencepiece model to cut text with ({places[0]} or {places[1]})"
        raise LskdError(f"{what}: give the bin folder of data-prep/prepare.sh, or copy the spm.model into it")
    return found


class Encoder:
    """Cuts text into subwords, and gives them the ids of the data's dictionaries."""

    def __init__(self, data: str, symbols: DictionaryPair) -> None:
        """`symbols` are the dictionaries of `data`."""
        self.source_subwords, self.subwords = given.of_folder(subword_model(data).parent)
        self.source, self.target = fairseq_io.dictionaries(data.split(":", maxsplit=1)[0], symbols.langs)
        self.known = frozenset(symbols.target)

    def source_ids(self, pieces: Sequence[str]) -> Ids:
        """A source line's ids with the end symbol; what the dictionary lacks is its unknown symbol.   -> (S,)"""
        return np.asarray([*map(self.source.index, pieces), self.source.eos()], np.int64)

    def hypotheses(self, row: Row) -> tuple[Hypothesis, ...]:
        """Those of a row of text in subwords; out are those with a subword that the dictionary lacks."""
        assert row.texts is not None
        cut = map(self.subwords.pieces, row.texts)
        return tuple(
            Hypothesis(" ".join(pieces), each.score)
            for pieces, each in zip(cut, row.hypotheses, strict=True)
            if self.known.issuperset(pieces)
        )


def text_of(pieces: str) -> str:
    """The text of a translation in subwords."""
    parts = [SHOWN_UNKNOWN if part == UNKNOWN else part for part in pieces.split()]
    return joined(" ".join(parts))


def splits_of(data: str, langs: tuple[str, str]) -> list[str]:
    """Those of train, valid and test that the first of the data folders has."""
    first = data.split(":", maxsplit=1)[0]
    return [split for split in SPLITS if fairseq_io.split_files(first, langs, split) is not None]


class Known:
    """The source sentences that data have already, of which memory holds 8 bytes each."""

    def __init__(self, keys: Mapping[str, NDArray[np.uint64]]) -> None:
        """Hashes of the sentences' symbols, ascending, by why a sentence is not wanted again."""
        self.keys = keys

    def reason(self, ids: Ids) -> str:
        """Why a source sentence is not wanted, or nothing."""
        key = np.uint64(ids_key(ids))
        for reason, keys in self.keys.items():
            at = int(np.searchsorted(keys, key))
            if at < len(keys) and keys[at] == key:
                return reason
        return ""


def known_sources(data: str, langs: tuple[str, str], splits: Sequence[str], progress: Progress) -> Known:
    """The source sentences of these splits; train may be in several data folders."""
    found: dict[str, list[NDArray[np.uint64]]] = {}
    for split in splits:
        corpus = read_corpus(data if split == "train" else data.split(":", maxsplit=1)[0], langs, split)
        progress.total += len(corpus)
        keys = np.fromiter(source_keys(corpus, progress), np.uint64, len(corpus))
        found.setdefault(SPLITS[split], []).append(keys)
    return Known({reason: np.unique(np.concatenate(parts)) for reason, parts in found.items()})


def source_keys(corpus: Corpus, progress: Progress) -> Iterator[int]:
    """A hash of the symbols of each source sentence."""
    for row in range(len(corpus)):
        progress.add(1)
        yield ids_key(corpus.item(row)[1]["source"].numpy())
