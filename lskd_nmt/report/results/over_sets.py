"""The test sets that runs share, and the table of the mean scores over all of them. Nothing is scored here."""

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results.read import assembled
from lskd_nmt.report.results.records import Expansion, ResultsTable, TableRow


def scored_sets(folders: Sequence[Path]) -> list[str]:
    """The names of the test sets beside the main one that all runs have, and on which a model is scored."""
    runs = [Run(folder) for folder in folders]
    return [
        name
        for name in runs[0].plan.set_names[1:]
        if all(has_set(run, name) for run in runs) and any_scored(runs, name)
    ]


def has_set(run: Run, name: str) -> bool:
    """Whether a run has a test set of this name beside its main one."""
    return name in run.plan.set_names[1:]


def any_scored(runs: Sequence[Run], name: str) -> bool:
    """Whether a model of the runs has scores on a test set."""
    return any((run.on(name).results(model.name) / "metrics.json").is_file() for run in runs for model in run.models)


def mean_table(
    folders: Sequence[Path], names: Sequence[str], tables: Mapping[str, ResultsTable]
) -> ResultsTable | None:
    """The table of the mean scores over test sets (by name) of the models that are in all of these tables.

    None where there is no such model, or no metric that all tables have.
    """
    rows_of = {name: {row.member: row for row in table.rows} for name, table in tables.items()}
    main = next(iter(tables.values()))
    shared = [row.member for row in main.rows if all(row.member in rows for rows in rows_of.values())]
    signatures = {
        metric: " | ".join(dict.fromkeys(table.signatures[metric] for table in tables.values()))
        for metric in main.signatures
        if all(metric in table.signatures for table in tables.values())
    }
    if not (shared and signatures):
        return None
    rows, expansions = [], dict[str, Expansion]()
    for member in shared:
        mine = {name: rows[member] for name, rows in rows_of.items()}
        expansion = united({name: tables[name].expansions[row.signature] for name, row in mine.items()})
        rows.append(mean_row(list(mine.values()), short([row.signature for row in mine.values()])))
        expansions[rows[-1].signature] = expansion
    runs = dict(zip(names, map(Run, folders), strict=True))
    found = assembled(runs, rows, expansions, signatures, main.lower_is_better)
    lacking = [row.member for table in tables.values() for row in table.rows if row.member not in shared]
    return replace(found, not_scored=tuple(dict.fromkeys(lacking)))


def mean_row(rows: Sequence[TableRow], signature: str) -> TableRow:
    """A model's row of mean scores: of the metrics that it has on all sets."""
    first = rows[0]
    metrics = [metric for metric in first.scores if all(metric in row.scores for row in rows)]
    return replace(
        first,
        scores={metric: round(statistics.fmean(row.scores[metric] for row in rows), 2) for metric in metrics},
        sentences=sum(row.sentences for row in rows),
        references_changed_by_subwords=None,
        translations=None,
        signature=signature,
    )


def united(expansions: Mapping[str, Expansion]) -> Expansion:
    """What could change a model's mean scores: as on the first set, with the metrics and references of all."""
    first = next(iter(expansions.values()))
    metrics = {
        metric: " | ".join(dict.fromkeys(each.metrics[metric] for each in expansions.values()))
        for metric in first.metrics
        if all(metric in each.metrics for each in expansions.values())
    }
    references = [f"{name}: {each.reference}" for name, each in expansions.items()]
    return replace(first, metrics=metrics, reference="; ".join(references))


def short(signatures: Sequence[str]) -> str:
    """Eight hexadecimal digits of the hash of a model's signatures on all sets."""
    return hashlib.sha256(json.dumps(list(signatures)).encode()).hexdigest()[:8]
