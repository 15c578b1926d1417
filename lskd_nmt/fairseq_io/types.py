"""What fairseq's checkpoints hold, by the keys that are read here.

A checkpoint is a plain dictionary that fairseq wrote and that may go back to fairseq; so these are `TypedDict`s, whose
values stay as they are. A checkpoint holds more keys than these.
"""

from argparse import Namespace
from typing import TYPE_CHECKING, Any, Required, TypedDict

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

IntegerType = np.dtype[np.integer[Any]]  # of any size


class StoredSymbols(TypedDict):
    """The symbols of both dictionaries in index order, which `kd_ls` stores in its checkpoints."""

    source: list[str]
    target: list[str]


class TaskState(TypedDict, total=False):
    """What a task keeps in its checkpoints; `lskd_symbols` is `SYMBOLS_KEY`, of trainings with kd_ls."""

    lskd_symbols: StoredSymbols


class OptimizerEntry(TypedDict, total=False):
    """One training in a checkpoint's history, and how it was optimised."""

    criterion_name: str
    optimizer_name: str
    lr_scheduler_state: dict[str, float]
    num_updates: int


class TrainIterator(TypedDict, total=False):
    """Where in its data a training was."""

    epoch: int


class ExtraState(TypedDict, total=False):
    """The state of a training beside model and optimizer."""

    train_iterator: TrainIterator


class CheckpointState(TypedDict, total=False):
    """A checkpoint of fairseq: `model` are weights by name; settings are in `cfg`, or in `args` of an older one."""

    model: Required[dict[str, "Tensor"]]
    cfg: dict[str, object] | None
    args: Namespace | None
    task_state: TaskState
    optimizer_history: list[OptimizerEntry]
    last_optimizer_state: dict[str, object] | None
    extra_state: ExtraState
