"""Checkpoints that are whole at every moment.

fairseq writes one file whole and copies it to the others (checkpoint_best.pt to checkpoint_last.pt, …) in place: killed
in the middle of that it leaves a checkpoint that cannot be read, and the training cannot continue.
"""

import functools
import os
from typing import Any

from fairseq.file_io import PathManager


def copy_whole() -> None:
    """Let fairseq's copies take their name only once they are complete."""
    copy = PathManager.copy

    @functools.wraps(copy)
    def copy_then_rename(src_path: str, dst_path: str, overwrite: bool = False) -> Any:
        part = f"{dst_path}.part"
        done = copy(src_path, part, overwrite=True)
        os.replace(part, dst_path)
        return done

    PathManager.copy = staticmethod(copy_then_rename)
