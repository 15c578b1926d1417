"""Changed sources as the models of a run translate them: each is decoded once, kept, and found again.

RUN/robustness/MODEL/TASK.json has a model's translations of one task (a perturbation), with a hash of all that decides
them: sources, checkpoint, subwords and search. Of a further test set it is MODEL/sets/NAME/TASK.json, but for the tasks
of train, which all test sets share.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt.analysis.robustness.asked import BEGINNINGS, TRAINING
from lskd_nmt.data.given import MODEL
from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment.ctranslate2_decoding import only_one
from lskd_nmt.experiment.line_decoding import LineTranslator, opened, require_decodable
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import read_record, record, to_json, write_record

FOLDER = "robustness"  # in the run folder
CONVERTED = "ctranslate2.part"  # in the model's folder there, while it translates
Tasks = Mapping[str, Sequence[str]]  # sources by task


@record
class Translated:
    """A model's translations of the sources of a task; None of a source that it cannot take."""

    key: str
    engine: str
    translations: list[str | None]


@dataclass(frozen=True)
class Decoded:
    """A model's translations by task, or why there are none."""

    by_task: Mapping[str, Translated]
    why_not: str | None = None


@dataclass(frozen=True)
class Machine:
    """Where models translate: the device (auto, gpu or cpu) and how many batches at a time."""

    device: str = "auto"
    threads: int = 1


def decode_all(
    run: Run, models: Sequence[PlannedModel], tasks: Tasks, machine: Machine, show: Callable[[str], None]
) -> dict[str, Decoded]:
    """The translations of all tasks by every model, by its name; what an earlier call translated is not done again.

    Another process that does the same in this run is waited for.
    """
    progress = Progress(len(models) * sum(map(len, tasks.values())), "changed sentences", show, brief=False)
    with only_one(run.folder / FOLDER / ".lock"):
        return {model.name: decode(run, model, tasks, machine, progress, show) for model in models}


def decode(
    run: Run, model: PlannedModel, tasks: Tasks, machine: Machine, progress: Progress, show: Callable[[str], None]
) -> Decoded:
    """The translations of one model."""
    try:
        require_decodable(model)
        require(checkpoint(run, model).is_file(), f"{checkpoint(run, model)} is not there")
    except LskdError as error:
        progress.skip(sum(map(len, tasks.values())))
        return Decoded({}, str(error))
    keys = keys_of(run, model, tasks)
    found = kept(run, model, keys)
    missing = {task: lines for task, lines in tasks.items() if task not in found}
    progress.skip(sum(len(tasks[task]) for task in found))
    if not missing:
        return Decoded(found)
    converted = run.folder / FOLDER / model.name / CONVERTED
    with ExitStack() as stack:
        try:
            translator = stack.enter_context(opened(run, model, converted, machine.device, machine.threads, show))
        except LskdError as error:
            progress.skip(sum(map(len, missing.values())))
            return Decoded({}, str(error))
        for task, lines in missing.items():
            found[task] = Translated(keys[task], translator.engine, answers(translator, lines, progress))
            write_record(place(run, model, task), found[task])
    return Decoded(found)


def answers(translator: LineTranslator, lines: Sequence[str], progress: Progress) -> list[str | None]:
    """The translations of lines, of which equal ones are translated once."""
    distinct = list(dict.fromkeys(lines))
    found = dict(zip(distinct, translator.translate(distinct, progress.add), strict=True))
    progress.skip(len(lines) - len(distinct))
    return [found[line] for line in lines]


def kept(run: Run, model: PlannedModel, keys: Mapping[str, str]) -> dict[str, Translated]:
    """What is there of these tasks, and of these sources and this model."""
    files = {task: place(run, model, task) for task in keys}
    found = {task: read_record(file, Translated) for task, file in files.items() if file.is_file()}
    return {task: each for task, each in found.items() if each.key == keys[task]}


def place(run: Run, model: PlannedModel, task: str) -> Path:
    """Where a model's translations of a task are kept."""
    folder = run.folder / FOLDER / model.name
    if run.test_set is not None and task not in (TRAINING, BEGINNINGS):
        folder = folder / "sets" / run.test_set
    file = folder / f"{task}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def checkpoint(run: Run, model: PlannedModel) -> Path:
    """A model's checkpoint."""
    return run.model_folder(model.name) / "model.pt"


def keys_of(run: Run, model: PlannedModel, tasks: Tasks) -> dict[str, str]:
    """By task a hash of all that decides a model's translations of its lines."""
    spm = run.data / "spm" / MODEL
    facts = {
        "model": sha256(checkpoint(run, model)),
        "subwords": sha256(spm) if spm.is_file() else None,
        "decode": to_json(run.plan.decode),
        "command": model.decode_command,
    }
    texts = {task: json.dumps({**facts, "lines": lines}, ensure_ascii=False) for task, lines in tasks.items()}
    return {task: hashlib.sha256(text.encode()).hexdigest() for task, text in texts.items()}
