"""Files made bad: each mutation takes the place of a valid file, drawn by a seed; what it did is its name."""

import copy
import hashlib
import io
import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Draw = random.Random
Mutation = Callable[[Path, Draw], None]
ODD: list[Any] = [
    None,
    -1,
    0,
    1e308,
    float("nan"),
    float("inf"),
    10**30,
    "x",
    "",
    "\x1b[31m\nx",
    True,
    [],
    {},
    [[]],
    {"a": 1},
    ["x"],
    1.5,
    "../../x",
    "a\0b",
]


def replaced(file: Path, content: bytes) -> None:
    """Give the file this content."""
    file.unlink(missing_ok=True)
    file.write_bytes(content)


def cut(file: Path, draw: Draw) -> None:
    content = file.read_bytes()
    replaced(file, content[: draw.choice([1, 7, len(content) // 2, max(len(content) - 3, 0)])])


def flip(file: Path, draw: Draw) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice([1, 3, 50])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    replaced(file, bytes(content))


def insert(file: Path, draw: Draw) -> None:
    content, part = file.read_bytes(), draw.choice([b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\n\n\n", b"\x1b[31m"])
    at = draw.choice([0, len(content) // 2, len(content)])
    replaced(file, content[:at] + part + content[at:])


def folder(file: Path, draw: Draw) -> None:
    file.unlink()
    file.mkdir()


def link(file: Path, target: object) -> None:
    file.unlink()
    file.symlink_to(str(target))


def fifo(file: Path, draw: Draw) -> None:
    file.unlink()
    os.mkfifo(file)


def filled(content: bytes) -> Mutation:
    return lambda file, draw: replaced(file, content)


ANY: dict[str, Mutation] = {
    "empty": filled(b""),
    "cut": cut,
    "flipped": flip,
    "inserted": insert,
    "random bytes": lambda file, draw: replaced(file, draw.randbytes(draw.choice([1, 100, 5000]))),
    "zeros": filled(bytes(1000)),
    "html": filled(b"<!doctype html><html><body>Sign in</body></html>\n"),
    "folder": folder,
    "dangling link": lambda file, draw: link(file, "nothing-there"),
    "link loop": lambda file, draw: link(file, file.name),
    "FIFO": fifo,
    "gone": lambda file, draw: file.unlink(),
    "device": lambda file, draw: link(file, "/dev/null"),
}


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested lists and objects."""
    found = [path]
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(items)[:40]:
        found += places(value, (*path, key))
    return found


def changed(content: Any, draw: Draw, remove: bool) -> Any:
    """The content without one of its parts, or with something odd there."""
    result = copy.deepcopy(content)
    by_depth: dict[int, list[tuple[Any, ...]]] = {}
    for path in places(result)[1:]:
        by_depth.setdefault(len(path), []).append(path)
    if not by_depth:
        return draw.choice(ODD)
    path = draw.choice(by_depth[draw.choice(sorted(by_depth))])
    inside = result
    for key in path[:-1]:
        inside = inside[key]
    if remove:
        del inside[path[-1]]
    else:
        inside[path[-1]] = draw.choice(ODD)
    return result


def as_json(file: Path, content: Any) -> None:
    replaced(file, json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def in_json(remove: bool) -> Mutation:
    return lambda file, draw: as_json(file, changed(json.loads(file.read_text()), draw, remove))


JSON = ANY | {
    "key removed": in_json(True),
    "value of another type": in_json(False),
    "another thing": lambda file, draw: as_json(file, draw.choice(ODD)),
    "nested": lambda file, draw: replaced(file, b"[" * 100_000),
}


def reseal(file: Path, content: Any) -> None:
    """As `teacher.header.digest` does, so that the header looks unedited."""
    if isinstance(content, dict):
        rest = {key: value for key, value in content.items() if key != "digest"}
        content = rest | {
            "digest": hashlib.sha256(
                json.dumps(rest, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
            ).hexdigest()
        }
    as_json(file, content)


def in_header(remove: bool) -> Mutation:
    return lambda file, draw: reseal(file, changed(json.loads(file.read_text()), draw, remove))


HEADER = JSON | {"key removed, sealed": in_header(True), "value of another type, sealed": in_header(False)}


def in_lines(change: Callable[[list[str], int, Draw], None]) -> Mutation:
    def mutate(file: Path, draw: Draw) -> None:
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        change(lines, draw.randrange(len(lines)), draw)
        replaced(file, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))

    return mutate


def setting(text: str) -> Mutation:
    def change(lines: list[str], at: int, draw: Draw) -> None:
        lines[at] = text

    return in_lines(change)


def dropped(lines: list[str], at: int, draw: Draw) -> None:
    del lines[at]


def twice(lines: list[str], at: int, draw: Draw) -> None:
    lines.insert(at, lines[at])


TEXT = ANY | {
    "line gone": in_lines(dropped),
    "line twice": in_lines(twice),
    "line empty": setting(""),
    "line of spaces": setting(" \t\u3000"),
    "line not UTF-8": setting("caf\udce9"),
    "line with NUL": setting("a\0b"),
    "line of 20,000 letters": setting("x" * 20_000),
    "line of many words": setting("a " * 3000),
    "line of separators": setting("a\u2028b\x85c\x0bd\x1ce"),
    "line of control characters": setting("\x1b[31m\x07"),
}
DICTIONARY = TEXT | {
    "no count": setting("word"),
    "count of letters": setting("word many"),
    "negative count": setting("word -3"),
    "count too large": setting(f"word {10**30}"),
    "of spaces": setting("   3"),
    "special": setting("<pad> 3"),
    "overwritten": setting("▁a 3 #fairseq:overwrite"),
}
ROWS = TEXT | {
    "row without hypotheses": setting('{"row": 0, "source": "x", "settings": "y"}'),
    "row of a list": setting("[1]"),
    "row of other types": setting('{"row": "x", "source": 3, "settings": null, "hyps": [[1, "y"]]}'),
    "row of NaN": setting('{"row": 0, "source": "x", "settings": "y", "hyps": [["a", NaN]]}'),
    "row of a short pair": setting('{"row": 0, "source": "x", "settings": "y", "hyps": [["a"]]}'),
    "row of infinity": setting('{"row": 1e400, "source": "x", "settings": "y", "hyps": []}'),
    "row nested": setting("[" * 20_000),
}
LOG = TEXT | {
    "odd hypothesis": setting("H-99999999999999999999\t-1\tx"),
    "no tab": setting("H-0"),
    "epoch of letters": setting('x | INFO | valid | {"epoch": "x", "valid_loss": "1"}'),
    "no epoch": setting('x | INFO | valid | {"valid_loss": "1"}'),
    "epoch NaN": setting('x | INFO | train | {"epoch": NaN, "train_loss": "1"}'),
    "a list": setting('x | INFO | train | {"epoch": [1]}'),
    "nested": setting("x | INFO | train | {" + '"a":{' * 20_000 + "}" * 20_001),
    "huge": setting('x | INFO | train | {"epoch": 1e999, "train_num_updates": 1e999}'),
}

YAMLS = {
    "list as key": "{[1]: 2}",
    "mapping as key": "{{a: 1}: 2}",
    "date": "name: 2020-01-01\n",
    "3,000 brackets": "a: " + "[" * 3000,
    "alias of itself": "&a [*a]",
    "tab": "a:\n\t- b\n",
    "twice": "a: 1\na: 2\n",
    "two documents": "---\na\n---\nb\n",
    "python object": "!!python/object/apply:os.system [id]",
    "number": "3\n",
    "text": "x\n",
    "null": "~\n",
    "bomb": "a: &a [1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"{y}: &{y} [{','.join([f'*{x}'] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)),
    "merge": "<<: 3\n",
    "binary": "a: !!binary x\n",
    "set": "? a\n? b\n",
    "control": "a: \x01\n",
}


def in_yaml(remove: bool) -> Mutation:
    import yaml

    def mutate(file: Path, draw: Draw) -> None:
        content = changed(yaml.safe_load(file.read_text()), draw, remove)
        replaced(file, yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))

    return mutate


YAML = ANY | {"key removed": in_yaml(True), "value of another type": in_yaml(False)}
YAML |= {name: filled(text.encode()) for name, text in YAMLS.items()}


def in_array(change: Callable[[np.ndarray, Draw], np.ndarray]) -> Mutation:
    """Change an array, and the hash of it that the header beside it has, as if it had been written so."""

    def mutate(file: Path, draw: Draw) -> None:
        np.save(stream := io.BytesIO(), change(np.load(file), draw))
        replaced(file, stream.getvalue())
        for header in file.parent.glob("*.json"):
            content = json.loads(header.read_text())
            content["arrays"][file.stem] = hashlib.sha256(stream.getvalue()).hexdigest()
            reseal(header, content)

    return mutate


ARRAY = ANY | {
    "rows gone, sealed": in_array(lambda array, draw: array[: len(array) // 2]),
    "another type, sealed": in_array(lambda array, draw: array.astype(draw.choice(["S3", "c8", "i1", "f8", "M8[s]"]))),
    "another shape, sealed": in_array(lambda array, draw: array.reshape(1, *array.shape)),
    "odd values, sealed": in_array(lambda array, draw: np.full_like(array, np.nan if array.dtype.kind == "f" else 250)),
    "no rows, sealed": in_array(lambda array, draw: array[:0]),
}


class Stranger:
    """An object that no safe reader makes."""


def in_checkpoint(change: Callable[[dict[str, Any], Draw], Any]) -> Mutation:
    import torch

    def mutate(file: Path, draw: Draw) -> None:
        state = torch.load(file, map_location="cpu", weights_only=True)
        file.unlink()
        torch.save(change(state, draw), file)

    return mutate


def other_settings(state: dict[str, Any], draw: Draw) -> dict[str, Any]:
    section = draw.choice(["model", "task", "criterion"])
    part = vars(state["cfg"][section]) if hasattr(state["cfg"][section], "__dict__") else state["cfg"][section]
    part = state["cfg"][section] if isinstance(state["cfg"][section], dict) else part
    key = draw.choice(sorted(map(str, part)))
    if draw.random() < 0.3:
        part.pop(key, None)
    else:
        part[key] = draw.choice(ODD)
    return state


def without(state: dict[str, Any], draw: Draw) -> dict[str, Any]:
    del state[draw.choice(sorted(state))]
    return state


def odd_part(state: dict[str, Any], draw: Draw) -> dict[str, Any]:
    state[draw.choice(sorted(state))] = draw.choice(ODD)
    return state


def odd_tensor(state: dict[str, Any], draw: Draw) -> dict[str, Any]:
    import torch

    name = draw.choice(sorted(state["model"]))
    tensor = state["model"][name]
    state["model"][name] = draw.choice(
        [
            None,
            "x",
            tensor.new_zeros(3),
            tensor.to(torch.int8),
            tensor.to_sparse(),
            torch.full_like(tensor, torch.nan),
            tensor.to(torch.complex64),
        ]
    )
    return state


def other_arch(state: dict[str, Any], draw: Draw) -> dict[str, Any]:
    name = draw.choice(["fconv", "none", "lstm", "transformer_align", "", "../x", "levenshtein_transformer"])
    model = state["cfg"]["model"]
    if isinstance(model, dict):
        model |= {"arch": name, "_name": name}
    else:
        vars(model).update(arch=name, _name=name)
    return state


def missing_section(state: dict[str, Any], draw: Draw) -> dict[str, Any]:
    del state["cfg"][draw.choice(["model", "task", "criterion"])]
    return state


CHECKPOINT = ANY | {
    "key removed": in_checkpoint(without),
    "value of another type": in_checkpoint(odd_part),
    "section removed": in_checkpoint(missing_section),
    "setting odd": in_checkpoint(other_settings),
    "tensor odd": in_checkpoint(odd_tensor),
    "arch odd": in_checkpoint(other_arch),
    "object inside": in_checkpoint(lambda state, draw: state | {"x": Stranger()}),
    "only an object": in_checkpoint(lambda state, draw: draw.choice([Stranger(), [], 3, None, state["model"]])),
    "plain pickle": lambda file, draw: replaced(file, pickle.dumps({"model": {}, "cfg": {"a": 1}})),
}
KINDS = {
    "any": ANY,
    "json": JSON,
    "header": HEADER,
    "text": TEXT,
    "dictionary": DICTIONARY,
    "rows": ROWS,
    "log": LOG,
    "yaml": YAML,
    "array": ARRAY,
    "checkpoint": CHECKPOINT,
}
NUMBERS = [
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e30",
    "1e-30",
    "99999999999999999999",
    "1.5",
    "x",
    "",
    "1,,2",
    "1,1",
    "\u0661",
    "2\n3",
]
