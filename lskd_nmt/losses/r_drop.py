"""R-Drop (Wu et al. 2021): two passes of a student, each with its own dropout, and how far apart they are.

Rows come in pairs: 2i and 2i+1 are the passes of token i. The loss of a token is the mean of its two objectives, and
A times the symmetric divergence between its two distributions.
"""

import torch
from torch import Tensor

from lskd_nmt.losses.divergences import forward_kl
from lskd_nmt.losses.fused_chunk import Gradient, Plan, teacher_signal
from lskd_nmt.losses.objective import KdTerms, kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.relative import at_once, term_by_term
from lskd_nmt.losses.signals import Signal, TopK


def in_pairs(rows: Tensor) -> Tensor:
    """(2N, …) -> (N, 2, …)"""
    return rows.view(rows.size(0) // 2, 2, *rows.shape[1:])


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


def both(signal: Signal) -> Signal:
    """What the teacher says of each token, for each of its passes."""
    if isinstance(signal, Tensor):
        return signal.repeat_interleave(2, 0)
    return TopK(*(part.repeat_interleave(2, 0) for part in signal))


def mean_of_passes(each: Tensor) -> Tensor:
    """(2N,) -> (N,)"""
    return in_pairs(each).mean(1)


def two_pass_terms(log_q: Tensor, target: Tensor, signal: Signal | None, options: KdOptions) -> tuple[KdTerms, Tensor]:
    """½(objective₁ + objective₂) + A·symmetric KL, and that KL by itself.   (2N, V), (N,) -> (N,) each

    The authors' code has the sum of the two and α in the place of A: twice this loss with A = α/2.
    """
    twice = kd_ls_terms(log_q, target.repeat_interleave(2), None if signal is None else both(signal), options)
    loss, nll, kd, rank = (None if each is None else mean_of_passes(each) for each in twice)
    assert loss is not None and nll is not None
    apart = symmetric_kl(log_q)
    return KdTerms(loss + options.r_drop * apart, nll, kd, rank), apart


def of_two_passes(plan: Plan) -> Plan:
    """The plan of features in pairs of rows, each of which counts half."""
    assert plan.terms is None and plan.weights is None, "options refuse this"
    targets = plan.target.repeat_interleave(2)
    return plan._replace(
        target=targets,
        weights=torch.full_like(targets, 0.5, dtype=torch.float32),
        chunk=plan.chunk + plan.chunk % 2,
        passes=2,
    )


def chunk_signal(plan: Plan, where: slice) -> Signal | None:
    """The chunk's teacher; its own output projection is taken once for both passes."""
    if plan.passes == 1:
        return teacher_signal(plan, where)
    signal = teacher_signal(plan, slice(where.start // 2, where.stop // 2))
    return None if signal is None else both(signal)


def pulled(grad: Gradient, slope: Tensor, strength: float) -> Gradient:
    """The gradient with that of strength · symmetric KL; overwrites `matrix`, whose entries stay as small as they are.

    In half precision a matrix is multiplied by 1024 before it is rounded: its entries must stay below 60.
    """
    scale = grad.scale + strength
    matrix = grad.matrix.mul_(grad.scale / scale).add_(slope, alpha=strength / scale)
    return Gradient(matrix, scale, grad.shared)
