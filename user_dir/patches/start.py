"""Where a training starts: kd_ls asks `preflight` first, and errors that the user can mend are one line on stderr."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fairseq.dataclass.configs import FairseqConfig
from fairseq.distributed import utils as distributed_utils

from lskd_nmt.errors import LskdError, explain
from lskd_nmt.fairseq_io import read_checkpoint, section
from lskd_nmt.fairseq_io.plugin import MainWithPatches

from ..preflight import check_training

if TYPE_CHECKING:
    from . import Replace

CallMain = Callable[..., None]  # of fairseq: a configuration, a program's `main`, and what that takes by name


def apply(replace: "Replace") -> None:
    """Replace the function through which every program of fairseq starts its work, on one device or several."""
    replace(distributed_utils, "call_main", guarded(distributed_utils.call_main))


def guarded(call_main: CallMain) -> CallMain:
    """The same function; a training with kd_ls is checked, and runs with the patches in each of its processes."""

    @functools.wraps(call_main)
    def checked(cfg: FairseqConfig, main: Callable[..., None], **kwargs: object) -> None:
        if criterion_of(cfg) != "kd_ls":
            return call_main(cfg, main, **kwargs)
        try:
            if not cfg.common_eval.path:
                check_training(cfg)
            return call_main(cfg, MainWithPatches(main, __package__), **kwargs)
        except Exception as error:
            line = explain(error, cfg.checkpoint.save_dir)
            if line is None:
                raise
            refuse(line)

    return checked


def criterion_of(cfg: FairseqConfig) -> str | None:
    """The criterion that a program of fairseq runs: its flag's, or in fairseq-validate the one of its checkpoint."""
    if not cfg.common_eval.path:
        return getattr(cfg.criterion, "_name", None)
    try:
        state = read_checkpoint(cfg.common_eval.path.split(":")[0], "checkpoint", built=False)
    except (LskdError, OSError):  # fairseq says what is wrong with it
        return None
    settings = section(state, "criterion")
    return settings.get("_name") or settings.get("criterion")


def refuse(message: str) -> NoReturn:
    """End the program with one line on stderr and exit code 2."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)
