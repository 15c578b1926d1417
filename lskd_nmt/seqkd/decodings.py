"""Finished decodings that are chosen from: opened, proved to be of the data, and read row by row as subwords."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.corpus import Corpus, read_corpus, source_key
from lskd_nmt.seqkd.encoder import Encoder, text_of
from lskd_nmt.seqkd.ledger import Ledger, Row, text_row
from lskd_nmt.seqkd.store import DecodedFrom
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.files import sha256
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.source import TextHypothesis

UNKNOWN = "unknown subword"  # why a translation is dropped that the data's dictionary cannot write


@dataclass(frozen=True)
class Decoded:
    """A finished decoding."""

    folder: Path
    ledger: Ledger
    corpus: Corpus | None = None  # what was decoded, if that is in other subwords than the student's: then it is text

    @property
    def is_text(self) -> bool:
        """Whether its rows hold text, or are read as such."""
        return self.ledger.text is not None or self.corpus is not None

    def rows(self) -> Iterator[Row]:
        """Its rows, of subwords or of text."""
        for row in ledger.read_rows(self.folder / ledger.ROWS):
            yield row if self.corpus is None else self.as_text(row, self.corpus)

    def as_text(self, row: Row, corpus: Corpus) -> Row:
        """A row of subwords as one of text, which its sentence in `corpus` gives the source of."""
        pair = corpus.pair(row.number) if 0 <= row.number < len(corpus) else None
        if pair is None or row.source != source_key(pair.source_ids):
            raise LskdError(f"{self.folder} row {row.number} is of another source sentence: decode again")
        found = [TextHypothesis(text_of(each.pieces), each.score) for each in row.hypotheses]
        return text_row(row.number, text_of(" ".join(pair.source)), row.settings, found)

    def in_subwords(self, encoder: Encoder | None, dropped: Counter[str]) -> Iterator[Row]:
        """Its rows with their sources and hypotheses in subwords; those that cannot be written are counted."""
        if not self.is_text:
            yield from self.rows()
            return
        assert encoder is not None
        encoder = encoder if self.corpus is None else encoder.of_words()
        for row in self.rows():
            found = encoder.hypotheses(row)
            if len(found) < len(row.hypotheses):
                dropped[UNKNOWN] += len(row.hypotheses) - len(found)
            key = source_key(encoder.source_ids(encoder.source_subwords.pieces(row.source_text or "")))
            yield Row(row.number, key, row.settings, found)

    def require_row(self, number: int, row: Row, source: Ids) -> None:
        """Refuse a row that is not of this source sentence of the data: it may be another text, or edited since."""
        if row.number == number and row.source == source_key(source):
            return
        remedy = "import the translations of the text that was binarised" if self.is_text else "decode again"
        raise LskdError(f"{self.folder} row {number} is of another source sentence: {remedy}")

    def origin(self) -> DecodedFrom:
        """What a store says of it."""
        return DecodedFrom(sha256(self.folder / ledger.FILE), self.ledger.teacher, self.ledger.settings)


def of_bitext(
    decoded: Sequence[Path],
    data: str,
    langs: tuple[str, str],
    split: str,
    hashes: Mapping[str, Sequence[str]],
    decoded_data: str | None = None,
) -> list[Decoded]:
    """Complete decodings of the source side of a split, whose files have these hashes.

    `decoded_data`: what was decoded is the same text in the subwords of other data.
    """
    corpus = None if decoded_data is None else read_corpus(decoded_data, langs, split)
    theirs = hashes if decoded_data is None else data_hashes(decoded_data, langs, (split,))
    found = []
    for folder in decoded:
        content = ledger.open_ledger(folder, theirs)
        require(
            content.text is not None or split in content.data,
            f"{folder} holds no '{split}', but {', '.join(content.data)}: name it with --split",
        )
        found.append(Decoded(folder, content, corpus if content.text is None else None))
    for each in found:
        if each.is_text or each.ledger.data[split] == []:  # what was decoded is not known by its hash
            require_all_rows(each, sum(map(len, fairseq_io.translation_data(data, langs, split))), split)
    return found


def require_all_rows(decoded: Decoded, sentences: int, split: str) -> None:
    """Refuse a decoding that has not one row for each sentence."""
    rows, folder = decoded.ledger.rows, decoded.folder
    what = f"{folder} has other rows than the {sentences} sentences: decode again"
    if decoded.is_text:
        what = (
            f"{folder} has {rows} lines and {split} has {sentences} sentence pairs: give translations of the text that "
            "was binarised (clean/ beside it), or name what is no part of the bitext with --monolingual"
        )
    require(rows == sentences, what)


def of_monolingual(decoded: Sequence[Path]) -> list[Decoded]:
    """Complete decodings of text that has no target side."""
    found = [Decoded(folder, ledger.open_ledger(folder, {})) for folder in decoded]
    for each in found:
        require(
            each.is_text,
            f"--monolingual {each.folder} holds translations of a bitext, in subwords: name it with --decoded",
        )
    return found
