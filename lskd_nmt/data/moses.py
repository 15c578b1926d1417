"""Moses tokenisation as sacremoses does it, which takes a quarter of a second to import: who needs none waits not."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacremoses import MosesDetokenizer, MosesTokenizer


@lru_cache
def _tokenizer(lang: str) -> "MosesTokenizer":
    """Reads the language's abbreviations, once."""
    from sacremoses import MosesTokenizer

    return MosesTokenizer(lang)


@lru_cache
def _detokenizer(lang: str) -> "MosesDetokenizer":
    """The same, back."""
    from sacremoses import MosesDetokenizer

    return MosesDetokenizer(lang)


def tokenised(lines: Iterable[str], lang: str, escape: bool = False, hyphens: bool = False) -> list[str]:
    """Moses tokens separated by spaces; `escape` writes `&apos;` and the like, as the Moses script does.

    `hyphens` makes `@-@` of those between letters, as the script does with `-a`.
    """
    tokenise = _tokenizer(lang).tokenize
    return [tokenise(line, hyphens, return_str=True, escape=escape) for line in lines]


def detokenised(lines: Iterable[str], lang: str) -> list[str]:
    """Text from Moses tokens, XML escapes undone."""
    detokenise = _detokenizer(lang).detokenize
    return [detokenise(line.split()) for line in lines]


def abbreviations(lang: str) -> list[str]:
    """What Moses does not end a sentence after, without the dot; of a language that it does not know, English ones.

    Those of a form `No #NUMERIC_ONLY#` count before numbers alone.
    """
    from sacremoses.corpus import NonbreakingPrefixes

    return list(NonbreakingPrefixes().words(lang))
