"""Validation loss and BLEU after each epoch, as a figure."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lskd_nmt.errors import require
from lskd_nmt.experiment.records import CurvePoint
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures.style import COLOURS, FAINT, STYLES, tidy
from lskd_nmt.report.results.rows import label, setting

NAMED = 14  # rows with a colour of their own in learning curves
TITLES = ("validation loss, one-hot (bits per subword)", "validation BLEU, greedy")  # of the two panels

Curves = Mapping[str, Sequence[CurvePoint]]  # by the model's name


def curves(folder: Path) -> Figure:
    """Validation loss and greedy BLEU after each epoch, a line for each model that has begun; seeds look alike.

    Of more than `NAMED` rows teachers, the student without KD and the best have a colour.
    """
    run = Run(folder)
    models = [model for model in run.models if (run.model_folder(model.name) / "curve.json").is_file()]
    begun = {model.name: run.curve(model.name) for model in models}
    require(bool(begun), f"{folder} has no learning curve: run experiments/steps/train.sh first")
    rows: dict[str, list[str]] = {}
    for name in begun:
        rows.setdefault(without_seed(name), []).append(name)
    students = {without_seed(model.name) for model in run.models if label(setting(model)) == "student"}
    named = in_colour({row: [best_bleu(begun[name]) for name in names] for row, names in rows.items()}, students)
    figure = Figure(figsize=(10, 4))
    panels = figure.subplots(1, 2)
    draw(panels, begun, rows, named)
    for axes, title in zip(panels, TITLES, strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes, grid="y")
    panels[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    return figure


def without_seed(name: str) -> str:
    """A model's name without its seed: `student-plain` of `student-plain-s1`."""
    return name.rsplit("-s", 1)[0]


def draw(panels: Sequence[Axes], begun: Curves, rows: Mapping[str, Sequence[str]], named: Sequence[str]) -> None:
    """The lines of rows without a colour, which are behind, and of those that have one; `rows` has their models."""
    rest = [name for row, names in rows.items() if row not in named for name in names]
    for name in rest:
        text = f"{len(rows) - len(named)} others" if name == rest[0] else f"_{name}"
        for axes, points in zip(panels, points_of(begun[name]), strict=True):
            axes.plot(*points, label=text, color=FAINT, linewidth=0.8, zorder=1)
    for number, row in enumerate(named):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
        for name in rows[row]:
            text = name if len(rows[row]) == 1 else f"{row} ({len(rows[row])} seeds)"
            text = text if name == rows[row][0] else f"_{name}"
            for axes, points in zip(panels, points_of(begun[name]), strict=True):
                axes.plot(*points, label=text, marker=".", linewidth=1.4, color=colour, linestyle=style)


def points_of(curve: Sequence[CurvePoint]) -> list[tuple[list[int], list[float]]]:
    """Epochs and values in each panel, of the epochs that have a value."""
    values = [[epoch.valid_nll_loss for epoch in curve], [epoch.valid_bleu for epoch in curve]]
    known = [[(at.epoch, one) for at, one in zip(curve, each, strict=True) if one is not None] for each in values]
    return [([epoch for epoch, _ in each], [value for _, value in each]) for each in known]


def best_bleu(curve: Sequence[CurvePoint]) -> float:
    """The highest of a curve; 0 where none was measured."""
    return max((epoch.valid_bleu for epoch in curve if epoch.valid_bleu is not None), default=0.0)


def in_colour(scores: Mapping[str, Sequence[float]], students: Container[str]) -> list[str]:
    """The rows that are told apart, in their order: all, or those to compare with and the best of the students."""
    fixed = [row for row in scores if row not in students]
    others = sorted(scores.keys() - set(fixed), key=lambda row: (-sum(scores[row]) / len(scores[row]), row))
    kept = {*fixed, *(others if len(scores) <= NAMED else others[: max(NAMED - len(fixed) - 1, 0)])}
    return [row for row in scores if row in kept]
