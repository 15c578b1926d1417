"""Experiment tracking by fairseq's own --tensorboard-logdir and --wandb-project: a run of its own for each model.

fairseq gives all trainings with one flag the same folder, and all of the pipeline's the same name in Weights & Biases
(`checkpoints`, the last part of --save-dir). So the folder gets the model's name, and the environment says the rest.
"""

import secrets
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment.records import Plan
from lskd_nmt.experiment.run_config import Flags, TrackConfig
from lskd_nmt.fairseq_io.flag_values import without
from lskd_nmt.storage.typed import read_record, record, write_record

TENSORBOARD, WANDB = "tensorboard-logdir", "wandb-project"  # flags of fairseq-train
PACKAGES = {TENSORBOARD: ("tensorboardX", "tensorboard"), WANDB: ("wandb",)}  # one of them; the first is ours to name
FILE = "tracking.json"  # of a model's folder


@record
class Tracked:
    """A model's tracking.json: the id of its run in Weights & Biases, which stays when a training is continued."""

    wandb: str


def flags_of(track: TrackConfig) -> Flags:
    """The flags of fairseq-train that `track` asks for."""
    wishes: Flags = {TENSORBOARD: track.tensorboard, WANDB: track.wandb}
    return {flag: value for flag, value in wishes.items() if value is not None}


def planned(plan: Plan) -> dict[str, str]:
    """What a run is tracked with: by `track`, or by flags of its trainings."""
    found = {flag: str(value) for flag, value in flags_of(plan.config.track).items()}
    for model in plan.models:
        found = asked(model.train_command) | found
    return found


def asked(words: Sequence[str]) -> dict[str, str]:
    """What a command tracks with: the values of both flags, as far as it has them; the last one counts."""
    found = {}
    for word, after in zip(words, [*words[1:], ""], strict=False):  # a model that is not trained has no words
        flag, given, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and flag in PACKAGES:
            found[flag] = value if given else after
    return found


def require_packages(flags: Mapping[str, object], needed: Mapping[str, Sequence[str]] = PACKAGES) -> None:
    """Refuse a wish to track that no installed package fulfils: fairseq itself would train on and only warn."""
    for flag in flags:
        names = needed[flag]
        is_there = any(find_spec(name) is not None for name in names)
        require(is_there, f"--{flag} needs {names[0]}, which is not installed: pip install {names[0]}")


def own(words: Sequence[str], run: Path, name: str) -> list[str]:
    """A training's command with a folder of its own for TensorBoard: DIR/MODEL, outside of the run DIR/RUN/MODEL."""
    place = asked(words).get(TENSORBOARD)
    if place is None:
        return list(words)
    return [*without(words, {TENSORBOARD}), f"--{TENSORBOARD}", str(folder(Path(place), run) / name)]


def folder(place: Path, run: Path) -> Path:
    """Where the models of a run are tracked, from the run folder on or absolute; outside there are those of others."""
    is_outside = place.is_absolute() and run.resolve() not in place.resolve().parents
    return place / run.resolve().name if is_outside else place


def environment(words: Sequence[str], run: Path, name: str) -> dict[str, str]:
    """What Weights & Biases reads in a training: which run it is, the same one if the training is continued."""
    if WANDB not in asked(words):
        return {}
    return {
        "WANDB_NAME": name,
        "WANDB_RUN_ID": wandb_id(run / "models" / name),
        "WANDB_RUN_GROUP": run.resolve().name,
        "WANDB_RESUME": "allow",
    }


def wandb_id(model_folder: Path) -> str:
    """The id of a model's run, drawn once."""
    file = model_folder / FILE
    if not file.is_file():
        write_record(file, Tracked(secrets.token_hex(4)))
    return read_record(file, Tracked).wandb
