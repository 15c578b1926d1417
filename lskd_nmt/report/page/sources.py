"""What the page reads of run folders beside their table: commands, translations, analyses."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.page.parts import slug
from lskd_nmt.storage.files import read_json, read_lines


@dataclass(frozen=True)
class Analysis:
    """What an analysis left in RUN/analysis: NAME.json, and the figures NAME.svg and NAME-*.svg beside it."""

    run: str
    name: str  # the file's place in RUN/analysis, without .json
    is_one_of_several_runs: bool
    content: dict[str, Any]
    figures: Mapping[str, str]  # stem -> SVG
    papers: Mapping[str, bytes]  # stem -> PDF

    @property
    def kind(self) -> str:
        """What it says it is, or else the first word of its name."""
        return str(self.content.get("analysis") or Path(self.name).name.split("-")[0])

    @property
    def title(self) -> str:
        """Its name without what the heading says already: `student-plain` of `calibration-student-plain`."""
        name = self.name.removeprefix(f"{self.kind}-")
        return f"{self.run}: {name}" if self.is_one_of_several_runs else name

    @property
    def id(self) -> str:
        """Of its parts in the page."""
        return f"analysis-{slug(self.run)}-{slug(self.name)}"


def analyses(runs: Mapping[str, Path], with_text: bool = True) -> list[Analysis]:
    """Every analysis of every run, by run and name; `with_text`: with the sentences that one gives as examples."""
    found = []
    for label, folder in runs.items():
        root = folder / "analysis"
        for file in sorted(root.rglob("*.json")):
            if file.name == "header.json":  # of features that lie there
                continue
            name = str(file.relative_to(root).with_suffix(""))
            figures = [each for each in sorted(file.parent.glob("*.svg")) if owner(each) == file]
            papers = [each.with_suffix(".pdf") for each in figures if each.with_suffix(".pdf").is_file()]
            found.append(
                Analysis(
                    label,
                    name,
                    len(runs) > 1,
                    read(file, with_text),
                    {each.stem: each.read_text(encoding="utf-8") for each in figures},
                    {each.stem: each.read_bytes() for each in papers},
                )
            )
    return found


def read(file: Path, with_text: bool) -> dict[str, Any]:
    """What the file holds."""
    content = read_json(file)
    texts = content.get("sentences")
    if not with_text and isinstance(texts, dict):
        content["sentences"] = {name: value for name, value in texts.items() if name != "examples"}
    return content


def owner(figure: Path) -> Path | None:
    """The analysis that drew a figure: the longest name beside it with which its own begins."""
    beside = [
        file
        for file in figure.parent.glob("*.json")
        if figure.stem == file.stem or figure.stem.startswith(f"{file.stem}-")
    ]
    return max(beside, key=lambda file: len(file.stem), default=None)


def commands(run: Run, name: str) -> dict[str, str]:
    """The command lines that trained and decoded a model, as far as they were recorded."""
    folder = run.model_folder(name)
    attempts = read_json(folder / "run.json").get("attempts") or [{}]
    planned = run.model(name).get("train_command", [])
    decode = read_json(folder / "decode.json") if (folder / "decode.json").is_file() else {}
    found = {"training": attempts[-1].get("command") or planned, "decoding": decode.get("command", [])}
    return {what: shlex.join(map(str, words)) for what, words in found.items() if words}


def sentences(runs: Mapping[str, Run], content: Mapping[str, Any], most: int) -> dict[str, Any] | None:
    """The first `most` test sentences with every system's translation; None if no texts are there.

    `shown` is whether a system is seen at first: one seed of each cell.
    """
    first = next(iter(runs.values()))
    reference = first.text("test", "target")
    if not most or not reference.is_file():
        return None
    references = read_lines(reference)
    source = first.text("test", "source")
    systems = [
        system(runs[member.rsplit("/", 1)[0]], cell, member, len(references), most)
        for cell in content["cells"]
        for member in cell["members"]
    ]
    data = first.plan["data"]
    return {
        "source_lang": data["source_lang"],
        "target_lang": data["target_lang"],
        "of": len(references),
        "source": read_lines(source)[:most] if source.is_file() else None,
        "reference": references[:most],
        "systems": [each for each in systems if each],
    }


def system(run: Run, cell: Mapping[str, Any], member: str, count: int, most: int) -> dict[str, Any] | None:
    """One model's translations; None if they are not there."""
    file = run.model_folder(member.rsplit("/", 1)[1]) / "test.hyp"
    if not file.is_file():
        return None
    lines = read_lines(file)
    require(len(lines) == count, f"{file} has {len(lines)} lines and the test set {count}: decode it again")
    name = member if len(cell["runs"]) > 1 or cell["named_runs"] else member.rsplit("/", 1)[1]
    return {"name": name, "shown": member == cell["members"][0], "translations": lines[:most]}
