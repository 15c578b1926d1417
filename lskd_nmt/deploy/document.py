"""A document's lines: what stands around the text of each stays as it is, so that a translation keeps its shape."""

import io
from collections.abc import Iterator
from typing import NamedTuple


class Framed(NamedTuple):
    """A line: the white space that it begins with, its text, and the white space that it ends with, its end included.

    Of a blank line all is `before`.
    """

    before: str
    text: str
    after: str

    def around(self, text: str) -> str:
        """Another text in the place of this one."""
        return f"{self.before}{text}{self.after}"


def framed(line: str) -> Framed:
    """A line in its parts, which together are the line."""
    text = line.strip()
    begin = len(line) - len(line.lstrip())
    return Framed(line[:begin], text, line[begin + len(text) :])


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text with their ends; only a line feed ends a line."""
    return iter(io.StringIO(text, newline="\n"))
