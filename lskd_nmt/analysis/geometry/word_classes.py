"""Target words as classes, and where they occur. N tokens, K classes."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.analysis.features.folder import Features
from lskd_nmt.errors import require

Ids = NDArray[np.integer[Any]]
Rows = list[NDArray[np.intp]]  # of each class, ascending

START = "▁"  # sentencepiece's mark of a word's first piece


def is_word(symbol: str, marked: bool) -> bool:
    """Whether a symbol begins a word and has a letter; `marked`: the vocabulary marks beginnings."""
    return symbol.startswith(START) >= marked and any(letter.isalpha() for letter in symbol) and symbol[0] != "<"


def frequent_words(target: Ids, symbols: Sequence[str], at_most: int, minimum: int) -> list[int]:
    """Ids of the most frequent symbols that begin a word, with `minimum` occurrences or more.   (N,) -> K ids"""
    counts = np.bincount(target, minlength=len(symbols))
    marked = any(symbol.startswith(START) for symbol in symbols)
    order = np.argsort(-counts, kind="stable")
    found = [int(i) for i in order[: np.count_nonzero(counts >= minimum)] if is_word(symbols[i], marked)]
    return found[:at_most]


def ids_of(names: Sequence[str], symbols: Sequence[str]) -> list[int]:
    """The ids of symbols given by name; all that are unknown are named at once."""
    where = {symbol: index for index, symbol in enumerate(symbols)}
    unknown = [name for name in names if name not in where]
    require(
        not unknown,
        f"the target vocabulary has no {', '.join(unknown)}: give symbols as they stand in "
        f"dict.*.txt, the first piece of a word with {START} before it",
    )
    return [where[name] for name in names]


def occurrences(target: Ids, classes: Sequence[int], at_most: int, seed: int) -> Rows:
    """The rows of each class; of more than `at_most`, so many drawn by the seed.   (N,) -> K of (n,)"""
    rows = []
    for class_id in classes:
        found = np.flatnonzero(target == class_id)
        if len(found) > at_most:
            found = np.sort(np.random.default_rng([seed, class_id]).choice(found, at_most, replace=False))
        rows.append(found)
    return rows


def taken(array: NDArray[Any], rows: Rows) -> list[NDArray[Any]]:
    """The rows of each class, in memory; of a mapped array nothing else stays there.   (N, …) -> K of (n, …)"""
    found = [np.array(array[mine]) for mine in rows]
    forget(array)
    return found


def forget(array: NDArray[Any]) -> None:
    """Let go of what was read of a mapped file; it is read again when it is wanted."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Choice:
    """Which words are classes."""

    classes: int = 50  # at most, the most frequent
    minimum: int = 50  # occurrences
    seed: int = 1


def frequent(features: Features, choice: Choice) -> list[int]:
    """The classes; too few are refused."""
    require(choice.classes >= 3, f"--classes is {choice.classes}: give 3 or more")
    found = frequent_words(features.target, features.symbols, choice.classes, choice.minimum)
    require(
        len(found) >= 3,
        f"{len(found)} words have {choice.minimum} occurrences or more, three are needed: "
        "lower --minimum or take features of more tokens",
    )
    return found
