"""Tables as JSON: what table.json and compare.json hold is written and read here, its keys as they always were."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.evaluate.records import Estimate
from lskd_nmt.report.results.records import (
    Cell,
    Effect,
    Expansion,
    OverBaseline,
    ResultsTable,
    RunData,
    Scatter,
    Setting,
    TableRow,
    Tests,
    TwoTables,
)
from lskd_nmt.storage.records import load
from lskd_nmt.storage.typed import Json, from_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Fields whose own fields stand in the file in their place, and fields that are not written where they are empty.
IN_PLACE: dict[type, set[str]] = {
    TableRow: {"setting", "scores"},
    Cell: {"setting", "scores", "cost"},
    Tests: {"settings"},
}
LEFT_OUT: dict[type, set[str]] = {
    Setting: {"hypotheses_drawn", "init"},
    Cell: {"cost", "over", "needed"},
    OverBaseline: {"needed"},
    Effect: {"needed"},
    RunData: {"methods"},
    Estimate: {"p_by_seed", "uncertainty"},
    Expansion: {"given", "init"},
    Scatter: {"deviation", "degrees", "rows", "smallest", "largest"},
    TwoTables: {"lower_is_better", "main_set", "sets"},
    ResultsTable: {"lower_is_better", "main_set", "sets", "over_sets"},
}


def record_json(value: "DataclassInstance") -> dict[str, Json]:
    """A record as the object that table.json has."""
    found: dict[str, Json] = {}
    for name in (each.name for each in fields(value)):
        inner = getattr(value, name)
        if inner in (None, {}, ()) and name in LEFT_OUT.get(type(value), ()):
            continue
        shown = as_json(inner)
        found |= shown if isinstance(shown, dict) and name in IN_PLACE.get(type(value), ()) else {name: shown}
    return found


def as_json(value: object) -> Json:
    """A record, or a list or dictionary of such, as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return record_json(value)
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    assert value is None or isinstance(value, bool | int | float | str), f"{value!r} is no JSON"
    return value


def read_table(file: Path) -> ResultsTable:
    """The table in a table.json; `LskdError` names a key that is missing or of another type."""
    return table_of(load(file, dict), str(file))


def table_of(content: dict[str, Json], place: str) -> ResultsTable:
    """The table of a table.json's content; `place` is what errors call it."""
    return from_json(ResultsTable, with_parts(content), place)


def with_parts(content: dict[str, Json]) -> dict[str, Json]:
    """A table of table.json with the parts of its rows, cells and tests as objects of their own, and so its sets'."""
    metrics, tests = content.get("signatures"), content.get("significance")
    names = set(metrics) if isinstance(metrics, dict) else set()
    parts: dict[str, Json] = {}
    for key in ("rows", "cells"):
        entries = content.get(key)
        if isinstance(entries, list):
            parts[key] = [nested(each, names) if isinstance(each, dict) else each for each in entries]
    if isinstance(tests, dict):
        parts["significance"] = {**tests, "settings": tests}
    sets, over = content.get("sets"), content.get("over_sets")
    if isinstance(sets, dict):
        parts["sets"] = {name: with_parts(each) if isinstance(each, dict) else each for name, each in sets.items()}
    if isinstance(over, dict):
        parts["over_sets"] = with_parts(over)
    return {**content, **parts}


def nested(entry: dict[str, Json], metrics: set[str]) -> dict[str, Json]:
    """A row or cell of table.json with its setting, scores and cost as objects of their own."""
    names = {each.name for each in fields(Setting)}
    setting = {name: value for name, value in entry.items() if name in names}
    scores = {name: value for name, value in entry.items() if name in metrics}
    cost = {"cost": {"step_cost": entry["step_cost"]}} if "step_cost" in entry else {}
    return {**entry, "setting": setting, "scores": scores, **cost}
