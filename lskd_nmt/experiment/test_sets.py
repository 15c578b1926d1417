"""Test sets beside the data's own: read and proved when a run is planned, and binarised once a model decodes them.

RUN/tests/NAME holds the clean text (clean/test.SRC, clean/test.TGT, of more references clean/test.TGT.1 …), set.json,
and bin, the text in the subwords and symbols of the run's data. What models make of it: RUN/models/MODEL/sets/NAME.
Of the main test set only the references after the first are here: the rest is the data's own split `test`.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lskd_nmt import fairseq_io
from lskd_nmt.data import given, language_check
from lskd_nmt.data.bitext import normalised, read_lines
from lskd_nmt.data.tokenisation import PREPARED, Tokenisation
from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment import ctranslate2_decoding, lengths
from lskd_nmt.experiment.in_train import in_train
from lskd_nmt.experiment.records import MAIN_SET, SETS, Plan, PlannedData
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_config import DataConfig, brings_test
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.files import sha256, write_text
from lskd_nmt.storage.typed import read_record, record, write_record
from lskd_nmt.teacher import subwords

FILE, WHAT = "set.json", "lskd test set"
SHOWN = 3  # line numbers in an error
FORMS = {**PREPARED, "tokenised": Tokenisation(moses=True)}  # how text becomes what a data folder calls clean


@record
class SetRecord:
    """A test set's set.json."""

    name: str
    source_lang: str
    target_lang: str
    form: str
    sentences: int
    references: int
    files: tuple[str, ...]  # the names of those that it was read from
    sha256: dict[str, str]  # of its own files


@dataclass(frozen=True)
class SetText:
    """The clean text of a test set, by the names of its files, and what its set.json says but for the hashes."""

    facts: SetRecord
    texts: dict[str, list[str]]


def set_names(data: DataConfig, before: Plan | None) -> tuple[str, ...] | None:
    """The test sets of a plan, the main one first: those of its config, and those that were added to the run before.

    None where there is nothing but the data's own.
    """
    names = [*([MAIN_SET] if brings_test(data) else []), *(data.tests or {})]
    if before is not None:
        of_config = before.config.data.tests or {}
        names += [name for name in before.set_names[1:] if name not in of_config and name not in names]
    return None if names == [MAIN_SET] else tuple(names)


def files_of(prefix: str, langs: tuple[str, str]) -> tuple[Path, list[Path]]:
    """The source of a test set and its references: PREFIX.TGT, and those with a number, PREFIX.TGT.0, PREFIX.TGT.1 …"""
    first = Path(f"{prefix}.{langs[1]}")
    found = {
        int(file.suffix[1:]): file
        for file in first.parent.glob(f"{first.name}.*")
        if re.fullmatch(r"\.\d+", file.suffix)
    }
    numbered = [found[number] for number in sorted(found)]
    return Path(f"{prefix}.{langs[0]}"), [*([first] if first.exists() or not numbered else []), *numbered]


def wanted(plan: Plan, run: Path) -> list[SetText]:
    """The text of the config's test sets that the run folder does not have yet; refused if it has other text."""
    found, tests = [], plan.config.data.tests or {}
    for name, prefix in tests.items():
        source, references = files_of(prefix, plan.data.langs)
        is_main = name == plan.set_names[0]
        if (run / SETS / name / FILE).is_file() and not source.exists():
            continue  # its own copy does
        if not is_main or len(references) > 1:
            found.append(read_set(name, source, references, plan.data, is_main))
    lacking = [name for name in plan.set_names[1:] if name not in tests and not (run / SETS / name / FILE).is_file()]
    require(not lacking, f"{run}/{SETS} lacks {', '.join(lacking)}: add it again with lskd score-set")
    return [text for text in found if is_new(text, run)]


def read_set(name: str, source: Path, references: Sequence[Path], data: PlannedData, is_main: bool = False) -> SetText:
    """The clean text of a test set; refused where lines are empty or of unequal number, or where it is other text.

    Of the main set the references after the first are kept alone.
    """
    files, langs = (source, *references), (data.source_lang, *[data.target_lang] * len(references))
    for file, lang in zip(files, langs, strict=True):
        other = next((each for each in data.langs if each != lang), "")
        swapped = file.suffix == f".{other}" and file.suffix != f".{lang}"
        require(not swapped, f"test set {name}: {file} is of {other} by its name, and {lang} is meant: swap the files")
    texts = [lines_of(file) for file in files]
    for file, lines in zip(files, texts, strict=True):
        require(
            len(lines) == len(texts[0]),
            f"test set {name}: {source} has {len(texts[0]):,} lines and {file} {len(lines):,}: "
            "line i of each reference must translate line i of the source",
        )
    for at, file in enumerate(files):
        twin = next((files[before] for before in range(at) if texts[before] == texts[at]), None)
        require(twin is None, f"test set {name}: {twin} and {file} are the same text: give different files")
    for file, lines, lang in zip(files, texts, langs, strict=True):
        wrong = language_check.complaint(lines, lang, data.langs)
        require(wrong is None, f"test set {name}: {file} {wrong}: give a test set of {'-'.join(data.langs)}")
    names = [f"test.{langs[0]}", f"test.{langs[1]}", *(f"test.{langs[1]}.{at}" for at in range(1, len(references)))]
    kept = {
        each: FORMS[data.form].words(lines, lang)
        for each, lines, lang in zip(names, texts, langs, strict=True)
        if not (is_main and each in names[:2])
    }
    facts = SetRecord(
        name, *data.langs, data.form, len(texts[0]), len(references), tuple(file.name for file in files), {}
    )
    return SetText(facts, kept)


def lines_of(file: Path) -> list[str]:
    """The lines of a text, normalised; an empty one is refused."""
    lines = [normalised(line) for line in read_lines(file)]
    empty = [number for number, line in enumerate(lines, 1) if not line]
    numbers = ", ".join(map(str, empty[:SHOWN])) + (", …" if len(empty) > SHOWN else "")
    require(not empty, f"{file} has {len(empty)} empty lines (line {numbers}): fill or remove them, in all files alike")
    return lines


def is_new(text: SetText, run: Path) -> bool:
    """Whether the run folder has to be given this text; refused where models have translated another of its name."""
    name, folder = text.facts.name, run / SETS / text.facts.name
    if not (folder / FILE).is_file():
        return True
    known = read_record(folder / FILE, SetRecord)
    same = all(
        (folder / "clean" / each).is_file()
        and (folder / "clean" / each).read_text(encoding="utf-8") == "".join(f"{line}\n" for line in lines)
        for each, lines in text.texts.items()
    )
    if same and known.references == text.facts.references:
        return False
    used = sorted(file.parents[2].name for file in run.glob(f"models/*/sets/{name}/test.hyp"))
    require(
        not used,
        f"the test set {name} has other text in {folder}, which {', '.join(used[:SHOWN])}"
        f"{' and others' if len(used) > SHOWN else ''} translated: give the new one another name",
    )
    return True


def write(run: Path, text: SetText) -> None:
    """Write a test set into a run folder, whole or not at all."""
    out = run / SETS / text.facts.name
    folders.require_own(out, WHAT)
    with folders.part_of(out, WHAT) as part:
        new = part / text.facts.name
        folders.mark(new, WHAT)
        clean = new / "clean"
        clean.mkdir()
        for name, lines in text.texts.items():
            write_text(clean / name, "".join(f"{line}\n" for line in lines))
        hashes = {f"clean/{name}": sha256(clean / name) for name in text.texts}
        write_record(new / FILE, replace(text.facts, sha256=hashes))
        folders.remove_own(out, WHAT)
        new.replace(out)


def binarise(run: Run, tell: Callable[[str], None] = lambda line: None) -> None:
    """Write the test set of this view in the subwords and symbols of the run's data, once, as fairseq reads it.

    How much of it stands in train is counted then, and told.
    """
    folder, langs = run.binarised_test, run.plan.data.langs
    if run.test_set is None or fairseq_io.split_files(str(folder), langs, "test") is not None:
        return
    with ctranslate2_decoding.only_one(folder.parent / ".lock"):
        if folder.is_dir():
            return  # another process did it
        cuts, spm = cutting(run), run.data / "spm"
        symbols = fairseq_io.read_symbols(str(run.data / "bin"), langs)
        if symbols is None:
            raise LskdError(f"{run.data}/bin lacks its dictionaries: prepare the data again")
        sides = [{word: at for at, word in enumerate(side)} for side in (symbols.source, symbols.target)]

        def ids(side: int, line: str) -> Ids:
            known = sides[side]
            words = [known.get(piece, known["<unk>"]) for piece in cuts[side].pieces(line)]
            return np.array([*words, known["</s>"]], np.int64)

        def pairs() -> Iterator[tuple[Ids, Ids]]:
            texts = [read_lines(run.text("test", side)) for side in ("source", "target")]
            for source, target in zip(*texts, strict=True):
                yield ids(0, source), ids(1, target)

        with folders.part_of(folder, WHAT) as part:
            new = part / "bin"
            folders.mark(new, WHAT)
            for file in [*given.present(spm, langs), *(run.data / "bin" / f"dict.{lang}.txt" for lang in langs)]:
                shutil.copyfile(file, new / file.name)
            sizes = len(symbols.source), len(symbols.target)
            with fairseq_io.quiet():
                fairseq_io.write_pairs(str(new), langs, "test", pairs(), sizes)
            new.replace(folder)
        found = in_train(run)
        if found is not None and found.sources:
            tell(found.line(run.set_name))


def cutting(run: Run) -> tuple[subwords.Cuts, subwords.Cuts]:
    """What cuts text of source and target as the run's data are cut."""
    spm = run.data / "spm"
    require(
        (spm / given.MODEL).is_file() or given.has_merges(spm),
        f"{run.data} does not have what cuts its text into subwords, so that other text cannot be cut as they are: "
        "name its sentencepiece model (data.spm) in a new run",
    )
    return subwords.of_folder(spm)


def require_fits(run: Run, name: str) -> None:
    """Refuse a test set with a row that a model of the run does not take; fairseq would stop in the middle of it."""
    model, langs = run.model(name), run.plan.data.langs
    if run.test_set is None or model.origin:
        return  # the plan was held against the data's own
    folder = run.set_folder(run.test_set)
    rows = lengths.rows_of(folder, langs, "test")
    if rows is None:
        return
    most, made = lengths.takes(model.decode_command), lengths.takes(model.train_command)
    for own, lang, limits in (
        (rows.source, langs[0], (most.source, made.source)),
        (rows.target, langs[1], (most.target, made.target)),
    ):
        limit = min(*limits, most.batch or limits[0])
        if int(own.max(initial=0)) > limit:
            raise LskdError(
                f"{lengths.told(rows, own, limit, folder, lang)}, and {name} takes {limit:,}: shorten or remove such "
                "lines, in all files of the set, and give it another name"
            )
