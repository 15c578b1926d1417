"""Translations of text without a target side, chosen and sampled, to be learned alone or beside those of a bitext."""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lskd_nmt.data.filters.screen import DUPLICATES
from lskd_nmt.data.subwords import sampled
from lskd_nmt.errors import require
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.chooser import Candidates, Chooser
from lskd_nmt.seqkd.decodings import UNKNOWN, Decoded
from lskd_nmt.seqkd.encoder import Encoder, Known
from lskd_nmt.seqkd.ledger import Row
from lskd_nmt.seqkd.screening import text_ahead
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.teacher.source import Hypothesis

EMPTY = "empty source"


@dataclass(frozen=True)
class Monolingual:
    """Which decodings of text without a target side are learned, and how much of them."""

    decoded: tuple[Path, ...] = ()
    share: float | None = None  # of the sentences of the corpus; None: all that there are
    seed: int = 1  # of what is drawn for the share

    def require_fit(self, method: str, has_bitext: bool) -> None:
        """Refuse what cannot be mixed."""
        require(
            method != "interpolate" or not self.decoded,
            "--method is interpolate, and --monolingual text has no reference to be close to: use beam, multi or mbr",
        )
        require(self.share is None or 0 < self.share < 1, f"--share is {self.share}: give a number between 0 and 1")
        require(
            self.share is None or (has_bitext and bool(self.decoded)),
            "--share is of --monolingual beside --decoded: name both, or leave it out",
        )
        require(bool(self.decoded) or has_bitext, "there is nothing to choose from: give --decoded or --monolingual")
        require(0 <= self.seed < 1 << 31, f"--seed is {self.seed}: give a number from 0 to {(1 << 31) - 1}")
        require(
            self.share is not None or self.seed == 1,
            f"--seed is {self.seed}, and nothing is drawn: it is of --share, give that or leave it out",
        )


class Line(NamedTuple):
    """A line that can be learned: its ids, and whether its hypotheses are samples."""

    source: Ids
    is_drawn: bool


class Chosen(NamedTuple):
    """What is learned of one line: its ids, and the chosen hypotheses."""

    source: Ids
    hypotheses: list[Hypothesis]
    is_drawn: bool  # the hypotheses are samples


class Pool:
    """The lines of monolingual decodings, from which all or a sample is chosen."""

    def __init__(self, decoded: Sequence[Decoded], encoder: Encoder, held_out: Known) -> None:
        """Lines of `held_out` are never learned."""
        self.decoded, self.encoder, self.held_out = decoded, encoder, held_out
        self.rows = sum(each.ledger.rows for each in decoded)
        self.available = 0  # lines that have something to learn from, once they were counted

    def usable(self, row: Row, is_drawn: bool, chooser: Chooser) -> tuple[Line, Candidates] | None:
        """What a row has to choose from, or None; `chooser` counts what is dropped."""
        pieces = self.encoder.source_subwords.pieces(row.source_text or "")
        ids = self.encoder.source_ids(pieces)
        is_empty = len(pieces) <= len(self.encoder.source_subwords.prefix)
        reason = EMPTY if is_empty else self.held_out.reason(ids)
        if reason:
            chooser.dropped[reason] += len(row.hypotheses)
            return None
        found = self.encoder.hypotheses(row)
        if len(found) < len(row.hypotheses):
            chooser.dropped[UNKNOWN] += len(row.hypotheses) - len(found)
        candidates = chooser.filtered(row.number, found, pieces, "")
        return (Line(ids, is_drawn), candidates) if candidates.kept else None

    def all(self, progress: Progress) -> Iterator[tuple[int, Row, bool]]:
        """The rows of all decodings, with their numbers here, and whether they are samples."""
        at = 0
        for each in self.decoded:
            is_drawn = each.ledger.search.sampling
            for row in each.rows():
                progress.add(1)
                yield at, row, is_drawn
                at += 1

    def whole(self, chooser: Chooser, progress: Progress) -> Iterator[Chosen]:
        """What is learned of every line."""
        for _, chosen in self.chosen(self.all(progress), chooser):
            self.available += 1
            yield chosen

    def chosen(self, rows: Iterable[tuple[int, Row, bool]], chooser: Chooser) -> Iterator[tuple[int, Chosen]]:
        """The numbers of rows that have something to learn from, and what."""
        looked_at = text_ahead(rows, chooser, self.encoder)
        found = ((at, self.usable(row, is_drawn, chooser)) for at, row, is_drawn in looked_at)
        sentences = (((at, each[0]), each[1]) for at, each in found if each is not None)
        for (at, line), candidates, positions in chooser.chosen(sentences):
            if positions:
                hypotheses = [candidates.hypotheses[place] for place in positions]
                yield at, Chosen(line.source, hypotheses, line.is_drawn)

    def usable_rows(self, trial: Chooser, progress: Progress) -> Iterator[int]:
        """The numbers of rows that have something to learn from; nothing is chosen unless near-duplicates go."""
        if DUPLICATES in trial.settings.filters:
            yield from (at for at, _ in self.chosen(self.all(progress), trial))
            return
        for at, row, is_drawn in text_ahead(self.all(progress), trial, self.encoder):
            if self.usable(row, is_drawn, trial) is not None:
                yield at

    def sample(
        self, share: float, seed: int, beside: int, chooser: Chooser, trial: Chooser, progress: Progress
    ) -> Iterator[Chosen]:
        """Of as many lines as are the `share` of all, beside so many sentences of a bitext; drawn without replacement.

        All are looked at twice: first with `trial`, which says how many there are to draw from.
        """
        usable = array("Q", self.usable_rows(trial, progress))
        self.available = len(usable)
        count = round(beside * share / (1 - share))
        most = math.floor(1000 * len(usable) / max(len(usable) + beside, 1)) / 1000
        require(
            0 < count <= len(usable),
            f"--share {share:g} beside {beside:,} sentences of the bitext are {count:,} lines, and --monolingual has "
            f"{len(usable):,} to draw from: give a share of at most {most:g}, more text, or leave it out to take all",
        )
        drawn = bytearray(self.rows)
        for at in sampled(usable, len(usable), count, seed):
            drawn[at] = 1
        rows = (each for each in self.all(progress) if drawn[each[0]])
        yield from (chosen for _, chosen in self.chosen(rows, chooser))
