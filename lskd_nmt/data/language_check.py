"""Whether a text is plainly of another language than it is meant to be, where lingua is installed (an extra)."""

from collections.abc import Sequence

from lskd_nmt.data.languages import base_language

LINES, LEAST = 500, 1000  # lines that are looked at; characters without which nothing is said
SURE, OUT = 0.99, 0.001  # the probability of the other language, at least; and of the one that is meant, at most


def complaint(lines: Sequence[str], lang: str, langs: Sequence[str] = ()) -> str | None:
    """`reads like de, and not like en`; None if it may be, or nobody can tell.

    `langs` are those of the pair: where a text is of the other one, it says that the sides are swapped.
    """
    try:
        from lingua import IsoCode639_1, Language, LanguageDetectorBuilder  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        return None
    code, text = getattr(IsoCode639_1, base_language(lang).upper(), None), " ".join(lines[:LINES])
    if not isinstance(code, IsoCode639_1) or len(text) < LEAST:
        return None
    meant = Language.from_iso_code_639_1(code)
    detector = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
    found = {each.language: each.value for each in detector.compute_language_confidence_values(text)}
    first = max(found, key=lambda language: found[language])
    if first == meant or found[first] < SURE or found.get(meant, 0.0) > OUT:
        return None
    name = first.iso_code_639_1.name.lower()
    swapped = name in (base_language(each) for each in langs)
    return f"reads like {name}, and not like {lang}" + (" (are source and reference swapped?)" if swapped else "")
