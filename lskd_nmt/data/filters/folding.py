"""Text without what two writings of the same words differ in: case, punctuation, and spaces or digits."""

import unicodedata
from collections.abc import Sequence


class WithoutMarks(dict[int, int | None]):
    """A table for `str.translate` that removes punctuation, symbols and controls; it fills itself as it is asked."""

    def __missing__(self, code: int) -> int | None:
        """What becomes of a character that comes for the first time."""
        self[code] = None if unicodedata.category(chr(code))[0] in "PSC" else code
        return self[code]


MARKS = WithoutMarks()


def folded_words(text: str) -> list[str]:
    """The words that spaces separate, without case and punctuation; a word of punctuation alone is none."""
    return text.casefold().translate(MARKS).split()


def folded(text: str) -> str:
    """The letters and digits of a text without case, nothing between them."""
    return "".join(folded_words(text))


def plain_words(text: str) -> list[str]:
    """Those of a text's words, folded, that begin with a letter which is no capital: names and numbers are no such."""
    found = []
    for word in text.split():
        bare = word.translate(MARKS)
        first = bare[:1]
        if first.isalpha() and not (first.isupper() or first.istitle()):
            found.append(bare.casefold())
    return found


def bigrams(text: str) -> Sequence[str]:
    """All pairs of neighbouring characters."""
    return [text[at : at + 2] for at in range(len(text) - 1)]
