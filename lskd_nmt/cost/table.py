"""A forecast as a table for people, alone and beside what it came to."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lskd_nmt.cost.records import Forecast, ModelForecast, Outcome
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.training_log import duration


def markdown(forecast: Forecast) -> str:
    """What each model will take, and all of them."""
    has_gpus = forecast.sweep.gpu_hours > 0
    speeds = {name: probe.words_per_second for probe in forecast.probes for name in probe.models}
    rows = [
        {
            "model": model.name,
            "learns from": model.targets,
            "words/s": f"{speeds[model.name]:,.0f}",
            "epochs": limit(model, f"{model.epochs:g}"),
            "wall": limit(model, duration(60 * model.minutes)),
            "CPU min": limit(model, f"{model.cpu_minutes:.1f}"),
            **({"GPU h": limit(model, f"{model.gpu_hours or 0:.2f}")} if has_gpus else {}),
            "peak MB": number(model.peak_memory_mb),
            **({"peak GPU MB": number(model.peak_gpu_memory_mb)} if has_gpus else {}),
            "disk MB": number(model.disk_mb),
        }
        for model in forecast.models
    ]
    return as_text(rows, notes(forecast))


def notes(forecast: Forecast) -> list[str]:
    """All models together, and what the forecast leaves out."""
    sweep = forecast.sweep
    at_most = "at most " if sweep.at_most else ""
    gpu = f", {sweep.gpu_hours:.2f} GPU hours" if sweep.gpu_hours else ""
    memory = f"{number(sweep.peak_memory_mb)} MB of memory"
    if sweep.peak_gpu_memory_mb:
        memory += f", {number(sweep.peak_gpu_memory_mb)} MB of GPU memory"
    lines = [
        f"all trainings: {at_most}{duration(3600 * sweep.wall_hours)} with {sweep.jobs} at a time, "
        f"{at_most}{sweep.cpu_hours:.2f} CPU hours{gpu}",
        f"on disk: checkpoints {number(sweep.checkpoints_mb)} MB, stores {number(sweep.stores_mb)} MB; "
        f"at once {memory}",
        f"measured on {forecast.updates} updates of each kind, one at a time; several at a time slow each other down",
        f"not in it: {', '.join(forecast.not_in_it)}",
    ]
    if forecast.other_load >= 1:
        lines.append(f"{forecast.other_load:g} cores were busy with other work: on an idle machine it takes less")
    return [*lines, "≤: early stopping may end it sooner"] if sweep.at_most else lines


def compared(run: Run, forecast: Forecast) -> list[Outcome]:
    """Forecast and actual cost of every model that is trained."""
    rows = []
    for model in forecast.models:
        folder = run.model_folder(model.name)
        if not (folder / "model.pt").exists() or not (folder / "run.json").is_file():
            continue
        actual = run.run_record(model.name)
        minutes, cpu_minutes = (actual.wall_seconds or 0) / 60, (actual.cpu_seconds or 0) / 60
        rows.append(
            Outcome(
                model.name,
                model.at_most,
                *(model.minutes, round(minutes, 2), round(minutes / model.minutes, 2)),
                *(model.cpu_minutes, round(cpu_minutes, 2), round(cpu_minutes / model.cpu_minutes, 2)),
                *(model.peak_memory_mb, actual.peak_memory_mb),
            )
        )
    return rows


def comparison(rows: Sequence[Outcome], models: int) -> str:
    """The table of `compared`; the plan has so many `models`."""
    lines = [
        {
            "model": row.name,
            "forecast min": limit(row, f"{row.minutes:.1f}"),
            "wall min": f"{row.actual_minutes:.1f}",
            "ratio": f"{row.minutes_ratio:.2f}",
            "forecast CPU min": limit(row, f"{row.cpu_minutes:.1f}"),
            "CPU min": f"{row.actual_cpu_minutes:.1f}",
            "CPU ratio": f"{row.cpu_minutes_ratio:.2f}",
            "forecast MB": number(row.peak_memory_mb),
            "peak MB": number(row.actual_peak_memory_mb),
        }
        for row in rows
    ]
    said, came = sum(row.cpu_minutes for row in rows), sum(row.actual_cpu_minutes for row in rows)
    return as_text(
        lines,
        [f"{len(rows)} of {models} models are trained: {came:.1f} CPU minutes, {came / said:.2f} of the forecast"],
    )


def limit(row: ModelForecast | Outcome, text: str) -> str:
    """The text, with ≤ where a training may stop early."""
    return f"≤ {text}" if row.at_most else text


def number(value: float | None) -> str:
    """A number with commas; – for None."""
    return "–" if value is None else f"{value:,.0f}"


def as_text(rows: Sequence[Mapping[str, str]], lines: Sequence[str]) -> str:
    """A Markdown table and the lines under it."""
    body = pd.DataFrame(rows, dtype=str).to_markdown(index=False, disable_numparse=True)
    return f"{body}\n\n" + "".join(f"- {line}\n" for line in lines)
