"""Self-Evolution KD (Song et al. 2025): the harder a token is, the more prior knowledge stands in for the student.

The published text leaves the exact form open; what is ours is said at each function and in docs/methods.md.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.divergences import forward_kl
from lskd_nmt.losses.named_options import Parameter, numbers
from lskd_nmt.losses.relative import LogMixture, relative_entropy
from lskd_nmt.losses.token_selection import hardest


def log_prior(log_p: Tensor, target: Tensor, gold: float) -> Tensor:
    """log r of the prior r = B·y + (1-B)·p; where p is mixed with the gold symbol.   (N, V), (N,) -> (N, V)"""
    at = target.unsqueeze(-1)
    log_r = log_p + (math.log1p(-gold) if gold < 1 else -math.inf)
    mixed = log_r.gather(-1, at).logaddexp(log_r.new_full((), math.log(gold) if gold > 0 else -math.inf))
    return log_r.scatter(-1, at, mixed)


def prior_kl(log_p: Tensor, log_q: Tensor, target: Tensor, gold: float) -> Tensor:
    """KL(r ‖ q), in nats, from KL(p ‖ q) and what r changes at the gold symbol.   (N, V), (N, V), (N,) -> (N,)

    r is (1-B)·p at all other symbols, so that Σ_{v≠y} r_v·log(r_v/q_v) is (1-B)·Σ_{v≠y} p_v·[log(1-B) + log(p_v/q_v)].
    """
    if gold < 1:
        at = target.unsqueeze(-1)
        log_p_at, log_q_at = (each.gather(-1, at).squeeze(-1) for each in (log_p, log_q))
        log_r_at = log_prior(log_p_at.unsqueeze(-1), torch.zeros_like(target), gold).squeeze(-1)
        p_at, rest = log_p_at.exp(), relative_entropy(log_p.exp(), log_q.exp(), log_p - log_q)
        rest = rest - p_at * (log_p_at - log_q_at) + (1 - p_at) * math.log1p(-gold)
        found = (1 - gold) * rest + log_r_at.exp() * (log_r_at - log_q_at)
        if bool(found.isfinite().all()):
            return found
    return forward_kl(log_prior(log_p, target, gold), log_q)


def evolved_kl(log_p: Tensor, log_q: Tensor, target: Tensor, gold: float, mix: Tensor) -> Tensor:
    """KL(p ‖ (1-λ_t)·q + λ_t·r), in nats, the prior r without gradient.   (N, V), (N, V), (N,), (N,) -> (N,)"""
    log_r = log_prior(log_p, target, gold).detach()
    log_proxy = LogMixture.apply(log_r, log_q, mix.unsqueeze(-1))  # type: ignore[no-untyped-call]
    return forward_kl(log_p, log_proxy)


class Evolved(NamedTuple):
    """The losses of N tokens, and their slope in the student's logits as W·q - w.

    With m the mixture and w = (1-λ_t)·p·q/m, which is p without a prior, W is Σ_v w_v.
    """

    losses: Tensor  # (N,)
    own: Tensor  # (N, 1) W
    dense: Tensor  # (N, V) w


def evolved_written_out(p: Tensor, log_p: Tensor, log_q: Tensor, target: Tensor, gold: float, mix: Tensor) -> Evolved:
    """`evolved_kl` and its slope, of tokens with a prior; overwrites the first three.   (N, V) thrice, (N,), (N,)"""
    at, mix = target.unsqueeze(-1), mix.unsqueeze(-1)
    own = log_q.exp().mul_(1 - mix)  # the student's part of the mixture
    m = own.addcmul(p, mix, value=1 - gold).scatter_add_(-1, at, gold * mix)
    if m.numel() and float(m.amin()) >= torch.finfo(m.dtype).tiny:
        losses = relative_entropy(p, m, log_p.sub_(m.log()))
        w = p.mul_(own).div_(m)
    else:  # of logarithms, which do not underflow; where m is 0, so are p and q
        log_own = log_q.add_((-mix).log1p())
        log_m = torch.logaddexp(log_prior(log_p, target, gold) + mix.log(), log_own)
        losses = relative_entropy(p, log_m.exp(), log_p - log_m)
        w = log_p.add_(log_own.sub_(log_m)).exp_().masked_fill_(log_m == -math.inf, 0.0)
    return Evolved(losses, w.sum(-1, keepdim=True), w)


@dataclass(frozen=True)
class Evolution:
    """`--self-evolution B:R`."""

    gold: float  # B, the gold symbol's share of the prior
    hard: float  # R, the share of the batch's tokens that are hard

    def difficulty(self, log_p: Tensor, log_q: Tensor, target: Tensor) -> Tensor:
        """D_t = KL(r ‖ q), in nats.   (N, V), (N, V), (N,) -> (N,)"""
        return prior_kl(log_p, log_q, target, self.gold)

    def mix(self, difficulty: Tensor) -> Tensor:
        """λ_t = D_t/(1 + D_t) for the hardest share of the tokens, 0 for the others.   (N,) -> (N,)

        Ours: it rises with D_t from 0 towards 1, and the student keeps 1/(1 + D_t) of the mixture. With 1 - exp(-D_t)
        a token of 8 nats would keep three ten-thousandths, and hardly be distilled. However large D_t, a rounding error
        is kept: without it the mixture of B = 1 would be 0 at all symbols but one, and the divergence infinite.
        """
        found = difficulty.clamp(min=0, max=1 / torch.finfo(difficulty.dtype).eps)
        return torch.where(found >= hardest(found, self.hard), found / (1 + found), torch.zeros_like(found))


SHARES = (
    Parameter("B", 0, 1, 0.5, low_included=True, high_included=True),
    Parameter("R", 0, 1, 0.5, high_included=True),
)


def evolution_named(text: str) -> Evolution:
    """`0.5:0.5`; what is not B:R is one line."""
    found = numbers(text, SHARES)
    if found is None:
        raise LskdError(
            f"--self-evolution is {text}: give B:R, the gold symbol's share of the prior from 0 to 1 and "
            "the share of hard tokens above 0 and at most 1, as 0.5:0.5"
        )
    return Evolution(*found)
