"""A linear layer whose float32 products on a CPU are oneDNN's, where those are faster (`products.py`).

oneDNN compiles its code for every shape that it meets, which takes half a millisecond and up to a megabyte each, and
batches of sentences hardly ever have one shape twice. The rows of a batch are therefore multiplied in blocks of few
sizes; MKL has what is left over. Attention stays as it is: torch's flash kernel is many times slower by oneDNN.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from lskd_nmt.losses.products import matrix_products, onednn_is_faster

Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]

BLOCKS = (512, 128, 64)  # rows; few sizes, so that all of oneDNN's code for them stays in its cache
LEAST_ROWS = 4 * BLOCKS[-1]  # of fewer, as in a step of decoding, most would be left over
LEAST_WIDTH, LARGEST_WEIGHT = 64, 2**22  # tiny products cost their call; of the largest MKL wastes the least


class LinearContext(FunctionCtx):
    """What the backward pass reads."""

    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, bool, bool]


def in_blocks(linear: Linear) -> Linear:
    """`torch.nn.functional.linear` with oneDNN's products where these are faster, to rounding the same values."""

    def linear_in_blocks(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if not takes(input, weight, bias):
            return linear(input, weight, bias)
        rows = input.reshape(-1, input.size(-1))
        return BlockedLinear.apply(rows, weight, bias).view(*input.shape[:-1], -1)  # type: ignore[no-untyped-call, no-any-return]

    return linear_in_blocks


def takes(features: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether a linear layer is one for blocks: float32 on a CPU where oneDNN is faster, and of enough rows."""
    tensors = (features, weight) if bias is None else (features, weight, bias)
    return (
        all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
        and weight.dim() == 2
        and features.dim() > 1
        and features.numel() >= LEAST_ROWS * weight.size(1)
        and min(weight.shape) >= LEAST_WIDTH
        and weight.numel() <= LARGEST_WEIGHT
        and not torch.is_autocast_enabled("cpu")
        and onednn_is_faster()
    )


class BlockedLinear(torch.autograd.Function):
    """x·Wᵀ + b of rows (N, D), W (V, D) and b (V,), in blocks of rows.   -> (N, V)"""

    @staticmethod
    def forward(ctx: LinearContext, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See the class."""
        ctx.save_for_backward(rows, weight)
        out = rows.new_empty(rows.size(0), weight.size(0))
        for where in blocks(rows.size(0)):
            torch.mm(rows[where], weight.t(), out=out[where])
        left = slice(whole_rows(rows.size(0)), None)
        torch.mm(rows[left], weight.t(), out=out[left])
        return out if bias is None else out.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: LinearContext, grad: Tensor) -> tuple[Tensor | None, ...]:
        """G·W, Gᵀ·x and the sum of G over its rows; None of what needs no gradient."""
        rows, weight = ctx.saved_tensors
        grad = grad.contiguous()
        left = slice(whole_rows(rows.size(0)), None)
        of_rows, of_weight = torch.empty_like(rows), torch.mm(grad[left].t(), rows[left])
        torch.mm(grad[left], weight, out=of_rows[left])
        for where in blocks(rows.size(0)):
            torch.mm(grad[where], weight, out=of_rows[where])
            of_weight.addmm_(grad[where].t(), rows[where])
        of_bias = grad.sum(0) if ctx.needs_input_grad[2] else None
        return of_rows if ctx.needs_input_grad[0] else None, of_weight, of_bias


def whole_rows(rows: int) -> int:
    """How many rows fill blocks."""
    return rows - rows % BLOCKS[-1]


def blocks(rows: int) -> Iterator[slice]:
    """Blocks of rows, the largest first, with oneDNN's products while each is worked on."""
    with matrix_products():
        start = 0
        for size in BLOCKS:
            while rows - start >= size:
                yield slice(start, start + size)
                start += size
