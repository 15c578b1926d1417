"""What cannot be loaded while fairseq resumes a training, though `preflight` found no fault: one line and a way out."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from fairseq.data.iterators import EpochBatchIterator
from fairseq.trainer import Trainer

from lskd_nmt.errors import LskdError

if TYPE_CHECKING:
    from . import Replace

P = ParamSpec("P")
Owner = TypeVar("Owner")
State = TypeVar("State")


def apply(replace: "Replace") -> None:
    """Replace the two methods that load what a checkpoint says of optimizer, learning rate and data."""
    of_trainer = explaining(Trainer.load_checkpoint, "--reset-optimizer and --reset-lr-scheduler")
    replace(Trainer, "load_checkpoint", of_trainer)
    of_data = explaining(EpochBatchIterator.load_state_dict, "--reset-dataloader")
    replace(EpochBatchIterator, "load_state_dict", of_data)


def explaining(load: Callable[Concatenate[Owner, P], State], flags: str) -> Callable[Concatenate[Owner, P], State]:
    """The same method; an error names the checkpoint, if the method is given its path, and flags to go on with."""

    @functools.wraps(load)
    def load_or_explain(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> State:
        try:
            return load(self, *args, **kwargs)
        except LskdError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            name = f"checkpoint {args[0]}" if args and isinstance(args[0], str) else "the checkpoint"
            raise LskdError(
                f"{name} cannot be resumed ({type(error).__name__}: {reason}): give another "
                f"--save-dir, or go on with {flags}"
            ) from error

    return load_or_explain
