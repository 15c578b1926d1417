"""The filters that a user asks for, applied to sentence pairs in blocks; what goes is counted and shown by examples."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import TypeVar

from lskd_nmt.data.bitext import Pair, bitext, written
from lskd_nmt.data.filters import language
from lskd_nmt.data.filters.chatter import is_chatter
from lskd_nmt.data.filters.copies import is_copy
from lskd_nmt.data.filters.duplicates import Seen, near_key
from lskd_nmt.data.filters.length import is_far, typical_ratio
from lskd_nmt.data.filters.numbers import loses_numbers
from lskd_nmt.data.filters.repeats import is_loop
from lskd_nmt.errors import require

T = TypeVar("T")
Langs = tuple[str, str]

# name: whether a pair is to go, in the order in which they are asked
RULES: dict[str, Callable[[str, str, Langs], bool]] = {
    "copies": is_copy,
    "repeats": is_loop,
    "chatter": is_chatter,
    "numbers": lambda source, target, langs: loses_numbers(source, target),
}
LENGTH, LANGUAGE, DUPLICATES = "length", "language", "near-duplicates"
NAMES = (*RULES, LENGTH, LANGUAGE, DUPLICATES)
VERSION = "1"  # of the rules: what they drop changes with it
BLOCK = 512  # rows that are judged at a time
SAMPLE = 10_000  # pairs, about, that the typical ratio of lengths is taken of
EXAMPLES = 5  # of each reason
FILE = "dropped.jsonl"


def names_of(text: str) -> tuple[str, ...]:
    """The filters in a list with commas between, in the order of the table; `all` is all of them."""
    given = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in given if name not in (*NAMES, "all")]
    require(not unknown, f"--filters has {unknown[0] if unknown else ''}: one of {', '.join(NAMES)}, or all")
    return NAMES if "all" in given else tuple(name for name in NAMES if name in given)


def versions_of(names: Sequence[str]) -> dict[str, str]:
    """What decides each filter's answers."""
    return {name: f"{VERSION}, {language.version()}" if name == LANGUAGE else VERSION for name in names}


class Screen:
    """Says why a pair is not worth learning."""

    def __init__(self, names: Sequence[str], langs: Langs, typical: float = 1.0, both_sides: bool = False) -> None:
        """`typical` is the corpus' ratio of characters, see `length`; `both_sides`: the source may be at fault, too."""
        self.names, self.langs, self.typical, self.both_sides = tuple(names), langs, typical, both_sides
        self.judge = language.LanguageJudge(langs) if LANGUAGE in names else None
        self.seen = Seen()
        self.known: dict[Pair, str] = {}  # of the block that was looked at last

    def apart(self) -> "Screen":
        """One that goes on by itself."""
        found = copy(self)
        found.seen, found.known = self.seen.copy(), {}
        return found

    def look(self, pairs: Iterable[Pair]) -> None:
        """Judge the pairs of a block together, before they are asked for one by one."""
        given = list(dict.fromkeys(pairs))
        self.known = dict(zip(given, self.reasons(given), strict=True))

    def reason(self, pair: Pair) -> str:
        """Why a pair goes, or nothing."""
        found = self.known.get(pair)
        return self.reasons([pair])[0] if found is None else found

    def reasons(self, pairs: Sequence[Pair]) -> list[str]:
        """Why each pair goes, the first filter that applies, or nothing; duplicates are not looked for."""
        found = [self.rule(*pair) for pair in pairs]
        if self.judge is not None:
            for side in (0, 1) if self.both_sides else (1,):
                left = [at for at, reason in enumerate(found) if not reason]
                others = self.judge.is_other([pairs[at][side] for at in left], side)
                for at, is_other in zip(left, others, strict=True):
                    found[at] = LANGUAGE if is_other else ""
        return found

    def rule(self, source: str, target: str) -> str:
        """The first rule that speaks against a pair."""
        if not source or not target:
            return ""
        for name, is_fault in RULES.items():
            if name in self.names and is_fault(source, target, self.langs):
                return name
        return LENGTH if LENGTH in self.names and is_far(source, target, self.typical) else ""

    def is_again(self, pair: Pair) -> bool:
        """Whether a pair, which is learned otherwise, nearly was there before; it is remembered."""
        if DUPLICATES not in self.names:
            return False
        key = near_key(pair)
        if key in self.seen:
            return True
        self.seen.add(key)
        return False


def ahead(rows: Iterable[T], look: Callable[[list[T]], None], size: int = BLOCK) -> Iterator[T]:
    """The rows, passed on after a whole block of them was looked at."""
    block: list[T] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            look(block)
            yield from block
            block = []
    look(block)
    yield from block


def of_bitext(names: Sequence[str], raw: str, langs: Langs, count: int) -> Screen | None:
    """The filters for a bitext of so many lines, whose sides may both be at fault; None: no filter was asked for."""
    if not names:
        return None
    typical = typical_of(bitext(raw, langs, drop_empty=True), count) if LENGTH in names else 1.0
    return Screen(names, langs, typical, both_sides=True)


def typical_of(pairs: Iterable[Pair], count: int) -> float:
    """The typical ratio of lengths of so many pairs, from about ten thousand that lie evenly apart."""
    every = max(1, count // SAMPLE)
    return typical_ratio(pair for number, pair in enumerate(pairs) if number % every == 0)


class Examples:
    """The first pairs that went for each reason, and where they stood."""

    def __init__(self, count: int) -> None:
        """Keeps so many of each reason."""
        self.count = count
        self.kept: Counter[str] = Counter()
        self.found: list[dict[str, object]] = []

    def add(self, reason: str, row: int, pair: Pair) -> None:
        """A pair that goes; rows are counted from 0."""
        if self.kept[reason] < self.count:
            self.kept[reason] += 1
            self.found.append({"reason": reason, "row": row, "source": pair[0], "target": pair[1]})

    def write(self, file: Path) -> None:
        """As JSON Lines, the reasons in the order of their first examples."""
        order = list(dict.fromkeys(str(each["reason"]) for each in self.found))
        found = sorted(self.found, key=lambda each: order.index(str(each["reason"])))
        with written(file) as stream:
            stream.write("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in found).encode())
