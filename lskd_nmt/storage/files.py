"""What a run folder holds: JSON written whole or not at all, hashes, and the facts that make a number traceable."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

from lskd_nmt.errors import LskdError, require_file, writing
from lskd_nmt.storage.records import JsonList, JsonObject, load


def read_json(file: Path) -> JsonObject:
    """The JSON object in `file`; what has a record is read with `typed.read_record` instead."""
    return load(file, dict)


def read_list(file: Path) -> JsonList:
    """The JSON list in `file`."""
    return load(file, list)


def write_text(file: Path, text: str) -> None:
    """Write `file` whole or not at all."""
    write_bytes(file, text.encode("utf-8"))


def write_bytes(file: Path, content: bytes) -> None:
    """Write `file` whole or not at all."""
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.part")  # several may write the same file
    with writing(file):
        try:
            part.write_bytes(content)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def write_json(file: Path, content: object) -> None:
    """Write `content` as readable JSON, whole or not at all."""
    write_text(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def sha256(file: Path) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_of_hashes(hashes: Sequence[str]) -> str:
    """One hash for several files: that of their hashes, a line each; of a single file its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def read_lines(file: Path) -> list[str]:
    """The lines of a text file, without their ends; only line feeds end a line."""
    require_file(file, "run the step that makes it first")
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").split("\n") if file.stat().st_size else []
    except UnicodeDecodeError as error:
        raise LskdError(f"{file} is not UTF-8 (byte {error.start}): write it as UTF-8") from None
