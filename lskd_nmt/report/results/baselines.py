"""What the rows of a table are compared with: students without KD, or the rows that the reader names."""

from collections.abc import Mapping, Sequence
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.report.results.rows import label, method

Cell = Mapping[str, Any]
Bases = Mapping[str, Mapping[str, Cell]]  # by what was asked for, the baseline of each row's name


def baselines(cells: Sequence[Cell], wishes: Sequence[str]) -> dict[str, dict[str, Cell]]:
    """The baseline of each student under each wish; teachers have none, nor has the baseline itself."""
    twice = [wish for wish in wishes if wishes.count(wish) > 1]
    require(not twice, f"--baseline {twice[0] if twice else ''} is given twice: give each once")
    return {wish: baseline(cells, wish) for wish in wishes}


def baseline(cells: Sequence[Cell], wish: str) -> dict[str, Cell]:
    """The baselines of one wish: `plain`, a row's name, or a method."""
    names = [cell["name"] for cell in cells]
    methods = [found for found in dict.fromkeys(map(method, cells)) if found]
    known = wish == "plain" or wish in names or wish in methods
    require(known, f"--baseline is '{wish}': plain, or one of {', '.join([*methods, *names])}")
    chosen = [
        cell
        for cell in cells
        if (
            label(cell) == "student without KD"
            if wish == "plain"
            else cell["name"] == wish
            if wish in names
            else method(cell) == wish
        )
    ]
    pairs = {cell["name"]: closest(of_its_teacher(chosen, cell), cell) for cell in cells if cell["role"] == "student"}
    return {name: base for name, base in pairs.items() if base is not None and base["name"] != name}


def of_its_teacher(found: Sequence[Cell], cell: Cell) -> Sequence[Cell]:
    """Of the rows of a method those of teachers with the cell's label smoothing, or the only one there is."""
    if not any(map(method, found)) or len(found) == 1:
        return found
    return [other for other in found if other["label_smoothing"] == cell["label_smoothing"]]


def closest(found: Sequence[Cell], cell: Cell) -> Cell | None:
    """The one that shares a run with `cell`, or the only one there is."""
    own = [other for other in found if set(other["runs"]) & set(cell["runs"])]
    return own[0] if own else found[0] if len(found) == 1 else None


def family(wish: str, bases: Bases) -> str:
    """Of its tests: those of one baseline are corrected together."""
    return "baseline" if len(bases) == 1 else f"baseline {wish}"
