"""A run folder: its plan, its models, and the record of the calls that worked in it."""

from pathlib import Path
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.storage.files import read_json, write_json
from lskd_nmt.storage.provenance import commit, host, versions


class Run:
    """A run folder and its plan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_json(folder / "plan.json")
        self.models: list[dict[str, Any]] = self.plan["models"]  # teachers first
        self.data = folder / str(self.plan["data"]["folder"])  # its own, or the absolute path that the config names

    def model(self, name: str) -> dict[str, Any]:
        """One model of the plan."""
        names = [model["name"] for model in self.models]
        require(name in names, f"{self.folder}/plan.json has no model '{name}': one of {', '.join(names)}")
        return self.models[names.index(name)]

    def model_folder(self, name: str) -> Path:
        """Where one model's files are."""
        return self.folder / "models" / name

    def text(self, split: str, side: str) -> Path:
        """The clean text of a split; `side` is `source` or `target`."""
        return self.data / "clean" / f"{split}.{self.plan['data'][f'{side}_lang']}"


def record_run(run: Path, command: str) -> None:
    """Append this call to RUN/run.json: what ran, from which commit, with which versions, on what."""
    file = run / "run.json"
    calls = read_json(file)["calls"] if file.is_file() else []
    calls.append({"command": command, "commit": commit(), "versions": versions(), "host": host()})
    write_json(file, {"calls": calls})
