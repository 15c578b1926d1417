"""Which trainings of a plan take the same time: those that differ only in what costs none."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from lskd_nmt.experiment.choices import learned
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.fairseq_io.flag_values import LOGGING

# of fairseq-train: flags whose values do not change what an update costs
FREE = {
    "seed",
    "save-dir",
    "label-smoothing",
    "smoothing-over",
    "temperature",
    "kd-weight",
    "temper",
    "no-temperature-squared",
    "teacher-path",
    "teacher-store",
    "hypotheses",
    "hypotheses-drawn",
    "finetune-from-model",
    "lr",
    "warmup-updates",
    "warmup-init-lr",
    "weight-decay",
    "dropout",
    "max-epoch",
    "max-update",
    "patience",
    "log-interval",
    "keep-last-epochs",
    "keep-best-checkpoints",
    "no-epoch-checkpoints",
} | LOGGING


def flags(command: Sequence[str]) -> dict[str, str]:
    """The flags of a fairseq command without their dashes; one without a value has an empty one."""
    return {
        word[2:]: "" if after.startswith("--") else after
        for word, after in pairwise([*command, "--"])
        if word.startswith("--")
    }


def with_flags(command: Sequence[str], changes: Mapping[str, str | None]) -> list[str]:
    """The command with other values of some flags; an empty value is a switch, None removes the flag."""
    kept, skipping = [], False
    for word in command:
        if word.startswith("--"):
            skipping = word[2:] in changes
        if not skipping:
            kept.append(word)
    given = [(name, value) for name, value in changes.items() if value is not None]
    return [*kept, *(word for name, value in given for word in (f"--{name}", value) if word)]


def signal(command: Sequence[str]) -> str:
    """Where a training's targets come from: `plain`, `no teacher`, or level and source of what is distilled."""
    given = flags(command)
    if float(given.get("kd-weight", 0.5)) == 0:
        return "plain"
    level = given.get("kd-level", "word")
    if level == "sequence":
        return "sequence level"
    if "virtual-teacher" in given:
        return "virtual teacher"
    if "teacher-store" not in given and "teacher-path" not in given:
        return "no teacher"
    source = "teacher store" if "teacher-store" in given else "live teacher"
    return source if level == "word" else f"both levels, {source}"


def kind(model: PlannedModel, models: Mapping[str, PlannedModel]) -> str:
    """A text that trainings share if an update takes them the same time; `models` are the plan's, by name."""
    command = model.train_command
    facts = [f"{name}={value}" for name, value in sorted(flags(command).items()) if name not in FREE]
    facts.append(f"signal={signal(command)}")
    if model.teacher is not None:
        facts.append(f"hypotheses={at_an_update(model)}")
        facts.append(f"teacher=({kind(models[model.teacher], models)})")
    return " ".join([command[1], *facts])


def at_an_update(model: PlannedModel) -> int:
    """How many hypotheses of a sentence an update learns, at most; 0: as many as are decoded."""
    chosen, drawn = learned(model.hypotheses, 0), model.hypotheses_drawn
    return chosen if drawn is None else min(drawn, chosen or drawn)


def groups(models: Sequence[PlannedModel]) -> list[list[PlannedModel]]:
    """The models of each kind, teachers first; the first model of a kind stands for it."""
    by_name = {model.name: model for model in models}
    found: dict[str, list[PlannedModel]] = {}
    for model in models:
        found.setdefault(kind(model, by_name), []).append(model)
    return list(found.values())
