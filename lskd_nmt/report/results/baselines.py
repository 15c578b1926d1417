"""What the cells of a table are compared with: students without KD, or the cells that the reader names."""

from collections.abc import Mapping, Sequence

from lskd_nmt.errors import require
from lskd_nmt.report.results.records import Cell
from lskd_nmt.report.results.rows import PLAIN, label

Bases = Mapping[str, Mapping[str, Cell]]  # by what was asked for, the baseline of each cell's name


def baselines(cells: Sequence[Cell], wishes: Sequence[str]) -> dict[str, dict[str, Cell]]:
    """The baseline of each student under each wish; teachers have none, nor has the baseline itself."""
    twice = [wish for wish in wishes if wishes.count(wish) > 1]
    require(not twice, f"--baseline {twice[0] if twice else ''} is given twice: give each once")
    return {wish: baseline(cells, wish) for wish in wishes}


def names(cells: Sequence[Cell]) -> list[str]:
    """What a wish may name: plain, a method, or a cell."""
    methods = dict.fromkeys(cell.setting.method for cell in cells if cell.setting.method)
    return ["plain", *methods, *(cell.name for cell in cells)]


def baseline(cells: Sequence[Cell], wish: str) -> dict[str, Cell]:
    """The baselines of one wish (`plain`, a cell's name, or a method), by the names of the cells that have one."""
    plain, *others = names(cells)
    require(wish in (plain, *others), f"--baseline is '{wish}': plain, or one of {', '.join(others)}")
    if wish == "plain":
        chosen = [cell for cell in cells if label(cell.setting) == PLAIN]
    elif wish in (cell.name for cell in cells):
        chosen = [cell for cell in cells if cell.name == wish]
    else:
        chosen = [cell for cell in cells if cell.setting.method == wish]
    students = [cell for cell in cells if cell.setting.role == "student"]
    pairs = {cell.name: closest(of_its_teacher(chosen, cell), cell) for cell in students}
    return {name: base for name, base in pairs.items() if base is not None and base.name != name}


def of_its_teacher(found: Sequence[Cell], cell: Cell) -> Sequence[Cell]:
    """Of the cells of a method those whose teachers have this cell's label smoothing, or the only one there is."""
    if not any(other.setting.method for other in found) or len(found) == 1:
        return found
    return [other for other in found if other.setting.label_smoothing == cell.setting.label_smoothing]


def closest(found: Sequence[Cell], cell: Cell) -> Cell | None:
    """The one that shares a run with `cell`, or the only one there is."""
    own = [other for other in found if set(other.runs) & set(cell.runs)]
    return own[0] if own else found[0] if len(found) == 1 else None


def family(wish: str, bases: Bases) -> str:
    """The name of a baseline's tests: p-values of one baseline are corrected together, of several apart."""
    return "baseline" if len(bases) == 1 else f"baseline {wish}"
