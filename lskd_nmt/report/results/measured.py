"""What of a table is measured by resampling, and the table with what was measured: intervals, p-values, verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lskd_nmt.evaluate.records import Contrast, Estimate, Pool, Significance
from lskd_nmt.report.results import deciding, published, verdicts
from lskd_nmt.report.results.baselines import Bases, family
from lskd_nmt.report.results.effects import LS_GAIN
from lskd_nmt.report.results.records import (
    BesidePublished,
    Cell,
    Effect,
    Number,
    OverBaseline,
    PublishedSource,
    ResultsTable,
    Scatter,
    Tests,
)

Terms = Sequence[tuple[Number, str]]  # weights, and the names of cells


def title(family: str, terms: Terms) -> str:
    """The name of a contrast: `effect: +1 student-ls0.1-t1 -1 student-ls0-t1`."""
    return f"{family}: " + " ".join(f"{weight:+g} {name}" for weight, name in terms)


def contrasts(table: ResultsTable, bases: Bases) -> dict[str, Contrast]:
    """What is to be measured, by name: each cell by itself, against its baselines, and the table's effects."""
    members = {cell.name: cell.members for cell in table.cells}
    asked: list[tuple[str, Terms, str]] = []
    for name in members:
        asked.append(("score", [(1, name)], table.main))
        if table.published.is_comparable:
            asked.append((published.METRIC, [(1, name)], published.METRIC))
    for wish, pairs in bases.items():
        asked += [(family(wish, bases), [(1, name), (-1, base.name)], table.main) for name, base in pairs.items()]
    asked += [("effect", each.terms, table.main) for each in table.effects]
    return {
        title(kind, terms): Contrast(kind, metric, tuple((weight, members[name]) for weight, name in terms))
        for kind, terms, metric in asked
    }


def pools(cells: Sequence[Cell], always: bool = False) -> list[Pool]:
    """Cells whose seeds may scatter alike: students, and teachers; `always` is said of students alone."""
    groups = {
        role: tuple(cell.members for cell in cells if cell.setting.role == role) for role in ("student", "teacher")
    }
    return [Pool(f"{role}s", mine, always and role == "student") for role, mine in groups.items() if mine]


def with_measured(table: ResultsTable, bases: Bases, measured: Significance) -> ResultsTable:
    """The table with intervals, differences with their p-values, and verdicts."""
    cells = tuple(with_estimates(cell, table.published, bases, measured.results) for cell in table.cells)
    return replace(
        table,
        cells=tuple(map(deciding.for_cell, cells)),
        effects=tuple(assessed(each, measured.results.get(title("effect", each.terms))) for each in table.effects),
        significance=tests(cells, measured, table.main),
    )


def assessed(each: Effect, difference: Estimate | None) -> Effect:
    """An effect with its estimate, its verdict, and what would decide it."""
    found = replace(each, difference=difference)
    found = replace(found, verdict=verdict(found))
    return replace(found, needed=deciding.for_effect(found))


def with_estimates(cell: Cell, facts: PublishedSource, bases: Bases, results: Mapping[str, Estimate]) -> Cell:
    """A cell with its interval and its differences: to the first baseline, and in `over` to each of several."""
    over = {}
    for wish, pairs in bases.items():
        base = pairs[cell.name].name if cell.name in pairs else None
        terms = [(1, cell.name), (-1, base or "")]
        over[wish] = OverBaseline(base, results.get(title(family(wish, bases), terms)) if base else None)
    first = next(iter(over.values()))
    return replace(
        cell,
        interval=ends(results.get(title("score", [(1, cell.name)]))),
        baseline=first.baseline,
        difference=first.difference,
        over=over if len(over) > 1 else {},
        published=beside(cell, facts, results.get(title(published.METRIC, [(1, cell.name)]))),
    )


def tests(cells: Sequence[Cell], measured: Significance, main: str) -> Tests:
    """How differences in the metric `main` were tested, and how seeds scatter in the pools that were used."""
    names = {cell.members: cell.name for cell in cells}
    found = {
        pool: Scatter(
            scatter.deviation,
            scatter.degrees,
            scatter.rows,
            scatter.smallest,
            scatter.largest,
            scatter.always,
            tuple(names.get(group, group[0]) for group in scatter.unlike),
        )
        for pool, scatter in measured.spreads.get(main, {}).items()
    }
    asked = [scatter for scatter in found.values() if scatter.always]
    pooled = {name: scatter for name, scatter in found.items() if not scatter.always}
    return Tests(measured.settings, measured.without_text, asked[0] if asked else None, pooled)


def ends(result: Estimate | None) -> tuple[float, float] | None:
    """The interval of an estimate."""
    return (result.low, result.high) if result else None


def verdict(each: Effect) -> str | None:
    """Of an effect with a published value. The LS gain of students is one of their teachers: these are counted."""
    result, value = each.difference, each.published
    if result is None or value is None:
        return None
    if each.effect.startswith(LS_GAIN) and 0 < each.teachers < result.seeds:
        of_teachers = verdicts.few(each.teachers, "teacher")
        if of_teachers is not None:
            return of_teachers
    return verdicts.direction(value, result.low, result.high, result.seeds)


def beside(cell: Cell, facts: PublishedSource, result: Estimate | None) -> BesidePublished | None:
    """A cell beside its published number, if it has one."""
    value = published.bleu(facts.pair, cell.setting)
    if value is None or published.METRIC not in cell.scores:
        return None
    said = "not comparable" if facts.obstacles else None
    if result is not None:
        said = verdicts.absolute(value, result.low, result.high, result.seeds)
    ours = cell.scores[published.METRIC].mean
    return BesidePublished(value, ours, round(ours - value, 2), ends(result), said)
