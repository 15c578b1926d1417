"""The tokens that a loss is taken of, at the temperatures that its terms ask for, and the gradient by their logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lskd_nmt.losses.divergences import tempered
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Signal
from lskd_nmt.losses.token_selection import TermWeights

Weight = float | Tensor  # of a term: the same for all tokens, or one each, (N,)


class Tokens:
    """N tokens: the student's logits, gold symbols and the teacher; what several terms need of them is made once."""

    def __init__(
        self,
        logits: Tensor,
        target: Tensor,
        signal: Signal | None,
        options: KdOptions,
        term_weights: TermWeights | None = None,
        normalised: bool = False,
        overwrite: bool = False,
    ) -> None:
        """`logits` (N, V), which are log-probabilities if they are `normalised`; `target` (N,).

        `overwrite`: whether the logits' memory may be used, once no gradient is taken through them.
        With R-Drop's two dropout passes rows come in pairs: 2i and 2i+1 are those of token i.
        """
        self.logits, self.target, self.options, self.term_weights = logits, target, options, term_weights
        self._signal, self._overwrite = signal, overwrite
        self._divided_by = 1.0  # what the logits were divided by in place
        self._log_q: dict[float, Tensor] = {1.0: logits} if normalised else {}
        self._q: dict[float, Tensor] = {}
        self._signals: dict[float, Signal] = {}

    @property
    def symbols(self) -> int:
        """The size V of the vocabulary."""
        return self.logits.size(-1)

    def log_q(self, temperature: float) -> Tensor:
        """The student's log-probabilities at a temperature.   -> (N, V)"""
        if temperature not in self._log_q:
            if self._overwrite and temperature != self._divided_by and not self.logits.requires_grad:
                self.logits.mul_(self._divided_by / temperature)
                self._divided_by = temperature
            self._log_q[temperature] = tempered(self.logits, temperature / self._divided_by)
        return self._log_q[temperature]

    def q(self, temperature: float, overwrite: bool = True) -> Tensor:
        """The student's probabilities at a temperature, in the place of its log-probabilities.   -> (N, V)

        `overwrite`: whether these are needed no more. Only for terms whose gradient is written out.
        """
        if temperature not in self._q:
            log_q = self.log_q(temperature)
            self._q[temperature] = log_q.exp_() if overwrite else log_q.exp()
            if overwrite:
                del self._log_q[temperature]
        return self._q[temperature]

    def exponentiated(self, temperature: float) -> None:
        """Take note that the log-probabilities at a temperature were overwritten with the probabilities."""
        self._q[temperature] = self._log_q.pop(temperature)

    def signal(self, temperature: float) -> Signal:
        """The teacher at a temperature."""
        assert self._signal is not None, "a weight above 0 needs a teacher"
        if temperature not in self._signals:
            self._signals[temperature] = self._signal.at(temperature)
        return self._signals[temperature]

    def detach(self) -> None:
        """Forget how the student's part was made, once autograd is done with it."""
        self.logits = self.logits.detach()
        self._log_q = {temperature: log_q.detach() for temperature, log_q in self._log_q.items()}


class Kept(NamedTuple):
    """Where a slope is q - p whatever it is elsewhere: at the teacher's top k."""

    ids: Tensor  # (N, k)
    p: Tensor  # (N, k)


class Few(NamedTuple):
    """What a slope has at a few symbols alone."""

    ids: Tensor  # (N, m), where a symbol may stand more than once
    values: Tensor  # (N, m)


@dataclass(frozen=True)
class Slope:
    """The gradient of a term's weighted losses by the logits, as parts that are cheap to add up to those of others.

    It is factor · [own · q(τ) + sign · dense + few - label at the gold symbol - shared]; at the `kept` symbols the
    first part is q(τ) - p.
    """

    factor: Weight  # its weight, and what comes before all parts
    temperature: float | None = None  # τ of q, None if q has no part in it
    own: float | Tensor = 1.0  # (N, 1)
    kept: Kept | None = None
    dense: Tensor | None = None  # (N, V)
    sign: float = 1.0
    few: Few | None = None
    label: float = 0.0
    shared: Weight = 0.0

    @property
    def column(self) -> float | Tensor:
        """The factor, in a shape that multiplies rows.   -> (N, 1)"""
        return self.factor.unsqueeze(-1) if isinstance(self.factor, Tensor) else self.factor

    @property
    def size(self) -> float:
        """The largest factor of a token."""
        if isinstance(self.factor, Tensor):
            return float(self.factor.max()) if self.factor.numel() else 0.0
        return self.factor


class Gradient(NamedTuple):
    """∂loss/∂logits of N tokens = scale · matrix - shared, where `shared` is the same for all symbols of a token."""

    matrix: Tensor  # (N, V), its entries of the order of probabilities
    scale: float
    shared: Tensor  # (N,)

    def times(self, weights: Tensor) -> "Gradient":
        """The gradient of the weighted sum; overwrites `matrix`.   (N,)"""
        return Gradient(self.matrix.mul_(weights.unsqueeze(-1)), self.scale, self.shared * weights)


def combined(slopes: Sequence[Slope], tokens: Tokens) -> Gradient:
    """The sum of all slopes; overwrites what `tokens` has of the student.

    In half precision a matrix is multiplied by 1024 before it is rounded: its entries must stay below 60.
    """
    slopes = [slope for slope in slopes if isinstance(slope.factor, Tensor) or slope.factor]
    groups: dict[float, list[Slope]] = {}
    for slope in sorted(slopes, key=lambda slope: (slope.kept is None, -slope.size)):  # the largest needs no scaling
        if slope.temperature is not None:
            groups.setdefault(slope.temperature, []).append(slope)
    others = sum(slope.size for slope in slopes if slope.temperature is None)
    scale = max((sum(slope.size for slope in group) for group in groups.values()), default=0.0) + others or 1.0
    matrix: Tensor | None = None
    for temperature, group in groups.items():
        q, coefficient = tokens.q(temperature), sum(slope.column * slope.own for slope in group) / scale
        if matrix is None:
            matrix = students_part(q, coefficient, group, scale)
        else:
            added = {"alpha": coefficient} if not isinstance(coefficient, Tensor) else {}
            matrix.add_(q if added else q.mul_(coefficient), **added)
    matrix = torch.zeros_like(tokens.logits) if matrix is None else matrix
    shared, at = torch.zeros_like(tokens.logits[:, 0]), tokens.target.unsqueeze(-1)
    for slope in slopes:
        if slope.dense is not None:
            add(matrix, slope.dense, slope.column, slope.sign / scale)
        if slope.few is not None:
            matrix.scatter_add_(-1, slope.few.ids, (slope.few.values * slope.column / scale).to(matrix))
        if slope.label:
            value = -slope.label / scale * slope.column
            matrix.scatter_add_(-1, at, value + torch.zeros_like(at, dtype=matrix.dtype))
        shared = shared + slope.factor * slope.shared
    return Gradient(matrix, scale, shared)


def add(matrix: Tensor, dense: Tensor, column: float | Tensor, by: float) -> None:
    """Add `by` · column · dense in place.   (N, V), (N, V), (N, 1)"""
    if isinstance(column, Tensor):
        matrix.addcmul_(dense, column, value=by)
    else:
        matrix.add_(dense, alpha=column * by)


def students_part(q: Tensor, coefficient: float | Tensor, group: Sequence[Slope], scale: float) -> Tensor:
    """Σ factor·own·q over scale of the slopes of one temperature, q - p at kept symbols; overwrites q.   -> (N, V)"""
    kept = group[0].kept
    if kept is None:
        return q if isinstance(coefficient, float) and coefficient == 1 else q.mul_(coefficient)
    assert all(slope.kept is None for slope in group[1:]), "one teacher has one top k"
    whole = sum(slope.column for slope in group) / scale  # of q, where it is q - p
    values = whole * q.gather(-1, kept.ids) - group[0].column / scale * kept.p.to(q)
    if isinstance(coefficient, Tensor) or coefficient != 1:
        q.mul_(coefficient)
    return q.scatter_(-1, kept.ids, values.to(q))
