"""The figure of the headline: BLEU against the temperature, a line for each label smoothing of the teacher."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import GREY, MARKERS, colours_of, doublings, tidy
from lskd_nmt.report.results import published
from lskd_nmt.report.results.rows import group, label, method

COLUMNS = 3
APART = 1.05  # neighbouring lines, so that their intervals do not cover each other


def figure(content: Mapping[str, Any]) -> Figure | None:
    """A panel for each tail mode, weight and level; None if no student of the grid has one."""
    students = heated(content["cells"])
    if not students:
        return None
    panels = list(dict.fromkeys(map(group, students)))
    columns, lines = min(COLUMNS, len(panels)), -(-len(panels) // COLUMNS)
    drawn = Figure(figsize=(4.6 * columns + 1.4, 3.6 * lines + 0.4), layout="constrained")
    grid = drawn.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    smoothings = sorted({cell["label_smoothing"] for cell in students})
    colours = colours_of(smoothings)
    look = {value: (colours[value], MARKERS[number % len(MARKERS)]) for number, value in enumerate(smoothings)}
    for axes, name in zip(grid.flat, panels, strict=False):
        cells = [cell for cell in students if group(cell) == name]
        panel(axes, cells, look, content)
        axes.set_title(name, loc="left", fontsize=9)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        has_intervals = any(cell["interval"] for cell in students)
        axes.set_ylabel("BLEU (sacreBLEU, test set)" + ", 95 % interval" * has_intervals)
    handles = {
        text: handle for axes in grid.flat for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawn.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False, fontsize=9)
    drawn.suptitle(content["name"], x=0.01, ha="left", fontsize=11)
    return drawn


def heated(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Students at a temperature of the grid; a method has its own."""
    return [cell for cell in cells if cell["temperature"] is not None and not method(cell)]


def panel(
    axes: Axes, cells: Sequence[Mapping[str, Any]], look: Mapping[float, tuple[str, str]], content: Mapping[str, Any]
) -> None:
    """One panel: measured lines with intervals, published ones dashed, and the student without KD."""
    for number, smoothing in enumerate(look):
        for runs in dict.fromkeys(tuple(cell["named_runs"]) for cell in cells):
            mine = [
                cell for cell in cells if cell["label_smoothing"] == smoothing and tuple(cell["named_runs"]) == runs
            ]
            colour, marker = look[smoothing]
            name = ", ".join([f"teacher LS {smoothing:g}", *runs])
            xs = [cell["temperature"] * APART ** (number - (len(look) - 1) / 2) for cell in mine]
            ys = [cell["bleu"]["mean"] for cell in mine]
            axes.plot(xs, ys, color=colour, marker=marker, linewidth=1.4, markersize=6, label=name if mine else None)
            for x, cell in zip(xs, mine, strict=True):
                if cell["interval"]:
                    axes.vlines(x, *cell["interval"], color=colour, linewidth=1.4)
        beside(axes, cells, smoothing, look[smoothing][0], content["published"])
    for cell in content["cells"]:
        if label(cell) == "student without KD":
            axes.axhline(cell["bleu"]["mean"], color=GREY, linewidth=1, linestyle=":", label="student without KD")
    temperatures = sorted({cell["temperature"] for cell in heated(content["cells"])})
    doublings(axes, temperatures)
    axes.tick_params(labelbottom=True)
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel("temperature T (logarithmic)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    tidy(axes)


def beside(
    axes: Axes, cells: Sequence[Mapping[str, Any]], smoothing: float, colour: str, facts: Mapping[str, Any]
) -> None:
    """The published numbers of one label smoothing at our temperatures, dashed."""
    known = [
        (cell["temperature"], published.bleu(facts["pair"], cell))
        for cell in cells
        if cell["label_smoothing"] == smoothing
    ]
    points = sorted((temperature, value) for temperature, value in known if value is not None)
    if points:
        kind = "other data" if facts["obstacles"] else "kind of BLEU not stated"
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linestyle="--",
            linewidth=1,
            marker="x",
            markersize=4,
            label=f"published, teacher LS {smoothing:g} ({kind})",
        )
