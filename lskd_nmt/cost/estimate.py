"""What a planned run will cost, from a short training of each kind in it."""

from collections.abc import Callable

from lskd_nmt.cost import predict
from lskd_nmt.cost.kinds import flags, groups, signal
from lskd_nmt.cost.records import Forecast, ModelForecast, Speed
from lskd_nmt.cost.trial_runs import STORES, Machine, TrialRuns
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run

__all__ = ["Machine", "forecast"]
NOT_IN_IT = ("data preparation", "teacher stores", "translations of the training data", "decoding of the test set")


def forecast(run: Run, machine: Machine, jobs: int, other_load: float, show: Callable[[str], None]) -> Forecast:
    """Every model's time, memory and disk, and all of it together; the data are prepared.

    `other_load` are the cores that other work kept busy before.
    """
    planned = [model for model in run.models if model.train_command]
    kinds = groups(planned)
    speeds, stores = list[Speed](), dict[str, float]()  # of each kind; the MB of each store, by its path
    with TrialRuns(run, machine, show) as trials:
        for number, models in enumerate(kinds, 1):
            first, count = models[0], len(planned)
            learns = f"{first.arch}, {signal(first.train_command)}"
            show(f"probe {number} of {len(kinds)}: {learns}, for {len(models)} of {count} models")
            speeds.append(trials.measure(first, [model.name for model in models]))
            for model in models:
                if first.role == "teacher":
                    trials.teach(model.name, first.name)
                given = flags(model.train_command)
                sizes = {flag: trials.stores_mb.get((first.name, flag)) for flag in STORES}
                stores |= {given[flag]: size for flag, size in sizes.items() if size is not None}
        words = trials.words["train"]
    speed_of = {name: speed for speed in speeds for name in speed.models}
    forecasts = [model_forecast(model, speed_of[model.name], words) for model in planned]
    sweep = predict.sweep(forecasts, jobs, sum(stores.values()))
    return Forecast(other_load, machine.updates, words, list(NOT_IN_IT), speeds, forecasts, sweep)


def model_forecast(model: PlannedModel, speed: Speed, words: int) -> ModelForecast:
    """What one model will take; `words` are the target subwords of the training data."""
    cost = predict.training(model.train_command, speed, words)
    return ModelForecast(model.name, model.arch, signal(model.train_command), model.teacher, **vars(cost))
