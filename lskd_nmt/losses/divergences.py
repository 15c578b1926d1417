"""Divergences between teacher p and student q at a temperature, and the table of those that `--divergence` knows."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lskd_nmt.losses import closed_forms, named_options
from lskd_nmt.losses.closed_forms import ClosedForm, Pair
from lskd_nmt.losses.named_options import Parameter
from lskd_nmt.losses.relative import LogMixture, RelativeEntropy
from lskd_nmt.losses.settings import Temper
from lskd_nmt.losses.token_selection import TermWeights, TokenStatistics


def tempered(log_probs: Tensor, temperature: float) -> Tensor:
    """log softmax(z/τ), for logits z or any shift of them, log-probabilities included.   (N, V) -> (N, V)"""
    if temperature == 1:
        return log_probs.log_softmax(-1)
    return (log_probs / temperature).log_softmax(-1)


def forward_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q), in nats: the student covers all that the teacher finds probable.   (N, V), (N, V) -> (N,)

    Hinton et al. 2015, section 2. Zero exactly where the two distributions agree, infinite where q is 0 and p is not.
    """
    return RelativeEntropy.apply(log_p, log_q)  # type: ignore[no-untyped-call,no-any-return]


def reverse_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(q ‖ p), in nats: the student leaves out what the teacher finds improbable.   (N, V), (N, V) -> (N,)

    Of whole distributions at each position, not estimated from samples (Wen et al. 2023; Agarwal et al. 2024).
    """
    return forward_kl(log_q, log_p)


def mixture(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """log(share·p + (1-share)·q); with no share of p it is log q to the last bit.   (N, V), (N, V) -> (N, V)"""
    if share == 0:
        return log_q
    return LogMixture.apply(log_p, log_q, log_p.new_tensor(share))  # type: ignore[no-untyped-call,no-any-return]


def js_divergence(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """B·KL(p ‖ m) + (1-B)·KL(q ‖ m) with m = B·p + (1-B)·q, in nats.   (N, V), (N, V) -> (N,)

    Agarwal et al. 2024 (GKD). Over B it tends to KL(p ‖ q) as B -> 0, over 1-B to KL(q ‖ p) as B -> 1.
    """
    log_m = mixture(log_p, log_q, share)
    return share * forward_kl(log_p, log_m) + (1 - share) * forward_kl(log_q, log_m)


def skew_kl(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """KL(p ‖ A·p + (1-A)·q), in nats, never above -log A.   (N, V), (N, V) -> (N,)

    Ko et al. 2024 (DistiLLM), A = 0.1 there.
    """
    return forward_kl(log_p, mixture(log_p, log_q, share))


def skew_reverse_kl(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """KL(q ‖ (1-A)·p + A·q), in nats, never above -log A.   (N, V), (N, V) -> (N,)

    Ko et al. 2024 (DistiLLM), A = 0.1 there; the gradient goes through the mixture too.
    """
    return skew_kl(log_q, log_p, share)


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """½·Σ|p - q|, from 0 to 1.   (N, V), (N, V) -> (N,)

    The distance itself; Wen et al. 2023 have ¼·Σ|p - q| on the teacher's and on the student's sample each.
    """
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


def relative_power(statistics: TokenStatistics) -> Tensor:
    """U_{1/τ}(p) = Σ_v p_v^{1/τ} of each token over its mean (Zheng & Yang 2024; the mean is ours).   -> (N,)"""
    log_power = statistics["teacher_log_power"]
    return log_power.softmax(0) * log_power.numel()


@dataclass(frozen=True)
class Divergence:
    """One entry of the table: p and q, both tempered as `temper` says, and the parameter if it has one."""

    function: Callable[..., Tensor]  # (log_p, log_q[, parameter]): (N, V), (N, V) -> (N,) nats
    parameter: Parameter | None = None
    temper: Temper | None = None  # whose logits are divided by τ, where that is no choice
    order: int = 2  # the power of τ that keeps its gradient in balance with the hard term's
    statistics: tuple[str, ...] = ()  # what its `weight` has to know of each token
    weight: Callable[[TokenStatistics], Tensor] | None = None  # what a token's λ is multiplied by, (N,)
    closed_form: ClosedForm | None = None  # with its gradient; autograd's if there is none


SKEW = Parameter("A", 0, 1, 0.5, low_included=True)

DIVERGENCES: dict[str, Divergence] = {
    "forward": Divergence(forward_kl),
    "reverse": Divergence(reverse_kl, closed_form=closed_forms.reverse),
    "jsd": Divergence(js_divergence, Parameter("B", 0, 1, 0.5), closed_form=closed_forms.jensen_shannon),
    "skew": Divergence(skew_kl, SKEW, closed_form=closed_forms.skew),
    "skew-reverse": Divergence(skew_reverse_kl, SKEW, closed_form=closed_forms.skew_reverse),
    "tvd": Divergence(total_variation, order=1, closed_form=closed_forms.total_variation),
    "ttm": Divergence(forward_kl, temper="teacher", order=1),
    "wttm": Divergence(forward_kl, temper="teacher", order=1, statistics=("teacher_log_power",), weight=relative_power),
}


@dataclass(frozen=True)
class NamedDivergence:
    """A divergence with its parameter, as `--divergence NAME[:PARAMETER]` names it."""

    name: str
    entry: Divergence
    parameter: float | None

    @property
    def parameters(self) -> tuple[float, ...]:
        """None or one."""
        return () if self.parameter is None else (self.parameter,)

    def __call__(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Of distributions that are tempered already.   (N, V), (N, V) -> (N,)"""
        return self.entry.function(log_p, log_q, *self.parameters)

    def in_closed_form(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """The same and its slope in log q, see `closed_forms`.   -> (N,), (N, V)"""
        assert self.entry.closed_form is not None
        return self.entry.closed_form(pair, *self.parameters)

    def reweighted(self, weights: TermWeights, statistics: TokenStatistics) -> TermWeights:
        """The weights of the terms with its own weight in that of the soft one.   (N,) each"""
        if self.entry.weight is None:
            return weights
        return weights._replace(soft=weights.soft * self.entry.weight(statistics))


def divergence_table() -> dict[str, tuple[Parameter, ...]]:
    """The parameters of each divergence."""
    return {name: (entry.parameter,) if entry.parameter else () for name, entry in DIVERGENCES.items()}


def divergence_forms() -> list[str]:
    """How each divergence is written: `forward`, `jsd:B`."""
    return named_options.forms(divergence_table())


def divergence_named(text: str) -> NamedDivergence:
    """`forward`, `jsd:0.5`; an unknown name or a parameter out of range is one line."""
    name, found = named_options.named("--divergence", text, divergence_table())
    return NamedDivergence(name, DIVERGENCES[name], *(found or (None,)))


def mean_log_probs(log_probs: list[Tensor]) -> Tensor:
    """Log of the ensemble's mean probability, log (1/K)·Σ_k p_k.   K × (N, V) -> (N, V)"""
    total = log_probs[0]
    for other in log_probs[1:]:
        total = total.logaddexp(other)
    return total - math.log(len(log_probs))
