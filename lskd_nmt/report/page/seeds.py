"""Which models of an analysis are the seeds of one setting, by their names."""

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")
SEED = re.compile(r"-s\d+(?=-own$|$)")  # of a model's name, which `-own` may follow: measured on its own output


def without_seed(name: str) -> str:
    """A model's name without its seed: `student-plain` of `student-plain-s1`."""
    return SEED.sub("", name)


def by_setting(found: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """What was found of each model, by the setting's name and the model's; a single seed keeps its name."""
    settings: dict[str, dict[str, T]] = {}
    for name, each in found.items():
        settings.setdefault(without_seed(name), {})[name] = each
    return {setting if len(seeds) > 1 else next(iter(seeds)): seeds for setting, seeds in settings.items()}
