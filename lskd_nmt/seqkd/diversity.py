"""How many different translations, words and pairs of words a teacher gives, counted in bounded memory."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.seqkd.store import DiversityFacts

RUN = 500_000  # hashes of different things that are sorted at a time
KEPT = 1 << 24  # hashes of different things that are kept: 128 MB, and counts to 0.02 % beyond
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it keeps hashes apart: Python's of small numbers lie together


class Distinct:
    """How many different things were seen, by their hashes of 64 bits; sorted runs of them are in memory.

    The count is exact up to `KEPT` different things. Of more, the `KEPT` smallest hashes are kept, and the count is
    estimated from how close together these lie, to a standard error of 1/√KEPT (Bar-Yossef et al. 2002).
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.new: set[int] = set()
        self.runs: list[NDArray[np.uint64]] = []

    def add(self, things: Iterable[Hashable]) -> None:
        """Count some things, which may have been seen before."""
        self.new.update(map(hash, things))
        if len(self.new) >= RUN:
            self.settle()

    def settle(self) -> None:
        """Sort the new hashes into a run; the runs grow by factors, so that each is merged only a few times."""
        new = np.fromiter(self.new, np.int64, len(self.new)).view(np.uint64)
        self.runs.append(np.unique(new * SPREAD)[:KEPT])
        self.new.clear()
        while len(self.runs) > 1 and len(self.runs[-2]) <= 2 * len(self.runs[-1]):
            self.runs[-2:] = [np.union1d(*self.runs[-2:])[:KEPT]]

    def __len__(self) -> int:
        """How many different things were seen."""
        self.settle()
        while len(self.runs) > 1:
            self.runs[-2:] = [np.union1d(*self.runs[-2:])[:KEPT]]
        kept = self.runs[0]
        return len(kept) if len(kept) < KEPT else round((KEPT - 1) * 2.0**64 / float(kept[-1]))


class Diversity:
    """Counts hypotheses, how different they are, and their words: see `DiversityFacts`."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.count = self.distinct = self.references = self.sampled = self.words = self.pairs = 0
        self.different_words, self.different_pairs = Distinct(), Distinct()

    def add(self, texts: Sequence[str], reference: str, sampled: int) -> None:
        """The chosen hypotheses of a sentence."""
        self.count += len(texts)
        self.distinct += len(set(texts))
        self.references += sum(text == reference for text in texts)
        self.sampled += sampled
        for text in texts:
            words = text.split()
            self.words += len(words)
            self.pairs += max(len(words) - 1, 0)
            self.different_words.add(words)
            self.different_pairs.add(pairwise(words))

    def facts(self) -> DiversityFacts:
        """The counts and shares of all sentences."""
        words, pairs = len(self.different_words), len(self.different_pairs)
        return DiversityFacts(
            hypotheses=self.count,
            sampled_share=share(self.sampled, self.count),
            distinct_share=share(self.distinct, self.count),
            reference_share=share(self.references, self.count),
            words=self.words,
            distinct_words=words,
            type_token_ratio=share(words, self.words),
            distinct_bigram_ratio=share(pairs, self.pairs),
        )


def share(part: int, whole: int) -> float:
    """part/whole, rounded to four digits; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0
