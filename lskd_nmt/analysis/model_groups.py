"""Which models, seeds and temperatures of a run go together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Model = Mapping[str, Any]
Group = tuple[Any, ...]

# students that agree in these differ in α, T and seed alone
GROUP = ("kd_level", "hypotheses", "tail", "top_k", "kd_weight", "method")


def groups(models: Iterable[Model]) -> Mapping[Group, list[Model]]:
    """Students with a temperature, by all but their teacher's label smoothing, temperature and seed."""
    found: dict[Group, list[Model]] = {}
    for model in models:
        if model["teacher"] is not None and model["temperature"] is not None:
            found.setdefault(tuple(model.get(name) for name in GROUP), []).append(model)
    return found


def name_of(group: Group) -> str:
    """A group, in the name of a file: what is not usual in it."""
    level, hypotheses, tail, top_k, weight, method = group
    whole = None if level in (None, "word") else f"{level}-{hypotheses}"
    parts = [method, whole, f"{tail or 'dense'}{top_k or ''}", None if weight == 1 else f"w{weight:g}"]
    return "-".join(str(part) for part in parts if part)


def is_plain(model: Model) -> bool:
    """Whether it is the student without KD; methods without a teacher are others."""
    return model["role"] == "student" and model["teacher"] is None and not model.get("method")


def by_temperature(members: Sequence[Model], alpha: float) -> dict[float, dict[int, Model]]:
    """Students of one α: temperature -> seed -> model."""
    found: dict[float, dict[int, Model]] = {}
    for model in members:
        if model["label_smoothing"] == alpha:
            found.setdefault(model["temperature"], {})[model["seed"]] = model
    return found


def shared(
    treated: Mapping[float, Mapping[int, Model]], control: Mapping[float, Mapping[int, Model]]
) -> list[tuple[list[float], list[int]]]:
    """Temperatures beside 1 and the seeds that they share with it on both sides; those with the same seeds together."""
    sides, found = [side for side in (treated, control) if side], dict[tuple[int, ...], list[float]]()
    for t in sorted(set(treated) - {1}):
        seeds = set.intersection(*(set(side.get(t, {})) & set(side.get(1, {})) for side in sides))
        if seeds:
            found.setdefault(tuple(sorted(seeds)), []).append(t)
    return [(temperatures, list(seeds)) for seeds, temperatures in found.items()]
