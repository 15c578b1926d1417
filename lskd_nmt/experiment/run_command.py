"""Run one fairseq command with its log kept, its progress shown and its cost recorded."""

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lskd_nmt.experiment.records import Attempt, Costs, RunRecord
from lskd_nmt.storage.provenance import commit
from lskd_nmt.storage.typed import read_record, write_record

Reader = Callable[[str], str | None]  # a log line -> what to show for it
LAST_LINES = 15  # of the log, shown after a crash


def watch(
    command: Sequence[str],
    folder: Path,
    log: Path,
    progress: Reader,
    show: Callable[[str], None],
    more: Mapping[str, str] | None = None,
) -> int:
    """Run `command` in `folder`, append its output to `log`, show progress; its exit code (128 + N for signal N).

    `more` is added to its environment.

    The command writes the log itself, and what it said is there even if all processes are killed at once.
    """
    tail: deque[str] = deque(maxlen=LAST_LINES)
    explained = False
    # its folder's files, such as a random.py, are not taken for Python's own
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", **(more or {})}
    with (
        log.open("ab") as out,
        subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
            close_fds=False,
        ) as child,  # it keeps the step's locks: it may outlive this process
        forwarded_signals(child),
    ):
        for line in followed(log, out.tell(), child):
            tail.append(line.rstrip("\n"))
            is_error = ": error: " in line
            explained |= is_error
            text = line.rstrip("\n") if is_error else progress(line)
            if text is not None:
                show(text)
        code = child.wait()
    code = 128 - code if code < 0 else code
    if code not in (0, 2, 128 + signal.SIGTERM) or (code == 2 and not explained):
        show("\n".join([f"stopped with exit code {code}; the end of {log}:", *tail]))
    return code


def followed(log: Path, start: int, child: "subprocess.Popen[bytes]") -> Iterator[str]:
    """The lines that a child appends to its log, as they come, until it has ended."""
    with log.open("rb") as lines:
        lines.seek(start)
        part = b""
        while True:
            ended = child.poll() is not None
            while found := lines.readline():
                part += found
                if part.endswith(b"\n"):
                    yield part.decode(errors="replace")
                    part = b""
            if ended:
                break
            time.sleep(0.1)
        if part:
            yield part.decode(errors="replace")


@contextlib.contextmanager
def forwarded_signals(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Interrupts of this process end the child and all it started; what was recorded so far is still written."""

    def end(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Cost:
    """What the children run since it was made have cost, and on wish this process itself."""

    def __init__(self, own: bool = False) -> None:
        self.whose = (resource.RUSAGE_CHILDREN, *((resource.RUSAGE_SELF,) if own else ()))
        self.start, self.used = time.monotonic(), self.cpu_seconds()

    def cpu_seconds(self) -> float:
        """User and system time, of children once they have ended."""
        usages = map(resource.getrusage, self.whose)
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def measured(self) -> Costs:
        """Wall and CPU time, and the largest resident set of any one process."""
        kilobytes = max(resource.getrusage(who).ru_maxrss for who in self.whose)
        return Costs(
            wall_seconds=round(time.monotonic() - self.start, 1),
            cpu_seconds=round(self.cpu_seconds() - self.used, 1),
            peak_memory_mb=round(kilobytes * 1024 / 1e6),
        )


def record_attempt(
    file: Path, about: RunRecord, command: Sequence[str], code: int, costs: Costs, words_per_second: float | None
) -> None:
    """Write a model's run.json: what it is `about`, every attempt so far, and what they cost together.

    `costs` are the last attempt's, `words_per_second` the speed of all.
    """
    before = read_record(file, RunRecord).attempts if file.is_file() else ()
    attempts = (*before, Attempt(tuple(command), commit(), code, **vars(costs)))
    whole = replace(together(attempts), words_per_second=words_per_second)
    write_record(file, replace(about, attempts=attempts, **vars(whole)))


def together(attempts: Sequence[Attempt]) -> Costs:
    """Sums over the attempts, None where one does not know; peaks of those that do."""
    return Costs(
        wall_seconds=total([attempt.wall_seconds for attempt in attempts]),
        cpu_seconds=total([attempt.cpu_seconds for attempt in attempts]),
        gpu_hours=total([attempt.gpu_hours for attempt in attempts], digits=4),
        peak_memory_mb=most([attempt.peak_memory_mb for attempt in attempts]),
        peak_gpu_memory_mb=most([attempt.peak_gpu_memory_mb for attempt in attempts]),
    )


def total(values: Sequence[float | None], digits: int = 1) -> float | None:
    """The sum; None where a value is not known."""
    known = [value for value in values if value is not None]
    return round(sum(known), digits) if len(known) == len(values) else None


def most(values: Sequence[float | None]) -> float | None:
    """The largest value that is known, if any is."""
    return max((value for value in values if value is not None), default=None)
