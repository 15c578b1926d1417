"""Frozen dataclasses that stand for JSON: read and written here, so that code between files has attributes and types.

    @record
    class Score:
        value: float
        signature: str
        text: str | None = None          # a key that older versions did not write has a default
        note: str | None = absent()      # and one that is not written at all where it is None

    score = read_record(folder / "score.json", Score)
    write_record(folder / "score.json", score)

Types are strict: text is no number, `true` is none, and a float must be finite (`AnyFloat` may be NaN or infinite).
Keys that a record does not know are left out, as later versions may write more. Pydantic does the checking.
"""

import json
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, dataclass_transform

from pydantic import AllowInfNan, ConfigDict, JsonValue, TypeAdapter, ValidationError

from lskd_nmt.errors import LskdError, one_line
from lskd_nmt.storage.files import write_json
from lskd_nmt.storage.records import AGAIN, SHOWN, load

T = TypeVar("T")
Json = JsonValue
AnyFloat = Annotated[float, AllowInfNan(True)]
CONFIG = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)
Adapter = TypeAdapter[Any]
ADAPTERS: dict[type, Adapter] = {}

# pydantic's kind of fault -> what is meant, in words; `ctx` of the fault fills the braces
MEANT = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "dict_type": "an object",
    "dataclass_type": "an object",
    "list_type": "a list",
    "tuple_type": "a list",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
}


def absent() -> Any:
    """For a field of a record: a key that may lack, and that is not written where the value is None."""
    return field(default=None, metadata={"absent": True})


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class with annotations a frozen dataclass that `from_json` reads strictly."""
    cls.__pydantic_config__ = CONFIG  # type: ignore[attr-defined]
    return dataclass(frozen=True)(cls)


def from_json(cls: type[T], value: object, place: str) -> T:
    """The record of a JSON value; `LskdError` names `place` (a file, a flag), the key, its value and what is meant."""
    try:
        return cast("T", adapter(cls).validate_json(json.dumps(value)))
    except ValidationError as error:
        deep = error.errors(include_url=False)[0]["type"] == "json_invalid"  # what `json` wrote is JSON
        raise LskdError(f"{place}{' is nested too deeply' if deep else fault(error)}: {AGAIN}") from None
    except RecursionError:
        raise LskdError(f"{place} is nested too deeply: {AGAIN}") from None


def to_json(value: object) -> Any:
    """A record, or a list or dictionary of such, as what `json` writes; fields keep their order."""
    if isinstance(value, str):  # what long lists hold
        return value
    if is_dataclass(value) and not isinstance(value, type):
        found = {each: getattr(value, each.name) for each in fields(value)}
        return {each.name: to_json(of) for each, of in found.items() if of is not None or "absent" not in each.metadata}
    if isinstance(value, dict):
        return {key: to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def read_record(file: Path, cls: type[T]) -> T:
    """The record in a JSON file."""
    return from_json(cls, load(file, object), str(file))


def write_record(file: Path, value: object) -> None:
    """Write a record as readable JSON, whole or not at all."""
    write_json(file, to_json(value))


def adapter(cls: type) -> Adapter:
    """Pydantic's reader of a type, made once."""
    if cls not in ADAPTERS:
        ADAPTERS[cls] = TypeAdapter(cls)
    return ADAPTERS[cls]


def fault(error: ValidationError) -> str:
    """The first fault, to stand behind the place where it is: ` lacks 'seed'`, `: seed is "1", where …`."""
    first = error.errors(include_url=False)[0]
    name = ""
    for part in first["loc"]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    name = name.removeprefix(".")
    if first["type"] == "missing":
        outer, _, key = name.rpartition(".")
        return f" lacks '{key}'{f' in {outer}' if outer else ''}"
    shown = one_line(json.dumps(first["input"], ensure_ascii=False), SHOWN)
    meant = MEANT.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return f": {name or 'it'} is {shown}, where {meant} is meant"
