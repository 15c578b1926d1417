"""R-Drop (Wu et al. 2021): two passes of a student, each with its own dropout, and how far apart they are.

Rows come in pairs: 2i and 2i+1 are the passes of token i. The loss of a token is the mean of its two objectives, and
A times the symmetric divergence between its two distributions.
"""

import torch
from torch import Tensor
from torch.linalg import vecdot

from lskd_nmt.losses.closed_forms import row_blocks
from lskd_nmt.losses.divergences import forward_kl


def in_pairs(rows: Tensor) -> Tensor:
    """The rows of a token's two passes side by side.   (2N, …) -> (N, 2, …)"""
    return rows.view(rows.size(0) // 2, 2, *rows.shape[1:])


def mean_of_passes(rows: Tensor) -> Tensor:
    """The mean of a token's two rows.   (2N,) -> (N,)"""
    return in_pairs(rows).mean(1)


def symmetric_kl(log_q: Tensor) -> Tensor:
    """½[KL(q₁ ‖ q₂) + KL(q₂ ‖ q₁)], in nats (Wu et al. 2021, eq. 2).   (2N, V) -> (N,)"""
    first, second = in_pairs(log_q).unbind(1)
    return 0.5 * (forward_kl(first, second) + forward_kl(second, first))


def symmetric_kl_and_gradient(log_q: Tensor, overwrite: bool = False) -> tuple[Tensor, Tensor]:
    """The same, and ∂/∂z of it: ½[q₁·(log q₁/q₂ - KL(q₁ ‖ q₂)) + q₁ - q₂], 1 and 2 in turns.   -> (N,), (2N, V)

    `overwrite`: q takes the place of log q.
    """
    slope, pairs = torch.empty_like(log_q), in_pairs(log_q)
    apart = log_q.new_empty(pairs.size(0))
    for where in row_blocks(pairs):
        block = pairs[where]
        q = block.exp()
        apart[where] = symmetric_terms(block, q, in_pairs(slope)[where])
        if overwrite:
            block.copy_(q)
    return apart, slope


def symmetric_terms(log_q: Tensor, q: Tensor, slope: Tensor) -> Tensor:
    """½·Σ (q₁ - q₂)·log(q₁/q₂), no term of which is negative; `slope` becomes its gradient.   (N, 2, V) each -> (N,)"""
    ratio, difference = log_q[:, 0] - log_q[:, 1], q[:, 0] - q[:, 1]
    apart: Tensor = vecdot(ratio, difference)
    if not apart.isfinite().all():
        ratio.masked_fill_(difference == 0, 0.0)  # 0 · log(0/0)
        apart = vecdot(ratio, difference)
    for number, sign in enumerate((0.5, -0.5)):
        each, out = q[:, number], slope[:, number]
        torch.addcmul(difference, each, ratio, out=out)
        out.addcmul_(each, out.sum(-1, keepdim=True), value=-1).mul_(sign)
    return apart.mul_(0.5)
