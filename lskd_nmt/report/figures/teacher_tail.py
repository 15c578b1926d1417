"""The figures of `lskd diagnose`: a teacher's tail, and where its translations are better than its student's."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import COLOURS, GREY, MARKERS, STYLES, doublings, tidy
from lskd_nmt.report.results.analyses import LostTranslations, SentenceGroup, TailAtTemperature, TeacherTail


def figure(content: TeacherTail) -> Figure:
    """Left the mass outside of the top k, right the evenness of what is there; a line for each temperature."""
    drawn = Figure(figsize=(9.4, 3.8), layout="constrained")
    panels = drawn.subplots(1, 2, sharex=True)
    for number, (temperature, found) in enumerate(content.temperatures.items()):
        for axes, values in zip(panels, values_of(found), strict=True):
            axes.plot(
                tops(found),
                values,
                linewidth=1.4,
                color=COLOURS[number % len(COLOURS)],
                linestyle=STYLES[number % len(STYLES)],
                marker=MARKERS[number % len(MARKERS)],
                label=f"T = {temperature}, entropy {found.entropy:.2f} nats",
            )
    titles = ("mass outside of the top k, %", "evenness of it: 1, all symbols alike")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        doublings(axes, tops(list(content.temperatures.values())[-1]))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"k of {content.symbols:,} symbols")
        tidy(axes, grid="y")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    smoothing, split = content.features.model.label_smoothing, content.features.data.split
    title = "teacher" if smoothing is None else f"teacher with label smoothing {smoothing:g}"
    drawn.suptitle(f"{title}, {content.settings.tokens:,} tokens of {split}", x=0.01, ha="left", fontsize=10)
    return drawn


def tops(found: TailAtTemperature) -> list[int]:
    """The numbers k of which the tail outside of the top k was measured."""
    return [int(k) for k in found.tail]


def values_of(found: TailAtTemperature) -> tuple[list[float], list[float]]:
    """For each k the mass in percent, and the evenness."""
    return [100 * each.mass for each in found.tail.values()], [each.evenness for each in found.tail.values()]


def sentences(content: LostTranslations) -> Figure:
    """The teacher's chrF less the student's, by group of sentences, and how often only one of them is right."""
    groups = content.groups
    drawn = Figure(figsize=(7.5, 1 + 0.36 * len(groups)))
    axes = drawn.subplots()
    for height, found in enumerate(groups.values()):
        draw_group(axes, height, found)
    axes.annotate(
        "only teacher :\nonly student right",
        (1.02, -0.7),
        xycoords=("axes fraction", "data"),
        va="bottom",
        fontsize=8,
        color=GREY,
    )
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(groups)), [f"{name} ({found.sentences:,})" for name, found in groups.items()])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel("sentence chrF, teacher less student; line: 95 % interval; hollow: few sentences")
    tidy(axes, grid="x")
    return drawn


def draw_group(axes: Axes, height: int, found: SentenceGroup) -> None:
    """One group: its difference with the interval, hollow without one, and on how many only one side is right."""
    difference, fill = found.difference, "white"
    if difference.low is not None and difference.high is not None:
        axes.hlines(height, difference.low, difference.high, color=COLOURS[0], linewidth=1.5)
        fill = COLOURS[0]
    axes.plot([difference.value], [height], marker="o", color=COLOURS[0], markerfacecolor=fill)
    text = f"{found.teacher_right_student_wrong} : {found.student_right_teacher_wrong}"
    axes.annotate(text, (1.02, height), xycoords=("axes fraction", "data"), va="center", fontsize=9)
