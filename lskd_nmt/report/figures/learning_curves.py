"""Validation loss and BLEU after each epoch, as a figure."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lskd_nmt.errors import require
from lskd_nmt.experiment import history
from lskd_nmt.experiment.records import CurvePoint
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures.style import COLOURS, FAINT, STYLES, tidy
from lskd_nmt.report.results.rows import label, setting

FEW = 8  # rows that can be told apart by their colours
NAMED = 24  # rows with panels of their own
WIDEST = 6  # panels in a line
NOTED = " (ring: trained on from here)"
TITLES = ("validation loss, one-hot (bits per subword)", "validation BLEU, greedy")  # of the two panels

Curves = Mapping[str, Sequence[CurvePoint]]  # by the model's name
Rows = Mapping[str, Sequence[str]]  # names of models by that of their row
Ends = Mapping[str, frozenset[int]]  # by the model's name: epochs at which its training had ended, and went on later


def curves(folder: Path) -> Figure:
    """Validation loss and greedy BLEU after each epoch, a line for each model that has begun; seeds look alike.

    A ring is where a training had ended before it went on (`max-epoch` was raised, for example).

    Up to `FEW` rows have a colour each, in one panel of loss and one of BLEU; of more each has small panels of its own,
    with all others in grey. Of more than `NAMED` rows teachers, the student without KD and the best have panels.
    """
    run = Run(folder)
    models = [model for model in run.models if (run.model_folder(model.name) / "curve.json").is_file()]
    begun = {model.name: run.curve(model.name) for model in models}
    require(bool(begun), f"{folder} has no learning curve: run experiments/steps/train.sh first")
    ends = {name: prolonged(run.model_folder(name)) for name in begun}
    rows: dict[str, list[str]] = {}
    for name in begun:
        rows.setdefault(without_seed(name), []).append(name)
    if len(rows) <= FEW:
        return two_panels(begun, rows, ends)
    students = {without_seed(model.name) for model in run.models if label(setting(model)) == "student"}
    named = in_colour({row: [best_bleu(begun[name]) for name in names] for row, names in rows.items()}, students)
    return small_panels(begun, rows, named, ends)


def two_panels(begun: Curves, rows: Rows, ends: Ends) -> Figure:
    """All rows in a panel of loss and in one of BLEU, each row in a colour."""
    figure = Figure(figsize=(10, 4))
    panels = figure.subplots(1, 2)
    for number, (row, names) in enumerate(rows.items()):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
        for name in names:
            text = titled(row, names) if name == names[0] else f"_{name}"
            for axes, points in zip(panels, points_of(begun[name]), strict=True):
                axes.plot(*points, label=text, marker=".", linewidth=1.4, color=colour, linestyle=style)
                ring(axes, points, ends[name], colour)
    for axes, title in zip(panels, TITLES, strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel(f"epoch{NOTED if any(ends.values()) else ''}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes, grid="y")
    panels[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    return figure


def small_panels(begun: Curves, rows: Rows, named: Sequence[str], ends: Ends) -> Figure:
    """A small panel of loss and one of BLEU for each named row, with the lines of all models in grey behind it."""
    lines = -(-len(named) // WIDEST)
    columns = -(-len(named) // lines)
    figure = Figure(figsize=(2.05 * columns, 1.75 * lines * 2 + 0.8), layout="constrained")
    for block in range(2):
        part = figure.add_subfigure(figure.add_gridspec(2, 1)[block])
        noted = NOTED if any(ends.values()) else ""
        part.suptitle(f"{TITLES[block]}, by epoch{noted}; grey: all other models", x=0.01, ha="left", fontsize=11)
        grid = list(part.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
        for axes, row in zip(grid, named, strict=False):
            for name in begun:
                axes.plot(*points_of(begun[name])[block], label=f"_{name}", color=FAINT, linewidth=0.4, zorder=1)
            for name in rows[row]:
                points = points_of(begun[name])[block]
                axes.plot(*points, label=name, marker=".", linewidth=1.2, color=COLOURS[0])
                ring(axes, points, ends[name], COLOURS[0])
            axes.set_title(titled(row, rows[row]), loc="left", fontsize=7, parse_math=False)
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.tick_params(labelsize=7)
            tidy(axes, grid="y")
        for axes in grid[len(named) :]:
            axes.set_axis_off()
    return figure


def prolonged(folder: Path) -> frozenset[int]:
    """The epochs at which a model's training had ended before it went on."""
    last = max((epoch.epoch for epoch in history.curve_of(folder)), default=0)
    return frozenset(entry.epochs for entry, is_on in history.earlier(folder) if is_on and entry.epochs < last)


def ring(axes: Axes, points: tuple[list[int], list[float]], epochs: frozenset[int], colour: str) -> None:
    """Mark the points of some epochs with a ring."""
    found = [(at, value) for at, value in zip(*points, strict=True) if at in epochs]
    if found:
        where = [list(each) for each in zip(*found, strict=True)]
        axes.plot(*where, label="_", marker="o", markersize=8, fillstyle="none", linestyle="none", color=colour)


def titled(row: str, names: Sequence[str]) -> str:
    """What a row is called: its model, or how many seeds it has."""
    return names[0] if len(names) == 1 else f"{row} ({len(names)} seeds)"


def without_seed(name: str) -> str:
    """A model's name without its seed: `student-plain` of `student-plain-s1`."""
    return name.rsplit("-s", 1)[0]


def points_of(curve: Sequence[CurvePoint]) -> list[tuple[list[int], list[float]]]:
    """Epochs and values in each panel, of the epochs that have a value."""
    values = [[epoch.valid_nll_loss for epoch in curve], [epoch.valid_bleu for epoch in curve]]
    known = [[(at.epoch, one) for at, one in zip(curve, each, strict=True) if one is not None] for each in values]
    return [([epoch for epoch, _ in each], [value for _, value in each]) for each in known]


def best_bleu(curve: Sequence[CurvePoint]) -> float:
    """The highest of a curve; 0 where none was measured."""
    return max((epoch.valid_bleu for epoch in curve if epoch.valid_bleu is not None), default=0.0)


def in_colour(scores: Mapping[str, Sequence[float]], students: Container[str]) -> list[str]:
    """The rows that have panels, in their order: all, or those to compare with and the best of the students."""
    fixed = [row for row in scores if row not in students]
    others = sorted(scores.keys() - set(fixed), key=lambda row: (-sum(scores[row]) / len(scores[row]), row))
    kept = {*fixed, *(others if len(scores) <= NAMED else others[: max(NAMED - len(fixed), 0)])}
    return [row for row in scores if row in kept]
