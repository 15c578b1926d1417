"""Small changes of a source sentence that leave its meaning: case, a typo, a missing stop, the sentence twice.

A change is drawn by a hash of the sentence, so that every model, machine and run is asked about the same sentences. A
sentence that a change leaves as it is, such as one of a script without case, is not measured under it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from lskd_nmt.data.bitext import normalised
from lskd_nmt.data.languages import is_unspaced
from lskd_nmt.evaluate.words import bare, is_sign

STOP = re.compile(r"\s*[.!?…。！？．।॥؟۔]+\s*$")
JOINERS = "\u200c\u200d"
LONG_ENOUGH = 4  # letters of a word with a typo
PREFIX = 0.75  # of a training source: what is left of it to find out whether its target is memorised

Change = Callable[[str, str], str]  # a line and its language -> the line as it is changed


@dataclass(frozen=True)
class Perturbation:
    """A change of the source, and what becomes of the translation by it."""

    name: str
    about: str
    change: Change
    expected: Change = lambda line, lang: line  # of the clean translation, and of the reference
    cased: bool = True  # False: capitals do not count in what is compared


def draw(name: str, line: str, choices: int) -> int:
    """A number from 0 below `choices`, by a hash of the line; `name` tells draws of one line apart."""
    digest = hashlib.sha256(f"{name}\n{line}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % choices


def upper(line: str, lang: str) -> str:
    """All in upper case."""
    return line.upper()


def lower(line: str, lang: str) -> str:
    """All in lower case."""
    return line.lower()


def first_letter(line: str, lang: str) -> str:
    """The other case for the first letter that has one."""
    for at, letter in enumerate(line):
        if letter != letter.swapcase():
            return line[:at] + letter.swapcase() + line[at + 1 :]
    return line


def no_stop(line: str, lang: str) -> str:
    """Without the punctuation that ends the sentence."""
    return STOP.sub("", line)


def doubled(line: str, lang: str) -> str:
    """The sentence twice."""
    return line + ("" if is_unspaced(lang) else " ") + line


def letters(word: str) -> list[str]:
    """A word as its letters, each with the accents and vowel marks that belong to it."""
    found: list[str] = []
    for character in word:
        belongs = unicodedata.category(character).startswith("M") or character in JOINERS or found[-1:] == ["\u200d"]
        if found and belongs:
            found[-1] += character
        else:
            found.append(character)
    return found


def typo(line: str, lang: str) -> str:
    """One word of four letters or more with two neighbouring letters exchanged, or one left out; not its first one.

    Which word, which letter and which of the two is drawn. Words with digits have none: a number would become another.
    """
    tokens = line.split(" ")
    places = [
        at
        for at, token in enumerate(tokens)
        if len(spelt := letters(bare(token))) >= LONG_ENOUGH and all(letter[0].isalpha() for letter in spelt)
    ]
    if not places:
        return line
    at = places[draw("typo word", line, len(places))]
    word = bare(tokens[at])
    tokens[at] = tokens[at].replace(word, mistyped(letters(word), line), 1)
    return " ".join(tokens)


def mistyped(word: list[str], line: str) -> str:
    """The word with one mistake, drawn by the line; two equal letters cannot be exchanged, so one is left out."""
    at = 1 + draw("typo letter", line, len(word) - 2)
    if draw("typo kind", line, 2) and word[at] != word[at + 1]:
        return "".join([*word[:at], word[at + 1], word[at], *word[at + 2 :]])
    return "".join([*word[:at], *word[at + 1 :]])


PERTURBATIONS: dict[str, Perturbation] = {
    each.name: each
    for each in (
        Perturbation("upper", "all in upper case", upper, cased=False),
        Perturbation("lower", "all in lower case", lower, cased=False),
        Perturbation("first_letter", "the other case for the first letter", first_letter, cased=False),
        Perturbation("typo", "two neighbouring letters exchanged, or one left out", typo),
        Perturbation("no_stop", "without the punctuation at the end", no_stop),
        Perturbation("doubled", "the sentence twice", doubled, expected=doubled),
    )
}


def perturbed(name: str, line: str, lang: str, lowercased: bool = False) -> str | None:
    """A source under the perturbation of that name; None where it changes nothing, or leaves nothing.

    `lowercased`: text of these data is lower-cased before it is translated.
    """
    changed = PERTURBATIONS[name].change(line, lang)
    changed = normalised(changed.lower() if lowercased else changed)
    return changed if changed and changed != line else None


def short_input(line: str, lang: str) -> str | None:
    """The longest word of a sentence, alone or with the word before it, as is drawn; None without letters.

    Where words are not separated by spaces: the first one or two characters of the longest part without punctuation.
    """
    found = [word for token in line.split(" ") if (word := bare(token)) and word[0].isalpha()]
    if is_unspaced(lang):
        found = "".join(" " if is_sign(character) else character for character in line).split()
    if not found:
        return None
    longest, both = max(range(len(found)), key=lambda at: (len(found[at]), -at)), draw("short", line, 2)
    if is_unspaced(lang):
        return "".join(letters(found[longest])[: 1 + both])
    return " ".join(found[max(0, longest - both) : longest + 1])


def prefix(line: str, lang: str) -> str | None:
    """The first three quarters of a source, rounded down to whole words; None if that is nothing, or all of it."""
    parts = letters(line) if is_unspaced(lang) else line.split(" ")
    kept = int(PREFIX * len(parts))
    return ("" if is_unspaced(lang) else " ").join(parts[:kept]).strip() or None
