"""How far a long piece of work is, how fast, and how long it will take."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

EVERY = 10  # seconds between two lines


Show = Callable[[str], None]  # shows a line to a person


class Progress:
    """Says every ten seconds how far the work is; what an earlier call did counts as done, not as speed."""

    def __init__(
        self,
        total: float,
        unit: str,
        show: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        brief: bool = True,
    ) -> None:
        """`unit` is what is counted, in the plural; with an infinite total nothing is said of what is left.

        `brief`: the end is told of work of less than ten seconds, too.
        """
        self.total, self.unit, self.show, self.clock, self.tells_end = total, unit, show, clock, brief
        self.there = self.done = 0
        self.start = self.shown = clock()

    def skip(self, count: int) -> None:
        """What is there already."""
        self.there += count

    def add(self, count: int) -> None:
        """What was just done."""
        self.done += count
        now, there = self.clock(), self.there + self.done
        is_end = self.tells_end and there >= self.total
        if now - self.shown < EVERY and not is_end:
            return
        self.shown, self.tells_end = now, True
        speed = self.done / max(now - self.start, 1e-9)
        if math.isinf(self.total):
            self.show(f"{there:,} {self.unit}, {speed:,.0f} a second")
            return
        left = (self.total - there) / speed / 60
        self.show(f"{there:,} of {self.total:,} {self.unit}, {speed:,.0f} a second, {left:.1f} minutes left")


@contextmanager
def waiting(what: str, show: Callable[[str], None], seconds: float = EVERY) -> Iterator[None]:
    """Says every ten seconds for how long a piece of work has taken that cannot tell how far it is."""
    start, over = time.monotonic(), Event()

    def speak() -> None:
        while not over.wait(seconds):
            show(f"{what}: {time.monotonic() - start:.0f} seconds so far")

    speaker = Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()
