"""Teachers of another run: found; for `teacher.run` compared with the plan, and linked instead of trained again."""

import shlex
from itertools import zip_longest
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment import same_data
from lskd_nmt.experiment.records import Plan, PlannedModel
from lskd_nmt.experiment.scripts import teacher_scripts
from lskd_nmt.experiment.teacher_commands import as_read
from lskd_nmt.fairseq_io.flag_values import LOGGING, without
from lskd_nmt.storage.files import write_text
from lskd_nmt.storage.typed import read_record


def shared_teachers(plan: Plan, run: Path) -> dict[str, Path]:
    """The folder of each teacher that is another run's, by name; refused if RUN has another one in its place."""
    other = plan.config.teacher.run
    if other is None:
        names = [model.name for model in plan.models if (run / "models" / model.name).is_symlink()]
        require(
            not names, f"{run} has {', '.join(names)} of another run: name that as teacher.run, or give another --out"
        )
        return {}
    found = {}
    for model in plan.models:
        if model.role == "teacher":
            place, folder = run / "models" / model.name, shared_teacher(other, model, plan, run)
            same = not place.exists() or place.resolve() == folder.resolve()
            require(same, f"{place} is not the one of teacher.run {other}: give another --out")
            found[model.name] = folder
    return found


def checkpoint_of(name: str, place: str | None) -> str | None:
    """The checkpoint that `name`, a flag or a key, means: a file, or a run folder's only teacher, which is finished."""
    if place is None or not Path(place).is_dir():
        return place
    file = Path(place) / "plan.json"
    require(file.is_file(), f"{name} is {place}, a folder without plan.json: give a checkpoint, or a run folder")
    teachers = [model.name for model in read_record(file, Plan).models if model.role == "teacher"]
    found = [Path(place) / "models" / teacher / "model.pt" for teacher in teachers]
    require(
        len(found) == 1,
        f"{name} is {place}, which has {len(found)} teachers: give the checkpoint of one, such as "
        f"{found[0] if found else f'{place}/models/NAME/model.pt'}",
    )
    require(found[0].is_file(), f"{name} is {place}, which has not finished {teachers[0]}: run it first")
    return str(found[0])


def link(place: Path, folder: Path) -> None:
    """Make `place` a link to `folder`; a link whose folder has moved is replaced."""
    if place.is_symlink() and not place.exists():
        place.unlink()
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder.resolve())


def shared_teacher(other: str, model: PlannedModel, plan: Plan, run: Path) -> Path:
    """The folder of a teacher in the run `other`, if that is trained as planned here."""
    name, theirs = model.name, read_record(Path(other) / "plan.json", Plan)
    found = {entry.name: entry for entry in theirs.models}
    require(name in found, f"teacher.run {other} has no {name}: one of {', '.join(found)}")
    folder: Path = Path(other) / "models" / name
    require((folder / "model.pt").is_file(), f"teacher.run {other} has not finished {name}: run it first")
    require_same_training(other, found[name], model)
    data = [(Path(base) / entry.data.folder).resolve() for base, entry in ((other, theirs), (run, plan))]
    same = data[0] == data[1] or same_data.difference(theirs, Path(other), [name], data[1]) is None
    require(same, f"teacher.run {other} has its data in {data[0]}, and data.dir is {data[1]}: name that")
    return folder


def require_same_training(other: str, theirs: PlannedModel, ours: PlannedModel) -> None:
    """Refuse a teacher of the run `other` that is not trained, and averaged, as it is planned here."""
    # without the data's folder
    then, now = (without(model.train_command[2:], LOGGING) for model in (theirs, ours))
    at = next((i for i, (old, new) in enumerate(zip_longest(then, now)) if old != new), 0)
    at -= not any(words[at:] and words[at].startswith("--") for words in (then, now))  # a value: with its flag
    before, after = (" ".join(words[at : at + 2]) or "no more" for words in (then, now))
    require(
        then == now,
        f"teacher.run {other} trained {ours.name} with {before}, the config now says {after}: change it back, or "
        "train another",
    )
    require(
        theirs.average == ours.average,
        f"teacher.run {other} has {ours.name} with average {theirs.average}, the config now "
        f"says {ours.average}: change it back, or train another",
    )


def share(folder: Path, model: PlannedModel) -> None:
    """Write the scripts of another run's teacher where it has none; refuse it if it has them with other settings.

    It may have more commands, such as choices among its translations that this run does not need.
    """

    def settings(text: str) -> list[list[str]]:
        lines = text.replace("\\\n", "").splitlines()
        commands = (shlex.split(line) for line in lines if not line.startswith(("cd ", "#")))
        return [without(as_read(tuple(words)), {"data"}) for words in commands]  # it is the same folder

    for script, text in teacher_scripts(model).items():
        file = folder / script
        if not file.is_file():
            write_text(file, text)
        theirs = settings(file.read_text(encoding="utf-8"))
        same = all(words in theirs for words in settings(text))
        require(same, f"{file} has other settings than the config: change it to these, or train another teacher")
