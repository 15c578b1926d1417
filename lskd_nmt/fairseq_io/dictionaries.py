"""fairseq's dictionaries: read as fairseq does, and refused where it would stop in the middle."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.errors import LskdError, reading, require, require_file

if TYPE_CHECKING:
    from fairseq.data import Dictionary

REMEDY = "take the dict.LANG.txt that fairseq-preprocess wrote"


@dataclass(frozen=True)
class DictionaryPair:
    """The symbols of both dictionaries in index order, special ones included, and their languages."""

    source: list[str]
    target: list[str]
    langs: tuple[str, str]


def read_dictionary(file: Path) -> "Dictionary":
    """fairseq's dictionary of a file of lines `WORD COUNT`; `LskdError` names the line that is none."""
    from fairseq.data import Dictionary

    require_file(file, REMEDY)
    with reading(file, "dictionary", REMEDY):
        text = file.read_text(encoding="utf-8")
    require(not text.startswith("\ufeff"), f"{file} begins with a byte order mark: save it as UTF-8 without one")
    require(bool(text.strip()), f"{file} is empty: {REMEDY}")
    found = Dictionary()
    try:
        found.add_from_file(io.StringIO(text))
    except (RuntimeError, ValueError):
        raise LskdError(f"{file} {fault(text)}: {REMEDY}") from None
    require("" not in found.indices, f"{file} {fault(text)}: {REMEDY}")
    return found


def fault(text: str) -> str:
    """What is wrong with the first line of a dictionary that fairseq does not take."""
    from fairseq.data import Dictionary

    found = Dictionary()
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            found.add_from_file(io.StringIO(line))
        except RuntimeError:
            return f"line {number} has the word {line.split(' ')[0]!r}, which is in there already"
        except ValueError:
            return f"line {number} is {line.strip()[:60]!r}, and not a word, a space and its count"
        if "" in found.indices:
            return f"line {number} has a count and no word"
    return "is no dictionary"


def dictionaries(folder: str, langs: tuple[str, str]) -> "list[Dictionary]":
    """fairseq's dictionaries of a data folder, source and target."""
    return [read_dictionary(Path(folder) / f"dict.{lang}.txt") for lang in langs]


def read_symbols(folder: str, langs: tuple[str, str]) -> DictionaryPair | None:
    """The symbols of `dict.LANG.txt` of both languages in a data folder, or None where one is missing."""
    if not all((Path(folder) / f"dict.{lang}.txt").exists() for lang in langs):
        return None
    source, target = (list(each.symbols) for each in dictionaries(folder, langs))
    return DictionaryPair(source, target, langs)
