"""A teacher translates the training source: in shards, by several processes or machines, resumable at any point.

Before a long run with CTranslate2 a few sentences are translated by fairseq, too, and a difference stops it.
"""

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from numpy.typing import NDArray

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.progress import Progress
from lskd_nmt.runs import read_json, sha256, write_json
from lskd_nmt.scoring import corpus_bleu
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.engines import CTranslate2Engine, DecodeSettings, Engine, FairseqEngine, best, translate_all
from lskd_nmt.seqkd.ledger import Row, settings_hash, shard_file, write_shard
from lskd_nmt.subwords import joined
from lskd_nmt.teacher import live
from lskd_nmt.teacher.store import ids_key
from lskd_nmt.teacher.writer import data_hashes, require_same_plan

CHECK = "check.json"
MODEL = "ctranslate2"
CHECKED = 200  # sentences
BLEU_APART = 1.0
IDENTICAL = 0.85


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


class Corpus(NamedTuple):
    """The source sentences of a split, and their references."""

    sources: list[list[str]]
    references: list[str]  # subwords
    keys: list[str]  # a hash of each source sentence's symbols


class SentencePair(NamedTuple):
    """A pair as ids with their ends, and as subwords without."""

    source_ids: NDArray[Any]
    target_ids: NDArray[Any]
    source: list[str]
    reference: str


def corpus_pairs(data: str, langs: tuple[str, str], split: str) -> Iterator[SentencePair]:
    """A split's pairs in their order, over all data folders."""
    for dataset in fairseq_io.translation_data(data, langs, split):
        for item in map(dataset.__getitem__, range(len(dataset))):
            ids = item["source"].numpy(), item["target"].numpy()
            source = [dataset.src_dict[i] for i in ids[0][:-1]]
            yield SentencePair(*ids, source, " ".join(dataset.tgt_dict[i] for i in ids[1][:-1]))


def source_key(ids: NDArray[Any]) -> str:
    """A hash of a source sentence's symbols."""
    return f"{ids_key(ids):016x}"


def read_corpus(data: str, langs: tuple[str, str], split: str) -> Corpus:
    """What is decoded."""
    corpus = Corpus([], [], [])
    for pair in corpus_pairs(data, langs, split):
        corpus.sources.append(pair.source)
        corpus.references.append(pair.reference)
        corpus.keys.append(source_key(pair.source_ids))
    return corpus


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
    require(settings.engine == "fairseq" or len(teacher_path) == 1,
            f"--teacher-path names {len(teacher_path)} checkpoints, and CTranslate2 has no ensembles: "
            "use --engine fairseq")  # fmt: skip
    facts = [live.check(path, symbols, teacher_data) for path in teacher_path]
    langs, first = symbols.langs, data.split(":", maxsplit=1)[0]
    plan = {
        "teacher": [{"file": Path(fact.path).name, "sha256": sha256(Path(fact.path)), "arch": fact.arch,
                     "label_smoothing": fact.label_smoothing} for fact in facts],
        "langs": list(langs),
        "data": data_hashes(data, langs, (split,)),
        "settings": settings.content(),
    }  # fmt: skip
    require_same_plan(out / ledger.PLAN, plan, "a decoding")
    if (out / ledger.FILE).is_file():
        show(f"{out} is complete: nothing to do")
        return cleaned(out)
    corpus = read_corpus(data, langs, split)
    longest = min(fairseq_io.max_source_positions(path) for path in teacher_path)
    short = [row for row, source in enumerate(corpus.sources) if 0 < len(source) < longest]
    require(bool(short), f"--data {data} has no source sentence of 1 to {longest - 1} subwords in {split}")
    if len(short) < len(corpus.sources):
        show(f"{len(corpus.sources) - len(short)} sentences are empty or have more than the {longest} subwords "
             "that the teacher takes: they get no hypothesis")  # fmt: skip
    fairseq = partial(FairseqEngine, list(teacher_path), first, langs)
    devices = engine_devices(place.device, settings.engine)
    makers: list[Callable[[], Engine]] = [partial(fairseq, *device) for device in devices]
    if settings.engine == "ctranslate2":
        model = out / f"{MODEL}-{sha256(Path(teacher_path[0]))[:12]}"
        try:
            convert(model, teacher_path[0], first, langs)
            engine = partial(CTranslate2Engine, model, *devices[0])
            compare(out / CHECK, engine, fairseq, corpus, short, settings, show, accept_difference)
        except LskdError:
            shutil.rmtree(model, ignore_errors=True)
            with suppress(OSError):  # unless there is something else
                out.rmdir()
            raise
        makers = [partial(CTranslate2Engine, model, *device, compute_type=settings.quantization, threads=place.threads)
                  for device in devices]  # fmt: skip
    write_json(out / ledger.PLAN, plan)
    on_cpu = max(1, len(os.sched_getaffinity(0)) // place.threads)
    workers = place.workers or (on_cpu if devices[0][0] == "cpu" else len(devices))
    work = Work(out, settings, settings_hash(plan), place.threads, longest)
    progress = Progress(0, "sentences", show)
    shards = [range(start, min(start + settings.shard_sentences, len(corpus.sources)))
              for start in range(0, len(corpus.sources), settings.shard_sentences)]  # fmt: skip
    run_shards(work, makers, open_jobs(work, corpus, shards, place.part, progress), workers, progress)
    if not all(shard_file(out, number).is_file() for number in range(len(shards))):
        show(f"part {place.part[0]} of {place.part[1]} is done, others are not")
        return None
    try:
        ledger.merge(out, plan, corpus.keys, len(shards))
    except (LskdError, FileNotFoundError):
        if not (out / ledger.FILE).is_file():  # else another machine was faster, and removed the shards
            raise
    return cleaned(out)


def open_jobs(
    work: "Work", corpus: Corpus, shards: Sequence[range], part: tuple[int, int], progress: Progress
) -> list["Job"]:
    """What this part of the machines has to do; what is there already counts as done."""
    jobs = []
    for number, rows in enumerate(shards):
        there = shard_file(work.out, number).is_file()
        mine = number % part[1] == part[0] - 1
        progress.total += len(rows) if there or mine else 0
        if there:
            progress.skip(len(rows))
        elif mine:
            jobs.append(Job(number, rows, *slices(corpus, rows)))
    return jobs


def cleaned(out: Path) -> dict[str, Any]:
    """The ledger of a complete decoding, whose shards and model are removed."""
    for folder in (out / ledger.SHARDS, *out.glob(f"{MODEL}-*")):
        shutil.rmtree(folder, ignore_errors=True)
    return read_json(out / ledger.FILE)


def engine_devices(wish: str, engine: str) -> list[tuple[str, int]]:
    """(`cuda`, index) of every GPU that the engine sees, or (`cpu`, 0)."""
    if engine == "fairseq" or wish == "cpu":
        count = fairseq_io.gpus(wish)
    else:
        import ctranslate2

        count = int(ctranslate2.get_cuda_device_count())
        require(wish != "cuda" or count > 0, "--device is cuda, and CTranslate2 sees no GPU: use --device cpu")
    return [("cuda", index) for index in range(count)] or [("cpu", 0)]


def convert(out: Path, checkpoint: str, data: str, langs: tuple[str, str]) -> None:
    """Make the checkpoint a CTranslate2 folder in float32, unless it is there."""
    from ctranslate2.converters import FairseqConverter

    if out.is_dir():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=out.name + ".part.") as folder:
        try:
            converter = FairseqConverter(checkpoint, data, source_lang=langs[0], target_lang=langs[1],
                                         user_dir=str(fairseq_io.plugin_folder()))  # fmt: skip
            converter.convert(f"{folder}/model")
        except (ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise LskdError(f"CTranslate2 cannot convert {checkpoint} ({reason}): use --engine fairseq") from error
        try:
            Path(folder, "model").rename(out)
        except OSError:
            if not out.is_dir():  # else another machine was faster
                raise


def compare(
    file: Path,
    ctranslate2: Callable[..., Engine],
    fairseq: Callable[[], Engine],
    corpus: Corpus,
    rows: Sequence[int],
    settings: DecodeSettings,
    show: Callable[[str], None],
    accept: bool,
) -> None:
    """Translate a few of the rows with both engines, write how far they are apart to `file`, stop if it is too far."""
    if file.is_file():
        return
    rows = [rows[at] for at in sorted({number * len(rows) // CHECKED for number in range(CHECKED)})]
    show(f"comparing CTranslate2 with fairseq on {len(rows)} sentences")
    sentences, truth = [corpus.sources[row] for row in rows], [joined(corpus.references[row]) for row in rows]
    search = replace(settings, sampling=False, temperature=1.0, sampling_topk=0, nbest=1)
    kinds = dict.fromkeys(("float32", settings.quantization))
    found = {"fairseq": best(translate_all(fairseq(), sentences, search))}
    found |= {kind: best(translate_all(ctranslate2(compute_type=kind), sentences, search)) for kind in kinds}
    scores = {name: corpus_bleu([joined(line) for line in lines], truth) for name, lines in found.items()}
    alike = {
        kind: sum(a == b for a, b in zip(found["fairseq"], found[kind], strict=True)) / len(rows) for kind in kinds
    }
    text = ", ".join(f"{kind} {scores[kind]:.2f} ({100 * alike[kind]:.1f} % identical)" for kind in kinds)
    show(f"BLEU against the references: fairseq {scores['fairseq']:.2f}, CTranslate2 {text}")
    apart = max(abs(scores[kind] - scores["fairseq"]) for kind in kinds)
    near = apart <= BLEU_APART and alike["float32"] >= IDENTICAL
    require(near or accept, f"CTranslate2 and fairseq are {apart:.2f} BLEU apart and {100 * alike['float32']:.1f} % of "
                            f"the float32 translations are identical (at most {BLEU_APART}, at least "
                            f"{100 * IDENTICAL:.0f} %): use --engine fairseq, or --accept-difference")  # fmt: skip
    write_json(file, {"sentences": len(rows), "bleu": scores, "identical": alike})


@dataclass(frozen=True)
class Work:
    """What is the same for every shard."""

    out: Path
    settings: DecodeSettings
    settings_hash: str
    threads: int
    longest: int  # subwords of a source sentence, with its end


class Job(NamedTuple):
    """A shard's number, its row numbers, and their sources and keys."""

    number: int
    rows: Sequence[int]
    sources: list[list[str]]
    keys: list[str]


def run_shards(
    work: Work, makers: Sequence[Callable[[], Engine]], jobs: Sequence[Job], workers: int, progress: Progress
) -> None:
    """Decode the shards in processes of their own, each with its engine; one alone works in this process."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        try:
            for job in jobs:
                if not STATE:
                    start(makers, work, None)
                progress.add(decode_shard(job))
        finally:
            STATE.clear()
        return
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    with environment(OMP_NUM_THREADS=str(work.threads)):
        pool = ProcessPoolExecutor(workers, context, initializer=start, initargs=(makers, work, counter))
        try:
            with deaf_children():
                futures = [pool.submit(decode_shard, job) for job in jobs]
            for future in as_completed(futures):
                progress.add(future.result())
        except BrokenProcessPool:
            raise LskdError(f"one of {workers} worker processes ended, perhaps for want of memory: run again with "
                            "fewer --workers; finished shards are kept") from None  # fmt: skip
        except KeyboardInterrupt:
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started meanwhile do not hear Ctrl-C: this one does, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


STATE: dict[str, Any] = {}  # of this process


def start(makers: Sequence[Callable[[], Engine]], work: Work, counter: Any) -> None:
    """Build this process's engine; a worker process ends when its parent does."""
    number = 0
    parent = multiprocessing.parent_process()
    if counter is not None and parent is not None:
        threading.Thread(target=lambda: (wait_for_end([parent.sentinel]), os._exit(1)), daemon=True).start()
        with counter.get_lock():
            number, counter.value = counter.value, counter.value + 1
    with fairseq_io.quiet():
        STATE.update(engine=makers[number % len(makers)](), work=work)


def decode_shard(job: Job) -> int:
    """Translate and publish one shard; how many rows it has."""
    engine, work = STATE["engine"], STATE["work"]
    if work.settings.sampling:
        engine.reseed((work.settings.seed * 1_000_003 + job.number) % (1 << 31))
    short = [source for source in job.sources if 0 < len(source) < work.longest]
    found = iter(translate_all(engine, short, work.settings))
    translated = [next(found) if 0 < len(source) < work.longest else [] for source in job.sources]
    write_shard(work.out, job.number, (Row(row, key, work.settings_hash, tuple(hypotheses)) for row, key, hypotheses
                                       in zip(job.rows, job.keys, translated, strict=True)))  # fmt: skip
    return len(job.rows)


def slices(corpus: Corpus, rows: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Sources and keys of these rows."""
    return [corpus.sources[row] for row in rows], [corpus.keys[row] for row in rows]
