"""What a short training says of the speed of a long one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.experiment.training_log import record


@dataclass(frozen=True)
class Speed:
    """Measured on a probe. Words are target subwords."""

    words_per_second: float  # of training steps
    words_per_update: float
    startup_seconds: float  # everything that is neither a step nor a validation
    validation_seconds: float  # of one validation
    cpu_share: float  # CPU seconds in a second
    gpus: int
    peak_memory_mb: float
    peak_gpu_memory_mb: float | None
    parameters: int


def windows(lines: Sequence[str]) -> list[tuple[float, float, float]]:
    """Updates, words and seconds of the stretches between two log lines.

    Without the first of each epoch: its time has the validation before it or, at the start, what warms up.
    """
    found = []
    last, epoch = 0.0, -1.0
    for tag, values in filter(None, map(record, lines)):
        if tag != "train_inner":
            continue
        updates = values["num_updates"] - last
        if values["epoch"] == epoch and values["wps"] > 0 and updates > 0:
            words = updates * values["wpb"]
            found.append((updates, words, words / values["wps"]))
        last, epoch = values["num_updates"], values["epoch"]
    return found


def validations(lines: Sequence[str]) -> list[float]:
    """Words a second of each validation; 0 where it was one batch, which fairseq does not time."""
    return [
        values["valid_wps"]
        for tag, values in filter(None, map(record, lines))
        if tag == "valid" and "valid_wps" in values
    ]


def speed(lines: Sequence[str], measured: Mapping[str, Any], valid_words: float) -> Speed:
    """The speed of a probe from its log and its run.json; `valid_words` are the target subwords of the valid set."""
    found = windows(lines)
    require(bool(found), "the probe was too short to be timed: give more --updates")
    updates, words, seconds = (math.fsum(column) for column in zip(*found, strict=True))
    all_updates = max(values["num_updates"] for tag, values in filter(None, map(record, lines)) if tag == "train_inner")
    speeds = validations(lines)
    validation = valid_words / speeds[-1] if speeds and speeds[-1] > 0 else 0.0
    wall = measured["wall_seconds"]
    return Speed(
        words_per_second=words / seconds,
        words_per_update=words / updates,
        startup_seconds=max(0.0, wall - all_updates * seconds / updates - len(speeds) * validation),
        validation_seconds=validation,
        cpu_share=measured["cpu_seconds"] / wall,
        gpus=round(measured["gpu_hours"] * 3600 / wall),
        peak_memory_mb=measured["peak_memory_mb"],
        peak_gpu_memory_mb=measured["peak_gpu_memory_mb"],
        parameters=measured["parameters"],
    )
