"""The terms of the objective, each a loss per token, its weight and, where that is faster, its gradient written out.

To add one: write its losses as a function of `Tokens`, give it a line in `TERMS` and an option that switches it on.
Autograd takes its gradient by the logits, chunk by chunk; neither the loop over chunks nor the dense path changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lskd_nmt.losses.closed_forms import in_blocks
from lskd_nmt.losses.divergences import forward_kl
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.r_drop import symmetric_kl, symmetric_kl_and_gradient
from lskd_nmt.losses.relative import relative_entropy
from lskd_nmt.losses.self_evolution import evolved_kl, evolved_written_out
from lskd_nmt.losses.signals import (
    Dense,
    TopK,
    kept_log_probs,
    rest_of,
    spread,
    tail_mass,
    top_k_divergence,
    top_k_kl,
    vanishes,
)
from lskd_nmt.losses.smoothing import negative_log_likelihood, smoothed_label, smoothed_nll
from lskd_nmt.losses.tie_ranking import ranking, ranking_loss
from lskd_nmt.losses.tokens import Few, Kept, Slope, Tokens, Weight

WrittenOut = Callable[[Tokens, Weight], tuple[Tensor, Slope]]


@dataclass(frozen=True)
class Term:
    """One summand of the objective: weight · losses, of each token."""

    name: str  # under which its values are logged
    active: Callable[[KdOptions, int], bool]  # for these options, and so many dropout passes
    weight: Callable[[Tokens], Weight]
    losses: Callable[[Tokens], Tensor]  # (N,), by differentiable functions of `Tokens`
    logged: Callable[[Tokens], Tensor] | None = None  # (N,), what is logged if that is not the losses
    teacher_temperature: Callable[[KdOptions], float] | None = None  # that it asks the signal for; None: no teacher
    written_out: Callable[[KdOptions], WrittenOut | None] = lambda options: None  # (N,) losses and slope; may overwrite


def weighed(weight: Weight, losses: Tensor) -> Tensor:
    """Weight times losses, 0 where the weight is 0, however large the loss is.   (N,)"""
    product = weight * losses
    return product.masked_fill(weight == 0, 0.0) if isinstance(weight, Tensor) else product


# -- the reference: label-smoothed negative log-likelihood


def reference_weight(tokens: Tokens) -> Weight:
    """1-λ, or what stands in its place."""
    return 1 - tokens.options.kd_weight if tokens.term_weights is None else tokens.term_weights.hard


def reference_losses(tokens: Tokens) -> Tensor:
    """Cross-entropy of the smoothed label, at τ = 1, in nats.   -> (N,)"""
    options = tokens.options
    return smoothed_nll(tokens.log_q(1.0), tokens.target, options.label_smoothing, options.smoothing_over)


def reference_nll(tokens: Tokens) -> Tensor:
    """-log q of the gold symbol, at τ = 1 and without smoothing, in nats.   -> (N,)"""
    return negative_log_likelihood(tokens.log_q(1.0), tokens.target)


def reference_written_out(tokens: Tokens, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses and q less the smoothed label."""
    options = tokens.options
    true_symbol, share = smoothed_label(tokens.symbols, options.label_smoothing, options.smoothing_over)
    return reference_losses(tokens), Slope(weight, 1.0, label=true_symbol, shared=share)


# -- the teacher: a divergence at a temperature


def divergence_weight(tokens: Tokens) -> Weight:
    """λ·τ², or what stands in the place of λ."""
    options = tokens.options
    return options.kd_scale if tokens.term_weights is None else options.balance * tokens.term_weights.soft


def divergence_losses(tokens: Tokens) -> Tensor:
    """The divergence of the student from the teacher, in nats, before λ and τ².   -> (N,)"""
    options, signal = tokens.options, tokens.signal(tokens.options.temperature)
    log_q = tokens.log_q(options.student_temperature)
    if isinstance(signal, TopK):
        return top_k_kl(signal, log_q, options.tail)
    assert signal.log_probs.shape == log_q.shape, (signal.log_probs.shape, log_q.shape)
    if options.evolution is None:
        return options.named_divergence(signal.log_probs, log_q)
    weights = tokens.term_weights
    assert weights is not None and weights.prior is not None, "it mixes each token as it is weighed"
    return evolved_kl(signal.log_probs, log_q, tokens.target, options.evolution.gold, weights.prior)


def divergence_written_out(options: KdOptions) -> WrittenOut | None:
    """Of forward KL, of self-evolution and of what has a closed form: the gradients of others are left to autograd."""
    entry = options.named_divergence.entry
    if options.evolution is not None:
        return self_evolution_written_out
    if entry.function is forward_kl:
        return forward_kl_written_out
    return closed_form_written_out if entry.closed_form else None


def forward_kl_written_out(tokens: Tokens, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses and (q - p)/τ; overwrites the signal."""
    temperature, signal = tokens.options.student_temperature, tokens.signal(tokens.options.temperature)
    if isinstance(signal, TopK):
        return top_k_written_out(tokens, signal, weight)
    p = signal.log_probs.exp()  # (N, V)
    d = signal.log_probs.sub_(tokens.log_q(temperature))
    return relative_entropy(p, tokens.q(temperature), d), Slope(weight / temperature, temperature, dense=p, sign=-1.0)


def closed_form_written_out(tokens: Tokens, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses and (s - q·Σs)/τ, s being their slope in log q; overwrites the signal."""
    options = tokens.options
    temperature, signal = options.student_temperature, tokens.signal(options.temperature)
    assert isinstance(signal, Dense), "options refuse this"
    dense = signal.log_probs
    losses, sums = in_blocks(options.named_divergence.in_closed_form, dense, tokens.log_q(temperature))
    tokens.exponentiated(temperature)
    if isinstance(weight, Tensor) and not losses.isfinite().all():  # a slope may be infinite, and 0 times that is 0
        dense, sums = dense.masked_fill_((weight == 0).unsqueeze(-1), 0.0), sums.masked_fill(weight == 0, 0.0)
    return losses, Slope(weight / temperature, temperature, own=-sums.unsqueeze(-1), dense=dense)


def self_evolution_written_out(tokens: Tokens, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses and (W·q - w)/τ, see `Evolved`; overwrites the signal."""
    options, signal, weights = tokens.options, tokens.signal(tokens.options.temperature), tokens.term_weights
    assert options.evolution is not None and isinstance(signal, Dense), "options refuse this"
    assert weights is not None and weights.prior is not None, "it mixes each token as it is weighed"
    temperature, log_p, rows = options.student_temperature, signal.log_probs, weights.prior.nonzero().squeeze(-1)
    log_q, p = tokens.log_q(temperature), log_p.exp()
    of_rows = p[rows], log_p[rows], log_q[rows], tokens.target[rows]
    hard = evolved_written_out(*of_rows, options.evolution.gold, weights.prior[rows])
    d, own = log_p.sub_(log_q), torch.ones_like(log_q[:, :1])
    losses = relative_entropy(p, tokens.q(temperature), d)
    for part, of_hard in zip((losses, own, p), hard, strict=True):
        part.index_copy_(0, rows, of_hard)
    return losses, Slope(weight / temperature, temperature, own=own, dense=p, sign=-1.0)


def top_k_written_out(tokens: Tokens, signal: TopK, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses of a top k and their slope: (q - p)/τ at the kept symbols, and (α·q - β)/τ outside of them.

    α·q - β is q·(1 - r/R) for `bucket` (r and R are what p and q leave to the rest), q - r/(V-k) for `uniform` and q
    for `renormalise`.
    """
    tail, temperature, symbols = tokens.options.tail, tokens.options.student_temperature, tokens.symbols
    log_q, k = tokens.log_q(temperature), signal.ids.size(-1)
    q = tokens.q(temperature, overwrite=False)
    q_rest = rest_of(q, signal)
    kd, factor = top_k_divergence(signal, log_q, q, q_rest, tail), weight / temperature
    if tail == "bucket" and vanishes(q_rest, symbols):  # α is of no use where R is 0
        return kd, Slope(factor, temperature, dense=spread(signal, log_q, tail), sign=-1.0)
    alpha: float | Tensor = 1.0
    beta: float | Tensor = 0.0
    if tail != "renormalise" and k < symbols:
        rest = tail_mass(signal, symbols)
        if tail == "uniform":
            beta = rest / (symbols - k)
        else:
            alpha = 1 - (rest / q_rest.clamp(min=torch.finfo(q_rest.dtype).tiny)).unsqueeze(-1)
    p = kept_log_probs(signal, tail).exp() - (beta.unsqueeze(-1) if isinstance(beta, Tensor) else beta)
    return kd, Slope(factor, temperature, own=alpha, kept=Kept(signal.ids, p), shared=beta)


# -- what joins them


def soft_weight(tokens: Tokens) -> Weight:
    """λ, or what stands in its place."""
    return tokens.options.kd_weight if tokens.term_weights is None else tokens.term_weights.soft


def ranking_losses(tokens: Tokens) -> Tensor:
    """TIE-KD's ranking of the teacher's most probable symbols, at τ = 1, of probabilities.   -> (N,)"""
    signal = tokens.signal(1.0)
    assert isinstance(signal, Dense), "options refuse this"
    return ranking_loss(signal.log_probs, tokens.log_q(1.0), tokens.options.rank)


def ranking_written_out(tokens: Tokens, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses and their slope: c·q at the ranked symbols, less q times the sum of these."""
    signal = tokens.signal(1.0)
    assert isinstance(signal, Dense), "options refuse this"
    losses, ids, q, c = ranking(signal.log_probs, tokens.log_q(1.0), tokens.options.rank)
    slopes = q * c
    return losses, Slope(weight, 1.0, own=-slopes.sum(-1, keepdim=True), few=Few(ids, slopes))


def r_drop_losses(tokens: Tokens) -> Tensor:
    """How far apart a token's two dropout passes are, in nats, once for each of its rows.   -> (2N,)"""
    return symmetric_kl(tokens.log_q(1.0)).repeat_interleave(2)


def r_drop_written_out(tokens: Tokens, weight: Weight) -> tuple[Tensor, Slope]:
    """The losses and their slope, which either row's loss has in either row's logits."""
    alone = tokens.options.kd_weight == 0  # else log q may be needed for the teacher's term
    apart, slope = symmetric_kl_and_gradient(tokens.log_q(1.0), overwrite=alone)
    if alone:
        tokens.exponentiated(1.0)
    return apart.repeat_interleave(2), Slope(2 * weight, dense=slope)


# In this order the written-out ones are taken: the divergence is the last, as it overwrites the signal.
TERMS = (
    Term(
        "nll",
        lambda options, passes: True,
        reference_weight,
        reference_losses,
        logged=reference_nll,
        written_out=lambda options: reference_written_out,
    ),
    Term(
        "r_drop",
        lambda options, passes: passes == 2,
        lambda tokens: tokens.options.r_drop,
        r_drop_losses,
        written_out=lambda options: r_drop_written_out,
    ),
    Term(
        "rank",
        lambda options, passes: options.rank > 0 and options.kd_weight > 0,
        soft_weight,
        ranking_losses,
        teacher_temperature=lambda options: 1.0,
        written_out=lambda options: ranking_written_out,
    ),
    Term(
        "kd",
        lambda options, passes: options.kd_weight > 0,
        divergence_weight,
        divergence_losses,
        teacher_temperature=lambda options: options.temperature,
        written_out=divergence_written_out,
    ),
)


def active_terms(options: KdOptions, dropout_passes: int = 1) -> list[Term]:
    """The terms that these options switch on."""
    return [term for term in TERMS if term.active(options, dropout_passes)]
