"""Loops: words or characters that follow themselves again and again, as decoders that are stuck write them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from lskd_nmt.data.filters.folding import folded, folded_words
from lskd_nmt.data.languages import is_unspaced

LONGEST = 400  # words or characters that are looked at
INSIDE = re.compile(r"(\w{2,}?)\1{3,}|(\w)\2{5,}")  # within a word: two characters or more four times, or one six times


def is_loop(source: str, target: str, langs: tuple[str, str]) -> bool:
    """Whether an n-gram of the target follows itself more often than any of the source does.

    If the source's most repeated n-gram stands s times in a row (1: nothing is repeated), the target is a loop with

    - one word s + 3 times in a row,
    - two to four words s + 2 times,
    - five words or more s + 1 times.

    Case and punctuation do not count. In a language without spaces characters take the place of words, and it is one
    character s + 5 times, two to four s + 3 times, five to nine s + 2 times, ten or more s + 1 times. In others a word
    is a loop by itself if two characters or more stand in it four times in a row, or one letter six times, and in no
    word of the source.
    """
    units = units_of(target, langs[1])
    runs = list(repetitions(units))
    if runs:
        usual = max((times for _, times in repetitions(units_of(source, langs[0]))), default=1)
        allowed = characters_allowed if is_unspaced(langs[1]) else words_allowed
        if any(times >= usual + allowed(size) for size, times in runs):
            return True
    return not is_unspaced(langs[1]) and has_loop_inside(target) and not has_loop_inside(source)


def units_of(text: str, lang: str) -> Sequence[str]:
    """The first words of a text, or its first characters."""
    return (folded(text) if is_unspaced(lang) else folded_words(text))[:LONGEST]


def words_allowed(size: int) -> int:
    """How many times more than in the source so many words must stand in a row to be a loop."""
    return 3 if size == 1 else 2 if size <= 4 else 1


def characters_allowed(size: int) -> int:
    """The same of characters."""
    return 5 if size == 1 else 3 if size <= 4 else 2 if size <= 9 else 1


def repetitions(units: Sequence[str]) -> Iterator[tuple[int, int]]:
    """For each n whose n-grams follow themselves at once: n, and the most times that one stands in a row."""
    if len(set(units)) == len(units):
        return
    places: dict[str, list[int]] = {}
    distances: Counter[int] = Counter()
    for at, unit in enumerate(units):
        before = places.setdefault(unit, [])
        distances.update(at - other for other in before)
        before.append(at)
    for size, equal in distances.items():
        times = longest_run(units, size) // size + 1 if equal >= size else 1
        if times > 1:
            yield size, times


def longest_run(units: Sequence[str], distance: int) -> int:
    """The most units in a row that equal the one so many places after them."""
    best = run = 0
    for unit, later in zip(units, units[distance:], strict=False):
        run = run + 1 if unit == later else 0
        best = max(best, run)
    return best


def has_loop_inside(text: str) -> bool:
    """Whether a word is made of repetitions; numbers are not looked at."""
    return any(len(word) >= 6 and not word.isdigit() and INSIDE.search(word) for word in text.casefold().split())
