"""The keys of a YAML: how each value is checked, its default, and the nearest key to one that is not known."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from lskd_nmt.experiment.config_values import Check, FlagError, shown
from lskd_nmt.storage.typed import Json


@dataclass(frozen=True)
class Required:
    """The check of a key that has to be given."""

    check: Check


Checks = Mapping[str, Union[Check, Required, "Checks"]]  # a mapping is a section of its own


def resolve_section(
    content: Json, checks: Checks, defaults: Mapping[str, Json], prefix: str, complaints: list[str]
) -> dict[str, Json]:
    """One section of a YAML with the values of `defaults` where it has none; what is wrong goes to `complaints`."""
    if not isinstance(content, dict):
        complaints.append(f"{prefix.rstrip('.')} is {shown(content)}, it must hold 'key: value' lines")
        return {}
    for name in content:
        if name not in checks:
            near = difflib.get_close_matches(str(name), checks, n=1, cutoff=0)
            complaints.append(f"unknown key '{prefix}{name}', the nearest valid one is '{prefix}{near[0]}'")
    result: dict[str, Json] = {}
    for name, check in checks.items():
        if isinstance(check, Mapping):
            below = defaults[name]
            assert isinstance(below, dict)
            result[name] = resolve_section(content.get(name, {}), check, below, f"{prefix}{name}.", complaints)
        elif content.get(name) is not None:
            result[name] = checked(content[name], check, f"{prefix}{name}", complaints)
        elif isinstance(check, Required):
            complaints.append(f"{prefix}{name} is missing")
        else:
            result[name] = defaults.get(name)  # a record does not write all that is None
    return result


def checked(value: Json, check: Check | Required, name: str, complaints: list[str]) -> Json:
    """A value in its type; None with a complaint where it is not what it must be."""
    try:
        return check.check(value) if isinstance(check, Required) else check(value)
    except FlagError as error:
        complaints.append(f"{name}{error}")
    except ValueError as error:
        complaints.append(f"{name} is {shown(value)}, it must be {error}")
    return None
