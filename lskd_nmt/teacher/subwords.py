"""How a teacher, and data that are prepared with its dictionary, cut text into symbols."""

from pathlib import Path
from typing import Protocol

from lskd_nmt.data import given
from lskd_nmt.hf_io.fsmt import FsmtSubwords


class Cuts(Protocol):
    """Cuts text into subwords."""

    def pieces(self, line: str) -> list[str]:
        """The subwords of a line of clean text, with the symbol of its language before them, if there is one."""


def of_folder(folder: Path) -> tuple[Cuts, Cuts]:
    """For source and target, in the folder of an imported teacher or that of prepared data's subwords."""
    if given.has_merges(folder):
        source, target = given.langs(folder)
        return FsmtSubwords(folder, source), FsmtSubwords(folder, target)
    return given.of_folder(folder)
