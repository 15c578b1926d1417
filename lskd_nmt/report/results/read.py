"""The results table of run folders: what each scored model is, scored and cost. Nothing is scored here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import NamedTuple

from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import METRICS, USUAL, defaults
from lskd_nmt.evaluate.metrics import described as metric_of
from lskd_nmt.evaluate.records import Metrics, Score, read_metrics
from lskd_nmt.evaluate.scoring import remark
from lskd_nmt.experiment.records import CurvePoint, PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.untrained import record_of, said
from lskd_nmt.report.results import methods, prolonged, signature
from lskd_nmt.report.results.over_seeds import in_order, seeds_of_cells, summary, tell_apart
from lskd_nmt.report.results.records import Expansion, Number, ResultsTable, RunData, StepCost, TableRow
from lskd_nmt.report.results.rows import setting
from lskd_nmt.storage.typed import Json, read_record, record

Expansions = Mapping[str, Expansion]  # by signature


class Read(NamedTuple):
    """The scored models of runs, and those that are not scored."""

    rows: list[TableRow]
    expansions: dict[str, Expansion]
    not_scored: list[str]
    without_folder: list[str]
    scores: list[dict[str, Score]]  # of each row, by metric


def results(
    folders: Sequence[Path],
    names: Sequence[str] | None = None,
    wish: Sequence[str] | None = None,
    test_set: str | None = None,
) -> ResultsTable:
    """Every scored model of the runs with what its training cost, the mean over seeds, and the signatures.

    `wish` are the metrics to show, the main one first; without it they are those of the first run's plan. Scores are
    those on the main test set of each run, or on the one of the name `test_set`.
    """
    runs = dict(zip(names or labels(folders), map(Run, folders), strict=True))
    where = ", ".join(map(str, folders))
    if test_set is not None:
        runs, where = {label: run.on(test_set) for label, run in runs.items()}, f"{where} (test set {test_set})"
    found = scored(runs)
    require(bool(found.rows), f"{where} has no scored model: run experiments/steps/decode.sh and score.sh first")
    signatures, lacking = columns(where, found, wish, next(iter(runs.values())).plan.config.metrics)
    table = assembled(runs, found.rows, found.expansions, signatures, lower_is_better(signatures, found))
    return replace(
        table,
        not_scored=tuple(found.not_scored),
        without_folder=tuple(found.without_folder),
        remarks=(
            *remarks(runs, table.rows),
            *engines(table.rows, found.expansions),
            *lacking,
            *prolonged.notes(runs, next(iter(signatures))),
        ),
    )


def assembled(
    runs: Mapping[str, Run],
    rows: Sequence[TableRow],
    expansions: Expansions,
    signatures: Mapping[str, str],
    lower_is_better: tuple[str, ...],
) -> ResultsTable:
    """The table of rows: the metrics that have signatures, and cells of rows that differ in their seed alone."""
    rows, groups = seeds_of_cells(
        [replace(row, scores={name: row.scores[name] for name in signatures}) for row in rows]
    )
    cells = tell_apart([summary(members) for members in groups], expansions)
    cells = in_order(cells, methods.order(runs.values()))
    if any(cell.setting.method for cell in cells):
        cells = [replace(cell, cost=StepCost(methods.step_cost(cell, cells, rows))) for cell in cells]
    return ResultsTable(
        name=" + ".join(runs),
        runs=tuple(described(label, run) for label, run in runs.items()),
        signatures=dict(signatures),
        rows=tuple(rows),
        cells=tuple(cells),
        expansions=dict(expansions),
        lower_is_better=lower_is_better,
    )


def scored(runs: Mapping[str, Run]) -> Read:
    """A row for each model that is scored, and the names of the others."""
    found = Read([], {}, [], [], [])
    for label, run in runs.items():
        for model in run.models:
            folder = run.model_folder(model.name)
            if (run.results(model.name) / "metrics.json").is_file():
                expansion = signature.expansion(run, model)
                found.rows.append(row(label, run, model, signature.short(expansion)))
                found.scores.append(read_metrics(run.results(model.name) / "metrics.json").scores)
                found.expansions[found.rows[-1].signature] = expansion
                continue
            if not (model.is_scored if run.test_set is None else model.is_translator):
                continue  # translations that were made elsewhere
            found.not_scored.append(model.name if len(runs) == 1 else f"{label}/{model.name}")
            if not folder.is_dir():
                found.without_folder.append(found.not_scored[-1])
    return found


def remarks(runs: Mapping[str, Run], rows: Sequence[TableRow]) -> list[str]:
    """What to know of these scores: a tokeniser that does not suit the language, references that subwords rewrite."""
    known = {remark(runs[row.run].plan.data.target_lang, row.tokenizer) for row in rows}
    changed = {(row.references_changed_by_subwords or 0, row.sentences) for row in rows}
    made = [*sorted(filter(None, known)), *(rewritten(*each) for each in sorted(changed) if each[0])]
    made += [line for run in runs.values() for line in prepared_of(run).unproved]
    return made + [line for run in runs.values() for model in run.models for line in given_remark(run, model)]


def given_remark(run: Run, model: PlannedModel) -> list[str]:
    """What is known of a model that the run did not train."""
    given = record_of(run, model)
    if given is None:
        return []
    if given.kind == "translations":
        digest = (given.sha256 or "")[:8]
        return [f"{model.name} has no row: it is translations made elsewhere ({given.name}, sha256 {digest}…)"]
    if given.kind == "adopted-text":
        return [f"{model.name} is translations made elsewhere ({given.name}): its training and its cost are not known"]
    if model.decode_command[0] == "lskd":
        return [f"{model.name} was there already ({given.kind}:{given.name}): how it was trained is not known"]
    return [f"{model.name} was not trained here: what it cost is not known; {given.name} says: {said(given)}"]


def engines(rows: Sequence[TableRow], expansions: Expansions) -> list[str]:
    """A sentence where not all rows were decoded by one engine."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(str((expansions[row.signature].decode or {}).get("engine", "fairseq")), []).append(row.name)
    shown = [f"{engine} ({len(names)}, such as {names[0]})" for engine, names in sorted(found.items())]
    return [f"test sets were decoded by different engines: {', '.join(shown)}"] if len(found) > 1 else []


def rewritten(changed: int, of: int) -> str:
    """A sentence about references that no translation can equal."""
    return (
        f"references that the data's sentencepiece model rewrites (it normalises signs such as ² or ™), so that no "
        f"translation can equal them: {changed:,} of {of:,}"
    )


def labels(folders: Sequence[Path]) -> list[str]:
    """What each run is called: its name in the plan, or its folder where two have the same."""
    names = [Run(folder).plan.name for folder in folders]
    found = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    require(len(set(found)) == len(found), f"{', '.join(found)}: give each run once")
    return found


@record
class Prepared:
    """What a data folder's prep.json says of its text."""

    corpus: str | None = None
    form: str | None = None
    source_lang: str | None = None
    target_lang: str | None = None
    settings: dict[str, Json] = field(default_factory=dict)
    unproved: list[str] = field(default_factory=list)  # of a folder that fairseq-preprocess made


def prepared_of(run: Run) -> Prepared:
    """What the run's data folder says of itself."""
    file = run.data / "prep.json"
    return read_record(file, Prepared) if file.is_file() else Prepared()


def described(label: str, run: Run) -> RunData:
    """The data of a run, as far as its plan and the data folder's prep.json know."""
    data, prepared = run.plan.data, prepared_of(run)
    its_own = "dictionary" not in prepared.settings  # else subwords are an imported teacher's: their kind is not known
    subwords, size = (prepared.settings.get(key) if its_own else None for key in ("subwords", "vocab_size"))
    return RunData(
        name=label,
        corpus=prepared.corpus if data.corpus is None else data.corpus,
        form=data.form,
        source_lang=data.source_lang,
        target_lang=data.target_lang,
        methods=methods.described(run),
        subwords=subwords if isinstance(subwords, str) else None,
        vocab_size=size if isinstance(size, str | int) else None,
    )


def row(label: str, run: Run, model: PlannedModel, signature: str) -> TableRow:
    """One model of the run of this label: what it is, its scores, and what its training cost."""
    metrics = read_metrics(run.results(model.name) / "metrics.json")
    training, curve = run.run_record(model.name), run.curve(model.name)
    return TableRow(
        run=label,
        name=model.name,
        teacher=model.teacher,
        arch=model.arch or arch_of(run, model),
        seed=model.seed,
        setting=setting(model),
        scores={name: score.score for name, score in metrics.scores.items()},
        sentences=metrics.facts.sentences,
        tokenizer=tokenizer(metrics),
        references_changed_by_subwords=metrics.facts.references_changed_by_subwords,
        parameters=training.parameters,
        epochs=len(curve),
        best_valid_bleu=max((epoch.valid_bleu for epoch in curve if epoch.valid_bleu is not None), default=None),
        not_converged=still_falling(curve),
        cpu_hours=hours(training.cpu_seconds),
        wall_hours=hours(training.wall_seconds),
        gpu_hours=training.gpu_hours,
        peak_memory_mb=training.peak_memory_mb,
        peak_gpu_memory_mb=training.peak_gpu_memory_mb,
        words_per_second=training.words_per_second,
        updates_per_second=training.updates_per_second,
        commit=metrics.facts.commit,
        translations=metrics.facts.hyp_sha256,
        signature=signature,
    )


def arch_of(run: Run, model: PlannedModel) -> str:
    """What a model that the run did not train says of its architecture, or its kind."""
    given = record_of(run, model)
    return str(given.says.get("arch", given.kind)) if given is not None else ""


def hours(seconds: Number | None) -> float | None:
    """Seconds in hours, to the thousandth."""
    return None if seconds is None else round(seconds / 3600, 3)


def tokenizer(metrics: Metrics) -> str:
    """The tokeniser of a model's BLEU; older scores, which do not name it, all have sacreBLEU's 13a."""
    return metrics.scores["bleu"].tokenizer or USUAL


def still_falling(curve: Iterable[CurvePoint]) -> bool:
    """Whether the last validation loss is the lowest: more epochs might have helped."""
    losses = [epoch.valid_nll_loss for epoch in curve if epoch.valid_nll_loss is not None]
    return bool(losses) and losses[-1] == min(losses) and losses.count(losses[-1]) == 1


def columns(
    where: str, found: Read, wish: Sequence[str] | None, planned: Sequence[str] | None
) -> tuple[dict[str, str], list[str]]:
    """The signature of each metric of the table, in its order, and what to know of those that not all rows have.

    The order is the wished one, else that of the plan, else the usual one. A wish that no row has is refused.
    """
    known = sorted({name for scores in found.scores for name in scores})
    for name in wish or ():
        require(
            name in known,
            f"--metrics has '{name}', by which no model of {where} is scored (scored are {', '.join(known)}): "
            f"lskd score --run RUN --metrics {name} scores all",
        )
    order = list(wish or planned or defaults())
    lacking = {
        name: [row.name for row, scores in zip(found.rows, found.scores, strict=True) if name not in scores]
        for name in order
    }
    names = [name for name in order if not lacking[name]] or [
        name for name in METRICS if all(name in scores for scores in found.scores)
    ]
    remarks = [
        f"{metric_of(name).label} is not in the table, as {lacks(models)}: lskd score --run RUN --metrics {name}"
        for name, models in lacking.items()
        if models and (wish or planned)
    ]
    return same_metrics(where, found, names), remarks


def lacks(models: Sequence[str]) -> str:
    """Which models lack something, in words."""
    return f"{models[0]} lacks it" if len(models) == 1 else f"{len(models)} models lack it, such as {models[0]}"


def lower_is_better(metrics: Iterable[str], found: Read) -> tuple[str, ...]:
    """The metrics of which less is better, as programs said of their own."""
    return tuple(name for name in metrics if any(scores[name].lower_is_better for scores in found.scores))


def same_metrics(where: str, found: Read, metrics: Sequence[str]) -> dict[str, str]:
    """The signature of each of these metrics, which all rows have; rows of several, or of several sets, are refused."""
    references = {str(found.expansions[row.signature].reference): row.name for row in found.rows}
    made: dict[str, dict[str, str]] = {metric: {} for metric in metrics}
    for metric, signatures in made.items():
        rows = zip(found.rows, found.scores, strict=True)
        signatures |= {f"{scores[metric].signature} (text {scores[metric].text})": row.name for row, scores in rows}
        again = "metrics.json and score again"
        if metric_of(metric).by_program:
            again = f"statistics/{metric}.bin beside metrics.json, and lskd score --run RUN --metrics {metric}"
        require(
            len(signatures) == 1,
            f"{where} holds {metric} of different signatures ({', '.join(signatures.values())}): remove the older "
            f"{again}",
        )
    require(
        len(references) == 1,
        f"{where} holds scores on different test sets ({', '.join(references.values())}): give runs of one test set",
    )
    return {metric: next(iter(signatures)) for metric, signatures in made.items()}
