"""A run folder: its plan, its models, and the record of the calls that worked in it."""

import copy
import re
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment.records import (
    SETS,
    Call,
    Calls,
    Command,
    CurvePoint,
    Plan,
    PlannedModel,
    RunRecord,
    read_curve,
)
from lskd_nmt.storage.files import read_json
from lskd_nmt.storage.provenance import commit, host, versions
from lskd_nmt.storage.typed import from_json, read_record, write_record


class Run:
    """A run folder and its plan, seen from one of its test sets: the main one, or that of `on`."""

    test_set: str | None = None  # None: the main one, which is the data's own

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = from_json(Plan, read_json(folder / "plan.json"), str(folder / "plan.json"))
        self.models = self.plan.models  # teachers first
        self.data = folder / self.plan.data.folder  # its own, or the absolute path that the config names

    def model(self, name: str) -> PlannedModel:
        """One model of the plan."""
        names = [model.name for model in self.models]
        require(name in names, f"{self.folder}/plan.json has no model '{name}': one of {', '.join(names)}")
        return self.models[names.index(name)]

    def run_record(self, name: str) -> RunRecord:
        """What one model's training was and cost."""
        return read_record(self.model_folder(name) / "run.json", RunRecord)

    def curve(self, name: str) -> list[CurvePoint]:
        """One model's learning curve."""
        return read_curve(self.model_folder(name) / "curve.json")

    def model_folder(self, name: str) -> Path:
        """Where one model's files are."""
        return self.folder / "models" / name

    def on(self, test_set: str) -> "Run":
        """The same run seen from the test set of this name: its text, and what models made of it."""
        names = self.plan.set_names
        require(test_set in names, f"{self.folder} has no test set '{test_set}': one of {', '.join(names)}")
        found = copy.copy(self)
        found.test_set = None if test_set == names[0] else test_set
        return found

    @property
    def views(self) -> list["Run"]:
        """The run seen from each of its test sets, the main one first."""
        return [self.on(name) for name in self.plan.set_names]

    @property
    def set_name(self) -> str:
        """What the test set is called."""
        return self.test_set or self.plan.set_names[0]

    def set_folder(self, name: str) -> Path:
        """Where the text of a test set is that is not the data's own."""
        return self.folder / SETS / name

    def results(self, name: str) -> Path:
        """Where one model's translations of the test set and their scores are."""
        folder = self.model_folder(name)
        return folder if self.test_set is None else folder / "sets" / self.test_set

    @property
    def binarised_test(self) -> Path:
        """The folder of fairseq-preprocess that has the test set as its split `test`."""
        return (self.data if self.test_set is None else self.set_folder(self.test_set)) / "bin"

    def decode_command(self, name: str) -> Command:
        """How a model decodes the test set: the plan's command, with the folders of this set."""
        planned = self.model(name).decode_command
        if self.test_set is None:
            return planned
        changed = {f"{self.plan.data.folder}/bin": f"{SETS}/{self.test_set}/bin"}
        prefix, results = f"models/{name}/", f"models/{name}/sets/{self.test_set}/"
        flags = ("", *planned)
        return tuple(
            results + word.removeprefix(prefix) if flag == "--out" else changed.get(word, word)
            for flag, word in zip(flags, planned, strict=False)
        )

    def text(self, split: str, side: str) -> Path:
        """The clean text of a split; `side` is `source` or `target`, of which a test set may have several."""
        folder = self.data if split != "test" or self.test_set is None else self.set_folder(self.test_set)
        return folder / "clean" / f"{split}.{self.plan.data.langs[side == 'target']}"

    def references(self) -> list[Path]:
        """The files of the test set's references, one or several."""
        first = self.text("test", "target")
        more = (self.set_folder(self.set_name) / "clean").glob(f"{first.name}.*")
        numbered = {int(file.suffix[1:]): file for file in more if re.fullmatch(r"\.[1-9]\d*", file.suffix)}
        return [first, *(numbered[number] for number in sorted(numbered))]


def record_run(run: Path, command: str) -> None:
    """Append this call to RUN/run.json: what ran, from which commit, with which versions, on what."""
    file = run / "run.json"
    before = read_record(file, Calls).calls if file.is_file() else ()
    write_record(file, Calls((*before, Call(command, commit(), versions(), host()))))
