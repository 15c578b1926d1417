"""Folders that `lskd export --to ctranslate2` makes: sealed by the hashes of their files, and proved when opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.header import digest

PROOF = "export.json"
MODEL, SUBWORDS = "model.bin", "spm.model"
HASHES = "sha256"
AGAIN = "export it again with lskd export"


def seal(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with the hash of every file of the folder, and a digest of them all: what `PROOF` holds."""
    files = sorted(file for file in folder.iterdir() if file.name != PROOF)
    content = {**facts, HASHES: {file.name: sha256(file) for file in files}}
    return {**content, "digest": digest(content)}


def open_folder(folder: Path) -> dict[str, Any]:
    """What `PROOF` says of a folder whose files are those that were exported; nothing where there is none.

    A folder without hashes, as older versions made them, passes: see `is_sealed`.
    """
    require((folder / MODEL).is_file(), f"{folder} has no {MODEL}: give a folder of lskd export --to ctranslate2")
    proof = folder / PROOF
    if not proof.exists():
        return {}
    require(proof.is_file(), f"{proof} is no file: {AGAIN}")
    try:
        facts = read_json(proof)
    except (LskdError, OSError) as error:
        raise LskdError(f"{proof} cannot be read ({str(error).split(': ')[0]}): {AGAIN}") from None
    if "digest" not in facts and HASHES not in facts:
        return facts
    hashes = facts.get(HASHES)
    if facts.get("digest") != digest(facts) or not isinstance(hashes, dict):
        raise LskdError(f"{proof} was edited or damaged: {AGAIN}")
    for name, wanted in hashes.items():
        file = folder / name
        require(file.is_file(), f"{folder} has no {name}, which was exported with it: copy it again, or {AGAIN}")
        kinds = "damaged, edited, or another model's"
        require(
            sha256(file) == wanted, f"{file} is not the file that was exported ({kinds}): copy it again, or {AGAIN}"
        )
    added = sorted(file.name for file in folder.glob("*vocabulary*") if file.name not in hashes)
    require(not added, f"{folder} holds {', '.join(added)}, which was not exported with it: remove it, or {AGAIN}")
    return facts


def is_sealed(facts: Mapping[str, Any]) -> bool:
    """Whether the files of a folder with these facts were proved."""
    return HASHES in facts
