"""R-Drop (Wu et al. 2021): two passes of a student, each with its own dropout, and how far apart they are.

Rows come in pairs: 2i and 2i+1 are the passes of token i. The loss of a token is the mean of its two objectives, and
A times the symmetric divergence between its two distributions.
"""

from torch import Tensor

from lskd_nmt.losses.divergences import forward_kl
from lskd_nmt.losses.relative import at_once, term_by_term


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


def symmetric_kl_and_gradient(log_q: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and ∂/∂z of it: ½[q₁·(log q₁/q₂ - KL(q₁ ‖ q₂)) + q₁ - q₂], 1 and 2 in turns.   -> (N,), (2N, V)"""
    pairs = in_pairs(log_q)
    q, ratio = pairs.exp(), pairs - pairs.flip(1)
    found = at_once(q, q.flip(1), ratio)  # (N, 2)
    each = term_by_term(q, q.flip(1), ratio) if found is None else found
    slope = ratio.sub_(each.unsqueeze(-1)).mul_(q).add_(q).sub_(q.flip(1)).mul_(0.5)
    if found is None:
        slope.masked_fill_((q == 0) & (q.flip(1) == 0), 0.0)
    return each.mean(-1), slope.flatten(0, 1)
