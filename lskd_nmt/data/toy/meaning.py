"""The abstract sentence that English, German and Russian each put into words."""

from dataclasses import dataclass
from enum import Enum, auto

QUESTION_WORDS = ("when", "where", "why")
PRONOUNS = ("I", "he", "she", "we", "they")


class Tense(Enum):
    """Time and viewpoint of a clause, as English distinguishes them."""

    PRESENT = auto()  # simple present: habits and states
    PROGRESSIVE = auto()  # is reading
    PAST = auto()  # one event in the past
    PAST_HABIT = auto()  # read every day
    PAST_PROGRESSIVE = auto()  # was reading
    PERFECT = auto()  # has read
    FUTURE = auto()  # will read
    FUTURE_HABIT = auto()  # will read every day
    CONDITION = auto()  # simple present after `if`, about the future


ONGOING = {Tense.PRESENT, Tense.PROGRESSIVE, Tense.PAST_HABIT, Tense.PAST_PROGRESSIVE, Tense.FUTURE_HABIT}


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """`head` is a noun of the lexicon or one of PRONOUNS; an empty determiner is English's bare noun."""

    head: str
    determiner: str = ""  # the, a, this, my, our or none
    plural: bool = False
    adjective: str = ""
    possessor: "NounPhrase | None" = None  # instead of a determiner: "the teacher's"

    @property
    def indefinite(self) -> bool:
        """No particular one is meant: an apple, apples, milk."""
        return self.possessor is None and self.determiner in ("", "a")


@dataclass(frozen=True, slots=True)
class Adjunct:
    """A prepositional phrase; `relation` is the English preposition, `in` for any place, `to` for a goal."""

    relation: str
    phrase: NounPhrase


@dataclass(frozen=True, slots=True)
class Clause:
    """One verb and all that belongs to it; empty strings and None mean that the part is missing."""

    subject: NounPhrase
    verb: str
    tense: Tense
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    adjuncts: tuple[Adjunct, ...] = ()
    modal: str = ""  # can, must or want
    negated: bool = False
    frequency: str = ""  # often, never ... or already, just
    manner: str = ""
    time: str = ""
    time_first: bool = False
    adjective: str = ""  # with the verb `be` only
    degree: str = ""

    @property
    def is_past(self) -> bool:
        """What is told in the past; a perfect is told in the present."""
        return self.tense in (Tense.PAST, Tense.PAST_HABIT, Tense.PAST_PROGRESSIVE)

    @property
    def is_future(self) -> bool:
        """What `will` says."""
        return self.tense in (Tense.FUTURE, Tense.FUTURE_HABIT)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A main clause with at most one subordinate clause, or a question."""

    main: Clause
    link: str = ""  # that, because, if, when, although or while
    subordinate: Clause | None = None
    subordinate_first: bool = False
    question: str = ""  # yes-no, when, where or why


def finish(sentence: Sentence, main: list[str], subordinate: list[str], comma: str = ",") -> str:
    """The words of both clauses as one line, empty ones left out: a capital first, a full stop or question mark last.

    `comma` stands before a subordinate clause that comes second.
    """
    words = main
    if subordinate:
        words = [*subordinate, ",", *main] if sentence.subordinate_first else [*main, comma, *subordinate]
    text = " ".join(filter(None, words)).replace(" ,", ",")
    return text[0].upper() + text[1:] + ("?" if sentence.question else ".")
