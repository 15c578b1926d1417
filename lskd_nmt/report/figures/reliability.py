"""Figures of calibration: accuracy against confidence in bins, and how entropy is distributed."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import COLOURS, GREY, STYLES, tidy, verbatim
from lskd_nmt.report.results.analyses import Bins, Histogram

COLUMNS = 3


def diagrams(found: Mapping[str, Bins]) -> Figure:
    """A panel for each model, by its name."""
    columns, lines = min(COLUMNS, len(found)), -(-len(found) // COLUMNS)
    drawn = Figure(figsize=(3.2 * columns, 3.3 * lines), layout="constrained")
    grid = drawn.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (name, each) in zip(grid.flat, found.items(), strict=False):
        panel(axes, each)
        axes.set_title(name, loc="left", fontsize=9, parse_math=False)
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    return drawn


def panel(axes: Axes, bins: Bins) -> None:
    """Accuracy against confidence, the gap to the diagonal, and bars for the share of tokens."""
    total = sum(bins.count)
    counts, xs, ys = ([each[at] for each in bins.filled] for at in range(3))
    axes.bar(xs, [count / total for count in counts], width=0.03, color=COLOURS[5], label="share of tokens")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    axes.vlines(xs, ys, xs, color=COLOURS[1], linewidth=1.2)
    axes.plot(xs, ys, color=COLOURS[0], marker="o", markersize=4, linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence", ylabel="accuracy; bars: share of tokens")
    tidy(axes)


def histograms(found: Mapping[str, Histogram]) -> Figure:
    """A line for each model: the share of tokens in each bin of entropy."""
    drawn = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = drawn.subplots()
    for number, (name, each) in enumerate(found.items()):
        total = sum(each.count) or 1
        axes.stairs(
            [count / total for count in each.count],
            each.edges,
            label=verbatim(name),
            linewidth=1.4,
            color=COLOURS[number % len(COLOURS)],
            linestyle=STYLES[number // len(COLOURS) % len(STYLES)],
        )
    axes.set(xlabel="entropy of the next token (nats)", ylabel="share of tokens")
    drawn.legend(loc="outside right upper", frameon=False, fontsize=9)
    tidy(axes)
    return drawn
