"""Two runs side by side: which of their cells belong together, what is compared, and the tables of it."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

import pandas as pd

from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import described
from lskd_nmt.evaluate.records import Contrast, Significance
from lskd_nmt.report.results.measured import tests
from lskd_nmt.report.results.records import (
    CellPair,
    EffectPair,
    ResultsTable,
    Setting,
    TwoTables,
)
from lskd_nmt.report.results.rows import row_title
from lskd_nmt.report.results.table_json import record_json
from lskd_nmt.report.tables import document, texts
from lskd_nmt.storage.typed import Json

T = TypeVar("T")

# what a run varies: cells that agree in this are compared if no students agree in their whole setting
VARIED = ("role", "label_smoothing", "kd_level", "hypotheses", "hypotheses_drawn", "temperature", "method")


def pairs(
    first: Sequence[T], second: Sequence[T], setting: Callable[[T], Setting], name: Callable[[T], str]
) -> list[tuple[T, T]]:
    """Members of both sides that belong together: of one name and setting, or, if no students are, equal in VARIED."""

    def matched(names: Sequence[str]) -> list[tuple[T, T]]:
        def part(each: T) -> list[object]:
            return [name(each), *(getattr(setting(each), field) for field in names)]

        return [(one, other) for one in first for other in second if part(one) == part(other)]

    exact = matched([field.name for field in fields(Setting)])
    has_students = any(setting(one).kd_level or setting(one).method for one, _ in exact)
    return exact if has_students else matched(VARIED)


def cell_pairs(first: ResultsTable, second: ResultsTable) -> list[CellPair]:
    """The cells of both tables that belong together."""
    return [CellPair(*each) for each in pairs(first.cells, second.cells, lambda cell: cell.setting, lambda _: "")]


def effect_pairs(first: ResultsTable, second: ResultsTable) -> list[EffectPair]:
    """The effects of both tables that belong together."""
    found = pairs(first.effects, second.effects, lambda each: each.of, lambda each: each.effect)
    return [EffectPair(*each) for each in found]


def require_comparable(first: ResultsTable, second: ResultsTable) -> None:
    """Refuse runs whose scores cannot be subtracted, or that have nothing to compare."""
    for name in ("reference", "metrics"):
        values = [{str(getattr(each, name)) for each in table.expansions.values()} for table in (first, second)]
        require(
            values[0] == values[1],
            f"{first.name} and {second.name} are scored on different test sets or by "
            f"different metrics ({name}): compare sweeps of one test set",
        )
    one, other = first.signatures, second.signatures
    require(
        one[first.main] == other.get(first.main),
        f"{first.name} and {second.name} have not both {first.main}, or not of one signature: choose others by "
        "--metrics",
    )
    has_pairs = bool(cell_pairs(first, second))
    require(has_pairs, f"{first.name} and {second.name} have no cell in common: compare sweeps of one grid")


def side_by_side(first: ResultsTable, second: ResultsTable) -> TwoTables:
    """Pairs of cells and pairs of effects of both tables; differences are not measured yet."""
    pairs = cell_pairs(first, second)
    paired = {pair.first.name for pair in pairs}, {pair.second.name for pair in pairs}
    alone = {
        table.name: tuple(cell.name for cell in table.cells if cell.name not in names)
        for table, names in zip((first, second), paired, strict=True)
    }
    return TwoTables(
        names=(first.name, second.name),
        signatures=first.signatures,
        significance=first.tests,
        alone=alone,
        cells=tuple(pairs),
        effects=tuple(effect_pairs(first, second)),
        lower_is_better=tuple(metric for metric in first.signatures if not first.is_better_higher(metric)),
    )


def title(pair: CellPair) -> str:
    """The name of one pair's contrast; it names the models as lists do."""
    return f"{list(pair.second.members)} over {list(pair.first.members)}"


def contrasts(tables: TwoTables) -> dict[str, Contrast]:
    """Each cell of the second run less its partner in the first, by name."""
    return {
        title(pair): Contrast("baseline", tables.main, ((1, pair.second.members), (-1, pair.first.members)))
        for pair in tables.cells
    }


def with_measured(tables: TwoTables, measured: Significance) -> TwoTables:
    """The tables with the measured differences beside their pairs, and how these were tested."""
    cells = [
        replace(cell, name=f"{cell.name} of {name}")
        for pair in tables.cells
        for cell, name in zip((pair.first, pair.second), tables.names, strict=True)
    ]
    found = tests(cells, measured, tables.main)
    return replace(
        tables,
        cells=tuple(replace(pair, difference=measured.results.get(title(pair))) for pair in tables.cells),
        significance=replace(tables.significance, spread=found.spread, pooled=found.pooled),
    )


def frame(tables: TwoTables) -> pd.DataFrame:
    """The cells of both runs."""
    first, second = tables.names
    return texts.frame(
        [
            {
                "row": row_title(pair.first),
                f"in {second}": "the same" if pair.first.setting == pair.second.setting else row_title(pair.second),
                "seeds": f"{len(pair.first.seeds)}, {len(pair.second.seeds)}",
                first: texts.score(pair.first.scores[tables.main]),
                second: texts.score(pair.second.scores[tables.main]),
                "difference [95 %]": texts.interval(pair.difference),
                "p": texts.p_holm(pair.difference),
                "p each seed": texts.p_by_seed(pair.difference),
            }
            for pair in tables.cells
        ]
    )


def effects(tables: TwoTables) -> pd.DataFrame:
    """The effects of both runs."""
    first, second = tables.names
    return texts.frame(
        [
            {
                "effect": pair.first.effect,
                "at": pair.first.at,
                first: texts.interval(pair.first.difference),
                second: texts.interval(pair.second.difference),
                "published": texts.optional(pair.first.published, "+.2f"),
                f"verdict {first}": pair.first.verdict or texts.NONE,
                f"verdict {second}": pair.second.verdict or texts.NONE,
            }
            for pair in tables.effects
        ]
    )


def sections(tables: TwoTables) -> dict[str, pd.DataFrame]:
    """The table of effects under its heading, if there are any."""
    return {"Effects": effects(tables)} if tables.effects else {}


def notes(tables: TwoTables) -> list[str]:
    """The lines under the tables."""
    first, second = tables.names
    return [
        f"{described(tables.main).label}: {tables.signatures[tables.main]}",
        f"difference: {second} less {first}",
        *document.main_is_lower(tables.main, tables.lower_is_better),
        *([f"test set: {tables.main_set}"] if tables.main_set else []),
        *document.resampling(tables.significance, tables.main),
        "p: corrected for the number of rows by Holm's method; p each seed: sacreBLEU's paired approximate "
        f"randomisation, {tables.significance.settings.trials:,} trials, uncorrected",
        *(f"only in {name}: {', '.join(cells)}" for name, cells in tables.alone.items() if cells),
    ]


def markdown(tables: TwoTables) -> str:
    """Both tables as Markdown; a section for each further test set."""
    main = texts.markdown(" and ".join(tables.names), frame(tables), notes(tables), sections(tables))
    more = [
        texts.section(f"Test set {name}", frame(each), notes(each), sections(each))
        for name, each in tables.sets.items()
    ]
    return "\n".join([main, *more])


def latex(tables: TwoTables) -> str:
    """Both tables as LaTeX (booktabs)."""
    text = texts.latex(frame(tables), notes(tables), sections(tables))
    for name, each in tables.sets.items():
        text += f"\n% Test set {name}\n" + texts.latex(frame(each), notes(each), sections(each))
    return text


def csv(tables: TwoTables) -> str:
    """One line per pair of cells, numbers only; of several test sets one per set and pair."""
    if not tables.sets:
        return texts.csv(lines_of(tables))
    sets = [(tables.main_set, tables), *tables.sets.items()]
    return texts.csv([{"set": name, **each} for name, of_set in sets for each in lines_of(of_set)])


def lines_of(tables: TwoTables) -> list[dict[str, Json]]:
    """The lines of the CSV of one test set."""
    lines = []
    for pair in tables.cells:
        sides = {"first": pair.first, "second": pair.second}
        difference = pair.difference
        lines.append(
            {
                f"{side}_{name}": value
                for side, cell in sides.items()
                for name, value in {"name": cell.name, **record_json(cell.setting)}.items()
            }
            | {f"{side}_{tables.main}": cell.scores[tables.main].mean for side, cell in sides.items()}
            | {name: getattr(difference, name, None) for name in ("value", "low", "high", "p", "p_holm")}
        )
    return lines
