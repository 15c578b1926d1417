"""The lines of a text that is translated: written once, read a shard at a time, kept until the decoding is complete."""

import mmap
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lskd_nmt.data.bitext import written
from lskd_nmt.errors import require
from lskd_nmt.seqkd.corpus import Column
from lskd_nmt.seqkd.ledger import text_key
from lskd_nmt.storage.arrays import Rows
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import read_record, record, write_record

SOURCE, SOURCE_FACTS = "source.txt", "source.json"  # in the folder of a decoding, until it is complete
LineWriter = Callable[[Path], Mapping[str, int]]  # fills a file with lines; how many were dropped, by the reason
SCANNED = 1 << 24  # bytes


@record
class SourceFacts:
    """`source.json`: the lines that are translated."""

    plan: str  # the hash of the decoding's plan
    lines: int
    sha256: str  # of source.txt
    dropped: dict[str, int]


class TextLines:
    """The lines of a file, of which memory holds 8 bytes each."""

    def __init__(self, file: Path) -> None:
        """Each line ends with a line feed."""
        self.file = file
        self.ends = ends_of(file)
        with file.open("rb") as stream:
            self.content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self.keys = Column(len(self), lambda row: text_key(self.line(row)))

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self.ends)

    def line(self, row: int) -> str:
        """The line in a row, counted from 0, without its end."""
        start = int(self.ends[row - 1]) + 1 if row else 0
        return self.content[start : int(self.ends[row])].decode()

    def lines(self, rows: Iterable[int]) -> list[str]:
        """Those of some rows."""
        return [self.line(row) for row in rows]


def ends_of(file: Path) -> Rows:
    """Where the line feeds of a file are.   -> (lines,)"""
    parts, offset = [np.zeros(0, np.intp)], 0
    with file.open("rb") as stream:
        while block := stream.read(SCANNED):
            parts.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + offset)
            offset += len(block)
    return np.concatenate(parts)


def all_lines(lines: Iterable[str]) -> LineWriter:
    """A writer of lines as they are, of which none may have a line feed inside."""

    def write(file: Path) -> Mapping[str, int]:
        with written(file) as stream:
            stream.writelines(f"{line}\n".encode() for line in lines)
        return {}

    return write


def prepared_lines(out: Path, plan: str, write: LineWriter) -> tuple[TextLines, Mapping[str, int]]:
    """The lines that `write` gives, in the folder of a decoding with this hash, and what was dropped; written once.

    Several machines that begin at a time write the same bytes, each whole or not at all.
    """
    file, facts = out / SOURCE, out / SOURCE_FACTS
    if facts.is_file() and file.is_file():
        said = read_record(facts, SourceFacts)
        if (said.plan, said.sha256) == (plan, sha256(file)):
            return TextLines(file), said.dropped
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out, prefix=f"{SOURCE}.part.", ignore_cleanup_errors=True) as folder:
            part = Path(folder, SOURCE)
            dropped = dict(write(part))
            require(part.stat().st_size > 0, f"no line is left to translate ({shown(dropped)}): give other text")
            said = SourceFacts(plan, len(ends_of(part)), sha256(part), dropped)
            part.replace(file)
        write_record(facts, said)
    finally:
        for each in made:
            with suppress(OSError):  # something came of it
                each.rmdir()
    return TextLines(file), dropped


def discard(out: Path) -> None:
    """Remove the lines from the folder of a decoding, and the folder if nothing else is there."""
    for name in (SOURCE, SOURCE_FACTS):
        (out / name).unlink(missing_ok=True)
    for left in out.glob(f"{SOURCE}.part.*"):  # of killed processes
        shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):
        out.rmdir()


def shown(dropped: Mapping[str, int]) -> str:
    """What was dropped, in words."""
    return ", ".join(f"{reason}: {count:,}" for reason, count in dropped.items()) or "nothing was dropped"
