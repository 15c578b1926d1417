"""The keys of a YAML: how each value is checked, its default, and the nearest key to one that is not known."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lskd_nmt.experiment.config_values import Check, FlagError, shown


@dataclass(frozen=True)
class Key:
    """One key of the config: how its value is checked, and its default (`required` has none)."""

    check: Check
    default: Any = None
    required: bool = False


def resolve_section(content: Any, keys: Mapping[str, Any], prefix: str, complaints: list[str]) -> dict[str, Any]:
    """One level of the config; what is wrong is appended to `complaints`."""
    if not isinstance(content, dict):
        complaints.append(f"{prefix.rstrip('.')} is {shown(content)}, it must hold 'key: value' lines")
        return {}
    for name in content:
        if name not in keys:
            near = difflib.get_close_matches(str(name), keys, n=1, cutoff=0)
            complaints.append(f"unknown key '{prefix}{name}', the nearest valid one is '{prefix}{near[0]}'")
    result: dict[str, Any] = {}
    for name, key in keys.items():
        if isinstance(key, dict):
            result[name] = resolve_section(content.get(name, {}), key, f"{prefix}{name}.", complaints)
        elif name in content and content[name] is not None:
            try:
                result[name] = key.check(content[name])
            except FlagError as error:
                complaints.append(f"{prefix}{name}{error}")
            except ValueError as error:
                complaints.append(f"{prefix}{name} is {shown(content[name])}, it must be {error}")
        elif key.required:
            complaints.append(f"{prefix}{name} is missing")
        else:
            result[name] = key.default
    return result
