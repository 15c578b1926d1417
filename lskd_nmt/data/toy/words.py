"""The words of words.txt: how they are read, how one of several is drawn, and which English words go together."""

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

from lskd_nmt.data.toy.meaning import Tense

Item = TypeVar("Item")

KINDS = ("m", "f", "n", "pl")  # which nouns tell apart: the plural knows no gender
FIRST_OF_TWO = 0.6  # how often the commoner of two synonyms is taken
FIRST_OF_THREE, SECOND_OF_THREE = 0.5, 0.3


def _read(text: str) -> dict[str, list[list[str]]]:
    sections: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append([cell.strip() for cell in line.split("|")])
    return sections


SECTIONS = _read(Path(__file__).with_name("words.txt").read_text(encoding="utf-8"))


def translations(section: str, language: str, make: Callable[[str], Item]) -> dict[str, tuple[Item, ...]]:
    """What `make` makes of each synonym of each concept, the commonest first; `language` is de or ru."""
    column = {"de": -2, "ru": -1}[language]
    return {row[0]: tuple(make(word.strip()) for word in row[column].split(",") if word) for row in SECTIONS[section]}


def forms(first: str, *others: str) -> list[str]:
    """`ча·й -я чаем` -> чай, чая, чаем: endings are put to the stem."""
    stem = first.partition("·")[0]
    return [first.replace("·", ""), *(stem + form[1:] if form.startswith("-") else form for form in others)]


def endings(cases: Sequence[str], table: str) -> dict[tuple[str, str], str]:
    """A row for each case with a word for each of KINDS, `/` between rows; `-` is no ending."""
    cells = [cell.removeprefix("-") for cell in table.replace("/", " ").split()]
    return dict(zip(product(cases, KINDS), cells, strict=True))


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


@dataclass(frozen=True)
class Noun:
    """An English noun; `plural` is empty where it is not counted."""

    singular: str
    plural: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Verb:
    """An English verb; `word` and `tail` are what is inflected and what follows it ("pick", "up")."""

    word: str
    tail: tuple[str, ...]
    past: str
    participle: str
    progressive: str
    object_tags: tuple[str, ...]
    traits: frozenset[str]
    manners: tuple[str, ...]


def _verb(name: str, inflected: str, object_tags: str, traits: str, manners: str, *_: str) -> Verb:
    word, *tail = name.split("/", maxsplit=1)[0].split()
    past, participle, progressive = inflected.split() or ("was", "been", "being")
    lists = tuple(object_tags.split()), frozenset(traits.split()), tuple(manners.split())
    return Verb(word, tuple(tail), past, participle, progressive, *lists)


NOUNS = {name: Noun(name, plural, frozenset(tags.split())) for name, plural, tags, *_ in SECTIONS["nouns"]}
VERBS = {row[0]: _verb(*row) for row in SECTIONS["verbs"] if any(row[1:5])}  # others are words of one language only
ADJECTIVES = [row[0] for row in SECTIONS["adjectives"]]
SPEECH = [name for name, verb in VERBS.items() if verb.object_tags == ("that",)]
ACTIONS = [name for name in VERBS if name not in (*SPEECH, "be", "have")]


def nouns_with(*tags: str) -> list[str]:
    """The nouns that carry one of the tags, the commonest first."""
    return [name for name, noun in NOUNS.items() if noun.tags & set(tags)]


def _adjectives(column: int) -> dict[str, Weighted[str]]:
    """For every noun the adjectives whose tags, in that column of the table, it meets."""
    table = {row[0]: set(row[column].split()) for row in SECTIONS["adjectives"]}
    chosen = {name: [each for each in table if table[each] & noun.tags] for name, noun in NOUNS.items()}
    return {name: Weighted(fitting) for name, fitting in chosen.items() if fitting}


ATTRIBUTES, PREDICATES = _adjectives(1), _adjectives(2)  # before the noun, and after `be`

EVENT_TIMES = ("yesterday", "last week", "this morning", "on Monday", "yesterday evening")
COMING_TIMES = ("tomorrow", "soon", "next week", "this evening", "on Monday")
HABIT_TIMES = ("every day", "every morning", "every evening", "in the summer", "on weekends")
TIMES = {
    Tense.PRESENT: HABIT_TIMES,
    Tense.PROGRESSIVE: ("now",),
    Tense.PAST: EVENT_TIMES,
    Tense.PAST_HABIT: HABIT_TIMES,
    Tense.PAST_PROGRESSIVE: ("yesterday", "this morning", "yesterday evening"),
    Tense.FUTURE: COMING_TIMES,
    Tense.FUTURE_HABIT: HABIT_TIMES,
    Tense.CONDITION: ("tomorrow", "next week", "on Monday"),
}
FREQUENCIES = ("often", "never", "always", "sometimes", "usually", "rarely")
DEGREES = ("very", "too", "quite")
