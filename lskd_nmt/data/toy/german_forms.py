"""German nouns, articles and adjectives in every case, gender and number, and the conjugation of verbs."""

from dataclasses import dataclass
from functools import lru_cache

from lskd_nmt.data.toy.words import endings, forms, translations

CASES = ("nom", "acc", "dat", "gen")
THE = endings(CASES, "der die das die / den die das die / dem der dem den / des der des der")
THIS_ENDINGS = endings(CASES, "er e es e / en e es e / em er em en / es er es er")
A_ENDINGS = {**THIS_ENDINGS, ("nom", "m"): "", ("nom", "n"): "", ("acc", "n"): ""}
WEAK = endings(CASES, "e e e en / en e e en / en en en en / en en en en")
MIXED = endings(CASES, "er e es en / en e es en / en en en en / en en en en")
STRONG = {**THIS_ENDINGS, ("gen", "m"): "en", ("gen", "n"): "en"}
A_WORDS = {"a": "ein", "no": "kein", "my": "mein", "our": "unser"}  # all take the endings of `ein`


@dataclass(frozen=True)
class Noun:
    """A German noun by its principal parts; `plural` is empty where there is none."""

    gender: str
    nominative: str
    genitive: str
    plural: str

    def form(self, case: str, plural: bool) -> str:
        """The noun alone; weak masculines end in -n in every case but the nominative."""
        if plural:
            dative = case == "dat" and self.plural[-1] not in "ns"
            return self.plural + ("n" if dative else "")
        weak = self.gender == "m" and self.genitive.endswith("n") and self.genitive != self.nominative
        return self.genitive if case == "gen" or (weak and case != "nom") else self.nominative


@dataclass(frozen=True)
class Adjective:
    """`predicate` follows `ist`; endings are put to `stem`."""

    predicate: str
    stem: str


def determiner_form(determiner: str, case: str, kind: str) -> str:
    """The article word for `the`, `this`, `a`, `no`, `my`, `our`; empty for none, as `a` in the plural."""
    if determiner == "the":
        return THE[case, kind]
    if determiner == "this":
        return "dies" + THIS_ENDINGS[case, kind]
    if not determiner or (determiner == "a" and kind == "pl"):
        return ""
    return A_WORDS[determiner] + A_ENDINGS[case, kind]


def adjective_ending(determiner: str, case: str, kind: str) -> str:
    """Weak after `der`, mixed after `ein`, strong where no article word shows the case."""
    if determiner in ("the", "this"):
        return WEAK[case, kind]
    return MIXED[case, kind] if determiner_form(determiner, case, kind) else STRONG[case, kind]


@lru_cache(maxsize=100_000)
def phrase(noun: Noun, determiner: str, adjective: Adjective | None, case: str, plural: bool) -> str:
    """The inflected noun phrase, e.g. `einem neuen Auto`."""
    kind = "pl" if plural else noun.gender
    described = [adjective.stem + adjective_ending(determiner, case, kind)] if adjective else []
    return " ".join([*filter(None, [determiner_form(determiner, case, kind)]), *described, noun.form(case, plural)])


FIRST_PERSON = {"wissen": "weiß", "sein": "bin", "können": "kann", "müssen": "muss", "wollen": "will"}
PLURAL = {"sein": "sind"}


@dataclass(frozen=True)
class Verb:
    """A German verb; the forms leave out the separable particle. `person` is ich, er or sie (they, or we: the same)."""

    particle: str
    infinitive: str
    third: str
    past: str
    participle: str
    government: str  # acc, dat or auf (with the accusative)
    with_sein: bool

    def present(self, person: str) -> str:
        """ich mache, er macht, sie machen."""
        if person == "er":
            return self.third
        if person == "ich":
            return FIRST_PERSON.get(self.infinitive, self.infinitive[:-1])
        return PLURAL.get(self.infinitive, self.infinitive)

    def preterite(self, person: str) -> str:
        """ich machte, er machte, sie machten."""
        if person != "sie":
            return self.past
        return self.past + ("n" if self.past.endswith("e") else "en")


def _noun(text: str) -> Noun:
    gender, *principal = text.split()
    return Noun(gender, *(*forms(*principal), "")[:3])


def _adjective(text: str) -> Adjective:
    predicate, _, stem = text.partition("/")
    return Adjective(predicate, stem or predicate)


def _verb(text: str) -> Verb:
    particle, _, rest = text.rpartition("- ")
    infinitive, third, past, participle, *government = rest.split()
    case = next((each for each in government if each != "sein"), "acc")
    return Verb(particle, infinitive, third, past, participle, case, "sein" in government)


NOUNS = translations("nouns", "de", _noun)
ADJECTIVES = translations("adjectives", "de", _adjective)
VERBS = translations("verbs", "de", _verb)
ADVERBS = translations("adverbs", "de", str)
LINKS = translations("links", "de", str)
