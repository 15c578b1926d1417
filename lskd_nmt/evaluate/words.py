"""Words of text as it is written: where they begin and end, their numbers and names; in any script.

There are two readings of a line. `words` finds what stands between punctuation. `units` are what two texts are compared
by: without case, and of a language without spaces single characters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from lskd_nmt.data.languages import is_unspaced

Units = tuple[str, ...]

WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")
BEGINNING = re.compile(r"[.!?:;…]|[\"„“”«»(]$")  # between two words, where the second may begin a sentence
RUN = re.compile(r"[a-z0-9]+|[^a-z0-9]")  # in a script without spaces: a word in Latin letters, or a character
DIGITS = re.compile(r"\d+")


def words(line: str) -> list[str]:
    """The words of a line, without punctuation around them."""
    return WORD.findall(line)


def has_digit(word: str) -> bool:
    """Whether the word is a number, or part of it is."""
    return any(sign.isdigit() for sign in word)


def word_counts(lines: Sequence[str]) -> Counter[str]:
    """How often each word stands in these lines."""
    return Counter(word for line in lines for word in words(line))


def capitalised(line: str) -> set[str]:
    """Words of two letters or more with a capital, not at the beginning of a sentence."""
    found = list(WORD.finditer(line))
    return {
        after[0]
        for before, after in pairwise(found)
        if after[0][0].isupper() and len(after[0]) > 1 and not BEGINNING.search(line[before.end() : after.start()])
    }


def is_sign(character: str) -> bool:
    """Whether a character is no part of a word: punctuation, a symbol, a space or a control."""
    return unicodedata.category(character)[0] in "PSZC"


def bare(token: str) -> str:
    """A token without the signs at its two ends; the marks of a script, such as vowels, are part of the word."""
    if token.isalnum():
        return token
    inner = [at for at, character in enumerate(token) if not is_sign(character)]
    return token[inner[0] : inner[-1] + 1] if inner else ""


def units(line: str, lang: str) -> Units:
    """The words of a line in lower case, without the signs around them; characters where a language has no spaces."""
    found = [word for token in line.casefold().split() if (word := bare(token))]
    if not is_unspaced(lang):
        return tuple(found)
    return tuple(unit for word in found for unit in RUN.findall(word) if not is_sign(unit[0]))


def numbers(line: str) -> Counter[str]:
    """The runs of digits of a line, in ASCII: `1,000` is 1 and 000, as a comma in one language is a stop in another."""
    return Counter("".join(str(unicodedata.digit(digit)) for digit in run) for run in DIGITS.findall(line))


def length(line: str) -> int:
    """How many characters a line has without its spaces."""
    return len(line) - line.count(" ")
