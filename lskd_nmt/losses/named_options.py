"""Options that are written NAME:NUMBER:NUMBER…, such as `jsd:0.5`, `global:0.5:30000` and `linear:0:1000`: one parser.

A table gives each name its parameters, with the interval of each; what is not in the table, or out of an interval, is
refused in one line that says what would do. `numbers` alone reads options that have numbers and no name (`0.5:0.5`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lskd_nmt.errors import LskdError, require


@dataclass(frozen=True)
class Parameter:
    """A number after a name: its letter in messages, the interval in which it lies, and one that is usual."""

    letter: str
    low: float
    high: float
    example: float
    low_included: bool = False
    high_included: bool = False
    whole: bool = False  # 3e4 is a whole number, too

    def read(self, text: str) -> float | None:
        """The number, or None if the text is no number of the interval; NaN is in none."""
        try:
            value = float(text)
        except ValueError:
            return None
        inside = self.low < value < self.high
        inside |= (self.low_included and value == self.low) or (self.high_included and value == self.high)
        return value if inside and (not self.whole or value.is_integer()) else None

    def __str__(self) -> str:
        """The interval as a message has it: `B between 0 and 1`, `R above 0 and at most 1`."""
        if self.high_included:
            low = f"from {self.low:g}" if self.low_included else f"above {self.low:g} and"
            words = f"{low} {'to' if self.low_included else 'at most'} {self.high:.9g}"
        elif self.low_included:
            words = f"from {self.low:g} to below {self.high:g}"
        else:
            words = f"between {self.low:g} and {self.high:g}"
        return f"{self.letter} {words}{' and whole' if self.whole else ''}"


Forms = Mapping[str, Sequence[Parameter]]


def numbers(text: str, parameters: Sequence[Parameter], optional: int = 0) -> tuple[float, ...] | None:
    """The numbers between colons, or None if one is out of its interval; the last `optional` ones may be left out."""
    parts = text.split(":") if text else []
    if not len(parameters) - optional <= len(parts) <= len(parameters):
        return None
    found = [parameter.read(part) for parameter, part in zip(parameters, parts, strict=False)]
    return None if None in found else tuple(value for value in found if value is not None)


def form(name: str, parameters: Sequence[Parameter]) -> str:
    """How an option is written: `jsd:B`."""
    return ":".join([name, *(parameter.letter for parameter in parameters)])


def forms(table: Forms) -> list[str]:
    """How each option of a table is written."""
    return [form(name, parameters) for name, parameters in table.items()]


def named(flag: str, text: str, table: Forms) -> tuple[str, tuple[float, ...]]:
    """The name and the numbers of `text`; one line about the flag if the table has no such option."""
    name, _, rest = text.partition(":")
    require(name in table, f"{flag} is {text}: give one of {', '.join(forms(table))}")
    parameters = table[name]
    found = numbers(rest, parameters)
    if found is not None:
        return name, found
    if not parameters:
        raise LskdError(f"{flag} is {text}: {name} has no parameter, give {name}")
    example = ":".join([name, *(f"{parameter.example:.9g}" for parameter in parameters)])
    intervals = ", ".join(map(str, parameters))
    raise LskdError(f"{flag} is {text}: give {form(name, parameters)} with {intervals}, as {example}")
