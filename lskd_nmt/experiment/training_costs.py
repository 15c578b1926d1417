"""What fairseq's logs say of a training's cost: its GPUs, their memory, its speed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lskd_nmt.experiment.records import Costs
from lskd_nmt.experiment.training_log import record

GPU = re.compile(r"rank\s+\d+: capabilities = .*; total memory = ([\d.]+) GB")  # one line for each worker's GPU
TRANSLATED = re.compile(r"Translated [\d,]+ sentences .* ([\d.]+) tokens/s\)")
GIB = 2**30


def with_logged(costs: Costs, lines: Sequence[str], updates_before: float = 0) -> Costs:
    """The measured costs of one attempt of a training, with what its log says of GPUs and speed."""
    return replace(
        costs,
        gpu_hours=round(len(gpu_gib(lines)) * (costs.wall_seconds or 0) / 3600, 4),
        peak_gpu_memory_mb=peak_gpu_memory_mb(lines),
        words_per_second=words_per_second(lines, updates_before),
    )


def gpu_gib(lines: Iterable[str]) -> list[float]:
    """The memory of each GPU that the training used, in GiB; empty on a CPU."""
    return [float(match[1]) for match in map(GPU.search, lines) if match]


def peak_gpu_memory_mb(lines: Sequence[str]) -> float | None:
    """The most that tensors took on the first worker's GPU in an update that was logged, in MB; None on a CPU.

    fairseq logs the GPU's size less that, in GiB with one decimal; updates between two log lines stay unseen.
    """
    sizes = gpu_gib(lines)
    records = [values for _, values in filter(None, map(record, lines))]
    free = [values[key] for values in records for key in ("gb_free", "train_gb_free") if key in values]
    return round((sizes[0] - min(free)) * GIB / 1e6) if sizes and free else None


def words_per_second(lines: Iterable[str], updates_before: float = 0) -> float | None:
    """Target subwords a second of training steps, over all epochs; validations are not in it.

    Steps are timed in whole seconds. An epoch that was not finished counts only where no other was.
    """
    words, _, seconds = steps(lines, updates_before)
    return round(words / seconds, 1) if words > 0 and seconds > 0 else None


def updates_per_second(lines: Iterable[str]) -> float | None:
    """Updates a second of training steps, over all epochs, timed likewise."""
    _, made, seconds = steps(lines, 0)
    return round(made / seconds, 4) if made > 0 and seconds > 0 else None


def steps(lines: Iterable[str], updates_before: float) -> tuple[float, float, float]:
    """Words, updates and seconds of finished epochs, or of an unfinished one."""
    records = list(filter(None, map(record, lines)))
    epochs = [values for tag, values in records if tag == "train" and "train_num_updates" in values]
    if not epochs:
        return summed([values for tag, values in records if tag == "train_inner"], "", updates_before)
    return summed(epochs, "train_", updates_before)


def summed(entries: Iterable[Mapping[str, float]], prefix: str, done: float) -> tuple[float, float, float]:
    """Of consecutive log entries: words of an update, updates until now, seconds since the last."""
    names = [f"{prefix}{name}" for name in ("wpb", "num_updates", "train_wall")]
    words = made = seconds = 0.0
    for entry in entries:
        if any(name not in entry for name in names):
            continue
        of_an_update, updates_now, took = (entry[name] for name in names)
        if updates_now > done:  # else a resumed training repeats what was logged
            words += of_an_update * (updates_now - done)
            made += updates_now - done
            seconds += took
            done = updates_now
    return words, made, seconds


def updates(lines: Iterable[str]) -> float:
    """Updates of all finished epochs."""
    found = [
        values["train_num_updates"]
        for tag, values in filter(None, map(record, lines))
        if tag == "train" and "train_num_updates" in values
    ]
    return found[-1] if found else 0


def decoded_words_per_second(lines: Iterable[str]) -> float | None:
    """Output subwords a second, as fairseq-generate counts them."""
    found = [float(match[1]) for match in map(TRANSLATED.search, lines) if match]
    return round(found[-1], 1) if found else None
