"""Copies of the source, whole or nearly."""

from collections import Counter
from collections.abc import Sequence

from lskd_nmt.data.filters.folding import bigrams, folded, folded_words, plain_words
from lskd_nmt.data.languages import is_unspaced

SHARE = 0.8  # of the plain words, in a near-copy


def is_copy(source: str, target: str, langs: tuple[str, str]) -> bool:
    """Whether the target repeats its source instead of translating it.

    Names, titles, numbers and single words are the same in two languages, and so a copy must show that it is language.
    A *plain* word begins with a small letter, or with a letter of a script without capitals. A pair is a copy

    1. if both sides are the same but for case, punctuation and spaces, and the source has three different words or
       more, one of them plain and of four letters, or three of them plain; or four words, all in capitals. Where one
       of the languages is written without spaces, six letters are enough;
    2. or if the source has four plain words or more, and 80 % of them stand in the target, which has at most a quarter
       more words. Where both languages are written without spaces, pairs of neighbouring characters take the place of
       words, and there must be eight.
    """
    own, other = folded(source), folded(target)
    unspaced = [is_unspaced(lang) for lang in langs]
    if own == other:
        return is_language(source) or (any(unspaced) and len(own) >= 6 and own.isalpha())
    if all(unspaced):
        pieces = bigrams(own), bigrams(other)
        return len(pieces[0]) >= 8 and most_stand_in(*pieces)
    plain = plain_words(source)
    if len(plain) < 4:
        return False
    words = folded_words(target)
    return most_stand_in(plain, words) and len(words) <= 1.25 * len(folded_words(source))


def is_language(text: str) -> bool:
    """Whether a text has words that are neither names nor numbers; see `is_copy`."""
    words, plain = set(folded_words(text)), set(plain_words(text))
    if not plain and len(words) >= 4:
        return text.isupper()
    return len(words) >= 3 and (len(plain) >= 3 or any(len(word) >= 4 for word in plain))


def most_stand_in(parts: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether 80 % of the parts are in the other list, as often as they are in theirs."""
    kept = Counter(parts) & Counter(whole)
    return kept.total() >= SHARE * len(parts)
