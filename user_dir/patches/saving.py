"""Checkpoints that are whole at every moment.

fairseq writes one file whole and copies it to the others (checkpoint_best.pt to checkpoint_last.pt, …) in place: killed
in the middle of that it leaves a checkpoint that cannot be read, and the training cannot continue.
"""

import functools
import logging
import os
from typing import Any

from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from lskd_nmt.errors import writing


def copy_whole() -> None:
    """Let fairseq's copies take their name only once they are complete."""
    copy = PathManager.copy

    @functools.wraps(copy)
    def copy_then_rename(src_path: str, dst_path: str, overwrite: bool = False) -> Any:
        part = f"{dst_path}.part"
        with writing(dst_path):
            try:
                done = copy(src_path, part, overwrite=True)
                os.replace(part, dst_path)
            except BaseException:
                forget(part)
                raise
        return done

    PathManager.copy = staticmethod(copy_then_rename)


def save_or_leave_nothing() -> None:
    """Let a checkpoint that cannot be written, as on a full disk, be named in one line, and leave no part of it."""
    save = checkpoint_utils.torch_persistent_save

    @functools.wraps(save)
    def saved(obj: Any, filename: str, async_write: bool = False) -> Any:
        with writing(filename):
            try:
                return save(obj, filename, async_write=async_write)
            except BaseException:
                forget(f"{filename}.tmp")
                raise

    checkpoint_utils.torch_persistent_save = saved
    logging.getLogger(checkpoint_utils.__name__).addFilter(lambda record: not is_traceback(record))


def is_traceback(record: logging.LogRecord) -> bool:
    """Whether fairseq logs an exception that it raises all the same."""
    return record.levelno == logging.ERROR and str(record.msg).startswith("Traceback (most recent call last)")


def forget(part: str) -> None:
    """Remove what was written of a file, if anything was."""
    if os.path.exists(part):
        os.unlink(part)
