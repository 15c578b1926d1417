"""Everything that could change a row but its seed, its host and its commit: an expansion and a short hash of it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt.experiment.run import Run
from lskd_nmt.fairseq_io.flag_values import LOGGING
from lskd_nmt.storage.files import read_json

# of fairseq-train and lskd seqkd: where files are, what is shown, who computes, and what the cell says
IRRELEVANT = {
    "seed",
    "save-dir",
    "user-dir",
    "restore-file",
    "teacher-path",
    "teacher-data",
    "hypotheses",
    "kd-level",
    "tail",
    "top-k",
    "cpu",
    "num-workers",
    "log-format",
    "log-interval",
    "log-file",
    "tensorboard-logdir",
    "data",
    "out",
    "decoded",
    "workers",
    "device",
    "part",
    "shard-sentences",
} | LOGGING
VERSIONS = ("torch", "fairseq-fixed", "sacrebleu")


def flags(command: Sequence[str]) -> dict[str, str]:
    """The flags of a command that could change what it makes; of a teacher store, its name."""
    found: dict[str, list[str]] = {}
    name = None
    for word in command:
        if word.startswith("--"):
            name = word.removeprefix("--")
            found[name] = []
        elif name is not None:
            found[name].append(word)
    if "teacher-store" in found:
        found["teacher-store"] = [Path(each).name for each in found["teacher-store"]]
    return {name: " ".join(values) for name, values in sorted(found.items()) if name not in IRRELEVANT}


def expansion(run: Run, model: Mapping[str, Any]) -> dict[str, Any]:
    """What the signature of a trained and scored model says; a teacher stands in it as its own signature."""
    folder = run.model_folder(model["name"])
    metrics, training = read_json(folder / "metrics.json"), read_json(folder / "run.json")
    attempts = training.get("attempts") or [{"command": model.get("train_command", [])}]
    versions = training.get("versions", {})
    scores = {
        name: f"{value['signature']} (text {value['text']})"
        for name, value in metrics.items()
        if isinstance(value, Mapping) and "signature" in value
    }
    return {
        "train": flags(attempts[-1]["command"]),
        "average": model.get("average"),
        "data": training.get("data"),
        "teacher": teacher(run, model),
        "hypotheses": hypotheses(run, model),
        "decode": metrics.get("decode"),
        "metrics": scores,
        "reference": metrics.get("ref_sha256"),
        "versions": {name: versions[name] for name in VERSIONS if name in versions},
    }


def teacher(run: Run, model: Mapping[str, Any]) -> str | None:
    """The signature of the model's teacher, where that is of this run and scored."""
    for other in run.models:
        if other["name"] == model.get("teacher") and (run.model_folder(other["name"]) / "metrics.json").is_file():
            return short(expansion(run, other))
    return None


def hypotheses(run: Run, model: Mapping[str, Any]) -> list[dict[str, str]] | None:
    """How the translations that the model learns were decoded and chosen."""
    if not model.get("hypotheses"):
        return None
    commands = [
        command
        for other in run.models
        if other["name"] == model["teacher"]
        for command in other.get("seqkd_commands", [])
    ]
    settings = [flags(command) for command in commands]
    return [found for found in settings if found.get("method") in (None, model["hypotheses"])]


def short(content: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of the expansion's hash."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of nested mappings with its dotted key."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, content


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The keys in which two expansions differ, with both values where they are short."""
    one, other = dict(leaves(first)), dict(leaves(second))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return [f"{name} ({text(one.get(name))} or {text(other.get(name))})" for name in names]


def text(value: Any) -> str:
    """A value in a line: hashes by their first digits."""
    shown = "none" if value is None else str(value) or "set"
    return shown[:8] if re.fullmatch(r"[0-9a-f]{64}", shown) else shown[:40]
