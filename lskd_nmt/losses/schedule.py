"""A number that changes over a training's updates, from a start to an end, and stays there."""

import math
from collections.abc import Callable
from typing import NamedTuple

from lskd_nmt.errors import require

# how much of the way is behind where a share of the updates is, both from 0 to 1
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "cosine": lambda share: (1 - math.cos(math.pi * share)) / 2,
}
WEIGHT_FORMS = (
    "constant, linear:END[:UPDATES] or cosine:END[:UPDATES], with END from 0 to 1 and UPDATES above 0, "
    "--max-update if not given"
)
SHARE_FORMS = "S, or S:E:UPDATES to go from S to E, with shares from 0 to 1, not both 0, and UPDATES above 0"


class Schedule(NamedTuple):
    """The way from a start to an end in so many updates."""

    start: float
    end: float
    updates: int = 1
    shape: str = "linear"

    def at(self, update: int) -> float:
        """(1-s)·start + s·end, with s the shape's value at min(update/updates, 1)."""
        gone = SHAPES[self.shape](min(update / self.updates, 1.0))
        return (1 - gone) * self.start + gone * self.end


def number(text: str, low: float, high: float, advice: str) -> float:
    """A number between two bounds, which it may reach; anything else is one line."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    require(low <= value <= high, advice)
    return value


def count(text: str, advice: str) -> int:
    """A whole number above 0; anything else is one line."""
    require(text.isdecimal() and int(text) > 0, advice)
    return int(text)


def weight_schedule(text: str, start: float, whole: int) -> Schedule:
    """`constant`, `linear:0.1:10000` or `cosine:0`, from a start; `whole`: updates of the training, 0 if unlimited."""
    if text == "constant":
        return Schedule(start, start)
    shape, *values = text.split(":")
    advice = f"--kd-weight-schedule is {text}: give {WEIGHT_FORMS}"
    require(shape in SHAPES and len(values) in (1, 2), advice)
    end, updates = number(values[0], 0, 1, advice), count(values[1], advice) if len(values) == 2 else whole
    require(updates > 0, f"--kd-weight-schedule is {text} and --max-update is not given: give one, or {text}:UPDATES")
    return Schedule(start, end, updates, shape)


def share_schedule(text: str) -> Schedule:
    """`0.5`, or `0:0.5:10000`: a share of the batches."""
    values = text.split(":")
    advice = f"--on-policy is {text}: give {SHARE_FORMS}"
    require(len(values) in (1, 3), advice)
    start, end, updates = values if len(values) == 3 else (text, text, "1")
    schedule = Schedule(number(start, 0, 1, advice), number(end, 0, 1, advice), count(updates, advice))
    require(max(schedule.start, schedule.end) > 0, advice)
    return schedule
