"""Text that a teacher with a tokeniser of its own translates: the source side of binarised data, or another text."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt.data.cleaning import Limits
from lskd_nmt.data.subwords import joined
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.seqkd.corpus import Corpus, read_corpus
from lskd_nmt.seqkd.decode import Place, decode_text
from lskd_nmt.seqkd.encoder import splits_of, wording
from lskd_nmt.seqkd.ledger import DecodingPlan, Ledger, TextSource
from lskd_nmt.seqkd.monolingual import read_source, wanted_lines
from lskd_nmt.seqkd.text import LineWriter, all_lines
from lskd_nmt.seqkd.text_teacher import OpenedTeacher, makers_of
from lskd_nmt.teacher.coverage import data_hashes


@dataclass(frozen=True)
class TextTask:
    """A teacher, and where and how it is to work."""

    out: Path
    teacher: OpenedTeacher
    settings: DecodeSettings
    place: Place
    show: Callable[[str], None]
    accept_difference: bool = False

    def run(
        self,
        langs: tuple[str, str],
        hashes: dict[str, list[str]],
        text: TextSource,
        write: LineWriter,
        cleaning: dict[str, object],
    ) -> Ledger | None:
        """Translate the lines that `write` gives; `hashes` are of the data that decide which these are."""
        record = self.teacher.record(self.settings.engine)
        plan = DecodingPlan(
            [self.teacher.origin()], list(langs), hashes, self.settings.content() | cleaning, text, record
        )
        how = self.settings, self.place, self.show
        makers = makers_of(self.teacher, self.out, *how, self.accept_difference, langs[1])
        return decode_text(self.out, plan, write, makers, *how)


def decode_data(task: TextTask, data: str, langs: tuple[str, str], split: str) -> Ledger | None:
    """Make or complete translations of binarised data's source, as text; None while shards are missing."""
    corpus = read_corpus(data, langs, split)
    text = TextSource(f"{split}.{langs[0]}", digest_of(source_lines(corpus)), len(corpus))
    return task.run(langs, data_hashes(data, langs, (split,)), text, all_lines(source_lines(corpus)), {})


def decode_lines(task: TextTask, source: str, data: str, symbols: DictionaryPair, limits: Limits) -> Ledger | None:
    """Make or complete translations of a text, cleaned, without what the data have; None while shards are missing."""
    cleaning: dict[str, object] = {"max_words": limits.max_words, **wording(data, symbols).facts()}
    hashes = data_hashes(data, symbols.langs, splits_of(data, symbols.langs))
    text = read_source(source, task.show)
    write = wanted_lines(source, text.lines, data, symbols, limits, task.show)
    return task.run(symbols.langs, hashes, text, write, cleaning)


def source_lines(corpus: Corpus) -> Iterator[str]:
    """The source sentences of binarised data as text."""
    return (joined(" ".join(corpus.sources[row])) for row in range(len(corpus)))


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 of lines with their ends."""
    found = hashlib.sha256()
    for line in lines:
        found.update(f"{line}\n".encode())
    return found.hexdigest()
