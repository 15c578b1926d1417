"""Translations that were made elsewhere, read beside their source: as plain text line by line, or as JSON Lines."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

from lskd_nmt.data.bitext import normalised
from lskd_nmt.data.text_files import TextFile
from lskd_nmt.errors import LskdError, one_line, reason, require
from lskd_nmt.teacher.source import TextHypothesis

PLAIN, JSONL = "plain", "jsonl"
LARGEST = 1e30  # score
SHOWN = 60  # characters of a line in an error
REMEDY = "translate the text again, or give the source that was translated"
EXAMPLE = '{"source": "…", "translation": "…"} or {"source": "…", "translations": ["…", "…"], "scores": [-0.1, -0.2]}'


@dataclass(frozen=True)
class Translated:
    """What is said of one source line; None what is not."""

    translations: list[TextHypothesis]
    source: str | None = None  # in plain text
    system: str | None = None
    prompt: str | None = None


def translated(source: TextFile, translations: TextFile, form: str) -> Iterator[tuple[str, Translated]]:
    """Each source line and its translations, normalised as training text is, while both files are read.

    `LskdError` names the first line that is no translation, or that of another source line, and files of other lengths.
    """
    lines, found = source.lines(), translations.lines()
    before = ""
    for line, text in zip_longest(lines, found):
        if line is None or text is None:  # one has ended, and the other is counted
            continue
        here, answer = normalised(line), answer_of(text, translations, form)
        if answer.source is not None and answer.source != here:
            number, after, second = source.count, normalised(next(lines, "")), None
            with suppress(LskdError):
                second = answer_of(next(found, ""), translations, form).source
            raise LskdError(misplaced(source, translations, number, (before, here, after), (answer.source, second)))
        before = here
        yield here, answer
    require(
        source.count == translations.count,
        f"{source.shown} has {source.count} lines and {translations.shown} has {translations.count}: "
        "line i of one must translate line i of the other",
    )


def misplaced(
    source: TextFile,
    translations: TextFile,
    number: int,
    lines: tuple[str, str, str],
    found: tuple[str, str | None],
) -> str:
    """What is wrong with the translation of a line of another text than it should be.

    `lines` are the source lines before, at and after `number`; `found` what is translated there and in the next line.
    """
    before, here, after = lines
    what = "it was edited, or is of another text"
    if found[0] == after:
        what = "it and the next are swapped" if found[1] == here else f"the translation of line {number} is missing"
    elif found[0] == before:
        what = f"that of line {number - 1} stands twice"
    given, wanted = (one_line(text, SHOWN) for text in (found[0], here))
    return (
        f"{translations.shown} line {number} translates '{given}' and line {number} of {source.shown} is '{wanted}' "
        f"({what}): {REMEDY}"
    )


def answer_of(text: str, file: TextFile, form: str) -> Translated:
    """What a line of translations says; `LskdError` names a line of JSON that says nothing."""
    if form == PLAIN:
        return Translated([TextHypothesis(normalised(text), None)])
    try:
        return of_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, UnfitError) else reason(error)
        raise LskdError(f"{file.shown} line {file.count} is no translation ({why}): give {EXAMPLE}") from None


class UnfitError(ValueError):
    """Why JSON is no translation."""


def of_json(content: object) -> Translated:
    """What an object of JSON says; `UnfitError` if it is not one of the forms of `EXAMPLE`."""
    if not isinstance(content, Mapping):
        raise UnfitError("it is no object")
    source, one, several = (content.get(name) for name in ("source", "translation", "translations"))
    if not isinstance(source, str):
        raise UnfitError("'source' is not text" if "source" in content else "it lacks 'source'")
    if (one is None) == (several is None):
        raise UnfitError("it needs either 'translation' or 'translations'")
    texts = [one] if several is None else several
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UnfitError("'translation' is not text" if several is None else "'translations' is no list of text")
    given = content.get("score") if several is None else content.get("scores", content.get("score"))
    scores = [given] * len(texts) if given is None else [given] if several is None else given
    if not isinstance(scores, list) or len(scores) != len(texts) or not all(map(is_score, scores)):
        raise UnfitError("it has not one finite 'score' for each translation")
    hypotheses = [
        TextHypothesis(normalised(text), None if score is None else float(score))
        for text, score in zip(texts, scores, strict=True)
    ]
    return Translated(hypotheses, normalised(source), said(content, "system"), said(content, "prompt"))


def is_score(value: object) -> bool:
    """Whether a value is a finite number, or null."""
    if value is None or isinstance(value, bool):
        return value is None
    return isinstance(value, int | float) and abs(value) < LARGEST


def said(content: Mapping[str, object], name: str) -> str | None:
    """A text that may lack."""
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise UnfitError(f"'{name}' is not text")
    return None if value is None else normalised(value)
