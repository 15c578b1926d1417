"""The `kd_ls` objective: label-smoothed NLL mixed with a tempered divergence from the teacher."""

from typing import NamedTuple

from torch import Tensor

from lskd_nmt.losses.divergences import tempered
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.self_evolution import evolved_kl
from lskd_nmt.losses.signals import Signal, TopK, top_k_kl
from lskd_nmt.losses.smoothing import negative_log_likelihood, smoothed_nll
from lskd_nmt.losses.tie_ranking import ranking_loss
from lskd_nmt.losses.token_selection import TokenWeights


class KdTerms(NamedTuple):
    """Per token, in nats (`rank` apart): the objective and the parts that are logged.   (N,) each"""

    loss: Tensor
    nll: Tensor
    kd: Tensor | None
    rank: Tensor | None = None


def kd_ls_terms(
    log_q: Tensor, target: Tensor, signal: Signal | None, options: KdOptions, weights: TokenWeights | None = None
) -> KdTerms:
    """(1-λ)·LS-NLL(ε) + λ·[τ²·D(p(τ), q(τ)) + L_rank].   (N, V), (N,), (N, V) or top k -> 3 or 4 × (N,)

    Student log-probabilities, gold symbols and the teacher: its log-probabilities at τ = 1, or its top k at τ; without
    a teacher (λ = 0) `kd` is None. `nll` is one-hot and at τ = 1 whatever the options; `kd` is the divergence before
    λ and τ². `weights` replace 1-λ and λ. L_rank, at τ = 1, is there if `options.rank` asks for it.
    """
    nll = negative_log_likelihood(log_q, target)
    hard = smoothed_nll(log_q, target, options.label_smoothing, options.smoothing_over)
    if options.kd_weight == 0:
        return KdTerms(hard, nll, None)
    assert signal is not None, "kd_weight > 0 needs the teacher's log-probabilities"
    rank = ranking_loss(signal, log_q, options.rank) if options.rank and isinstance(signal, Tensor) else None
    log_q = tempered(log_q, options.student_temperature)
    if isinstance(signal, TopK):
        kd = top_k_kl(signal, log_q, options.tail)
    else:
        assert signal.shape == log_q.shape, (signal.shape, log_q.shape)
        log_p = tempered(signal, options.temperature)
        if options.evolution is None:
            kd = options.chosen(log_p, log_q)
        else:
            assert weights is not None and weights.prior is not None, "it mixes each token as it is weighed"
            kd = evolved_kl(log_p, log_q, target, options.evolution.gold, weights.prior)
    if weights is None:
        loss = (1 - options.kd_weight) * hard + options.kd_scale * kd
    else:
        # a token that is not selected has no part of a divergence, which may be infinite
        loss = weights.hard * hard + options.balance * (weights.soft * kd).masked_fill(weights.soft == 0, 0.0)
    if rank is None:
        return KdTerms(loss, nll, kd)
    return KdTerms(loss + (options.kd_weight if weights is None else weights.soft) * rank, nll, kd, rank)
