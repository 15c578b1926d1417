"""A forecast as a table for people, alone and beside what it came to."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.training_log import duration
from lskd_nmt.storage.files import read_json


def markdown(content: Mapping[str, Any]) -> str:
    """What each model will take, and all of them."""
    has_gpus = content["sweep"]["gpu_hours"] > 0
    speeds = {name: probe["words_per_second"] for probe in content["probes"] for name in probe["models"]}
    rows = [
        {
            "model": model["name"],
            "learns from": model["targets"],
            "words/s": f"{speeds[model['name']]:,.0f}",
            "epochs": limit(model, f"{model['epochs']:g}"),
            "wall": limit(model, duration(60 * model["minutes"])),
            "CPU min": limit(model, f"{model['cpu_minutes']:.1f}"),
            **({"GPU h": limit(model, f"{model['gpu_hours']:.2f}")} if has_gpus else {}),
            "peak MB": number(model["peak_memory_mb"]),
            **({"peak GPU MB": number(model["peak_gpu_memory_mb"])} if has_gpus else {}),
            "disk MB": number(model["disk_mb"]),
        }
        for model in content["models"]
    ]
    return as_text(rows, notes(content))


def notes(content: Mapping[str, Any]) -> list[str]:
    """All models together, and what the forecast leaves out."""
    sweep = content["sweep"]
    atmost = "at most " if sweep["at_most"] else ""
    gpu = f", {sweep['gpu_hours']:.2f} GPU hours" if sweep["gpu_hours"] else ""
    memory = f"{number(sweep['peak_memory_mb'])} MB of memory"
    if sweep["peak_gpu_memory_mb"]:
        memory += f", {number(sweep['peak_gpu_memory_mb'])} MB of GPU memory"
    lines = [
        f"all trainings: {atmost}{duration(3600 * sweep['wall_hours'])} with {sweep['jobs']} at a time, "
        f"{atmost}{sweep['cpu_hours']:.2f} CPU hours{gpu}",
        f"on disk: checkpoints {number(sweep['checkpoints_mb'])} MB, stores {number(sweep['stores_mb'])} MB; "
        f"at once {memory}",
        f"measured on {content['updates']} updates of each kind, one at a time; several at a time slow each other down",
        f"not in it: {', '.join(content['not_in_it'])}",
    ]
    if content["other_load"] >= 1:
        lines.append(f"{content['other_load']:g} cores were busy with other work: on an idle machine it takes less")
    return [*lines, "≤: early stopping may end it sooner"] if sweep["at_most"] else lines


def compared(run: Run, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Forecast and actual cost of every model that is trained; a ratio above 1 took longer than was said."""
    rows = []
    for model in content["models"]:
        folder = run.model_folder(model["name"])
        if not (folder / "model.pt").exists() or not (folder / "run.json").is_file():
            continue
        actual = read_json(folder / "run.json")
        minutes = {"minutes": actual["wall_seconds"] / 60, "cpu_minutes": actual["cpu_seconds"] / 60}
        row = {"name": model["name"], "at_most": model["at_most"]}
        for key, value in minutes.items():
            row |= {key: model[key], f"actual_{key}": round(value, 2), f"{key}_ratio": round(value / model[key], 2)}
        row |= {"peak_memory_mb": model["peak_memory_mb"], "actual_peak_memory_mb": actual.get("peak_memory_mb")}
        rows.append(row)
    return rows


def comparison(rows: Sequence[Mapping[str, Any]], models: int) -> str:
    """The table of `compared`."""
    lines = [
        {
            "model": row["name"],
            "forecast min": limit(row, f"{row['minutes']:.1f}"),
            "wall min": f"{row['actual_minutes']:.1f}",
            "ratio": f"{row['minutes_ratio']:.2f}",
            "forecast CPU min": limit(row, f"{row['cpu_minutes']:.1f}"),
            "CPU min": f"{row['actual_cpu_minutes']:.1f}",
            "CPU ratio": f"{row['cpu_minutes_ratio']:.2f}",
            "forecast MB": number(row["peak_memory_mb"]),
            "peak MB": number(row["actual_peak_memory_mb"]),
        }
        for row in rows
    ]
    said, came = (sum(row[key] for row in rows) for key in ("cpu_minutes", "actual_cpu_minutes"))
    return as_text(
        lines,
        [f"{len(rows)} of {models} models are trained: {came:.1f} CPU minutes, {came / said:.2f} of the forecast"],
    )


def limit(row: Mapping[str, Any], text: str) -> str:
    """With ≤ where a training may stop early."""
    return f"≤ {text}" if row["at_most"] else text


def number(value: float | None) -> str:
    """With commas; – for nothing."""
    return "–" if value is None else f"{value:,.0f}"


def as_text(rows: Sequence[Mapping[str, str]], lines: Sequence[str]) -> str:
    """A Markdown table and the lines under it."""
    body = pd.DataFrame(rows, dtype=str).to_markdown(index=False, disable_numparse=True)
    return f"{body}\n\n" + "".join(f"- {line}\n" for line in lines)
