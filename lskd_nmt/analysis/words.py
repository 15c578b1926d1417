"""Words of subwords: which tokens begin one. The end symbol is a word of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

END = "</s>"
SPACE, JOINT = (
    "▁",
    "@@",
)  # sentencepiece begins a word with the one, subword-nmt ends a piece inside a word with the other


def word_starts(symbols: Sequence[str], target: NDArray[np.integer], position: NDArray[np.integer]) -> NDArray[np.intp]:
    """The tokens that begin a word.   (N,) ids, (N,) from 0 -> rows

    Sentencepiece's pieces if a symbol begins with ▁, subword-nmt's if one ends with @@; else every token is a word.
    """
    ends = np.array([symbol == END for symbol in symbols])[target]
    if any(symbol.startswith(SPACE) for symbol in symbols):
        begins = np.array([symbol.startswith(SPACE) for symbol in symbols])[target]
    else:
        inside = np.array([symbol.endswith(JOINT) for symbol in symbols])[target]
        begins = np.concatenate([[True], ~inside[:-1]])
    return np.flatnonzero(begins | ends | (position == 0))
