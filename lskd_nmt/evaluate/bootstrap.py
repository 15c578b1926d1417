"""Is a difference in BLEU more than chance? Resampling of sacreBLEU's sufficient statistics; every draw is seeded.

R resamples, S sentences, K seeds. Statistics of a sentence: output and reference length, matching and all n-grams.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU
from scipy.special import fdtrc, ndtri, stdtrit

Array = npt.NDArray[np.float64]

METHOD = "bootstrap of sentences, and Student's t of the scatter of seeds, pooled below four seeds; percentiles"
POOLED = "bootstrap of sentences, and Student's t of the scatter of seeds pooled over the rows; percentiles"
SEED = 12345  # sacreBLEU's own
RESAMPLES = 10_000  # of the bootstrap; a p-value is at least 1 / (R + 1)
TRIALS = 10_000  # of approximate randomisation
ORDERS = 4
CHUNK = 500  # resamples at a time: memory
FLIPPED = 512  # trials at a time; of 32, as numpy draws so many truths at once: the same as all together
LEVEL = 0.95
ENOUGH_SEEDS = 4  # of a row, for a p-value from its own scatter: two or three hardly say how seeds scatter
UNLIKE = 0.01  # a row scatters more than the others if an F-test of all rows says so at this level


def statistics(metric: BLEU, hyps: Sequence[str]) -> Array:
    """The sufficient statistics of each sentence; `metric` holds the references.   -> (S, 10)"""
    return np.array(metric._extract_corpus_statistics(list(hyps), None), dtype=np.float64)


def bleu(sums: Array) -> Array:
    """Corpus BLEU in percent from summed statistics, smoothed as sacreBLEU's `exp`.   (…, 10) -> (…)"""
    hyp_length, ref_length = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    none = correct == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(none, 0.5 ** none.cumsum(-1), correct) / total
        brevity = np.exp(np.minimum(0, 1 - ref_length / hyp_length))
        score = 100 * brevity * np.exp(np.log(precisions).mean(-1))
    return np.where(correct.any(-1) & total.all(-1), score, 0.0)


def counts(size: int, draws: int, resamples: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each of `size` things is among `draws` drawn with replacement.   -> (resamples, size)"""
    drawn = generator.choice(size, size=(resamples, draws)) + size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * resamples).reshape(resamples, size)


def resampled(statistics: Sequence[Array]) -> Array:
    """BLEU of each system on each resample of the sentences, the same for all.   systems of (S, 10) -> (systems, R)"""
    generator = np.random.default_rng(SEED)
    together = np.concatenate(statistics, axis=1).astype(np.float32)  # whole numbers below 2^24 stay exact
    chunks = []
    for _ in range(0, RESAMPLES, CHUNK):
        drawn = counts(len(together), len(together), CHUNK, generator).astype(np.float32)
        chunks.append(bleu((drawn @ together).astype(np.float64).reshape(CHUNK, len(statistics), -1)))
    return np.concatenate(chunks).T


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
    """A weight times the mean BLEU over some seeds: of the test set (K,) and of each resample (K, R)."""

    weight: float
    seeds: tuple[int, ...]
    scores: Array
    resampled: Array


@dataclass(frozen=True)
class Spread:
    """How the BLEU of a row's seeds scatters, if it does so alike in all rows."""

    deviation: float  # BLEU
    degrees: float  # of freedom; pooled: seeds less rows


def pooled(rows: Sequence[Array]) -> Spread:
    """√( Σ (x - mean of its row)² / Σ (K - 1) ), as in an analysis of variance.   rows of (K,), K of 2 or more"""
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


def contrast(terms: Sequence[Term], spread: Spread | None = None, tested: Spread | None = None) -> dict[str, Any]:
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
    return {"value": value, "low": float(low), "high": float(high), "p": p if is_known or is_same else None}


def randomisation(pairs: Sequence[tuple[Array, Array]]) -> list[float]:
    """sacreBLEU's paired approximate randomisation for each pair of (S, 10): two-sided p-values.

    Where all outputs are the same, p is 1, where sacreBLEU says 1 / (trials + 1).
    """
    if not pairs:
        return []
    moved = np.concatenate([base - system for base, system in pairs], axis=1).astype(np.float32)  # (S, pairs * 10)
    sums = np.array([(base.sum(0), system.sum(0)) for base, system in pairs])  # (pairs, 2, 10)
    differences = np.abs(bleu(sums[:, 0]) - bleu(sums[:, 1]))
    larger = np.zeros(len(pairs))
    generator = np.random.default_rng(SEED)
    for start in range(0, TRIALS, FLIPPED):
        flips = generator.integers(2, size=(min(FLIPPED, TRIALS - start), len(moved)), dtype=bool)
        shift = (flips.astype(np.float32) @ moved).astype(np.float64)
        shift = shift.reshape(len(shift), len(pairs), -1)
        found = np.abs(bleu(sums[:, 1] + shift) - bleu(sums[:, 0] - shift))
        larger += (found > differences + 1e-9).sum(0)
    return [
        1.0 if (base == system).all() else float((count + 1) / (TRIALS + 1))
        for count, (base, system) in zip(larger, pairs, strict=True)
    ]


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979), in the order given; None is no test and does not count."""
    adjusted: list[float | None] = [None] * len(values)
    known, largest = {index: value for index, value in enumerate(values) if value is not None}, 0.0
    for rank, index in enumerate(sorted(known, key=known.__getitem__)):
        largest = max(largest, min(1.0, (len(known) - rank) * known[index]))
        adjusted[index] = largest
    return adjusted
