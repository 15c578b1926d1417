"""What a table asks: each row against its baseline, and the effects of the teacher's label smoothing and of T."""

from collections.abc import Mapping, Sequence
from typing import Any

from lskd_nmt.evaluate.contrasts import wanted
from lskd_nmt.evaluate.records import Pool
from lskd_nmt.report.results import published, verdicts
from lskd_nmt.report.results.baselines import Bases, closest, family
from lskd_nmt.report.results.rows import CELL, group, key, label

Cell = Mapping[str, Any]
HIGH, LOW = 64.0, 1.0  # the temperatures of the collapse


def related(cells: Sequence[Cell], cell: Cell, **changes: Any) -> Cell | None:
    """The cell that differs from `cell` in `changes` alone: that of its own run, or the only one there is."""
    sought = {name: cell[name] for name in CELL} | changes
    return closest([other for other in cells if all(other[name] == value for name, value in sought.items())], cell)


def effects(cells: Sequence[Cell], pair: str | None) -> list[dict[str, Any]]:
    """The LS gain at each T, each step down in T, and the collapse, within one tail mode, weight and level."""
    groups = {group(cell) for cell in cells if label(cell) == "student"}
    found = []
    for cell in cells:
        if cell["label_smoothing"] is None:
            continue
        smoothing, temperature = f"α = {cell['label_smoothing']:g}", cell["temperature"]
        is_alone = len(groups) == 1 and temperature is not None
        where = "teacher" if cell["role"] == "teacher" else "" if is_alone else group(cell)
        if cell["label_smoothing"]:
            at = f"T = {temperature:g}" if temperature is not None else ""
            other = related(cells, cell, label_smoothing=0.0)
            found += effect(f"LS gain: {smoothing} over 0", (at, where), [(1, cell), (-1, other)], pair)
        below = cooler(cells, cell)
        if below is not None:
            name = f"order: T = {below['temperature']:g} over {temperature:g}"
            found += effect(name, (smoothing, where), [(1, below), (-1, cell)], pair)
        if temperature == HIGH:
            name, other = f"collapse: T = {HIGH:g} less half of T = {LOW:g}", related(cells, cell, temperature=LOW)
            found += effect(name, (smoothing, where), [(1, cell), (-0.5, other)], pair)
    return sorted(found, key=lambda each: not str(each["effect"]).startswith("LS gain"))


def cooler(cells: Sequence[Cell], cell: Cell) -> Cell | None:
    """The same at the next lower temperature."""
    lower = sorted(
        {
            other["temperature"]
            for other in cells
            if other["temperature"] is not None
            and cell["temperature"] is not None
            and other["temperature"] < cell["temperature"]
            and related([other], cell, temperature=other["temperature"])
        }
    )
    return related(cells, cell, temperature=lower[-1]) if lower else None


def effect(
    name: str, at: Sequence[str], terms: Sequence[tuple[float, Cell | None]], pair: str | None
) -> list[dict[str, Any]]:
    """One effect and its published value, if there are cells for all of its terms."""
    known = [(weight, cell) for weight, cell in terms if cell is not None]
    if len(known) < len(terms):
        return []
    numbers = [(weight, published.bleu(pair, cell)) for weight, cell in known]
    values = [weight * number for weight, number in numbers if number is not None]
    where = ", ".join(filter(None, [*at, *known[0][1]["named_runs"]]))
    return [
        {
            "effect": name,
            "at": where,
            "of": dict(zip(CELL, key(known[0][1]), strict=True)),
            "terms": [[weight, cell["name"]] for weight, cell in known],
            "teachers": min(len(cell["teachers"]) for _, cell in known),
            "published": round(sum(values), 3) if len(values) == len(known) else None,
        }
    ]


def title(family: str, terms: Sequence[tuple[float, str]]) -> str:
    """The name of a contrast: `effect: +1 student-ls0.1-t1 -1 student-ls0-t1`."""
    return f"{family}: " + " ".join(f"{weight:+g} {name}" for weight, name in terms)


def contrasts(content: Mapping[str, Any], bases: Bases, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is to be measured, by name: each cell by itself, against its baselines, and the effects."""
    members = {cell["name"]: cell["members"] for cell in content["cells"]}
    result = {}

    def add(family: str, terms: Sequence[tuple[float, str]], metric: str = "bleu") -> None:
        result[title(family, terms)] = wanted([(weight, members[name]) for weight, name in terms], family, metric)

    for name in members:
        add("score", [(1, name)])
        if is_comparable(content["published"]):
            add(published.METRIC, [(1, name)], published.METRIC)
    for wish, pairs in bases.items():
        for name, base in pairs.items():
            add(family(wish, bases), [(1, name), (-1, base["name"])])
    for each in found:
        add("effect", each["terms"])
    return result


def pools(cells: Sequence[Cell], always: bool = False) -> list[Pool]:
    """Rows whose seeds may scatter alike: students, and teachers; `always` is said of students alone."""
    groups = {
        role: tuple(tuple(cell["members"]) for cell in cells if cell["role"] == role) for role in ("student", "teacher")
    }
    return [Pool(f"{role}s", mine, always and role == "student") for role, mine in groups.items() if mine]


def is_comparable(facts: Mapping[str, Any]) -> bool:
    """Whether published numbers may be held against ours."""
    return facts["pair"] is not None and not facts["obstacles"]


def judge(content: dict[str, Any], bases: Bases, found: Sequence[dict[str, Any]], measured: Mapping[str, Any]) -> None:
    """Put what was measured into the table: intervals, differences with their p-values, and verdicts.

    A cell's `baseline` and `difference` are those of the first; of several, `over` has them all.
    """
    results = measured["results"]
    for cell in content["cells"]:
        name, over = cell["name"], dict[str, Any]()
        cell["interval"] = ends(results.get(title("score", [(1, name)])))
        for wish, pairs in bases.items():
            base = pairs[name]["name"] if name in pairs else None
            said = results.get(title(family(wish, bases), [(1, name), (-1, base)])) if base else None
            over[wish] = {"baseline": base, "difference": said}
        cell.update(next(iter(over.values())) | ({"over": over} if len(over) > 1 else {}))
        cell["published"] = compared(cell, content["published"], results.get(title(published.METRIC, [(1, name)])))
    for each in found:
        each["difference"] = results.get(title("effect", each["terms"]))
        each["verdict"] = verdict(each)
    content["effects"] = list(found)
    content["significance"] = measured["settings"] | {
        "without_text": measured["without_text"],
        **spreads(content["cells"], measured),
    }


def spreads(cells: Sequence[Cell], measured: Mapping[str, Any]) -> dict[str, Any]:
    """How seeds scatter in the pools that were used: `spread` where the user asked for it, else `pooled` by name.

    Groups of models that scatter more than the others stand there by their rows' names.
    """
    names = {tuple(cell["members"]): cell["name"] for cell in cells}
    found = {
        pool: facts | {"unlike": [names.get(tuple(group), group[0]) for group in facts["unlike"]]}
        for pool, facts in measured["spreads"].get("bleu", {}).items()
    }
    asked = [facts for facts in found.values() if facts["always"]]
    return {
        "spread": asked[0] if asked else None,
        "pooled": {name: facts for name, facts in found.items() if not facts["always"]},
    }


def ends(result: Mapping[str, Any] | None) -> list[float] | None:
    """The interval of a result."""
    return [result["low"], result["high"]] if result else None


def verdict(each: Mapping[str, Any]) -> str | None:
    """Of an effect with a published value. The LS gain of students is one of their teachers: these are counted."""
    result, value = each["difference"], each["published"]
    if result is None or value is None:
        return None
    if str(each["effect"]).startswith("LS gain") and 0 < each["teachers"] < result["seeds"]:
        of_teachers = verdicts.few(each["teachers"], "teacher")
        if of_teachers is not None:
            return of_teachers
    return verdicts.direction(value, result["low"], result["high"], result["seeds"])


def compared(cell: Cell, facts: Mapping[str, Any], result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A cell beside its published number."""
    value = published.bleu(facts["pair"], cell)
    if value is None:
        return None
    said = "not comparable" if facts["obstacles"] else None
    if result is not None:
        said = verdicts.absolute(value, result["low"], result["high"], result["seeds"])
    ours = cell[published.METRIC]["mean"]
    return {
        "value": value,
        "ours": ours,
        "difference": round(ours - value, 2),
        "interval": ends(result),
        "verdict": said,
    }
