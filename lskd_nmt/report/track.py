"""A run's results, logged where its curves are: in TensorBoard and in Weights & Biases. Nothing is measured here."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment import tracking
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results.records import ResultsTable, TableRow
from lskd_nmt.report.results.table_json import read_table, record_json
from lskd_nmt.report.tables import document, tables

Value = int | float | str | bool
COSTS = ("parameters", "epochs", "cpu_hours", "gpu_hours", "wall_hours", "peak_memory_mb", "words_per_second")
RESULTS = "results"  # the folder of a model's results beside those of its curves, and that of the table


@dataclass(frozen=True)
class Logged:
    """What is logged of one model: what it is, and its numbers by name, such as test/bleu and cost/cpu_hours."""

    name: str
    settings: dict[str, Value]
    numbers: dict[str, float]


def logged(row: TableRow, sets: Mapping[str, ResultsTable]) -> Logged:
    """A row of the table as it is logged, with the model's scores on further test sets; what is not known is left out.

    TensorBoard has no `+` in names of numbers, and would show `_` in its place: chrF++ is `chrfpp`.
    """
    setting = {"arch": row.arch, "seed": row.seed, "signature": row.signature, **record_json(row.setting)}
    costs = {f"cost/{name}": getattr(row, name) for name in COSTS}
    scores = {"test": row.scores}
    for place, of_set in sets.items():
        scores |= {f"test-{place}": each.scores for each in of_set.rows if each.member == row.member}
    tested = {f"{on}/{name.replace('+', 'p')}": value for on, mine in scores.items() for name, value in mine.items()}
    numbers = {"valid/best_bleu": row.best_valid_bleu, **tested}
    return Logged(
        row.name,
        {name: value for name, value in setting.items() if isinstance(value, int | float | str)},
        {name: float(value) for name, value in (numbers | costs).items() if value is not None},
    )


def track(run: Run, wishes: dict[str, str], show: Callable[[str], None]) -> list[str]:
    """Log the results of RUN/table.json by the flags `wishes`; the names of the models.

    A second call replaces what the first one logged.
    """
    needed = {**tracking.PACKAGES, tracking.TENSORBOARD: ("tensorboardX",)}
    tracking.require_packages(wishes, needed)
    file = run.folder / "table.json"
    require(file.is_file(), f"{file} does not exist: run lskd table {run.folder} first")
    table = read_table(file)
    names = {model.name for model in run.models}
    models = [logged(row, table.sets) for row in table.rows if row.name in names]
    if tracking.TENSORBOARD in wishes:
        place = run.folder / tracking.folder(Path(wishes[tracking.TENSORBOARD]), run.folder)
        to_tensorboard(models, document.markdown(table), place)
        show(f"results in {place}: tensorboard --logdir {place}")
    if tracking.WANDB in wishes:
        to_wandb(run, models, table, wishes[tracking.WANDB])
        show(f"results in the project {wishes[tracking.WANDB]} of Weights & Biases")
    return [model.name for model in models]


def to_tensorboard(models: Sequence[Logged], table: str, place: Path) -> None:
    """PLACE/MODEL/results with scalars and hyperparameters, PLACE/results with the table as text."""
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    def write(folder: Path, add: Callable[[SummaryWriter], None]) -> None:
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        writer = SummaryWriter(str(part))
        add(writer)
        writer.close()
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        for new in part.iterdir():
            new.rename(folder / new.name)
        part.rmdir()

    def results(model: Logged) -> Callable[[SummaryWriter], None]:
        def add(writer: SummaryWriter) -> None:
            for summary in hparams(model.settings, model.numbers):
                writer.file_writer.add_summary(summary)
            for name, value in model.numbers.items():
                writer.add_scalar(name, value, 0)

        return add

    for model in models:
        write(place / model.name / RESULTS, results(model))
    write(place / RESULTS, lambda writer: writer.add_text("table", table, 0))


def to_wandb(run: Run, models: Sequence[Logged], table: ResultsTable, project: str) -> None:
    """Numbers go to the summary of the run that has the model's curves; the table is a run by itself."""
    import wandb

    group = run.folder.resolve().name
    for model in models:
        its_id = tracking.wandb_id(run.model_folder(model.name))
        mine = wandb.init(project=project, id=its_id, name=model.name, group=group, resume="allow", dir=str(run.folder))
        mine.config.update(model.settings, allow_val_change=True)
        mine.summary.update(model.numbers)
        mine.finish()
    frame = tables.frame(table)
    its_id = tracking.wandb_id(run.folder)
    whole = wandb.init(
        project=project, id=its_id, name=f"{group} table", group=group, resume="allow", dir=str(run.folder)
    )
    whole.summary.update({"table": document.markdown(table)})
    whole.log({"table": wandb.Table(columns=list(frame.columns), data=frame.to_numpy().tolist())})
    whole.finish()
