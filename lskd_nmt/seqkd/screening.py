"""The filters of `data/filters`, made ready for decodings that are chosen from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from lskd_nmt.data.bitext import Pair
from lskd_nmt.data.filters.length import typical_ratio
from lskd_nmt.data.filters.screen import LENGTH, SAMPLE, Screen, ahead
from lskd_nmt.data.subwords import joined
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.chooser import Chooser, SelectSettings, pairs_of
from lskd_nmt.seqkd.corpus import SentencePair, read_corpus
from lskd_nmt.seqkd.decodings import Decoded
from lskd_nmt.seqkd.encoder import Encoder
from lskd_nmt.seqkd.ledger import Row

T = TypeVar("T")
Numbered = tuple[int, Row, bool]  # a line of text, see `mixture.Pool`


def screen_of(
    settings: SelectSettings, langs: tuple[str, str], decoded: Sequence[Decoded], data: str, split: str
) -> Screen | None:
    """The filters that were asked for, with the typical ratio of lengths in these decodings; None: no filter."""
    if not settings.filters:
        return None
    found = Screen(settings.filters, langs)
    if LENGTH in settings.filters:
        found.typical = typical_ratio(pair for each in decoded for pair in first_pairs(each, data, langs, split))
    return found


def first_pairs(decoded: Decoded, data: str, langs: tuple[str, str], split: str) -> Iterator[Pair]:
    """Source and first translation of about ten thousand rows that lie evenly apart."""
    corpus = decoded.corpus
    if corpus is None and not decoded.is_text:
        corpus = read_corpus(data, langs, split)
    for row in ledger.read_rows(decoded.folder / ledger.ROWS, max(1, decoded.ledger.rows // SAMPLE)):
        if corpus is None:
            yield from ((row.source_text or "", text) for text in (row.texts or ())[:1])
        elif row.hypotheses and 0 <= row.number < len(corpus):
            source = " ".join(corpus.pair(row.number).source)
            yield joined(source), joined(row.hypotheses[0].pieces)


def bitext_ahead(
    rows: Iterable[tuple[SentencePair, tuple[Row, ...]]], chooser: Chooser
) -> Iterator[tuple[SentencePair, tuple[Row, ...]]]:
    """Sentence pairs and their rows, passed on after the filters looked at a whole block of them."""

    def pairs(block: Iterable[tuple[SentencePair, tuple[Row, ...]]]) -> Iterator[Pair]:
        for pair, entries in block:
            yield from pairs_of(pair.source, [each for entry in entries for each in entry.hypotheses])

    def cut(block: Iterable[tuple[SentencePair, tuple[Row, ...]]]) -> Iterator[Pair]:
        for pair, entries in block:
            source = " ".join(pair.source)
            yield from ((source, each.pieces) for entry in entries for each in entry.hypotheses)

    return looked_at(rows, chooser, pairs, cut)


def text_ahead(rows: Iterable[Numbered], chooser: Chooser, encoder: Encoder) -> Iterator[Numbered]:
    """Lines of text, passed on after the filters looked at a whole block of them."""

    def pairs(block: Iterable[Numbered]) -> Iterator[Pair]:
        for _, row, _ in block:
            yield from ((row.source_text or "", text) for text in row.texts or ())

    def cut(block: Iterable[Numbered]) -> Iterator[Pair]:
        for _, row, _ in block:
            source = " ".join(encoder.source_subwords.pieces(row.source_text or ""))
            yield from ((source, each.pieces) for each in encoder.hypotheses(row))

    return looked_at(rows, chooser, pairs, cut)


def looked_at(
    rows: Iterable[T],
    chooser: Chooser,
    pairs: Callable[[list[T]], Iterator[Pair]],
    cut: Callable[[list[T]], Iterator[Pair]],
) -> Iterator[T]:
    """The rows, passed on; `pairs` are those of a block as text, `cut` in subwords."""
    screen, reverse = chooser.screen, chooser.reverse
    if reverse is not None:
        rows = ahead(rows, lambda block: reverse.look(cut(block)))
    return iter(rows) if screen is None else ahead(rows, lambda block: screen.look(pairs(block)))
