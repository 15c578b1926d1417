"""Drawing abstract sentences that make grammatical, and mostly plausible, sense."""

from dataclasses import replace
from random import Random

from lskd_nmt.data.toy import words
from lskd_nmt.data.toy.meaning import PRONOUNS, Adjunct, Clause, NounPhrase, Tense
from lskd_nmt.data.toy.words import Weighted

PRONOUN_SUBJECT = 0.32  # how much of the text has each of these
PLURAL = 0.22
ADJECTIVE = 0.4
POSSESSOR = 0.2  # of phrases with an article
MODAL = 0.18
NEGATION = 0.15

DETERMINERS = Weighted(("the", "a", "my", "this", "our"), (50, 26, 11, 8, 5))
UNOWNED_DETERMINERS = Weighted(("the", "a", "this"), (60, 30, 10))
BARE_DETERMINERS = Weighted(("", "the", "my", "this"), (5, 4, 1, 1))  # of what is not counted
KIN = ("brother", "sister")
KIN_DETERMINERS = Weighted(("my", "our"), (7, 3))
PRONOUN = Weighted(PRONOUNS, (3, 3, 3, 2, 2))
ASKED_PRONOUN = Weighted(("he", "she", "they"))  # nobody asks about himself
PERSONS = Weighted(words.nouns_with("person"))
BEINGS = Weighted(words.nouns_with("person", "animal"))
PLACES = Weighted(words.nouns_with("place"))
GOALS = Weighted([place for place in PLACES.items if place != "street"])
BUILDINGS = Weighted(words.nouns_with("building"))
CARRIED = Weighted(words.nouns_with("carried"))
OWNED = Weighted(words.nouns_with("goods", "animal", "given"))
DESCRIBED = Weighted(list(words.PREDICATES))
OBJECTS = {name: Weighted(words.nouns_with(*verb.object_tags)) for name, verb in words.VERBS.items()}
NEAR = Weighted(("near", "behind", "in front of"), (4, 3, 3))
FREQUENCIES = Weighted(words.FREQUENCIES)
DEGREES = Weighted(words.DEGREES)
SPEECH = Weighted(words.SPEECH)
TIMES = {tense: Weighted(times) for tense, times in words.TIMES.items()}
MODALS = Weighted(("can", "want", "must"), (4, 4, 3))
SIMPLE_TENSES = Weighted(
    (Tense.PAST, Tense.PRESENT, Tense.FUTURE, Tense.PERFECT, Tense.PROGRESSIVE, Tense.PAST_HABIT, Tense.FUTURE_HABIT),
    (32, 22, 15, 13, 10, 5, 3),
)
REASON_TENSES = Weighted((Tense.PAST, Tense.PRESENT, Tense.FUTURE), (5, 2, 2))
OPINION_TENSES = Weighted((Tense.PAST, Tense.FUTURE, Tense.PERFECT, Tense.PRESENT), (4, 3, 3, 1))
QUESTION_TENSES = Weighted((Tense.PAST, Tense.FUTURE, Tense.PERFECT, Tense.PROGRESSIVE), (5, 3, 2, 2))
FRAMES = Weighted(("", "that", "because", "if", "when", "although", "while", "question"), (52, 11, 10, 7, 6, 3, 3, 8))
QUESTIONS = Weighted(("yes-no", "when", "where", "why"), (5, 2, 2, 2))
UNDENIED = (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE, Tense.PAST_HABIT, Tense.FUTURE_HABIT)


def _actions_for(tense: Tense) -> list[str]:
    barred = {
        Tense.PERFECT: {"state"},
        Tense.PROGRESSIVE: {"state", "punctual"},
        Tense.PAST_PROGRESSIVE: {"state", "punctual"},
        Tense.CONDITION: {"state"},
    }.get(tense, set())
    return [name for name in words.ACTIONS if not barred & words.VERBS[name].traits]


ACTIONS = {tense: Weighted(_actions_for(tense)) for tense in Tense}
ASKED = {tense: Weighted([name for name in _actions_for(tense) if name != "love"]) for tense in Tense}
WILLED = Weighted([name for name in words.ACTIONS if "unwilled" not in words.VERBS[name].traits])
IN_A_PLACE = Weighted([name for name in words.ACTIONS if {"in"} & words.VERBS[name].traits])


def _determiners(noun: words.Noun) -> Weighted[str]:
    if noun.singular in KIN:
        return KIN_DETERMINERS
    if not noun.plural:
        return BARE_DETERMINERS
    return UNOWNED_DETERMINERS if "unowned" in noun.tags else DETERMINERS


class Author:
    """Draws the parts of one sentence; `detail` in (0, 1] thins out what may be left away."""

    def __init__(self, rng: Random, detail: float) -> None:
        self.rng, self.detail = rng, detail
        self.used: list[str] = []

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.rng.random() < probability

    def noun_phrase(self, heads: Weighted[str], singular: bool = False, definite: bool = False) -> NounPhrase:
        """A phrase about one of `heads` that the sentence has not yet named."""
        head = heads.draw(self.rng)
        for _ in range(3):
            if head not in self.used:
                break
            head = heads.draw(self.rng)
        self.used.append(head)
        noun = words.NOUNS[head]
        determiner = _determiners(noun).draw(self.rng)
        if definite and determiner in ("", "a"):
            determiner = "the"
        plural = bool(noun.plural) and not singular and head not in KIN and self.chance(PLURAL)
        described = head in words.ATTRIBUTES and self.chance(ADJECTIVE * self.detail)
        phrase = NounPhrase(
            head,
            "" if plural and determiner == "a" else determiner,
            plural,
            words.ATTRIBUTES[head].draw(self.rng) if described else "",
        )
        ownable = determiner == "the" and not {"person", "food", "drink", "unowned"} & set(noun.tags)
        if ownable and self.chance(POSSESSOR * self.detail):
            owner = self.noun_phrase(PERSONS, singular=True, definite=True)
            return replace(phrase, determiner="", possessor=replace(owner, adjective=""))
        return phrase

    def subject(self, heads: Weighted[str], definite: bool = False, asked: str = "") -> NounPhrase:
        """A pronoun or a noun phrase."""
        if self.chance(PRONOUN_SUBJECT):
            return NounPhrase((ASKED_PRONOUN if asked else PRONOUN).draw(self.rng))
        return self.noun_phrase(heads, definite=definite)

    def adjuncts(self, traits: frozenset[str], goal_only: bool) -> tuple[Adjunct, ...]:
        """At most one prepositional phrase, and the goal of verbs that need one."""
        if "to" in traits:
            return (Adjunct("to", self.noun_phrase(GOALS, singular=True, definite=True)),)
        fitting = [name for name in ("in", "for", "near", "with", "without") if name in traits]
        if goal_only or not fitting or not self.chance(0.5 * self.detail):
            return ()
        relation = fitting[int(self.rng.random() * len(fitting))]
        if relation == "near":
            return (Adjunct(NEAR.draw(self.rng), self.noun_phrase(BUILDINGS, singular=True, definite=True)),)
        if relation == "in":
            return (Adjunct("in", self.noun_phrase(PLACES, singular=True, definite=not self.chance(0.2))),)
        heads = CARRIED if relation == "without" else PERSONS
        return (Adjunct(relation, self.noun_phrase(heads, definite=relation != "without")),)

    def action(self, tense: Tense, name: str = "", modal: str = "", asked: str = "") -> Clause:
        """A clause with a verb of action, `name` if given; questions leave out what is asked for."""
        name = name or (WILLED if modal else ASKED[tense] if asked else ACTIONS[tense]).draw(self.rng)
        verb = words.VERBS[name]
        negated = not asked and tense not in UNDENIED and modal != "must" and self.chance(NEGATION)
        heads = BEINGS if "animal" in verb.traits and not modal else PERSONS
        clause = Clause(
            self.subject(heads, negated, asked),
            name,
            tense,
            object=self.noun_phrase(OBJECTS[name]) if verb.object_tags else None,
            recipient=self.noun_phrase(PERSONS, definite=True) if "recipient" in verb.traits else None,
            adjuncts=self.adjuncts(verb.traits, (negated and bool(verb.object_tags)) or asked == "where"),
            modal=modal,
            negated=negated,
        )
        return self.adverbs(clause, verb, asked)

    def adverbs(self, clause: Clause, verb: words.Verb, asked: str) -> Clause:
        """The clause with adverbs that its tense and verb allow."""
        frequency = manner = time = ""
        habit = clause.tense in (Tense.PRESENT, Tense.PAST_HABIT)
        if "lasting" in verb.traits or ("state" in verb.traits and habit):
            return clause
        if clause.tense is Tense.PERFECT and not clause.negated and self.chance(0.7):
            frequency = "already" if self.chance(0.7) else "just"
        elif habit and not clause.negated and not clause.modal and self.chance(0.6):
            frequency = FREQUENCIES.draw(self.rng)
        elif clause.tense in TIMES and asked != "when" and not (habit and clause.negated):
            needed = (habit or clause.tense is Tense.FUTURE_HABIT) and not clause.modal
            if needed or self.chance(0.5 * self.detail):
                time = "today" if clause.modal and habit else TIMES[clause.tense].draw(self.rng)
        time = "" if clause.negated and time == "soon" else time
        free = not (frequency or clause.negated or asked or clause.modal)
        if verb.manners and free and self.chance(0.25 * self.detail):
            manner = verb.manners[int(self.rng.random() * len(verb.manners))]
        first = bool(time) and not asked and self.detail == 1 and self.chance(0.3)
        return replace(clause, frequency=frequency, manner=manner, time=time, time_first=first)

    def being(self, tense: Tense, asked: str = "") -> Clause:
        """A clause with `be` and an adjective, in the present for a perfect."""
        tense = Tense.PRESENT if tense is Tense.PERFECT else tense
        subject = replace(self.noun_phrase(DESCRIBED, definite=True), adjective="")
        negated = not asked and self.chance(NEGATION)
        degree = "very" if negated else DEGREES.draw(self.rng) if self.chance(0.7) else ""
        adjective = words.PREDICATES[subject.head].draw(self.rng)
        return Clause(subject, "be", tense, negated=negated, adjective=adjective, degree=degree)

    def having(self, tense: Tense, asked: str = "") -> Clause:
        """A clause with `have` and an indefinite object, in the present for a perfect."""
        tense = Tense.PRESENT if tense is Tense.PERFECT else tense
        owned = self.noun_phrase(OWNED)
        determiner = "" if owned.plural else "a"
        owned = replace(owned, determiner=determiner, possessor=None)
        subject = self.subject(PERSONS, True, asked)
        return Clause(subject, "have", tense, object=owned, negated=not asked and self.chance(2 * NEGATION))
