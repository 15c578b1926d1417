"""The figures of `lskd diagnose`: a teacher's tail, and where its translations are better than its student's."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import COLOURS, GREY, MARKERS, STYLES, doublings, tidy


def figure(content: Mapping[str, Any]) -> Figure:
    """Left the mass outside of the top k, right the evenness of what is there; a line for each temperature."""
    drawn = Figure(figsize=(9.4, 3.8), layout="constrained")
    panels = drawn.subplots(1, 2, sharex=True)
    for number, (temperature, found) in enumerate(content["temperatures"].items()):
        tops = [int(k) for k in found["tail"]]
        for axes, key, factor in zip(panels, ("mass", "evenness"), (100, 1), strict=True):
            axes.plot(
                tops,
                [factor * each[key] for each in found["tail"].values()],
                linewidth=1.4,
                color=COLOURS[number % len(COLOURS)],
                linestyle=STYLES[number % len(STYLES)],
                marker=MARKERS[number % len(MARKERS)],
                label=f"T = {temperature}, entropy {found['entropy']:.2f} nats",
            )
    titles = ("mass outside of the top k, %", "evenness of it: 1, all symbols alike")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        doublings(axes, tops)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"k of {content['symbols']:,} symbols")
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        tidy(axes)
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    made_of, tokens = content["features"], content["settings"]["tokens"]
    smoothing = made_of["model"]["label_smoothing"]
    title = "teacher" if smoothing is None else f"teacher with label smoothing {smoothing:g}"
    drawn.suptitle(f"{title}, {tokens:,} tokens of {made_of['data']['split']}", x=0.01, ha="left", fontsize=10)
    return drawn


def sentences(content: Mapping[str, Any]) -> Figure:
    """The teacher's chrF less the student's, by group of sentences, and how often only one of them is right."""
    groups = content["groups"]
    drawn = Figure(figsize=(7.5, 1 + 0.36 * len(groups)))
    axes = drawn.subplots()
    for height, found in enumerate(groups.values()):
        difference, has_interval = found["difference"], found["difference"]["low"] is not None
        if has_interval:
            axes.hlines(height, difference["low"], difference["high"], color=COLOURS[0], linewidth=1.5)
        axes.plot(
            [difference["value"]],
            [height],
            marker="o",
            color=COLOURS[0],
            markerfacecolor=COLOURS[0] if has_interval else "white",
        )
        axes.annotate(
            f"{found['teacher_right_student_wrong']} : {found['student_right_teacher_wrong']}",
            (1.02, height),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    axes.annotate(
        "only teacher :\nonly student right",
        (1.02, -0.7),
        xycoords=("axes fraction", "data"),
        va="bottom",
        fontsize=8,
        color=GREY,
    )
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(groups)), [f"{name} ({found['sentences']:,})" for name, found in groups.items()])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel("sentence chrF, teacher less student; line: 95 % interval; hollow: few sentences")
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    tidy(axes)
    return drawn
