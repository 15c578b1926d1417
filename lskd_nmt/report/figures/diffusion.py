"""The figure of `lskd diffuse`: the index of similar and of other words by temperature, and less the control's."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import COLOURS, GREY, tidy
from lskd_nmt.report.results.analyses import Arm, Diffusion, DiffusionIndex, Interval

ARMS = {
    "students": ("label smoothing", COLOURS[0]),
    "control": ("control without", COLOURS[1]),
    "difference": ("difference", COLOURS[2]),
}
PARTS = {"similar": ("o", True), "others": ("s", False)}  # marker, filled
STEP = 0.12  # between the marks of one temperature


def figure(content: Diffusion) -> Figure:
    """Left the students, and the control; right their difference, where there is a control."""
    has_control = content.control is not None
    panels = [["students", "control"], ["difference"]] if has_control else [["students"]]
    drawn = Figure(figsize=(4.4 * len(panels) + 0.6, 3.8), layout="constrained")
    row = drawn.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, arms in zip(row, panels, strict=True):
        panel(axes, {arm: content.arms[arm] for arm in arms}, named=has_control)
    row[0].set_ylabel("diffusion index η, 95 % interval\nabove 0: nearer")
    row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    if len(row) > 1:
        row[0].legend(loc="best", frameon=False, fontsize=8)
        row[1].set_title("Δη: less the control", loc="left", fontsize=10)
    seeds = next(iter(content.students.values())).seeds
    about = f"a working definition of ours (docs/analysis.md); {seeds} seed{'s' * (seeds > 1)}"
    row[0].set_title(about, loc="left", fontsize=8, color=GREY)
    return drawn


def panel(axes: Axes, arms: Mapping[str, Arm], named: bool) -> None:
    """A mark with its interval for each arm, part and temperature."""
    temperatures = list(dict.fromkeys(t for arm in arms.values() for t in arm))
    series = [(arm, part) for arm in arms for part in PARTS]
    for number, (arm, part) in enumerate(series):
        name, colour = ARMS[arm]
        marker, filled = PARTS[part]
        xs = [temperatures.index(t) + STEP * (number - (len(series) - 1) / 2) for t in arms[arm]]
        found = [estimate(each, part) for each in arms[arm].values()]
        axes.vlines(xs, [each.low for each in found], [each.high for each in found], color=colour, linewidth=1.4)
        axes.plot(
            xs,
            [each.value for each in found],
            linestyle="none",
            marker=marker,
            color=colour,
            markerfacecolor=colour if filled else "white",
            label=f"{name}: {part}" if named else part,
        )
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(temperatures)), temperatures)
    axes.set_xlim(-0.5, len(temperatures) - 0.5)
    axes.set_xlabel("temperature of distillation, against T = 1")
    tidy(axes, grid="y")


def estimate(index: DiffusionIndex, part: str) -> Interval:
    """The index of similar words, or of the others."""
    return index.similar if part == "similar" else index.others
