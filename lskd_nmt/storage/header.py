"""What a store on disk says of itself: a header written last, and the plan that it was begun with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lskd_nmt.errors import require
from lskd_nmt.storage.files import read_json, write_json
from lskd_nmt.storage.records import JsonObject
from lskd_nmt.storage.typed import absent, from_json, record, to_json

T = TypeVar("T")


@record
class Origin:
    """The checkpoint that something was made by; None where the checkpoint does not say."""

    file: str  # its name, without folders
    sha256: str
    arch: str | None = None
    label_smoothing: float | None = None


@record
class StoredSymbols:
    """The dictionaries of a store's data: symbols by their ids; and the languages, where the store's kind has them."""

    source: list[str]
    target: list[str]
    langs: list[str] | None = absent()


@dataclass(frozen=True)
class Kind:
    """A kind of store: its header's name, the formats that are read, and its words in errors."""

    name: str
    file: str
    formats: tuple[int, ...]
    finish: str  # what to do about a folder without header
    again: str  # what to do about one that is of no use
    make: str  # how data get a store


def digest(header: Mapping[str, object]) -> str:
    """SHA-256 of a header without its own `digest`, as JSON with sorted keys."""
    rest = {key: value for key, value in header.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write_header(folder: Path, kind: Kind, header: T) -> T:
    """Make the store in `folder` complete by its header, a record with a field `digest`; returns it with the digest."""
    content: JsonObject = to_json(header)
    content["digest"] = digest(content)
    write_json(folder / kind.file, content)
    return from_json(type(header), content, str(folder / kind.file))


def read_header(folder: str | Path, kind: Kind, cls: type[T]) -> T:
    """The header of a complete store as a `cls`; `LskdError` for an unknown format, or if it was edited."""
    file, store = Path(folder) / kind.file, f"{kind.name} {folder}"
    require(file.is_file(), f"{store} has no {kind.file}: {kind.finish}")
    content = read_json(file)
    known = " and ".join(map(str, kind.formats))
    require(
        content.get("format") in kind.formats,
        f"{store} has format {content.get('format')}, this version reads {known}: {kind.again}",
    )
    require(content.get("digest") == digest(content), f"{store}: {kind.file} was edited: {kind.again}")
    return from_json(cls, content, str(file))


def require_same_plan(file: Path, plan: object, what: str, header: object = None) -> None:
    """Refuse a folder in which `what` was begun with another plan; `plan` and `header` are records.

    `header` is that of a finished store: where the plan's file was lost, what the header says is compared instead.
    """
    wanted: JsonObject = to_json(plan)
    there = file.is_file()
    before: JsonObject = read_json(file) if there else to_json(header) if header is not None else {}
    compared = wanted if there else wanted.keys() & before.keys()
    other = [key for key in wanted if key in compared and (key not in before or before[key] != wanted[key])]
    require(
        not other,
        f"--out {file.parent} holds {what} with other {', '.join(other)}: give another folder, or remove this one",
    )
