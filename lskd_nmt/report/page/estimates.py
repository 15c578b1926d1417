"""Values and intervals of analyses as texts of a table."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lskd_nmt.report.results.analyses import Estimate
from lskd_nmt.report.tables.texts import NONE
from lskd_nmt.storage.typed import Json, from_json

Row = Mapping[str, Estimate | Json]  # a line of a table, by column
DIGITS = ".3g"
SHORT = {"ece", "mce", "nll"}


def text(value: Estimate | Json) -> str:
    """A number, an estimate with its interval, a list of them, or a text; – for any other object, and for nothing."""
    if isinstance(value, dict) and {"value", "low", "high"} <= set(value):
        value = from_json(Estimate, value, "estimate")
    if isinstance(value, Estimate):
        return estimate(value)
    if isinstance(value, list):
        return ", ".join(map(text, value))
    if isinstance(value, float):
        return f"{value:{DIGITS}}"
    return NONE if value is None or isinstance(value, dict) else str(value)


def estimate(of: Estimate) -> str:
    """`0.062 [0.056, 0.069]`; with signs where the interval reaches below zero."""
    known = [each for each in (of.value, of.low, of.high) if each is not None]
    sign = "+" if min(known) < 0 else ""
    numbers = [f"{each:{sign}{DIGITS}}" for each in known]
    return numbers[0] + (f" [{numbers[1]}, {numbers[2]}]" if len(numbers) == 3 else "")


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as texts; a column that some lack is a dash there."""
    keys = dict.fromkeys(key for row in rows for key in row)
    lines = [[text(row.get(key)) for key in keys] for row in rows]
    return pd.DataFrame(lines, columns=list(map(heading, keys)), dtype=str)


def heading(key: str) -> str:
    """A column's heading: `ece_mass_15` becomes `ECE mass 15`."""
    return " ".join(word.upper() if word in SHORT else word for word in key.split("_"))
