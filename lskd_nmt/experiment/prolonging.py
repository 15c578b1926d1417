"""A run whose trainings go on: the config raises max-epoch, max-update or patience of models that are made."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment import history
from lskd_nmt.experiment.records import Attempt, Command, Plan, PlannedModel, RunRecord
from lskd_nmt.experiment.training_log import duration
from lskd_nmt.fairseq_io.flag_values import LOGGING, without
from lskd_nmt.storage.files import read_lines
from lskd_nmt.storage.provenance import commit
from lskd_nmt.storage.typed import read_record, write_record

LIMITS = ("max-epoch", "max-update", "patience")
STOPPED = "early stop since valid performance hasn't improved"  # fairseq's log
Sign = Callable[[str], str | None]  # the signature of a model's row in the table, by its name
SHOWN = 2  # models that a line names


@dataclass(frozen=True)
class Prolonging:
    """What a plan would change in a run that has models: which go on, which stand as they are, which begin anew."""

    raised: dict[str, dict[str, tuple[str, str]]]  # of each model whose training goes on: flag, before and after
    stands: tuple[PlannedModel, ...] = ()  # finished, and a longer training would have ended where they did
    teachers: tuple[str, ...] = ()  # of those that go on
    is_shared: bool = False  # these are of another run, which has trained them on
    anew: tuple[str, ...] = ()  # students that were begun, of teachers that go on
    remade: tuple[str, ...] = ()  # teachers that go on and whose store or translations are made again
    finished: tuple[str, ...] = ()  # of those that go on or begin anew, students first
    seconds_on: float | None = 0.0  # forecast of the trainings that go on, and that begin anew; None: not known
    seconds_anew: float | None = 0.0
    at_most: bool = False  # patience may end a training sooner

    def __bool__(self) -> bool:
        return bool(self.raised or self.stands)


def limits_of(command: Command) -> dict[str, str]:
    """The limits that a training command gives, as it has them."""
    return {flag[2:]: value for flag, value in pairwise(command) if flag.startswith("--") and flag[2:] in LIMITS}


def value_of(limits: dict[str, str], flag: str) -> float:
    """A limit as a number; infinity where it is not given, or switched off."""
    found = float(limits.get(flag, "0"))
    return found if found > 0 else math.inf


def may_stop_early(limits: dict[str, str]) -> bool:
    """Whether patience can end a training before its last epoch."""
    return value_of(limits, "patience") < value_of(limits, "max-epoch") - 1


def raised(old: Command, new: Command) -> dict[str, tuple[str, str]]:
    """The limits that a command raises, if it lowers none and is the same otherwise; empty where it does not."""
    then, now = limits_of(old), limits_of(new)
    free = LOGGING | {*LIMITS}
    if without(old, free) != without(new, free) or any(value_of(now, one) < value_of(then, one) for one in LIMITS):
        return {}
    return {
        one: (then.get(one, "none"), now.get(one, "none")) for one in LIMITS if value_of(now, one) > value_of(then, one)
    }


def prolonging(before: Plan | None, after: Plan, run: Path) -> Prolonging:
    """What the plan `after` prolongs of a run that has the plan `before`; refused where a training cannot go on."""
    known = {model.name: model for model in before.models} if before is not None else {}
    ups, stands = dict[str, dict[str, tuple[str, str]]](), list[PlannedModel]()
    for model in after.models:
        folder, old = run / "models" / model.name, known.get(model.name)
        up = raised(old.train_command, model.train_command) if old is not None and not model.origin else {}
        if old is None or not up or not is_begun(folder):
            continue
        if folder.is_symlink():  # of another run, which trains it
            if history.numbers(folder):
                ups[model.name] = up
        elif (folder / "model.pt").is_file() and not would_go_on(folder, old.train_command, model.train_command):
            stands.append(model)
        else:
            require_possible(model, folder, up)
            ups[model.name] = up
    return with_students(ups, stands, after, run)


def with_students(
    ups: dict[str, dict[str, tuple[str, str]]], stands: Sequence[PlannedModel], after: Plan, run: Path
) -> Prolonging:
    """See `prolonging`: what the models that go on (`ups`) mean for others, and how long all of it takes."""
    folders = {model.name: run / "models" / model.name for model in after.models}
    planned = {model.name: model.train_command for model in after.models}
    own = [name for name in ups if not folders[name].is_symlink()]
    anew = [model.name for model in after.models if model.teacher in ups and is_begun(folders[model.name])]
    on = [name for name in own if name not in anew]
    return Prolonging(
        raised=ups,
        stands=tuple(model for model in stands if model.name not in anew),
        teachers=tuple(model.name for model in after.models if model.name in ups and model.role == "teacher"),
        is_shared=len(own) < len(ups),
        anew=tuple(anew),
        remade=tuple(name for name in own if any((folders[name] / made).exists() for made in history.MADE)),
        finished=tuple(name for name in (*anew, *reversed(on)) if (folders[name] / "model.pt").is_file()),
        seconds_on=total([seconds(folders[name], planned[name], again=False) for name in on]),
        seconds_anew=total([seconds(folders[name], planned[name], again=True) for name in anew]),
        at_most=any(may_stop_early(limits_of(planned[name])) for name in (*on, *anew)),
    )


def is_begun(folder: Path) -> bool:
    """Whether a model is finished or has checkpoints, its own or those of another run."""
    return (folder / "model.pt").exists() or any((folder / "checkpoints").glob("checkpoint*"))


def would_go_on(folder: Path, old: Command, new: Command) -> bool:
    """Whether a training with the new limits would not have ended where one with the old ones did."""
    then, now = limits_of(old), limits_of(new)
    curve = history.curve_of(folder)
    if not curve:
        return True
    if value_of(now, "patience") == value_of(then, "patience") and stopped_early(folder / "train.log"):
        return False
    return (curve[-1].updates or 0) < value_of(now, "max-update") and (
        curve[-1].epoch < value_of(now, "max-epoch") or (curve[-1].updates or 0) >= value_of(then, "max-update")
    )


def stopped_early(log: Path) -> bool:
    """Whether it was patience that ended a training: fairseq says so after the last validation."""
    lines = read_lines(log) if log.is_file() else []
    for line in reversed(lines):
        if STOPPED in line:
            return True
        if " | valid | {" in line:
            return False
    return False


def require_possible(model: PlannedModel, folder: Path, up: dict[str, tuple[str, str]]) -> None:
    """Refuse a training that is over and cannot go on, or that would not be the one that was begun."""
    last = any((folder / "checkpoints").glob("checkpoint_last*.pt"))
    flag, (then, _) = next(iter(up.items()))
    require(
        last or not (folder / "model.pt").exists(),
        f"{folder}/checkpoints has no checkpoint_last.pt to go on from: change {flag} back to {then}, or give another "
        "--out",
    )
    follows = follower(model.train_command) if "max-update" in up else None
    require(
        follows is None,
        f"{model.name}: {follows} follows max-update, which is raised from {up.get('max-update', ('', ''))[0]} to "
        f"{up.get('max-update', ('', ''))[1]}: another training than the one that was begun; change it back, or give "
        "another --out",
    )


def follower(command: Command) -> str | None:
    """What of a training is stretched over max-update, so that raising it changes all updates; None without it."""
    given = {flag: value for flag, value in pairwise(command) if flag.startswith("--")}
    scheduler = given.get("--lr-scheduler")
    stretched = {
        "cosine": float(given.get("--lr-period-updates", "-1")) <= 0,
        "polynomial_decay": "--total-num-update" not in given,
        "tri_stage": "--phase-ratio" in given,
    }
    if scheduler is not None and stretched.get(scheduler):
        return f"the learning rate of {scheduler}"
    weight = given.get("--kd-weight-schedule", "constant")
    return f"kd-weight-schedule {weight}" if weight != "constant" and weight.count(":") < 2 else None


def seconds(folder: Path, command: Command, again: bool) -> float | None:
    """How long a training will still take at the speed that it had, or with `again` all of it; None if nobody knows."""
    curve = history.curve_of(folder)
    cost = read_record(folder / "run.json", RunRecord) if (folder / "run.json").is_file() else RunRecord()
    if not curve or not cost.wall_seconds:
        return None
    now = limits_of(command)
    whole = min(
        value_of(now, "max-epoch") / curve[-1].epoch,
        value_of(now, "max-update") / curve[-1].updates if curve[-1].updates else math.inf,
    )
    return cost.wall_seconds * max(whole - (not again), 0.0) if math.isfinite(whole) else None


def total(values: Sequence[float | None]) -> float | None:
    """The sum; None where one is not known, as it would be more than that of the others."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def require_consent(found: Prolonging, consent: bool) -> None:
    """Refuse to throw away what cost hours, unless that is wished."""
    if consent or not (found.anew or found.remade):
        return
    lost = [f"{listed(found.anew)} would begin anew ({takes(found.seconds_anew, found)})"] if found.anew else []
    if found.remade:
        lost.append(f"what {listed(found.remade)} made for students would be made again")
    went = "was trained on by another run" if found.is_shared else "would be trained on"
    raise LskdError(
        f"{listed(found.teachers)} {went} ({changes(found)}), and so {' and '.join(lost)}: consent with "
        "--prolong yes (lskd plan: --prolong), or raise it under student.train alone"
    )


def line(found: Prolonging) -> str:
    """What will go on, how long that takes, and what begins anew: one line for the user before it starts."""
    elsewhere = found.teachers if found.is_shared else ()
    on = [name for name in found.raised if name not in (*found.anew, *elsewhere)]
    parts = [f"{listed(elsewhere)} was trained on by another run"] if elsewhere else []
    if on:
        parts.append(f"{listed(on)} will be trained on ({changes(found)}; {takes(found.seconds_on, found)})")
    if found.anew:
        parts.append(f"{listed(found.anew)} anew, as the teacher changes ({takes(found.seconds_anew, found)})")
    if found.finished:
        parts.append("what they were until now is kept in models/NAME/history")
    if found.stands:
        names = listed([model.name for model in found.stands])
        parts.append(f"{names} had ended by another limit, and so would not go on: not trained again")
    return "; ".join(parts)


def changes(found: Prolonging) -> str:
    """The limits that are raised: `max-epoch 2 to 4`."""
    told = {f"{flag} {then} to {now}" for up in found.raised.values() for flag, (then, now) in up.items()}
    return ", ".join(sorted(told))


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN
    if more <= 0:
        return " and ".join(names)
    return f"{', '.join(names[:SHOWN])} and {more} more"


def takes(time: float | None, found: Prolonging) -> str:
    """A time one model after the other, as a person reads it."""
    if time is None:
        return "for a time that is not known"
    return f"{'at most ' if found.at_most else ''}{duration(time)} of training"


def carry_out(found: Prolonging, before: Plan, run: Path, sign: Sign) -> None:
    """Set aside the results of the models that go on or begin anew, students first; and say what needs no training.

    It may be killed at any moment: what has not been set aside is a finished model, and the same call does the rest.
    """
    old = {model.name: model.train_command for model in before.models}
    folders = {name: run / "models" / name for name in found.finished}
    with history.held(list(folders.values())):
        for name, folder in folders.items():
            scored = (folder / "metrics.json").is_file()
            history.set_aside(folder, limits_of(old[name]), sign(name) if scored else None)
    for model in found.stands:
        note_standing(run / "models" / model.name, model)


def note_standing(folder: Path, model: PlannedModel) -> None:
    """Record that a training with the new limits ends where this one did: an attempt that took no time."""
    file = folder / "run.json"
    about = read_record(file, RunRecord) if file.is_file() else RunRecord()
    if not about.attempts:
        return
    words = without(about.attempts[-1].command, LIMITS)
    new = tuple(word for flag, value in limits_of(model.train_command).items() for word in (f"--{flag}", value))
    again = Attempt((*words, *new), commit(), 0, wall_seconds=0, cpu_seconds=0, gpu_hours=0)
    if about.attempts[-1].command != again.command:
        write_record(file, replace(about, attempts=(*about.attempts, again)))
