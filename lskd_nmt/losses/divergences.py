"""Divergences between teacher p and student q at a temperature, and the table of those that `--divergence` knows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lskd_nmt.errors import require

Temper = Literal["both", "teacher"]


def tempered(log_probs: Tensor, temperature: float) -> Tensor:
    """log softmax(z/τ), for logits z or any shift of them, log-probabilities included.   (N, V) -> (N, V)"""
    if temperature == 1:
        return log_probs.log_softmax(-1)
    return (log_probs / temperature).log_softmax(-1)


def forward_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q), in nats: the student covers all that the teacher finds probable.   (N, V), (N, V) -> (N,)

    Hinton et al. 2015, section 2. Zero exactly where the two distributions agree.
    """
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def reverse_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(q ‖ p), in nats: the student leaves out what the teacher finds improbable.   (N, V), (N, V) -> (N,)

    Of whole distributions at each position, not estimated from samples (Wen et al. 2023; Agarwal et al. 2024).
    """
    return forward_kl(log_q, log_p)


@dataclass(frozen=True)
class Divergence:
    """One entry of the table: p and q, both tempered as `temper` says, and the parameter if it has one."""

    function: Callable[..., Tensor]  # (log_p, log_q[, parameter]): (N, V), (N, V) -> (N,) nats
    parameter: tuple[str, float, float] | None = None  # its name, and the open interval that it lies in
    temper: Temper | None = None  # whose logits are divided by τ, where that is no choice
    order: int = 2  # the power of τ that keeps its gradient in balance with the hard term's


DIVERGENCES: dict[str, Divergence] = {
    "forward": Divergence(forward_kl),
    "reverse": Divergence(reverse_kl),
}


@dataclass(frozen=True)
class Chosen:
    """A divergence with its parameter, as `--divergence NAME[:PARAMETER]` names it."""

    name: str
    entry: Divergence
    parameter: float | None

    def __call__(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Of distributions that are tempered already.   (N, V), (N, V) -> (N,)"""
        extra = () if self.parameter is None else (self.parameter,)
        return self.entry.function(log_p, log_q, *extra)


def divergence_forms() -> list[str]:
    """How each divergence is written: `forward`, `jsd:B`."""
    return [f"{name}:{entry.parameter[0]}" if entry.parameter else name for name, entry in DIVERGENCES.items()]


def divergence_named(text: str) -> Chosen:
    """`forward`, `jsd:0.5`; an unknown name or a parameter out of range is one line."""
    name, _, value = text.partition(":")
    require(name in DIVERGENCES, f"--divergence is {text}: give one of {', '.join(divergence_forms())}")
    entry = DIVERGENCES[name]
    if entry.parameter is None:
        require(not value, f"--divergence is {text}: {name} has no parameter, give {name}")
        return Chosen(name, entry, None)
    letter, low, high = entry.parameter
    try:
        parameter = float(value)
    except ValueError:
        parameter = math.nan
    require(low < parameter < high, f"--divergence is {text}: give {name}:{letter} with {letter} between "
                                    f"{low:g} and {high:g}, as {name}:{(low + high) / 2:g}")  # fmt: skip
    return Chosen(name, entry, parameter)


def mean_log_probs(log_probs: list[Tensor]) -> Tensor:
    """Log of the ensemble's mean probability, log (1/K)·Σ_k p_k.   K × (N, V) -> (N, V)"""
    total = log_probs[0]
    for other in log_probs[1:]:
        total = total.logaddexp(other)
    return total - math.log(len(log_probs))
