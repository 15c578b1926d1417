"""Figures of a run folder, in colours that colour-blind readers tell apart; the same input gives the same file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lskd_nmt.errors import writing

T = TypeVar("T")

# Okabe & Ito 2008, without yellow, which is faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v")  # of a figure's lines, in their order
SHAPES = {"teacher": "s", "student without KD": "D", "student": "o"}
GREY, FAINT = "#666666", "#bbbbbb"
PAPER = ("png", "svg", "pdf")
UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save(figure: Figure, stem: Path, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write STEM.png, STEM.svg or what else is wanted, each whole or not at all."""
    files = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    for file in files:
        part = file.with_name(f"{file.name}.part")
        with writing(file), mpl.rc_context({"svg.hashsalt": "lskd_nmt"}):
            try:
                kind = file.suffix[1:]
                figure.savefig(part, format=kind, dpi=150, bbox_inches="tight", metadata=UNDATED.get(kind))
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    return files


def colours_of(values: Sequence[T]) -> dict[T | None, str]:
    """A colour for each distinct value, in order of appearance; grey for None."""
    distinct = [value for value in dict.fromkeys(values) if value is not None]
    return {None: GREY, **{value: COLOURS[index % len(COLOURS)] for index, value in enumerate(distinct)}}


def tidy(axes: Axes, grid: Literal["x", "y", "both"] | None = None) -> None:
    """No box around the data, and faint lines across one axis or both."""
    if grid is not None:
        axes.grid(axis=grid, color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def doublings(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis of x, marked at these values alone."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def verbatim(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
