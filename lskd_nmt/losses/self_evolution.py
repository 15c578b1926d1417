"""Self-Evolution KD (Song et al. 2025): the harder a token is, the more prior knowledge stands in for the student.

The published text leaves the exact form open; what is ours is said at each function and in docs/methods.md.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.divergences import forward_kl
from lskd_nmt.losses.named_options import Parameter, numbers
from lskd_nmt.losses.relative import LogMixture
from lskd_nmt.losses.token_selection import hardest


def log_prior(log_p: Tensor, target: Tensor, gold: float) -> Tensor:
    """log r of the prior r = B·y + (1-B)·p; where p is mixed with the gold symbol.   (N, V), (N,) -> (N, V)"""
    at = target.unsqueeze(-1)
    log_r = log_p + (math.log1p(-gold) if gold < 1 else -math.inf)
    mixed = log_r.gather(-1, at).logaddexp(log_r.new_full((), math.log(gold) if gold > 0 else -math.inf))
    return log_r.scatter(-1, at, mixed)


def evolved_kl(log_p: Tensor, log_q: Tensor, target: Tensor, gold: float, mix: Tensor) -> Tensor:
    """KL(p ‖ (1-λ_t)·q + λ_t·r), in nats, the prior r without gradient.   (N, V), (N, V), (N,), (N,) -> (N,)"""
    log_r = log_prior(log_p, target, gold).detach()
    log_proxy = LogMixture.apply(log_r, log_q, mix.unsqueeze(-1))  # type: ignore[no-untyped-call]
    return forward_kl(log_p, log_proxy)


@dataclass(frozen=True)
class Evolution:
    """`--self-evolution B:R`."""

    gold: float  # B, the gold symbol's share of the prior
    hard: float  # R, the share of the batch's tokens that are hard

    def difficulty(self, log_p: Tensor, log_q: Tensor, target: Tensor) -> Tensor:
        """D_t = KL(r ‖ q), in nats.   (N, V), (N, V), (N,) -> (N,)"""
        return forward_kl(log_prior(log_p, target, self.gold), log_q)

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
