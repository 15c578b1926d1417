"""Finished decodings that are chosen from: opened, proved to be of the data, and read row by row as subwords."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.corpus import source_key
from lskd_nmt.seqkd.encoder import Encoder
from lskd_nmt.seqkd.ledger import Ledger, Row
from lskd_nmt.seqkd.store import DecodedFrom
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.files import sha256

UNKNOWN = "unknown subword"  # why a translation is dropped that the data's dictionary cannot write


@dataclass(frozen=True)
class Decoded:
    """A finished decoding."""

    folder: Path
    ledger: Ledger

    @property
    def is_text(self) -> bool:
        """Whether its rows hold text."""
        return self.ledger.text is not None

    def rows(self) -> Iterator[Row]:
        """Its rows as they are."""
        return ledger.read_rows(self.folder / ledger.ROWS)

    def in_subwords(self, encoder: Encoder | None, dropped: Counter[str]) -> Iterator[Row]:
        """Its rows with their sources and hypotheses in subwords; those that cannot be written are counted."""
        if not self.is_text:
            yield from self.rows()
            return
        assert encoder is not None
        for row in self.rows():
            found = encoder.hypotheses(row)
            if len(found) < len(row.hypotheses):
                dropped[UNKNOWN] += len(row.hypotheses) - len(found)
            key = source_key(encoder.source_ids(encoder.subwords.pieces(row.source_text or "")))
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
    decoded: Sequence[Path], data: str, langs: tuple[str, str], split: str, hashes: Mapping[str, Sequence[str]]
) -> list[Decoded]:
    """Complete decodings of the source side of a split, whose files have these hashes."""
    found = [Decoded(folder, ledger.open_ledger(folder, hashes)) for folder in decoded]
    for each in found:
        require(
            each.is_text or split in each.ledger.data,
            f"{each.folder} holds no '{split}', but {', '.join(each.ledger.data)}: name it with --split",
        )
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
