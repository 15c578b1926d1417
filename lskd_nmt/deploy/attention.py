"""Which words of a source its translation looked at, by the attention that the engine gives for each subword."""

from collections.abc import Sequence
from typing import NamedTuple

from lskd_nmt.data.bpe import CONTINUES

BEGINS = "▁"  # sentencepiece's sign where a word begins
Pairs = list[tuple[int, int]]


class Words(NamedTuple):
    """The words of a piece and of its translation, and which belong together: pairs (source, target), counted from 0.

    A pair is there if a subword of the target word gave more weight to a subword of the source word than to any other.
    """

    source: list[str]
    target: list[str]
    pairs: Pairs


class Attention(NamedTuple):
    """How much each subword of a translation looked at each subword of its source, in a piece: most often a sentence.

    `weights` are T rows of S numbers, the mean over the heads of the decoder's last layer. A row adds up to 1 at most:
    what is missing went to the end of the source.
    """

    source: list[str]
    target: list[str]
    weights: list[list[float]]

    def alignment(self) -> Pairs:
        """Pairs (source, target) of subwords: what each one of the target looked at most, the first of equal ones."""
        return [(row.index(max(row)), at) for at, row in enumerate(self.weights) if row]

    def words(self) -> Words:
        """The same of whole words."""
        source, target = numbers(self.source), numbers(self.target)
        pairs = sorted({(source[one], target[two]) for one, two in self.alignment()})
        return Words(whole(self.source, source), whole(self.target, target), pairs)


def numbers(subwords: Sequence[str]) -> list[int]:
    """Which word, counted from 0, each subword is of: sentencepiece's, else those of BPE with `@@`."""
    found, word = [], -1
    is_sentencepiece = any(BEGINS in each for each in subwords)
    for at, subword in enumerate(subwords):
        begins = subword.startswith(BEGINS) if is_sentencepiece else not subwords[at - 1].endswith(CONTINUES)
        word += at == 0 or begins
        found.append(word)
    return found


def whole(subwords: Sequence[str], words: Sequence[int]) -> list[str]:
    """The words whose numbers the subwords have; a lone `▁` before an ideograph is no letter of its word."""
    found = [""] * (words[-1] + 1 if words else 0)
    for subword, word in zip(subwords, words, strict=True):
        found[word] += subword.removesuffix(CONTINUES).replace(BEGINS, "")
    return found


def of_line(pieces: Sequence[Attention]) -> Words:
    """The words of a line and of its translation, over all its pieces."""
    line = Words([], [], [])
    for words in (piece.words() for piece in pieces):
        before = len(line.source), len(line.target)
        line.pairs.extend((before[0] + one, before[1] + two) for one, two in words.pairs)
        line.source.extend(words.source)
        line.target.extend(words.target)
    return line
