"""Putting an abstract sentence into German: verb second, verb last, the brackets, and the order of the middle."""

from dataclasses import dataclass
from random import Random

from lskd_nmt.data.toy import german_forms as forms
from lskd_nmt.data.toy.meaning import QUESTION_WORDS, Adjunct, Clause, NounPhrase, Sentence, Tense, finish
from lskd_nmt.data.toy.words import pick

PRONOUNS = {"I": "ich", "he": "er", "she": "sie", "we": "wir", "they": "sie"}
GOVERNED = {
    "with": ("mit", "dat"),
    "without": ("ohne", "acc"),
    "for": ("für", "acc"),
    "behind": ("hinter", "dat"),
    "in front of": ("vor", "dat"),
    "near": ("in der Nähe", "gen"),
}
PLACES = {"station": "an", "street": "auf"}  # else `in`
GOALS = {"station": ("zu", "dat")}  # else `in` with the accusative
CONTRACTIONS = {"in dem": "im", "an dem": "am", "in das": "ins", "zu dem": "zum", "zu der": "zur"}


@dataclass(frozen=True)
class Predicate:
    """What opens and closes the bracket: main clauses split `finite` from `closing`."""

    finite: str
    closing: tuple[str, ...]
    particle: str = ""  # closes the bracket of a main clause, joins the finite verb of a subordinate one


class Speaker:
    """Renders one sentence; `rng` chooses among synonyms."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.government = ""

    def adverb(self, concept: str) -> str:
        """One of the adverb's synonyms, or an empty string for none."""
        return pick(forms.ADVERBS[concept], self.rng) if concept else ""

    def phrase(self, phrase: NounPhrase, case: str, determiner: str | None = None) -> str:
        """The noun phrase in `case`; `determiner` replaces its own."""
        if phrase.head in PRONOUNS:
            return PRONOUNS[phrase.head]
        noun = pick(forms.NOUNS[phrase.head], self.rng)
        adjective = pick(forms.ADJECTIVES[phrase.adjective], self.rng) if phrase.adjective else None
        own = "the" if phrase.possessor else phrase.determiner
        text = forms.phrase(noun, own if determiner is None else determiner, adjective, case, phrase.plural)
        return f"{text} {self.phrase(phrase.possessor, 'gen')}" if phrase.possessor else text

    def adjunct(self, adjunct: Adjunct) -> str:
        """The preposition with the case that it governs."""
        head = adjunct.phrase.head
        if adjunct.relation == "in":
            preposition, case = PLACES.get(head, "in"), "dat"
        elif adjunct.relation == "to":
            preposition, case = GOALS.get(head, ("in", "acc"))
        else:
            preposition, case = GOVERNED[adjunct.relation]
        return contracted(f"{preposition} {self.phrase(adjunct.phrase, case)}")

    def predicate(self, clause: Clause, perfect_past: bool) -> Predicate:
        """The verb forms; `perfect_past` puts an event in the past into the perfect, as questions do."""
        verb = pick(forms.VERBS[clause.verb], self.rng)
        person = person_of(clause.subject)
        self.government = verb.government
        if clause.modal:
            modal = pick(forms.VERBS[clause.modal], self.rng)
            return Predicate(conjugated(modal, clause), (verb.particle + verb.infinitive,))
        if clause.is_future:
            return Predicate(forms.VERBS["will"][0].present(person), (verb.particle + verb.infinitive,))
        if clause.tense is Tense.PERFECT or (perfect_past and clause.verb not in ("be", "have")):
            auxiliary = forms.VERBS["be" if verb.with_sein else "have"][0]
            return Predicate(auxiliary.present(person), (verb.particle + verb.participle,))
        return Predicate(conjugated(verb, clause), (), verb.particle)

    def middle(self, clause: Clause) -> list[str]:
        """Everything between the brackets but the subject."""
        adverb = clause.frequency
        early, late = ("", adverb) if adverb in ("already", "just") else (adverb, "")
        time = "" if clause.time_first else self.adverb(clause.time)
        definite, negation, indefinite, last = self.objects(clause)
        when = [*definite, time] if clause.negated else [time, self.adverb(early), *definite]
        how = [self.adverb(late), *negation, self.adverb(clause.manner)]
        adjuncts = [self.adjunct(adjunct) for adjunct in clause.adjuncts]
        return [*when, *how, *indefinite, *adjuncts, *last, *self.quality(clause)]

    def objects(self, clause: Clause) -> tuple[list[str], list[str], list[str], list[str]]:
        """Definite objects, the negation (`kein` absorbs its `nicht`), indefinite and prepositional ones, in order."""
        negation = ["noch"] * (clause.tense is Tense.PERFECT) + ["nicht"] if clause.negated else []
        definite = [self.phrase(clause.recipient, "dat")] if clause.recipient else []
        if not clause.object:
            return definite, negation, [], []
        case = "acc" if self.government == "auf" else self.government
        denied = clause.negated and clause.object.indefinite
        text = self.phrase(clause.object, case, "no" if denied else None)
        negation = negation[:-1] if denied else negation
        if self.government == "auf":
            return definite, negation, [], [f"auf {text}"]
        if clause.object.indefinite:
            return definite, negation, [text], []
        return [*definite, text], negation, [], []

    def quality(self, clause: Clause) -> list[str]:
        """The adjective after `sein`, which does not agree."""
        if not clause.adjective:
            return []
        return [self.adverb(clause.degree), pick(forms.ADJECTIVES[clause.adjective], self.rng).predicate]

    def main(self, clause: Clause, question: str = "", after: bool = False) -> list[str]:
        """Verb second; the verb opens yes-no questions and main clauses after their subordinate clause."""
        predicate = self.predicate(clause, bool(question) and clause.tense is Tense.PAST)
        subject, middle = self.phrase(clause.subject, "nom"), self.middle(clause)
        closing = [*middle, *predicate.closing, predicate.particle]
        if question or after:
            opening = self.adverb(f"{question}?") if question in QUESTION_WORDS else ""
            return [opening, predicate.finite, subject, *closing]
        if clause.time_first:
            return [self.adverb(clause.time), predicate.finite, subject, *closing]
        return [subject, predicate.finite, *closing]

    def subordinate(self, link: str, clause: Clause) -> list[str]:
        """The finite verb comes last, joined to its particle."""
        predicate = self.predicate(clause, False)
        words = [self.phrase(clause.subject, "nom"), *self.middle(clause), *predicate.closing]
        return [pick(forms.LINKS[link], self.rng), *words, predicate.particle + predicate.finite]


def person_of(subject: NounPhrase) -> str:
    """ich, er or sie: the three forms that the verbs tell apart."""
    if subject.head == "I":
        return "ich"
    return "sie" if subject.plural or subject.head in ("we", "they") else "er"


def conjugated(verb: forms.Verb, clause: Clause) -> str:
    """The finite form in the present or the preterite."""
    person = person_of(clause.subject)
    return verb.preterite(person) if clause.is_past else verb.present(person)


def contracted(text: str) -> str:
    """`in dem Garten` -> `im Garten`."""
    first, second, rest = text.split(" ", 2) if text.count(" ") > 1 else (text, "", "")
    short = CONTRACTIONS.get(f"{first} {second}")
    return f"{short} {rest}" if short else text


def render(sentence: Sentence, rng: Random) -> str:
    """The sentence in German, with synonyms drawn from `rng`."""
    speaker, other = Speaker(rng), sentence.subordinate
    if other and sentence.subordinate_first:
        subordinate = speaker.subordinate(sentence.link, other)
        return finish(sentence, speaker.main(sentence.main, after=True), subordinate)
    main = speaker.main(sentence.main, sentence.question)
    return finish(sentence, main, speaker.subordinate(sentence.link, other) if other else [])
