"""Trainings made outside of a run, and translations of its test set made elsewhere, as models of the run."""

import shutil
from dataclasses import replace
from pathlib import Path

from lskd_nmt.errors import require, require_file
from lskd_nmt.experiment import untrained
from lskd_nmt.experiment.config_values import word
from lskd_nmt.experiment.fairseq_commands import decode_command
from lskd_nmt.experiment.plan import write_scripts
from lskd_nmt.experiment.records import GIVEN, Given, PlannedModel, plan_json
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import read_lines, sha256, write_json
from lskd_nmt.storage.typed import read_record, write_record


def adopt(run: Run, name: str, checkpoint: Path | None, hypotheses: Path | None) -> PlannedModel:
    """Make a checkpoint, or translations of the test set, a model of the run's plan; nothing is decoded or scored yet.

    The same call again changes nothing; a name that the run has already is refused.
    """
    try:
        word(name)
    except ValueError as error:
        require(False, f"--name is '{name}', it must be {error}")
    require((checkpoint is None) != (hypotheses is None), "give --checkpoint or --hypotheses, one of them")
    file = (checkpoint or hypotheses or Path()).absolute()
    require_file(file, "give a checkpoint of fairseq-train, or a text with a translation of each test sentence")
    plan, folder = run.plan, run.model_folder(name)
    known = {model.name: model for model in plan.models}
    is_ours = (folder / GIVEN).is_file() and known.get(name, ADOPTED).kind.startswith(ADOPTED.kind)
    before = read_record(folder / GIVEN, Given).sha256 if is_ours else None
    taken = name in plan.config.methods or ((name in known or folder.exists()) and before != sha256(file))
    require(not taken, f"--name is {name}, which {run.folder} has already: give another name")
    kind = "adopted" if hypotheses is None else "adopted-text"
    model = PlannedModel(name, "student", 1, method=name, origin=f"{kind}:{file}")
    if hypotheses is None:
        model = replace(model, decode_command=decode_command(name, plan.decode, plan.data))
        if not (folder / "model.pt").is_file():
            untrained.take_checkpoint(run, name, kind, file)
    elif not (folder / "test.hyp").is_file():
        take_hypotheses(run, name, kind, file)
    write_scripts(folder, model)
    if name not in known:
        write_json(run.folder / "plan.json", plan_json(replace(plan, models=(*plan.models, model))))
    return model


ADOPTED = PlannedModel("", "student", 1, origin="adopted:")


def take_hypotheses(run: Run, name: str, kind: str, file: Path) -> None:
    """Publish translations of the test set as those of a model; refused unless there is one for each sentence."""
    lines, sentences = read_lines(file), len(read_lines(run.text("test", "source")))
    require(
        len(lines) == sentences,
        f"--hypotheses {file} has {len(lines):,} lines, and the test set {sentences:,} sentences: give one for each",
    )
    folder = run.model_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder / GIVEN, Given(kind, file.name, sha256(file)))
    untrained.record_nothing(run, name)
    part = folder / "test.hyp.part"
    shutil.copyfile(file, part)
    part.replace(folder / "test.hyp")
