"""Divergences with their gradients written out, for the fused path: autograd keeps many more (C, V) tensors.

Each takes the two distributions of some tokens and returns D, (N,) nats, and ∂D/∂log q, (N, V), from which a multiple
of q may be missing: what the divergence does to the normaliser, -q·Σ ∂D/∂log q, is the same with it and without.

Mixtures are made of probabilities, and not of logarithms as in `divergences`: m is at least a share of p and of q, so
that p/m and q/m are of an order that float32 has, even where p or q underflows. Of p/m what is computed is its distance
from 1, (p-q)·(1-A)/m, which loses no digits where p and q are nearly the same.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vecdot

from lskd_nmt.losses.relative import at_once, relative_entropy, term_by_term

BLOCK_ELEMENTS = 1 << 17  # of a CPU's block of rows: its temporaries, of 512 kB in float32, stay in the cache


class Pair(NamedTuple):
    """Teacher p and student q of some tokens, (N, V) each; all but q may be overwritten."""

    log_p: Tensor
    log_q: Tensor
    p: Tensor
    q: Tensor


ClosedForm = Callable[..., tuple[Tensor, Tensor]]  # (pair[, parameter]) -> D (N,) and ∂D/∂log q (N, V)


def forward(pair: Pair) -> tuple[Tensor, Tensor]:
    """KL(p ‖ q): q - p."""
    log_p, log_q, p, q = pair
    return relative_entropy(p, q, log_p.sub_(log_q)), p.neg_()


def reverse(pair: Pair) -> tuple[Tensor, Tensor]:
    """KL(q ‖ p): q·log(q/p)."""
    log_p, log_q, p, q = pair
    return entropy_and_terms(q, p, log_q.sub_(log_p))


def jensen_shannon(pair: Pair, share: float) -> tuple[Tensor, Tensor]:
    """B·KL(p ‖ m) + (1-B)·KL(q ‖ m), m = B·p + (1-B)·q: (1-B)·q·log(q/m); through m nothing changes."""
    p, q = pair.p, pair.q
    apart = (p - q).div_(mixture(p, q, share))  # p is m·(1 + (1-B)·apart), and q is m·(1 - B·apart)
    log_p, log_q = log_one_plus(apart * (1 - share)), log_one_plus(apart.mul_(-share))  # each over m
    losses = share * vecdot(p, log_p) + (1 - share) * vecdot(q, log_q)
    return losses.clamp_(min=0), log_q.mul_(q).mul_(1 - share)


def skew(pair: Pair, share: float) -> tuple[Tensor, Tensor]:
    """KL(p ‖ m), m = A·p + (1-A)·q: -(1-A)·q·p/m."""
    if share == 0:
        return forward(pair)
    losses, excess, _ = skewed(pair.p, pair.q, share)
    return losses, excess.mul_(pair.q).mul_(share - 1)


def skew_reverse(pair: Pair, share: float) -> tuple[Tensor, Tensor]:
    """KL(q ‖ m), m = (1-A)·p + A·q: q·log(q/m) - A·q·q/m."""
    if share == 0:
        return reverse(pair)
    losses, excess, d = skewed(pair.q, pair.p, share)
    return losses, d.sub_(excess, alpha=share).mul_(pair.q)


def total_variation(pair: Pair) -> tuple[Tensor, Tensor]:
    """½·Σ|p - q|: -½·q·sign(p - q)."""
    difference = pair.p.sub_(pair.q)
    return difference.abs().sum(-1).mul_(0.5), difference.sign_().mul_(pair.q).mul_(-0.5)


def skewed(p: Tensor, q: Tensor, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """KL(p ‖ m) with m = share·p + (1-share)·q, and p/m - 1 and log(p/m).   (N, V) each -> (N,), (N, V), (N, V)"""
    apart = (p - q).mul_(1 - share)  # p - m
    excess = apart / mixture(p, q, share)
    d = log_one_plus(excess.clone())
    return vecdot(p, d).sub_(apart.sum(-1)).clamp_(min=0), excess, d


def mixture(p: Tensor, q: Tensor, share: float) -> Tensor:
    """share·p + (1-share)·q, nowhere 0.   (N, V), (N, V) -> (N, V)"""
    return torch.lerp(q, p, share).clamp_(min=torch.finfo(q.dtype).tiny)


def log_one_plus(excess: Tensor) -> Tensor:
    """log(1 + excess) in its place, finite where that is log 0, which is multiplied by 0.   (N, V) -> (N, V)"""
    return excess.clamp_(min=torch.finfo(excess.dtype).eps - 1).log1p_()


def entropy_and_terms(p: Tensor, q: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p ‖ q) and p·d, in the place of d = log p - log q, with 0 · log 0 = 0.   (N, V) each -> (N,), (N, V)"""
    found = at_once(p, q, d)
    if found is not None:
        return found, d.mul_(p)
    return term_by_term(p, q, d), d.mul_(p).masked_fill_(p == 0, 0.0)


def row_blocks(rows: Tensor) -> Iterator[slice]:
    """What to work on at a time: all of it; on a CPU few rows, in a third of the time."""
    count = rows.size(0)
    step = max(1, BLOCK_ELEMENTS // rows[0].numel()) if count and rows.device.type == "cpu" else max(1, count)
    return (slice(start, start + step) for start in range(0, count, step))


def in_blocks(form: Callable[[Pair], tuple[Tensor, Tensor]], log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """D and Σ_v ∂D/∂log q_v.   (N, V), (N, V) -> (N,), (N,)

    ∂D/∂log q takes the place of log p, and q that of log q.
    """
    losses, sums = log_q.new_empty(2, log_q.size(0))
    for where in row_blocks(log_q):
        a, b = log_p[where], log_q[where]
        q = b.exp()
        losses[where], slope = form(Pair(a, b, a.exp(), q))
        sums[where] = slope.sum(-1)
        a.copy_(slope)
        b.copy_(q)
    return losses, sums
