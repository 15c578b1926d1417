"""German nouns, articles and adjectives in every case, gender and number."""

from dataclasses import dataclass
from functools import lru_cache

from lskd_nmt.data.toy import german_words
from lskd_nmt.data.toy.tables import rows, synonyms

CASES = ("nom", "acc", "dat", "gen")
KINDS = ("m", "f", "n", "pl")  # the plural knows no gender


def _grid(text: str) -> dict[tuple[str, str], str]:
    """Four lines of four words, cases down and KINDS across; `-` is no ending."""
    cells = [line.split() for line in text.strip().splitlines()]
    return {(case, kind): cells[i][j].replace("-", "") for i, case in enumerate(CASES) for j, kind in enumerate(KINDS)}


THE = _grid("""
der die das die
den die das die
dem der dem den
des der des der
""")
THIS = _grid("""
dieser diese dieses diese
diesen diese dieses diese
diesem dieser diesem diesen
dieses dieser dieses dieser
""")
A_ENDINGS = _grid("""
-   e  -   e
en  e  -   e
em  er em  en
es  er es  er
""")
WEAK = _grid("""
e  e  e  en
en e  e  en
en en en en
en en en en
""")
MIXED = _grid("""
er e  es en
en e  es en
en en en en
en en en en
""")
STRONG = _grid("""
er e  es e
en e  es e
em er em en
en er en er
""")
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


def _adjective(text: str) -> Adjective:
    predicate, _, stem = text.partition("/")
    return Adjective(predicate, stem or predicate)


def determiner_form(determiner: str, case: str, kind: str) -> str:
    """The article word for `the`, `this`, `a`, `no`, `my`, `our`; empty for none, as `a` in the plural."""
    if determiner == "the":
        return THE[case, kind]
    if determiner == "this":
        return THIS[case, kind]
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
    words = [determiner_form(determiner, case, kind)]
    if adjective:
        words.append(adjective.stem + adjective_ending(determiner, case, kind))
    return " ".join([*filter(None, words), noun.form(case, plural)])


NOUNS = {
    concept: tuple(Noun(*entry.replace(" -", " ").split(" ")) for entry in entries)
    for concept, *entries in rows(german_words.NOUNS)
}
ADJECTIVES = {concept: tuple(_adjective(text) for text in texts) for concept, *texts in rows(german_words.ADJECTIVES)}
ADVERBS = synonyms(german_words.ADVERBS)
LINKS = synonyms(german_words.LINKS)
