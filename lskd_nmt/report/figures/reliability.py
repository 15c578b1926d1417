"""Figures of calibration: accuracy against confidence in bins, and how entropy is distributed."""

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import COLOURS, FAINT, GREY, STYLES, tidy, verbatim
from lskd_nmt.report.results.analyses import Bins, Histogram

WIDEST = 6  # panels in a line
FEW = 8  # lines that can be told apart in one panel


def panels(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel of each name, in lines of about the same number; the fewer the larger."""
    lines = -(-len(names) // WIDEST)
    columns = -(-len(names) // lines)
    size = 3.3 if columns < 4 else 12.4 / columns
    drawn = Figure(figsize=(size * columns, (size + 0.15) * lines), layout="constrained")
    grid = list(drawn.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, names, strict=False):
        text = "\n".join(textwrap.wrap(name, int(size * 12)))  # letters of this size that are as wide as the panel
        axes.set_title(text, loc="left", fontsize=8, parse_math=False)
        axes.tick_params(labelsize=8)
    return drawn, grid[: len(names)]


def diagrams(found: Mapping[str, Sequence[Bins]]) -> Figure:
    """A panel for each setting, by its name: its seeds together, and each as a thin line."""
    drawn, grid = panels(list(found))
    for axes, seeds in zip(grid, found.values(), strict=True):
        panel(axes, seeds)
    drawn.supxlabel("confidence", fontsize=9)
    drawn.supylabel("accuracy; bars: share of tokens", fontsize=9)
    return drawn


def together(seeds: Sequence[Bins]) -> Bins:
    """The tokens of all seeds in the same bins; those of the first seed where the numbers of bins differ."""
    alike = [each for each in seeds if len(each.count) == len(seeds[0].count)]
    counts = [sum(counts) for counts in zip(*(each.count for each in alike), strict=True)]

    def mean(name: str) -> tuple[float | None, ...]:
        """The mean over all tokens of a bin; None where none has any."""
        values = zip(*(getattr(each, name) for each in alike), strict=True)
        weights = zip(*(each.count for each in alike), strict=True)
        return tuple(
            sum(n * (value or 0) for n, value in zip(ns, mine, strict=True)) / total if total else None
            for ns, mine, total in zip(weights, values, counts, strict=True)
        )

    return Bins(count=tuple(counts), confidence=mean("confidence"), accuracy=mean("accuracy"))


def panel(axes: Axes, seeds: Sequence[Bins]) -> None:
    """Accuracy against confidence, the gap to the diagonal, and bars for the share of tokens."""
    bins = together(seeds)
    total = sum(bins.count)
    counts, xs, ys = ([each[at] for each in bins.filled] for at in range(3))
    axes.bar(xs, [count / total for count in counts], width=0.03, color=COLOURS[5], label="share of tokens")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    axes.vlines(xs, ys, xs, color=COLOURS[1], linewidth=1.2)
    axes.plot(xs, ys, color=COLOURS[0], marker="o", markersize=3, linewidth=1.2)
    for each in seeds if len(seeds) > 1 else ():
        axes.plot(*zip(*((sure, right) for _, sure, right in each.filled), strict=True), color=GREY, linewidth=0.5)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    tidy(axes)


def histograms(found: Mapping[str, Sequence[Histogram]]) -> Figure:
    """The share of tokens in each bin of entropy, of each setting: in one panel if it can be read there, else in many.

    A setting's line is the mean of its seeds, and each of these is a thin line of the same colour.
    """
    return small_histograms(found) if len(found) > FEW else one_histogram(found)


def one_histogram(found: Mapping[str, Sequence[Histogram]]) -> Figure:
    """A line for each setting, with a colour of its own."""
    drawn = Figure(figsize=(9, 3.6), layout="constrained")
    axes = drawn.subplots()
    for number, (name, seeds) in enumerate(found.items()):
        style = STYLES[number // len(COLOURS) % len(STYLES)]
        stairs(axes, seeds, COLOURS[number % len(COLOURS)], style, verbatim(name))
    axes.set(xlabel="entropy of the next token (nats)", ylabel="share of tokens")
    drawn.legend(loc="outside right upper", frameon=False, fontsize=9)
    tidy(axes)
    return drawn


def small_histograms(found: Mapping[str, Sequence[Histogram]]) -> Figure:
    """A panel for each setting, with those of all others behind it."""
    drawn, grid = panels(list(found))
    for axes, seeds in zip(grid, found.values(), strict=True):
        for others in found.values():
            for other in others:
                axes.stairs(shares(other), other.edges, color=FAINT, linewidth=0.4)
        stairs(axes, seeds, COLOURS[0], "-", None)
        tidy(axes)
    drawn.supxlabel("entropy of the next token (nats); grey: all others", fontsize=9)
    drawn.supylabel("share of tokens", fontsize=9)
    return drawn


def stairs(axes: Axes, seeds: Sequence[Histogram], colour: str, style: str, name: str | None) -> None:
    """A setting's mean over seeds with the same edges, and each seed."""
    first, alike = seeds[0], [each for each in seeds if each.edges == seeds[0].edges]
    means = [sum(values) / len(alike) for values in zip(*map(shares, alike), strict=True)]
    for each in seeds if len(seeds) > 1 else ():
        axes.stairs(shares(each), each.edges, color=colour, linewidth=0.4, alpha=0.6)
    axes.stairs(means, first.edges, label=name, linewidth=1.4, color=colour, linestyle=style)


def shares(histogram: Histogram) -> list[float]:
    """The share of tokens in each bin."""
    total = sum(histogram.count) or 1
    return [count / total for count in histogram.count]
