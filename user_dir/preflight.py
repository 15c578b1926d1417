"""Everything that can be refused before the first batch is refused here: one line on stderr, exit code 2.

Raised deep inside fairseq the same mistakes would be tracebacks with exit code 1, or 134 from spawned processes.
"""

import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairseq.data import data_utils
from fairseq.distributed import utils as distributed_utils

from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import read_symbols
from lskd_nmt.forecast import checkpoint_bytes, transformer_parameters
from lskd_nmt.teacher import live

from .criterions.kd_ls import options_of


def check_training(cfg: Any) -> None:
    """Refuse a resolved fairseq configuration that kd_ls could not train with."""
    options = options_of(cfg.criterion)
    data = str(cfg.task.data).split(":")[0]
    require(Path(data).is_dir(), f"data folder {data} does not exist: give the output folder of fairseq-preprocess")
    langs = cfg.task.source_lang, cfg.task.target_lang
    if None in langs:
        langs = data_utils.infer_language_pair(data)
    student = read_symbols(data, langs)
    if student is None:
        raise LskdError(
            f"data folder {data} lacks train.SRC-TGT.SRC.bin or dict.LANG.txt files (languages {langs}): "
            "give the output folder of fairseq-preprocess"
        )
    if getattr(cfg.model, "share_all_embeddings", False):
        require(
            student.source == student.target,
            f"data folder {data} has two dictionaries, and "
            f"--arch {cfg.model.arch} shares one embedding: binarise with --joined-dictionary",
        )
    if options.kd_weight > 0:
        paths = live.split_paths(cfg.criterion.teacher_path)
        require(
            bool(paths),
            f"--kd-weight is {options.kd_weight} and --teacher-path is not given: "
            "name a teacher checkpoint, or train without one with --kd-weight 0",
        )
        for path in paths:
            live.check(path, student, cfg.criterion.teacher_data)
    check_space(cfg, len(student.target))


def check_space(cfg: Any, symbols: int) -> None:
    """Refuse a save dir without room for two checkpoints: fairseq writes the new one before it drops the old."""
    if cfg.checkpoint.no_save:
        return
    folder = Path(cfg.checkpoint.save_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    stats = os.statvfs(folder)
    free, needed = stats.f_bavail * stats.f_frsize, 2 * checkpoint_bytes(transformer_parameters(cfg.model, symbols))
    require(
        free >= needed,
        f"--save-dir {cfg.checkpoint.save_dir} has {free / 1e6:.0f} MB free, two checkpoints need "
        f"about {needed / 1e6:.0f} MB: free some space or choose another folder",
    )


def guard_training() -> None:
    """Wrap the call that starts training, once."""
    call_main: Callable[..., Any] = distributed_utils.call_main

    @functools.wraps(call_main)
    def guarded(cfg: Any, main: Any, **kwargs: Any) -> Any:
        name = getattr(getattr(cfg, "criterion", None), "_name", None)
        try:
            if name == "kd_ls":
                check_training(cfg)
            return call_main(cfg, main, **kwargs)
        except LskdError as error:
            refuse(str(error))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            refuse(f"{error.filename or cfg.checkpoint.save_dir}: no space left on the device: free some and run again")

    distributed_utils.call_main = guarded


def refuse(message: str) -> None:
    """One line and exit code 2."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)
