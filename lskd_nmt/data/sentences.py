"""Where one sentence of a line ends and the next begins: the rules of Moses, and full-width and other scripts' ends.

In doubt a line is not cut: two sentences in one cost a model less than half of one does.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from lskd_nmt.data.languages import base_language, is_unspaced
from lskd_nmt.data.moses import abbreviations

WIDE = "。！？｡．"  # ends that need no space after them
OTHER = "।॥؟۔։።፧။។"  # of Hindi, Arabic and Urdu, Armenian, Amharic, Burmese, Khmer
OPENING = "'\"([{“„‚‘«»‹›¿¡–—-「『（《"
CLOSING = "'\")]}”’」』）】》〉＂"
EITHER = "“‘«»‹›"  # close in one language and open in another: they open what follows directly
COMMAS = ",;:、，；："  # and what else goes on with a sentence after its end mark in quotes
NEAR = 100  # characters after an end in which the next sentence must begin
SHORT = 4  # letters
NUMERIC = "#NUMERIC_ONLY#"  # Moses' word for an abbreviation only before a number: No. 5
CLOSE = rf"(?P<close>(?:[{re.escape(CLOSING)}]|[{EITHER}](?![^\W_]))*(?: »(?= ))?)"
MARKS = f".!?…{WIDE}{OTHER}"
END = re.compile(f"(?P<marks>[{MARKS}]+){CLOSE}")
GREEK_END = re.compile(f"(?P<marks>[{MARKS};]+){CLOSE}")  # whose question mark it is
ESCAPE = re.compile("&[a-z]+;")  # a quotation mark in Moses-tokenised text
# whose ordinal numbers have a dot: 3. Mai
ORDINALS = re.compile("bs|cs|da|de|et|eu|fi|hr|hu|is|lb|lt|lv|nb|nn|no|pl|sk|sl|sr|sv|tr")
QUOTED_ON = ("と", "って", "の", "は", "が", "を", "も")  # a Japanese sentence goes on after its quotation


def sentences(line: str, lang: str | None) -> list[str]:
    """The sentences of a normalised line, in order; together they are the line without the spaces between them.

    `lang` is the line's language; without one (None) a number with a dot never ends a sentence. What has no letter goes
    with what follows it, or with what is before it.
    """
    parts: list[str] = []
    begin, lowered = 0, line == line.lower()
    end = GREEK_END if lang and base_language(lang) == "el" else END
    for match in end.finditer(line):
        if match.end() < len(line) and _is_end(line, begin, match, lang, lowered):
            parts.append(line[begin : match.end()])
            begin = match.end() + (line[match.end()] == " ")
    parts.append(line[begin:])
    return [part for part in parts if part]


def _is_end(line: str, begin: int, match: re.Match[str], lang: str | None, lowered: bool) -> bool:
    """Whether a sentence that begins at `begin` ends with this match; something follows it.

    `lowered`: the line has no capitals that could tell.
    """
    marks, rest = match["marks"], line[match.end() : match.end() + NEAR]
    has_letters = any(line[at].isalpha() for at in range(begin, match.start()))
    if not has_letters or not any(map(str.isalpha, ESCAPE.sub("", rest))):
        return False
    start = rest.lstrip(OPENING + " ")[:1]
    if marks[-1] in WIDE + OTHER:
        decimal = marks == "．" and start.isdigit()
        quoted = bool(match["close"]) and rest.startswith(QUOTED_ON)
        return not decimal and not quoted and rest[0] not in COMMAS
    if not rest.startswith(" "):
        return marks[-1] in "!?" and _has_no_case(start)  # Chinese with half-width marks
    begins = lowered or start.isupper() or start.istitle() or start.isdigit() or _has_no_case(start)
    if not begins or marks != "." or match["close"]:
        return begins
    word = line[max(begin, line.rfind(" ", begin, match.start()) + 1) : match.start()].lstrip(OPENING)
    if word.isdigit() and line[begin : match.start() - len(word)].rstrip().endswith(tuple(".!?…")):
        return False  # of a list: 1. One thing. 2. Another
    return not _is_abbreviation(word, lang, start.isdigit(), lowered)


def _is_abbreviation(word: str, lang: str | None, before_number: bool, lowered: bool) -> bool:
    """Whether a dot after this word says nothing about the end of a sentence."""
    if word.isdigit():
        ordinals = lang is None or bool(ORDINALS.fullmatch(base_language(lang)))
        return ordinals and (len(word) < 3 or before_number)
    if "." in word and not any(map(str.isdigit, word)):
        return all(len(part) <= 3 for part in word.split("."))  # U.S, z.B, p.m; not example.com
    if len(word) == 1 and word.isalpha() and not _has_no_case(word):
        return True  # an initial
    if before_number and len(word) <= SHORT and word.isalpha() and not _has_no_case(word):
        return True  # Fig. 3, Tel. 030
    always, numeric = _abbreviations(lang and base_language(lang), lowered)
    return word in always or (before_number and word in numeric)


@lru_cache
def _abbreviations(lang: str | None, lowered: bool) -> tuple[frozenset[str], frozenset[str]]:
    """The abbreviations whose dot never ends a sentence, and those whose dot does not before a number."""
    found = [each.lower() if lowered and NUMERIC not in each else each for each in abbreviations(lang or "en")]
    numeric = {each.replace(NUMERIC, "").strip() for each in found if NUMERIC in each}
    return frozenset(found), frozenset({each.lower() for each in numeric} if lowered else numeric)


def _has_no_case(character: str) -> bool:
    """Whether a character is a letter of a script without capitals."""
    return character.isalpha() and character.lower() == character.upper()


def united(parts: Sequence[str], lang: str | None, whole: bool = True) -> str:
    """Translated parts of a line as one line; `whole`: they are sentences, not pieces of one.

    No space where the language `lang` has none; if that is not known (None), where the letters that meet are of a
    script that has none.
    """
    text = ""
    for part in filter(None, parts):
        text += (" " if text and _space_between(text[-1], part[0], lang, whole) else "") + part
    return text


# they have no space between words, and one between sentences
SPACED_SENTENCES = frozenset({"th", "lo", "km", "my"})
# Thai to Tibetan, Burmese, Khmer, CJK punctuation and kana, ideographs, full-width forms, rarer ideographs
UNSPACED_LETTERS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff65\U00020000-\U0003ffff]"
)


def _space_between(left: str, right: str, lang: str | None, whole: bool) -> bool:
    """Whether a space stands between two parts that end and begin with these characters."""
    if lang is None:
        return not (UNSPACED_LETTERS.match(left) or UNSPACED_LETTERS.match(right))
    if not is_unspaced(lang) or (left.isascii() and right.isascii()):  # Latin words in Chinese text
        return True
    return whole and base_language(lang) in SPACED_SENTENCES
