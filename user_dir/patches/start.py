"""Where a training starts: kd_ls asks `preflight` first, and errors that the user can mend are one line on stderr."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fairseq.dataclass.configs import FairseqConfig
from fairseq.distributed import utils as distributed_utils

from lskd_nmt.errors import explain
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
        if not trains_with_kd_ls(cfg):
            return call_main(cfg, main, **kwargs)
        try:
            check_training(cfg)
            return call_main(cfg, MainWithPatches(main, __package__), **kwargs)
        except Exception as error:
            line = explain(error, cfg.checkpoint.save_dir)
            if line is None:
                raise
            refuse(line)

    return checked


def trains_with_kd_ls(cfg: FairseqConfig) -> bool:
    """Whether it is a training of this plugin, for which fairseq is changed; see the reason in `patches`."""
    return getattr(getattr(cfg, "criterion", None), "_name", None) == "kd_ls"


def refuse(message: str) -> NoReturn:
    """End the program with one line on stderr and exit code 2."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)
