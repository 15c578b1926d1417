"""Models that a run does not train: teachers that are there already, and trainings made outside of it."""

import shutil
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path, PurePath

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require, require_file
from lskd_nmt.experiment.choice_rules import TEACHER
from lskd_nmt.experiment.records import GIVEN, Command, Given, Plan, PlannedModel, RunRecord, write_curve
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.shared_teachers import checkpoint_of
from lskd_nmt.fairseq_io.types import CheckpointState
from lskd_nmt.storage.files import read_lines, sha256
from lskd_nmt.storage.provenance import data_hashes
from lskd_nmt.storage.typed import Json, read_record, write_record

SPECIAL = 4  # symbols that fairseq's dictionaries hold beside those of the file
FOLDERS = {"hf": "config.json", "ct2": "model.bin"}  # what a folder with such a model holds


def place_of(model: PlannedModel) -> Path:
    """Where a model that is there already lies; of a name in a hub, the name."""
    return Path(str(model.origin).partition(":")[2])


def require_symbols(state: CheckpointState, run: Run, checkpoint: Path) -> None:
    """Refuse a checkpoint with more or fewer symbols than the data's dictionaries: it reads other text."""
    for side, lang in zip(("encoder", "decoder"), run.plan.data.langs, strict=True):
        weight, file = state["model"].get(f"{side}.embed_tokens.weight"), run.data / "bin" / f"dict.{lang}.txt"
        if weight is None or not file.is_file():
            continue
        own, symbols = int(weight.shape[0]), len(read_lines(file)) + SPECIAL
        way = "prepare the data with its dictionary (data-prep/prepare.sh --dictionary)"
        require(
            own == symbols, f"{checkpoint} has {own:,} symbols, and {file} with the special ones {symbols:,}: {way}"
        )


def require_there(plan: Plan, run: Path) -> None:
    """Refuse a plan whose teacher is not where the YAML says; translations may come once the data are prepared."""
    text = plan.config.seqkd.monolingual
    for name in (*text.files, *(text.translations or ())) if text is not None else ():
        require(Path(name).is_file(), f"seqkd.monolingual names {name}, which is no file: give text, a sentence a line")
    require_scorers(plan, run)
    for model in plan.models:
        folder, place = run / "models" / model.name, place_of(model)
        if model.origin is None or (folder / model.published).is_file():
            continue
        named = f"teacher.from is {model.kind}:{place}"
        if model.kind in FOLDERS and place.is_absolute():
            require(place.is_dir(), f"{named}, which is no folder: give the folder of a model")
            held = FOLDERS[model.kind]
            require((place / held).is_file(), f"{named}, and the folder has no {held}: give the folder of a model")
        source = run / plan.data.folder / "clean" / f"train.{plan.data.source_lang}"
        if model.kind == "fairseq" or (model.kind == "translations" and source.is_file()):
            way = (
                f"give a translation of each line of {source}" if model.kind == "translations" else "give a checkpoint"
            )
            require(place.is_file(), f"{named}, which is no file: {way}")


def require_scorers(plan: Plan, run: Path) -> None:
    """Refuse a plan whose models of seqkd.reverse and seqkd.forward are not there, unless all was chosen by them."""
    choices = [Path(word) for model in plan.models for command in model.seqkd_commands for word in outs(command)]
    if all((run / choice / "hypotheses.json").is_file() for choice in choices):
        return
    for key in ("reverse", "forward"):
        named = getattr(plan.config.seqkd, key)
        place = None if named == TEACHER else checkpoint_of(f"seqkd.{key}", named)
        require(
            place is None or Path(place).is_file(),
            f"seqkd.{key} is {named}, which is not there: give a checkpoint, or a run folder with one teacher",
        )


def outs(command: Command) -> Iterator[str]:
    """Where a command of `lskd seqkd select` writes; nothing of others."""
    if "select" in command:
        yield from (word for flag, word in pairwise(command) if flag == "--out")


def take(run: Run, model: PlannedModel) -> None:
    """Publish a model that is there already: a copy of a checkpoint with what it says of itself, or a record of it."""
    folder, place = run.model_folder(model.name), place_of(model)
    if model.published == GIVEN:
        record_nothing(run, model.name)
        digest = None
        if model.kind == "translations":
            require_file(place, f"translate {run.data}/clean/train.{run.plan.data.source_lang}, line by line")
            digest = sha256(place)
        prompt = run.plan.config.teacher.prompt
        if prompt is not None:
            require_file(Path(prompt), "give a text file with {source} where the source is to stand as teacher.prompt")
            digest = sha256(Path(prompt))
        write_record(folder / GIVEN, Given(model.kind, place.name if place.is_absolute() else str(place), digest))
        return
    take_checkpoint(run, model.name, model.kind, place)


def take_checkpoint(run: Run, name: str, kind: str, checkpoint: Path) -> None:
    """Publish a copy of a checkpoint as a model of the run; refused where its languages are others than the run's."""
    own = run.plan.config.teacher.data
    if own is not None and kind == "fairseq":
        require_dictionaries(Path(own), run)
    state = fairseq_io.read_checkpoint(str(checkpoint), f"{name}:", built=False)
    require_languages(fairseq_io.section(state, "task"), run.plan.data.langs, checkpoint)
    require_symbols(state, run, checkpoint)
    says, parameters = training_of(state), fairseq_io.parameter_count(state)
    folder = run.model_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "model.pt.part"
    try:
        shutil.copyfile(checkpoint, part)
        write_record(folder / GIVEN, Given(kind, checkpoint.name, sha256(part), says))
        record_nothing(run, name, parameters)
        part.replace(folder / "model.pt")
    finally:
        part.unlink(missing_ok=True)


def record_nothing(run: Run, name: str, parameters: int | None = None) -> None:
    """The records of a training that is not known: no cost, and no curve."""
    folder = run.model_folder(name)
    is_teacher = run.plan.config.teacher.origin is not None and name == f"teacher-{run.plan.config.teacher.kind}"
    hashes = data_hashes(run.data) if is_teacher else {}  # what it is asked about; of others the data are not known
    write_record(folder / "run.json", RunRecord(name, parameters=parameters, data=hashes))
    write_curve(folder / "curve.json", [])


def require_languages(task: Mapping[str, object], langs: tuple[str, str], checkpoint: Path) -> None:
    """Refuse a checkpoint of another direction; one that names no languages is taken."""
    theirs = task.get("source_lang"), task.get("target_lang")
    known = all(isinstance(lang, str) and lang for lang in theirs)
    require(
        not known or theirs == langs,
        f"{checkpoint} translates from {theirs[0]} to {theirs[1]}, and the data are {langs[0]}-{langs[1]}: "
        "give a model of this direction",
    )


def require_dictionaries(folder: Path, run: Run) -> None:
    """Refuse a teacher whose dictionaries are others than the data's: it would translate other symbols."""
    for lang in run.plan.data.langs:
        files = [place / f"dict.{lang}.txt" for place in (folder, run.data / "bin")]
        for file in files:
            require_file(file, "name the folder of fairseq-preprocess with the teacher's dictionaries as teacher.data")
        theirs, ours = ([line.rsplit(" ", 1)[0] for line in read_lines(file)] for file in files)
        way = "prepare the data with the teacher's (data-prep/prepare.sh --dictionary)"
        require(theirs == ours, f"{files[0]} has other symbols than {files[1]}: {way}")


def training_of(state: Mapping[str, object]) -> dict[str, Json]:
    """What a checkpoint says of its training: architecture, criterion, label smoothing, updates, epoch and seed."""
    found: dict[str, object] = {}
    sections = {name: fairseq_io.section(state, name) for name in ("model", "criterion", "common", "dataset")}
    found["arch"] = sections["model"].get("arch") or sections["model"].get("_name")
    criterion = sections["criterion"]
    found["criterion"] = criterion.get("_name") or criterion.get("criterion")
    found["label_smoothing"] = criterion.get("label_smoothing")
    found["seed"] = sections["common"].get("seed")
    found["max_tokens"] = sections["dataset"].get("max_tokens")
    history, extra = state.get("optimizer_history"), state.get("extra_state")
    last = history[-1] if isinstance(history, list) and history else {}
    found["updates"] = last.get("num_updates") if isinstance(last, Mapping) else None
    iterator = extra.get("train_iterator") if isinstance(extra, Mapping) else None
    found["epoch"] = iterator.get("epoch") if isinstance(iterator, Mapping) else None
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def record_of(run: Run, model: PlannedModel) -> Given | None:
    """What is known of a model that the run did not train; None before it was taken, and for all others."""
    file = run.model_folder(model.name) / GIVEN
    return read_record(file, Given) if model.origin is not None and file.is_file() else None


def said(given: Given) -> str:
    """What a checkpoint says of its training, in a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.says.items()) or "nothing"


def described(model: PlannedModel) -> str:
    """A script of a model that the run does not train, for those who look for its command."""
    return f"#!/usr/bin/env bash\n# {model.name} is not trained here: it is {PurePath(str(model.origin)).name}\n"
