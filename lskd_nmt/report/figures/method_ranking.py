"""The figure of methods: BLEU of each, the best on top, beside the student without KD and word-level distillation."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import GREY, colours_of, tidy
from lskd_nmt.report.results.rows import label, method, row_title
from lskd_nmt.report.tables.tables import score

WORD_KD = "word_kd"  # the method that the others are to beat
SHIFT = 0.22  # of the seeds under their mean
ROOM = 2.0  # BLEU beside the scores for intervals, or as much as the scores span: those of two seeds are far longer

Cell = Mapping[str, Any]


def figure(content: Mapping[str, Any]) -> Figure | None:
    """A row for each method and teacher; None if no student has a method."""
    cells = sorted((cell for cell in content["cells"] if method(cell)), key=lambda cell: -float(cell["bleu"]["mean"]))
    if not cells:
        return None
    colours = colours_of(sorted({cell["label_smoothing"] for cell in cells if cell["label_smoothing"] is not None}))
    drawn = Figure(figsize=(8, 1.6 + 0.42 * len(cells)), layout="constrained")
    axes = drawn.subplots()
    for height, cell in enumerate(cells):
        dots(axes, height, cell, colours[cell["label_smoothing"]], seeds(content, cell))
    references(axes, content["cells"], colours)
    axes.set_yticks(range(len(cells)), [row_title(cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    ends, is_cut = limits(cells, drawn_scores(content, cells))
    axes.set_xlim(*ends)
    axes.set_xlabel(
        "BLEU (sacreBLEU, test set), mean over seeds; small: each seed; thick line: ± standard deviation;\n"
        f"thin line: 95 % interval{', cut at the frame' * is_cut}"
    )
    axes.set_title(content["name"], loc="left", fontsize=11)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    tidy(axes)
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def drawn_scores(content: Mapping[str, Any], cells: Sequence[Cell]) -> list[float]:
    """Every seed's BLEU, the ends of every deviation, and the student without KD."""
    plain = [cell["bleu"]["mean"] for cell in content["cells"] if label(cell) == "student without KD"]
    around = [cell["bleu"]["mean"] + sign * (cell["bleu"]["deviation"] or 0) for cell in cells for sign in (-1, 1)]
    return [*plain, *around, *(score for cell in cells for score in seeds(content, cell))]


def limits(cells: Sequence[Cell], scores: Sequence[float]) -> tuple[tuple[float, float], bool]:
    """The ends of the axis, which shows intervals as far as there is room; and whether one is cut."""
    low, high = min(scores), max(scores)
    room = max(high - low, ROOM)
    ends = [end for cell in cells for end in cell["interval"] or []]
    left, right = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    margin = 0.04 * (right - left)
    return (left - margin, right + margin), any(not left <= end <= right for end in ends)


def seeds(content: Mapping[str, Any], cell: Cell) -> list[float]:
    """The BLEU of each seed of a cell."""
    return [row["bleu"] for row in content["rows"] if f"{row['run']}/{row['name']}" in cell["members"]]


def dots(axes: Axes, height: int, cell: Cell, colour: str, scores: Sequence[float]) -> None:
    """A cell's mean with its interval and its deviation, its seeds below, and its score as text."""
    mean, deviation = cell["bleu"]["mean"], cell["bleu"]["deviation"]
    if cell["interval"]:
        axes.hlines(height, *cell["interval"], color=colour, linewidth=1.2)
    if deviation is not None:
        axes.hlines(height, mean - deviation, mean + deviation, color=colour, linewidth=3.5)
    axes.plot([mean], [height], linestyle="none", marker="o", markersize=7, color=colour)
    if len(scores) > 1:
        axes.plot(
            scores, [height + SHIFT] * len(scores), linestyle="none", marker=".", markersize=5, alpha=0.7, color=colour
        )
    axes.annotate(score(cell["bleu"]), (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=9)


def references(axes: Axes, cells: Sequence[Cell], colours: Mapping[Any, str]) -> None:
    """A dotted line for each student without KD, a dashed one for word-level distillation by each teacher."""
    for cell in cells:
        if label(cell) == "student without KD":
            axes.axvline(cell["bleu"]["mean"], color=GREY, linewidth=1, linestyle=":", label=row_title(cell))
        if method(cell) == WORD_KD:
            colour = colours[cell["label_smoothing"]]
            axes.axvline(cell["bleu"]["mean"], color=colour, linewidth=1, linestyle="--", label=row_title(cell))
