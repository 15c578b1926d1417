"""The figure of what size and speed cost: each metric against megabytes and against speed, with the Pareto fronts."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lskd_nmt.evaluate.benchmark import Benchmark
from lskd_nmt.evaluate.metrics import described
from lskd_nmt.evaluate.pareto import front
from lskd_nmt.report.figures.bleu_by_speed import place_names
from lskd_nmt.report.figures.style import COLOURS, GREY, tidy, verbatim

FAINT_ALPHA = 0.35  # of models that another one beats
TITLE = 0.1  # inches beside it
SAMPLES = 40  # places between two points of a line
RADIUS = 5.0  # of a point, in printer's points
Points = Sequence[tuple[float, float]]


def fronts(content: Benchmark) -> Figure:
    """A row for each metric: on the left its score against megabytes, on the right against subwords a second.

    Models that no other one beats in both numbers of a panel are joined; the others are fainter. Translators of which
    translations alone are known have neither number and are left out.
    """
    models = [model for model in content.models if model.subwords_per_second and model.megabytes]
    metrics = list(models[0].all_scores)
    figure = Figure(figsize=(11, 3.9 * len(metrics)))
    FigureCanvasAgg(figure)  # measures texts
    grid = figure.subplots(len(metrics), 2, sharey="row", squeeze=False)
    figure.suptitle(
        f"{verbatim(content.title)}\nline: no other model is better in one number and as good in the other",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    sizes = [float(model.megabytes or 0) for model in models]
    speeds = [float(model.subwords_per_second[0].median) for model in models]
    panels: list[tuple[Axes, Points, Points]] = []
    for name, (left, right) in zip(metrics, grid, strict=True):
        scores = [float(model.all_scores[name]) for model in models]
        sign = 1 if described(name).higher_is_better else -1
        for axes, values, less_is_better in ((left, sizes, True), (right, speeds, False)):
            points: Points = list(zip(values, scores, strict=True))
            line = draw(axes, points, front([(-x if less_is_better else x, sign * y) for x, y in points]))
            panels.append((axes, points, line))
        left.set_ylabel(described(name).label + (" (less is better)" if sign < 0 else ""))
    grid[-1][0].set_xlabel("megabytes (logarithmic; less is better)")
    grid[-1][1].set_xlabel("output subwords a second, 1 thread (logarithmic)")
    figure.tight_layout(rect=(0, 0, 1, 1 - TITLE / figure.get_figheight()))
    for axes, points, line in panels:
        place_names(axes, points, [RADIUS] * len(points), [verbatim(model.name) for model in models], between(line))
    return figure


def between(line: Points) -> Points:
    """Places on a line through these points, straight where x is logarithmic."""
    shares = [at / SAMPLES for at in range(SAMPLES + 1)]
    ends = list(pairwise(line))
    return [(a[0] * (b[0] / a[0]) ** t, a[1] + t * (b[1] - a[1])) for a, b in ends for t in shares]


def draw(axes: Axes, points: Points, is_best: Sequence[bool]) -> Points:
    """A panel: the points, and the front among them as a line; the points of that line."""
    axes.set_xscale("log")
    best = sorted({point for point, is_on in zip(points, is_best, strict=True) if is_on})
    axes.plot([x for x, _ in best], [y for _, y in best], color=GREY, linewidth=1.2, zorder=1)
    for number, (point, is_on) in enumerate(zip(points, is_best, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        alpha = 1.0 if is_on else FAINT_ALPHA
        axes.scatter([point[0]], [point[1]], s=(2 * RADIUS) ** 2, color=colour, alpha=alpha, linewidth=0, zorder=2)
    values, scores = zip(*points, strict=True)
    ratio = (max(values) / min(values)) ** 0.25
    axes.set_xlim(min(values) / max(ratio, 1.3), max(values) * max(ratio, 1.3))
    room = max(0.25 * (max(scores) - min(scores)), 0.5)
    axes.set_ylim(min(scores) - room, max(scores) + room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    tidy(axes, grid="both")
    return best
