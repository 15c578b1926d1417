"""Work that is divided among processes, whose results come in the order of the work."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing.connection import wait as wait_for_end
from typing import TypeVar

from lskd_nmt.errors import LskdError

Job = TypeVar("Job")
Result = TypeVar("Result")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}  # of each process, which are as many as cores


def in_order(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """What `work` makes of each job, in their order, in so many processes (0: one for each core).

    Only a few jobs for each process are made before they are asked for. One job alone, or one worker, needs no process.
    """
    count = workers or len(os.sched_getaffinity(0))
    jobs = iter(jobs)
    first = list(islice(jobs, 2))
    if count == 1 or len(first) < 2:
        yield from map(work, chain(first, jobs))
        return
    yield from in_processes(work, chain(first, jobs), count)


def in_processes(work: Callable[[Job], Result], jobs: Iterator[Job], count: int) -> Iterator[Result]:
    """See `in_order`."""
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=end_with_parent)
    waiting: deque[Future[Result]] = deque()
    with ending(pool, count):
        for job in jobs:
            with environment(**ONE_THREAD), ignore_sigint():
                waiting.append(pool.submit(work, job))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def ending(pool: ProcessPoolExecutor, workers: int, kept: str = "") -> Iterator[None]:
    """End a pool of worker processes with what is done inside, whatever ends that; `kept` is said of a dead worker."""
    try:
        yield
    except BrokenProcessPool:
        raise LskdError(
            f"one of {workers} worker processes ended, perhaps for want of memory: run again with fewer --workers{kept}"
        ) from None
    except KeyboardInterrupt:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def end_with_parent() -> None:
    """A worker ends when its parent does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait_for_end([parent.sentinel]), os._exit(1)), daemon=True).start()


@contextmanager
def ignore_sigint() -> Iterator[None]:
    """Processes that are started inside ignore Ctrl-C: this process receives it, and ends them."""
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
