"""A number that changes over a training's updates, from a start to an end, and stays there."""

import math
from collections.abc import Callable
from typing import NamedTuple

from lskd_nmt.errors import LskdError, require
from lskd_nmt.losses.named_options import Parameter, numbers

# how much of the way is behind where a share of the updates is, both from 0 to 1
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "cosine": lambda share: (1 - math.cos(math.pi * share)) / 2,
}
SHARE = Parameter("END", 0, 1, 0.5, low_included=True, high_included=True)
UPDATES = Parameter("UPDATES", 0, math.inf, 10_000, whole=True)
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


def weight_schedule(text: str, start: float, whole: int) -> Schedule:
    """`constant`, `linear:0.1:10000` or `cosine:0`, from a start; `whole`: updates of the training, 0 if unlimited."""
    if text == "constant":
        return Schedule(start, start)
    shape, _, rest = text.partition(":")
    found = numbers(rest, (SHARE, UPDATES), optional=1)
    if shape not in SHAPES or found is None:
        raise LskdError(f"--kd-weight-schedule is {text}: give {WEIGHT_FORMS}")
    end, *given = found
    updates = int(given[0]) if given else whole
    require(updates > 0, f"--kd-weight-schedule is {text} and --max-update is not given: give one, or {text}:UPDATES")
    return Schedule(start, end, updates, shape)


def share_schedule(text: str) -> Schedule:
    """`0.5`, or `0:0.5:10000`: a share of the batches."""
    found = numbers(text, (SHARE,)) or numbers(text, (SHARE, SHARE, UPDATES))
    if found is None or max(found[:2]) == 0:
        raise LskdError(f"--on-policy is {text}: give {SHARE_FORMS}")
    return Schedule(found[0], found[0]) if len(found) == 1 else Schedule(found[0], found[1], int(found[2]))
