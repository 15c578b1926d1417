"""Relative entropy that loses no digits where two distributions are alike, and in which 0 · log 0 is 0.

Σ p·log(p/q) is a small difference of large terms where p and q are nearly the same, as they are at a high temperature:
in float32 log p of 32,000 symbols is good to 1e-6, and so would the sum be, whose value is 5e-7 at τ = 1000. What is
summed here is Σ [p·d - p + q] with d = log p - log q. It is the same, for p and q both sum to 1, but no term of it is
negative, and an error that all of log p has in common, such as that of its normaliser, no longer enters at first order.
"""

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

CACHED = 1 << 17  # numbers: 512 KB in float32
ROUNDINGS = 1024.0  # a sum of this many rounding errors is good to three digits


def relative_entropy(p: Tensor, q: Tensor, d: Tensor) -> Tensor:
    """KL(p ‖ q) in nats, from both and from d = log p - log q.   (N, V) each -> (N,)

    It is 0 or more, 0 exactly where p and q agree, and infinite only where q is 0 at a symbol whose p is not.
    """
    found = at_once(p, q, d)
    return term_by_term(p, q, d) if found is None else found


def at_once(p: Tensor, q: Tensor, d: Tensor) -> Tensor | None:
    """The same the fast way; None where that loses digits, or a term is not finite."""
    with torch.autocast(p.device.type, enabled=False):  # which would take the products in half precision
        found: Tensor = torch.linalg.vecdot(p, d).add_(sum_of_differences(q, p))
    if not found.numel():
        return found
    # q - p is rounded as p is; these errors are independent, so that their sum grows as (Σ p²)^½ <= (max p)^½
    rounding = torch.finfo(p.dtype).eps * p.amax(-1).mean().sqrt()
    mean, least = torch.stack([found.mean(), ROUNDINGS * rounding]).tolist()
    return found.clamp_(min=0) if least < mean < math.inf else None


def sum_of_differences(a: Tensor, b: Tensor) -> Tensor:
    """Σ (a - b) of each token; on a CPU some rows at a time, so that the difference stays in its cache.   -> (N,)"""
    rows = max(1, CACHED // a.size(-1)) if a.device.type == "cpu" and a.dim() == 2 else a.size(0)
    if a.size(0) <= rows:
        return (a - b).sum(-1)
    return torch.cat([(a[i : i + rows] - b[i : i + rows]).sum(-1) for i in range(0, a.size(0), rows)])


def term_by_term(p: Tensor, q: Tensor, d: Tensor) -> Tensor:
    """The same in about twice the time, each term p·d - p + q with all its digits, zeros included.   -> (N,)

    With m = -|d| it is p·(expm1(m) - m) where p is the larger one, and q·(m·exp(m) - expm1(m)) where q is.
    """
    d = d.masked_fill((p == 0) & (q == 0), 0.0)  # 0 · log(0/0)
    m = d.abs().neg_().clamp_(min=torch.finfo(d.dtype).min)
    less = m.expm1()
    each = torch.where(d < 0, q * (m * (1 + less) - less), p * (less - m))
    return each.masked_fill_((d == math.inf) & (p > 0), math.inf).sum(-1)


class Context(FunctionCtx):
    """What a forward pass leaves for its backward pass."""

    zeros: bool  # whether a probability may be 0
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]


class RelativeEntropy(torch.autograd.Function):
    """KL(p ‖ q) of log p and log q. The slopes are those of Σ [p·d - p + q]: p·d and q - p."""

    @staticmethod
    def forward(ctx: "Context", log_p: Tensor, log_q: Tensor) -> Tensor:
        """The divergence of each token, in nats.   (N, V), (N, V) -> (N,)"""
        p, q, d = log_p.exp(), log_q.exp(), log_p - log_q
        ctx.save_for_backward(p, q, d)
        found = at_once(p, q, d)
        ctx.zeros = found is None
        return term_by_term(p, q, d) if found is None else found

    @staticmethod
    @once_differentiable
    def backward(ctx: "Context", upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The slopes in log p and log q, times the upstream gradient.   (N,) -> (N, V), (N, V)"""
        p, q, d = ctx.saved_tensors
        slopes: list[Tensor | None] = [None, None]
        if ctx.needs_input_grad[0]:
            slope = p * d
            slopes[0] = slope.masked_fill_(p == 0, 0.0) if ctx.zeros else slope  # however steep it is
        if ctx.needs_input_grad[1]:
            slopes[1] = q - p
        first, second = (each if each is None else each.mul_(upstream.unsqueeze(-1)) for each in slopes)
        if ctx.zeros and first is not None:  # a slope that is infinite, of a token without weight
            first.masked_fill_((upstream == 0).unsqueeze(-1), 0.0)
        return first, second


class LogMixture(torch.autograd.Function):
    """log(share·p + (1-share)·q) of log p and log q; where both are 0 it is log 0, with slopes of 0."""

    @staticmethod
    def forward(ctx: "Context", log_p: Tensor, log_q: Tensor, share: Tensor) -> Tensor:
        """The logarithm of the mixture.   (N, V), (N, V), () or (N, 1) -> (N, V)"""
        parts = log_p + share.log(), log_q + (-share).log1p()
        log_m = torch.logaddexp(*parts)
        ctx.save_for_backward(*parts, log_m)
        ctx.zeros = log_m.numel() > 0 and float(log_m.amin()) == -math.inf
        return log_m

    @staticmethod
    @once_differentiable
    def backward(ctx: "Context", upstream: Tensor) -> tuple[Tensor | None, ...]:
        """The slopes in log p and log q, times the upstream gradient.   (N, V) -> (N, V), (N, V), None"""
        *parts, log_m = ctx.saved_tensors
        slopes: list[Tensor | None] = [None, None, None]
        for number, part in enumerate(parts):
            if ctx.needs_input_grad[number]:
                slope = (part - log_m).exp_()
                slopes[number] = (slope.masked_fill_(log_m == -math.inf, 0.0) if ctx.zeros else slope).mul_(upstream)
        return tuple(slopes)
