"""Bitext: read it strictly, normalise it, and drop what should not be trained on, with the reason counted."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lskd_nmt.errors import LskdError, require, require_file, writing

Pair = tuple[str, str]
SHOWN = 3  # line numbers in an error


def read_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends; only line feeds (and a carriage return before one) end a line."""
    require_file(file, "give the path without the language ending, PREFIX of PREFIX.en")
    content = file.read_bytes()
    require(bool(content.strip()), f"{file} is empty: give a file with one sentence a line")
    lines = content.removesuffix(b"\n").split(b"\n")
    result = []
    for number, line in enumerate(lines, 1):
        try:
            result.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise LskdError(f"{file} line {number} is not UTF-8 (byte {error.start + 1}): convert it, "
                            "for example iconv -f latin1 -t utf-8") from None  # fmt: skip
    return result


def read_bitext(prefix: str, langs: Sequence[str], drop_empty: bool = False) -> list[Pair]:
    """The pairs of `prefix.SRC` and `prefix.TGT`, normalised; an empty line is an error unless `drop_empty`."""
    files = [Path(f"{prefix}.{lang}") for lang in langs]
    sides = [[normalised(line) for line in read_lines(file)] for file in files]
    require(len(sides[0]) == len(sides[1]), f"{files[0]} has {len(sides[0])} lines and {files[1]} has {len(sides[1])}: "
                                            "line i of one must translate line i of the other")  # fmt: skip
    for file, side in zip(files, sides, strict=True):
        empty = [number for number, line in enumerate(side, 1) if not line]
        shown = ", ".join(map(str, empty[:SHOWN])) + (", …" if len(empty) > SHOWN else "")
        require(drop_empty or not empty, f"{file} has {len(empty)} empty lines (line {shown}): "
                                         "fill them, or remove them on both sides")  # fmt: skip
    return list(zip(*sides, strict=True))


def normalised(line: str) -> str:
    """NFC, control and zero-width characters out (but for the joiners of scripts that need them), spaces folded."""
    line = unicodedata.normalize("NFC", line)
    kept = (" " if c.isspace() else c for c in line if c.isspace() or c in "\u200c\u200d" or not is_control(c))
    return re.sub(" +", " ", "".join(kept)).strip()


def is_control(character: str) -> bool:
    """Control, format (zero-width, direction marks, byte order mark), surrogate."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def clean(
    pairs: Iterable[Pair], max_words: int, max_ratio: float, held_out: Iterable[Pair] = (), distinct: bool = True
) -> tuple[list[Pair], dict[str, int]]:
    """The pairs worth training on, in order, and how many were dropped for which reason (the first that applies).

    A side has 1 to `max_words` words, neither has more than `max_ratio` times the other's (0: any); a pair that
    also stands in `held_out`, or (if `distinct`) a second time in `pairs`, is out.
    """
    seen, tested = set[Pair](), set(held_out)
    kept: list[Pair] = []
    dropped: Counter[str] = Counter()
    for pair in pairs:
        lengths = [len(side.split()) for side in pair]
        if not all(lengths):
            dropped["empty"] += 1
        elif max(lengths) > max_words:
            dropped["long"] += 1
        elif max_ratio and max(lengths) > max_ratio * min(lengths):
            dropped["ratio"] += 1
        elif pair in tested:
            dropped["in valid or test"] += 1
        elif distinct and pair in seen:
            dropped["repeated"] += 1
        else:
            seen.add(pair)
            kept.append(pair)
    return kept, dict(dropped)


def write_bitext(prefix: Path, langs: Sequence[str], pairs: Sequence[Pair]) -> None:
    """Write `prefix.SRC` and `prefix.TGT`, each whole or not at all."""
    for side, lang in enumerate(langs):
        part = Path(f"{prefix}.{lang}.part")
        with writing(f"{prefix}.{lang}"):
            try:
                part.write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8", newline="\n")
                part.replace(f"{prefix}.{lang}")
            finally:
                part.unlink(missing_ok=True)
