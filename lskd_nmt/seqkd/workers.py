"""Processes that translate shards, each with an engine of its own."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from lskd_nmt import fairseq_io
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.corpus import Corpus
from lskd_nmt.seqkd.engines import translate_all
from lskd_nmt.seqkd.in_order import ending, environment, ignore_sigint
from lskd_nmt.seqkd.ledger import Row, shard_file, text_row, write_shard
from lskd_nmt.seqkd.text import TextLines
from lskd_nmt.teacher.source import TextTranslationSource, TranslationSource

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

Source = TranslationSource | TextTranslationSource
Makers = Sequence[Callable[[], Source]]


@dataclass(frozen=True)
class Work:
    """What is the same for every shard."""

    out: Path
    settings: DecodeSettings
    settings_hash: str
    threads: int
    longest: int  # subwords of a source sentence, with its end; of lines of text their translator decides


class Shard(NamedTuple):
    """A shard's number and its row numbers."""

    number: int
    rows: Sequence[int]


class Job(NamedTuple):
    """A shard's number, its row numbers, and their sources and keys."""

    number: int
    rows: Sequence[int]
    sources: list[list[str]]
    keys: list[str]

    def translated(self, engine: Source, work: Work) -> Iterator[Row]:
        """Its rows."""
        short = [source for source in self.sources if 0 < len(source) < work.longest]
        found = iter(translate_all(cast("TranslationSource", engine), short, work.settings))
        for row, key, source in zip(self.rows, self.keys, self.sources, strict=True):
            hypotheses = next(found) if 0 < len(source) < work.longest else []
            yield Row(row, key, work.settings_hash, tuple(hypotheses))


class TextJob(NamedTuple):
    """A shard's number, its row numbers, and their text."""

    number: int
    rows: Sequence[int]
    lines: list[str]

    def translated(self, engine: Source, work: Work) -> Iterator[Row]:
        """Its rows."""
        given = [line for line in self.lines if line]
        found = iter(cast("TextTranslationSource", engine).translate_text(given, work.settings))
        for row, line in zip(self.rows, self.lines, strict=True):
            yield text_row(row, line, work.settings_hash, next(found) if line else [])


def open_shards(work: Work, shards: Sequence[range], part: tuple[int, int], progress: Progress) -> list[Shard]:
    """The shards that part i of n has to do, (i, n); those that are there already count as done in `progress`."""
    found = []
    for number, rows in enumerate(shards):
        there = shard_file(work.out, number).is_file()
        mine = number % part[1] == part[0] - 1
        progress.total += len(rows) if there or mine else 0
        if there:
            progress.skip(len(rows))
        elif mine:
            found.append(Shard(number, rows))
    return found


def job_of(corpus: Corpus | TextLines, shard: Shard) -> Job | TextJob:
    """A shard with its text."""
    if isinstance(corpus, TextLines):
        return TextJob(*shard, corpus.lines(shard.rows))
    return Job(*shard, [corpus.sources[row] for row in shard.rows], [corpus.keys[row] for row in shard.rows])


def run_shards(
    work: Work,
    makers: Makers,
    corpus: Corpus | TextLines,
    shards: Sequence[Shard],
    workers: int,
    progress: Progress,
) -> None:
    """Decode the shards in processes of their own, each with its engine; one alone works in this process.

    Only the text of what the processes are at, and of as many shards that wait for them, is in memory.
    """
    workers = min(workers, len(shards))
    jobs = (job_of(corpus, shard) for shard in shards)
    if workers > 1:
        run_in_processes(work, makers, jobs, workers, progress)
        return
    try:
        for job in jobs:
            if not STATE:
                start(makers, work, None)
            progress.add(decode_shard(job))
    finally:
        STATE.clear()


def run_in_processes(
    work: Work,
    makers: Makers,
    jobs: Iterator[Job | TextJob],
    workers: int,
    progress: Progress,
) -> None:
    """Decode the jobs in so many processes; twice as many jobs are at work or wait, the others are not made yet."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    with environment(OMP_NUM_THREADS=str(work.threads)):
        pool = ProcessPoolExecutor(workers, context, initializer=start, initargs=(makers, work, counter))
        with ending(pool, workers, "; finished shards are kept"):
            waiting: set[Future[int]] = set()
            done: set[Future[int]] = set()
            while True:
                with ignore_sigint():
                    waiting |= {pool.submit(decode_shard, job) for job in islice(jobs, 2 * workers - len(waiting))}
                if not waiting:
                    break
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    progress.add(future.result())


class Worker(NamedTuple):
    """What a process translates with, and what it has to do."""

    engine: Source
    work: Work


STATE: list[Worker] = []  # of this process: one, once it was started


def start(makers: Makers, work: Work, counter: "Synchronized[int] | None") -> None:
    """Build this process's engine, of the device that is next by `counter`; a worker ends when its parent does."""
    number = 0
    parent = multiprocessing.parent_process()
    if counter is not None and parent is not None:
        threading.Thread(target=lambda: (wait_for_end([parent.sentinel]), os._exit(1)), daemon=True).start()
        with counter.get_lock():
            number, counter.value = counter.value, counter.value + 1
    with fairseq_io.quiet():
        STATE[:] = [Worker(makers[number % len(makers)](), work)]


def decode_shard(job: Job | TextJob) -> int:
    """Translate and publish one shard; how many rows it has."""
    engine, work = STATE[0]
    if work.settings.sampling:
        engine.reseed((work.settings.seed * 1_000_003 + job.number) % (1 << 31))
    write_shard(work.out, job.number, job.translated(engine, work))
    return len(job.rows)
