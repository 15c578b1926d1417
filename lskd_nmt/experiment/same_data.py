"""Whether a data folder holds what a run was made from, by the hashes that its models recorded."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.provenance import data_hashes

PREPARED = "prepared"  # of a plan: the hashes in its data folder's prep.json


def recorded(run: Path, names: Iterable[str]) -> dict[str, str]:
    """What models of a run read: hashes of binarised files by their names, and of the test set's reference."""
    found: dict[str, str] = {}
    for name in names:
        folder = run / "models" / name
        for record in ("run.json", "inputs.json"):
            content = read_json(folder / record) if (folder / record).is_file() else {}
            data = (
                content.get("data")
                if record == "run.json"
                else {key[5:]: value for key, value in content.items() if key.startswith("data ")}
            )
            found |= data if isinstance(data, dict) else {}
        scores = read_json(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
        if isinstance(scores.get("ref_sha256"), str):
            found["reference"] = scores["ref_sha256"]
    return found


def difference(plan: Mapping[str, Any], run: Path, names: Iterable[str], data: Path) -> str | None:
    """Why `data` is not what these models of a run were made from; None if all that they recorded is the same.

    A run that recorded no hash of a binarised file proves nothing.
    """
    known = recorded(run, names)
    reference = known.pop("reference", None)
    if not known:
        return "no hash of what it was made from was recorded"
    found = data_hashes(data)
    for name, digest in known.items():
        if found.get(name) != digest:
            return f"bin/{name} differs"
    language = plan["data"]["target_lang"]
    tests = {f"clean/test.{language}": reference} if reference else {}
    for name, digest in (tests | dict(plan.get(PREPARED) or {})).items():
        if name.startswith("clean/test.") and (not (data / name).is_file() or sha256(data / name) != digest):
            return f"{name} differs"
    return None


def relocated(plan: dict[str, Any], run: Path, names: Iterable[str], data: Path) -> dict[str, Any]:
    """A plan with its prepared data where they lie now; refused unless they are what its models were made from."""
    before = plan["data"]["folder"]
    other = difference(plan, run, names, data)
    require(
        other is None,
        f"{run} was made with data.dir = {before}, the config now says {data}, where "
        f"{other}: name the folder that it was made from, or give another --out",
    )

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return f"{data}/bin" if value == f"{before}/bin" else value

    plan = replaced(plan)
    plan["data"] |= {"folder": str(data)}
    plan["config"]["data"] |= {"dir": str(data)}
    return plan
