"""Putting an abstract sentence into English: auxiliaries, agreement, articles."""

from lskd_nmt.data.toy.meaning import QUESTION_WORDS, Clause, NounPhrase, Sentence, Tense, finish
from lskd_nmt.data.toy.words import NOUNS, VERBS

PREPOSITIONS = {"station": "at", "street": "on"}  # else `in`
THIRD_PERSON = {"have": "has", "go": "goes", "wash": "washes"}  # else -s


def noun_phrase(phrase: NounPhrase) -> str:
    """The phrase with its article, possessor and adjective; pronouns as they are."""
    if phrase.head not in NOUNS:
        return phrase.head
    noun = NOUNS[phrase.head]
    words = [phrase.adjective, noun.plural if phrase.plural else noun.singular]
    rest = " ".join(filter(None, words))
    if phrase.possessor:
        return f"{noun_phrase(phrase.possessor)}'s {rest}"
    determiner = phrase.determiner
    if determiner == "a":
        determiner = "an" if rest[0] in "aeiou" else "a"
    elif determiner == "this" and phrase.plural:
        determiner = "these"
    return f"{determiner} {rest}" if determiner else rest


def _singular(subject: NounPhrase) -> bool:
    return not subject.plural and subject.head not in ("I", "we", "they")


def _be(subject: NounPhrase, past: bool) -> str:
    if past:
        return "was" if _singular(subject) or subject.head == "I" else "were"
    return "am" if subject.head == "I" else "is" if _singular(subject) else "are"


def _modal(clause: Clause) -> tuple[str, str]:
    base = VERBS[clause.verb].word
    past = clause.is_past
    if clause.modal == "can":
        return "could" if past else "can", base
    if clause.modal == "must" and not past:
        return "must", base
    head = "had" if clause.modal == "must" else "wanted" if past else "wants" if _singular(clause.subject) else "want"
    return "", f"{head} to {base}"


def _predicate(clause: Clause) -> tuple[str, str]:
    """The auxiliary (or an empty string) and the main verb, inflected."""
    verb, tense = VERBS[clause.verb], clause.tense
    if clause.modal:
        return _modal(clause)
    if clause.is_future:
        return "will", verb.word
    if clause.verb == "be":
        return _be(clause.subject, clause.is_past), ""
    if tense is Tense.PERFECT:
        return "has" if _singular(clause.subject) else "have", verb.participle
    if tense in (Tense.PROGRESSIVE, Tense.PAST_PROGRESSIVE):
        return _be(clause.subject, clause.is_past), verb.progressive
    present = THIRD_PERSON.get(verb.word, verb.word + "s") if _singular(clause.subject) else verb.word
    return "", verb.past if clause.is_past else present


def _supported(clause: Clause) -> tuple[str, str]:
    """The same with `do`, which negation and questions need where there is no auxiliary."""
    auxiliary, main = _predicate(clause)
    if auxiliary:
        return auxiliary, main
    base = VERBS[clause.verb].word
    if clause.modal:
        base = f"{'want' if clause.modal == 'want' else 'have'} to {base}"
    if clause.is_past:
        return "did", base
    return "does" if _singular(clause.subject) else "do", base


def _after_verb(clause: Clause) -> list[str]:
    words = [*VERBS[clause.verb].tail, clause.degree, clause.adjective]
    words += [noun_phrase(phrase) for phrase in (clause.recipient, clause.object) if phrase]
    for adjunct in clause.adjuncts:
        relation = PREPOSITIONS.get(adjunct.phrase.head, "in") if adjunct.relation == "in" else adjunct.relation
        words += [relation, noun_phrase(adjunct.phrase)]
    if clause.negated and clause.tense is Tense.PERFECT:
        words.append("yet")
    return [*words, "" if clause.time_first else clause.time]


def _clause(clause: Clause, question: str = "") -> list[str]:
    auxiliary, main = _supported(clause) if clause.negated or question else _predicate(clause)
    negation = "not" if clause.negated else ""
    if (auxiliary, negation) == ("can", "not"):
        auxiliary, negation = "cannot", ""
    middle = [negation, clause.frequency, clause.manner, main, *_after_verb(clause)]
    subject = noun_phrase(clause.subject)
    if question:
        return [question if question in QUESTION_WORDS else "", auxiliary, subject, *middle]
    return [clause.time if clause.time_first else "", subject, auxiliary, *middle]


def render(sentence: Sentence) -> str:
    """The sentence in English; it has exactly one wording."""
    subordinate = [sentence.link, *_clause(sentence.subordinate)] if sentence.subordinate else []
    return finish(sentence, _clause(sentence.main, sentence.question), subordinate, comma="")
