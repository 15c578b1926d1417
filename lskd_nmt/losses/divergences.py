"""Divergences between teacher p and student q at a temperature."""

import math
from typing import Literal

from torch import Tensor

Temper = Literal["both", "teacher"]


def tempered(log_probs: Tensor, temperature: float) -> Tensor:
    """log softmax(z/τ), for logits z or any shift of them, log-probabilities included.   (N, V) -> (N, V)"""
    if temperature == 1:
        return log_probs.log_softmax(-1)
    return (log_probs / temperature).log_softmax(-1)


def forward_kl(log_p: Tensor, log_q: Tensor, temperature: float = 1.0, temper: Temper = "both") -> Tensor:
    """KL(p(τ) ‖ q(τ)), or KL(p(τ) ‖ q) with `temper="teacher"`, in nats.   (N, V), (N, V) -> (N,)

    p is the teacher, q the student, both as log-probabilities at τ = 1 (Hinton et al. 2015, section 2).
    Zero exactly where the two tempered distributions agree. No τ² here: see `objective`.
    """
    log_p = tempered(log_p, temperature)
    log_q = tempered(log_q, temperature if temper == "both" else 1.0)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def mean_log_probs(log_probs: list[Tensor]) -> Tensor:
    """Log of the ensemble's mean probability, log (1/K)·Σ_k p_k.   K × (N, V) -> (N, V)"""
    total = log_probs[0]
    for other in log_probs[1:]:
        total = total.logaddexp(other)
    return total - math.log(len(log_probs))
