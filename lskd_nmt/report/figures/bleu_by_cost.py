"""The figure of what BLEU costs: against parameters and against hours of training."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lskd_nmt.report.figures.style import COLOURS, SHAPES, tidy
from lskd_nmt.report.results.rows import label, row_title

SIZES = (7, 10, 13)  # of markers that would else look the same


def figure(content: Mapping[str, Any]) -> Figure | None:
    """A panel for each cost that all cells know: parameters, CPU hours, GPU hours."""
    cells = content["cells"]
    known = {
        title: [amount(cell, name) for cell in cells]
        for name, title in (
            ("parameters", "parameters, millions"),
            ("cpu_hours", "CPU hours of a training"),
            ("gpu_hours", "GPU hours of a training"),
        )
    }
    panels = {title: values for title, values in known.items() if all(values)}
    if not panels:
        return None
    drawn = Figure(figsize=(4.2 * len(panels) + 2.6, 4), layout="constrained")
    grid = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, values) in zip(grid, panels.items(), strict=True):
        panel(axes, cells, [value or 0.0 for value in values])
        axes.set_xlabel(f"{title} (logarithmic)")
    grid[0].set_ylabel("BLEU (sacreBLEU, test set)")
    handles, names = grid[0].get_legend_handles_labels()
    drawn.legend(handles, names, loc="outside right upper", frameon=False, fontsize=8)
    return drawn


def amount(cell: Mapping[str, Any], name: str) -> float | None:
    """Millions of parameters, or the mean hours of a seed."""
    value = cell[name]
    return None if value is None else value / 1e6 if name == "parameters" else value / len(cell["seeds"])


def panel(axes: Axes, cells: Sequence[Mapping[str, Any]], values: Sequence[float]) -> None:
    """One point for each cell, with the interval of its BLEU."""
    for number, (cell, value) in enumerate(zip(cells, values, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        size = SIZES[number // len(COLOURS) % len(SIZES)]
        if cell["interval"]:
            axes.vlines(value, *cell["interval"], color=colour, linewidth=1, alpha=0.6)
        axes.plot(
            [value],
            [cell["bleu"]["mean"]],
            linestyle="none",
            marker=SHAPES[label(cell)],
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
    axes.grid(color="#dddddd", linewidth=0.8)
    tidy(axes)
