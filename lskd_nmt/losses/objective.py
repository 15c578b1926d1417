"""The `kd_ls` objective: label-smoothed NLL mixed with a tempered divergence from the teacher."""

import math
from dataclasses import dataclass
from typing import NamedTuple, get_args

from torch import Tensor

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.divergences import Temper, forward_kl, tempered
from lskd_nmt.losses.signals import Signal, Tail, TopK, top_k_kl
from lskd_nmt.losses.smoothing import SmoothingOver, negative_log_likelihood, smoothed_nll


@dataclass(frozen=True)
class KdOptions:
    """The objective's settings; all complaints about them are raised at once, as one `LskdError`."""

    temperature: float = 1.0
    kd_weight: float = 0.5
    label_smoothing: float = 0.0
    smoothing_over: SmoothingOver = "others"
    temper: Temper = "both"
    temperature_squared: bool = True
    tail: Tail = "dense"
    top_k: int = 0

    def __post_init__(self) -> None:
        complaints = []
        if not 0 < self.temperature < math.inf:
            complaints.append(f"--temperature is {self.temperature}: give a finite number above 0")
        if not 0 <= self.kd_weight <= 1:
            complaints.append(f"--kd-weight is {self.kd_weight}: give a number from 0 (no teacher) to 1 (soft-only)")
        if not 0 <= self.label_smoothing < 1:
            complaints.append(f"--label-smoothing is {self.label_smoothing}: give a number from 0 to below 1")
        if self.smoothing_over not in get_args(SmoothingOver):
            complaints.append(f"--smoothing-over is {self.smoothing_over}: give one of {get_args(SmoothingOver)}")
        if self.temper not in get_args(Temper):
            complaints.append(f"--temper is {self.temper}: give one of {get_args(Temper)}")
        if self.tail not in get_args(Tail):
            complaints.append(f"--tail is {self.tail}: give one of {get_args(Tail)}")
        elif self.top_k < 0:
            complaints.append(f"--top-k is {self.top_k}: give a number of symbols, or 0 for all of them")
        elif (self.tail == "dense") != (self.top_k == 0):
            complaints.append(f"--tail is {self.tail} and --top-k is {self.top_k}: dense is for all symbols "
                              "(--top-k 0), bucket, uniform and renormalise for the top k")  # fmt: skip
        if complaints:
            raise LskdError("; ".join(complaints))

    @property
    def kd_scale(self) -> float:
        """What the divergence is multiplied by: λ·τ², or λ without the square.

        ∂KL(p(τ)‖q(τ))/∂z falls as 1/τ², so the square keeps the two terms in balance (Hinton et al. 2015).
        """
        return self.kd_weight * (self.temperature**2 if self.temperature_squared else 1.0)


class KdTerms(NamedTuple):
    """Per token, in nats: the objective and the parts that are logged.   (N,) each"""

    loss: Tensor
    nll: Tensor
    kd: Tensor | None


def kd_ls_terms(log_q: Tensor, target: Tensor, signal: Signal | None, options: KdOptions) -> KdTerms:
    """(1-λ)·LS-NLL(ε) + λ·τ²·KL(p(τ)‖q(τ)).   (N, V), (N,), (N, V) or top k -> 3 × (N,)

    Student log-probabilities, gold symbols and the teacher: its log-probabilities at τ = 1, or its top k at τ; without
    a teacher (λ = 0) `kd` is None. `nll` is one-hot and at τ = 1 whatever the options; `kd` is the divergence before
    λ and τ².
    """
    nll = negative_log_likelihood(log_q, target)
    hard = smoothed_nll(log_q, target, options.label_smoothing, options.smoothing_over)
    if options.kd_weight == 0:
        return KdTerms(hard, nll, None)
    assert signal is not None, "kd_weight > 0 needs the teacher's log-probabilities"
    if isinstance(signal, TopK):
        log_q = tempered(log_q, options.temperature if options.temper == "both" else 1.0)
        kd = top_k_kl(signal, log_q, options.tail)
    else:
        assert signal.shape == log_q.shape, (signal.shape, log_q.shape)
        kd = forward_kl(signal, log_q, options.temperature, options.temper)
    return KdTerms((1 - options.kd_weight) * hard + options.kd_scale * kd, nll, kd)
