"""The translations of finished decodings as text, sentence by sentence: what a program for quality estimation scores.

The text is that of the student's subwords put together, as it is learned, of the source as of the translation.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import require, writing
from lskd_nmt.evaluate.score_command import item
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.corpus import corpus_pairs
from lskd_nmt.seqkd.decodings import Decoded
from lskd_nmt.seqkd.encoder import Encoder
from lskd_nmt.storage import folders


class CandidateTexts(NamedTuple):
    """A source sentence and its translations, equal and empty ones included, as text."""

    source: str
    translations: list[str]

    @property
    def different(self) -> list[str]:
        """The translations that are not empty, each once."""
        return [text for text in dict.fromkeys(self.translations) if text]


@dataclass(frozen=True)
class CandidateReader:
    """Reads decodings of a bitext, and of text that has no target side, as a selection of the same data does."""

    bitext: Sequence[Decoded]
    texts: Sequence[Decoded]
    data: str
    symbols: DictionaryPair
    split: str

    @cached_property
    def encoder(self) -> Encoder | None:
        """What cuts text into the data's subwords, where there is some."""
        return Encoder(self.data, self.symbols) if any(each.is_text for each in self.decodings) else None

    @property
    def decodings(self) -> list[Decoded]:
        """All of them."""
        return [*self.bitext, *self.texts]

    def read(self, decoded: Decoded) -> Iterator[CandidateTexts]:
        """What one of the decodings has; translations that the dictionary cannot write are left out."""
        if any(decoded is each for each in self.texts):
            yield from self.of_text(decoded)
            return
        rows = decoded.in_subwords(self.encoder, Counter())
        corpus = corpus_pairs(self.data, self.symbols.langs, self.split)
        for number, (pair, row) in enumerate(zip(corpus, rows, strict=True)):
            decoded.require_row(number, row, pair.source_ids)
            yield CandidateTexts(joined(" ".join(pair.source)), [joined(each.pieces) for each in row.hypotheses])

    def of_text(self, decoded: Decoded) -> Iterator[CandidateTexts]:
        """What a decoding of text without a target side has."""
        assert self.encoder is not None
        for row in decoded.rows():
            pieces = self.encoder.source_subwords.pieces(row.source_text or "")
            found = self.encoder.hypotheses(row)
            yield CandidateTexts(joined(" ".join(pieces)), [joined(each.pieces) for each in found])


def write_candidates(out: Path, reader: CandidateReader, show: Callable[[str], None]) -> int:
    """Write the candidates as JSON Lines with `source` and `translation`, whole or not at all; how many.

    Equal translations of a sentence stand there once for each decoding.
    """
    what = "lskd seqkd candidates"
    require(not out.exists(), f"--out {out} is there already: give a new file, or remove it")
    total = sum(each.ledger.rows for each in reader.decodings)
    progress, count = Progress(total, "sentences", show), 0
    with folders.hold(out, what) as held, folders.part_of(out, what, held) as part:
        with writing(part / "candidates"), (part / "candidates").open("w", encoding="utf-8") as file:
            for decoded in reader.decodings:
                for texts in reader.read(decoded):
                    for translation in texts.different:
                        file.write(json.dumps(item(translation, texts.source), ensure_ascii=False) + "\n")
                        count += 1
                    progress.add(1)
        (part / "candidates").rename(out)
    return count
