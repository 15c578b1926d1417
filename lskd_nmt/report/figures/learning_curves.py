"""Validation loss and BLEU after each epoch, as a figure."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lskd_nmt.errors import require
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures.style import COLOURS, FAINT, STYLES, tidy
from lskd_nmt.report.results.rows import label
from lskd_nmt.storage.files import read_list

NAMED = 14  # rows with a colour of their own in learning curves


def curves(folder: Path) -> Figure:
    """Validation loss and greedy BLEU after each epoch, a line for each model that has begun; seeds look alike.

    Of more than `NAMED` rows teachers, the student without KD and the best have a colour.
    """
    run = Run(folder)
    files = {model["name"]: run.model_folder(model["name"]) / "curve.json" for model in run.models}
    begun = {name: read_list(file) for name, file in files.items() if file.is_file()}
    require(bool(begun), f"{folder} has no learning curve: run experiments/steps/train.sh first")
    rows: dict[str, list[str]] = {}
    for name in begun:
        rows.setdefault(name.rsplit("-s", 1)[0], []).append(name)
    students = {model["name"].rsplit("-s", 1)[0] for model in run.models if label(model) == "student"}
    named = in_colour({row: [best_bleu(begun[name]) for name in names] for row, names in rows.items()}, students)
    figure = Figure(figsize=(10, 4))
    panels = figure.subplots(1, 2)
    rest = [name for row, names in rows.items() if row not in named for name in names]
    for name in rest:
        text = f"{len(rows) - len(named)} others" if name == rest[0] else f"_{name}"
        epochs(panels, begun[name], label=text, color=FAINT, linewidth=0.8, zorder=1)
    for number, row in enumerate(named):
        look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number // len(COLOURS) % len(STYLES)]}
        for name in rows[row]:
            text = name if len(rows[row]) == 1 else f"{row} ({len(rows[row])} seeds)"
            epochs(
                panels,
                begun[name],
                label=text if name == rows[row][0] else f"_{name}",
                marker=".",
                linewidth=1.4,
                **look,
            )
    titles = ("validation loss, one-hot (bits per subword)", "validation BLEU, greedy")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        tidy(axes)
    panels[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    return figure


def epochs(panels: Sequence[Axes], entries: Sequence[Mapping[str, Any]], **look: Any) -> None:
    """One model's line in both panels."""
    for axes, key in zip(panels, ("valid_nll_loss", "valid_bleu"), strict=True):
        points = [(entry["epoch"], entry[key]) for entry in entries if key in entry]
        axes.plot([epoch for epoch, _ in points], [value for _, value in points], **look)


def best_bleu(entries: Sequence[Mapping[str, Any]]) -> float:
    """The highest of a curve; 0 where none was measured."""
    return max((float(entry["valid_bleu"]) for entry in entries if "valid_bleu" in entry), default=0.0)


def in_colour(scores: Mapping[str, Sequence[float]], students: Container[str]) -> list[str]:
    """The rows that are told apart, in their order: all, or those to compare with and the best of the students."""
    fixed = [row for row in scores if row not in students]
    others = sorted(scores.keys() - set(fixed), key=lambda row: (-sum(scores[row]) / len(scores[row]), row))
    kept = {*fixed, *(others if len(scores) <= NAMED else others[: max(NAMED - len(fixed) - 1, 0)])}
    return [row for row in scores if row in kept]
