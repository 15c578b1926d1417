"""Further passes over a batch, with the student's own predictions as prefixes (TIE-KD, Zhang et al. 2023)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lskd_nmt.losses.fused import ChunkedTerms
from lskd_nmt.losses.options import KdOptions


def iterated_terms(
    terms: Callable[..., ChunkedTerms], sample: dict[str, Any], options: KdOptions, passes: int, prefix: int, pad: int
) -> ChunkedTerms:
    """(1-λ)·hard(pass 1) + (λ/N)·Σ_i [τ²·D + L_rank](pass i), summed; D and L_rank are those of all passes.

    `terms` are those of a net input, options and weights (B,) of the sentences; the first `prefix` target positions do
    not count. The first pass is c times the objective of λ/(N·c) with c = 1-λ+λ/N, each other λ/N times that of 1.
    """
    net_input, real = sample["net_input"], sample["target"][:, prefix:].ne(pad)
    ones, share = torch.ones(real.size(0), device=real.device), options.kd_weight / passes
    whole = 1 - options.kd_weight + share
    done = [terms(net_input=net_input, options=replace(options, kd_weight=share / whole), weights=whole * ones)]
    for _ in range(passes - 1):
        predicted = done[-1].predicted
        assert predicted is not None
        own = {"prev_output_tokens": own_prefixes(net_input["prev_output_tokens"], predicted, real, pad)}
        done.append(terms(net_input=net_input | own, options=replace(options, kd_weight=1.0), weights=share * ones))
    loss = torch.stack([each.loss.sum() for each in done]).sum()
    return done[0]._replace(loss=loss, kd=joined([each.kd for each in done]), rank=joined([each.rank for each in done]))


def joined(parts: list[Tensor | None]) -> Tensor | None:
    """Terms of several passes one after the other, (passes·N,); None where they are."""
    given = [part for part in parts if part is not None]
    return torch.cat(given) if given else None


def own_prefixes(prev_output_tokens: Tensor, predicted: Tensor, real: Tensor, pad: int) -> Tensor:
    """The decoder input after a pass that predicted N symbols at the real positions.   (B, P+T), (N,), (B, T)

    After the first symbol (EOS) and the P given ones follow the predictions; the reference stays where one is padding.
    """
    symbols = torch.full_like(real, pad, dtype=predicted.dtype).masked_scatter(real, predicted)
    shifted = symbols[:, :-1].masked_fill(~real[:, 1:], pad)
    start = prev_output_tokens.size(1) - shifted.size(1)
    kept = prev_output_tokens[:, start:]
    return torch.cat([prev_output_tokens[:, :start], torch.where(shifted == pad, kept, shifted)], dim=1)
