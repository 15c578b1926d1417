"""A teacher's distribution at each token: of the whole vocabulary, or its top k and what becomes of the rest.

A signal carries its temperature, so that none is tempered twice, or compared at another temperature than its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from lskd_nmt.errors import require
from lskd_nmt.losses.divergences import tempered
from lskd_nmt.losses.relative import ROUNDINGS, term_by_term
from lskd_nmt.losses.settings import Tail

LEAST_REST = 8.0  # rounding errors of 1


@dataclass(frozen=True)
class Dense:
    """A teacher's distribution over the whole vocabulary, and the temperature that it is of."""

    log_probs: Tensor  # (N, V)  log p(τ)
    temperature: float  # τ

    def at(self, temperature: float) -> "Dense":
        """The same at another temperature: p(τ) is proportional to p(τ₀)^(τ₀/τ).   -> log probabilities (N, V)"""
        if temperature == self.temperature:
            return self
        return Dense(tempered(self.log_probs, temperature / self.temperature), temperature)

    def rows(self, where: slice) -> "Dense":
        """Some tokens of it."""
        return Dense(self.log_probs[where], self.temperature)

    def repeated(self, times: int) -> "Dense":
        """Each token so many times, one after the other."""
        return Dense(self.log_probs.repeat_interleave(times, 0), self.temperature)


@dataclass(frozen=True)
class TopK:
    """The k most probable symbols and the temperature that they are of; the rest holds the mass that they leave."""

    ids: Tensor  # (N, k)
    log_probs: Tensor  # (N, k)  log p(τ)
    temperature: float  # τ

    def at(self, temperature: float) -> "TopK":
        """Itself: what is left out would be needed for another temperature, which is refused."""
        require(
            temperature == self.temperature,
            f"the teacher's top k is of temperature {self.temperature:g} and the divergence of {temperature:g}: give "
            "both the same, or all of the teacher's log-probabilities, which have every temperature",
        )
        return self

    def rows(self, where: slice) -> "TopK":
        """Some tokens of it."""
        return TopK(self.ids[where], self.log_probs[where], self.temperature)

    def repeated(self, times: int) -> "TopK":
        """Each token so many times, one after the other."""
        ids, log_probs = (part.repeat_interleave(times, 0) for part in (self.ids, self.log_probs))
        return TopK(ids, log_probs, self.temperature)

    def to(self, device: torch.device) -> "TopK":
        """The same on another device."""
        return TopK(self.ids.to(device), self.log_probs.to(device), self.temperature)


Signal = Dense | TopK


@dataclass(frozen=True)
class Record:
    """The k most probable symbols at τ = 1, and what makes them exact at every temperature of a grid."""

    ids: Tensor  # (N, k)
    log_probs: Tensor  # (N, k)  log p
    log_sum_exps: Tensor  # (N, G)  log Σ_v exp(log p_v / τ_g), over the whole vocabulary
    temperatures: tuple[float, ...]  # τ_1 … τ_G

    def first(self, k: int) -> "Record":
        """Its k most probable symbols alone; 0 keeps all."""
        return replace(self, ids=self.ids[:, :k], log_probs=self.log_probs[:, :k]) if k else self

    def at(self, temperature: float) -> TopK:
        """log p(τ) of the kept symbols, at a temperature of the grid."""
        require(
            temperature in self.temperatures,
            f"temperature is {temperature:g}, and the record has {', '.join(f'{t:g}' for t in self.temperatures)}: "
            "give one of these",
        )
        sums = self.log_sum_exps[:, self.temperatures.index(temperature)].unsqueeze(-1)
        return TopK(self.ids, self.log_probs / temperature - sums, temperature)


def record(signal: Dense, k: int, temperatures: Sequence[float]) -> Record:
    """Keep k symbols, and a log-sum-exp for each temperature."""
    log_probs = signal.at(1.0).log_probs
    top = log_probs.topk(k, dim=-1)
    sums = [(log_probs / temperature).logsumexp(-1) for temperature in temperatures]
    return Record(top.indices, top.values, torch.stack(sums, dim=-1), tuple(temperatures))


def top_k(signal: Dense, k: int, temperature: float) -> TopK:
    """The k most probable symbols of a distribution, at a temperature."""
    return record(signal, k, [temperature]).at(temperature)


def tail_mass(signal: TopK, symbols: int) -> Tensor:
    """The probability that the kept symbols leave to the others, 0 where none is left out.   -> (N,)

    It is 0, too, where one of the kept has none, as then the others have none, and where it is a rounding error: a
    student that masks the others would be infinitely far from that.
    """
    left = 1 - signal.log_probs.exp().sum(-1)
    nothing = (left < LEAST_REST * torch.finfo(left.dtype).eps) | (signal.log_probs == -math.inf).any(-1)
    left = left.masked_fill(nothing, 0.0)
    return left if signal.ids.size(-1) < symbols else torch.zeros_like(left)


def kept_log_probs(signal: TopK, tail: Tail) -> Tensor:
    """log p of the kept symbols as the tail mode has it: renormalised over them, or as they are.   -> (N, k)"""
    return signal.log_probs.log_softmax(-1) if tail == "renormalise" else signal.log_probs


def rest_of(q: Tensor, signal: TopK) -> Tensor:
    """The student's probability of all symbols that are not kept; q is as it was in the end.   (N, V) -> (N,)"""
    kept = q.gather(-1, signal.ids)
    rest = q.scatter_(-1, signal.ids, 0.0).sum(-1)
    q.scatter_(-1, signal.ids, kept)
    return rest


def vanishes(q_rest: Tensor, symbols: int) -> bool:
    """Whether the rest of any token is too small to be a sum of exact probabilities."""
    return bool((q_rest < symbols * torch.finfo(q_rest.dtype).tiny).any())


def outside(log_q: Tensor, signal: TopK) -> Tensor:
    """log q, with log 0 at the kept symbols.   (N, V) -> (N, V)"""
    return log_q.scatter(-1, signal.ids, -math.inf)


def spread(signal: TopK, log_q: Tensor, tail: Tail) -> Tensor:
    """p over all symbols as the tail mode has it, the rest of `bucket` in the student's own proportions.   -> (N, V)

    The divergence's slope in the student's logits is q less this, in all modes.
    """
    symbols, k = log_q.size(-1), signal.ids.size(-1)
    p = kept_log_probs(signal, tail).exp().to(log_q)
    rest = tail_mass(signal, symbols).unsqueeze(-1).to(log_q)
    if tail == "renormalise" or k == symbols:
        whole = torch.zeros_like(log_q)
    elif tail == "uniform":
        whole = (rest / (symbols - k)).expand_as(log_q)
    else:
        whole = rest * outside(log_q, signal).softmax(-1).nan_to_num(nan=0.0)
    return whole.scatter(-1, signal.ids, p)


def top_k_divergence(signal: TopK, log_q: Tensor, q: Tensor, q_rest: Tensor, tail: Tail) -> Tensor:
    """See `top_k_kl`; of q there is log q, q itself and what it leaves to symbols that are not kept.   -> (N,)"""
    symbols, k = log_q.size(-1), signal.ids.size(-1)
    log_p, log_kept = kept_log_probs(signal, tail), log_q.gather(-1, signal.ids)
    p, d = log_p.exp(), log_p - log_kept
    if tail == "uniform" and k < symbols:
        share = tail_mass(signal, symbols) / (symbols - k)
        log_q_rest = log_q.sum(-1) - log_kept.sum(-1)
        found = (p * d).sum(-1) + (symbols - k) * torch.xlogy(share, share) - share * log_q_rest
        least = 4 * ROUNDINGS * torch.finfo(found.dtype).eps  # log q_v of some ten nats are rounded one by one
        if not found.numel() or least < float(found.mean()) < math.inf:
            return found.clamp(min=0)
        whole = spread(signal, log_q, tail)
        return term_by_term(whole, q, whole.log() - log_q)
    kept = term_by_term(p, log_kept.exp(), d)
    if tail == "renormalise" or k == symbols:
        return kept + q_rest  # Σ_K p' is 1, Σ_K q is not
    rest = tail_mass(signal, symbols)
    log_q_rest = outside(log_q, signal).logsumexp(-1) if vanishes(q_rest, symbols) else q_rest.log()
    return kept + term_by_term(*(each.unsqueeze(-1) for each in (rest, q_rest, rest.log() - log_q_rest)))


class TopKContext(FunctionCtx):
    """What the forward pass of `TopKDivergence` leaves for its backward pass."""

    tail: Tail
    temperature: float
    saved_tensors: tuple[Tensor, ...]


class TopKDivergence(torch.autograd.Function):
    """`top_k_kl` with its gradient written out."""

    @staticmethod
    def forward(ctx: "TopKContext", log_q: Tensor, signal: TopK, tail: Tail) -> Tensor:
        """The divergence of each token, in nats.   (N, V) -> (N,)"""
        q = log_q.exp()
        ctx.save_for_backward(log_q, signal.ids, signal.log_probs)
        ctx.tail, ctx.temperature = tail, signal.temperature
        return top_k_divergence(signal, log_q, q, rest_of(q, signal), tail)

    @staticmethod
    @once_differentiable
    def backward(ctx: "TopKContext", upstream: Tensor) -> tuple[Tensor | None, ...]:
        """The slope in log q, times the upstream gradient.   (N,) -> (N, V)"""
        log_q, ids, log_probs = ctx.saved_tensors
        p = spread(TopK(ids, log_probs, ctx.temperature), log_q, ctx.tail)
        return (log_q.exp() - p).mul_(upstream.unsqueeze(-1)), None, None


def top_k_kl(signal: TopK, log_q: Tensor, tail: Tail) -> Tensor:
    """Forward KL from a teacher of which only the top k are known, in nats.   TopK, (N, V) -> (N,)

    With K the kept symbols, r = 1 - Σ_K p the mass of the rest, and q at the temperature it is compared at:

    - `bucket`: the rest is one event, Σ_K p·log(p/q) + r·log(r/(1 - Σ_K q));
    - `uniform`: the rest is spread evenly, Σ_K p·log(p/q) + Σ_{v∉K} s·log(s/q_v) with s = r/(V - k);
    - `renormalise`: there is no rest, Σ_K p′·log(p′/q) with p′ = p/Σ_K p; what multilingual-kd-pytorch computes.

    Where q = p, `bucket` is 0, `uniform` is the unevenness of the true tail, `renormalise` is -log Σ_K p.
    """
    return TopKDivergence.apply(log_q, signal, tail)  # type: ignore[no-untyped-call,no-any-return]
