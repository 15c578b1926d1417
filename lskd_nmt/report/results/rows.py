"""A cell is what models have in common that differ in their seed: which one a model belongs to, and its names."""

from collections.abc import Mapping, Sequence
from typing import Any

# models that agree in these and in their signature differ in nothing but their seed
CELL = ("role", "label_smoothing", "kd_level", "hypotheses", "tail", "top_k", "kd_weight", "temperature", "method")


def key(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """The cell of a row, as a tuple."""
    return tuple(entry[name] for name in CELL)


def flag(command: Sequence[str], name: str) -> str | None:
    """The value of a command's flag, if it is there."""
    return command[command.index(name) + 1] if name in command else None


def facts(model: Mapping[str, Any]) -> dict[str, Any]:
    """The CELL of a model of a plan; older plans know no level, no tail, no top k and no method."""
    found = {name: model.get(name) for name in CELL}
    distilled = found["role"] == "student" and found["label_smoothing"] is not None
    words = distilled and found["temperature"] is not None
    command = model.get("train_command", [])
    found["kd_level"] = (found["kd_level"] or "word") if distilled else None
    found["tail"] = (found["tail"] or flag(command, "--tail") or "dense") if words else None
    found["top_k"] = int(found["top_k"] or flag(command, "--top-k") or 0) if words else None
    return found


def label(entry: Mapping[str, Any]) -> str:
    """What a row is, for people: `teacher`, `student without KD`, `student`."""
    plain = entry["role"] == "student" and entry["label_smoothing"] is None  # that of its teacher
    return "student without KD" if plain and not method(entry) else str(entry["role"])


def rank(entry: Mapping[str, Any]) -> tuple[bool, bool]:
    """Teachers, students without KD, then all others."""
    return entry["role"] != "teacher", label(entry) == "student"


def method(entry: Mapping[str, Any]) -> str | None:
    """The method of a student that has one."""
    return entry.get("method")


def title(entry: Mapping[str, Any]) -> str:
    """What a row is called: its method, else its label."""
    return method(entry) or label(entry)


def level(entry: Mapping[str, Any]) -> str:
    """What a student learns of its teacher: `word`, `sequence (beam)`, `both (interpolate)`; – for others."""
    if entry["kd_level"] is None:
        return "–"
    return f"{entry['kd_level']} ({entry['hypotheses']})" if entry["hypotheses"] else str(entry["kd_level"])


def tail(entry: Mapping[str, Any]) -> str:
    """What becomes of the teacher's less probable symbols: `dense`, `bucket, top 8`; – where no words are distilled."""
    if entry["tail"] is None:
        return "–"
    return f"{entry['tail']}, top {entry['top_k']}" if entry["top_k"] else str(entry["tail"])


def group(entry: Mapping[str, Any]) -> str:
    """All of a distilled student but its teacher's label smoothing and its temperature, or its method."""
    if method(entry):
        return f"method {method(entry)}"
    return ", ".join(
        [
            f"level {level(entry)}",
            *([f"tail {tail(entry)}"] if entry["tail"] else []),
            f"KD weight {entry['kd_weight']:g}",
        ]
    )


def row_title(cell: Mapping[str, Any]) -> str:
    """One cell in a line; of one with a method that and its teacher say all."""
    text = title(cell)
    if cell["label_smoothing"] is not None:
        text += f", {'LS' if cell['role'] == 'teacher' else 'teacher LS'} {cell['label_smoothing']:g}"
    if cell["hypotheses"]:
        text += f", {level(cell)}"
    if cell["tail"] not in (None, "dense") and not method(cell):
        text += f", {tail(cell)}"
    text += f", T = {cell['temperature']:g}" if cell["temperature"] is not None and not method(cell) else ""
    return text + (f" [{', '.join(cell['named_runs'])}]" if cell["named_runs"] else "")
