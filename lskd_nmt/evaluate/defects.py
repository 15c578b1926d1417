"""What can be wrong with translations beside their score, counted sentence by sentence: one table of measures.

A measure is a share: of sentences that have a defect, or of words that do or do not have what is wanted. It gives a
numerator and a denominator for each sentence, so that a share of any sample of sentences is a division of two sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import require
from lskd_nmt.evaluate.hallucination import is_echo, is_loop
from lskd_nmt.evaluate.memorised import Queries, Training
from lskd_nmt.evaluate.words import Units, capitalised, has_digit, numbers, units, words

Counts = NDArray[np.int64]  # (S, 2): numerator and denominator of each sentence


@dataclass(frozen=True)
class Translations:
    """Lines of a test set with the translations of one system."""

    sources: Sequence[str]
    references: Sequence[str]
    lines: Sequence[str]
    langs: tuple[str, str]
    training: Training
    queries: Queries

    def __post_init__(self) -> None:
        sizes = {len(self.sources), len(self.references), len(self.lines)}
        require(len(sizes) == 1, f"texts of {', '.join(map(str, sorted(sizes)))} lines: give lines of one test set")

    def of(self, lines: Sequence[str]) -> "Translations":
        """The same with another system's translations."""
        return replace(self, lines=lines)

    @cached_property
    def rows(self) -> list[tuple[Units, Units, Units]]:
        """Each sentence as units: translation, source and reference."""
        sides = ((self.lines, 1), (self.sources, 0), (self.references, 1))
        ours, source, reference = ([units(line, self.langs[side]) for line in lines] for lines, side in sides)
        return list(zip(ours, source, reference, strict=True))

    @property
    def texts(self) -> "zip[tuple[str, str, str]]":
        """Each sentence as text: translation, source and reference."""
        return zip(self.lines, self.sources, self.references, strict=True)


@dataclass(frozen=True)
class Defect:
    """A measure of translations; `about` defines it in words."""

    name: str
    title: str
    about: str
    counts: Callable[[Translations], Counts]
    higher_is_better: bool = False
    needs_reference: bool = False  # the reference itself has none by definition


def flagged(flags: Sequence[bool]) -> Counts:
    """A defect that a sentence has or has not."""
    return np.stack([np.array(flags, dtype=np.int64), np.ones(len(flags), dtype=np.int64)], axis=1)


def shares(parts: Sequence[tuple[int, int]]) -> Counts:
    """So many of so many in each sentence."""
    return np.array(parts, dtype=np.int64).reshape(-1, 2)


def copies(each: Translations) -> Counts:
    """See `DEFECTS`."""
    return flagged([bool(ours) and ours == source != reference for ours, source, reference in each.rows])


def too_short(each: Translations) -> Counts:
    """See `DEFECTS`; a translation without words always is."""
    training, empty = each.training, [not ours for ours, _, _ in each.rows]
    pairs = zip(empty, each.texts, strict=True)
    return flagged([none or training.deviation(source, ours) < training.low for none, (ours, source, _) in pairs])


def too_long(each: Translations) -> Counts:
    """See `DEFECTS`."""
    training = each.training
    return flagged([training.deviation(source, ours) > training.high for ours, source, _ in each.texts])


def new_words(each: Translations) -> Counts:
    """See `DEFECTS`."""
    known = each.training.words
    plain = ([word for word in ours if not has_digit(word)] for ours, _, _ in each.rows)
    return shares([(sum(word not in known for word in line), len(line)) for line in plain])


def numbers_kept(each: Translations) -> Counts:
    """See `DEFECTS`."""
    sides = [(numbers(ours), numbers(source)) for ours, source, _ in each.texts]
    return shares([((ours & source).total(), source.total()) for ours, source in sides])


def names_kept(each: Translations) -> Counts:
    """See `DEFECTS`."""
    found = []
    for ours, source, reference in each.texts:
        names = capitalised(source) & set(words(reference))
        found.append((len(names & set(words(ours))), len(names)))
    return shares(found)


def memorised(each: Translations) -> Counts:
    """See `DEFECTS`."""
    return flagged([each.queries.answer(ours, source).is_memorised for ours, source, _ in each.rows])


def nearly_memorised(each: Translations) -> Counts:
    """See `DEFECTS`."""
    return flagged([each.queries.answer(ours, source).is_nearly_memorised for ours, source, _ in each.rows])


DEFECTS: dict[str, Defect] = {
    each.name: each
    for each in (
        Defect(
            "loops",
            "loops",
            "translations whose most frequent 4-gram stands at least two times more than any 4-gram of source and "
            "reference (Raunak et al. 2021)",
            lambda each: flagged([is_loop(*row) for row in each.rows]),
            needs_reference=True,
        ),
        Defect(
            "echoes",
            "words twice in a row",
            "translations in which one to four words stand directly behind themselves more often than in source and "
            "reference",
            lambda each: flagged([is_echo(*row) for row in each.rows]),
            needs_reference=True,
        ),
        Defect(
            "copies",
            "copies of the source",
            "translations with the words of the source in their order, unlike the reference",
            copies,
            needs_reference=True,
        ),
        Defect(
            "too_short",
            "too short",
            "translations shorter, beside their source, than all but one in a thousand training targets "
            "(Gale & Church 1993)",
            too_short,
        ),
        Defect("too_long", "too long", "the same, longer", too_long),
        Defect(
            "new_words",
            "words not in training",
            "words of the translations, without numbers, that no training target has",
            new_words,
        ),
        Defect(
            "numbers_kept",
            "numbers kept",
            "runs of digits of the source that the translation has, too",
            numbers_kept,
            higher_is_better=True,
        ),
        Defect(
            "names_kept",
            "names kept",
            "words with a capital inside a sentence of the source that the reference has alike, and that the "
            "translation has, too",
            names_kept,
            higher_is_better=True,
            needs_reference=True,
        ),
        Defect(
            "memorised",
            "memorised",
            "translations of five words or more that are a training target, none of whose sources is the source",
            memorised,
        ),
        Defect(
            "nearly_memorised",
            "nearly memorised",
            "translations of five words or more within a word of training targets, none of whose sources is within "
            "two words of the source",
            nearly_memorised,
        ),
    )
}
