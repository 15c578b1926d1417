"""Moses tokenisation as sacremoses does it, which takes a quarter of a second to import: who needs none waits not."""

from collections.abc import Iterable


def tokenised(lines: Iterable[str], lang: str, escape: bool = False) -> list[str]:
    """Moses tokens separated by spaces; `escape` writes `&apos;` and the like, as the Moses script does."""
    from sacremoses import MosesTokenizer

    tokenise = MosesTokenizer(lang).tokenize
    return [tokenise(line, return_str=True, escape=escape) for line in lines]


def detokenised(lines: Iterable[str], lang: str) -> list[str]:
    """Text from Moses tokens, XML escapes undone."""
    from sacremoses import MosesDetokenizer

    detokenise = MosesDetokenizer(lang).detokenize
    return [detokenise(line.split()) for line in lines]


def abbreviations(lang: str) -> list[str]:
    """What Moses does not end a sentence after, without the dot; of a language that it does not know, English ones.

    Those of a form `No #NUMERIC_ONLY#` count before numbers alone.
    """
    from sacremoses.corpus import NonbreakingPrefixes

    return list(NonbreakingPrefixes().words(lang))
