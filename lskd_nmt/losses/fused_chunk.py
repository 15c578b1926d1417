"""One chunk of tokens: its logits, its teacher, its losses, and the gradient of its logits."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lskd_nmt.losses.divergences import mean_log_probs
from lskd_nmt.losses.first_look import FirstLook, Seen
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense, Signal, TopK, top_k
from lskd_nmt.losses.terms import Term, weighed
from lskd_nmt.losses.token_selection import TermWeights
from lskd_nmt.losses.tokens import Gradient, Slope, Tokens, combined


class Projection(NamedTuple):
    """What turns features into logits."""

    weight: Tensor  # (V, D)
    bias: Tensor | None = None  # (V,)


class TeacherFeatures(NamedTuple):
    """A teacher, or an ensemble whose probabilities are averaged, before its output projection."""

    features: Sequence[Tensor]  # (N, D′) each
    projections: Sequence[Projection]


class FusedInputs(NamedTuple):
    """What the objective of N rows needs beside the tensors that get a gradient."""

    target: Tensor  # (N,)
    teacher: TeacherFeatures | Signal | None  # of two dropout passes: of N/2 tokens
    options: KdOptions
    terms: Sequence[Term]
    sentence_weights: Tensor | None  # (N,)
    term_weights: TermWeights | None
    accuracy: bool
    chunk: int  # rows at a time
    work: torch.dtype  # of matrix products
    grad: bool
    dropout_passes: int = 1  # 2: rows come in pairs, see `r_drop`
    look: FirstLook | None = None  # at the tokens whose `term_weights` it has


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


def mean_teacher(teacher: TeacherFeatures, where: slice = slice(None)) -> Dense:
    """An ensemble at some of the tokens, as the log of its mean probability at τ = 1.   -> of (C, V)"""
    parts = zip(teacher.features, teacher.projections, strict=True)
    each = [logits(features[where], weight, bias).log_softmax(-1) for features, (weight, bias) in parts]
    return Dense(mean_log_probs(each), 1.0)


def dense_rows(teacher: TeacherFeatures | Dense, where: slice, temperature: float = 1.0) -> Dense:
    """A teacher at some of the tokens and at a temperature, in a tensor of its own, in float32 at least."""
    if isinstance(teacher, Dense):
        log_p = teacher.log_probs[where].to(torch.promote_types(teacher.log_probs.dtype, torch.float32))
        return Dense(log_p.mul(teacher.temperature / temperature).log_softmax(-1), temperature)
    if len(teacher.features) == 1:
        ((features,), ((weight, bias),)) = teacher
        z = logits(features[where], weight, bias, 1 / temperature)
        return Dense(torch.log_softmax(z, -1, out=z), temperature)
    return mean_teacher(teacher, where).at(temperature)


def chunk_signal(inputs: FusedInputs, where: slice) -> Signal | None:
    """The teacher of a chunk of rows, at the temperature that its terms ask for, or at 1 if several are asked for.

    The teacher's own output projection is taken once for both dropout passes.
    """
    options, teacher, passes = inputs.options, inputs.teacher, inputs.dropout_passes
    if teacher is None:
        return None
    tokens = slice(where.start // passes, where.stop // passes)
    if isinstance(teacher, TopK):
        signal: Signal = teacher.rows(tokens)
    elif options.top_k:
        signal = top_k(dense_rows(teacher, tokens), options.top_k, options.temperature)
    else:
        asked = {term.teacher_temperature(options) for term in inputs.terms if term.teacher_temperature}
        if inputs.look is not None and inputs.look.weigh is not None:
            asked.add(1.0)
        signal = dense_rows(teacher, tokens, asked.pop() if len(asked) == 1 else 1.0)
    return signal if passes == 1 else signal.repeated(passes)


class ChunkLosses(NamedTuple):
    """Of C tokens: the objective, what each term logs, and the gradient by the logits."""

    loss: Tensor  # (C,)
    logged: dict[str, Tensor]  # (C,) each
    gradient: Gradient | None


def chunk_tokens(z: Tensor, inputs: FusedInputs, where: slice, seen: Seen | None, written: bool) -> Tokens:
    """The tokens of a chunk and their weights from its logits, or from log q where that was `seen` before.   (C, V)

    `written`: whether the gradients of all terms are written out; autograd takes them through a softmax.
    """
    look, normalised = inputs.look, seen is not None and seen.log_q is not None
    signal = chunk_signal(inputs, where) if seen is None or seen.signal is None else seen.signal
    if look is not None and look.weigh is not None:
        assert isinstance(signal, Dense), "options refuse this"
        z, normalised = z.log_softmax(-1), True
        look.weigh(Seen(z, signal), where)
    weights, normalised = inputs.term_weights and inputs.term_weights.rows(where), normalised and written
    return Tokens(z, inputs.target[where], signal, inputs.options, weights, normalised, overwrite=not normalised)


def chunk_losses(z: Tensor, inputs: FusedInputs, where: slice, seen: Seen | None = None) -> ChunkLosses:
    """Losses and gradient of a chunk from its logits, or from log q if it was `seen`; both are overwritten.   (C, V)"""
    written = {term.name: term.written_out(inputs.options) for term in inputs.terms}
    tokens = chunk_tokens(z, inputs, where, seen, all(written.values()))
    loss, logged, slopes = z.new_zeros(z.size(0)), dict[str, Tensor](), list[Slope]()
    others = [term for term in inputs.terms if written[term.name] is None]
    if others:
        slopes += differentiated(others, tokens, loss, logged, inputs.grad)
    for term in inputs.terms:
        if term.logged is not None:
            logged[term.name] = term.logged(tokens)
        if function := written[term.name]:
            weight = term.weight(tokens)
            losses, slope = function(tokens, weight)
            loss += weighed(weight, losses)
            logged.setdefault(term.name, losses)
            slopes.append(slope)
    return ChunkLosses(loss, logged, combined(slopes, tokens) if inputs.grad else None)


def differentiated(
    terms: Sequence[Term], tokens: Tokens, loss: Tensor, logged: dict[str, Tensor], grad: bool
) -> list[Slope]:
    """Add the losses of terms whose gradient is autograd's to `loss` and `logged`; that gradient, if it is wanted."""
    with torch.set_grad_enabled(grad):
        z = tokens.logits.requires_grad_(grad)
        parts = {term.name: (term.weight(tokens), term.losses(tokens)) for term in terms}
        total = sum(weighed(weight, losses) for weight, losses in parts.values())
    assert isinstance(total, Tensor)
    loss += total.detach()
    logged.update({name: losses.detach() for name, (_, losses) in parts.items()})
    if not grad:
        return []
    (matrix,) = torch.autograd.grad(total, z, torch.ones_like(total))
    tokens.detach()
    size = max(1.0, *(Slope(weight).size for weight, _ in parts.values()))
    return [Slope(size, dense=matrix.div_(size))]
