"""The diffusion index: do a student's classes move towards similar classes as the temperature of distillation rises?

Chandrasegaran et al. (ICML 2022) define such an index; their formula could not be found. This is a working definition
of our own. With c_i the mean state of class i, and distances relative to the class's mean distance from all others,

    d(i, j) = ‖c_i − c_j‖ / mean over m ≠ i of ‖c_i − c_m‖
    η(i; S) = mean over j in S of (d₁(i, j) − d_T(i, j)) / d₁(i, j)

for students distilled at temperatures 1 and T. Moving nearer to S gives η > 0; growing, shrinking, turning or shifting
the whole space gives 0. n tokens of a class, D the width of states, K classes, R resamples, S sentences; S1 are a
class's similar classes and S2 all others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lskd_nmt.errors import require
from lskd_nmt.evaluate.bootstrap import LEVEL, counts, seed_weights
from lskd_nmt.storage.arrays import Float64s, Floats, Ids, Mask
from lskd_nmt.storage.typed import absent, record

States = Sequence[Floats]  # of each class, (n, D)

ENOUGH_SEEDS = 3
CHUNK = 100  # resamples at a time, which bounds the memory


@record
class Estimate:
    """A value and its 95 % interval, less the bias that resampling shows; and the plain value."""

    value: float
    low: float
    high: float
    uncorrected: float


@record
class ClassIndex:
    """η of one class over its similar classes and over the others."""

    similar: float
    others: float


@record
class Assessed:
    """η averaged over classes: of similar classes, of the others, and the difference; and what follows from them."""

    similar: Estimate
    others: Estimate
    margin: Estimate
    seeds: int
    verdict: str
    by_class: dict[str, ClassIndex] | None = absent()


def centroids(states: States) -> Float64s:
    """The mean state of each class.   K of (n, D) -> (K, D)"""
    return np.array([mine.mean(0, dtype=np.float64) for mine in states])


def relative_distances(centres: Float64s) -> Float64s:
    """d(i, j), each row's mean being 1 over the other classes.   (…, K, D) -> (…, K, K)"""
    squares = (centres**2).sum(-1)
    gram = centres @ centres.swapaxes(-1, -2)
    distances = np.sqrt(np.maximum(squares[..., :, None] + squares[..., None, :] - 2 * gram, 0))
    distances[..., np.eye(distances.shape[-1], dtype=bool)] = 0
    total = distances.sum(-1, keepdims=True)
    return np.asarray(distances * (distances.shape[-1] - 1) / total)


def similar(probabilities: Float64s, count: int) -> Mask:
    """S1: for each class the `count` others to which the teacher gives most probability in its place.   -> (K, K)"""
    require(
        0 < count < len(probabilities) - 1,
        f"--similar is {count}: of {len(probabilities)} classes, 1 to {len(probabilities) - 2} can be the similar ones",
    )
    others = np.where(np.eye(len(probabilities), dtype=bool), -1.0, probabilities)
    chosen = np.argsort(-others, axis=1, kind="stable")[:, :count]
    mask = np.zeros_like(others, dtype=bool)
    np.put_along_axis(mask, chosen, True, axis=1)
    return mask


def index(first: Float64s, other: Float64s, mask: Mask) -> Float64s:
    """η(i; S) from d₁ and d_T, `mask` being S.   (…, K, K) twice, (K, K) -> (…, K)"""
    apart = ~np.eye(mask.shape[0], dtype=bool)
    change = np.divide(first - other, first, out=np.zeros_like(first), where=apart)
    return np.asarray((change * mask).sum(-1) / mask.sum(-1))


def resampled_centroids(states: States, sentences: Sequence[Ids], weights: Floats) -> Float64s:
    """Mean states where sentence s counts weights[r, s] times.   K of (n, D), K of (n,), (R, S) -> (R, K, D)"""
    found = np.empty((len(weights), len(states), states[0].shape[1]))
    for place, (mine, sentence) in enumerate(zip(states, sentences, strict=True)):
        drawn = weights[:, sentence].astype(np.float32)  # (R, n)
        found[:, place] = drawn @ mine.astype(np.float32) / drawn.sum(1, keepdims=True)
    return found


@dataclass(frozen=True)
class Arm:
    """η of one teacher's students at each T other than 1, over S1 and S2."""

    by_class: Mapping[float, Float64s]  # (2, K)
    resampled: Mapping[float, Float64s]  # (R, 2), means over classes
    seeds: int = 1


def arms(
    teachers: Sequence[Mapping[float, States]],
    sentences: Sequence[Ids],
    size: int,
    mask: Mask,
    resamples: int,
    seed: int,
    done: Callable[[int], None] = lambda resamples: None,
) -> list[Arm]:
    """Each teacher's students at their temperatures, 1 among them, on the same resamples of `size` sentences.

    `sentences` has the place of each token's sentence among them, from 0; `done` is told how many resamples more are
    done.   K of (n, D) each, K of (n,)
    """
    masks = mask, ~mask & ~np.eye(len(mask), dtype=bool)

    def indices(centres: Mapping[float, Float64s]) -> dict[float, Float64s]:
        distances = {temperature: relative_distances(each) for temperature, each in centres.items()}
        return {
            temperature: np.stack([index(distances[1.0], each, one) for one in masks], axis=-2)
            for temperature, each in distances.items()
            if temperature != 1
        }

    generator = np.random.default_rng(seed)
    found: list[list[dict[float, Float64s]]] = [[] for _ in teachers]
    for start in range(0, resamples, CHUNK):
        weights = counts(size, size, min(CHUNK, resamples - start), generator).astype(np.float32)
        for parts, students in zip(found, teachers, strict=True):
            drawn = {t: resampled_centroids(states, sentences, weights) for t, states in students.items()}
            parts.append({t: each.mean(-1) for t, each in indices(drawn).items()})
        done(len(weights))
    return [
        Arm(
            indices({t: centroids(states) for t, states in students.items()}),
            {t: np.concatenate([part[t] for part in parts]) for t in students if t != 1},
        )
        for students, parts in zip(teachers, found, strict=True)
    ]


def united(seeds: Sequence[Arm]) -> Arm:
    """The mean over trainings that differ in their seed; resamples draw seeds, too, as those of BLEU do."""
    size, temperatures = len(seeds), seeds[0].by_class
    weights = {t: seed_weights(range(size), len(seeds[0].resampled[t])) for t in temperatures}  # (R, seeds)
    return Arm(
        {t: np.mean([each.by_class[t] for each in seeds], axis=0) for t in temperatures},
        {t: np.einsum("rs,srp->rp", weights[t], np.stack([each.resampled[t] for each in seeds])) for t in temperatures},
        size,
    )


def estimate(value: float, resampled: Float64s) -> Estimate:
    """A value and its 95 % interval, both less the bias that resampling shows (the basic bootstrap).   (R,)

    The noise of mean states adds to every distance, and most to the smallest: the plain value is nearer to 0.
    """
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(
        value=float(2 * value - resampled.mean()),
        low=float(2 * value - high),
        high=float(2 * value - low),
        uncorrected=float(value),
    )


def summary(arm: Arm) -> dict[str, Assessed]:
    """For each T, as text: η of similar and of other classes, averaged over classes, their difference, the verdict."""
    return {f"{t:g}": assessed(of_class.mean(-1), arm.resampled[t], arm.seeds) for t, of_class in arm.by_class.items()}


def control(smoothed: Arm, plain: Arm) -> dict[str, Assessed]:
    """Δη, the index with label smoothing less that without, at the temperatures that both have."""
    return {
        f"{t:g}": assessed(
            smoothed.by_class[t].mean(-1) - plain.by_class[t].mean(-1),
            smoothed.resampled[t] - plain.resampled[t],
            min(smoothed.seeds, plain.seeds),
        )
        for t in smoothed.by_class
        if t in plain.by_class
    }


def assessed(value: Float64s, resampled: Float64s, seeds: int) -> Assessed:
    """η over S1 and S2, (2,), with its resamples, (R, 2), as estimates and a verdict."""
    similar, others = estimate(value[0], resampled[:, 0]), estimate(value[1], resampled[:, 1])
    margin = estimate(value[0] - value[1], resampled[:, 0] - resampled[:, 1])
    return Assessed(similar, others, margin, seeds, verdict(similar, margin, seeds))


def verdict(near: Estimate, margin: Estimate, seeds: int) -> str:
    """Systematic: η(S1) > 0 and η(S1) > η(S2), both by their intervals.

    Fewer than three seeds decide nothing: two trainings that differ in rounding alone differ by more than the interval
    of either.
    """
    if seeds < ENOUGH_SEEDS:
        return f"undecided ({'one seed' if seeds == 1 else f'{seeds} seeds'})"
    if near.low > 0 and margin.low > 0:
        return "systematic"
    return "not systematic" if near.high < 0 or margin.high < 0 else "undecided"
