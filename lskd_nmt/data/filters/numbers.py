"""Numbers and addresses that a translation lost, or invented."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection

ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"'）」』，。、]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:[.,'’٫٬\u00a0\u202f]\d+)*")
ESCAPED = re.compile(r"&#x?[\da-f]+;", re.IGNORECASE)  # a sign, such as a bracket in Moses' text
SEPARATOR = re.compile(r"\D")
NUMERALS = re.compile("[一二三四五六七八九〇零]{2}|[十百千万萬億亿兆]")  # 一 alone is in every other sentence
AS_WORDS = {*range(32), *range(40, 101, 10), *range(200, 1001, 100), *(10**power for power in range(4, 13))}
FRACTION = re.compile(r"(?<=[.,'’٫٬])(\d{1,2})$")


def loses_numbers(source: str, target: str) -> bool:
    """Whether numbers, or addresses of the web and of mail, are not the same on both sides.

    Addresses are compared as they are, but for case and punctuation at their end. Outside of them all digits, of any
    script and not those of an escaped sign (&#91;), with separators between them (1,000.5) are a number; separators do
    not count, nor zeros before it and at the end of a fraction of one or two digits. If the numbers differ, so must the
    groups of digits between separators, which dates and hours part in other ways. One that is on one side alone, not
    only more often there, is a fault unless

    - it may be a word in the other language: 0 to 31 (as days are), tens to 100, hundreds to 1000, powers of ten;
    - it has a partner among those on the other side alone, that differs by a power of ten from 100 on (5 million,
      5,000,000), by 12 hours (3 pm, 15:00; 7.30 pm, 19.30), or by the century ('90s, 1990s);
    - the other side has a number in Chinese numerals, from ten on;
    - or it is in the target, and the source has no digits: then its numbers are words.
    """
    if addresses(source) != addresses(target):
        return True
    texts = [ADDRESS.sub(" ", ESCAPED.sub(" ", side)) for side in (source, target)]
    own, other = map(numbers, texts)
    if own == other or groups(texts[0]) == groups(texts[1]):
        return False
    lost, invented = own - other, other - own
    if any(not is_excused(number, invented) for number in lost) and not NUMERALS.search(texts[1]):
        return True
    return bool(own) and any(not is_excused(number, lost) for number in invented) and not NUMERALS.search(texts[0])


def addresses(text: str) -> Counter[str]:
    """Those of a text, in lower case."""
    if "@" not in text and "www." not in text.lower() and "://" not in text:
        return Counter()
    return Counter(found.lower().rstrip(".,;:!?)]}") for found in ADDRESS.findall(text))


def numbers(text: str) -> set[str]:
    """Each number's digits as ASCII, without separators and leading zeros."""
    return {ascii_digits(found).lstrip("0") or "0" for found in NUMBER.findall(text)}


def groups(text: str) -> set[str]:
    """The same of the groups of digits that all separators part, as those of a date or an hour."""
    return {ascii_digits(found).lstrip("0") or "0" for found in re.findall(r"\d+", text)}


def ascii_digits(number: str) -> str:
    """A number of any script without its separators, and without the zeros that end its fraction."""
    cut = FRACTION.sub(lambda found: found[1].rstrip("0٠"), number)
    return "".join(str(unicodedata.digit(digit)) for digit in SEPARATOR.sub("", cut))


def is_excused(number: str, others: Collection[str]) -> bool:
    """Whether a number that one side alone has is no fault; see `loses_numbers`."""
    return (len(number) <= 13 and int(number) in AS_WORDS) or any(is_same(number, other) for other in others)


def is_same(number: str, other: str) -> bool:
    """Whether two numbers may be the same one, written in other ways."""
    short, long = sorted((number, other), key=len)
    if len(long) > 15:
        return False
    values = sorted((int(number), int(other)))
    is_clock = any(
        values[1] - values[0] == 12 * unit and values[0] < 13 * unit for unit in (1, 10, 100)
    )  # 7, 7.3, 7.30
    is_century = len(short) == 2 and len(long) == 4 and long.endswith(short)
    is_scaled = len(long) - len(short) >= 2 and short + "0" * (len(long) - len(short)) == long
    return is_clock or is_century or is_scaled
