"""What is not worth training on is dropped from a bitext, and counted under its reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.data.bitext import Pair, bitext, normalised, words, write_bitext, written
from lskd_nmt.data.filters.screen import DUPLICATES, NAMES, Examples, Screen, ahead

Rows = NDArray[np.int64]  # numbers of lines, ascending from 0
DIGEST = 16  # bytes: of 20 million pairs two others have the same with a probability of 6e-25
REMEDIES = {
    "empty": "one side of each is empty, so look at the files",
    "long": "give a larger --max-words",
    "ratio": "give a larger --max-ratio",
    **dict.fromkeys(NAMES, "leave the filter out of --filters, or look at what it drops from a part of the text"),
    "repeated": "the same pair stands in many lines, so give other text, or keep it (--keep-repeated)",
    "in valid or test": "the training text is the held-out text, so give other text, or keep it (--keep-repeated)",
}


@dataclass(frozen=True)
class Limits:
    """A side has 1 to `max_words` words, and neither more than `max_ratio` times the other's (0: any).

    Where a language is written without spaces its words are estimated; see `bitext.words`.
    """

    max_words: int
    max_ratio: float = 0


def clean(
    raw: str,
    out: Path,
    langs: Sequence[str],
    limits: Limits,
    held_out: Iterable[Pair] = (),
    distinct: bool = True,
    drop_empty: bool = True,
    done: Callable[[int], None] = lambda count: None,
    screen: Screen | None = None,
    examples: Examples | None = None,
) -> tuple[int, dict[str, int]]:
    """Write the pairs of the bitext `raw` that are worth training on as the bitext `out`, in order.

    Answers how many were kept, and how many dropped for which reason, the first that applies: a pair is out that is
    beyond the limits, that the filters of `screen` drop, that stands in `held_out`, or (if `distinct`) a second time in
    `raw`. Memory holds 16 bytes a pair. `examples` takes those that the limits, filters and held-out text drop.
    """
    keep = Filter(langs, limits, {digest(pair) for pair in held_out}, screen, examples)
    count = write_bitext(out, langs, keep.passed(bitext(raw, langs, drop_empty), done))
    rows = repeated(keep.digests) if distinct else np.array([], dtype=np.int64)
    if len(rows):
        keep.dropped["repeated"] = len(rows)
        for lang in langs:
            remove_lines(Path(f"{out}.{lang}"), rows)
    return count - len(rows), dict(keep.dropped)


class Filter:
    """Lets pairs pass that are within the limits and whose digests are not among the `tested` ones."""

    def __init__(
        self,
        langs: Sequence[str],
        limits: Limits,
        tested: Set[bytes],
        screen: Screen | None = None,
        examples: Examples | None = None,
    ) -> None:
        self.langs, self.limits, self.tested, self.screen = langs, limits, tested, screen
        self.examples = Examples(0) if examples is None else examples
        self.dropped: Counter[str] = Counter()  # pairs by the reason that they did not pass for
        self.digests = bytearray()  # of the pairs that passed, one behind the other

    def passed(self, pairs: Iterable[Pair], done: Callable[[int], None]) -> Iterator[Pair]:
        """The pairs that pass, in order; `done` hears of every pair."""
        for row, pair in enumerate(pairs if self.screen is None else ahead(pairs, self.screen.look)):
            done(1)
            reason = fault(pair, self.langs, self.limits) or (self.screen.reason(pair) if self.screen else "")
            own = b"" if reason else digest(pair)
            if own in self.tested:
                reason = "in valid or test"
            if not reason and self.screen is not None and self.screen.is_again(pair):
                reason = DUPLICATES
            if reason:
                self.dropped[reason] += 1
                self.examples.add(reason, row, pair)
                continue
            self.digests.extend(own)
            yield pair


def clean_lines(
    lines: Iterable[str], out: Path, lang: str, limits: Limits, unwanted: Callable[[str], str] = lambda line: ""
) -> tuple[int, dict[str, int]]:
    """Write the lines of a text that are worth translating to the file `out`, normalised, each once, in order.

    Answers how many were kept, and how many dropped for which reason, the first that applies: a line is out that is
    beyond the limits, is `unwanted` for a reason, or came before. Memory holds 16 bytes a line.
    """
    dropped: Counter[str] = Counter()
    digests = bytearray()
    with written(out) as stream:
        for line in map(normalised, lines):
            reason = fault([line], [lang], limits) or unwanted(line)
            if reason:
                dropped[reason] += 1
            else:
                digests.extend(digest([line]))
                stream.write(f"{line}\n".encode())
    rows = repeated(digests)
    if len(rows):
        dropped["repeated"] = len(rows)
        remove_lines(out, rows)
    return len(digests) // DIGEST - len(rows), dict(dropped)


def fault(pair: Sequence[str], langs: Sequence[str], limits: Limits) -> str:
    """Why a pair, or a line alone, is beyond the limits; nothing if it is not."""
    if not all(pair):
        return "empty"
    lengths = [words(side, lang) for side, lang in zip(pair, langs, strict=True)]
    if max(lengths) > limits.max_words:
        return "long"
    return "ratio" if limits.max_ratio and max(lengths) > limits.max_ratio * min(lengths) else ""


def digest(pair: Sequence[str]) -> bytes:
    """A hash of 128 bits; no side has a line feed."""
    return blake2b("\n".join(pair).encode(), digest_size=DIGEST).digest()


def repeated(digests: bytearray) -> Rows:
    """The rows whose 16 bytes stand in an earlier row too, in ascending order."""
    halves = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # keeps the order of equal rows
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for half in halves.T:
        ordered = half[order]
        same &= ordered[1:] == ordered[:-1]
    return np.sort(order[1:][same])


def remove_lines(file: Path, rows: Rows) -> None:
    """Write a file again without these lines."""
    out = iter(rows)
    next_out = int(next(out, -1))
    with file.open("rb") as source, written(file) as target:
        for number, line in enumerate(source):
            if number == next_out:
                next_out = int(next(out, -1))
            else:
                target.write(line)


def advice(dropped: Mapping[str, int]) -> str:
    """What to do about the reason that most pairs were dropped for."""
    return REMEDIES[max(dropped, key=lambda reason: dropped[reason])]
