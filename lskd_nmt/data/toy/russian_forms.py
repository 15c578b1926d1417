"""Russian nouns, adjectives and possessives in every case, gender and number, and the two aspects of verbs."""

from dataclasses import dataclass
from functools import lru_cache

from lskd_nmt.data.toy.words import KINDS, endings, forms, translations

CASES = ("nom", "gen", "dat", "acc", "ins", "prep")
PERSONS = ("I", "he", "we", "they")
VOWELS = "аеёиоуыэюя"
# by case, rows of CASES, and by m, f, n, pl; the accusative is the inanimate one
HARD = endings(CASES, "ый ая ое ые / ого ой ого ых / ому ой ому ым / ый ую ое ые / ым ой ым ыми / ом ой ом ых")
MY = endings(CASES, "й я ё и / его ей его их / ему ей ему им / й ю ё и / им ей им ими / ём ей ём их")
OUR = endings(CASES, "- а е и / его ей его их / ему ей ему им / - у е и / им ей им ими / ем ей ем их")
THIS = endings(CASES, "от а о и / ого ой ого их / ому ой ому им / от у о и / им ой им ими / ом ой ом их")
SOFTENED = {"о": "е", "ы": "и", "а": "я", "у": "ю"}  # first letters of endings: синий, синего
HUSHED = {"о": "е", "ы": "и"}  # after unstressed ж, ш, ч, щ: свежий, свежего
VELAR = {"ы": "и"}  # after к, г, х, and stressed after ш: тихий, большие


@dataclass(frozen=True, eq=False)
class Noun:
    """A Russian noun: `forms` by case and number (False: singular), the locative among them."""

    gender: str
    animate: bool
    forms: dict[tuple[str, bool], str]


def _singular(gender: str, animate: bool, nominative: str, genitive: str, instrumental: str) -> list[str]:
    """The cases in the order of CASES."""
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
    return [nominative, genitive, dative, accusative, instrumental, prepositional]


def _plural(animate: bool, nominative: str, genitive: str, dative: str) -> list[str]:
    """The cases in the order of CASES."""
    return [nominative, genitive, dative, genitive if animate else nominative, dative + "и", dative[:-1] + "х"]


def _noun(text: str) -> Noun:
    kind, *rest = text.split()
    gender, animate = kind[0], kind[1] == "a"
    special = dict(each.split("=") for each in rest if "=" in each)
    words = forms(*(each for each in rest if "=" not in each))
    if len(words) == 1:
        return Noun(gender, animate, {(case, plural): words[0] for case in (*CASES, "loc") for plural in (False, True)})
    singular = dict(zip(CASES, _singular(gender, animate, *words[:3]), strict=True))
    singular["loc"] = special.get("loc.sg", singular["prep"])
    plural = dict(zip(CASES, _plural(animate, *words[3:]), strict=True)) if words[3:] else {}
    plural |= {"ins": special["ins.pl"]} if "ins.pl" in special else {}
    numbered = ((case, number, form) for number, cases in enumerate((singular, plural)) for case, form in cases.items())
    return Noun(gender, animate, {(case, bool(number)): form for case, number, form in numbered})


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
    stems = {"my": ("мо", MY), "own": ("сво", MY), "our": ("наш", OUR), "this": ("эт", THIS)}
    stem, table = stems.get(determiner, ("", {(case, kind): ""}))
    return stem + table[case, kind]


@lru_cache(maxsize=100_000)
def phrase(noun: Noun, determiner: str, adjective: str, case: str, plural: bool) -> str:
    """The inflected noun phrase; case `loc` is the prepositional after в and на of place."""
    kind = "pl" if plural else noun.gender
    described = adjective_form(adjective, case, kind, noun.animate) if adjective else ""
    words = determiner_form(determiner, case, kind, noun.animate), described, noun.forms[case, plural]
    return " ".join(filter(None, words[:2])) + (" " if any(words[:2]) else "") + words[2]


@dataclass(frozen=True)
class Aspect:
    """The forms of one aspect: `present` (the future, if perfective) by PERSONS, `past` by KINDS."""

    infinitive: str
    present: dict[str, str]
    past: dict[str, str]


@dataclass(frozen=True)
class Verb:
    """A pair of aspects; verbs of pure duration have no perfective."""

    imperfective: Aspect
    perfective: Aspect | None
    government: str  # acc or dat
    tail: str  # follows the verb unchanged


def _bare(form: str) -> tuple[str, bool]:
    """The form without -ся or -сь, and whether it had one."""
    return (form[:-2], True) if form.endswith(("ся", "сь")) else (form, False)


def _third_plural(first: str, third: str) -> str:
    """The they-form: вижу, видит -> видят; пишу, пишет -> пишут; пью, пьёт -> пьют."""
    if third.endswith("ит"):
        return third[:-2] + ("ат" if third[-3] in "жшчщ" else "ят")
    return first[:-1] + ("ут" if first.endswith("у") else "ют")


def _aspect(text: str) -> Aspect:
    present, _, past = text.partition(" / ")
    (infinitive, reflexive), *given = map(_bare, present.split())
    stem, known = infinitive.removesuffix("ть"), [form for form, _ in given]
    if not known:  # читать, рисовать
        base = stem.removesuffix("ова") + "у" if stem.endswith("ова") else stem
        known = [base + "ю", base + "ет"]
    if len(known) == 2:
        known.append(_third_plural(*known))
    if len(known) == 3:
        known.insert(2, known[1][:-1] + "м")
    masculine, feminine = past.split() or (stem + "л", stem + "ла")
    pasts = (masculine, feminine, feminine[:-1] + "о", feminine[:-1] + "и")

    def whole(form: str) -> str:
        return form + ("сь" if form[-1] in VOWELS else "ся") if reflexive else form

    persons, kinds = zip(PERSONS, map(whole, known), strict=True), zip(KINDS, map(whole, pasts), strict=True)
    return Aspect(present.split()[0], dict(persons), dict(kinds))


def _verb(text: str) -> Verb:
    aspects, _, rest = text.partition("; ")
    imperfective, _, perfective = aspects.partition(" > ")
    if perfective.endswith("+"):
        perfective = " ".join(word if word == "/" else perfective[:-1] + word for word in imperfective.split())
    pair = _aspect(imperfective), _aspect(perfective) if perfective else None
    return Verb(*pair, *(("dat", "") if rest == "dat" else ("acc", rest)))


NOUNS = translations("nouns", "ru", _noun)
ADJECTIVES = translations("adjectives", "ru", str)
VERBS = translations("verbs", "ru", _verb)
ADVERBS = translations("adverbs", "ru", str)
LINKS = translations("links", "ru", str)
