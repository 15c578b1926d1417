"""The results of a run folder: JSON first, then the same as Markdown, LaTeX and CSV. Nothing is scored here."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lskd_nmt.errors import require
from lskd_nmt.runs import Run, read_json, read_list

METRICS = ("bleu", "chrf", "bleu_tokenised_lowercased")
LABELS = {"bleu": "BLEU", "chrf": "chrF", "bleu_tokenised_lowercased": "BLEU tok. lc"}
# models that agree in these differ in nothing but their seed
CELL = ("role", "label_smoothing", "kd_level", "hypotheses", "temperature", "kd_weight")


def results(folder: Path) -> dict[str, Any]:
    """Every scored model of the run with what its training cost, the mean over seeds, and the signatures."""
    run = Run(folder)
    rows = [row(run, model) for model in run.models if (run.model_folder(model["name"]) / "metrics.json").is_file()]
    require(bool(rows), f"{folder} has no scored model: run experiments/steps/decode.sh and score.sh first")
    missing = [model["name"] for model in run.models if model["name"] not in {entry["name"] for entry in rows}]
    return {"name": run.plan["name"], "signatures": signatures(run, rows), "rows": rows, "cells": cells(rows),
            "not_scored": missing}  # fmt: skip


def row(run: Run, model: Mapping[str, Any]) -> dict[str, Any]:
    """One model: what it is, its scores, and what its training cost."""
    folder = run.model_folder(model["name"])
    metrics, training = read_json(folder / "metrics.json"), read_json(folder / "run.json")
    curve = read_list(folder / "curve.json")
    keys = ("name", "role", "teacher", "label_smoothing", "kd_level", "hypotheses", "temperature", "kd_weight", "arch",
            "seed")  # fmt: skip
    bleus = [epoch["valid_bleu"] for epoch in curve if "valid_bleu" in epoch]
    return {
        **{key: model.get(key) for key in keys},  # older plans know no level: theirs is word
        **{metric: metrics[metric]["score"] for metric in METRICS},
        "sentences": metrics["sentences"],
        "parameters": training["parameters"],
        "epochs": len(curve),
        "best_valid_bleu": max(bleus, default=None),
        "cpu_minutes": round(training["cpu_seconds"] / 60, 2),
        "wall_minutes": round(training["wall_seconds"] / 60, 2),
    }


def signatures(run: Run, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The signature of each metric, which must be the same for all rows."""
    result = {}
    for metric in METRICS:
        found = {}
        for entry in rows:
            measured = read_json(run.model_folder(entry["name"]) / "metrics.json")[metric]
            found[f"{measured['signature']} (text {measured['text']})"] = entry["name"]
        require(len(found) == 1, f"{run.folder} holds {metric} of different signatures ({', '.join(found.values())}): "
                                 "remove the older metrics.json and score again")  # fmt: skip
        result[metric] = next(iter(found))
    return result


def cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of each cell, in the order of the plan."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in rows:
        groups.setdefault(tuple(entry[key] for key in CELL), []).append(entry)
    result = []
    for cell, members in groups.items():
        summary: dict[str, Any] = dict(zip(CELL, cell, strict=True)) | {"seeds": [member["seed"] for member in members]}
        for metric in METRICS:
            values = [member[metric] for member in members]
            deviation = round(statistics.stdev(values), 2) if len(values) > 1 else None
            summary[metric] = {"mean": round(statistics.fmean(values), 2), "deviation": deviation}
        summary["parameters"] = members[0]["parameters"]
        summary["epochs"] = round(statistics.fmean(member["epochs"] for member in members), 1)
        summary["cpu_minutes"] = round(sum(member["cpu_minutes"] for member in members), 1)
        result.append(summary)
    return result


def label(entry: Mapping[str, Any]) -> str:
    """What a row is, for people: `teacher`, `student without KD`, `student`."""
    plain = entry["role"] == "student" and entry["label_smoothing"] is None  # that of its teacher
    return "student without KD" if plain else str(entry["role"])


def level(entry: Mapping[str, Any]) -> str:
    """What a student learns of its teacher: `word`, `sequence (beam)`, `both (interpolate)`; – for others."""
    if label(entry) != "student":
        return "–"
    kind = entry["kd_level"] or "word"
    return f"{kind} ({entry['hypotheses']})" if entry["hypotheses"] else kind


def frame(content: Mapping[str, Any]) -> pd.DataFrame:
    """The table that people read: one row per cell, as text."""

    def score(value: Mapping[str, Any]) -> str:
        return f"{value['mean']:.2f}" + (f" ± {value['deviation']:.2f}" if value["deviation"] is not None else "")

    def optional(value: float | None) -> str:
        return "–" if value is None else f"{value:g}"

    has_levels = any(cell["hypotheses"] for cell in content["cells"])
    lines = [{
        "model": label(cell),
        "teacher LS": optional(cell["label_smoothing"]),
        **({"KD level": level(cell)} if has_levels else {}),
        "T": optional(cell["temperature"]),
        "KD weight": f"{cell['kd_weight']:g}",
        "seeds": str(len(cell["seeds"])),
        **{LABELS[metric]: score(cell[metric]) for metric in METRICS},
        "parameters": f"{cell['parameters']:,}" if cell["parameters"] else "–",
        "epochs": f"{cell['epochs']:g}",
        "CPU min": f"{cell['cpu_minutes']:.1f}",
    } for cell in content["cells"]]  # fmt: skip
    return pd.DataFrame(lines, dtype=str)


def notes(content: Mapping[str, Any]) -> list[str]:
    """The lines under the table: signatures, the spread, and what is not in it."""
    lines = [f"{LABELS[metric]}: {signature}" for metric, signature in content["signatures"].items()]
    lines += [f"{LABELS['bleu_tokenised_lowercased']}: tokenised, lower-cased text, for comparison with older papers",
              "teacher LS is the teacher's label smoothing, T the temperature",
              f"{content['rows'][0]['sentences']} test sentences"]  # fmt: skip
    if any(cell["hypotheses"] for cell in content["cells"]):
        lines.append("KD level: probabilities on references (word), translations (sequence), or both; in brackets, "
                     "which translations")  # fmt: skip
    if any(len(cell["seeds"]) > 1 for cell in content["cells"]):
        lines.append("scores are the mean ± standard deviation over seeds; CPU minutes are their sum")
    if content["not_scored"]:
        lines.append(f"not scored yet: {', '.join(content['not_scored'])}")
    return lines


def markdown(content: Mapping[str, Any]) -> str:
    """The table and its notes as Markdown."""
    return as_markdown(content["name"], frame(content), notes(content))


def as_markdown(title: str, table: pd.DataFrame, lines: Sequence[str]) -> str:
    """A title, a table of texts, and notes under it."""
    body = table.to_markdown(index=False, disable_numparse=True)
    return f"# {title}\n\n{body}\n\n" + "".join(f"- {line}\n" for line in lines)


def latex(content: Mapping[str, Any]) -> str:
    """The table as LaTeX (booktabs), its notes as comments."""
    return as_latex(frame(content), notes(content))


def as_latex(table: pd.DataFrame, lines: Sequence[str]) -> str:
    """A table of texts (booktabs), its notes as comments."""
    body = table.to_latex(index=False, escape=True).replace("±", r"$\pm$").replace("×", r"$\times$")
    return "".join(f"% {line}\n" for line in lines) + body


def csv(content: Mapping[str, Any]) -> str:
    """One line per model, numbers only."""
    return str(pd.DataFrame(content["rows"]).to_csv(index=False))
