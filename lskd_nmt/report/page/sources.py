"""What the page reads of run folders beside their table: commands, translations, analyses."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lskd_nmt.errors import require
from lskd_nmt.experiment.records import DecodeRecord
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.page.parts import slug
from lskd_nmt.report.results import answer
from lskd_nmt.report.results.records import Cell, ResultsTable
from lskd_nmt.report.results.rows import label
from lskd_nmt.storage.files import read_json, read_lines
from lskd_nmt.storage.typed import Json, from_json, read_record, record

T = TypeVar("T")
SHOWN = 8  # cells whose translations are all seen at first


@dataclass(frozen=True)
class Analysis:
    """What an analysis left in RUN/analysis: NAME.json, and the figures NAME.svg and NAME-*.svg beside it."""

    run: str
    name: str  # the file's place in RUN/analysis, without .json
    is_one_of_several_runs: bool
    content: dict[str, Json]
    figures: Mapping[str, str]  # stem -> SVG
    papers: Mapping[str, bytes]  # stem -> PDF

    @property
    def kind(self) -> str:
        """Which analysis it is, as the file says, or else the first word of its name."""
        return str(self.content.get("analysis") or Path(self.name).name.split("-")[0])

    @property
    def title(self) -> str:
        """Its name without what the heading says already: `student-plain` of `calibration-student-plain`."""
        name = self.name.removeprefix(f"{self.kind}-")
        return f"{self.run}: {name}" if self.is_one_of_several_runs else name

    @property
    def id(self) -> str:
        """With what the ids of its parts of the page begin."""
        return f"analysis-{slug(self.run)}-{slug(self.name)}"

    @property
    def place(self) -> str:
        """Where its file is, as errors say it."""
        return f"{self.run}/analysis/{self.name}.json"

    def read(self, cls: type[T]) -> T:
        """Its content as a record; `LskdError` names the file and a key that is missing or of another type."""
        return from_json(cls, self.content, self.place)


def analyses(runs: Mapping[str, Path], with_text: bool = True) -> list[Analysis]:
    """Every analysis of every run, by run and name; `with_text`: with the sentences that one gives as examples."""
    return [
        analysis(label, folder / "analysis", file, len(runs) > 1, with_text)
        for label, folder in runs.items()
        for file in sorted((folder / "analysis").rglob("*.json"))
        if file.name != "header.json"  # of features that lie there
    ]


def analysis(label: str, root: Path, file: Path, is_one_of_several_runs: bool, with_text: bool) -> Analysis:
    """The analysis in a file under `root`, with the figures beside it."""
    figures = [each for each in sorted(file.parent.glob("*.svg")) if owner(each) == file]
    papers = [each.with_suffix(".pdf") for each in figures if each.with_suffix(".pdf").is_file()]
    return Analysis(
        label,
        str(file.relative_to(root).with_suffix("")),
        is_one_of_several_runs,
        read(file, with_text),
        {each.stem: each.read_text(encoding="utf-8") for each in figures},
        {each.stem: each.read_bytes() for each in papers},
    )


def read(file: Path, with_text: bool) -> dict[str, Json]:
    """The analysis in a file; without the sentences that it gives as examples, unless `with_text`."""
    content: dict[str, Json] = read_json(file)
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
    file, attempts = run.model_folder(name) / "decode.json", run.run_record(name).attempts
    recorded = attempts[-1].command if attempts else ()
    decoding = read_record(file, DecodeRecord).command if file.is_file() else ()
    found = {"training": recorded or run.model(name).train_command, "decoding": decoding}
    return {what: shlex.join(words) for what, words in found.items() if words}


@record
class System:
    """One model's translations of the first test sentences; `shown`: whether they are seen at first."""

    name: str
    shown: bool
    translations: list[str]


@record
class Sentences:
    """The first test sentences with every system's translation, as the page and its script hold them."""

    source_lang: str
    target_lang: str
    of: int  # how many test sentences there are
    source: list[str] | None
    reference: list[str]
    systems: list[System]


def sentences(runs: Mapping[str, Run], table: ResultsTable, most: int) -> Sentences | None:
    """The first `most` test sentences with every system's translation; None if no texts are there.

    Of each cell one seed is seen at first, or, of many cells, of those to compare with and of the best student.
    """
    first = next(iter(runs.values()))
    reference = first.text("test", "target")
    if not most or not reference.is_file():
        return None
    references = read_lines(reference)
    source = first.text("test", "source")
    seen = shown_at_first(table)
    systems = [
        system(runs[member.rsplit("/", 1)[0]], cell, member, len(references), most, cell.name in seen)
        for cell in table.cells
        for member in cell.members
    ]
    data = first.plan.data
    return Sentences(
        data.source_lang,
        data.target_lang,
        len(references),
        read_lines(source)[:most] if source.is_file() else None,
        references[:most],
        [each for each in systems if each is not None],
    )


def shown_at_first(table: ResultsTable) -> set[str]:
    """The names of all cells; of more than `SHOWN` teachers, students without KD and the best student alone."""
    top = answer.best(table)
    few = [cell.name for cell in table.cells if label(cell.setting) != "student"][: SHOWN - 1]
    return {cell.name for cell in table.cells} if len(table.cells) <= SHOWN else {*few, *([top.name] if top else [])}


def system(run: Run, cell: Cell, member: str, count: int, most: int, seen: bool) -> System | None:
    """One model's translations; None if they are not there. Where its cell is `seen` at first, its first seed is."""
    file = run.model_folder(member.rsplit("/", 1)[1]) / "test.hyp"
    if not file.is_file():
        return None
    lines = read_lines(file)
    require(len(lines) == count, f"{file} has {len(lines)} lines and the test set {count}: decode it again")
    name = member if len(cell.runs) > 1 or cell.named_runs else member.rsplit("/", 1)[1]
    return System(name, seen and member == cell.members[0], lines[:most])
