"""Text as the subwords and symbols of binarised data, by what the data were prepared with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.bpe import Bpe
from lskd_nmt.data.subwords import Subwords, joined
from lskd_nmt.data.text_form import CODES, SPM, SubwordFile, require_cut_alike
from lskd_nmt.data.tokenisation import PREPARED, Tokenisation, found_in, looks_tokenised
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.corpus import Corpus, read_corpus
from lskd_nmt.seqkd.ledger import Row
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.pair_keys import ids_key
from lskd_nmt.teacher.source import Hypothesis

UNKNOWN, SHOWN_UNKNOWN = "<unk>", "⁇"  # a subword that a dictionary has no name for, and in text
TRAIN, HELD_OUT = "in train", "in valid or test"
SPLITS = {"train": TRAIN, "valid": HELD_OUT, "test": HELD_OUT}


@dataclass(frozen=True)
class Cutter:
    """Cuts one language's text into the subwords of data, and makes text of them."""

    subwords: Subwords | Bpe
    tokenisation: Tokenisation
    lang: str

    @property
    def prefix(self) -> Sequence[str]:
        """What every line begins with."""
        return () if isinstance(self.subwords, Bpe) else self.subwords.prefix

    def pieces(self, line: str) -> list[str]:
        """The subwords of a line; one that is tokenised already, as the source of binarised data is, is left so."""
        words = line if looks_tokenised([line]) else self.tokenisation.words([line], self.lang)[0]
        return self.subwords.pieces(words)

    def text(self, pieces: str) -> str:
        """The line of subwords that spaces separate."""
        return self.tokenisation.text([text_of(pieces)], self.lang)[0]


@dataclass(frozen=True)
class Wording:
    """How text becomes the subwords of binarised data: what cuts words, and how they were made, of both languages."""

    cut: SubwordFile
    tokenisations: tuple[Tokenisation, Tokenisation]
    symbols: DictionaryPair

    def cutters(self) -> tuple[Cutter, Cutter]:
        """Those of source and target; opened in the process that uses them, since they cannot be sent to one."""
        opened: Iterable[Subwords | Bpe]
        if self.cut.is_bpe:
            opened = (Bpe(self.cut.file, side) for side in (self.symbols.source, self.symbols.target))
        else:
            opened = given.of_folder(self.cut.file.parent)
        source, target = (
            Cutter(*of_one) for of_one in zip(opened, self.tokenisations, self.symbols.langs, strict=True)
        )
        return source, target

    def facts(self) -> dict[str, str]:
        """What decides the subwords of a text, for a plan."""
        words = " / ".join(map(str, self.tokenisations))
        known = {} if self.tokenisations == (Tokenisation(), Tokenisation()) else {"words": words}
        return {f"{'bpe' if self.cut.is_bpe else 'spm'}_sha256": sha256(self.cut.file), **known}


def wording(data: str, symbols: DictionaryPair) -> Wording:
    """That of binarised data (the first of several folders): prepared by us, or with what cuts words in the folder."""
    folder = Path(data.split(":", maxsplit=1)[0])
    places = (folder / SPM, folder.parent / "spm" / SPM, folder / CODES)
    found = next((file for file in places if file.is_file()), None)
    if found is None:
        what = f"--data {folder} has no sentencepiece model to cut text with ({places[0]} or {places[1]})"
        raise LskdError(
            f"{what}: give the bin folder of data-prep/prepare.sh, copy the spm.model into it, or the BPE codes of "
            f"subword-nmt as {CODES}"
        )
    cut, prep = SubwordFile(found, found.name), folder.parent / "prep.json"
    form = str(read_json(prep).get("form", "raw")) if prep.is_file() else "raw"
    if not cut.is_bpe:
        require(form in PREPARED, f"{prep} is of the form {form}: one of {', '.join(PREPARED)}")
        return Wording(cut, (PREPARED[form], PREPARED[form]), symbols)
    split = next((each for each in ("valid", "train") if each in splits_of(data, symbols.langs)), "test")
    sides = fairseq_io.piece_lines(str(folder), symbols.langs, split)
    require_cut_alike(cut, sides[0], symbols.source, split)
    source, target = (
        found_in(list(map(joined, side)), lang, advice="translate the text elsewhere, and take it in by seqkd import")
        for side, lang in zip(sides, symbols.langs, strict=True)
    )
    return Wording(cut, (source, target), symbols)


class Encoder:
    """Cuts text into subwords, and gives them the ids of the data's dictionaries."""

    def __init__(self, data: str, symbols: DictionaryPair) -> None:
        """`symbols` are the dictionaries of `data`."""
        self.source_subwords, self.subwords = wording(data, symbols).cutters()
        self.source, self.target = fairseq_io.dictionaries(data.split(":", maxsplit=1)[0], symbols.langs)
        self.known = frozenset(symbols.target)

    def of_words(self) -> "Encoder":
        """The same for lines of words, which are tokenised already."""
        found = copy(self)
        found.source_subwords, found.subwords = (
            replace(cutter, tokenisation=Tokenisation()) for cutter in (self.source_subwords, self.subwords)
        )
        return found

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
