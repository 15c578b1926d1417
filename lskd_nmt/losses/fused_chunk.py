"""One chunk of tokens: its logits, its teacher, its loss, and the gradient of its logits."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lskd_nmt.losses.divergences import mean_log_probs
from lskd_nmt.losses.objective import KdTerms, kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.relative import relative_entropy
from lskd_nmt.losses.signals import (
    Signal,
    TopK,
    kept_log_probs,
    rest_of,
    rows,
    spread,
    tail_mass,
    top_k,
    top_k_divergence,
    vanishes,
)
from lskd_nmt.losses.smoothing import smoothed_label
from lskd_nmt.losses.token_selection import TokenWeights


class Projection(NamedTuple):
    """What turns features into logits."""

    weight: Tensor  # (V, D)
    bias: Tensor | None = None  # (V,)


class TeacherFeatures(NamedTuple):
    """A teacher, or an ensemble whose probabilities are averaged, before its output projection."""

    features: Sequence[Tensor]  # (N, D′) each
    projections: Sequence[Projection]


class Plan(NamedTuple):
    """What the objective needs beside the tensors that get a gradient."""

    target: Tensor
    teacher: TeacherFeatures | Signal | None
    options: KdOptions
    weights: Tensor | None
    terms: TokenWeights | None
    accuracy: bool
    chunk: int
    work: torch.dtype
    grad: bool
    passes: int = 1  # 2: rows come in pairs, see `consistency`

    @property
    def differentiated(self) -> bool:
        """Whether a chunk's gradient is left to autograd; that of forward KL is written out, and is faster."""
        options = self.options
        written_out = self.terms is None and options.chosen.name == "forward" and not options.rank
        return self.teacher is not None and not written_out


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b with a result in float32 at least."""
    if a.dtype not in (torch.float16, torch.bfloat16):
        return a @ b
    if a.is_cuda:
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()


def logits(features: Tensor, weight: Tensor, bias: Tensor | None, scale: float = 1.0) -> Tensor:
    """(features @ weightᵀ + bias) · scale, in float32 at least.   -> (C, V)"""
    if features.dtype not in (torch.float16, torch.bfloat16):
        return functional.linear(features * scale, weight, None if bias is None else bias * scale)
    out = product(features, weight.t())
    if bias is not None:
        out += bias
    return out if scale == 1 else out.mul_(scale)


def mean_teacher(teacher: TeacherFeatures, where: slice = slice(None)) -> Tensor:
    """log p at τ = 1 of some of the tokens, of an ensemble the log of its mean probability.   -> (C, V)"""
    parts = zip(teacher.features, teacher.projections, strict=True)
    return mean_log_probs([logits(features[where], weight, bias).log_softmax(-1) for features, (weight, bias) in parts])


def teacher_log_probs(teacher: TeacherFeatures | Tensor, where: slice, temperature: float = 1.0) -> Tensor:
    """The chunk's log p(τ) in a tensor of its own, in float32 at least.   -> (C, V)"""
    if isinstance(teacher, Tensor):
        log_p = teacher[where].to(torch.promote_types(teacher.dtype, torch.float32))
        return log_p.mul(1 / temperature).log_softmax(-1)
    if len(teacher.features) == 1:
        ((features,), ((weight, bias),)) = teacher
        return logits(features[where], weight, bias, 1 / temperature).log_softmax(-1)
    log_p = mean_teacher(teacher, where)
    return log_p if temperature == 1 else log_p.mul_(1 / temperature).log_softmax(-1)


def teacher_signal(plan: Plan, where: slice) -> Signal | None:
    """The chunk's teacher: its top k at the temperature in use, or dense at that, or at 1 for autograd's path."""
    options, teacher = plan.options, plan.teacher
    if teacher is None:
        return None
    if isinstance(teacher, TopK):
        return rows(teacher, where)
    if options.top_k:
        return top_k(teacher_log_probs(teacher, where), options.top_k, options.temperature)
    return teacher_log_probs(teacher, where, 1.0 if plan.differentiated else options.temperature)


class Gradient(NamedTuple):
    """∂loss/∂logits of a chunk = scale · matrix − shared, where `shared` is the same for all symbols of a token."""

    matrix: Tensor  # (C, V), its entries of the order of probabilities
    scale: float
    shared: Tensor  # (C,)

    def times(self, weights: Tensor) -> "Gradient":
        """The gradient of the weighted sum; overwrites `matrix`.   (C,)"""
        return Gradient(self.matrix.mul_(weights.unsqueeze(-1)), self.scale, self.shared * weights)


class Compared(NamedTuple):
    """The teacher's divergence from the student, and what its gradient is made of."""

    kd: Tensor  # (C,) nats
    q: Tensor  # (C, V) the student's probabilities at the temperature of the divergence
    p: Tensor | None  # (C, V) the teacher's, or what stands for them; None where the gradient of a top k will do
    q_rest: Tensor | None  # (C,) what the student leaves to symbols outside of the top k


def compared(signal: Signal, log_q: Tensor, options: KdOptions) -> Compared:
    """Both at τ; overwrites a dense signal, and log q with it.   (C, V)"""
    if isinstance(signal, TopK):
        q = log_q.exp()
        q_rest = rest_of(q, signal)
        kd = top_k_divergence(signal, log_q, q, q_rest, options.tail)
        far = options.tail == "bucket" and vanishes(q_rest, q.size(-1))
        return Compared(kd, q, spread(signal, log_q, options.tail) if far else None, q_rest)
    p = signal.exp()  # (C, V)
    d = signal.sub_(log_q)
    q = log_q.exp_()
    return Compared(relative_entropy(p, q, d), q, p, None)


def top_k_slope(
    signal: TopK, q_rest: Tensor, symbols: int, options: KdOptions
) -> tuple[Tensor | float, Tensor | float]:
    """∂KL/∂(z/τ) of a top-k divergence outside of the top k, as α·q - β; at the kept symbols it is q - p in all modes.

    It is q·(1 - r/R) for `bucket` (r and R are what p and q leave to the rest), q - r/(V-k) for `uniform`, q for
    `renormalise`.   -> α (C, 1), β (C, 1)
    """
    k = signal.ids.size(-1)
    if options.tail == "renormalise" or k == symbols:
        return 1.0, 0.0
    rest = tail_mass(signal, symbols).unsqueeze(-1)
    if options.tail == "uniform":
        return 1.0, rest / (symbols - k)
    return 1 - rest / q_rest.unsqueeze(-1).clamp(min=torch.finfo(q_rest.dtype).tiny), 0.0


def differentiated_terms(
    z: Tensor, target: Tensor, signal: Signal | None, plan: Plan, where: slice
) -> tuple[KdTerms, Gradient | None]:
    """Loss of a chunk from its logits, as `objective` has it, and autograd's gradient of that."""
    weights = plan.terms and plan.terms.rows(where)
    with torch.set_grad_enabled(plan.grad):
        terms = kd_ls_terms(z.requires_grad_(plan.grad).log_softmax(-1), target, signal, plan.options, weights)
    if not plan.grad:
        return terms, None
    scale = max(1.0, plan.options.balance * (plan.options.kd_weight if weights is None else float(weights.soft.max())))
    (matrix,) = torch.autograd.grad(terms.loss, z, torch.full_like(terms.loss, 1 / scale))
    kept = KdTerms(*(each.detach() for each in terms if each is not None))
    return kept, Gradient(matrix, scale, torch.zeros_like(kept.nll))


def chunk_terms(
    z: Tensor, target: Tensor, signal: Signal | None, plan: Plan, where: slice
) -> tuple[KdTerms, Gradient | None]:
    """Loss and gradient of a chunk from its logits, which are overwritten.   (C, V), (C,), signal -> terms, gradient"""
    if plan.differentiated:
        return differentiated_terms(z, target, signal, plan, where)
    options, symbols = plan.options, z.size(-1)
    hard_weight = 1 - options.kd_weight
    true_symbol, share = smoothed_label(symbols, options.label_smoothing, options.smoothing_over)
    at = target.unsqueeze(-1)
    tempered = signal is not None and options.student_temperature != 1
    q_hard: Tensor | None = None
    if tempered:  # the student is needed at τ = 1 and at τ
        normaliser = z.logsumexp(-1)
        nll = normaliser - z.gather(-1, at).squeeze(-1)
        total = z.sum(-1) - symbols * normaliser
        if plan.grad and hard_weight:
            q_hard = z.softmax(-1)
        log_q = z.mul_(1 / options.temperature).log_softmax(-1)
    else:
        log_q = z.log_softmax(-1)
        nll = -log_q.gather(-1, at).squeeze(-1)
        total = log_q.sum(-1)
    hard = true_symbol * nll - share * total if options.label_smoothing else nll
    found = None if signal is None else compared(signal, log_q, options)
    loss = hard if found is None else hard_weight * hard + options.kd_scale * found.kd
    terms = KdTerms(loss, nll, found and found.kd)
    if not plan.grad:
        return terms, None

    soft_weight = options.kd_scale / (options.temperature if tempered else 1.0)
    scale = max(hard_weight, soft_weight) if tempered else hard_weight + soft_weight
    shared: Tensor | float = hard_weight * share
    matrix = log_q.exp_() if found is None else found.q  # at the student's temperature
    own = (soft_weight if tempered else scale) / scale
    if isinstance(signal, TopK) and found and found.p is None and found.q_rest is not None:
        alpha, beta = top_k_slope(signal, found.q_rest, symbols, options)
        p, soft = kept_log_probs(signal, options.tail).exp(), soft_weight / scale
        at_ids = own * matrix.gather(-1, signal.ids) - soft * (p - beta)  # (C, k)
        if isinstance(alpha, Tensor):
            matrix.mul_((alpha * soft_weight + (0.0 if tempered else hard_weight)) / scale)
        elif own != 1:
            matrix.mul_(own)
        matrix.scatter_(-1, signal.ids, at_ids.to(matrix))
        shared = shared + soft_weight * (beta.squeeze(-1) if isinstance(beta, Tensor) else beta)
    elif found and found.p is not None:
        if own != 1:
            matrix.mul_(own)
        matrix.sub_(found.p, alpha=soft_weight / scale)
    if q_hard is not None:
        matrix.add_(q_hard, alpha=hard_weight / scale)
    matrix.scatter_add_(-1, at, matrix.new_full(at.shape, -hard_weight * true_symbol / scale))
    return terms, Gradient(matrix, scale, nll.new_zeros(nll.shape) + shared)
