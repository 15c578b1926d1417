"""The effects that a table asks for: what the teacher's label smoothing and the temperature change."""

from collections.abc import Sequence
from dataclasses import replace

from lskd_nmt.report.results import published
from lskd_nmt.report.results.baselines import closest
from lskd_nmt.report.results.records import Cell, Effect, Number, Setting
from lskd_nmt.report.results.rows import group, label

HIGH, LOW = 64.0, 1.0  # temperatures: at HIGH the published students fall to less than half of what they have at LOW
LS_GAIN = "LS gain"  # how the name of a gain by label smoothing begins

Term = tuple[Number, Cell | None]  # a weight, and the cell whose BLEU it is of


def related(cells: Sequence[Cell], cell: Cell, sought: Setting) -> Cell | None:
    """The cell of this setting: that of `cell`'s own run, or the only one there is."""
    return closest([other for other in cells if other.setting == sought], cell)


def effects(cells: Sequence[Cell], pair: str | None) -> list[Effect]:
    """The LS gain at each temperature, each step down in temperature, and the collapse at `HIGH`, as far as cells go.

    Cells of one effect differ in nothing else. `pair` is that of the published numbers, None for none.
    """
    kinds = {group(cell.setting) for cell in cells if label(cell.setting) == "student"}
    taught = [cell for cell in cells if cell.setting.label_smoothing is not None or cell.setting.kd_level is not None]
    found = [each for cell in taught for each in effects_of(cells, cell, pair, len(kinds) == 1)]
    return sorted(found, key=lambda each: not each.effect.startswith(LS_GAIN))


def effects_of(cells: Sequence[Cell], cell: Cell, pair: str | None, is_one_kind: bool) -> list[Effect]:
    """The effects of which this cell is a term; `is_one_kind`: all students have one level, tail and weight."""
    setting = cell.setting
    smoothing = "" if setting.label_smoothing is None else f"α = {setting.label_smoothing:g}"
    temperature = setting.temperature
    is_clear = is_one_kind and temperature is not None
    where = "teacher" if setting.role == "teacher" else "" if is_clear else group(setting)
    found: list[Effect | None] = []
    if setting.label_smoothing:
        at = f"T = {temperature:g}" if temperature is not None else ""
        other = related(cells, cell, replace(setting, label_smoothing=0.0))
        found.append(effect(f"{LS_GAIN}: {smoothing} over 0", (at, where), [(1, cell), (-1, other)], pair))
    below = cooler(cells, cell)
    if below is not None:
        name = f"order: T = {below.setting.temperature:g} over {temperature:g}"
        found.append(effect(name, (smoothing, where), [(1, below), (-1, cell)], pair))
    if temperature == HIGH:
        other = related(cells, cell, replace(setting, temperature=LOW))
        name = f"collapse: T = {HIGH:g} less half of T = {LOW:g}"
        found.append(effect(name, (smoothing, where), [(1, cell), (-0.5, other)], pair))
    return [each for each in found if each is not None]


def cooler(cells: Sequence[Cell], cell: Cell) -> Cell | None:
    """The cell that differs from this one in nothing but the next lower temperature."""
    heats = {other.setting.temperature for other in cells if other.setting.temperature is not None}
    lower = [
        heat
        for heat in heats
        if cell.setting.temperature is not None
        and heat < cell.setting.temperature
        and any(other.setting == replace(cell.setting, temperature=heat) for other in cells)
    ]
    return related(cells, cell, replace(cell.setting, temperature=max(lower))) if lower else None


def effect(name: str, at: Sequence[str], terms: Sequence[Term], pair: str | None) -> Effect | None:
    """One effect and its published value; None if a term has no cell."""
    known = [(weight, cell) for weight, cell in terms if cell is not None]
    if len(known) < len(terms):
        return None
    first = known[0][1]
    numbers = [(weight, published.bleu(pair, cell.setting)) for weight, cell in known]
    values = [weight * number for weight, number in numbers if number is not None]
    return Effect(
        effect=name,
        at=", ".join(filter(None, [*at, *first.named_runs])),
        of=first.setting,
        terms=tuple((weight, cell.name) for weight, cell in known),
        teachers=min(len(cell.teachers) for _, cell in known),
        published=round(sum(values), 3) if len(values) == len(known) else None,
    )
