"""Lines through an engine that works beside Python: cut into pieces, batched by length, answered in order.

Lines are read and cut into pieces while the engine's workers translate earlier ones. Pieces of some thousand subwords,
a window, are sorted by length into batches, and each worker has a few of these waiting. Reading goes on as far as input
is there: if nothing more is, and a worker has nothing to do, what was read is translated at once.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lskd_nmt.decode_settings import batches

DEPTH = 3  # batches of each worker that the engine knows of: one that it translates, and two that wait
WINDOW = 16  # batches
AHEAD = 4  # windows that are read before the first of their lines is answered, at most
GROUP = 64  # lines that are answered together, at most
SHORTEST, LONGEST = 0.0002, 0.01  # seconds between two looks at what is done


class Hypotheses(Protocol):
    """What CTranslate2 answers for one piece: the best hypotheses, as subwords, their scores, and their attention.

    The attention has a row for each subword of a hypothesis; it is empty where it was not asked for.
    """

    hypotheses: list[list[str]]
    scores: list[float]
    attention: list[list[list[float]]]


class Future(Protocol):
    """A piece's translation to be: CTranslate2's `AsyncTranslationResult`."""

    def done(self) -> bool:
        """Whether it is there."""

    def result(self) -> Hypotheses:
        """The translation; waits for it, and raises what went wrong."""


Begin = Callable[[list[list[str]]], Sequence[Future]]  # gives the engine a batch, and does not wait
Ready = Callable[[float | None], bool]  # see `answered`


class Piece(NamedTuple):
    """What is translated at once: subwords, and whether they end a sentence of the line."""

    subwords: list[str]
    ends: bool


@dataclass(slots=True)
class Line:
    """A line's pieces, and for each what the engine has promised, once it has been asked."""

    pieces: list[Piece]
    promised: list[Future | None]
    size: int  # in subwords with their ends, and one place for itself

    def is_done(self) -> bool:
        """Whether all pieces are translated."""
        return all(each is not None and each.done() for each in self.promised)

    def results(self) -> list[Hypotheses]:
        """The translations of the pieces; a line that is done has them all."""
        return [each.result() for each in self.promised if each is not None]


class Flight:
    """What was read and is not answered: the window, batches that wait, batches that the engine knows of."""

    def __init__(self, begin: Begin, workers: int, batch_tokens: int) -> None:
        """A batch has at most `batch_tokens` padded subwords, or one piece."""
        self.begin, self.workers, self.batch_tokens = begin, workers, batch_tokens
        self.lines: deque[Line] = deque()
        self.window: list[tuple[Line, int]] = []  # a piece: its line, and which of it
        self.size = self.ahead = 0  # of the window, and of all lines
        self.waiting: deque[list[tuple[Line, int]]] = deque()
        self.begun: list[Future] = []  # the last piece of each batch
        self.first = self.full = workers * batch_tokens  # the first windows are small, so that workers begin early
        self.most = batch_tokens * max(WINDOW, 4 * workers)  # of a window

    def add(self, pieces: list[Piece]) -> None:
        """The next line."""
        line = Line(pieces, [None] * len(pieces), 1 + sum(len(piece.subwords) + 1 for piece in pieces))
        self.lines.append(line)
        self.window += [(line, at) for at in range(len(pieces))]
        self.size += line.size
        self.ahead += line.size
        if self.size >= self.full:
            self.close()
            self.full = min(2 * self.full, self.most)

    def close(self) -> None:
        """Cut the window into batches, long pieces first."""
        sources = [line.pieces[at].subwords for line, at in self.window]
        self.waiting += [[self.window[at] for at in batch] for batch in batches(sources, self.batch_tokens)]
        self.window, self.size = [], 0

    def rest(self) -> None:
        """No more input is there for now: what was read goes to the workers, and the next window is small again."""
        self.close()
        self.full = self.first

    def feed(self) -> None:
        """Give the engine so many batches that no worker will have to wait for one."""
        while self.waiting and self.busy() < DEPTH * self.workers:
            batch = self.waiting.popleft()
            promised = self.begin([line.pieces[at].subwords for line, at in batch])
            for (line, at), future in zip(batch, promised, strict=True):
                line.promised[at] = future
            self.begun.append(promised[-1])

    def busy(self) -> int:
        """How many batches the engine has not done."""
        self.begun = [last for last in self.begun if not last.done()]
        return len(self.begun)

    def has_room(self) -> bool:
        """Whether to read on."""
        return len(self.waiting) < 2 * self.workers and self.ahead < AHEAD * self.most

    def is_idle(self) -> bool:
        """Whether a worker has nothing to do."""
        return not self.waiting and self.busy() < self.workers

    def landed(self) -> list[Line]:
        """The next lines that are done, in order; at most `GROUP`."""
        found: list[Line] = []
        while self.lines and len(found) < GROUP and self.lines[0].is_done():
            found.append(self.lines.popleft())
            self.ahead -= found[-1].size
        return found


def always(seconds: float | None) -> bool:
    """Of lines that are simply there: the next one can be had without waiting."""
    return True


def answered(
    lines: Iterable[str], cut: Callable[[str], list[Piece]], flight: Flight, ready: Ready = always
) -> Iterator[list[Line]]:
    """The lines in order, in groups, each as soon as it is translated.

    `ready(seconds)` says whether the next line, or the end, can be had without waiting, after so many seconds at most;
    with None it waits as long as it takes. An error of `lines` is raised when what was read before it is answered.
    """
    source, is_open, failure, pause = iter(lines), True, None, SHORTEST
    while is_open or flight.lines:
        if group := flight.landed():
            yield group
            pause = SHORTEST
        flight.feed()
        reads = is_open and flight.has_room()
        if reads and ready(0 if flight.lines else None):
            try:
                flight.add(cut(next(source)))
            except Exception as error:
                is_open, failure = False, error
                flight.close()
        elif reads and flight.window and flight.is_idle():
            flight.rest()
        elif not group:
            (ready if reads else time.sleep)(pause)
            pause = min(1.5 * pause, LONGEST)
    if not isinstance(failure, StopIteration | None):
        raise failure
