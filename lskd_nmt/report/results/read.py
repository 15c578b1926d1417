"""What run folders hold: a row for each scored model, a cell for each group of seeds. Nothing is scored here."""

import itertools
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import remark
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results import methods, signature
from lskd_nmt.report.results.rows import CELL, facts, key, method, rank
from lskd_nmt.storage.files import read_json, read_list

METRICS = ("bleu", "chrf", "bleu_tokenised_lowercased")
HOURS, MEMORY = ("cpu_hours", "gpu_hours"), ("peak_memory_mb", "peak_gpu_memory_mb")
SPEED = ("words_per_second", "updates_per_second")


def results(folders: Sequence[Path], names: Sequence[str] | None = None) -> dict[str, Any]:
    """Every scored model of the runs with what its training cost, the mean over seeds, and the signatures."""
    runs = dict(zip(names or labels(folders), map(Run, folders), strict=True))
    where = ", ".join(map(str, folders))
    signatures: dict[str, Any] = {}
    rows, missing, gone = [], [], []
    for label, run in runs.items():
        for model in run.models:
            if not (run.model_folder(model["name"]) / "metrics.json").is_file():
                missing.append(model["name"] if len(runs) == 1 else f"{label}/{model['name']}")
                gone += [] if run.model_folder(model["name"]).is_dir() else missing[-1:]
                continue
            expansion = signature.expansion(run, model)
            rows.append(row(label, run, model) | {"signature": signature.short(expansion)})
            signatures[rows[-1]["signature"]] = expansion
    require(bool(rows), f"{where} has no scored model: run experiments/steps/decode.sh and score.sh first")
    metrics = same_metrics(where, rows, signatures)
    found = cells(rows, signatures, methods.order(runs.values()))
    if any(map(method, found)):
        for cell in found:
            cell["step_cost"] = methods.step_cost(cell, found, rows)
    return {
        "name": " + ".join(runs),
        "runs": [described(label, run) for label, run in runs.items()],
        "signatures": metrics,
        "rows": rows,
        "cells": found,
        "not_scored": missing,
        "without_folder": gone,
        "remarks": remarks(runs, rows),
        "expansions": signatures,
    }


def remarks(runs: Mapping[str, Run], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to know of these scores: a tokeniser that does not suit the language, references that subwords rewrite."""
    known = {remark(runs[row["run"]].plan["data"]["target_lang"], row["tokenizer"]) for row in rows}
    changed = {(row["references_changed_by_subwords"] or 0, row["sentences"]) for row in rows}
    return [*sorted(filter(None, known)), *(rewritten(*each) for each in sorted(changed) if each[0])]


def rewritten(changed: int, of: int) -> str:
    """References that no translation can equal."""
    return (
        f"references that the data's sentencepiece model rewrites (it normalises signs such as ² or ™), so that no "
        f"translation can equal them: {changed:,} of {of:,}"
    )


def labels(folders: Sequence[Path]) -> list[str]:
    """What each run is called: its name in the plan, or its folder where two have the same."""
    names = [str(Run(folder).plan["name"]) for folder in folders]
    found = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    require(len(set(found)) == len(found), f"{', '.join(found)}: give each run once")
    return found


def described(label: str, run: Run) -> dict[str, Any]:
    """The data of a run, as far as its plan and the data folder's prep.json know."""
    data, prep = run.plan["data"], run.data / "prep.json"
    prepared = read_json(prep) if prep.is_file() else {}
    options = prepared.get("settings", {})
    known = {name: data.get(name, prepared.get(name)) for name in ("corpus", "form", "source_lang", "target_lang")}
    known |= {"methods": found} if (found := methods.described(run)) else {}
    return {"name": label, **known, "subwords": options.get("subwords"), "vocab_size": options.get("vocab_size")}


def row(label: str, run: Run, model: Mapping[str, Any]) -> dict[str, Any]:
    """One model: what it is, its scores, and what its training cost."""
    folder = run.model_folder(model["name"])
    metrics, training = read_json(folder / "metrics.json"), read_json(folder / "run.json")
    curve = read_list(folder / "curve.json")
    bleus = [epoch["valid_bleu"] for epoch in curve if "valid_bleu" in epoch]
    return {
        "run": label,
        "name": model["name"],
        "teacher": model["teacher"],
        "arch": model["arch"],
        "seed": model["seed"],
        **facts(model),
        **{metric: metrics[metric]["score"] for metric in METRICS},
        "sentences": metrics["sentences"],
        "tokenizer": tokenizer(metrics),
        "references_changed_by_subwords": metrics.get("references_changed_by_subwords"),  # older ones did not count
        "parameters": training["parameters"],
        "epochs": len(curve),
        "best_valid_bleu": max(bleus, default=None),
        "not_converged": still_falling(curve),
        "cpu_hours": round(training["cpu_seconds"] / 3600, 3),
        "wall_hours": round(training["wall_seconds"] / 3600, 3),
        **{name: training.get(name) for name in ("gpu_hours", *MEMORY, *SPEED)},  # older ones know none
        "commit": metrics.get("commit"),
        "translations": metrics.get("hyp_sha256"),
    }


def tokenizer(metrics: Mapping[str, Any]) -> str:
    """The tokeniser of a model's BLEU; older scores, which do not name it, all have sacreBLEU's 13a."""
    return str(metrics["bleu"].get("tokenizer", USUAL))


def still_falling(curve: Sequence[Mapping[str, float]]) -> bool:
    """Whether the last validation loss is the lowest: more epochs might have helped."""
    losses = [epoch["valid_nll_loss"] for epoch in curve if "valid_nll_loss" in epoch]
    return bool(losses) and losses[-1] == min(losses) and losses.count(losses[-1]) == 1


def same_metrics(where: str, rows: Sequence[Mapping[str, Any]], expansions: Mapping[str, Any]) -> dict[str, str]:
    """The signature of each metric, which must be the same for all rows, as must be the test set."""
    found: dict[str, dict[str, str]] = {metric: {} for metric in (*METRICS, "reference")}
    for entry in rows:
        expansion = expansions[entry["signature"]]
        for metric in METRICS:
            found[metric][expansion["metrics"][metric]] = entry["name"]
        found["reference"][str(expansion["reference"])] = entry["name"]
    for metric in METRICS:
        require(
            len(found[metric]) == 1,
            f"{where} holds {metric} of different signatures "
            f"({', '.join(found[metric].values())}): remove the older metrics.json and score again",
        )
    require(
        len(found["reference"]) == 1,
        f"{where} holds scores on different test sets "
        f"({', '.join(found['reference'].values())}): give runs of one test set",
    )
    return {metric: next(iter(found[metric])) for metric in METRICS}


def cells(
    rows: list[dict[str, Any]], expansions: Mapping[str, Any], known: Sequence[str | None]
) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of each cell; rows of several runs meet where signatures agree.

    A model that several runs share is taken once, and leaves `rows`; another training of the same seed is a cell by
    itself.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for entry in list(rows):
        for number in itertools.count():
            members = groups.setdefault((*key(entry), entry["signature"], number), [])
            twin = next((member for member in members if member["seed"] == entry["seed"]), None)
            if twin is None:
                members.append(entry)
                break
            if entry["translations"] is not None and twin["translations"] == entry["translations"]:
                rows.remove(entry)
                break
    found = [summary(members) for members in groups.values()]
    tell_apart(found, expansions)
    return sorted(found, key=lambda cell: (*rank(cell), known.index(method(cell)), *order(cell)))


def order(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of one rank and method: α, level, tail, weight and temperature."""
    levels = ("word", "sequence", "both")
    return (
        cell["label_smoothing"] or 0,
        levels.index(cell["kd_level"]) if cell["kd_level"] in levels else -1,
        cell["hypotheses"] or "",
        cell["tail"] != "dense",
        cell["tail"] or "",
        cell["top_k"] or 0,
        cell["kd_weight"],
        cell["temperature"] or 0,
    )


def summary(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One cell: mean and standard deviation of the scores, sums of hours, the largest memory."""
    first = members[0]
    cell: dict[str, Any] = {"name": re.sub(r"-s\d+$", "", first["name"])}
    cell |= {name: first[name] for name in CELL}
    cell["seeds"] = [member["seed"] for member in members]
    cell["teachers"] = sorted({member["teacher"] for member in members} - {None})
    cell["members"] = [f"{member['run']}/{member['name']}" for member in members]
    cell["runs"] = list(dict.fromkeys(member["run"] for member in members))
    for metric in METRICS:
        values = [member[metric] for member in members]
        deviation = round(statistics.stdev(values), 2) if len(values) > 1 else None
        cell[metric] = {"mean": round(statistics.fmean(values), 2), "deviation": deviation}
    cell["parameters"] = first["parameters"]
    cell["epochs"] = round(statistics.fmean(member["epochs"] for member in members), 1)
    cell["not_converged"] = [member["seed"] for member in members if member["not_converged"]]
    for names, how in ((HOURS, sum), (MEMORY, max), (SPEED, statistics.fmean)):
        for name in names:
            values = [member[name] for member in members]
            cell[name] = None if None in values else round(how(values), 2)
    return cell | {"signature": first["signature"]}


def shown(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is known by: its cell, or its method and its teacher's label smoothing."""
    return (method(cell), cell["label_smoothing"]) if method(cell) else key(cell)


def tell_apart(found: Sequence[dict[str, Any]], expansions: Mapping[str, Any]) -> None:
    """Name the runs of cells that are known by the same, and the keys in which they differ."""
    for number, cell in enumerate(found):
        twins = [other for other in found if shown(other) == shown(cell)]
        cell["named_runs"] = cell["runs"] if len(twins) > 1 else []
        first = twins[0]
        keys = signature.differing(expansions[first["signature"]], expansions[cell["signature"]])
        keys = keys or [f"{name} ({first[name]} or {cell[name]})" for name in CELL if first[name] != cell[name]]
        cell["differs_in"] = (keys or ["translations of the same seed"]) if first is not cell else []
        if any(other["name"] == cell["name"] for other in found[:number]):
            cell["name"] = f"{cell['runs'][0]}:{cell['name']}"
        while any(other["name"] == cell["name"] for other in found[:number]):
            cell["name"] += "'"
