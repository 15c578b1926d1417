"""The figure of `lskd compare`: BLEU against speed, with names that do not cover each other."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from lskd_nmt.evaluate.benchmark import Benchmark
from lskd_nmt.report.figures.style import COLOURS, GREY, tidy

LARGEST = 1400.0  # area of the heaviest model's point, in square points of print
ANGLES = (0, 90, 270, 180, 45, 315, 135, 225)  # degrees, in the order in which a name's place is tried
STEPS = (4.0, 14.0, 26.0, 40.0, 56.0)  # printer's points between a point's rim and its name


def comparison(content: Benchmark) -> Figure:
    """BLEU against subwords a second on one thread: a point for each model, its area the megabytes."""
    models = [model for model in content.models if model.subwords_per_second]
    others = [model for model in content.models if not model.subwords_per_second]
    speeds = [model.subwords_per_second[0] for model in models]
    sizes = [model.megabytes or 0.0 for model in models]
    areas = [LARGEST * size / max(sizes) for size in sizes]
    figure = Figure(figsize=(7.5, 5))
    FigureCanvasAgg(figure)  # measures texts
    axes = figure.subplots()
    axes.set_xscale("log")
    for number, (model, speed, area) in enumerate(zip(models, speeds, areas, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axes.hlines(model.bleu, speed.smallest, speed.largest, color=colour, linewidth=1.5)
        axes.scatter([speed.median], [model.bleu], s=area, color=colour, alpha=0.75, linewidth=0)
    limits(axes, [speed.median for speed in speeds], [model.bleu for model in content.models])
    for model in others:
        axes.axhline(model.bleu, color=GREY, linewidth=1, linestyle=":")
        text, ends = f"{model.name}, {model.bleu:.2f} BLEU (speed not known)", axes.get_yaxis_transform()
        axes.text(0.99, model.bleu, text, transform=ends, ha="right", va="bottom", fontsize=8, color=GREY)
    axes.set_xlabel("output subwords a second, 1 thread (logarithmic)")
    axes.set_ylabel("BLEU (sacreBLEU)")
    axes.set_title(f"{content.title}\narea: megabytes; line: slowest to fastest repeat", loc="left", fontsize=10)
    tidy(axes, grid="both")
    points = [(float(speed.median), float(model.bleu)) for speed, model in zip(speeds, models, strict=True)]
    names = [f"{model.name}\n{model.bleu:.2f} BLEU, {size:.1f} MB" for model, size in zip(models, sizes, strict=True)]
    place_names(axes, points, [math.sqrt(area / math.pi) for area in areas], names)
    return figure


def limits(axes: Axes, speeds: Sequence[float], scores: Sequence[float]) -> None:
    """Axes with room for points and names, and plain numbers at 1, 2 and 5 of each power of ten."""
    low, high = math.log10(min(speeds)), math.log10(max(speeds))
    room = max(0.3 * (high - low), 0.25)
    axes.set_xlim(10 ** (low - room), 10 ** (high + room))
    room = max(0.35 * (max(scores) - min(scores)), 0.5)
    axes.set_ylim(min(scores) - room, max(scores) + room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def place_names(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    radii: Sequence[float],
    names: Sequence[str],
    others: Sequence[tuple[float, float]] = (),
) -> list[Annotation]:
    """Write each name beside its point, at the first place that covers no point and no earlier name.

    Where all places are taken, it gets the one that covers least. `radii` are in printer's points. `others` are places
    that have no name and are not to be covered either, such as those of a line.
    """
    taken = [*boxes(axes, points, radii), *boxes(axes, others, [1.0] * len(others))]
    frame = axes.get_window_extent()
    written = []
    for point, radius, name in zip(points, radii, names, strict=True):
        choices = []
        for order, (step, angle) in enumerate((step, angle) for step in STEPS for angle in ANGLES):
            text = write_name(axes, point, radius + step, angle, name)
            box = extent(text)
            outside = area(box) - overlap(box, frame)
            choices.append((sum(overlap(box, other) for other in taken) + outside, order, step, angle))
            text.remove()
            if choices[-1][0] == 0:
                break
        _, _, step, angle = min(choices)
        text = write_name(axes, point, radius + step, angle, name, radius if step > STEPS[0] else None)
        taken.append(extent(text))
        written.append(text)
    return written


def boxes(axes: Axes, points: Sequence[tuple[float, float]], radii: Sequence[float]) -> list[Bbox]:
    """The box of each point, in pixels."""
    assert isinstance(axes.figure, Figure)
    scale = axes.figure.dpi / 72
    centres = [axes.transData.transform(point) for point in points]
    return [
        Bbox.from_extents(x - r * scale, y - r * scale, x + r * scale, y + r * scale)
        for (x, y), r in zip(centres, radii, strict=True)
    ]


def write_name(
    axes: Axes, point: tuple[float, float], distance: float, angle: float, name: str, radius: float | None = None
) -> Annotation:
    """A name at this distance from a point's centre; with a radius, a thin line leads to the point's rim."""
    x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    sides = {-1: "right", 0: "center", 1: "left"}, {-1: "top", 0: "center", 1: "bottom"}
    style = {"arrowstyle": "-", "color": "black", "linewidth": 0.6, "shrinkA": 0, "shrinkB": radius}
    return axes.annotate(
        name,
        point,
        (distance * x, distance * y),
        textcoords="offset points",
        fontsize=9,
        ha=sides[0][round(x)],
        va=sides[1][round(y)],
        arrowprops=None if radius is None else style,
    )


def extent(text: Annotation) -> Bbox:
    """The box of a name, without the line to its point."""
    text.get_window_extent()  # with the line, and brings the name to its place
    return Text.get_window_extent(text)


def overlap(box: Bbox, other: Bbox) -> float:
    """The area that two boxes share, in pixels."""
    shared = Bbox.intersection(box, other)
    return 0.0 if shared is None else area(shared)


def area(box: Bbox) -> float:
    """The area of a box, in square pixels."""
    return float(box.width * box.height)
