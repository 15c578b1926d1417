"""Moses tokenisation as sacremoses does it."""

from collections.abc import Iterable

from sacremoses import MosesDetokenizer, MosesTokenizer
from sacremoses.corpus import NonbreakingPrefixes


def tokenised(lines: Iterable[str], lang: str, escape: bool = False) -> list[str]:
    """Moses tokens separated by spaces; `escape` writes `&apos;` and the like, as the Moses script does."""
    tokenise = MosesTokenizer(lang).tokenize
    return [tokenise(line, return_str=True, escape=escape) for line in lines]


def detokenised(lines: Iterable[str], lang: str) -> list[str]:
    """Text from Moses tokens, XML escapes undone."""
    detokenise = MosesDetokenizer(lang).detokenize
    return [detokenise(line.split()) for line in lines]


def abbreviations(lang: str) -> list[str]:
    """What Moses does not end a sentence after, without the dot; of a language that it does not know, English ones.

    Those of a form `No #NUMERIC_ONLY#` count before numbers alone.
    """
    return list(NonbreakingPrefixes().words(lang))
