"""Values and intervals of analyses as texts of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Record = Mapping[str, Any]
DIGITS = ".3g"
SHORT = {"ece", "mce", "nll"}


def text(value: Any) -> str:
    """A number, an estimate with its interval, a list of them, or a text."""
    if isinstance(value, Mapping):
        return estimate(value) if {"value", "low", "high"} <= set(value) else "–"
    if isinstance(value, list):
        return ", ".join(map(text, value))
    if isinstance(value, float):
        return f"{value:{DIGITS}}"
    return "–" if value is None else str(value)


def estimate(value: Record) -> str:
    """`0.062 [0.056, 0.069]`; with signs where the interval reaches below zero."""
    ends = value["low"], value["high"]
    sign = "+" if any(each is not None and each < 0 for each in (value["value"], *ends)) else ""
    numbers = [f"{each:{sign}{DIGITS}}" for each in (value["value"], *ends) if each is not None]
    return numbers[0] + (f" [{numbers[1]}, {numbers[2]}]" if len(numbers) == 3 else "")


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """Records as texts; a key that some lack is a dash there."""
    keys = dict.fromkeys(key for record in records for key in record)
    lines = [[text(record.get(key)) for key in keys] for record in records]
    return pd.DataFrame(lines, columns=list(map(heading, keys)), dtype=str)


def heading(key: str) -> str:
    """`ece_mass_15` is `ECE mass 15`."""
    return " ".join(word.upper() if word in SHORT else word for word in key.split("_"))
