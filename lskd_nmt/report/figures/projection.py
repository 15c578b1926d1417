"""The figure of `lskd project`: a panel for each model and split, tokens of three words and their centroids."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lskd_nmt.report.figures.style import COLOURS, tidy, verbatim
from lskd_nmt.report.results.analyses import ProjectedModel, ProjectedSplit, Projection

MARKERS = ("o", "s", "^")
WIDTH, HEIGHT = 2.9, 2.8  # of a panel, inches
ROOM = 0.05  # around the points, a share of their extent


def figure(content: Projection) -> Figure:
    """Columns are models, rows are train and, where there, valid; a column has one scale, that of its model."""
    models = content.models
    splits = [name for name in ("train", "valid") if any(name in each.splits for each in models.values())]
    drawn = Figure(figsize=(WIDTH * len(models) + 0.3, HEIGHT * len(splits) + 0.9), layout="constrained")
    grid = drawn.subplots(len(splits), len(models), squeeze=False)
    for column, (name, each) in enumerate(models.items()):
        for row, split in enumerate(splits):
            axes = grid[row][column]
            if split not in each.splits:
                axes.set_axis_off()
                continue
            panel(axes, each.splits[split])
            limits(axes, each)
        share = 100 * sum(each.explained_variance)
        grid[0][column].set_title(f"{verbatim(name)}\n{share:.0f} % of the variance", loc="left", fontsize=9)
    for row, split in enumerate(splits):
        grid[row][0].set_ylabel(split)
    drawn.legend(handles=handles(content, splits), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return drawn


def panel(axes: Axes, split: ProjectedSplit) -> None:
    """The points of one split, and a star for each centroid."""
    for points, colour, marker in zip(split.points, COLOURS, MARKERS, strict=False):
        xs, ys = zip(*points, strict=True)
        axes.scatter(xs, ys, s=9, color=colour, marker=marker, alpha=0.45, linewidth=0)
    for (x, y), colour in zip(split.centroids, COLOURS, strict=False):
        axes.scatter([x], [y], s=150, color=colour, marker="*", edgecolor="black", linewidth=0.8, zorder=3)
    pair, *far = split.distances
    text = f"pair's distance {2 * pair / sum(far):.2f} of that to the third"
    axes.set_xlabel(text, fontsize=8)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
    axes.grid(color="#dddddd", linewidth=0.6)
    tidy(axes)


def limits(axes: Axes, model: ProjectedModel) -> None:
    """A square around all points of a model, the same for both of its splits."""
    points = [point for split in model.splits.values() for of_word in split.points for point in of_word]
    sides = [(min(values), max(values)) for values in zip(*points, strict=True)]
    half = (0.5 + ROOM) * max(high - low for low, high in sides) or 1.0
    (left, right), (bottom, top) = (((low + high) / 2 - half, (low + high) / 2 + half) for low, high in sides)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def handles(content: Projection, splits: Sequence[str]) -> list[Line2D]:
    """The legend: a word each, with its points in each split, and the star."""
    counts = zip(*(content.occurrences[split] for split in splits), strict=True)
    words = [
        Line2D(
            [],
            [],
            linestyle="none",
            color=colour,
            marker=marker,
            label=f"{verbatim(token)} ({' + '.join(map(str, points))})",
        )
        for token, points, colour, marker in zip(content.tokens, counts, COLOURS, MARKERS, strict=False)
    ]
    star = Line2D([], [], linestyle="none", color="white", marker="*", markersize=11, markeredgecolor="black")
    star.set_label("centroid")
    return [*words, star]
