"""Which models, seeds and temperatures of a run go together."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lskd_nmt.experiment.records import PlannedModel


class Group(NamedTuple):
    """What students have in common if they differ in α (of their teacher), temperature and seed alone."""

    kd_level: str | None
    hypotheses: str | None
    tail: str | None
    top_k: int | None
    kd_weight: float
    method: str | None
    hypotheses_drawn: int | None


def groups(models: Iterable[PlannedModel]) -> Mapping[Group, list[PlannedModel]]:
    """Students with a temperature, by all but their teacher's label smoothing, temperature and seed."""
    found: dict[Group, list[PlannedModel]] = {}
    for model in models:
        if model.teacher is not None and model.temperature is not None:
            found.setdefault(Group(*(getattr(model, name) for name in Group._fields)), []).append(model)
    return found


def name_of(group: Group) -> str:
    """A group, in the name of a file: what is not usual in it."""
    whole = None if group.kd_level in (None, "word") else f"{group.kd_level}-{group.hypotheses}"
    drawn = f"drawn{group.hypotheses_drawn}" if group.hypotheses_drawn else None
    weight = None if group.kd_weight == 1 else f"w{group.kd_weight:g}"
    parts = [group.method, whole, drawn, f"{group.tail or 'dense'}{group.top_k or ''}", weight]
    return "-".join(part for part in parts if part)


def by_temperature(members: Sequence[PlannedModel], alpha: float) -> dict[float, dict[int, PlannedModel]]:
    """Students of one α: temperature -> seed -> model."""
    found: dict[float, dict[int, PlannedModel]] = {}
    for model in members:
        if model.label_smoothing == alpha and model.temperature is not None:
            found.setdefault(model.temperature, {})[model.seed] = model
    return found


def shared(
    treated: Mapping[float, Mapping[int, PlannedModel]], control: Mapping[float, Mapping[int, PlannedModel]]
) -> list[tuple[list[float], list[int]]]:
    """Temperatures beside 1 and the seeds that they share with it on both sides; those with the same seeds together."""
    sides, found = [side for side in (treated, control) if side], dict[tuple[int, ...], list[float]]()
    for t in sorted(set(treated) - {1}):
        seeds = set.intersection(*(set(side.get(t, {})) & set(side.get(1, {})) for side in sides))
        if seeds:
            found.setdefault(tuple(sorted(seeds)), []).append(t)
    return [(temperatures, list(seeds)) for seeds, temperatures in found.items()]


def over_seeds(models: Iterable[PlannedModel]) -> dict[str, list[PlannedModel]]:
    """Models that differ in their seed alone (and their teacher's), in order, by a name without the seed."""
    alike: dict[tuple[object, ...], list[PlannedModel]] = {}
    for model in models:
        own = (model.role, model.teacher is None, model.label_smoothing, model.temperature, model.origin)
        alike.setdefault((*own, *(getattr(model, name) for name in Group._fields)), []).append(model)
    found: dict[str, list[PlannedModel]] = {}
    for members in alike.values():
        name = re.sub(r"-s\d+$", "", members[0].name)
        found[name if name not in found else members[0].name] = members
    return found
