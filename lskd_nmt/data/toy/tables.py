"""Reading the word tables, and the only two ways in which anything is drawn from them."""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

Item = TypeVar("Item")

FIRST_OF_TWO = 0.6  # how often the commoner of two synonyms is taken
FIRST_OF_THREE, SECOND_OF_THREE = 0.5, 0.3


def rows(text: str) -> list[list[str]]:
    """The lines of `text`, each cut at its bars; blank lines are skipped."""
    return [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.strip()]


def synonyms(text: str) -> dict[str, tuple[str, ...]]:
    """`key | word | word` per line: every key with its synonyms, the commonest first."""
    return {key: tuple(words) for key, *words in rows(text)}


def pick(options: Sequence[Item], rng: Random) -> Item:
    """One of one to three synonyms; earlier ones are likelier."""
    if len(options) == 1:
        return options[0]
    number = rng.random()
    if len(options) == 2:
        return options[number >= FIRST_OF_TWO]
    return options[(number >= FIRST_OF_THREE) + (number >= FIRST_OF_THREE + SECOND_OF_THREE)]


class Weighted(Generic[Item]):
    """A list to draw from; without weights the frequencies fall with the rank, as in real text."""

    def __init__(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> None:
        self.items = items
        self.cumulative = list(accumulate(weights or [1 / (rank + 4) for rank in range(len(items))]))

    def draw(self, rng: Random) -> Item:
        """One item, with its weight's probability."""
        return self.items[bisect(self.cumulative, rng.random() * self.cumulative[-1])]
