"""Russian aspect and government: which form a clause asks of its words."""

from lskd_nmt.data.toy import actions
from lskd_nmt.data.toy import russian_verbs as verbs
from lskd_nmt.data.toy.meaning import ONGOING, PAST_TENSES, Clause, NounPhrase, Tense

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


def aspect_of(clause: Clause, verb: verbs.Verb) -> verbs.Aspect:
    """Perfective for one complete event; imperfective for what lasts, recurs, has no end point or is not wanted."""
    traits = actions.LEXICON[clause.verb].traits
    bare = clause.object is not None and is_bare(clause.object)
    if verb.perfective is None or ("activity" in traits and bare and clause.tense is not Tense.PERFECT):
        return verb.imperfective
    if clause.modal:
        return verb.imperfective if clause.modal == "want" and clause.negated else verb.perfective
    unperceived = clause.negated and "state" in traits and clause.tense in PAST_TENSES
    return verb.imperfective if clause.tense in ONGOING or unperceived else verb.perfective


def object_case(clause: Clause, government: str) -> str:
    """A bare object turns from the accusative to the genitive when a verb of action is denied."""
    denied = (clause.negated or clause.frequency == "never") and not clause.modal
    lasting = "lasting" in actions.LEXICON[clause.verb].traits
    bare = clause.object is not None and is_bare(clause.object)
    return "gen" if denied and bare and not lasting and government == "acc" else government


def with_preposition(preposition: str, phrase: str) -> str:
    """`со студентом`, but `с сестрой`: с grows a vowel before a hissing cluster."""
    cluster = phrase[0] in "сзшж" and phrase[1] not in "аеёиоуыэюя"
    return f"{'со' if preposition == 'с' and cluster else preposition} {phrase}"
