"""Hashes of what a training reads, kept from its start: with other inputs it starts anew instead of continuing."""

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment import history, tracking
from lskd_nmt.experiment.records import PlannedModel, RunRecord
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import sha256, write_json
from lskd_nmt.storage.provenance import data_hashes
from lskd_nmt.storage.typed import read_record

FILE = "inputs.json"
Hashes = dict[str, str]
# the flags that name what a training reads of its teacher, and which file of it is written last, with all hashes
LAST_WRITTEN = {"--teacher-path": "", "--teacher-store": "store.json", "--hypotheses": "hypotheses.json"}
LAST_WRITTEN |= {"--checkpoint": ""}  # of the command that makes a student's start
# what is made of a trained model: of no worth once it is trained anew
DERIVED_FILES = (
    "train.log",
    "curve.json",
    "model.pt",
    "store",
    "hypotheses",
    "generate.log",
    "decode.json",
    "ctranslate2.part",
    "test.hyp",
    "statistics",
    "metrics.json",
    "sets",
)


def inputs(run: Run, model: PlannedModel) -> Hashes:
    """Hashes of the binarised data and of what is read of the teacher, by file or flag."""
    words = (*model.train_command, *(model.init_command or ()))
    found = {f"data {name}": digest for name, digest in data_hashes(run.data).items()}
    for flag, value in pairwise(words):
        file = run.folder / value / LAST_WRITTEN.get(flag, "")
        if flag in LAST_WRITTEN and file.is_file():
            found[flag] = sha256(file)
    return found


def recorded_data(folder: Path) -> Hashes:
    """The hashes of the binarised files that a model was trained on, as its folder has them; by the files' names."""
    record = read_record(folder / "run.json", RunRecord) if (folder / "run.json").is_file() else RunRecord()
    inputs = read_record(folder / FILE, Hashes) if (folder / FILE).is_file() else {}
    return record.data | {key[5:]: value for key, value in inputs.items() if key.startswith("data ")}


def begin(run: Run, model: PlannedModel, show: Callable[[str], None]) -> None:
    """Make the model's folder ready: a training of the same inputs continues, any other starts from the beginning."""
    folder, now = run.model_folder(model.name), inputs(run, model)
    checkpoints = folder / "checkpoints"
    require(
        any(key.startswith("data ") for key in now),
        f"{run.data}/bin holds no binarised data: prepare them first, or name their place as data.dir",
    )
    before = read_record(folder / FILE, Hashes) if (folder / FILE).is_file() else now  # trainings of before have none
    changed = ", ".join(sorted(key for key in {**before, **now} if before.get(key) != now.get(key)))
    if changed and checkpoints.is_dir():
        show(f"other inputs than at its beginning ({changed}): starts anew")
        for file in checkpoints.glob("checkpoint*.pt*"):  # nobody else's
            file.unlink()
        (folder / tracking.FILE).unlink(missing_ok=True)  # another training is another run
    if not (checkpoints / "checkpoint_last.pt").is_file():
        forget(folder)
        history.forget_costs(folder)
    write_json(folder / FILE, now)


def forget(folder: Path) -> None:
    """Remove what an earlier training of the model left."""
    for name in DERIVED_FILES:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
