"""Text that is clearly in another language than it should be, by `lingua` (n-grams of characters)."""

import re
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from lskd_nmt.data.languages import base_language
from lskd_nmt.errors import LskdError

if TYPE_CHECKING:
    from lingua import Language, LanguageDetector

PACKAGE = "lingua-language-detector"
# beside source and target: what web text and multilingual models mix in, and what is easily told apart
COMMON = (
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "pl",
    "ru",
    "uk",
    "cs",
    "sv",
    "hu",
    "ro",
    "tr",
    "ar",
    "zh",
    "ja",
    "ko",
)
LETTERS = 20  # of a text that is judged, at least
OTHER, TIMES = 0.5, 10  # confidence of another language at least, absolute and as a multiple of the right one's
DROPPED_MARKS = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|[\d_]+")


class LanguageJudge:
    """Says of texts whether they are clearly not in one language."""

    def __init__(self, langs: tuple[str, str]) -> None:
        """Source and target language, as codes of ISO 639; one that lingua does not know is refused."""
        known = known_languages()
        for lang in langs:
            if base_language(lang) not in known:
                codes = ", ".join(sorted(code for code in known if len(code) == 2))
                raise LskdError(
                    f"--filters has language, and lingua does not know '{lang}': leave language out; it knows {codes}"
                )
        self.own = known[base_language(langs[0])], known[base_language(langs[1])]
        self.all = sorted({*self.own, *(known[code] for code in COMMON)}, key=lambda each: each.name)
        self.quick, self.detector = detectors(self.all)

    def is_other(self, texts: Sequence[str], side: int) -> list[bool]:
        """Whether each text is clearly in another language than that of its side: 0 source, 1 target; on all cores.

        Addresses and digits are taken out. A text of at least 20 letters (10 of Chinese, Japanese or Korean) is in
        another language if the most probable of source, target and the `COMMON` languages is not the right one,
        has a confidence of at least 0.5, and ten times that of the right one or more. That is asked only of texts of
        which trigrams alone do not say that they are in the right language, which takes a fifth of the time.
        """
        bare = [DROPPED_MARKS.sub(" ", text) for text in texts]
        found = [False] * len(texts)
        judged = [at for at, text in enumerate(bare) if weight(text) >= LETTERS]
        for detector in (self.quick, self.detector):  # the second looks at what the first has doubts about
            given = detector.compute_language_confidence_values_in_parallel([bare[at] for at in judged])
            of_text = dict(zip(judged, given, strict=True))
            judged = [at for at, values in of_text.items() if values[0].language != self.own[side]]
        for at in judged:
            own = next((each.value for each in of_text[at] if each.language == self.own[side]), 0.0)
            found[at] = of_text[at][0].value >= max(OTHER, TIMES * own)
        return found


def weight(text: str) -> int:
    """How many letters; one of Chinese, Japanese or Korean is worth two."""
    return sum(1 + (character >= "\u2e80") for character in text if character.isalpha())


def known_languages() -> dict[str, "Language"]:
    """Those of lingua by their codes of two and three letters, as `base_language` gives them."""
    lingua = package()
    found = {}
    for each in lingua.all():
        for code in (each.iso_code_639_1.name, each.iso_code_639_3.name):
            found[base_language(code)] = each
    return {**found, "no": found["nb"]}


def package() -> "type[Language]":
    """lingua's class of languages; a refusal if the package is not installed."""
    try:
        from lingua import Language
    except ImportError:
        raise LskdError(
            f"--filters has language, and {PACKAGE} is not installed: pip install 'lskd_nmt[filters]', "
            "or leave language out"
        ) from None
    return Language


def detectors(languages: "Sequence[Language]") -> "tuple[LanguageDetector, LanguageDetector]":
    """Two for these languages: by trigrams, and by n-grams of all lengths."""
    from lingua import LanguageDetectorBuilder

    quick = LanguageDetectorBuilder.from_languages(*languages).with_low_accuracy_mode().build()
    return quick, LanguageDetectorBuilder.from_languages(*languages).build()


def version() -> str:
    """Of the package, whose models decide."""
    package()
    return f"lingua {metadata.version(PACKAGE)}"
