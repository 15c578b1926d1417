"""A teacher translates the training source: in shards, by several processes or machines, resumable at any point."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lskd_nmt import fairseq_io
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.corpus import read_corpus
from lskd_nmt.seqkd.engine_check import compare
from lskd_nmt.seqkd.engines import CTranslate2Engine, Engine, FairseqEngine, convert_once, engine_devices
from lskd_nmt.seqkd.ledger import settings_hash, shard_file
from lskd_nmt.seqkd.workers import Work, open_shards, run_shards
from lskd_nmt.storage.files import read_json, sha256, write_json
from lskd_nmt.storage.header import require_same_plan
from lskd_nmt.teacher import online
from lskd_nmt.teacher.coverage import data_hashes

CHECK = "check.json"
MODEL = "ctranslate2"


@dataclass(frozen=True)
class Place:
    """Who works, on what."""

    workers: int = 0  # processes; 0: one for each core, or for each GPU
    threads: int = 1  # of each process, on a CPU
    device: str = "auto"
    part: tuple[int, int] = (1, 1)  # (i, n): this call does every n-th shard, from the i-th

    def __post_init__(self) -> None:
        first, parts = self.part
        require(1 <= first <= parts, f"--part is {first}/{parts}: give i/n with i from 1 to n")
        require(self.workers >= 0, f"--workers is {self.workers}: give a number from 0")
        require(self.threads > 0, f"--threads is {self.threads}: give a number above 0")


def decode(
    out: Path,
    teacher_path: Sequence[str],
    data: str,
    symbols: Symbols,
    settings: DecodeSettings,
    place: Place,
    show: Callable[[str], None],
    split: str = "train",
    teacher_data: str | None = None,
    accept_difference: bool = False,
) -> dict[str, Any] | None:
    """Make or complete the translations in `out`; the ledger, or None while shards of other parts are missing."""
    require(bool(teacher_path), "--teacher-path names no checkpoint: give A.pt, or A.pt:B.pt for an ensemble")
    require(
        settings.engine == "fairseq" or len(teacher_path) == 1,
        f"--teacher-path names {len(teacher_path)} checkpoints, and CTranslate2 has no ensembles: use --engine fairseq",
    )
    facts = [online.check(path, symbols, teacher_data) for path in teacher_path]
    langs, first = symbols.langs, data.split(":", maxsplit=1)[0]
    plan: dict[str, Any] = {
        "teacher": [
            {
                "file": Path(fact.path).name,
                "sha256": sha256(Path(fact.path)),
                "arch": fact.arch,
                "label_smoothing": fact.label_smoothing,
            }
            for fact in facts
        ],
        "langs": list(langs),
        "data": data_hashes(data, langs, (split,)),
        "settings": settings.content(),
    }
    done = read_json(out / ledger.FILE) if (out / ledger.FILE).is_file() else None
    require_same_plan(out / ledger.PLAN, plan, "a decoding", done)
    if (out / ledger.FILE).is_file():
        show(f"{out} is complete: nothing to do")
        return cleaned(out)
    corpus = read_corpus(data, langs, split)
    longest = min(fairseq_io.max_source_positions(path) for path in teacher_path)
    short = np.flatnonzero((corpus.lengths > 0) & (corpus.lengths < longest))
    require(bool(len(short)), f"--data {data} has no source sentence of 1 to {longest - 1} subwords in {split}")
    if len(short) < len(corpus):
        show(
            f"{len(corpus) - len(short)} sentences are empty or have more than the {longest} subwords "
            "that the teacher takes: they get no hypothesis"
        )
    fairseq = partial(FairseqEngine, list(teacher_path), first, langs)
    devices = engine_devices(place.device, settings.engine)
    makers: list[Callable[[], Engine]] = [partial(fairseq, *device) for device in devices]
    if settings.engine == "ctranslate2":
        model = out / f"{MODEL}-{plan['teacher'][0]['sha256'][:12]}"
        try:
            convert_once(model, teacher_path[0], first, langs)
            engine = partial(CTranslate2Engine, model, *devices[0])
            compare(out / CHECK, engine, fairseq, corpus, short, settings, show, accept_difference, langs[1])
        except LskdError:
            shutil.rmtree(model, ignore_errors=True)
            with suppress(OSError):  # unless there is something else
                out.rmdir()
            raise
        makers = [
            partial(CTranslate2Engine, model, *device, compute_type=settings.quantization, threads=place.threads)
            for device in devices
        ]
    write_json(out / ledger.PLAN, plan)
    on_cpu = max(1, len(os.sched_getaffinity(0)) // place.threads)
    workers = place.workers or (on_cpu if devices[0][0] == "cpu" else len(devices))
    work = Work(out, settings, settings_hash(plan), place.threads, longest)
    progress = Progress(0, "sentences", show)
    shards = [
        range(start, min(start + settings.shard_sentences, len(corpus)))
        for start in range(0, len(corpus), settings.shard_sentences)
    ]
    run_shards(work, makers, corpus, open_shards(work, shards, place.part, progress), workers, progress)
    if not all(shard_file(out, number).is_file() for number in range(len(shards))):
        show(f"part {place.part[0]} of {place.part[1]} is done, others are not")
        return None
    try:
        show("proving that every sentence has its translations")
        ledger.merge(out, plan, corpus.keys, len(shards), Progress(len(corpus), "sentences", show))
    except (LskdError, FileNotFoundError):
        if not (out / ledger.FILE).is_file():  # else another machine was faster, and removed the shards
            raise
    return cleaned(out)


def cleaned(out: Path) -> dict[str, Any]:
    """The ledger of a complete decoding, whose shards and model are removed."""
    for folder in (out / ledger.SHARDS, *out.glob(f"{MODEL}-*")):
        shutil.rmtree(folder, ignore_errors=True)
    for name in (ledger.ROWS, ledger.FILE):  # left by a process that was killed in a merge
        for left in out.glob(f"{name}.*.part"):
            left.unlink(missing_ok=True)
    return read_json(out / ledger.FILE)
