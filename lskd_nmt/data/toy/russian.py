"""Putting an abstract sentence into Russian: aspect, government, the genitive of negation, agreement in the past."""

from random import Random

from lskd_nmt.data.toy import russian_forms as forms
from lskd_nmt.data.toy.meaning import ONGOING, QUESTION_WORDS, Adjunct, Clause, NounPhrase, Sentence, Tense, finish
from lskd_nmt.data.toy.words import VERBS, pick

PRONOUNS = {
    "I": {"nom": "я", "gen": "меня", "dat": "мне"},
    "he": {"nom": "он", "gen": "него", "dat": "ему"},  # the genitive stands after `у` only
    "she": {"nom": "она", "gen": "неё", "dat": "ей"},
    "we": {"nom": "мы", "gen": "нас", "dat": "нам"},
    "they": {"nom": "они", "gen": "них", "dat": "им"},
}
PRONOUN_KINDS = {"he": "m", "she": "f", "we": "pl", "they": "pl"}  # the speaker's gender is drawn
OWNERS = {"I": "my", "we": "our"}  # whose possessive turns into свой
GOVERNED = {
    "with": (("с",), "ins"),
    "without": (("без",), "gen"),
    "for": (("для",), "gen"),
    "behind": (("за",), "ins"),
    "in front of": (("перед",), "ins"),
    "near": (("около", "возле", "недалеко от"), "gen"),
}
PLACES = {"station": "на", "street": "на", "kitchen": "на"}  # else `в`
MUST = ("должен", "нужно", "надо")  # the first agrees with its subject, the others take a dative
MUST_FORMS = {"m": "должен", "f": "должна", "n": "должно", "pl": "должны"}


def is_bare(phrase: NounPhrase) -> bool:
    """Milk or apples, without any determiner."""
    return not phrase.determiner and not phrase.possessor


def aspect_of(clause: Clause, verb: forms.Verb) -> forms.Aspect:
    """Perfective for one complete event; imperfective for what lasts, recurs, has no end point or is not wanted."""
    traits = VERBS[clause.verb].traits
    bare = clause.object is not None and is_bare(clause.object)
    if verb.perfective is None or ("activity" in traits and bare and clause.tense is not Tense.PERFECT):
        return verb.imperfective
    if clause.modal:
        return verb.imperfective if clause.modal == "want" and clause.negated else verb.perfective
    unperceived = clause.negated and "state" in traits and clause.is_past
    return verb.imperfective if clause.tense in ONGOING or unperceived else verb.perfective


def object_case(clause: Clause, government: str) -> str:
    """A bare object turns from the accusative to the genitive when a verb of action is denied."""
    denied = (clause.negated or clause.frequency == "never") and not clause.modal
    lasting = "lasting" in VERBS[clause.verb].traits
    bare = clause.object is not None and is_bare(clause.object)
    return "gen" if denied and bare and not lasting and government == "acc" else government


def with_preposition(preposition: str, phrase: str) -> str:
    """`со студентом`, but `с сестрой`: с grows a vowel before a hissing cluster."""
    cluster = phrase[0] in "сзшж" and phrase[1] not in "аеёиоуыэюя"
    return f"{'со' if preposition == 'с' and cluster else preposition} {phrase}"


class Speaker:
    """Renders one sentence; `rng` chooses among synonyms, and the gender of `I` once."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.speaker_kind = pick(("m", "f"), rng)
        self.subject, self.kind, self.own, self.must = "", "m", "", ""

    def adverb(self, concept: str) -> str:
        """One of the adverb's synonyms, or an empty string for none."""
        return pick(forms.ADVERBS[concept], self.rng) if concept else ""

    def noun_phrase(self, phrase: NounPhrase, case: str) -> tuple[str, str]:
        """The phrase in `case`, and its kind: m, f, n or pl."""
        if phrase.head in PRONOUNS:
            return PRONOUNS[phrase.head][case], PRONOUN_KINDS.get(phrase.head, self.speaker_kind)
        noun = pick(forms.NOUNS[phrase.head], self.rng)
        adjective = pick(forms.ADJECTIVES[phrase.adjective], self.rng) if phrase.adjective else ""
        determiner = "own" if phrase.determiner and phrase.determiner == self.own else phrase.determiner
        text = forms.phrase(noun, determiner, adjective, case, phrase.plural)
        if phrase.possessor:
            text += " " + self.phrase(phrase.possessor, "gen")
        return text, "pl" if phrase.plural else noun.gender

    def phrase(self, phrase: NounPhrase, case: str) -> str:
        """The phrase in `case`."""
        return self.noun_phrase(phrase, case)[0]

    def set_subject(self, subject: NounPhrase, case: str) -> None:
        """Fixes the words and the agreement of the clause's subject; `my` and `our` may mean `own` after it."""
        self.own = ""
        self.subject, self.kind = self.noun_phrase(subject, case)
        self.own = OWNERS.get(subject.head, "")

    def adjunct(self, adjunct: Adjunct) -> str:
        """The preposition with the case that it governs."""
        if adjunct.relation in ("in", "to"):
            preposition = PLACES.get(adjunct.phrase.head, "в")
            return f"{preposition} {self.phrase(adjunct.phrase, 'loc' if adjunct.relation == 'in' else 'acc')}"
        options, case = GOVERNED[adjunct.relation]
        return with_preposition(pick(options, self.rng), self.phrase(adjunct.phrase, case))

    def finite(self, clause: Clause, aspect: forms.Aspect, perfective: bool) -> list[str]:
        """The finite verb and the infinitives after it; the subject is set already."""
        person = "they" if self.kind == "pl" else "he"
        person = clause.subject.head if clause.subject.head in ("I", "we") else person
        be = forms.VERBS["be"][0].imperfective
        past = clause.is_past
        if clause.modal == "must":
            impersonal = self.must != MUST[0]
            head = self.must if impersonal else MUST_FORMS[self.kind]
            return [head, *([be.past["n" if impersonal else self.kind]] if past else []), aspect.infinitive]
        if clause.modal:
            modal = forms.VERBS[clause.modal][0].imperfective
            return [modal.past[self.kind] if past else modal.present[person], aspect.infinitive]
        if past or clause.tense is Tense.PERFECT:
            return [aspect.past[self.kind]]
        if not perfective and (clause.is_future or clause.tense is Tense.CONDITION):
            return [be.present[person], aspect.infinitive]
        return [aspect.present[person]]

    def doing(self, clause: Clause) -> tuple[list[str], list[str], list[str]]:
        """What stands before the finite verb, the finite verb, and the rest."""
        self.must = pick(MUST, self.rng) if clause.modal == "must" else ""
        self.set_subject(clause.subject, "dat" if self.must in MUST[1:] else "nom")
        moving = clause.verb == "go" and clause.tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE)
        verb = pick(forms.VERBS["go/now" if moving else clause.verb], self.rng)
        aspect = aspect_of(clause, verb)
        finite, *infinitives = self.finite(clause, aspect, aspect is verb.perfective)
        before = [] if clause.time_first else [self.adverb(clause.time)]
        before += ["ещё" if clause.negated and clause.tense is Tense.PERFECT else "", self.adverb(clause.frequency)]
        manner = self.adverb(clause.manner)
        rest = [*infinitives[:-1], manner, *infinitives[-1:]] if infinitives else []
        before.append("" if infinitives else manner)
        rest.append(verb.tail)
        rest += [self.phrase(clause.recipient, "dat")] if clause.recipient else []
        rest += [self.phrase(clause.object, object_case(clause, verb.government))] if clause.object else []
        rest += [self.adjunct(adjunct) for adjunct in clause.adjuncts]
        return before, [self.denial(clause), finite], rest

    def denial(self, clause: Clause) -> str:
        """The particle before the verb."""
        return "не" if clause.negated or clause.frequency == "never" else ""

    def being(self, clause: Clause) -> tuple[list[str], list[str], list[str]]:
        """No verb and the nominative in the present, the instrumental after был and будет."""
        self.set_subject(clause.subject, "nom")
        adjective = pick(forms.ADJECTIVES[clause.adjective], self.rng)
        be = forms.VERBS["be"][0].imperfective
        finite, case = "", "ins"
        if clause.tense is Tense.PRESENT:
            case = "nom"
        elif clause.tense is Tense.FUTURE:
            finite = be.present["they" if self.kind == "pl" else "he"]
        else:
            finite = be.past[self.kind]
        quality = forms.adjective_form(adjective, case, self.kind, False)
        return [], [finite], [self.denial(clause), self.adverb(clause.degree), quality]

    def having(self, clause: Clause) -> tuple[list[str], list[str], list[str]]:
        """`у` and the owner; what is owned is the subject, or a genitive if there is none of it."""
        assert clause.object is not None
        self.set_subject(clause.subject, "gen")
        self.subject = f"у {self.subject}"
        be = forms.VERBS["be"][0].imperfective
        owned, kind = self.noun_phrase(clause.object, "gen" if clause.negated else "nom")
        kind = "n" if clause.negated else kind
        if clause.tense is Tense.FUTURE:
            finite = be.present["they" if kind == "pl" else "he"]
        elif clause.tense is Tense.PRESENT:
            return [], ["нет" if clause.negated else "есть"], [owned]
        else:
            finite = be.past[kind]
        return [], [self.denial(clause), finite], [owned]

    def clause(self, clause: Clause, question: str = "") -> list[str]:
        """The words of a clause; yes-no questions may put the verb first, with ли."""
        build = {"be": self.being, "have": self.having}.get(clause.verb, self.doing)
        before, finite, rest = build(clause)
        opening = self.adverb(clause.time) if clause.time_first else ""
        if question in QUESTION_WORDS:
            opening = self.adverb(f"{question}?")
        inverted = question == "yes-no" and clause.verb != "be" and not clause.frequency
        if inverted and pick((False, True), self.rng):
            return [*finite, "ли", self.subject, *before, *rest]
        return [opening, self.subject, *before, *finite, *rest]


def render(sentence: Sentence, rng: Random) -> str:
    """The sentence in Russian, with synonyms drawn from `rng`."""
    speaker = Speaker(rng)
    main, subordinate = speaker.clause(sentence.main, sentence.question), list[str]()
    if sentence.subordinate:
        subordinate = [pick(forms.LINKS[sentence.link], rng), *speaker.clause(sentence.subordinate)]
    return finish(sentence, main, subordinate)
