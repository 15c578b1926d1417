"""The `kd_ls` objective straight from decoder features, chunk by chunk, its gradient taken in the forward pass.

No (N, V) tensor of all tokens ever exists. For a chunk of tokens the logits are made, used for the loss and for its
gradient, and dropped; what is kept is the gradient of the features (N, D) and of the projection (V, D), in float32
at least, until the upstream gradient (a loss scale, say) is known. It equals the dense path of `objective` up to
rounding, for every chunk size.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lskd_nmt.losses.fused_chunk import Gradient, Plan, Projection, TeacherFeatures, chunk_terms, logits, product
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.r_drop import chunk_signal, mean_of_passes, of_two_passes, pulled, symmetric_kl_and_gradient
from lskd_nmt.losses.signals import Signal
from lskd_nmt.losses.token_selection import TokenWeights

CHUNK_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 24}  # logits at a time: 8 MB, 64 MB in float32 (CPU's was measured)
HALF_SCALE = 1024.0  # keeps gradients as small as 6e-11 above half precision's smallest number


class ChunkedTerms(NamedTuple):
    """The summed objective, connected to features and projection; per token, in nats, what is logged."""

    loss: Tensor  # ()
    nll: Tensor  # (N,)
    kd: Tensor | None  # (N,)
    correct: Tensor | None  # (N,) bool, of two passes (2N,)
    rank: Tensor | None = None  # (N,), of probabilities and not in nats
    apart: Tensor | None = None  # (N,) how far apart two passes are
    selected: Tensor | None = None  # (N,) how much of the token is distilled, 0 to 1; None where all are alike
    predicted: Tensor | None = None  # (N,) the student's most probable symbols


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
    terms: TokenWeights | None = None,
    accuracy: bool = False,
    chunk: int = 0,
    passes: int = 1,
) -> ChunkedTerms:
    """Σ w·[(1-λ)·LS-NLL(ε) + λ·τ²·D(p(τ), q(τ))].   (N, D), (V, D), (N,), teacher -> () and (N,) each

    The teacher is given by its own features, by a dense signal (log p at τ = 1), or by a top-k signal at τ.
    `weights` are those of the tokens in the sum, (N,), without gradient, 1 if not given; `terms` replace 1-λ and λ
    token by token; `accuracy` asks for `correct` and `predicted`; `chunk` is the tokens worked on at a time,
    0 for the default.
    With 2 `passes` the features are (2N, D) in pairs of rows, and R-Drop's term joins the sum, see `consistency`.
    """
    weight, bias = projection
    work = work_dtype(features)
    grad = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (features, weight, bias))
    plan = Plan(
        target,
        teacher if options.kd_weight else None,
        options,
        None if weights is None else weights.detach(),
        terms,
        accuracy,
        chunk or chunk_size(weight.size(0), weight.device.type),
        work,
        grad,
    )
    if passes == 2:
        plan = of_two_passes(plan)
    found = ChunkedObjective.apply(features, weight, bias, plan)  # type: ignore[no-untyped-call]
    loss, nll, kd, predicted, rank, apart = found
    correct = None if predicted is None else predicted == plan.target
    if passes == 2:
        kd, rank = (each if each is None else mean_of_passes(each) for each in (kd, rank))
        nll = mean_of_passes(nll)
    return ChunkedTerms(loss, nll, kd, correct, rank, apart, predicted=predicted)


def work_dtype(features: Tensor) -> torch.dtype:
    """What matrices are multiplied in: autocast's choice where it is on, else the features' own type."""
    kind = features.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype


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
        return tuple(
            None if total is None else (total * upstream).to(final)
            for total, final in zip(sums, self.types, strict=True)
        )


class ChunkedObjective(torch.autograd.Function):
    """The loop over chunks, and a backward that only multiplies."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan) -> tuple[Any, ...]:
        """Loss, nll, kd, predicted, rank and apart; the gradients wait in `ctx`."""
        with torch.autocast(features.device.type, enabled=False):
            ctx.gradients = Gradients(features, weight, bias, plan.work) if plan.grad else None
            loss, *logged = run_chunks(features, weight, bias, plan, ctx.gradients)
        ctx.mark_non_differentiable(*(tensor for tensor in logged if tensor is not None))
        return loss.sum(), *logged

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, *_: Any) -> tuple[Any, ...]:
        """The gradients times the upstream one."""
        return *ctx.gradients.times(upstream), None


def run_chunks(
    features: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan, gradients: Gradients | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Loss, nll, kd, predicted, rank, apart of every token; the chunks' gradients go to `gradients`.   -> (N,) each"""
    count, h_all, w = features.size(0), features.to(plan.work), weight.to(plan.work)
    loss = torch.zeros(count, dtype=torch.promote_types(plan.work, torch.float32), device=features.device)
    nll, kd = torch.zeros_like(loss), None if plan.teacher is None else torch.zeros_like(loss)
    predicted = torch.zeros_like(plan.target) if plan.accuracy else None
    rank = torch.zeros_like(loss) if kd is not None and plan.options.rank else None
    apart, slope = loss.new_zeros(count // 2) if plan.passes == 2 else None, None
    for start in range(0, count, plan.chunk):
        where = slice(start, start + plan.chunk)
        h, target = h_all[where], plan.target[where]
        z = logits(h, w, bias)
        if predicted is not None:
            predicted[where] = z.argmax(-1)
        if apart is not None:
            tokens = slice(where.start // 2, where.stop // 2)
            apart[tokens], slope = symmetric_kl_and_gradient(z.log_softmax(-1))
        terms, grad = chunk_terms(z, target, chunk_signal(plan, where), plan, where)
        loss[where], nll[where] = terms.loss, terms.nll
        if plan.weights is not None:
            loss[where] *= plan.weights[where]
            grad = grad and grad.times(plan.weights[where])
        if apart is not None and slope is not None:
            loss[where][::2] += plan.options.r_drop * apart[tokens]
            grad = grad and pulled(grad, slope, plan.options.r_drop)
        if kd is not None and terms.kd is not None:
            kd[where] = terms.kd
        if rank is not None and terms.rank is not None:
            rank[where] = terms.rank
        if gradients is not None and grad is not None:
            gradients.add(where, h, grad)
    return loss, nll, kd, predicted, rank, apart
