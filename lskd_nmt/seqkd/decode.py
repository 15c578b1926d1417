"""A teacher translates the training source: in shards, by several processes or machines, resumable at any point."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.corpus import Corpus, read_corpus
from lskd_nmt.seqkd.engine_check import compare
from lskd_nmt.seqkd.engines import CTranslate2Engine, FairseqEngine, convert_once, engine_devices
from lskd_nmt.seqkd.ledger import DecodingPlan, Ledger, settings_hash, shard_file
from lskd_nmt.seqkd.text import LineWriter, TextLines, discard, prepared_lines
from lskd_nmt.seqkd.workers import Makers, Work, open_shards, run_shards
from lskd_nmt.storage.arrays import Rows
from lskd_nmt.storage.header import require_same_plan
from lskd_nmt.storage.typed import read_record, write_record
from lskd_nmt.teacher import online
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.source import TextTranslationSource, TranslationSource

CHECK = "check.json"
MODEL = "ctranslate2"


@dataclass(frozen=True)
class Place:
    """Which processes and devices translate, and which part of the shards."""

    workers: int = 0  # processes; 0: one for each core, or for each GPU
    threads: int = 1  # of each process, on a CPU
    device: str = "auto"
    part: tuple[int, int] = (1, 1)  # (i, n): this call does every n-th shard, from the i-th

    def __post_init__(self) -> None:
        first, parts = self.part
        require(1 <= first <= parts, f"--part is {first}/{parts}: give i/n with i from 1 to n")
        require(self.workers >= 0, f"--workers is {self.workers}: give a number from 0")
        require(self.threads > 0, f"--threads is {self.threads}: give a number above 0")


@dataclass(frozen=True)
class Decoding:
    """What is translated, how, and to where; by whom is not said, see `translate`."""

    out: Path
    plan: DecodingPlan
    corpus: Corpus | TextLines
    longest: int  # subwords of a source sentence with its end, at most: others get no hypothesis
    settings: DecodeSettings
    place: Place
    show: Callable[[str], None]
    dropped: Mapping[str, int] = field(default_factory=dict)  # lines of a text that are not translated, by the reason

    @property
    def shards(self) -> list[range]:
        """The rows of each shard."""
        size, rows = self.settings.shard_sentences, len(self.corpus)
        return [range(start, min(start + size, rows)) for start in range(0, rows, size)]


def decode(
    out: Path,
    teacher_path: Sequence[str],
    data: str,
    symbols: DictionaryPair,
    settings: DecodeSettings,
    place: Place,
    show: Callable[[str], None],
    split: str = "train",
    teacher_data: str | None = None,
    accept_difference: bool = False,
) -> Ledger | None:
    """Make or complete fairseq teachers' translations in `out`; the ledger, or None while shards of others are missing.

    With CTranslate2 the checkpoint is converted, and compared with fairseq on some sentences first.
    """
    plan = plan_of(teacher_path, data, symbols, settings, split, teacher_data)
    done = read_record(out / ledger.FILE, Ledger) if (out / ledger.FILE).is_file() else None
    require_same_plan(out / ledger.PLAN, plan, "a decoding", done)
    if done is not None:
        show(f"{out} is complete: nothing to do")
        return cleaned(out)
    corpus = read_corpus(data, symbols.langs, split)
    longest = min(fairseq_io.max_source_positions(path) for path in teacher_path)
    decoding = Decoding(out, plan, corpus, longest, settings, place, show)
    rows = takeable(
        corpus.lengths, longest, f"--data {data} has no source sentence of 1 to {longest - 1} subwords in {split}"
    )
    if len(rows) < len(corpus):
        show(
            f"{len(corpus) - len(rows)} sentences are empty or have more than the {longest} subwords "
            "that the teacher takes: they get no hypothesis"
        )
    makers, on_cpu = engines_of(decoding, corpus, rows, teacher_path, data, symbols.langs, accept_difference)
    return translate(decoding, makers, on_cpu)


def engines_of(
    decoding: Decoding,
    corpus: Corpus,
    rows: Rows,
    teacher_path: Sequence[str],
    data: str,
    langs: tuple[str, str],
    accept_difference: bool,
) -> tuple[list[Callable[[], TranslationSource]], bool]:
    """Makers of the engines of fairseq teachers, one for each device, and whether these are the CPU.

    A model converted for CTranslate2 is compared with fairseq on sentences of `corpus` that are among `rows`.
    """
    settings = decoding.settings
    first = data.split(":", maxsplit=1)[0]
    fairseq = partial(FairseqEngine, list(teacher_path), first, langs)
    devices = engine_devices(decoding.place.device, settings.engine)
    makers: list[Callable[[], TranslationSource]] = [partial(fairseq, *device) for device in devices]
    if settings.engine == "ctranslate2":
        check = partial(compare, decoding.out / CHECK, fairseq=fairseq, corpus=corpus, rows=rows, settings=settings)
        convert = partial(convert_once, checkpoint=teacher_path[0], data=first, langs=langs)
        check = partial(check, show=decoding.show, accept=accept_difference, lang=langs[1])
        makers = converted(decoding, devices, convert, check)
    return makers, devices[0][0] == "cpu"


def decode_text(
    out: Path,
    plan: DecodingPlan,
    write: LineWriter,
    makers: Callable[[TextLines], tuple[Sequence[Callable[[], TextTranslationSource]], bool]],
    settings: DecodeSettings,
    place: Place,
    show: Callable[[str], None],
) -> Ledger | None:
    """Make or complete translations of lines of text in `out`, by any translators; None while shards are missing.

    `plan` is all that decides them, with its `text`; `write` gives the lines, the same at each call. `makers` is called
    with the lines if there is something to do: makers of a translator for each device, and whether these are the CPU.
    """
    done = read_record(out / ledger.FILE, Ledger) if (out / ledger.FILE).is_file() else None
    plan = under_its_name(out / ledger.PLAN, plan)
    require_same_plan(out / ledger.PLAN, plan, "a decoding", done)
    if done is not None:
        show(f"{out} is complete: nothing to do")
        return cleaned(out)
    lines, dropped = prepared_lines(out, settings_hash(plan), write)
    try:
        found, on_cpu = makers(lines)
    except LskdError:
        if not (out / ledger.PLAN).is_file():  # nothing is begun
            discard(out)
        raise
    return translate(Decoding(out, plan, lines, 0, settings, place, show, dropped), found, on_cpu)


def under_its_name(file: Path, plan: DecodingPlan) -> DecodingPlan:
    """The plan with the name that its text had when the decoding in `file` was begun: a text may be packed since."""
    before = read_record(file, DecodingPlan).text if file.is_file() else None
    if before is None or plan.text is None or before.sha256 != plan.text.sha256:
        return plan
    return replace(plan, text=replace(plan.text, file=before.file))


def plan_of(
    teacher_path: Sequence[str],
    data: str,
    symbols: DictionaryPair,
    settings: DecodeSettings,
    split: str,
    teacher_data: str | None,
) -> DecodingPlan:
    """All that decides the translations of fairseq checkpoints, whose vocabularies are proved to be the data's."""
    require(bool(teacher_path), "--teacher-path names no checkpoint: give A.pt, or A.pt:B.pt for an ensemble")
    require(
        settings.engine == "fairseq" or len(teacher_path) == 1,
        f"--teacher-path names {len(teacher_path)} checkpoints, and CTranslate2 has no ensembles: use --engine fairseq",
    )
    facts = [online.check(path, symbols, teacher_data) for path in teacher_path]
    hashes = data_hashes(data, symbols.langs, (split,))
    return DecodingPlan([each.origin() for each in facts], list(symbols.langs), hashes, settings.content())


def takeable(lengths: NDArray[np.int32], longest: int, complaint: str) -> Rows:
    """The rows whose source is neither empty nor too long for the teacher; `LskdError` if there is none.

    `lengths` are the subwords of each row's source, of which `longest` are too many.   (N,) -> (n,)
    """
    short = np.flatnonzero((lengths > 0) & (lengths < longest))
    require(bool(len(short)), complaint)
    return short


def converted(
    decoding: Decoding,
    devices: Sequence[tuple[str, int]],
    convert: Callable[[Path], None],
    check: Callable[[Callable[..., TranslationSource]], None],
) -> list[Callable[[], TranslationSource]]:
    """Makers of CTranslate2's engines, one for each device, of what `convert` writes into a folder.

    `check` refuses a model that translates unlike fairseq: what was converted is then removed.
    """
    out, place = decoding.out, decoding.place
    model = out / f"{MODEL}-{decoding.plan.teacher[0].sha256[:12]}"
    try:
        convert(model)
        check(partial(CTranslate2Engine, model, *devices[0]))
    except LskdError:
        shutil.rmtree(model, ignore_errors=True)
        with suppress(OSError):  # unless there is something else
            out.rmdir()
        raise
    quantization = decoding.settings.quantization
    return [
        partial(CTranslate2Engine, model, *device, compute_type=quantization, threads=place.threads)
        for device in devices
    ]


def translate(decoding: Decoding, makers: Makers, on_cpu: bool = True) -> Ledger | None:
    """Translate this call's part of the shards, by any sources; the ledger, or None while others are missing.

    Each of `makers` makes the source of one device, in the process that is to use it. There are as many processes as
    devices, or `on_cpu` as many as cores, unless the `Place` says how many.
    """
    out, place, show = decoding.out, decoding.place, decoding.show
    write_record(out / ledger.PLAN, decoding.plan)
    workers = place.workers or (max(1, len(os.sched_getaffinity(0)) // place.threads) if on_cpu else len(makers))
    work = Work(out, decoding.settings, settings_hash(decoding.plan), place.threads, decoding.longest)
    progress, shards = Progress(0, "sentences", show), decoding.shards
    run_shards(work, makers, decoding.corpus, open_shards(work, shards, place.part, progress), workers, progress)
    if not all(shard_file(out, number).is_file() for number in range(len(shards))):
        show(f"part {place.part[0]} of {place.part[1]} is done, others are not")
        return None
    try:
        show("proving that every sentence has its translations")
        keys = decoding.corpus.keys
        told = Progress(len(keys), "sentences", show)
        ledger.merge(out, decoding.plan, keys, len(shards), told, decoding.dropped)
    except (LskdError, FileNotFoundError):
        if not (out / ledger.FILE).is_file():  # else another machine was faster, and removed the shards
            raise
    return cleaned(out)


def cleaned(out: Path) -> Ledger:
    """The ledger of a complete decoding, whose shards, model and text are removed."""
    for folder in (out / ledger.SHARDS, *out.glob(f"{MODEL}-*")):
        shutil.rmtree(folder, ignore_errors=True)
    discard(out)
    for name in (ledger.ROWS, ledger.FILE):  # left by a process that was killed in a merge
        for left in out.glob(f"{name}.*.part"):
            left.unlink(missing_ok=True)
    return read_record(out / ledger.FILE, Ledger)
