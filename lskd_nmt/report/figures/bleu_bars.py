"""The main metric of every row of a results table, such as BLEU, as a figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import SHAPES, colours_of, tidy
from lskd_nmt.report.results.records import Cell, Number, ResultsTable
from lskd_nmt.report.results.rows import label, row_title
from lskd_nmt.report.tables.texts import score


def bleu(table: ResultsTable) -> Figure:
    """The main metric of every cell of a table: a dot for each seed, a line for the interval, a colour for LS."""
    cells = table.cells
    scores = {row.member: row.scores[table.main] for row in table.rows}
    colours = colours_of([cell.setting.label_smoothing for cell in cells])
    figure = Figure(figsize=(7, 0.9 + 0.42 * len(cells)))
    axes = figure.subplots()
    for height, cell in enumerate(cells):
        seeds = [scores[name] for name in cell.members]
        draw(axes, height, cell, seeds, colours[cell.setting.label_smoothing], table.main)
    axes.set_yticks(range(len(cells)), [row_title(cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.margins(x=0.08)
    has_intervals = any(cell.interval for cell in cells)
    axes.set_xlabel(table.axis + "; line: 95 % interval" * has_intervals)
    axes.set_title(table.name, loc="left", fontsize=11)
    tidy(axes, grid="y")
    return figure


def draw(axes: Axes, height: int, cell: Cell, seeds: list[Number], colour: str, main: str) -> None:
    """One cell: its interval, the score of each seed, and the mean as text."""
    if cell.interval:
        axes.hlines(height, *cell.interval, color=colour, linewidth=1.5)
    axes.plot(
        seeds,
        [height] * len(seeds),
        linestyle="none",
        markersize=7,
        alpha=0.85,
        color=colour,
        marker=SHAPES[label(cell.setting)],
    )
    place = (1.01, height)
    axes.annotate(score(cell.scores[main]), place, xycoords=("axes fraction", "data"), va="center", fontsize=9)
