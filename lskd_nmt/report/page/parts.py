"""What a page is made of: sections with tables, drawings and notes. All text is plain; the template escapes it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from lskd_nmt.report.tables.numbers import number, numeric, pieces

LONG = 30  # rows from which on a table scrolls in a box of its own


@dataclass(frozen=True)
class TableCell:
    """A table's text, the number by which it is sorted, and the fragment that it leads to."""

    text: str
    sort: float | None = None
    link: str | None = None

    @property
    def pieces(self) -> list[str]:
        """The text in parts that no line may break."""
        return pieces(self.text)


@dataclass(frozen=True)
class Table:
    """Texts in rows; `numeric` says of each column whether it is sorted as numbers.

    Columns that `chosen` names are shown or hidden by the reader; those that it has as False are hidden at first.
    """

    id: str
    caption: str
    columns: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[TableCell]]
    notes: Sequence[str] = ()  # one click away
    chosen: Mapping[str, bool] = field(default_factory=dict)
    kind = "table"

    @property
    def is_long(self) -> bool:
        """Whether it scrolls in a box of its own."""
        return len(self.rows) >= LONG


@dataclass(frozen=True)
class Drawing:
    """A figure, its caption, and what it shows for those who cannot see it."""

    id: str
    caption: str
    text: str
    figure: Figure
    kind = "drawing"


@dataclass(frozen=True)
class Picture:
    """An SVG file that another verb drew: shown as an image, in which nothing runs."""

    id: str
    caption: str
    svg: str
    pdf: bytes | None
    kind = "picture"


@dataclass(frozen=True)
class Fact:
    """Texts behind a click, such as a command."""

    id: str
    title: str
    lines: Sequence[tuple[str, str]]  # (what it is, the text)
    kind = "fact"


@dataclass(frozen=True)
class Folded:
    """Parts behind a click."""

    id: str
    title: str
    parts: Sequence["Part"]
    kind = "folded"


@dataclass(frozen=True)
class Choice:
    """Parts for each of several names, such as test sets, of which the reader sees those of one; all on paper.

    A page's choices of one `label` change together.
    """

    id: str
    label: str
    options: Mapping[str, Sequence["Part"]]
    kind = "choice"


Part = Table | Drawing | Picture | Fact | Folded | Choice


def leaves(parts: Sequence[Part]) -> Iterator[Part]:
    """All parts in order, those within others in the place of these."""
    for part in parts:
        if isinstance(part, Folded):
            yield from leaves(part.parts)
        elif isinstance(part, Choice):
            for mine in part.options.values():
                yield from leaves(mine)
        else:
            yield part


@dataclass(frozen=True)
class Opening:
    """What stands on top of a page: its title, what it is about in a line, and its answer in sentences."""

    title: str
    about: str = ""
    sentences: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    id: str
    title: str
    text: str
    parts: Sequence[Part] = field(default_factory=list)


def slug(text: str) -> str:
    """A name as it may stand in an id and in a file name: other signs by their number, so that names stay apart."""
    return re.sub(r"[^\w.-]", lambda found: f"_{ord(found[0]):x}", text, flags=re.ASCII)


def table(
    name: str,
    caption: str,
    frame: pd.DataFrame,
    links: Sequence[str | None] | None = None,
    notes: Sequence[str] = (),
    chosen: Mapping[str, bool] | None = None,
) -> Table:
    """A frame of texts; `links` leads each row's first cell somewhere. See `Table` for `chosen`."""
    columns = [str(column) for column in frame.columns]
    texts = [[str(value) for value in line] for line in frame.itertuples(index=False)]
    return Table(name, caption, columns, numeric(texts, len(columns)), rows(texts, links), notes, chosen or {})


def rows(texts: Sequence[Sequence[str]], links: Sequence[str | None] | None) -> list[list[TableCell]]:
    """A table's cells of its texts; `links` has a fragment, or None, for the first cell of each row."""
    ends = links or [None] * len(texts)
    return [
        [TableCell(text, number(text), link if place == 0 else None) for place, text in enumerate(line)]
        for line, link in zip(texts, ends, strict=True)
    ]
