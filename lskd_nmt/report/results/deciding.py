"""What would decide the questions that a table leaves open; docs/table.md has it in words."""

from dataclasses import replace

from lskd_nmt.evaluate import power
from lskd_nmt.evaluate.records import Estimate, Needed
from lskd_nmt.report.results import verdicts
from lskd_nmt.report.results.effects import LS_GAIN
from lskd_nmt.report.results.records import Cell, Effect, OverBaseline


def for_cell(cell: Cell) -> Cell:
    """A cell with what would decide its differences from the baselines, where their intervals hold 0."""
    over = {wish: replace(each, needed=for_difference(each)) for wish, each in cell.over.items()}
    return replace(cell, over=over, needed=for_difference(OverBaseline(cell.baseline, cell.difference)))


def for_difference(each: OverBaseline) -> Needed | None:
    """What would decide a difference from a baseline; None where its interval leaves out 0."""
    found = each.difference
    return needed(found, 0.0) if found is not None and found.low <= 0 <= found.high else None


def for_effect(each: Effect) -> Needed | None:
    """What would decide an effect whose verdict is open, or, where it has none, whose interval holds 0."""
    found = each.difference
    if found is None:
        return None
    if each.verdict is None:
        return needed(found, 0.0) if found.low <= 0 <= found.high else None
    if not each.verdict.startswith(verdicts.UNDECIDED):
        return None
    has_no_sign = each.published is not None and abs(each.published) < verdicts.ABOUT_ZERO
    said = needed(found, verdicts.ABOUT_ZERO if has_no_sign else 0.0, at_least=verdicts.ENOUGH_SEEDS)
    return replace(said, teachers=verdicts.ENOUGH_SEEDS) if lacks_teachers(each, found) else said


def lacks_teachers(each: Effect, found: Estimate) -> bool:
    """Whether an LS gain is of so few teachers that no number of their students decides it."""
    return each.effect.startswith(LS_GAIN) and 0 < each.teachers < min(found.seeds, verdicts.ENOUGH_SEEDS)


def needed(found: Estimate, bound: float, at_least: int = 0) -> Needed:
    """What it takes for the interval to leave out -bound and +bound, if the value seen is the true one.

    A value between the two has to be told from both, so that each may be missed half as often.
    """
    why = found.uncertainty
    is_of_one_seed = found.seeds == 1 and (why is None or why.degrees is None)
    within = None if is_of_one_seed else max(abs(found.low), abs(found.high))
    if why is None or why.seeds is None:
        return Needed(None, None, within)
    distance = abs(abs(found.value) - bound)
    chance = power.POWER if abs(found.value) >= bound else (1 + power.POWER) / 2
    times = power.sentences_needed(why, distance, chance)
    seeds = power.seeds_needed(why, distance, found.seeds, chance)
    return Needed(max(seeds, at_least) if seeds is not None else None, times, within)
