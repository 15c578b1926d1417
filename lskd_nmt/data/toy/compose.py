"""Drawing whole sentences: which clauses go together, in which tenses."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

from lskd_nmt.data.toy import draw
from lskd_nmt.data.toy.draw import Author
from lskd_nmt.data.toy.meaning import Clause, Sentence, Tense
from lskd_nmt.data.toy.words import Weighted

FULL, SHORT = 1.0, 0.45  # detail of a lone clause, and of one of two
PAST_VIEWS = Weighted((Tense.PAST, Tense.PAST_PROGRESSIVE), (3, 2))


def _modal(author: Author, tense: Tense) -> Clause:
    return author.action(tense, modal=draw.MODALS.draw(author.rng))


def _simple(author: Author) -> Sentence:
    tense = Tense.PAST if author.chance(0.35) else Tense.PRESENT
    if author.chance(0.07):
        return Sentence(author.being(tense))
    if author.chance(0.09):
        return Sentence(author.having(tense))
    if author.chance(draw.MODAL):
        return Sentence(_modal(author, tense))
    return Sentence(author.action(draw.SIMPLE_TENSES.draw(author.rng)))


def _joined(main: Clause, link: str, subordinate: Clause, first: bool) -> Sentence:
    """Two clauses, of which at most one says when."""
    return Sentence(main, link, replace(subordinate, time="") if main.time else subordinate, first)


def _affirmed(clause: Clause) -> Clause:
    return replace(clause, negated=False)


def _circumstance(author: Author, tense: Tense) -> Clause:
    """What a reason or an obstacle is: a quality, a possession, a modal or an event."""
    if author.chance(0.3):
        return author.being(tense)
    if author.chance(0.2):
        return author.having(tense)
    if author.chance(0.2) and tense in (Tense.PAST, Tense.PRESENT):
        return _modal(author, tense)
    return author.action(tense)


def _because(author: Author) -> Sentence:
    tense = draw.REASON_TENSES.draw(author.rng)
    return _joined(author.action(tense), "because", _circumstance(author, tense), False)


def _although(author: Author) -> Sentence:
    first = author.chance(0.5)
    return _joined(author.action(Tense.PAST), "although", _circumstance(author, Tense.PAST), first)


def _that(author: Author) -> Sentence:
    main = Clause(author.subject(draw.PERSONS), draw.SPEECH.draw(author.rng), Tense.PRESENT)
    return Sentence(main, "that", _circumstance(author, draw.OPINION_TENSES.draw(author.rng)))


def _if(author: Author) -> Sentence:
    condition = author.action(Tense.CONDITION)
    main = _modal(author, Tense.PRESENT) if author.chance(0.25) else author.action(Tense.FUTURE)
    return _joined(main, "if", condition, author.chance(0.6))


def _at_once(author: Author, link: str) -> Sentence:
    """`when` and an event, or `while` and what went on."""
    span = _affirmed(author.action(Tense.PAST if link == "when" else Tense.PAST_PROGRESSIVE))
    main = _affirmed(author.action(PAST_VIEWS.draw(author.rng)))
    return _joined(main, link, span, author.chance(0.6))


def _question(author: Author) -> Sentence:
    kind = draw.QUESTIONS.draw(author.rng)
    if kind == "yes-no" and author.chance(0.25):
        tense = Tense.PAST if author.chance(0.3) else Tense.PRESENT
        return Sentence(author.being(tense, kind) if author.chance(0.5) else author.having(tense, kind), question=kind)
    tense = draw.QUESTION_TENSES.draw(author.rng)
    if (kind != "yes-no" and tense is Tense.PERFECT) or (kind == "when" and tense is Tense.PROGRESSIVE):
        tense = Tense.PAST
    name = draw.IN_A_PLACE.draw(author.rng) if kind == "where" else ""
    if tense is Tense.PROGRESSIVE and name not in ("", *draw.ACTIONS[tense].items):
        tense = Tense.PAST
    return Sentence(author.action(tense, name, asked=kind), question=kind)


FRAMES: dict[str, Callable[[Author], Sentence]] = {
    "because": _because,
    "although": _although,
    "that": _that,
    "if": _if,
    "when": partial(_at_once, link="when"),
    "while": partial(_at_once, link="while"),
}


def sentence(rng: Random) -> Sentence:
    """One abstract sentence."""
    frame = draw.FRAMES.draw(rng)
    if frame in FRAMES:
        return FRAMES[frame](Author(rng, SHORT))
    author = Author(rng, FULL)
    return _question(author) if frame == "question" else _simple(author)
