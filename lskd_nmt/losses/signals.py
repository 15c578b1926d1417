"""What a teacher says of each token, as data: its whole distribution, or the top k and what becomes of the rest."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Tail = Literal["dense", "bucket", "uniform", "renormalise"]


class Record(NamedTuple):
    """The k most probable symbols at τ = 1, and what makes them exact at every temperature of a grid."""

    ids: Tensor  # (N, k)
    log_probs: Tensor  # (N, k)  log p
    log_sum_exps: Tensor  # (N, G)  log Σ_v exp(log p_v / τ_g), over the whole vocabulary


class TopK(NamedTuple):
    """The k most probable symbols at the temperature in use; the rest holds the mass that they leave."""

    ids: Tensor  # (N, k)
    log_probs: Tensor  # (N, k)  log p(τ)


Signal = Tensor | TopK  # a tensor is dense: log p over the whole vocabulary, (N, V)


def record(log_probs: Tensor, k: int, temperatures: Sequence[float]) -> Record:
    """Keep k symbols, and a log-sum-exp for each temperature.   (N, V) log p at τ = 1 -> Record"""
    top = log_probs.topk(k, dim=-1)
    sums = [(log_probs / temperature).logsumexp(-1) for temperature in temperatures]
    return Record(top.indices, top.values, torch.stack(sums, dim=-1))


def at_temperature(record: Record, temperature: float, column: int = 0) -> TopK:
    """log p(τ) of the kept symbols, from the log-sum-exp in the given column of the grid."""
    return TopK(record.ids, record.log_probs / temperature - record.log_sum_exps[:, column : column + 1])


def top_k(log_probs: Tensor, k: int, temperature: float) -> TopK:
    """The top k at a temperature.   (N, V) log p at τ = 1 -> TopK"""
    return at_temperature(record(log_probs, k, [temperature]), temperature)


def rows(signal: Signal, where: slice) -> Signal:
    """Some tokens of a signal."""
    return signal[where] if isinstance(signal, Tensor) else TopK(signal.ids[where], signal.log_probs[where])


def tail_mass(signal: TopK, symbols: int) -> Tensor:
    """The probability that the kept symbols leave to the others, 0 where none is left out.   -> (N,)"""
    left = (1 - signal.log_probs.exp().sum(-1)).clamp(min=0)
    return left if signal.ids.size(-1) < symbols else torch.zeros_like(left)


def kept_log_probs(signal: TopK, tail: Tail) -> Tensor:
    """log p of the kept symbols as the tail mode has it: renormalised over them, or as they are.   -> (N, k)"""
    return signal.log_probs.log_softmax(-1) if tail == "renormalise" else signal.log_probs


def top_k_kl(signal: TopK, log_q: Tensor, tail: Tail) -> Tensor:
    """Forward KL from a teacher of which only the top k are known, in nats.   TopK, (N, V) -> (N,)

    With K the kept symbols, r = 1 - Σ_K p the mass of the rest, and q at the temperature it is compared at:

    - `bucket`: the rest is one event, Σ_K p·log(p/q) + r·log(r/(1 - Σ_K q));
    - `uniform`: the rest is spread evenly, Σ_K p·log(p/q) + Σ_{v∉K} s·log(s/q_v) with s = r/(V - k);
    - `renormalise`: there is no rest, Σ_K p′·log(p′/q) with p′ = p/Σ_K p; what multilingual-kd-pytorch computes.

    Where q = p, `bucket` is 0, `uniform` is the unevenness of the true tail, `renormalise` is -log Σ_K p.
    """
    symbols, k = log_q.size(-1), signal.ids.size(-1)
    log_p = kept_log_probs(signal, tail)
    kept = (log_p.exp() * (log_p - log_q.gather(-1, signal.ids))).sum(-1)
    rest = tail_mass(signal, symbols)
    if tail == "renormalise" or k == symbols:
        return kept
    if tail == "bucket":
        q_rest = log_q.exp().scatter(-1, signal.ids, 0.0).sum(-1).clamp(min=torch.finfo(log_q.dtype).tiny)
        return kept + torch.xlogy(rest, rest) - rest * q_rest.log()
    log_q_rest = log_q.sum(-1) - log_q.gather(-1, signal.ids).sum(-1)
    share = rest / (symbols - k)
    return kept + torch.xlogy(rest, share) - share * log_q_rest
