"""Which of several models nobody would pass over: Pareto fronts, and the smallest model that is almost as good."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.benchmark import BenchmarkedModel, Comparison
from lskd_nmt.evaluate.metrics import described

Point = tuple[float, float]  # more is better in both


def front(points: Sequence[Point]) -> list[bool]:
    """Whether each point is on the front: no other one is at least as good in both numbers and better in one.

    Of equal points all are on it, or none is.
    """
    best, found = -float("inf"), dict.fromkeys(points, False)
    for first in sorted({first for first, _ in points}, reverse=True):
        second = max(y for x, y in points if x == first)
        if second > best:
            best, found[first, second] = second, True
    return [found[point] for point in points]


@dataclass(frozen=True)
class Margin:
    """How far below the first model's score a model may be: a share of that score, or points."""

    value: float
    is_share: bool

    def points(self, score: float) -> float:
        """The margin below this score, in its points."""
        return self.value * abs(score) if self.is_share else self.value

    def __str__(self) -> str:
        return f"{100 * self.value:g} % (relative)" if self.is_share else f"{self.value:g} points (absolute)"


def margin_of(text: str) -> Margin:
    """`0.02` and `2%` are a share of the first model's score, `0.5points` are points."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%|points?|)", text)
    if found is not None:
        number, unit = float(found[1]), found[2]
        margin = Margin(number / 100 if unit == "%" else number, is_share=not unit.startswith("point"))
        if not margin.is_share or margin.value < 1:
            return margin
    raise LskdError(f"--within is {text}: give a share such as 0.02 or 2%, or points such as 0.5points")


@dataclass(frozen=True)
class Smallest:
    """The smallest model whose score is within a margin of the first model's."""

    metric: str
    model: BenchmarkedModel | None  # None: no other model is within it
    text: str  # what was found, for people


def smallest(content: Comparison, margin: Margin) -> list[Smallest]:
    """For each metric the smallest of the models after the first whose score is within the margin.

    Of equally small ones it is the better. Translators of unknown size do not take part.
    """
    first, *others = content.models
    return [of_metric(name, first, others, margin) for name in first.all_scores]


def of_metric(name: str, first: BenchmarkedModel, others: Sequence[BenchmarkedModel], margin: Margin) -> Smallest:
    """See `smallest`."""
    metric, ours = described(name), first.all_scores[name]
    sign = 1 if metric.higher_is_better else -1
    limit = sign * ours - margin.points(ours)
    near = [
        (each.megabytes, -sign * each.all_scores[name], at)
        for at, each in enumerate(others)
        if each.megabytes is not None and sign * each.all_scores[name] >= limit - 1e-9
    ]
    edge = "at least" if sign > 0 else "at most"
    what = f"smallest within {margin} of {first.name}'s {metric.label} ({edge} {sign * limit:.2f})"
    if not near:
        return Smallest(name, None, f"{what}: none")
    found = others[min(near)[-1]]
    score = found.all_scores[name]
    return Smallest(name, found, f"{what}: {found.name}, {found.megabytes:.1f} MB, {metric.label} {score:.2f}")
