"""The `kd_ls` objective straight from decoder features, chunk by chunk, its gradient taken in the forward pass.

No (N, V) tensor of all tokens ever exists. For a chunk of tokens the logits are made, used for the loss and for its
gradient, and dropped; what is kept is the gradient of the features (N, D) and of the projection (V, D), in float32
at least, until the upstream gradient (a loss scale, say) is known. It equals the dense path of `objective` up to
rounding, for every chunk size.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from lskd_nmt.losses.first_look import FirstLook, pieces_of
from lskd_nmt.losses.fused_chunk import FusedInputs, Projection, TeacherFeatures, chunk_losses, logits, product
from lskd_nmt.losses.objective import ObjectiveTerms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.products import matrix_products
from lskd_nmt.losses.r_drop import mean_of_passes
from lskd_nmt.losses.signals import Signal
from lskd_nmt.losses.terms import active_terms
from lskd_nmt.losses.token_selection import TermWeights
from lskd_nmt.losses.tokens import Gradient

CHUNK_ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 24}  # logits at a time: 8 MB, 64 MB in float32 (CPU's was measured)
HALF_SCALE = 1024.0  # keeps gradients as small as 6e-11 above half precision's smallest number


def chunk_size(symbols: int, device: str = "cpu") -> int:
    """Tokens a chunk, for a vocabulary of this size.

    A CPU takes up to twice as many logits to have 128 tokens: each chunk costs a pass over the projection's gradient.
    """
    tokens = CHUNK_ELEMENTS.get(device, CHUNK_ELEMENTS["cuda"]) // symbols
    return max(16, tokens, min(128, 2 * tokens) if device == "cpu" else 0)


def kd_ls_from_features(
    features: Tensor,
    projection: Projection,
    target: Tensor,
    teacher: TeacherFeatures | Signal | None,
    options: KdOptions,
    *,
    sentence_weights: Tensor | None = None,
    term_weights: TermWeights | None = None,
    look: FirstLook | None = None,
    accuracy: bool = False,
    chunk: int = 0,
    dropout_passes: int = 1,
) -> ObjectiveTerms:
    """Σ w·[(1-λ)·LS-NLL(ε) + λ·τ²·D(p(τ), q(τ))].   (N, D), (V, D), (N,), teacher -> () and (N,) each

    The teacher is given by its own features, or by a signal. `sentence_weights` are w of each token, (N,), without
    gradient, 1 if not given; `term_weights` replace 1-λ and λ token by token, and so does a `look` at these very
    tensors (`token_statistics.first_look`), which is good for one call; `accuracy` asks for `correct` and `predicted`;
    `chunk` is the tokens worked on at a time, 0 for the default.
    With 2 `dropout_passes` the features are (2N, D) in pairs of rows, and R-Drop's term joins the sum, see `r_drop`.
    """
    weight, bias = projection
    grad = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (features, weight, bias))
    inputs = FusedInputs(
        target,
        teacher if options.kd_weight else None,
        options,
        active_terms(options, dropout_passes),
        None if sentence_weights is None else sentence_weights.detach(),
        term_weights if look is None else look.weights,
        accuracy,
        chunk or chunk_size(weight.size(0), weight.device.type),
        work_dtype(features),
        grad,
        look=look,
    )
    if dropout_passes == 2:
        inputs = of_two_passes(inputs)
    loss, predicted, *values = FusedObjective.apply(features, weight, bias, inputs)  # type: ignore[no-untyped-call]
    logged = {term.name: each for term, each in zip(inputs.terms, values, strict=True)}
    if dropout_passes == 2:
        logged = {name: mean_of_passes(each) for name, each in logged.items()}
    correct = None if predicted is None else predicted == inputs.target
    return ObjectiveTerms(loss, logged, correct, predicted, None if look is None else look.selected)


def of_two_passes(inputs: FusedInputs) -> FusedInputs:
    """The inputs of features in pairs of rows, each of which counts half."""
    assert inputs.term_weights is None and inputs.sentence_weights is None, "options refuse this"
    targets = inputs.target.repeat_interleave(2)
    return inputs._replace(
        target=targets,
        sentence_weights=torch.full_like(targets, 0.5, dtype=torch.float32),
        chunk=inputs.chunk + inputs.chunk % 2,
        dropout_passes=2,
    )


def work_dtype(features: Tensor) -> torch.dtype:
    """What matrices are multiplied in: autocast's choice where it is on, else the features' own type."""
    kind = features.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype


class Gradients:
    """∂loss/∂features, ∂loss/∂weight and ∂loss/∂bias, summed up over chunks in float32 at least."""

    def __init__(
        self, features: Tensor, weight: Tensor, bias: Tensor | None, work: torch.dtype, rounded: bool = False
    ) -> None:
        """`rounded`: whether products of float32 may be taken, and given, in bfloat16."""
        self.rounded = rounded and work == torch.float32 and not features.is_cuda
        self.work, self.wide = work, torch.promote_types(work, torch.float32)
        self.types = features.dtype, weight.dtype, weight.dtype
        self.features, self.weight = (torch.zeros_like(t, dtype=self.wide) for t in (features, weight))
        self.bias = None if bias is None else torch.zeros_like(bias, dtype=self.wide)
        self.factor = weight.to(work)  # (V, D)
        self.factor_sum = self.factor.sum(0, dtype=self.wide)  # (D,)
        self.rounded_factor = self.factor.bfloat16() if self.rounded else None
        self.shared_features = torch.zeros_like(self.factor_sum)  # Σ shared·h, which every row of `weight` loses

    def add(self, where: slice, h: Tensor, grad: Gradient) -> None:
        """Take in a chunk whose features are `h`, (C, D)."""
        if self.rounded_factor is not None:
            small = grad.matrix.bfloat16()
            self.features[where] = (small @ self.rounded_factor).float().mul_(grad.scale)
            self.weight.add_(small.t() @ h.bfloat16(), alpha=grad.scale)
        elif self.work == self.wide:
            torch.mm(grad.matrix, self.factor, out=self.features[where]).mul_(grad.scale)
            self.weight.addmm_(grad.matrix.t(), h, alpha=grad.scale)
        else:
            small = grad.matrix.mul(HALF_SCALE).to(self.work)
            self.features[where] = product(small, self.factor).mul_(grad.scale / HALF_SCALE)
            self.weight.add_(product(small.t(), h), alpha=grad.scale / HALF_SCALE)
        self.features[where].addr_(grad.shared, self.factor_sum, alpha=-1)
        self.shared_features += grad.shared @ h.to(self.wide)
        if self.bias is not None:
            self.bias.add_(grad.matrix.sum(0), alpha=grad.scale).sub_(grad.shared.sum())

    def finish(self) -> None:
        """Take in what all chunks have to say of the weight's rows alike; once, after the last chunk."""
        self.weight.sub_(self.shared_features)

    def times(self, upstream: Tensor) -> tuple[Tensor | None, ...]:
        """All three, multiplied, and only then in the type of what they belong to."""
        sums = self.features, self.weight, self.bias
        return tuple(
            None if total is None else (total * upstream).to(final)
            for total, final in zip(sums, self.types, strict=True)
        )


class FusedContext(FunctionCtx):
    """What the forward pass leaves for the backward pass."""

    gradients: Gradients | None


class FusedObjective(torch.autograd.Function):
    """The loop over chunks, and a backward that only multiplies."""

    @staticmethod
    def forward(
        ctx: FusedContext, features: Tensor, weight: Tensor, bias: Tensor | None, inputs: FusedInputs
    ) -> tuple[Tensor | None, ...]:
        """The loss, the predicted symbols and what each term logs; the gradients wait in `ctx`."""
        kind = inputs.options.cpu_products
        with torch.autocast(features.device.type, enabled=False), matrix_products(kind):
            rounded = kind == "bfloat16"
            ctx.gradients = Gradients(features, weight, bias, inputs.work, rounded) if inputs.grad else None
            loss, *values = run_chunks(features, weight, bias, inputs, ctx.gradients)
            if ctx.gradients is not None:
                ctx.gradients.finish()
        ctx.mark_non_differentiable(*(tensor for tensor in values if tensor is not None))
        assert loss is not None
        return loss.sum(), *values

    @staticmethod
    @once_differentiable
    def backward(ctx: FusedContext, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients times the upstream one."""
        assert ctx.gradients is not None
        return *ctx.gradients.times(upstream), None


def run_chunks(
    features: Tensor, weight: Tensor, bias: Tensor | None, inputs: FusedInputs, gradients: Gradients | None
) -> tuple[Tensor | None, ...]:
    """Loss, predicted symbols and each term's values of all tokens; gradients go to `gradients`.   -> (N,) each"""
    count, h_all, w = features.size(0), features.to(inputs.work), weight.to(inputs.work)
    loss = torch.zeros(count, dtype=torch.promote_types(inputs.work, torch.float32), device=features.device)
    logged = {term.name: torch.zeros_like(loss) for term in inputs.terms}
    predicted = torch.zeros_like(inputs.target) if inputs.accuracy else None
    for where in pieces_of(count, inputs.chunk) if inputs.look is None else inputs.look.pieces:
        h, seen = h_all[where], None if inputs.look is None else inputs.look.taken(where)
        z = logits(h, w, bias) if seen is None or seen.log_q is None else seen.log_q
        if predicted is not None:
            predicted[where] = z.argmax(-1)
        found = chunk_losses(z, inputs, where, seen)
        loss[where], grad = found.loss, found.gradient
        if inputs.sentence_weights is not None:
            loss[where] *= inputs.sentence_weights[where]
            grad = grad and grad.times(inputs.sentence_weights[where])
        for name, values in found.logged.items():
            logged[name][where] = values
        if gradients is not None and grad is not None:
            gradients.add(where, h, grad)
        del z, found, grad  # before the next chunk's logits are made
    return loss, predicted, *logged.values()
