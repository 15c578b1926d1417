"""The figure of the headline: the main metric against the temperature, a line for each label smoothing."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import GREY, MARKERS, colours_of, doublings, tidy
from lskd_nmt.report.results import published
from lskd_nmt.report.results.records import Cell, Number, PublishedSource, ResultsTable
from lskd_nmt.report.results.rows import PLAIN, group, label

COLUMNS = 3
APART = 1.05  # neighbouring lines, so that their intervals do not cover each other

Look = Mapping[Number | None, tuple[str, str]]  # by label smoothing of the teacher: colour and marker


def figure(table: ResultsTable) -> Figure | None:
    """A panel for each tail mode, weight and level; None if no student of the grid has one."""
    students = heated(table.cells)
    if not students:
        return None
    panels = list(dict.fromkeys(group(cell.setting) for cell in students))
    columns, lines = min(COLUMNS, len(panels)), -(-len(panels) // COLUMNS)
    drawn = Figure(figsize=(4.6 * columns + 1.4, 3.6 * lines + 0.4), layout="constrained")
    grid = drawn.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    look = looks(students)
    for axes, name in zip(grid.flat, panels, strict=False):
        panel(axes, [cell for cell in students if group(cell.setting) == name], look, table)
        axes.set_title(name, loc="left", fontsize=9)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        has_intervals = any(cell.interval for cell in students)
        axes.set_ylabel(table.axis + ", 95 % interval" * has_intervals)
    handles = {
        text: handle for axes in grid.flat for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawn.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False, fontsize=9)
    drawn.suptitle(table.name, x=0.01, ha="left", fontsize=11)
    return drawn


def looks(students: Sequence[Cell]) -> Look:
    """The colour and the marker of each label smoothing, in its order."""
    found = {cell.setting.label_smoothing for cell in students}
    smoothings = sorted(found, key=lambda alpha: (alpha is None, alpha or 0))  # None: of a teacher that was there
    colours = colours_of(smoothings)
    return {value: (colours[value], MARKERS[number % len(MARKERS)]) for number, value in enumerate(smoothings)}


def of_teacher(smoothing: Number | None) -> str:
    """What the students of teachers with this label smoothing are called."""
    return "teacher of another training" if smoothing is None else f"teacher LS {smoothing:g}"


def heated(cells: Sequence[Cell]) -> list[Cell]:
    """Students at a temperature of the grid; a method has its own."""
    return [cell for cell in cells if cell.setting.temperature is not None and not cell.setting.method]


def temperature(cell: Cell) -> Number:
    """The temperature of a cell that has one."""
    assert cell.setting.temperature is not None
    return cell.setting.temperature


def panel(axes: Axes, cells: Sequence[Cell], look: Look, table: ResultsTable) -> None:
    """One panel: measured lines with intervals, published ones dashed, and the student without KD."""
    for number, (smoothing, (colour, marker)) in enumerate(look.items()):
        shift = APART ** (number - (len(look) - 1) / 2)
        mine = [cell for cell in cells if cell.setting.label_smoothing == smoothing]
        for runs in dict.fromkeys(cell.named_runs for cell in cells):
            name = ", ".join([of_teacher(smoothing), *runs])
            line(axes, [cell for cell in mine if cell.named_runs == runs], shift, (colour, marker), name, table.main)
        if table.main in published.KINDS:
            beside(axes, mine, of_teacher(smoothing), colour, table.published)
    for cell in table.cells:
        if label(cell.setting) == PLAIN:
            axes.axhline(cell.scores[table.main].mean, color=GREY, linewidth=1, linestyle=":", label=PLAIN)
    doublings(axes, sorted({temperature(cell) for cell in heated(table.cells)}))
    axes.tick_params(labelbottom=True)
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel("temperature T (logarithmic)")
    tidy(axes, grid="y")


def line(axes: Axes, cells: Sequence[Cell], shift: float, look: tuple[str, str], name: str, main: str) -> None:
    """The measured line of one label smoothing and run, moved aside by the factor `shift`, with intervals."""
    xs = [temperature(cell) * shift for cell in cells]
    ys, (colour, marker) = [cell.scores[main].mean for cell in cells], look
    axes.plot(xs, ys, color=colour, marker=marker, linewidth=1.4, markersize=6, label=name if cells else None)
    for x, cell in zip(xs, cells, strict=True):
        if cell.interval:
            axes.vlines(x, *cell.interval, color=colour, linewidth=1.4)


def beside(axes: Axes, cells: Sequence[Cell], name: str, colour: str, source: PublishedSource) -> None:
    """The published numbers of one label smoothing at our temperatures, dashed."""
    known = [(temperature(cell), published.bleu(source.pair, cell.setting)) for cell in cells]
    points = sorted((heat, value) for heat, value in known if value is not None)
    if points:
        kind = "other data" if source.obstacles else "kind of BLEU not stated"
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linestyle="--",
            linewidth=1,
            marker="x",
            markersize=4,
            label=f"published, {name} ({kind})",
        )
