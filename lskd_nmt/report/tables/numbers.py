"""How the texts of a table are read as numbers: by which a column is sorted, and which columns hold numbers at all."""

import re
from collections.abc import Sequence

DASHES = ("–", "")  # what tables write where there is no value
NUMBER = re.compile(r"[<≈]?\s*([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?)(?=$|[\s,;±\[(%])")
UNBROKEN = re.compile(r"\[[^\]]*\]|\([^)]*\)|[^\s\[(]+(?: ± [^\s\[(]+)?|\s+|.")


def number(text: str) -> float | None:
    """The number with which a table's text begins: `+0.66 [-0.27, +1.64]` is 0.66, `1,949,696` 1949696."""
    found = NUMBER.match(text)
    return float(found[1].replace(",", "")) if found else None


def numeric(texts: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Which columns hold numbers and dashes only, and at least one number."""
    columns = [[line[place] for line in texts if line[place] not in DASHES] for place in range(width)]
    return [bool(column) and all(number(text) is not None for text in column) for column in columns]


def pieces(text: str) -> list[str]:
    """A text in parts that no line may break, and the spaces between: a score with its deviation, an interval."""
    return UNBROKEN.findall(text)
