"""Putting an abstract sentence into Russian: aspect, government, the genitive of negation, agreement in the past."""

from random import Random

from lskd_nmt.data.toy import russian_forms as forms
from lskd_nmt.data.toy import russian_grammar as grammar
from lskd_nmt.data.toy import russian_verbs as verbs
from lskd_nmt.data.toy.meaning import FUTURE_TENSES, PAST_TENSES, Adjunct, Clause, NounPhrase, Sentence, Tense, finish
from lskd_nmt.data.toy.tables import pick

QUESTION_WORDS = ("when", "where", "why")


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
        if phrase.head in grammar.PRONOUNS:
            return grammar.PRONOUNS[phrase.head][case], grammar.PRONOUN_KINDS.get(phrase.head, self.speaker_kind)
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
        self.own = grammar.OWNERS.get(subject.head, "")

    def adjunct(self, adjunct: Adjunct) -> str:
        """The preposition with the case that it governs."""
        if adjunct.relation in ("in", "to"):
            preposition = grammar.PLACES.get(adjunct.phrase.head, "в")
            return f"{preposition} {self.phrase(adjunct.phrase, 'loc' if adjunct.relation == 'in' else 'acc')}"
        options, case = grammar.GOVERNED[adjunct.relation]
        return grammar.with_preposition(pick(options, self.rng), self.phrase(adjunct.phrase, case))

    def finite(self, clause: Clause, aspect: verbs.Aspect, perfective: bool) -> list[str]:
        """The finite verb and the infinitives after it; the subject is set already."""
        person = "they" if self.kind == "pl" else "he"
        person = clause.subject.head if clause.subject.head in ("I", "we") else person
        be = verbs.LEXICON["be"][0].imperfective
        past = clause.tense in PAST_TENSES
        if clause.modal == "must":
            impersonal = self.must != grammar.MUST[0]
            head = self.must if impersonal else grammar.MUST_FORMS[self.kind]
            return [head, *([be.past["n" if impersonal else self.kind]] if past else []), aspect.infinitive]
        if clause.modal:
            modal = verbs.LEXICON[clause.modal][0].imperfective
            return [modal.past[self.kind] if past else modal.present[person], aspect.infinitive]
        if past or clause.tense is Tense.PERFECT:
            return [aspect.past[self.kind]]
        if not perfective and (clause.tense in FUTURE_TENSES or clause.tense is Tense.CONDITION):
            return [be.present[person], aspect.infinitive]
        return [aspect.present[person]]

    def doing(self, clause: Clause) -> tuple[list[str], list[str], list[str]]:
        """What stands before the finite verb, the finite verb, and the rest."""
        self.must = pick(grammar.MUST, self.rng) if clause.modal == "must" else ""
        self.set_subject(clause.subject, "dat" if self.must in grammar.MUST[1:] else "nom")
        moving = clause.verb == "go" and clause.tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE)
        verb = pick(verbs.LEXICON["go/now" if moving else clause.verb], self.rng)
        aspect = grammar.aspect_of(clause, verb)
        finite, *infinitives = self.finite(clause, aspect, aspect is verb.perfective)
        before = [] if clause.time_first else [self.adverb(clause.time)]
        before += ["ещё" if clause.negated and clause.tense is Tense.PERFECT else "", self.adverb(clause.frequency)]
        manner = self.adverb(clause.manner)
        rest = [*infinitives[:-1], manner, *infinitives[-1:]] if infinitives else []
        before.append("" if infinitives else manner)
        rest.append(verb.tail)
        rest += [self.phrase(clause.recipient, "dat")] if clause.recipient else []
        rest += [self.phrase(clause.object, grammar.object_case(clause, verb.government))] if clause.object else []
        rest += [self.adjunct(adjunct) for adjunct in clause.adjuncts]
        return before, [self.denial(clause), finite], rest

    def denial(self, clause: Clause) -> str:
        """The particle before the verb."""
        return "не" if clause.negated or clause.frequency == "never" else ""

    def being(self, clause: Clause) -> tuple[list[str], list[str], list[str]]:
        """No verb and the nominative in the present, the instrumental after был and будет."""
        self.set_subject(clause.subject, "nom")
        adjective = pick(forms.ADJECTIVES[clause.adjective], self.rng)
        be = verbs.LEXICON["be"][0].imperfective
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
        be = verbs.LEXICON["be"][0].imperfective
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
    words = speaker.clause(sentence.main, sentence.question)
    if sentence.subordinate:
        subordinate = [pick(forms.LINKS[sentence.link], rng), *speaker.clause(sentence.subordinate)]
        words = [*subordinate, ",", *words] if sentence.subordinate_first else [*words, ",", *subordinate]
    return finish([word for word in words if word], sentence.question)
