"""A run folder for trial runs only: the plan's own commands for a few updates, with untrained teachers."""

import json
import os
import signal as signals
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lskd_nmt.cost import data_sample
from lskd_nmt.cost.kinds import flags, signal, with_flags
from lskd_nmt.cost.records import Speed
from lskd_nmt.cost.speed import speed
from lskd_nmt.errors import require
from lskd_nmt.experiment import tracking
from lskd_nmt.experiment.choices import learned
from lskd_nmt.experiment.records import PlannedModel, plan_json
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_command import watch
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import read_lines, write_json
from lskd_nmt.storage.provenance import INSTALLED

FOLDER = "forecast.part"
WHAT = "lskd forecast"
SAMPLE = "sample/bin"
STORES = ("hypotheses", "teacher-store")  # flags of fairseq-train


@dataclass(frozen=True)
class Machine:
    """Where and how the trainings will run."""

    flags: tuple[str, ...] = ()  # of fairseq-train: --cpu, --fp16
    environment: tuple[str, ...] = ()  # NAME=value
    updates: int = 30


class TrialRuns:
    """Trains models of `run` for a few updates, in a folder inside it that is removed at the end."""

    def __init__(self, run: Run, machine: Machine, show: Callable[[str], None]) -> None:
        self.run, self.machine, self.show = run, machine, show
        self.folder = run.folder / FOLDER
        self.bin = run.data / "bin"
        self.langs, planned_folder = run.plan.data.langs, run.plan.data.folder
        self.planned_bin = f"{planned_folder}/bin"
        self.words = {split: data_sample.words_of(self.bin, self.langs, split) for split in ("train", "valid")}
        self.share = 0.0  # of the sample, once it is there
        self.stores_mb: dict[tuple[str, str], float] = {}  # by model and flag: each store's size on the whole data

    def __enter__(self) -> "TrialRuns":
        self.remove()
        folders.mark(self.folder, WHAT)
        data = self.run.plan.data.folder
        if not Path(data).is_absolute():
            (self.folder / data).symlink_to(self.run.data.absolute())
        return self

    def __exit__(self, *problem: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder, also one that was left by a killed forecast; one of the user's is refused."""
        folders.remove_own(self.folder, WHAT, ("plan.json", "probe.log"))

    def measure(self, model: PlannedModel, kind: Sequence[str]) -> Speed:
        """Train a model for a few updates; the speed of all models of its `kind`."""
        name, command = model.name, self.short(model)
        if signal(command) != "plain":
            command = self.with_stores(model, command)
        plan = replace(self.run.plan, models=(replace(model, train_command=tuple(command), init_command=None),))
        write_json(self.folder / "plan.json", plan_json(plan))
        trial = Run(self.folder)
        (trial.model_folder(name) / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.lskd(["watch", "--run", str(self.folder.absolute()), "--model", name, "--", *self.machine.flags], name)
        log = read_lines(trial.model_folder(name) / "train.log")
        return speed(log, trial.run_record(name), self.words["valid"], kind)

    def short(self, model: PlannedModel) -> list[str]:
        """The model's command, for a few updates and one validation; a teacher's leaves a checkpoint."""
        changes: dict[str, str | None] = {
            "max-update": str(self.machine.updates),
            "log-interval": str(max(1, self.machine.updates // 6)),
            "log-format": "json",
            "no-epoch-checkpoints": "",
            "keep-last-epochs": None,
            "keep-best-checkpoints": None,
            "save-interval-updates": None,
            "validate-interval-updates": None,
            "no-save": None,
            **dict.fromkeys(tracking.PACKAGES),
        }
        given = flags(model.train_command)
        if "eval-bleu-args" in given:  # an untrained model never ends: its translations are cut at the source's length
            search = {**json.loads(given["eval-bleu-args"]), "max_len_a": 1.0, "max_len_b": 0}
            changes["eval-bleu-args"] = json.dumps(search)
        if model.init_command is not None:
            changes["finetune-from-model"] = None  # where weights start costs no time
        if model.role != "teacher":
            changes["no-save"] = ""
        return with_flags(model.train_command, changes)

    def teach(self, teacher: str, probed: str) -> None:
        """Let the checkpoint of the teacher `probed` stand for `teacher`, which is of the same kind."""
        file = self.folder / "models" / teacher / "model.pt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to((self.folder / "models" / probed / "checkpoints" / "checkpoint_last.pt").absolute())

    def with_stores(self, model: PlannedModel, command: Sequence[str]) -> list[str]:
        """Make what a student's targets come from; if it is on disk, on a part of the data."""
        given = flags(command)
        stores = {name: given[name] for name in STORES if name in given}
        if not stores or any(Path(store).is_absolute() for store in stores.values()):
            return list(command)  # a live teacher, or a store of the user's own
        self.make_sample(given)
        for name, store in stores.items():
            if not (self.folder / store).exists():
                self.make_store(model, given, store)
            self.stores_mb[model.name, name] = data_sample.folder_bytes(self.folder / store) / self.share / 1e6
        return data_sample.moved(command, self.planned_bin, SAMPLE)

    def make_sample(self, given: Mapping[str, str]) -> None:
        """Once; it has the words of twice the updates of a trial run, or all there are."""
        if self.share:
            return
        update = int(given.get("max-tokens", 4096)) * int(given.get("update-freq", "1").split(",")[0])
        words = 2 * self.machine.updates * update
        self.share = data_sample.write_sample(self.bin, self.langs, words, self.folder / SAMPLE)

    def make_store(self, model: PlannedModel, given: Mapping[str, str], store: str) -> None:
        """A student's hypotheses or teacher store, of the sample."""
        if store == given.get("hypotheses"):
            count = learned(model.hypotheses, self.run.plan.config.seqkd.nbest)
            checkpoint = self.folder / "models" / str(model.teacher) / "model.pt"
            data_sample.write_hypotheses(self.folder / store, self.folder / SAMPLE, self.langs, count, checkpoint)
            return
        teacher = self.run.model(str(model.teacher))
        command = data_sample.store_command(teacher, model.train_command[1], store, given["temperature"])
        device = [] if "--device" in command else ["--device", "cpu" if "--cpu" in self.machine.flags else "auto"]
        self.lskd([*data_sample.moved(command, self.planned_bin, SAMPLE)[1:], *device], f"{model.teacher}, a store")

    def lskd(self, words: Sequence[str], what: str) -> None:
        """Run a verb of lskd in the folder, and show its lines; `what` it tries is named if it stops."""
        places = {
            "PYTHONPATH": [str(INSTALLED), os.environ.get("PYTHONPATH", "")],
            "PATH": [str(Path(sys.executable).parent), os.environ["PATH"]],
        }
        environment = [f"{name}={':'.join(filter(None, folders))}" for name, folders in places.items()]
        command = ["env", *environment, *self.machine.environment, sys.executable, "-m", "lskd_nmt.cli", *words]
        complaints: list[str] = []

        def tell(line: str) -> None:
            if ": error: " in line:
                complaints.append(line.partition(": error: ")[2])
            elif not line.startswith("stopped with"):  # the verb has shown the end of the log
                self.show(line)

        code = watch(command, self.folder, self.folder / "probe.log", progress, tell)
        if code in (128 + signals.SIGINT, 128 + signals.SIGTERM):
            raise KeyboardInterrupt
        reason = complaints[-1] if complaints else f"exit code {code}, for the reason above"
        require(code == 0, f"the probe of {what} stopped: {reason}")


def progress(line: str) -> str | None:
    """A line of a verb as it is shown; None for its answer, which is JSON."""
    return None if line.startswith("{") else f"probe of {line.rstrip()}"
