"""What a training corpus says of translations: its words, its lengths, and whether they were learned by heart.

The corpus is read once, a pair at a time: memory grows with its words and with the translations, not with its pairs.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lskd_nmt.evaluate.words import Units, length, units

FEWEST = 5  # words of a translation that may count as memorised: shorter ones are common phrases
NEAR = 1  # words in which a translation may differ from a training target that it nearly is,
FAR = 2  # and words in which the sources may differ at most, that explains it
RARE = 0.001  # the share of training pairs on either side whose length is an outlier


@dataclass
class Found:
    """What the corpus has of one translation of one source; the example is its first training pair."""

    equal: bool = False  # to a training target
    equal_source: bool = False  # of which one has this source
    near: bool = False  # at most one word from a training target
    near_source: bool = False  # of which one has a source at most two words from this one
    example: tuple[str, str] | None = None

    @property
    def is_memorised(self) -> bool:
        """Whether it is a training target, and none of the sources of this target is the source that was translated."""
        return self.equal and not self.equal_source

    @property
    def is_nearly_memorised(self) -> bool:
        """Whether it is within a word of a training target, and no source of such a target is within two of its own."""
        return self.near and not self.near_source


@dataclass
class Queries:
    """Translations to be looked for among training targets, by halves that one changed word cannot touch both.

    A target of m words within a word of a translation of n has its first ⌊n/2⌋ words or all from there on.
    """

    found: dict[Units, dict[Units, Found]] = field(default_factory=dict)  # by translation and source
    heads: dict[tuple[int, Units], list[Units]] = field(default_factory=dict)
    tails: dict[tuple[int, Units], list[Units]] = field(default_factory=dict)

    def add(self, translation: Units, source: Units) -> None:
        """Look for this translation of this source, too."""
        if len(translation) < FEWEST:
            return
        if translation not in self.found:
            size, half = len(translation), len(translation) // 2
            self.heads.setdefault((size, translation[:half]), []).append(translation)
            self.tails.setdefault((size, translation[half:]), []).append(translation)
        self.found.setdefault(translation, {}).setdefault(source, Found())

    def answer(self, translation: Units, source: Units) -> Found:
        """What was found of it; nothing of what is too short."""
        return self.found.get(translation, {}).get(source) or Found()

    def near(self, target: Units) -> set[Units]:
        """The translations within a word of a training target."""
        size, near = len(target), set[Units]()
        for wanted in range(size - NEAR, size + NEAR + 1):
            half = wanted // 2
            for candidate in (
                *self.heads.get((wanted, target[:half]), ()),
                *self.tails.get((wanted, target[size - (wanted - half) :]), ()),
            ):
                if candidate not in near and distance(candidate, target, NEAR) <= NEAR:
                    near.add(candidate)
        return near

    def look(self, target: Units, pair: tuple[str, str], source_lang: str) -> None:
        """Compare a training pair with all translations."""
        if len(target) < FEWEST - NEAR:
            return
        for translation in self.near(target):
            theirs = units(pair[0], source_lang)
            for source, found in self.found[translation].items():
                apart = distance(source, theirs, FAR)
                found.near, found.near_source = True, found.near_source or apart <= FAR
                if translation == target:
                    found.equal, found.equal_source = True, found.equal_source or apart == 0
                found.example = found.example or pair


def distance(one: Sequence[str], other: Sequence[str], most: int) -> int:
    """Words that are to be changed, left out or put in to make the other of one (Levenshtein); above `most`: more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for above, mine in enumerate(one, 1):
        before, row[0] = row[0], above
        for at, theirs in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (mine != theirs))
        if min(row) > most:
            return most + 1
    return row[-1]


@dataclass(frozen=True)
class Training:
    """What a training corpus says: the words of its targets, and how long a target is beside its source.

    With l characters of source and target, d = (l_target − c · l_source) / √l_source for c = Σ l_target / Σ l_source:
    the scatter of lengths grows with the root of the length (Gale & Church 1993). `low` and `high` enclose all but one
    in a thousand pairs on either side.
    """

    pairs: int
    words: frozenset[str]
    ratio: float  # c
    low: float
    high: float

    def deviation(self, source: str, translation: str) -> float:
        """The length d of a translation beside its source."""
        return (length(translation) - self.ratio * length(source)) / math.sqrt(max(length(source), 1))


def read_training(pairs: Iterable[tuple[str, str]], langs: tuple[str, str], queries: Queries) -> Training:
    """Read a training corpus of (source, target) once, and answer the queries from it."""
    words, lengths = set[str](), array("l")
    for pair in pairs:
        target = units(pair[1], langs[1])
        words.update(target)
        lengths.extend(map(length, pair))
        queries.look(target, pair, langs[0])
    source, target_length = np.array(lengths, dtype=np.float64).reshape(-1, 2).T
    ratio = float(target_length.sum() / max(source.sum(), 1))
    deviations = (target_length - ratio * source) / np.sqrt(np.maximum(source, 1))
    low = np.quantile(deviations, RARE, method="lower")  # a pair's own, so that few pairs have no outlier
    high = np.quantile(deviations, 1 - RARE, method="higher")
    return Training(len(source), frozenset(words), ratio, float(low), float(high))
