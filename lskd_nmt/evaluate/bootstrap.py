"""Is a difference in score more than chance? Resampling of sentences' sufficient statistics; every draw is seeded.

Shapes: R resamples, S sentences, K seeds of a row, M sufficient statistics of a sentence (see `metrics`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, ndtri, stdtrit

from lskd_nmt.evaluate.formulas import Array
from lskd_nmt.evaluate.metrics import Statistics
from lskd_nmt.evaluate.records import Estimate

Formula = Callable[[Array], Array]  # a metric's score of summed statistics.   (…, M) -> (…)

METHOD = "bootstrap of sentences, and Student's t of the scatter of seeds, pooled below four seeds; percentiles"
POOLED = "bootstrap of sentences, and Student's t of the scatter of seeds pooled over the rows; percentiles"
SEED = 12345  # sacreBLEU's own
RESAMPLES = 10_000  # of the bootstrap; a p-value is at least 1 / (R + 1)
TRIALS = 10_000  # of approximate randomisation
CHUNK = 500  # resamples at a time: memory
BLOCK = 16  # systems or pairs at a time, in one product with the draws: memory
EXACT = 2**24  # whole numbers below it have no rounding in 32 bits, nor has any sum of them that stays below
FLIPPED = 512  # trials at a time; of 32, as numpy draws so many truths at once: the same as all together
LEVEL = 0.95
ENOUGH_SEEDS = 4  # of a row, for a p-value from its own scatter: two or three hardly say how seeds scatter
UNLIKE = 0.01  # a row scatters more than the others if an F-test of all rows says so at this level


def counts(size: int, draws: int, resamples: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each of `size` things is among `draws` drawn with replacement.   -> (resamples, size)"""
    drawn = generator.choice(size, size=(resamples, draws)) + size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * resamples).reshape(resamples, size)


def sums(drawn: npt.NDArray[np.float32], numbers: Statistics) -> Array:
    """The sum of rows drawn so often, as one product of matrices.   (R, S), (S, M) -> (R, M)

    `drawn` are whole numbers, of which no row adds up to more than S. Sums of whole numbers are exact, in whatever
    order a processor adds them: in 32 bits, which is faster, where none can reach 2^24, and in 64 bits below 2^53.
    """
    is_whole = np.issubdtype(numbers.dtype, np.integer) or bool((numbers == np.rint(numbers)).all())
    if is_whole and len(numbers) * np.abs(numbers).max(initial=0).astype(np.float64) < EXACT:
        return (drawn @ numbers.astype(np.float32)).astype(np.float64)
    return np.asarray(drawn.astype(np.float64) @ numbers.astype(np.float64))


def resampled(statistics: Sequence[Statistics], score: Formula, seed: int | Sequence[int] = SEED) -> Array:
    """The score of each system on each resample of the sentences, which are the same for all.

    Systems of (S, M) -> (systems, R).
    """
    generator = np.random.default_rng(seed)
    sentences, found = len(statistics[0]), np.empty((len(statistics), RESAMPLES))
    for start in range(0, RESAMPLES, CHUNK):
        drawn = counts(sentences, sentences, CHUNK, generator).astype(np.float32)
        for first in range(0, len(statistics), BLOCK):
            block = statistics[first : first + BLOCK]
            scores = score(sums(drawn, np.concatenate(block, axis=1)).reshape(CHUNK, len(block), -1))
            found[first : first + BLOCK, start : start + CHUNK] = scores.T
    return found


def seed_weights(seeds: Sequence[int], resamples: int = RESAMPLES) -> Array:
    """The weight of each seed in the mean of each resample.   -> (R, K)

    K - 1 of K seeds are drawn, so that the mean varies as the mean of K seeds does (Rao & Wu 1988), and weights are
    moved away from 1/K as far as Student's t with K - 1 degrees is wider than the normal distribution. Equal seeds
    are drawn alike: they are paired.
    """
    size = len(seeds)
    if size == 1:
        return np.ones((resamples, 1))
    drawn = counts(size, size - 1, resamples, np.random.default_rng([SEED, *seeds])) / (size - 1)
    return 1 / size + stretch(size) * (drawn - 1 / size)


def stretch(size: int) -> float:
    """How much wider Student's interval of the mean of so many values is than the normal one."""
    upper = (1 + LEVEL) / 2
    return float(stdtrit(size - 1, upper) / ndtri(upper))


@dataclass(frozen=True)
class Term:
    """A weight times the mean score over some seeds: of the test set (K,) and of each resample (K, R)."""

    weight: float
    seeds: tuple[int, ...]
    scores: Array
    resampled: Array


@dataclass(frozen=True)
class Spread:
    """How the scores of a row's seeds scatter, if they do so alike in all rows."""

    deviation: float  # in the metric's unit
    degrees: float  # of freedom; pooled: seeds less rows


def pooled(rows: Sequence[Array]) -> Spread:
    """The scatter of seeds that rows share: √( Σ (x - mean of its row)² / Σ (K - 1) ), as in an analysis of variance.

    Rows of (K,) scores, K of 2 or more.
    """
    degrees = sum(len(row) - 1 for row in rows)
    return Spread(float(np.sqrt(sum(((row - row.mean()) ** 2).sum() for row in rows) / degrees)), degrees)


def unlike(rows: Sequence[Array]) -> list[int]:
    """The positions of rows that scatter more than those without them: to pool these with others would hide it.

    One after the other, from the largest scatter down, is held against all that scatter less: an F-test at `UNLIKE`,
    corrected for the number of rows (Bonferroni), as Cochran's test for the largest variance does.   rows of (K,)
    """
    order = sorted(range(len(rows)), key=lambda at: -rows[at].var(ddof=1))
    for place, at in enumerate(order[:-1]):
        rest = pooled([rows[other] for other in order[place + 1 :]])
        largest = pooled([rows[at]])
        if largest.deviation == 0:
            return order[:place]
        ratio = (largest.deviation / rest.deviation) ** 2 if rest.deviation else math.inf
        if len(order[place:]) * fdtrc(largest.degrees, rest.degrees, ratio) >= UNLIKE:
            return order[:place]
    return order[:-1]


def own(terms: Sequence[Term]) -> Spread | None:
    """How the weighted sum of the terms' means scatters by the seeds of each alone; None where all have one seed.

    Where all have the same seeds, the sums of each seed do: seeds are paired, whatever they have in common. Else terms
    are independent, and degrees are Welch's and Satterthwaite's.
    """
    seeds = terms[0].seeds
    if all(term.seeds == seeds for term in terms):
        if len(seeds) < 2:
            return None
        sums = np.sum([term.weight * term.scores for term in terms], axis=0)
        return Spread(float(sums.std(ddof=1) / math.sqrt(len(seeds))), len(seeds) - 1)
    parts = [
        (term.weight**2 * float(term.scores.var(ddof=1)) / len(term.seeds), len(term.seeds) - 1)
        for term in terms
        if len(term.seeds) > 1
    ]
    if not parts:
        return None
    variance = sum(part for part, _ in parts)
    below = sum(part**2 / degrees for part, degrees in parts)
    return Spread(math.sqrt(variance), variance**2 / below if below else min(degrees for _, degrees in parts))


def contrast(terms: Sequence[Term], spread: Spread | None = None, tested: Spread | None = None) -> Estimate:
    """The weighted sum of means, its 95 % interval over seeds and sentences, and a two-sided p-value of its being 0.

    Sentences are resampled, and Student's t is added for what seeds scatter: with a `spread` each seed scatters so, and
    by itself; without one as those of its own row do. Two or three seeds of a row say too little of that for a p-value,
    so that below four one is taken from the scatter `tested`, pooled over many rows; without it p is None. Where every
    term has one seed and nothing is pooled, sentences alone are resampled, and p says nothing of another seed.
    """
    value = float(sum(term.weight * term.scores.mean() for term in terms))
    sentences = np.sum([term.weight * term.resampled.mean(0) for term in terms], axis=0)  # (R,)
    shares = math.sqrt(sum(term.weight**2 / len(term.seeds) for term in terms))

    def drawn(scatter: Spread | None, by: float = 1.0) -> Array:
        if scatter is None:
            return np.asarray(sentences)
        draws = np.random.default_rng(SEED).standard_t(scatter.degrees, len(sentences))
        return np.asarray(sentences + math.copysign(by, value) * scatter.deviation * draws)  # A over B mirrors B over A

    mine = drawn(spread, shares) if spread else drawn(own(terms))
    low, high = np.quantile(mine, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    few = min(len(term.seeds) for term in terms) < ENOUGH_SEEDS
    is_known = spread or tested or not few or all(len(term.seeds) == 1 for term in terms)
    if few and tested and not spread:
        mine = drawn(tested, shares)
    as_far = np.abs(mine - sentences.mean()) >= abs(value)
    p = float((as_far.sum() + 1) / (len(mine) + 1))
    is_same = value == 0 and not mine.any()  # whatever seeds do
    return Estimate(value, float(low), float(high), p if is_known or is_same else None)


def randomisation(pairs: Sequence[tuple[Statistics, Statistics]], score: Formula) -> list[float]:
    """sacreBLEU's paired approximate randomisation for each pair of (S, M): two-sided p-values.

    Where all outputs are the same, p is 1, where sacreBLEU says 1 / (trials + 1).
    """
    if not pairs:
        return []
    bases, systems = (
        np.array([pair[side].sum(0, dtype=np.float64) for pair in pairs]) for side in (0, 1)
    )  # (pairs, M)
    differences = np.abs(score(bases) - score(systems))
    larger = np.zeros(len(pairs))
    generator = np.random.default_rng(SEED)
    for start in range(0, TRIALS, FLIPPED):
        flips = generator.integers(2, size=(min(FLIPPED, TRIALS - start), len(pairs[0][0])), dtype=bool)
        drawn = flips.astype(np.float32)
        for first in range(0, len(pairs), BLOCK):
            block = slice(first, first + BLOCK)
            moved = np.concatenate([moves(*pair) for pair in pairs[block]], axis=1)  # (S, BLOCK * M)
            shift = sums(drawn, moved).reshape(len(flips), len(pairs[block]), -1)
            found = np.abs(score(systems[block] + shift) - score(bases[block] - shift))
            larger[block] += (found > differences[block] + 1e-9).sum(0)
    return [
        1.0 if (base == system).all() else float((count + 1) / (TRIALS + 1))
        for count, (base, system) in zip(larger, pairs, strict=True)
    ]


def moves(base: Statistics, system: Statistics) -> Statistics:
    """What a system gains from taking over the base's translations, sentence by sentence.   (S, M), (S, M) -> (S, M)"""
    kinds = (base.dtype, system.dtype)
    is_whole = all(np.issubdtype(kind, np.integer) for kind in kinds)
    return np.asarray(np.subtract(base, system, dtype=np.int64 if is_whole else np.float64))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979), in the order given; None is no test and does not count."""
    adjusted: list[float | None] = [None] * len(values)
    known, largest = {index: value for index, value in enumerate(values) if value is not None}, 0.0
    for rank, index in enumerate(sorted(known, key=known.__getitem__)):
        largest = max(largest, min(1.0, (len(known) - rank) * known[index]))
        adjusted[index] = largest
    return adjusted
