"""Minimum Bayes risk: of a sentence's candidates those that are, on average, the most like all of them.

The utility of candidate i is (1/N) Σ_j u(y_i, y_j) over all N candidates of the sentence, with y_j in the place of the
reference (Eikema & Aziz 2022; as data for distillation: Finkelstein & Freitag 2023, arXiv 2309.10966). The candidate
itself is among them, as usual: each of several different candidates has that same term. Equal texts, as samples often
are, count as often as they were drawn, and are computed once.

u is sacreBLEU's sentence chrF, computed by `fastchrf`, or its smoothed sentence BLEU. Aggregated chrF takes u between
y_i and the mean n-gram counts of all candidates, in time linear in N (Vamvas & Sennrich 2024, arXiv 2402.04251); it is
not the mean of the single chrF scores.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import require
from lskd_nmt.evaluate.scoring import sentence_bleu
from lskd_nmt.seqkd.in_order import in_order

T = TypeVar("T")
UTILITIES = ("chrf", "bleu")
PAIRS = 100_000  # of candidates in a batch, which takes a process about two seconds by chrF
TIE = 1e-9  # utilities that are this close, in percent, are equal: sums in another order differ by 1e-13


@dataclass(frozen=True)
class Utility:
    """How alike two candidates are."""

    name: str = "chrf"
    aggregate: bool = False  # of chrF: one comparison with all candidates, instead of one with each
    lang: str = "en"  # of the sentence BLEU, as is `tokenize`
    tokenize: str | None = None

    def __post_init__(self) -> None:
        require(self.name in UTILITIES, f"--utility is {self.name}: one of {', '.join(UTILITIES)}")
        require(
            self.name == "chrf" or not self.aggregate,
            f"--aggregate is given, and --utility is {self.name}: counts are aggregated for chrf, leave one out",
        )

    def require_ready(self) -> None:
        """Refuse to begin without the package that computes chrF."""
        require(
            self.name != "chrf" or find_spec("fastchrf") is not None,
            "--utility chrf needs the package fastchrf, which is not installed: pip install 'lskd_nmt[filters]', "
            "or take --utility bleu",
        )


def utilities(candidates: Sequence[Sequence[str]], how: Utility) -> list[list[float]]:
    """The utility of each candidate of each sentence, in percent: equal texts have equal ones.

    A sentence has at least one candidate; where all are equal, nothing is computed, and all have 0.
    """
    counts = [Counter(texts) for texts in candidates]
    several = [at for at, count in enumerate(counts) if len(count) > 1]
    computed = UTILITY_OF[how.name, how.aggregate]([counts[at] for at in several], how) if several else []
    of_sentence = dict(zip(several, computed, strict=True))
    found = []
    for at, (texts, count) in enumerate(zip(candidates, counts, strict=True)):
        by_text = dict(zip(count, of_sentence[at].tolist(), strict=True)) if at in of_sentence else {}
        found.append([by_text.get(text, 0.0) for text in texts])
    return found


def by_chrf(candidates: Sequence[Counter[str]], how: Utility) -> list[NDArray[np.float64]]:
    """chrF of each pair of different texts; texts by how often they occur -> (texts,) for each sentence."""
    from fastchrf import pairwise_chrf  # noqa: PLC0415  an extra

    plain = [[without_spaces(text) for text in count] for count in candidates]
    matrices = pairwise_chrf(plain, plain, remove_whitespace=False)
    return [mean(np.asarray(matrix), count) for matrix, count in zip(matrices, candidates, strict=True)]


def by_aggregated_chrf(candidates: Sequence[Counter[str]], how: Utility) -> list[NDArray[np.float64]]:
    """chrF of each different text with the mean counts of all."""
    from fastchrf import aggregate_chrf  # noqa: PLC0415

    texts = [[without_spaces(text) for text in count] for count in candidates]
    repeated = [[without_spaces(text) for text in count.elements()] for count in candidates]
    return [np.asarray(row) for row in aggregate_chrf(texts, repeated, remove_whitespace=False)]


def by_bleu(candidates: Sequence[Counter[str]], how: Utility) -> list[NDArray[np.float64]]:
    """sacreBLEU's smoothed sentence BLEU of each pair of different texts."""
    bleu = sentence_bleu(how.lang, how.tokenize)
    found = []
    for count in candidates:
        matrix = [[bleu.sentence_score(text, [other]).score for other in count] for text in count]
        found.append(mean(np.asarray(matrix), count))
    return found


UTILITY_OF: dict[tuple[str, bool], Callable[[Sequence[Counter[str]], Utility], list[NDArray[np.float64]]]] = {
    ("chrf", False): by_chrf,
    ("chrf", True): by_aggregated_chrf,
    ("bleu", False): by_bleu,
}


def mean(matrix: NDArray[np.float64], count: Counter[str]) -> NDArray[np.float64]:
    """Σ_j n_j u_ij / Σ_j n_j for texts j that occur n_j times.   (texts, texts) -> (texts,)"""
    weights = np.asarray([*count.values()], np.float64)
    means: NDArray[np.float64] = (matrix * weights).sum(1) / weights.sum()
    return means


def without_spaces(text: str) -> str:
    """As sacreBLEU's chrF reads a text: Python and `fastchrf` do not agree on all characters that are a space."""
    return "".join(text.split())


def best(values: Sequence[float], texts: Sequence[str], count: int, tie: float = 0.0) -> list[int]:
    """The positions of the `count` best with different texts, best first; of equals, the first in their order.

    Values within `tie` of the best that is left are equal.
    """
    left = [texts.index(text) for text in dict.fromkeys(texts)]
    found: list[int] = []
    while left and len(found) < count:
        most = max(values[at] for at in left)
        chosen = next(at for at in left if values[at] >= most - tie)
        left.remove(chosen)
        found.append(chosen)
    return found


def with_utilities(
    sentences: Iterable[tuple[T, Sequence[str]]], how: Utility, workers: int
) -> Iterator[tuple[T, list[float]]]:
    """Each sentence, which goes along, with the utilities of its candidates, in their order.

    Batches are computed in so many processes; the result does not depend on their number.
    """
    waiting: deque[list[T]] = deque()

    def jobs() -> Iterator[list[Sequence[str]]]:
        for batch in batches(sentences):
            waiting.append([sentence for sentence, _ in batch])
            yield [texts for _, texts in batch]

    for values in in_order(partial(utilities, how=how), jobs(), workers):
        yield from zip(waiting.popleft(), values, strict=True)


def batches(sentences: Iterable[tuple[T, Sequence[str]]]) -> Iterator[list[tuple[T, Sequence[str]]]]:
    """Sentences of about `PAIRS` pairs of candidates at a time."""
    batch, pairs = [], 0
    for sentence in sentences:
        batch.append(sentence)
        pairs += max(len(sentence[1]), 1) ** 2
        if pairs >= PAIRS:
            yield batch
            batch, pairs = [], 0
    if batch:
        yield batch
