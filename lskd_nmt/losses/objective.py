"""The `kd_ls` objective: label-smoothed NLL mixed with a tempered divergence from the teacher, and other terms."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.r_drop import mean_of_passes
from lskd_nmt.losses.signals import Dense, Signal
from lskd_nmt.losses.terms import active_terms, weighed
from lskd_nmt.losses.token_selection import TermWeights
from lskd_nmt.losses.tokens import Tokens


class ObjectiveTerms(NamedTuple):
    """The objective, per token (N,) or summed, and per token what is logged; in nats, but for `rank`."""

    loss: Tensor  # (N,) or ()
    logged: Mapping[str, Tensor]  # (N,) each, by the terms' names
    correct: Tensor | None = None  # (N,) bool, of two dropout passes (2N,)
    predicted: Tensor | None = None  # (N,) the student's most probable symbols
    selected: Tensor | None = None  # (N,) how much of the token is distilled, 0 to 1; None where all are alike

    @property
    def nll(self) -> Tensor:
        """-log q of the gold symbol, at τ = 1 and without smoothing, whatever the options."""
        return self.logged["nll"]

    @property
    def kd(self) -> Tensor | None:
        """The divergence before λ and τ²; None without a teacher."""
        return self.logged.get("kd")

    @property
    def rank(self) -> Tensor | None:
        """TIE-KD's ranking term, of probabilities; None where it is not asked for."""
        return self.logged.get("rank")

    @property
    def r_drop(self) -> Tensor | None:
        """How far apart two dropout passes are; None of one pass."""
        return self.logged.get("r_drop")


def kd_ls_terms(
    log_q: Tensor,
    target: Tensor,
    signal: Signal | None,
    options: KdOptions,
    term_weights: TermWeights | None = None,
) -> ObjectiveTerms:
    """(1-λ)·LS-NLL(ε) + λ·[τ²·D(p(τ), q(τ)) + L_rank].   (N, V), (N,), signal -> (N,) each

    Of the student's log-probabilities at τ = 1, gold symbols and the teacher's signal, None for λ = 0. `term_weights`
    replace 1-λ and λ. L_rank, at τ = 1, is there if `options.rank` asks for it. Autograd differentiates it.
    """
    return summed(log_q, target, signal, options, term_weights, 1)


def two_pass_terms(log_q: Tensor, target: Tensor, signal: Signal | None, options: KdOptions) -> ObjectiveTerms:
    """½(objective₁ + objective₂) + A·symmetric KL of two dropout passes.   (2N, V), (N,) -> (N,) each

    Wu et al. 2021; the authors' code has the sum of the two and α in the place of A: twice this loss with A = α/2.
    """
    both = None if signal is None else signal.repeated(2)
    rows = summed(log_q, target.repeat_interleave(2), both, options, None, 2)
    logged = {name: mean_of_passes(values) for name, values in rows.logged.items()}
    return ObjectiveTerms(mean_of_passes(rows.loss), logged)


def dense_terms(
    log_q: Tensor,
    target: Tensor,
    signal: Signal | None,
    options: KdOptions,
    term_weights: TermWeights | None,
    sentence_weights: Tensor | None,
    accuracy: bool,
    dropout_passes: int,
) -> ObjectiveTerms:
    """What `fused.kd_ls_from_features` computes, from log-probabilities; its loss is per token.   -> (N,) each

    With two `dropout_passes` the rows of log q come in pairs, and there are no weights.
    """
    if dropout_passes == 2:
        terms = two_pass_terms(log_q, target, signal, options)
    else:
        terms = kd_ls_terms(log_q, target, signal, options, term_weights)
    if sentence_weights is not None:
        terms = terms._replace(loss=terms.loss * sentence_weights)
    if not accuracy:
        return terms
    predicted = log_q.argmax(-1)
    return terms._replace(correct=predicted == target.repeat_interleave(dropout_passes), predicted=predicted)


def summed(
    log_q: Tensor,
    target: Tensor,
    signal: Signal | None,
    options: KdOptions,
    term_weights: TermWeights | None,
    dropout_passes: int,
) -> ObjectiveTerms:
    """The weighted sum of all active terms, and what each has to log.   -> (N,) each"""
    if isinstance(signal, Dense):  # in case that it is only proportional, as logits are
        signal = Dense(signal.log_probs.log_softmax(-1), signal.temperature)
    tokens = Tokens(log_q, target, signal, options, term_weights, normalised=True)
    loss, logged = log_q.new_zeros(()), dict[str, Tensor]()
    for term in active_terms(options, dropout_passes):
        losses = term.losses(tokens)
        loss = loss + weighed(term.weight(tokens), losses)
        logged[term.name] = losses if term.logged is None else term.logged(tokens)
    return ObjectiveTerms(loss, logged)
