"""The plan of a run as a picture: who learns of whom, and which files are there already."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures.style import COLOURS, GREY

DONE, MISSING = COLOURS[2], "white"
STEPS = {"train": "model.pt", "decode": "test.hyp", "score": "metrics.json"}  # of every model, in order
BOX, ROW = 0.55, 1.0  # a step's width, a model's height
TEACHERS, STUDENTS = 4.0, 12.0  # where the steps of each begin


@dataclass(frozen=True)
class Made:
    """A model and its steps, each with whether its file is there."""

    model: PlannedModel
    steps: dict[str, bool]


def states(run: Run) -> list[Made]:
    """Every model with its steps; a teacher has those that serve its students, too."""
    found = []
    for model in run.models:
        folder, files = run.model_folder(model.name), {**STEPS, "train": model.published}
        if not model.is_scored:
            files = {"train": model.published}  # its translations are there already
        if model.store_command:
            files["store"] = "store/store.json"
        if model.seqkd_commands:
            methods = run.plan.config.student.hypotheses or ()
            files |= {method: f"hypotheses/{method}/hypotheses.json" for method in methods}
        found.append(Made(model, {step: (folder / file).is_file() for step, file in files.items()}))
    return found


def heights(models: Sequence[PlannedModel]) -> dict[str, float]:
    """Students below each other, those of one teacher together; each teacher in the middle of its students."""
    order = [model.name for model in models if model.role == "teacher"]
    students = [model for model in models if model.role == "student"]
    students.sort(key=lambda model: order.index(model.teacher) if model.teacher else -1)
    at = {model.name: -ROW * row for row, model in enumerate(students)}
    lowest = -ROW * len(students)
    for name in order:
        rows = [at[model.name] for model in students if model.teacher == name]
        at[name] = sum(rows) / len(rows) if rows else lowest
        lowest -= 0 if rows else ROW
    return at


def graph(folder: Path) -> Figure:
    """Teachers on the left, their students on the right, a box for each step: filled where its file is there."""
    run = Run(folder)
    made = states(run)
    at = heights(run.models)
    rows = max(at.values()) - min(at.values()) + 1
    figure = Figure(figsize=(11, 1.2 + 0.27 * rows))
    axes = figure.subplots()
    steps = {each.model.name: len(each.steps) for each in made}
    for each in made:
        model = each.model
        left = TEACHERS if model.role == "teacher" else STUDENTS
        draw_model(axes, each, left, at[model.name])
        if model.teacher:
            begin = TEACHERS + BOX * steps[model.teacher]
            axes.plot([begin, STUDENTS - 3.4], [at[model.teacher], at[model.name]], color=GREY, linewidth=0.5)
    done = [there for each in made for there in each.steps.values()]
    axes.set_title(f"{run.plan.name}: {sum(done)} of {len(done)} steps done (filled)", loc="left")
    axes.set_xlim(0, STUDENTS + BOX * len(STEPS) + 0.2)
    axes.set_ylim(min(at.values()) - 1, max(at.values()) + 1.2)
    axes.axis("off")
    return figure


def draw_model(axes: Axes, each: Made, left: float, height: float) -> None:
    """A name and the boxes of its steps."""
    axes.text(left - 0.1, height, each.model.name, ha="right", va="center", fontsize=7)
    for number, (step, there) in enumerate(each.steps.items()):
        corner = (left + number * BOX, height - 0.4)
        axes.add_patch(
            Rectangle(corner, BOX - 0.06, 0.8, facecolor=DONE if there else MISSING, edgecolor=GREY, linewidth=0.6)
        )
        axes.text(
            corner[0] + (BOX - 0.06) / 2,
            height,
            step[:6],
            ha="center",
            va="center",
            fontsize=5,
            color="white" if there else GREY,
        )
