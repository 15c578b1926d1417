"""What a store on disk says of itself: a header written last, and the plan that it was begun with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.storage.files import read_json, write_json


@dataclass(frozen=True)
class Kind:
    """A kind of store: its header's name, the formats that are read, and its words in errors."""

    name: str
    file: str
    formats: tuple[int, ...]
    finish: str  # what to do about a folder without header
    again: str  # what to do about one that is of no use
    make: str  # how data get a store


def digest(header: Mapping[str, Any]) -> str:
    """A hash over everything else in a header."""
    rest = {key: value for key, value in header.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write_header(folder: Path, kind: Kind, content: Mapping[str, Any]) -> dict[str, Any]:
    """Make the store in `folder` complete; the header as it was written."""
    header = {**content, "digest": digest(content)}
    write_json(folder / kind.file, header)
    return header


def read_header(folder: str | Path, kind: Kind) -> dict[str, Any]:
    """The header of a complete store of a known format, unedited."""
    file, store = Path(folder) / kind.file, f"{kind.name} {folder}"
    require(file.is_file(), f"{store} has no {kind.file}: {kind.finish}")
    header = read_json(file)
    known = " and ".join(map(str, kind.formats))
    require(
        header.get("format") in kind.formats,
        f"{store} has format {header.get('format')}, this version reads {known}: {kind.again}",
    )
    require(header.get("digest") == digest(header), f"{store}: {kind.file} was edited: {kind.again}")
    return header


def require_same_plan(file: Path, plan: Mapping[str, Any], what: str, header: Mapping[str, Any] | None = None) -> None:
    """Refuse a folder in which `what` was begun with another plan.

    `header` is that of a finished one: what it says is compared where the plan was lost.
    """
    before: Mapping[str, Any] = read_json(file) if file.is_file() else header or {}
    compared = plan if file.is_file() else plan.keys() & before.keys()
    other = [key for key in plan if key in compared and (key not in before or before[key] != plan[key])]
    require(
        not other,
        f"--out {file.parent} holds {what} with other {', '.join(other)}: give another folder, or remove this one",
    )
