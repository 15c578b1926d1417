"""The figure of methods by the main metric, the best on top, beside plain students and word-level distillation."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import GREY, colours_of, tidy
from lskd_nmt.report.results.records import Cell, Number, ResultsTable
from lskd_nmt.report.results.rows import PLAIN, label, row_title
from lskd_nmt.report.tables.texts import score

WORD_KD = "word_kd"  # the method that the others are to beat
SHIFT = 0.22  # of the seeds under their mean
ROOM = 2.0  # points beside the scores for intervals, or as much as the scores span: those of two seeds are far longer


def figure(table: ResultsTable) -> Figure | None:
    """A row for each method and teacher; None if no student has a method."""
    cells = [cell for cell in table.cells if cell.setting.method]
    if not cells:
        return None
    cells.sort(key=lambda cell: cell.scores[table.main].mean, reverse=table.is_better_higher(table.main))
    colours = colours_of(sorted({alpha for cell in cells if (alpha := cell.setting.label_smoothing) is not None}))
    drawn = Figure(figsize=(8, 1.6 + 0.42 * len(cells)), layout="constrained")
    axes = drawn.subplots()
    for height, cell in enumerate(cells):
        dots(axes, height, cell, colours[cell.setting.label_smoothing], table)
    references(axes, table, colours)
    axes.set_yticks(range(len(cells)), [row_title(cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    ends, is_cut = limits(cells, drawn_scores(table, cells))
    axes.set_xlim(*ends)
    axes.set_xlabel(
        f"{table.axis}, mean over seeds; small: each seed; thick line: ± standard deviation;\n"
        f"thin line: 95 % interval{', cut at the frame' * is_cut}"
    )
    axes.set_title(table.name, loc="left", fontsize=11)
    tidy(axes, grid="y")
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def drawn_scores(table: ResultsTable, cells: Sequence[Cell]) -> list[Number]:
    """Every seed's score, the ends of every deviation, and the student without KD."""
    plain = [cell.scores[table.main].mean for cell in table.cells if label(cell.setting) == PLAIN]
    means = [cell.scores[table.main] for cell in cells]
    around = [mean.mean + sign * (mean.deviation or 0) for mean in means for sign in (-1, 1)]
    return [*plain, *around, *(score for cell in cells for score in seeds(table, cell))]


def limits(cells: Sequence[Cell], scores: Sequence[Number]) -> tuple[tuple[float, float], bool]:
    """The ends of the axis, which shows intervals as far as there is room; and whether one is cut."""
    low, high = min(scores), max(scores)
    room = max(high - low, ROOM)
    ends = [end for cell in cells for end in cell.interval or ()]
    left, right = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    margin = 0.04 * (right - left)
    return (left - margin, right + margin), any(not left <= end <= right for end in ends)


def seeds(table: ResultsTable, cell: Cell) -> list[Number]:
    """The score of each seed of a cell."""
    return [row.scores[table.main] for row in table.rows if row.member in cell.members]


def dots(axes: Axes, height: int, cell: Cell, colour: str, table: ResultsTable) -> None:
    """A cell's mean with its interval and its deviation, its seeds below, and its score as text."""
    found, scores = cell.scores[table.main], seeds(table, cell)
    mean, deviation = found.mean, found.deviation
    if cell.interval:
        axes.hlines(height, *cell.interval, color=colour, linewidth=1.2)
    if deviation is not None:
        axes.hlines(height, mean - deviation, mean + deviation, color=colour, linewidth=3.5)
    axes.plot([mean], [height], linestyle="none", marker="o", markersize=7, color=colour)
    if len(scores) > 1:
        axes.plot(
            scores, [height + SHIFT] * len(scores), linestyle="none", marker=".", markersize=5, alpha=0.7, color=colour
        )
    place = (1.01, height)
    axes.annotate(score(found), place, xycoords=("axes fraction", "data"), va="center", fontsize=9)


def references(axes: Axes, table: ResultsTable, colours: Mapping[Number | None, str]) -> None:
    """A dotted line for each student without KD, a dashed one for word-level distillation by each teacher."""
    for cell in table.cells:
        mean, smoothing = cell.scores[table.main].mean, cell.setting.label_smoothing
        if label(cell.setting) == PLAIN:
            axes.axvline(mean, color=GREY, linewidth=1, linestyle=":", label=row_title(cell))
        if cell.setting.method == WORD_KD:
            axes.axvline(mean, color=colours[smoothing], linewidth=1, linestyle="--", label=row_title(cell))
