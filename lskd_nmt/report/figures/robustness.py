"""The figures of `lskd robustness`: a row for each model, a panel for each measure or perturbation."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lskd_nmt.evaluate.robustness import Measured, RobustModel, Robustness
from lskd_nmt.report.figures.style import COLOURS, GREY, tidy, verbatim

COLUMNS = 5
ROLES = {"reference": GREY, "teacher": COLOURS[1], "student": COLOURS[0]}
MARKS = {"reference": "|", "teacher": "s", "student": "o"}
SHOWN = ("chrf_to_clean", "hallucinations", "bleu")
CLEAN, APART = "clean", ("short", "training")


def texts(content: Robustness) -> Figure:
    """Defects of the models' own translations: a panel for each that any has, in percent with 95 % intervals."""
    models = content.models
    known = [name for name in content.definitions if any(name in model.texts for model in models)]
    names = [name for name in known if any(name in m.texts and m.texts[name].value for m in models)] or known
    columns, lines = min(COLUMNS, len(names)), -(-len(names) // COLUMNS)
    drawn = Figure(figsize=(1.6 + 1.9 * columns, (0.9 + 0.24 * len(models)) * lines), layout="constrained")
    grid = drawn.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        panel(axes, models, [model.texts.get(name) for model in models])
        definition = content.definitions[name]
        axes.set_title(f"{definition.title}, %", loc="left", fontsize=9)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        label(axes, models)
    return drawn


def changes(content: Robustness) -> Figure | None:
    """What changed sources do: a column for each perturbation, a line of panels for each measure; None without any."""
    models = [model for model in content.models if model.perturbed]
    tasks = [task for task in content.perturbations if task not in (CLEAN, *APART)]
    if not models or not tasks:
        return None
    drawn = Figure(figsize=(1.6 + 1.7 * len(tasks), (1.1 + 0.24 * len(models)) * len(SHOWN)), layout="constrained")
    for part, name in zip(drawn.subfigures(len(SHOWN), 1, squeeze=False)[:, 0], SHOWN, strict=True):
        part.suptitle(content.perturbed_definitions[name].title + MORE.get(name, ""), x=0.01, ha="left", fontsize=10)
        line = part.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for axes, task in zip(line, tasks, strict=True):
            panel(axes, models, [model.perturbed.get(task, {}).get(name) for model in models])
            if name == "bleu":
                clean_scores(axes, models)
            axes.set_title(task.replace("_", " "), loc="left", fontsize=9)
        label(line[0], models)
    return drawn


MORE = {"bleu": ", without case where case is changed; grey: of the sources as they are", "hallucinations": ", %"}


def panel(axes: Axes, models: Sequence[RobustModel], found: Sequence[Measured | None]) -> None:
    """A measure of all models, one below the other."""
    for height, (model, each) in enumerate(zip(models, found, strict=True)):
        if each is None:
            continue
        colour = ROLES[model.role]
        if each.low is not None and each.high is not None:
            axes.hlines(height, each.low, each.high, color=colour, linewidth=1.3)
        axes.plot([each.value], [height], marker=MARKS[model.role], markersize=4.5, color=colour)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="y", length=0)
    tidy(axes, grid="x")


def clean_scores(axes: Axes, models: Sequence[RobustModel]) -> None:
    """BLEU of the sources as they are, behind that of the changed ones."""
    for height, model in enumerate(models):
        clean = model.perturbed.get(CLEAN, {}).get("bleu")
        if clean is not None:
            axes.plot([clean.value], [height], marker="|", markersize=8, color=GREY, zorder=0)


def label(axes: Axes, models: Sequence[RobustModel]) -> None:
    """The models' names beside their rows."""
    axes.set_yticks(range(len(models)), [verbatim(model.name) for model in models], fontsize=8)
