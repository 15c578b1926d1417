"""What a planned run will cost, from a short training of each kind in it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from lskd_nmt.cost import predict
from lskd_nmt.cost.kinds import flags, groups, signal
from lskd_nmt.cost.speed import Speed
from lskd_nmt.cost.trial_runs import STORES, Machine, Scratch
from lskd_nmt.experiment.run import Run

__all__ = ["Machine", "forecast"]
NOT_IN_IT = ("data preparation", "teacher stores", "translations of the training data", "decoding of the test set")


def forecast(run: Run, machine: Machine, jobs: int, show: Callable[[str], None]) -> dict[str, Any]:
    """Every model's time, memory and disk, and all of it together; the data are prepared."""
    kinds = groups(run.models)
    speeds: dict[str, Speed] = {}
    stores: dict[str, float] = {}
    with Scratch(run, machine, show) as scratch:
        for number, names in enumerate(kinds.values(), 1):
            first = run.model(names[0])
            show(
                f"probe {number} of {len(kinds)}: {first['arch']}, {signal(first['train_command'])}, "
                f"for {len(names)} of {len(run.models)} models"
            )
            speeds |= dict.fromkeys(names, scratch.probe(first))
            for name in names:
                if first["role"] == "teacher":
                    scratch.teach(name, first["name"])
                stores |= sizes(run.model(name)["train_command"], scratch.stores_mb, first["name"])
        words = scratch.words["train"]
    models = [
        {
            "name": model["name"],
            "arch": model["arch"],
            "targets": signal(model["train_command"]),
            "after": model["teacher"],
            **predict.training(model["train_command"], speeds[model["name"]], words),
        }
        for model in run.models
    ]
    return {
        "updates": machine.updates,
        "target_subwords": words,
        "not_in_it": list(NOT_IN_IT),
        "probes": [{"models": names, **asdict(speeds[names[0]])} for names in kinds.values()],
        "models": models,
        "sweep": predict.sweep(models, jobs, sum(stores.values())),
    }


def sizes(command: list[str], measured: Mapping[tuple[str, str], float], probed: str) -> dict[str, float]:
    """The MB of each store that a model reads, by its path."""
    given = flags(command)
    return {given[flag]: measured[probed, flag] for flag in STORES if (probed, flag) in measured}
