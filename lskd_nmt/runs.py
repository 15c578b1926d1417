"""What a run folder holds: JSON written whole or not at all, hashes, and the facts that make a number traceable."""

import hashlib
import json
import os
import platform
import subprocess
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from lskd_nmt import __version__
from lskd_nmt.errors import LskdError, require, require_file, writing
from lskd_nmt.records import load

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fairseq-fixed", "torch", "ctranslate2", "sacrebleu", "sentencepiece", "sacremoses", "numpy", "pandas")


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in `file`."""
    return cast("dict[str, Any]", load(file, dict))


def read_list(file: Path) -> list[Any]:
    """The JSON list in `file`."""
    return list(load(file, list))


def write_text(file: Path, text: str) -> None:
    """Write `file` whole or not at all."""
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.part")  # several may write the same file
    with writing(file):
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def write_json(file: Path, content: Any) -> None:
    """Write `content` as readable JSON, whole or not at all."""
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def sha256(file: Path) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_lines(file: Path) -> list[str]:
    """The lines of a text file, without their ends; only line feeds end a line."""
    require_file(file, "run the step that makes it first")
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").split("\n") if file.stat().st_size else []
    except UnicodeDecodeError as error:
        raise LskdError(f"{file} is not UTF-8 (byte {error.start}): write it as UTF-8") from None


def commit() -> str | None:
    """The commit of this checkout, with `-dirty` where files differ from it; outside of git $LSKD_COMMIT or None."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("LSKD_COMMIT") or None


def versions() -> dict[str, str]:
    """Versions of this toolkit and of what it stands on, as installed."""
    found = {"lskd_nmt": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def host() -> dict[str, Any]:
    """What the machine is, without naming it."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": len(os.sched_getaffinity(0))}


def data_hashes(data: Path) -> dict[str, str]:
    """Hashes of what a training reads: dictionaries, and the binarised pairs of train and valid."""
    patterns = ("dict.*.txt", "train*.*.bin", "valid*.*.bin")
    files = [file for pattern in patterns for file in sorted((data / "bin").glob(pattern))]
    return {file.name: sha256(file) for file in files}


class Run:
    """A run folder and its plan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_json(folder / "plan.json")
        self.models: list[dict[str, Any]] = self.plan["models"]  # teachers first
        self.data = folder / str(self.plan["data"]["folder"])  # its own, or the absolute path that the config names

    def model(self, name: str) -> dict[str, Any]:
        """One model of the plan."""
        names = [model["name"] for model in self.models]
        require(name in names, f"{self.folder}/plan.json has no model '{name}': one of {', '.join(names)}")
        return self.models[names.index(name)]

    def model_folder(self, name: str) -> Path:
        """Where one model's files are."""
        return self.folder / "models" / name

    def text(self, split: str, side: str) -> Path:
        """The clean text of a split; `side` is `source` or `target`."""
        return self.data / "clean" / f"{split}.{self.plan['data'][f'{side}_lang']}"


def record_run(run: Path, command: str) -> None:
    """Append this call to RUN/run.json: what ran, from which commit, with which versions, on what."""
    file = run / "run.json"
    calls = read_json(file)["calls"] if file.is_file() else []
    calls.append({"command": command, "commit": commit(), "versions": versions(), "host": host()})
    write_json(file, {"calls": calls})
