"""Two sweeps side by side: what is compared with what, and the tables of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from lskd_nmt.errors import require
from lskd_nmt.evaluate.contrasts import wanted
from lskd_nmt.report.results.effects import spreads
from lskd_nmt.report.results.rows import CELL, key, row_title
from lskd_nmt.report.tables import document, tables

LOOSE = ("role", "label_smoothing", "kd_level", "hypotheses", "temperature", "method")  # what a sweep varies
Content = Mapping[str, Any]


def pairs(first: Sequence[Any], second: Sequence[Any], keys: Callable[[Any], Mapping[str, Any]]) -> list[Any]:
    """Members of both sequences that belong together: equal in all, or, if no students are, in what a sweep varies."""

    def matched(names: Sequence[str] | None) -> list[Any]:
        def part(each: Any) -> dict[str, Any]:
            return {name: value for name, value in keys(each).items() if names is None or name in names}

        return [(one, other) for one in first for other in second if part(one) == part(other)]

    exact = matched(None)
    has_students = any(keys(one)["kd_level"] or keys(one)["method"] for one, _ in exact)
    return exact if has_students else matched((*LOOSE, "effect"))


def cell_key(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The cell as a mapping."""
    return dict(zip(CELL, key(cell), strict=True))


def require_comparable(first: Content, second: Content) -> None:
    """Refuse sweeps whose scores cannot be subtracted, or that have nothing to compare."""
    for name in ("reference", "metrics"):
        values = [{str(each[name]) for each in content["expansions"].values()} for content in (first, second)]
        require(
            values[0] == values[1],
            f"{first['name']} and {second['name']} are scored on different test sets or by "
            f"different metrics ({name}): compare sweeps of one test set",
        )
    has_pairs = bool(pairs(first["cells"], second["cells"], cell_key))
    require(has_pairs, f"{first['name']} and {second['name']} have no cell in common: compare sweeps of one grid")


def side_by_side(first: Content, second: Content) -> dict[str, Any]:
    """Pairs of cells and pairs of effects of both sweeps."""
    cells = pairs(first["cells"], second["cells"], cell_key)
    effects = pairs(first["effects"], second["effects"], lambda each: each["of"] | {"effect": each["effect"]})
    found = [{id(each) for each in side} for side in zip(*cells, strict=True)]
    alone = {
        content["name"]: [cell["name"] for cell in content["cells"] if id(cell) not in paired]
        for content, paired in zip((first, second), found, strict=True)
    }
    return {
        "names": [first["name"], second["name"]],
        "signatures": first["signatures"],
        "significance": first["significance"],
        "alone": alone,
        "cells": [{"first": one, "second": other} for one, other in cells],
        "effects": [{"first": one, "second": other} for one, other in effects],
    }


def title(pair: Mapping[str, Any]) -> str:
    """The name of one pair's contrast."""
    return f"{pair['second']['members']} over {pair['first']['members']}"


def contrasts(content: Content) -> dict[str, Any]:
    """Each cell of the second sweep less its partner in the first."""
    return {
        title(pair): wanted([(1, pair["second"]["members"]), (-1, pair["first"]["members"])], "baseline")
        for pair in content["cells"]
    }


def judge(content: dict[str, Any], measured: Mapping[str, Any]) -> None:
    """Put the measured differences beside their pairs."""
    for pair in content["cells"]:
        pair["difference"] = measured["results"].get(title(pair))
    cells = [
        pair[side] | {"name": f"{pair[side]['name']} of {content['names'][place]}"}
        for pair in content["cells"]
        for place, side in enumerate(("first", "second"))
    ]
    content["significance"] = content["significance"] | spreads(cells, measured)


def frame(content: Content) -> pd.DataFrame:
    """The cells of both sweeps."""
    first, second = content["names"]
    lines = [
        {
            "row": row_title(pair["first"]),
            f"in {second}": "the same" if key(pair["first"]) == key(pair["second"]) else row_title(pair["second"]),
            "seeds": f"{len(pair['first']['seeds'])}, {len(pair['second']['seeds'])}",
            first: tables.score(pair["first"]["bleu"]),
            second: tables.score(pair["second"]["bleu"]),
            "difference [95 %]": tables.interval(pair["difference"]),
            "p": tables.p_value(pair["difference"] and pair["difference"]["p_holm"]),
            "p each seed": tables.p_by_seed(pair["difference"]),
        }
        for pair in content["cells"]
    ]
    return pd.DataFrame(lines, dtype=str)


def effects(content: Content) -> pd.DataFrame:
    """The effects of both sweeps."""
    first, second = content["names"]
    lines = [
        {
            "effect": pair["first"]["effect"],
            "at": pair["first"]["at"],
            first: tables.interval(pair["first"]["difference"]),
            second: tables.interval(pair["second"]["difference"]),
            "published": tables.optional(pair["first"]["published"], "+.2f"),
            f"verdict {first}": pair["first"]["verdict"] or "–",
            f"verdict {second}": pair["second"]["verdict"] or "–",
        }
        for pair in content["effects"]
    ]
    return pd.DataFrame(lines, dtype=str)


def notes(content: Content) -> list[str]:
    """The lines under the tables."""
    settings, (first, second) = content["significance"], content["names"]
    return [
        f"BLEU: {content['signatures']['bleu']}",
        f"difference: {second} less {first}",
        *document.resampling(settings),
        "p: corrected for the number of rows by Holm's method; p each seed: sacreBLEU's paired approximate "
        f"randomisation, {settings['trials']:,} trials, uncorrected",
        *(f"only in {name}: {', '.join(cells)}" for name, cells in content["alone"].items() if cells),
    ]


def markdown(content: Content) -> str:
    """Both tables as Markdown."""
    text = f"# {' and '.join(content['names'])}\n\n{tables.body(frame(content))}\n\n"
    if content["effects"]:
        text += f"## Effects\n\n{tables.body(effects(content))}\n\n"
    return text + "".join(f"- {line}\n" for line in notes(content))


def latex(content: Content) -> str:
    """Both tables as LaTeX (booktabs)."""
    text = tables.as_latex(frame(content), notes(content))
    return text + (f"\n% Effects\n{tables.as_latex(effects(content), [])}" if content["effects"] else "")


def csv(content: Content) -> str:
    """One line per pair of cells, numbers only."""
    lines = []
    for pair in content["cells"]:
        difference = pair["difference"] or {}
        lines.append(
            {f"{side}_{name}": pair[side][name] for side in ("first", "second") for name in ("name", *CELL)}
            | {f"{side}_bleu": pair[side]["bleu"]["mean"] for side in ("first", "second")}
            | {name: difference.get(name) for name in ("value", "low", "high", "p", "p_holm")}
        )
    return str(pd.DataFrame(lines).to_csv(index=False))
