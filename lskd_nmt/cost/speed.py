"""What a short training says of the speed of a long one."""

import math
from collections.abc import Sequence

from lskd_nmt.cost.records import Speed
from lskd_nmt.errors import require
from lskd_nmt.experiment.records import RunRecord
from lskd_nmt.experiment.training_log import record


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


def speed(lines: Sequence[str], measured: RunRecord, valid_words: float, models: Sequence[str] = ()) -> Speed:
    """The speed of a trial run from its log and its record; `valid_words` are the target subwords of the valid set.

    `models` are the planned models that it stands for.
    """
    found = windows(lines)
    require(bool(found), "the probe was too short to be timed: give more --updates")
    updates, words, seconds = (math.fsum(column) for column in zip(*found, strict=True))
    all_updates = max(values["num_updates"] for tag, values in filter(None, map(record, lines)) if tag == "train_inner")
    speeds = validations(lines)
    validation = valid_words / speeds[-1] if speeds and speeds[-1] > 0 else 0.0
    wall = measured.wall_seconds or math.nan  # of a training that has just ended, all is there
    return Speed(
        models=list(models),
        words_per_second=words / seconds,
        words_per_update=words / updates,
        startup_seconds=max(0.0, wall - all_updates * seconds / updates - len(speeds) * validation),
        validation_seconds=validation,
        cpu_share=(measured.cpu_seconds or 0) / wall,
        gpus=round((measured.gpu_hours or 0) * 3600 / wall),
        peak_memory_mb=measured.peak_memory_mb or 0,
        peak_gpu_memory_mb=measured.peak_gpu_memory_mb,
        parameters=measured.parameters or 0,
    )
