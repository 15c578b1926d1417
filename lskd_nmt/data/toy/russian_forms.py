"""Russian nouns, adjectives and possessives in every case, gender and number."""

from dataclasses import dataclass
from functools import lru_cache

from lskd_nmt.data.toy import russian_verbs, russian_words
from lskd_nmt.data.toy.tables import rows, synonyms

CASES = ("nom", "gen", "dat", "acc", "ins", "prep")
KINDS = ("m", "f", "n", "pl")  # the plural knows no gender
Grid = dict[tuple[str, str], str]


def _grid(text: str) -> Grid:
    """Lines for nom, gen, dat, acc, ins, prep; words for KINDS. The accusative is the inanimate one."""
    cells = [line.split() for line in text.strip().splitlines()]
    return {(case, kind): cells[i][j] for i, case in enumerate(CASES) for j, kind in enumerate(KINDS)}


HARD = _grid("""
ый  ая ое  ые
ого ой ого ых
ому ой ому ым
ый  ую ое  ые
ым  ой ым  ыми
ом  ой ом  ых
""")
POSSESSIVE = _grid("""
ой   оя  оё   ои
оего оей оего оих
оему оей оему оим
ой   ою  оё   ои
оим  оей оим  оими
оём  оей оём  оих
""")
OUR = _grid("""
наш    наша  наше   наши
нашего нашей нашего наших
нашему нашей нашему нашим
наш    нашу  наше   наши
нашим  нашей нашим  нашими
нашем  нашей нашем  наших
""")
THIS = _grid("""
этот  эта  это   эти
этого этой этого этих
этому этой этому этим
этот  эту  это   эти
этим  этой этим  этими
этом  этой этом  этих
""")
SOFTENED = {"о": "е", "ы": "и", "а": "я", "у": "ю"}  # first letters of endings: синий, синего
HUSHED = {"о": "е", "ы": "и"}  # after unstressed ж, ш, ч, щ: свежий, свежего
VELAR = {"ы": "и"}  # after к, г, х, and stressed after ш: тихий, большие


@dataclass(frozen=True)
class Noun:
    """A Russian noun: `forms` by case and number (False: singular), the locative among them."""

    gender: str
    animate: bool
    forms: dict[tuple[str, bool], str]

    def __hash__(self) -> int:
        return id(self)


def _singular(gender: str, nominative: str, genitive: str, instrumental: str, animate: bool) -> dict[str, str]:
    stem = nominative[:-1]
    if nominative[-1] in "ая":
        dative = stem + ("и" if stem.endswith("и") else "е")
        accusative, prepositional = stem + {"а": "у", "я": "ю"}[nominative[-1]], dative
    elif gender == "f":
        dative, accusative, prepositional = genitive, nominative, genitive
    else:
        dative = genitive[:-1] + {"а": "у", "я": "ю"}[genitive[-1]]
        accusative = genitive if animate else nominative
        prepositional = genitive[:-1] + ("и" if genitive.endswith("ия") else "е")
    cases = (nominative, genitive, dative, accusative, instrumental, prepositional)
    return dict(zip(CASES, cases, strict=True))


def _plural(nominative: str, genitive: str, dative: str, animate: bool) -> dict[str, str]:
    accusative = genitive if animate else nominative
    cases = (nominative, genitive, dative, accusative, dative + "и", dative[:-1] + "х")
    return dict(zip(CASES, cases, strict=True))


def _noun(kind: str, text: str, exception: str) -> Noun:
    gender, animate, words = kind[0], kind[1] == "a", text.split()
    if len(words) == 1:
        return Noun(gender, animate, {(case, plural): text for case in (*CASES, "loc") for plural in (False, True)})
    singular = _singular(gender, words[0], words[1], words[2], animate)
    plural = _plural(words[3], words[4], words[5], animate) if len(words) > 3 else {}
    *_, special = exception.split() or [""]
    if exception.startswith("instrumental plural"):
        plural["ins"] = special
    singular["loc"] = special if exception.startswith("locative") else singular["prep"]
    forms = {(case, False): form for case, form in singular.items()}
    return Noun(gender, animate, forms | {(case, True): form for case, form in plural.items()})


def _source(case: str, kind: str, animate: bool) -> str:
    """The case whose ending an attribute takes: animate accusatives look like genitives, but for feminines."""
    if case == "acc" and animate and kind in ("m", "pl"):
        return "gen"
    return "prep" if case == "loc" else case


def adjective_form(adjective: str, case: str, kind: str, animate: bool) -> str:
    """The adjective, given in its masculine nominative, in agreement."""
    case = _source(case, kind, animate)
    if kind == "m" and case in ("nom", "acc"):
        return adjective
    stem, ending = adjective[:-2], HARD[case, kind]
    changes: dict[str, str] = {}
    if adjective.endswith("ний"):
        changes = SOFTENED
    elif stem[-1] in "жшчщ" and adjective.endswith("ий"):
        changes = HUSHED
    elif stem[-1] in "кгхжшчщ":
        changes = VELAR
    return stem + changes.get(ending[0], ending[0]) + ending[1:]


def determiner_form(determiner: str, case: str, kind: str, animate: bool) -> str:
    """`this`, `my`, `our` or `own` (свой) in agreement; Russian has no articles."""
    case = _source(case, kind, animate)
    if determiner in ("my", "own"):
        return {"my": "м", "own": "св"}[determiner] + POSSESSIVE[case, kind]
    return {"this": THIS, "our": OUR}[determiner][case, kind] if determiner in ("this", "our") else ""


@lru_cache(maxsize=100_000)
def phrase(noun: Noun, determiner: str, adjective: str, case: str, plural: bool) -> str:
    """The inflected noun phrase; case `loc` is the prepositional after в and на of place."""
    kind = "pl" if plural else noun.gender
    words = [determiner_form(determiner, case, kind, noun.animate)]
    if adjective:
        words.append(adjective_form(adjective, case, kind, noun.animate))
    return " ".join([*filter(None, words), noun.forms[case, plural]])


def _read() -> dict[str, tuple[Noun, ...]]:
    nouns: dict[str, tuple[Noun, ...]] = {}
    for concept, kind, text, exception in rows(russian_words.NOUNS):
        nouns[concept] = (*nouns.get(concept, ()), _noun(kind, text, exception))
    return nouns


NOUNS = _read()
ADJECTIVES = synonyms(russian_words.ADJECTIVES)
ADVERBS = synonyms(russian_verbs.ADVERBS)
LINKS = synonyms(russian_verbs.LINKS)
