"""From the speed of a kind of training to the time, memory and disk of every model, and of all together."""

import math
from collections.abc import Mapping, Sequence

from lskd_nmt.cost.kinds import flags
from lskd_nmt.cost.records import ModelForecast, Speed, Sweep, TrainingCost
from lskd_nmt.experiment.training_log import limits
from lskd_nmt.sizes import checkpoint_bytes


def training(command: Sequence[str], speed: Speed, words_per_epoch: float) -> TrainingCost:
    """What one planned training will take."""
    given, (max_epoch, max_update) = flags(command), limits(command)
    updates_per_epoch = max(1.0, words_per_epoch / speed.words_per_update)
    updates = min(max_epoch * updates_per_epoch, max_update)
    epochs = updates / updates_per_epoch
    checks = validation_count(given, epochs, updates)
    seconds = speed.startup_seconds + checks * speed.validation_seconds
    seconds += updates * speed.words_per_update / speed.words_per_second
    patience = int(given.get("patience", -1))
    return TrainingCost(
        epochs=round(epochs, 2),
        updates=math.ceil(updates),
        at_most=0 < patience < checks,
        minutes=round(seconds / 60, 2),
        cpu_minutes=round(seconds / 60 * speed.cpu_share, 2),
        gpu_hours=round(seconds / 3600 * speed.gpus, 4),
        peak_memory_mb=speed.peak_memory_mb,
        peak_gpu_memory_mb=speed.peak_gpu_memory_mb,
        disk_mb=round(checkpoints(given, epochs) * checkpoint_bytes(speed.parameters) / 1e6, 1),
    )


def validation_count(given: Mapping[str, str], epochs: float, updates: float) -> int:
    """How often a training validates."""
    if "disable-validation" in given:
        return 0
    of_epochs, of_updates = int(given.get("validate-interval", 1)), int(given.get("validate-interval-updates", 0))
    return math.ceil(epochs / of_epochs - 1e-6) + (int(updates / of_updates) if of_updates else 0)


def checkpoints(given: Mapping[str, str], epochs: float) -> int:
    """How many checkpoints a training leaves at its end, the published model.pt among them."""
    best = max(0, int(given.get("keep-best-checkpoints", 0)))
    if "no-epoch-checkpoints" in given:
        return 3 + best  # last, best, model.pt
    last = int(given.get("keep-last-epochs", -1))
    return 3 + best + (math.ceil(epochs) if last < 1 else min(last, math.ceil(epochs)))


def sweep(models: Sequence[ModelForecast], jobs: int, stores_mb: float) -> Sweep:
    """All models together, `jobs` at a time; the memory is that of the largest ones at once."""
    minutes, after = {each.name: each.minutes for each in models}, {each.name: each.after for each in models}
    return Sweep(
        jobs=jobs,
        wall_hours=round(makespan(minutes, after, jobs) / 60, 3),
        cpu_hours=round(sum(each.cpu_minutes for each in models) / 60, 3),
        gpu_hours=round(sum(each.gpu_hours or 0 for each in models), 4),
        checkpoints_mb=round(sum(each.disk_mb for each in models), 1),
        stores_mb=round(stores_mb, 1),
        peak_memory_mb=largest([each.peak_memory_mb for each in models], jobs),
        peak_gpu_memory_mb=largest([each.peak_gpu_memory_mb for each in models], jobs),
        at_most=any(each.at_most for each in models),
    )


def largest(values: Sequence[float | None], count: int) -> float | None:
    """The sum of the largest `count` of the values that are known; None if none is."""
    known = sorted((value for value in values if value is not None), reverse=True)
    return sum(known[:count]) if known else None


def makespan(minutes: Mapping[str, float], after: Mapping[str, str | None], jobs: int) -> float:
    """When the last model is done, in minutes, if `jobs` train at a time and each waits for its teacher (`after`).

    Of those that may start, the one with the longest chain behind it is first.
    """
    chain = {
        name: minutes[name] + max((minutes[other] for other in minutes if after[other] == name), default=0.0)
        for name in minutes
    }
    waiting, running, done, now = set(minutes), list[tuple[float, str]](), set[str](), 0.0
    while waiting or running:
        ready = sorted(
            (name for name in waiting if after[name] is None or after[name] in done),
            key=lambda name: (-chain[name], name),
        )
        for name in ready[: jobs - len(running)]:
            waiting.remove(name)
            running.append((now + minutes[name], name))
        now, first = min(running)
        running.remove((now, first))
        done.add(first)
    return now
