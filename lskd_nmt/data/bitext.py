"""Bitext: read it strictly, normalise it, measure it and write it, line by line."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import IO

from lskd_nmt.data.languages import base_language, is_unspaced
from lskd_nmt.errors import LskdError, require, require_file, writing

Pair = tuple[str, str]
SHOWN = 3  # line numbers in an error
# Characters of a word where none are separated by spaces, about: so many stand for a word of an English translation.
CHARACTERS_A_WORD = {"zh": 2.0, "yue": 2.0, "ja": 2.5}
OTHERS_A_WORD = 5.0  # Thai, Lao, Khmer, Burmese, Tibetan


def lines_of(file: Path) -> Iterator[str]:
    """The lines of a UTF-8 file without their ends; only line feeds (and a carriage return before one) end a line.

    One line is held at a time. What is wrong with the file is an `LskdError` when that line is reached.
    """
    require_file(file, "give the path without the language ending, PREFIX of PREFIX.en")
    blank = True
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            blank = blank and not line.strip()
            try:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
            except UnicodeDecodeError as error:
                its = "utf-16" if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin1"
                raise LskdError(
                    f"{file} line {number} is not UTF-8 (byte {error.start + 1}): convert it, "
                    f"for example iconv -f {its} -t utf-8"
                ) from None
    require(not blank, f"{file} is empty: give a file with one sentence a line")


def read_lines(file: Path) -> list[str]:
    """All lines of a file; see `lines_of`."""
    return list(lines_of(file))


def count_lines(file: Path) -> int:
    """How many lines a file has, as far as it can be read; quick, and 0 for what `lines_of` refuses."""
    if not file.is_file():
        return 0
    lines, end = 0, b"\n"
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            lines += block.count(b"\n")
            end = block[-1:]
    return lines + (end != b"\n")


def rows(prefix: str, langs: Sequence[str]) -> Iterator[Pair]:
    """The lines of `prefix.SRC` and `prefix.TGT` as they are, while both files are read; they must be equally many."""
    files = [Path(f"{prefix}.{lang}") for lang in langs]
    lengths = [0, 0]
    for row in zip_longest(*map(lines_of, files)):
        for side, line in enumerate(row):
            lengths[side] += line is not None
        if None not in row:  # else one has ended, and the other is counted
            yield row[0], row[1]
    require(
        lengths[0] == lengths[1],
        f"{files[0]} has {lengths[0]} lines and {files[1]} has {lengths[1]}: "
        "line i of one must translate line i of the other",
    )


def bitext(prefix: str, langs: Sequence[str], drop_empty: bool = False) -> Iterator[Pair]:
    """The pairs of `prefix.SRC` and `prefix.TGT`, normalised, while both files are read.

    After the last pair, files of different length are an error, and empty lines are unless `drop_empty`.
    """
    empty, shown = [0, 0], ["", ""]
    for number, row in enumerate(rows(prefix, langs), 1):
        pair = normalised(row[0]), normalised(row[1])
        for side, line in enumerate(pair):
            if not line:
                empty[side] += 1
                if empty[side] <= SHOWN:
                    shown[side] += f", {number}"
        yield pair
    for lang, count, numbers in zip(langs, empty, shown, strict=True):
        places = numbers.removeprefix(", ") + (", …" if count > SHOWN else "")
        require(
            drop_empty or not count,
            f"{prefix}.{lang} has {count} empty lines (line {places}): fill them, or remove them on both sides",
        )


def read_bitext(prefix: str, langs: Sequence[str], drop_empty: bool = False) -> list[Pair]:
    """All pairs of a bitext; see `bitext`."""
    return list(bitext(prefix, langs, drop_empty))


def normalised(line: str) -> str:
    """The line in Unicode's NFC with single spaces, without control and zero-width characters but joiners.

    `▁`, sentencepiece's sign for a space, becomes a space: nobody could tell them apart in a translation.
    """
    line = line.replace("▁", " ")
    if not line.isprintable():  # then it has neither controls nor other spaces
        kept = (" " if c.isspace() else c for c in line if c.isspace() or c in "\u200c\u200d" or not is_control(c))
        line = "".join(kept)
    line = unicodedata.normalize("NFC", line)  # now, as a letter and its accent may have stood on both sides of one
    return re.sub(" +", " ", line).strip()


def is_control(character: str) -> bool:
    """Whether a character is a control, a format character (zero-width, direction, byte order mark) or a surrogate."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def words(line: str, lang: str) -> float:
    """How long a line is in words; where words are not separated by spaces, an estimate from its characters."""
    parts = line.split()
    if not is_unspaced(lang):
        return len(parts)
    characters = CHARACTERS_A_WORD.get(base_language(lang), OTHERS_A_WORD)
    return sum(1 if part.isascii() else max(1.0, len(part) / characters) for part in parts)


@contextmanager
def written(file: Path) -> Iterator[IO[bytes]]:
    """A stream into `file`, which appears whole or not at all; an error of writing names it."""
    part = file.with_name(f"{file.name}.part")
    with writing(file):
        try:
            with part.open("wb") as stream:
                yield stream
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def write_bitext(prefix: Path, langs: Sequence[str], pairs: Iterable[Pair]) -> int:
    """Write `prefix.SRC` and `prefix.TGT`, each whole or not at all, as the pairs come; answers how many came."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    first, second = (Path(f"{prefix}.{lang}") for lang in langs)
    with written(first) as source, written(second) as target:
        for pair in pairs:
            count += 1
            source.write(f"{pair[0]}\n".encode())
            target.write(f"{pair[1]}\n".encode())
    return count
