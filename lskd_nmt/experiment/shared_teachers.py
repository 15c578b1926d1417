"""Teachers of another run: found, compared with the plan, and linked instead of trained again."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.experiment import same_data
from lskd_nmt.experiment.scripts import lesson_scripts
from lskd_nmt.fairseq_io.flag_values import LOGGING, without
from lskd_nmt.storage.files import read_json, write_text


def lenders(resolved: Mapping[str, Any], run: Path) -> dict[str, Path]:
    """The folder of each teacher that is another run's, by name; refused if RUN has another one in its place."""
    other = resolved["config"]["teacher"].get("run")
    if other is None:
        names = [model["name"] for model in resolved["models"] if (run / "models" / model["name"]).is_symlink()]
        require(
            not names, f"{run} has {', '.join(names)} of another run: name that as teacher.run, or give another --out"
        )
        return {}
    found = {}
    for model in resolved["models"]:
        if model["role"] == "teacher":
            place, folder = run / "models" / model["name"], lender(other, model, resolved, run)
            same = not place.exists() or place.resolve() == folder.resolve()
            require(same, f"{place} is not the one of teacher.run {other}: give another --out")
            found[model["name"]] = folder
    return found


def link(place: Path, folder: Path) -> None:
    """Let `folder` be seen at `place`; a link whose folder has moved is replaced."""
    if place.is_symlink() and not place.exists():
        place.unlink()
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder.resolve())


def lender(other: str, model: Mapping[str, Any], resolved: Mapping[str, Any], run: Path) -> Path:
    """The folder of a teacher in the run `other`, if that is trained as planned here."""
    name, theirs = model["name"], read_json(Path(other) / "plan.json")
    candidates = [entry for entry in theirs["models"] if entry["name"] == name]
    require(
        bool(candidates),
        f"teacher.run {other} has no {name}: one of {', '.join(entry['name'] for entry in theirs['models'])}",
    )
    folder: Path = Path(other) / "models" / name
    require((folder / "model.pt").is_file(), f"teacher.run {other} has not finished {name}: run it first")
    # without the data's folder
    theirs_now, ours = (without(entry["train_command"][2:], LOGGING) for entry in (candidates[0], model))
    at = next((i for i, (old, new) in enumerate(zip_longest(theirs_now, ours)) if old != new), 0)
    at -= not any(words[at:] and words[at].startswith("--") for words in (theirs_now, ours))  # a value: with its flag
    then, now = (" ".join(words[at : at + 2]) or "no more" for words in (theirs_now, ours))
    require(
        theirs_now == ours,
        f"teacher.run {other} trained {name} with {then}, the config now says {now}: change it back, or train another",
    )
    averages = [entry.get("average") for entry in (candidates[0], model)]
    require(
        averages[0] == averages[1],
        f"teacher.run {other} has {name} with average {averages[0]}, the config now "
        f"says {averages[1]}: change it back, or train another",
    )
    data = [(Path(base) / entry["data"]["folder"]).resolve() for base, entry in ((other, theirs), (run, resolved))]
    same = data[0] == data[1] or same_data.difference(theirs, Path(other), [name], data[1]) is None
    require(same, f"teacher.run {other} has its data in {data[0]}, and data.dir is {data[1]}: name that")
    return folder


def lend(folder: Path, model: Mapping[str, Any]) -> None:
    """Let the students of this run read what those of its own run do, or the first to want it say how it is made."""

    def settings(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith(("cd ", "  --data "))]  # the same folder

    for script, text in lesson_scripts(model).items():
        file = folder / script
        if not file.is_file():
            write_text(file, text)
        now = file.read_text(encoding="utf-8")
        same = settings(now) == settings(text)
        require(same, f"{file} has other settings than the config: change it to these, or train another teacher")
