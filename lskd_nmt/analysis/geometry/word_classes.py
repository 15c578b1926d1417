"""Target words as classes, and where they occur. N tokens, K classes, n occurrences of a class."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.analysis.features.folder import Features
from lskd_nmt.errors import require
from lskd_nmt.storage.arrays import AnyArray, Ids, Rows

Scalar = TypeVar("Scalar", bound=np.generic)
ClassRows = list[Rows]  # the rows of each class's tokens, ascending

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


def occurrences(target: Ids, classes: Sequence[int], at_most: int, seed: int) -> ClassRows:
    """The rows of each class; of more than `at_most`, so many drawn by the seed.   (N,) -> K of (n,)"""
    rows = []
    for class_id in classes:
        found = np.flatnonzero(target == class_id)
        if len(found) > at_most:
            found = np.sort(np.random.default_rng([seed, class_id]).choice(found, at_most, replace=False))
        rows.append(found)
    return rows


def taken(array: NDArray[Scalar], rows: ClassRows) -> list[NDArray[Scalar]]:
    """The rows of each class, in memory; of a mapped array nothing else stays there.   (N, …) -> K of (n, …)"""
    found = [np.array(array[mine]) for mine in rows]
    forget(array)
    return found


def forget(array: AnyArray) -> None:
    """Let go of what was read of a mapped file; it is read again when it is wanted."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class ClassChoice:
    """Which words are classes."""

    classes: int = 50  # at most, the most frequent
    minimum: int = 50  # occurrences
    seed: int = 1


def frequent(features: Features, choice: ClassChoice) -> list[int]:
    """The ids of the words that are classes; fewer than three are refused."""
    require(choice.classes >= 3, f"--classes is {choice.classes}: give 3 or more")
    found = frequent_words(features.target, features.symbols, choice.classes, choice.minimum)
    require(
        len(found) >= 3,
        f"{len(found)} words have {choice.minimum} occurrences or more, three are needed: "
        "lower --minimum or take features of more tokens",
    )
    return found
