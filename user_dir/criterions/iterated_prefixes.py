"""Further passes over a batch, with the student's own predictions as prefixes (TIE-KD, Zhang et al. 2023)."""

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from lskd_nmt.losses.objective import ObjectiveTerms
from lskd_nmt.losses.options import KdOptions

from .batch import Batch, NetInput


class ObjectiveOf(Protocol):
    """The objective of a decoder input, with these options and weights of the sentences, (B,)."""

    def __call__(self, *, net_input: NetInput, options: KdOptions, sentence_weights: Tensor) -> ObjectiveTerms:
        """Its terms, with the student's predictions."""


def iterated_terms(
    objective: ObjectiveOf, sample: Batch, options: KdOptions, prefix_iterations: int, prefix: int, pad: int
) -> ObjectiveTerms:
    """(1-λ)·hard(1) + (λ/I)·Σ_i [τ²·D + L_rank](i), summed over I prefix iterations, the first on the references.

    D and L_rank are logged of all iterations; the first `prefix` target positions do not count. Iteration 1 is c times
    the objective with the weight λ/(I·c), where c = 1-λ+λ/I, each other one λ/I times that with the weight 1.
    """
    net_input, real = sample["net_input"], sample["target"][:, prefix:].ne(pad)
    ones, share = torch.ones(real.size(0), device=real.device), options.kd_weight / prefix_iterations
    whole = 1 - options.kd_weight + share
    first = replace(options, kd_weight=share / whole)
    done = [objective(net_input=net_input, options=first, sentence_weights=whole * ones)]
    soft_only = replace(options, kd_weight=1.0)
    for _ in range(prefix_iterations - 1):
        predicted = done[-1].predicted
        assert predicted is not None
        own = {"prev_output_tokens": own_prefixes(net_input["prev_output_tokens"], predicted, real, pad)}
        done.append(objective(net_input=net_input | own, options=soft_only, sentence_weights=share * ones))
    loss = torch.stack([each.loss.sum() for each in done]).sum()
    logged = dict(done[0].logged)
    for name in {"kd", "rank"} & logged.keys():
        logged[name] = torch.cat([each.logged[name] for each in done])
    return done[0]._replace(loss=loss, logged=logged)


def own_prefixes(prev_output_tokens: Tensor, predicted: Tensor, real: Tensor, pad: int) -> Tensor:
    """The decoder input after an iteration that predicted N symbols at the real positions.   (B, P+T), (N,), (B, T)

    After the first symbol (EOS) and the P given ones follow the predictions; the reference stays where one is padding.
    """
    symbols = torch.full_like(real, pad, dtype=predicted.dtype).masked_scatter(real, predicted)
    shifted = symbols[:, :-1].masked_fill(~real[:, 1:], pad)
    start = prev_output_tokens.size(1) - shifted.size(1)
    kept = prev_output_tokens[:, start:]
    return torch.cat([prev_output_tokens[:, :start], torch.where(shifted == pad, kept, shifted)], dim=1)
