"""Whether a data folder holds what a run was made from, by the hashes that its models recorded."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment.input_hashes import recorded_data
from lskd_nmt.experiment.records import Command, Plan
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.provenance import data_hashes


def recorded(run: Path, names: Iterable[str]) -> dict[str, str]:
    """What models of a run read: hashes of binarised files by their names, and of the test set's reference."""
    found: dict[str, str] = {}
    for name in names:
        folder = run / "models" / name
        found |= recorded_data(folder)
        scores = read_json(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
        if isinstance(scores.get("ref_sha256"), str):
            found["reference"] = scores["ref_sha256"]
    return found


def difference(plan: Plan, run: Path, names: Iterable[str], data: Path) -> str | None:
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
    tests = {f"clean/test.{plan.data.target_lang}": reference} if reference else {}
    for name, digest in (tests | (plan.prepared or {})).items():
        if name.startswith("clean/test.") and (not (data / name).is_file() or sha256(data / name) != digest):
            return f"{name} differs"
    return None


def relocated(plan: Plan, run: Path, names: Iterable[str], data: Path) -> Plan:
    """A plan with its prepared data where they lie now; refused unless they are what its models were made from."""
    before = plan.data.folder
    other = difference(plan, run, names, data)
    require(
        other is None,
        f"{run} was made with data.dir = {before}, the config now says {data}, where "
        f"{other}: name the folder that it was made from, or give another --out",
    )

    def moved(command: Command) -> Command:
        return tuple(f"{data}/bin" if word == f"{before}/bin" else word for word in command)

    models = tuple(
        replace(
            model,
            train_command=moved(model.train_command),
            decode_command=moved(model.decode_command),
            store_command=moved(model.store_command),
            seqkd_commands=tuple(map(moved, model.seqkd_commands)),
        )
        for model in plan.models
    )
    config = replace(plan.config, data=replace(plan.config.data, dir=str(data)))
    return replace(plan, models=models, config=config, data=replace(plan.data, folder=str(data)))
