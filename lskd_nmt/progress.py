"""How far a long piece of work is, how fast, and how long it will take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

EVERY = 10  # seconds between two lines


class Progress:
    """Says every ten seconds how far the work is; what an earlier call did counts as done, not as speed."""

    def __init__(
        self, total: int, unit: str, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`unit` is what is counted, in the plural."""
        self.total, self.unit, self.show, self.clock = total, unit, show, clock
        self.there = self.done = 0
        self.start = self.shown = clock()

    def skip(self, count: int) -> None:
        """What is there already."""
        self.there += count

    def add(self, count: int) -> None:
        """What was just done."""
        self.done += count
        now, left = self.clock(), self.total - self.there - self.done
        if now - self.shown < EVERY and left > 0:
            return
        self.shown = now
        speed = self.done / max(now - self.start, 1e-9)
        self.show(
            f"{self.total - left:,} of {self.total:,} {self.unit}, {speed:,.0f} a second, "
            f"{left / speed / 60:.1f} minutes left"
        )


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
