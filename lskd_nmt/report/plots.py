"""Figures of a run folder, in colours that colour-blind readers tell apart; the same input gives the same file."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lskd_nmt.errors import require, writing
from lskd_nmt.report.cells import label, row_title
from lskd_nmt.runs import Run, read_list

# Okabe & Ito 2008, without yellow, which is faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v")  # of a figure's lines, in their order
SHAPES = {"teacher": "s", "student without KD": "D", "student": "o"}
GREY, FAINT = "#666666", "#bbbbbb"
NAMED = 14  # rows with a colour of their own in learning curves
PAPER = ("png", "svg", "pdf")
UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def save(figure: Figure, stem: Path, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write STEM.png, STEM.svg or what else is wanted, each whole or not at all."""
    files = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    for file in files:
        part = file.with_name(f"{file.name}.part")
        with writing(file), mpl.rc_context({"svg.hashsalt": "lskd_nmt"}):
            try:
                kind = file.suffix[1:]
                figure.savefig(part, format=kind, dpi=150, bbox_inches="tight", metadata=UNDATED.get(kind))
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    return files


def colours_of(values: Sequence[Any]) -> dict[Any, str]:
    """A colour for each distinct value, in order of appearance; grey for None."""
    distinct = [value for value in dict.fromkeys(values) if value is not None]
    return {None: GREY} | {value: COLOURS[index % len(COLOURS)] for index, value in enumerate(distinct)}


def bleu(content: Mapping[str, Any]) -> Figure:
    """BLEU of every cell of a results table: a dot for each seed, a line for the interval, a colour for LS."""
    cells = content["cells"]
    scores = {f"{row['run']}/{row['name']}": row["bleu"] for row in content["rows"]}
    colour = colours_of([cell["label_smoothing"] for cell in cells])
    figure = Figure(figsize=(7, 0.9 + 0.42 * len(cells)))
    axes = figure.subplots()
    for height, cell in enumerate(cells):
        members = [scores[name] for name in cell["members"]]
        if cell["interval"]:
            axes.hlines(height, *cell["interval"], color=colour[cell["label_smoothing"]], linewidth=1.5)
        axes.plot(
            members,
            [height] * len(members),
            linestyle="none",
            markersize=7,
            alpha=0.85,
            color=colour[cell["label_smoothing"]],
            marker=SHAPES[label(cell)],
        )
        deviation = cell["bleu"]["deviation"]
        spread = "" if deviation is None else f" ± {deviation:.2f}"
        axes.annotate(
            f"{cell['bleu']['mean']:.2f}{spread}",
            (1.01, height),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(cells)), [row_title(cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.margins(x=0.08)
    has_intervals = any(cell["interval"] for cell in cells)
    axes.set_xlabel("BLEU (sacreBLEU, test set)" + "; line: 95 % interval" * has_intervals)
    axes.set_title(content["name"], loc="left", fontsize=11)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    tidy(axes)
    return figure


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


def tidy(axes: Axes) -> None:
    """No box around the data."""
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def doublings(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis of x, marked at these values alone."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def verbatim(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
