"""A language model's answer, reduced to the translation by a rule that is stated here and counted.

In this order: the thoughts of a reasoning model (`<think>…</think>`) go, then lines of a code block's frame, then a
first line that only announces (it ends with a colon and others follow) or the word `Translation:`; of what remains the
first line stays, and loses a pair of quotation marks or asterisks around it unless the source has them, too.
"""

import re
from typing import NamedTuple

THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
FRAME = re.compile(r"^\s*```.*$", re.MULTILINE)
LABEL = re.compile(r"^\s*(?:\*\*)?translat(?:ion|ed text)(?:\*\*)?\s*:\s*(?:\*\*)?\s*", re.IGNORECASE)
QUOTES = [("“", "”"), ("„", "“"), ("„", "”"), ("«", "»"), ("»", "«"), ("‘", "’"), ("「", "」"), ("『", "』")]
QUOTES += [(mark, mark) for mark in ('"', "'", "`", "*")]


class Answer(NamedTuple):
    """The translation, and the names of the rules that took something away."""

    text: str
    stripped: tuple[str, ...]


def translation_of(answer: str, source: str) -> Answer:
    """The translation in a language model's answer."""
    found: list[str] = []

    def note(rule: str, before: str, after: str) -> str:
        if after.strip() != before.strip():
            found.append(rule)
        return after.strip()

    text = note("thoughts", answer, THOUGHTS.sub("", answer))
    text = note("frame", text, FRAME.sub("", text))
    first, _, rest = text.partition("\n")
    announces = first.rstrip(" *").endswith((":", "：")) and not source.rstrip().endswith((":", "：")) and rest.strip()
    text = note("announcement", text, rest if announces else text)
    text = note("announcement", text, text if LABEL.match(source) else LABEL.sub("", text))
    text = note("explanation", text, text.partition("\n")[0])
    text = note("quotation marks", text, without_quotes(text, source.strip()))
    return Answer(text, tuple(dict.fromkeys(found)))


def without_quotes(text: str, source: str) -> str:
    """The text without the marks around it, if there is a pair, none of them is inside, and the source has none."""
    if text.startswith("**") and text.endswith("**") and len(text) > 4 and not source.startswith("**"):
        text = text[2:-2].strip()
    for opening, closing in QUOTES:
        inside = text[1:-1]
        around = len(text) > 2 and text[0] == opening and text[-1] == closing
        if around and opening not in inside and closing not in inside and not quoted(source):
            return inside
    return text


def quoted(text: str) -> bool:
    """Whether the text stands in quotation marks of any kind."""
    return any(text[:1] == opening and text[-1:] == closing for opening, closing in QUOTES)
