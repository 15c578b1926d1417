"""The `kd_ls` objective straight from decoder features, chunk by chunk, its gradient taken in the forward pass.

No (N, V) tensor of all tokens ever exists. For a chunk of tokens the logits are made, used for the loss and for its
gradient, and dropped; what is kept is the gradient of the features (N, D) and of the projection (V, D), in float32
at least, until the upstream gradient (a loss scale, say) is known. It equals the dense path of `objective` up to
rounding, for every chunk size.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lskd_nmt.losses.divergences import mean_log_probs
from lskd_nmt.losses.objective import KdOptions, KdTerms
from lskd_nmt.losses.signals import Signal, TopK, kept_log_probs, rows, tail_mass, top_k, top_k_kl
from lskd_nmt.losses.smoothing import smoothed_label

CHUNK_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 24}  # logits at a time: 8 MB, 64 MB in float32 (CPU's was measured)
HALF_SCALE = 1024.0  # keeps gradients as small as 6e-11 above half precision's smallest number


class Projection(NamedTuple):
    """What turns features into logits."""

    weight: Tensor  # (V, D)
    bias: Tensor | None = None  # (V,)


class TeacherFeatures(NamedTuple):
    """A teacher, or an ensemble whose probabilities are averaged, before its output projection."""

    features: Sequence[Tensor]  # (N, D′) each
    projections: Sequence[Projection]


class ChunkedTerms(NamedTuple):
    """The summed objective, connected to features and projection; per token, in nats, what is logged."""

    loss: Tensor  # ()
    nll: Tensor  # (N,)
    kd: Tensor | None  # (N,)
    correct: Tensor | None  # (N,) bool


def chunk_size(symbols: int, device: str = "cpu") -> int:
    """Tokens a chunk, for a vocabulary of this size."""
    return max(16, CHUNK_ELEMENTS.get(device, CHUNK_ELEMENTS["cuda"]) // symbols)


def kd_ls_from_features(
    features: Tensor,
    projection: Projection,
    target: Tensor,
    teacher: TeacherFeatures | Signal | None,
    options: KdOptions,
    *,
    weights: Tensor | None = None,
    accuracy: bool = False,
    chunk: int = 0,
) -> ChunkedTerms:
    """Σ w·[(1-λ)·LS-NLL(ε) + λ·τ²·KL(p(τ)‖q(τ))].   (N, D), (V, D), (N,), teacher -> () and (N,) each

    The teacher is given by its own features, by a dense signal (log p at τ = 1), or by a top-k signal at τ.
    `weights` are those of the tokens in the sum, (N,), without gradient, 1 if not given; `accuracy` asks for `correct`;
    `chunk` is the tokens worked on at a time, 0 for the default.
    """
    weight, bias = projection
    work = work_dtype(features)
    grad = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (features, weight, bias))
    plan = Plan(
        target,
        teacher if options.kd_weight else None,
        options,
        None if weights is None else weights.detach(),
        accuracy,
        chunk or chunk_size(weight.size(0)),
        work,
        grad,
    )
    loss, nll, kd, correct = ChunkedObjective.apply(features, weight, bias, plan)  # type: ignore[no-untyped-call]
    return ChunkedTerms(loss, nll, kd, correct)


def work_dtype(features: Tensor) -> torch.dtype:
    """What matrices are multiplied in: autocast's choice where it is on, else the features' own type."""
    kind = features.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype


class Plan(NamedTuple):
    """What the objective needs beside the tensors that get a gradient."""

    target: Tensor
    teacher: TeacherFeatures | Signal | None
    options: KdOptions
    weights: Tensor | None
    accuracy: bool
    chunk: int
    work: torch.dtype
    grad: bool


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


def teacher_signal(plan: Plan, where: slice) -> Signal | None:
    """The chunk's teacher at the temperature in use: dense log p(τ), or the top k.   -> (C, V) or TopK"""
    options, teacher = plan.options, plan.teacher
    if teacher is None:
        return None
    if isinstance(teacher, TopK):
        return rows(teacher, where)
    inverse = 1 / options.temperature
    if isinstance(teacher, Tensor):
        log_p = teacher[where].to(torch.promote_types(teacher.dtype, torch.float32))
        return top_k(log_p, options.top_k, options.temperature) if options.top_k else log_p.mul(inverse).log_softmax(-1)
    parts = zip(teacher.features, teacher.projections, strict=True)
    if len(teacher.features) == 1 and not options.top_k:
        ((features, (weight, bias)),) = parts
        return logits(features[where], weight, bias, inverse).log_softmax(-1)
    each = [logits(features[where], weight, bias).log_softmax(-1) for features, (weight, bias) in parts]
    log_p = mean_log_probs(each)
    if options.top_k:
        return top_k(log_p, options.top_k, options.temperature)
    return log_p.mul_(inverse).log_softmax(-1)


class Gradient(NamedTuple):
    """∂loss/∂logits of a chunk = scale · matrix − shared, where `shared` is the same for all symbols of a token."""

    matrix: Tensor  # (C, V), its entries of the order of probabilities
    scale: float
    shared: Tensor  # (C,)

    def times(self, weights: Tensor) -> "Gradient":
        """The gradient of the weighted sum; overwrites `matrix`.   (C,)"""
        return Gradient(self.matrix.mul_(weights.unsqueeze(-1)), self.scale, self.shared * weights)


def divergence(signal: Signal, log_q: Tensor, options: KdOptions) -> tuple[Tensor, Tensor | None]:
    """The teacher's divergence from the student, and its p(τ) if it is dense; overwrites a dense signal.   -> (C,)"""
    if isinstance(signal, TopK):
        return top_k_kl(signal, log_q, options.tail), None
    p = signal.exp()  # (C, V)
    return torch.linalg.vecdot(p, signal.sub_(log_q)), p


def top_k_gradient(signal: TopK, q: Tensor, options: KdOptions) -> tuple[Tensor | float, Tensor, Tensor | float]:
    """∂KL/∂(z/τ) of a top-k divergence as α·q + `at ids` − β.   -> α (C, 1), at ids (C, k), β (C, 1)

    In the tail q·(1 - r/R) for `bucket` (r and R are what p and q leave to it), q - r/(V-k) for `uniform`, q for
    `renormalise`; q - p at the kept symbols in all of them.
    """
    symbols, k = q.size(-1), signal.ids.size(-1)
    p = kept_log_probs(signal, options.tail).exp()
    rest = tail_mass(signal, symbols).unsqueeze(-1)
    if options.tail == "renormalise" or k == symbols:
        return 1.0, -p, 0.0
    if options.tail == "uniform":
        share = rest / (symbols - k)
        return 1.0, share - p, share
    q_rest = q.scatter(-1, signal.ids, 0.0).sum(-1, keepdim=True).clamp(min=torch.finfo(q.dtype).tiny)
    alpha = 1 - rest / q_rest
    return alpha, (1 - alpha) * q.gather(-1, signal.ids) - p, 0.0


def chunk_terms(z: Tensor, target: Tensor, signal: Signal | None, plan: Plan) -> tuple[KdTerms, Gradient | None]:
    """Loss and gradient of a chunk from its logits, which are overwritten.   (C, V), (C,), signal -> terms, gradient"""
    options, symbols = plan.options, z.size(-1)
    hard_weight = 1 - options.kd_weight
    true_symbol, share = smoothed_label(symbols, options.label_smoothing, options.smoothing_over)
    at = target.unsqueeze(-1)
    tempered = signal is not None and options.temperature != 1 and options.temper == "both"
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
    kd, p = (None, None) if signal is None else divergence(signal, log_q, options)
    loss = hard if kd is None else hard_weight * hard + options.kd_scale * kd
    terms = KdTerms(loss, nll, kd)
    if not plan.grad:
        return terms, None

    soft_weight = options.kd_scale / (options.temperature if tempered else 1.0)
    scale = soft_weight if tempered else hard_weight + soft_weight
    shared: Tensor | float = hard_weight * share
    matrix = log_q.exp_()
    if isinstance(signal, TopK):
        alpha, at_ids, beta = top_k_gradient(signal, matrix, options)
        if isinstance(alpha, Tensor):
            matrix.mul_((alpha * soft_weight + (0.0 if tempered else hard_weight)) / scale)
        matrix.scatter_add_(-1, signal.ids, (soft_weight / scale) * at_ids)
        shared = shared + soft_weight * (beta.squeeze(-1) if isinstance(beta, Tensor) else beta)
    elif p is not None:
        matrix.sub_(p, alpha=soft_weight / scale)
    if q_hard is not None:
        matrix.add_(q_hard, alpha=hard_weight / scale)
    matrix.scatter_add_(-1, at, matrix.new_full(at.shape, -hard_weight * true_symbol / scale))
    return terms, Gradient(matrix, scale, nll.new_zeros(nll.shape) + shared)


class Gradients:
    """∂loss/∂features, ∂loss/∂weight and ∂loss/∂bias, summed up over chunks in float32 at least."""

    def __init__(self, features: Tensor, weight: Tensor, bias: Tensor | None, work: torch.dtype) -> None:
        self.work, self.wide = work, torch.promote_types(work, torch.float32)
        self.types = features.dtype, weight.dtype, weight.dtype
        self.features, self.weight = (torch.zeros_like(t, dtype=self.wide) for t in (features, weight))
        self.bias = None if bias is None else torch.zeros_like(bias, dtype=self.wide)
        self.factor = weight.to(work)  # (V, D)
        self.factor_sum = self.factor.sum(0, dtype=self.wide)  # (D,)

    def add(self, where: slice, h: Tensor, grad: Gradient) -> None:
        """Take in a chunk whose features are `h`, (C, D)."""
        if self.work == self.wide:
            torch.mm(grad.matrix, self.factor, out=self.features[where]).mul_(grad.scale)
            self.weight.addmm_(grad.matrix.t(), h, alpha=grad.scale)
        else:
            small = grad.matrix.mul(HALF_SCALE).to(self.work)
            self.features[where] = product(small, self.factor).mul_(grad.scale / HALF_SCALE)
            self.weight.add_(product(small.t(), h), alpha=grad.scale / HALF_SCALE)
        self.features[where].addr_(grad.shared, self.factor_sum, alpha=-1)
        self.weight.sub_(grad.shared @ h.to(self.wide))
        if self.bias is not None:
            self.bias.add_(grad.matrix.sum(0), alpha=grad.scale).sub_(grad.shared.sum())

    def times(self, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """All three, multiplied, and only then in the type of what they belong to."""
        sums = self.features, self.weight, self.bias
        return tuple(None if total is None else (total * upstream).to(final)
                     for total, final in zip(sums, self.types, strict=True))  # fmt: skip


class ChunkedObjective(torch.autograd.Function):
    """The loop over chunks, and a backward that only multiplies."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan) -> tuple[Any, ...]:
        """Loss, nll, kd and correct; the gradients wait in `ctx`."""
        with torch.autocast(features.device.type, enabled=False):
            ctx.gradients = Gradients(features, weight, bias, plan.work) if plan.grad else None
            loss, nll, kd, correct = run_chunks(features, weight, bias, plan, ctx.gradients)
        ctx.mark_non_differentiable(*(tensor for tensor in (nll, kd, correct) if tensor is not None))
        return loss.sum(), nll, kd, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, *_: Any) -> tuple[Any, ...]:
        """The gradients times the upstream one."""
        return *ctx.gradients.times(upstream), None


def run_chunks(
    features: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan, gradients: Gradients | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Loss, nll, kd and correct of every token; the chunks' gradients go to `gradients`.   -> (N,) each"""
    count, h_all, w = features.size(0), features.to(plan.work), weight.to(plan.work)
    loss = torch.zeros(count, dtype=torch.promote_types(plan.work, torch.float32), device=features.device)
    nll, kd = torch.zeros_like(loss), None if plan.teacher is None else torch.zeros_like(loss)
    correct = torch.zeros_like(loss, dtype=torch.bool) if plan.accuracy else None
    for start in range(0, count, plan.chunk):
        where = slice(start, start + plan.chunk)
        h, target = h_all[where], plan.target[where]
        z = logits(h, w, bias)
        if correct is not None:
            correct[where] = z.argmax(-1) == target
        terms, grad = chunk_terms(z, target, teacher_signal(plan, where), plan)
        loss[where], nll[where] = terms.loss, terms.nll
        if plan.weights is not None:
            loss[where] *= plan.weights[where]
            grad = grad and grad.times(plan.weights[where])
        if kd is not None and terms.kd is not None:
            kd[where] = terms.kd
        if gradients is not None and grad is not None:
            gradients.add(where, h, grad)
    return loss, nll, kd, correct
