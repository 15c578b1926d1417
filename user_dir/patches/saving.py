"""Checkpoints that are whole at every moment.

fairseq writes one file whole and copies it to the others (checkpoint_best.pt to checkpoint_last.pt, …) in place: killed
in the middle of that it leaves a checkpoint that cannot be read, and the training cannot continue.
"""

import functools
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from lskd_nmt.errors import writing

if TYPE_CHECKING:
    from . import Replace

Copy = Callable[[str, str, bool], bool]
Save = Callable[[object, str, bool], None]


def apply(replace: "Replace") -> None:
    """Replace fairseq's functions that copy and write a checkpoint."""
    replace(PathManager, "copy", staticmethod(renaming_at_the_end(PathManager.copy)))
    replace(checkpoint_utils, "torch_persistent_save", whole_or_nothing(checkpoint_utils.torch_persistent_save))


def renaming_at_the_end(copy: Copy) -> Copy:
    """Let a copy take its name only once it is complete."""

    @functools.wraps(copy)
    def copy_then_rename(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        part = f"{dst_path}.part"
        with writing(dst_path):
            try:
                done = copy(src_path, part, True)
                os.replace(part, dst_path)
            except BaseException:
                remove(part)
                raise
        return done

    return copy_then_rename


def whole_or_nothing(save: Save) -> Save:
    """Name a checkpoint that cannot be written, as on a full disk, in one line, and leave no part of it."""
    logger = logging.getLogger(checkpoint_utils.__name__)

    @functools.wraps(save)
    def saved(obj: object, filename: str, async_write: bool = False) -> None:
        logger.addFilter(is_no_traceback)
        with writing(filename):
            try:
                save(obj, filename, async_write)
            except BaseException:
                remove(f"{filename}.tmp")
                raise
            finally:
                logger.removeFilter(is_no_traceback)

    return saved


def is_no_traceback(record: logging.LogRecord) -> bool:
    """False for the traceback that fairseq logs of an exception, which it raises all the same."""
    return record.levelno != logging.ERROR or not str(record.msg).startswith("Traceback (most recent call last)")


def remove(part: str) -> None:
    """Remove what was written of a file, if anything was."""
    if os.path.exists(part):
        os.unlink(part)
