"""JSON files that were written once and are read later: by then they may have been cut, edited, or lack a key.

Each object knows the file that it was read from: a key that it lacks is one line about that file, wherever it is asked
for. `SHAPES` says of what type values must be, file by file; a key that is not there is no fault, as older versions
wrote fewer, and keys that are not listed may hold anything. A file that is read as a record (see `typed`) needs none.
"""

import json
import math
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lskd_nmt.errors import LskdError, one_line, reading, require, require_file

AGAIN = "it was edited, or another version wrote it: make it again"
SHOWN = 60  # characters of a value in an error

# A type; a pattern of text; a tuple of alternatives; [shape] for a list; {key: shape} for an object, "*" for all keys.
NUMBER, ANY_NUMBER = "a finite number", "a number"
NAME, ROLE = re.compile(r"[^/\0]*[^/\0.][^/\0]*"), re.compile("teacher|student")  # a model's name is a folder's
Shape = Any
T = TypeVar("T")
JsonObject = dict[str, Any]  # an object whose values nobody has checked: only where JSON is read
JsonList = list[Any]
TEXT, WORDS, COUNT = (str, None), [str], (int, None)
COST = (NUMBER, None)
SCORE = {"score": NUMBER, "signature": str, "text": str}
HASHES = {"*": str}
MODEL = {
    "name": NAME,
    "role": ROLE,
    "teacher": TEXT,
    "arch": str,
    "seed": int,
    "label_smoothing": COST,
    "temperature": COST,
    "kd_weight": COST,
    "kd_level": TEXT,
    "hypotheses": TEXT,
    "hypotheses_drawn": COUNT,
    "tail": TEXT,
    "top_k": COUNT,
    "method": TEXT,
    "train_command": WORDS,
    "decode_command": WORDS,
    "store_command": WORDS,
    "seqkd_commands": [WORDS],
    "average": ({"*": int}, None),
}
METHODS = ({"*": {"about": TEXT, "flags": dict}}, None)
ATTEMPT = {
    "command": WORDS,
    "exit_code": int,
    "wall_seconds": COST,
    "cpu_seconds": COST,
    "gpu_hours": COST,
    "peak_memory_mb": COST,
    "peak_gpu_memory_mb": COST,
    "words_per_second": COST,
}
# a file's name -> its shape; a run's plan.json and that of a decoding, its run.json and those of models share names
SHAPES: dict[str, Shape] = {
    "plan.json": {
        "name": str,
        "models": [MODEL],
        "decode": dict,
        "langs": [str],
        "data": {"folder": str, "source_lang": str, "target_lang": str, "form": str, "corpus": TEXT},
        "config": {"student": {"hypotheses": (WORDS, None), "methods": METHODS}},
    },
    "run.json": {
        "calls": [dict],
        "parameters": COUNT,
        "seed": int,
        "data": HASHES,
        "versions": HASHES,
        "wall_seconds": COST,  # not known of a model that was trained elsewhere
        "cpu_seconds": COST,
        "gpu_hours": COST,
        "peak_memory_mb": COST,
        "peak_gpu_memory_mb": COST,
        "words_per_second": COST,
        "updates_per_second": COST,
        "attempts": [ATTEMPT],
    },
    "metrics.json": {
        "bleu": SCORE,
        "chrf": SCORE,
        "bleu_tokenised_lowercased": SCORE,
        "sentences": int,
        "hyp_sha256": TEXT,
        "ref_sha256": TEXT,
        "commit": TEXT,
        "decode": (dict, None),
    },
    "curve.json": [{"*": ANY_NUMBER}],
    "decode.json": {"command": WORDS, "words_per_second": COST, "engine": TEXT, "compute_type": TEXT},
    "inputs.json": HASHES,
    "prep.json": {"corpus": TEXT, "form": str, "source_lang": str, "target_lang": str, "settings": dict},
    "dropped.json": {"*": int},
    "export.json": {"quantization": TEXT, "parameters": COUNT},
    "significance.json": {"results": {"*": dict}, "without_text": WORDS, "settings": dict, "spread": dict},
    "*_vocabulary.json": [str],
}
NAMES: dict[Shape, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    None: "null",
}


class Record(JsonObject):
    """A JSON object of a file."""

    __slots__ = ("file",)
    file: str

    def __missing__(self, key: str) -> NoReturn:
        raise LskdError(f"{getattr(self, 'file', 'a record')} lacks '{key}': {AGAIN}")


def load(file: Path, kind: type[T]) -> T:
    """What the JSON file holds; `LskdError` unless it is a `kind` and has the shape that `SHAPES` gives to its name."""
    require_file(file, "run the step that makes it, or give another run folder")
    with reading(file, "JSON", "remove it and run again"):
        content = json.loads(file.read_text(encoding="utf-8"), object_hook=lambda found: of(file, found))
    if not isinstance(content, kind):
        raise LskdError(f"{file} holds no JSON {kind.__name__}: remove it and run again")
    for pattern, shape in SHAPES.items():
        if fnmatchcase(file.name, pattern):
            with reading(file, "record", "remove it and run again"):  # nested too deeply
                where = misfit(content, shape, "")
            require(where is None, f"{file}: {where}: {AGAIN}")
    return content


def of(file: Path, found: JsonObject) -> Record:
    """The object, which names `file` when it is asked for a key that it lacks."""
    record = Record(found)
    record.file = str(file)
    return record


def misfit(value: object, shape: Shape, name: str) -> str | None:
    """One line about the first value that is not as its shape says, with its dotted name; None if all are."""
    if isinstance(shape, tuple):
        return None if any(misfit(value, each, name) is None for each in shape) else worst(value, shape, name)
    if isinstance(shape, dict) and isinstance(value, dict):
        parts = ((key, each, shape.get(key, shape.get("*"))) for key, each in value.items())
        found = (misfit(each, wish, f"{name}.{key}") for key, each, wish in parts if wish is not None)
        return next((each for each in found if each is not None), None)
    if isinstance(shape, list) and isinstance(value, list):
        found = (misfit(each, shape[0], f"{name}[{number}]") for number, each in enumerate(value))
        return next((each for each in found if each is not None), None)
    if isinstance(shape, str):
        good = (
            isinstance(value, int | float) and not isinstance(value, bool) and (shape == ANY_NUMBER or is_finite(value))
        )
    elif isinstance(shape, re.Pattern):
        good = isinstance(value, str) and shape.fullmatch(value) is not None
    elif shape is int:
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = value is None if shape is None else isinstance(shape, type) and isinstance(value, shape)
    if good:
        return None
    shown = one_line(json.dumps(value, ensure_ascii=False), SHOWN)
    return f"{name.removeprefix('.') or 'it'} is {shown}, where {named(shape)} is meant"


def worst(value: object, shapes: tuple[Shape, ...], name: str) -> str | None:
    """The misfit by the alternative of the value's own type (object or list), or else by the first alternative."""
    alike = [each for each in shapes if isinstance(value, type(each)) and isinstance(each, dict | list)]
    return misfit(value, alike[0], name) if alike else misfit(value, shapes[0], name)


def is_finite(value: float) -> bool:
    """Whether it is one that arithmetic takes; a whole number may be too large for that."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def named(shape: Shape) -> str:
    """A shape in words."""
    if isinstance(shape, str):
        return shape
    if isinstance(shape, re.Pattern):
        return "the name of a folder" if shape is NAME else shape.pattern.replace("|", " or ")
    return NAMES[shape if shape is None or isinstance(shape, type) else type(shape)]
