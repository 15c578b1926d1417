"""What a table says of methods of distillation: their order, what each is, and what a step of it costs."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results.records import Cell, Method, ResultsTable, TableRow
from lskd_nmt.report.results.rows import PLAIN, label
from lskd_nmt.storage.typed import Json


def order(runs: Iterable[Run]) -> list[str | None]:
    """Methods in the order of the runs' plans; None, for models without one, is the first."""
    return list(dict.fromkeys([None, *(model.method for run in runs for model in run.models)]))


def described(run: Run) -> dict[str, Method]:
    """What the run's methods are and the flags that they set, by name."""
    known = run.plan.config.student.methods or {}
    return {name: Method(each.about, each.flags) for name, each in known.items()}


def notes(table: ResultsTable) -> list[str]:
    """A line for each method, and how the cost of a step was measured."""
    known = dict.fromkeys(
        f"{name}: {each.about}{flags(each.flags)}" for run in table.runs for name, each in run.methods.items()
    )
    if not any(cell.setting.method for cell in table.cells):
        return list(known)
    return [
        *known,
        "step cost: updates a second of the same run's students without KD, divided by the row's; measured "
        "while trainings ran side by side, and as rough as that",
    ]


def flags(given: Mapping[str, Json]) -> str:
    """` (--temperature 2 --divergence reverse)`; nothing where there are none."""
    words = [
        f"--{name}" if value is True else f"--{name} {value}"
        for name, value in given.items()
        if value is not None and value is not False
    ]
    return f" ({' '.join(words)})" if words else ""


def step_cost(cell: Cell, cells: Sequence[Cell], rows: Sequence[TableRow]) -> float | None:
    """Updates a second of plain students over those of this one, the mean over its runs; None where one is unknown."""
    if cell.setting.role != "student":
        return None
    plain = [other for other in cells if label(other.setting) == PLAIN]
    found = []
    for run in cell.runs:
        ours = speed([cell], run, rows)
        theirs = speed(plain, run, rows)
        if not ours or not theirs:
            return None
        found.append(theirs / ours)
    return round(statistics.fmean(found), 2)


def speed(cells: Sequence[Cell], run: str, rows: Sequence[TableRow]) -> float | None:
    """The mean updates a second of the cells' models in a run; None where one of them has no record."""
    members = {member for cell in cells for member in cell.members}
    values = [row.updates_per_second for row in rows if row.run == run and row.member in members]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
