"""A run folder: its plan, its models, and the record of the calls that worked in it."""

from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment.records import Call, Calls, CurvePoint, Plan, PlannedModel, RunRecord, read_curve
from lskd_nmt.storage.files import read_json
from lskd_nmt.storage.provenance import commit, host, versions
from lskd_nmt.storage.typed import from_json, read_record, write_record


class Run:
    """A run folder and its plan."""

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

    def text(self, split: str, side: str) -> Path:
        """The clean text of a split; `side` is `source` or `target`."""
        return self.data / "clean" / f"{split}.{self.plan.data.langs[side == 'target']}"


def record_run(run: Path, command: str) -> None:
    """Append this call to RUN/run.json: what ran, from which commit, with which versions, on what."""
    file = run / "run.json"
    before = read_record(file, Calls).calls if file.is_file() else ()
    write_record(file, Calls((*before, Call(command, commit(), versions(), host()))))
