"""The figure of what the main metric costs, such as BLEU: against parameters and against hours of training."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lskd_nmt.report.figures.style import COLOURS, SHAPES, tidy
from lskd_nmt.report.results.records import Cell, Number, ResultsTable
from lskd_nmt.report.results.rows import label, row_title

SIZES = (7, 10, 13)  # of markers that would else look the same


def figure(table: ResultsTable) -> Figure | None:
    """A panel for each cost that all cells know: parameters, CPU hours, GPU hours."""
    panels = {title: values for title, values in costs(table.cells).items() if all(values)}
    if not panels:
        return None
    drawn = Figure(figsize=(4.2 * len(panels) + 2.6, 4), layout="constrained")
    grid = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, values) in zip(grid, panels.items(), strict=True):
        panel(axes, table, [value or 0.0 for value in values])
        axes.set_xlabel(f"{title} (logarithmic)")
    grid[0].set_ylabel(table.axis)
    handles, names = grid[0].get_legend_handles_labels()
    drawn.legend(handles, names, loc="outside right upper", frameon=False, fontsize=8)
    return drawn


def costs(cells: Sequence[Cell]) -> dict[str, list[float | None]]:
    """Each cost by its title: millions of parameters, and the mean hours of a seed."""
    return {
        "parameters, millions": [share(cell.parameters, 1e6) for cell in cells],
        "CPU hours of a training": [share(cell.cpu_hours, len(cell.seeds)) for cell in cells],
        "GPU hours of a training": [share(cell.gpu_hours, len(cell.seeds)) for cell in cells],
    }


def share(value: Number | None, of: Number) -> float | None:
    """A value divided by another, if it is known."""
    return None if value is None else value / of


def panel(axes: Axes, table: ResultsTable, values: Sequence[float]) -> None:
    """One point for each cell, with the interval of its score."""
    for number, (cell, value) in enumerate(zip(table.cells, values, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        size = SIZES[number // len(COLOURS) % len(SIZES)]
        if cell.interval:
            axes.vlines(value, *cell.interval, color=colour, linewidth=1, alpha=0.6)
        axes.plot(
            [value],
            [cell.scores[table.main].mean],
            linestyle="none",
            marker=SHAPES[label(cell.setting)],
            markersize=size,
            color=colour,
            alpha=0.85,
            label=row_title(cell),
        )
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    tidy(axes, grid="both")
