"""The objective as one function of logits, for any PyTorch loop: no fairseq, no configuration."""

from typing import Literal

import torch
from torch import Tensor

from lskd_nmt.errors import require
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.settings import DEFAULTS, SmoothingOver, Tail, Temper, default_tail
from lskd_nmt.losses.signals import Dense, Signal, TopK
from lskd_nmt.losses.token_statistics import term_weights, token_statistics

ALIASES = {"forward_kl": "forward", "reverse_kl": "reverse"}


def kd_ls_loss(
    student_logits: Tensor,
    targets: Tensor,
    teacher: Tensor | Signal | None = None,
    *,
    temperature: float = DEFAULTS.temperature,
    kd_weight: float = DEFAULTS.kd_weight,
    label_smoothing: float = DEFAULTS.label_smoothing,
    smoothing_over: SmoothingOver = DEFAULTS.smoothing_over,
    divergence: str = "forward_kl",
    temper: Temper = DEFAULTS.temper,
    temperature_squared: bool = not DEFAULTS.no_temperature_squared,
    tail: Tail | None = DEFAULTS.tail,
    ignore_index: int = -100,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """(1-λ)·LS-NLL(ε) + λ·τ²·D(p(τ), q(τ)) in nats, what the criterion `kd_ls` trains with.   (…, V), (…) -> ()

    λ is `kd_weight`, τ the `temperature` and ε the `label_smoothing`; Hinton et al. 2015 with the hard term of
    Szegedy et al. 2016, as Shen et al. 2021 study them together. The result is differentiable in `student_logits`.

    - `teacher`: its logits, (…, V), or a signal of all positions in their order: `Dense`, or `TopK` with its `tail`.
      None for λ = 0.
    - `divergence`: as `--divergence` has it, `forward_kl` (`forward`), `reverse_kl`, `jsd:0.5`, `skew:0.1`, `tvd`, …
    - `ignore_index`: the target of positions that do not count, such as padding; whatever the logits are there, no
      gradient comes from them.
    - `reduction`: the mean over the positions that count (0 if there are none), or their sum, which is fairseq's.

    `LskdError` says in one line which argument is out of its range or contradicts another, and what would do.
    """
    symbols = student_logits.size(-1)
    shapes = f"student_logits are {tuple(student_logits.shape)} and targets {tuple(targets.shape)}"
    require(student_logits.shape[:-1] == targets.shape, f"{shapes}: give (N, V) and (N,), or (B, T, V) and (B, T)")
    require(reduction in ("mean", "sum"), f"reduction is {reduction}: give mean or sum")
    require(teacher is not None or kd_weight == 0, f"kd_weight is {kd_weight} and there is no teacher: give one, or 0")
    real = targets.flatten() != ignore_index
    target = targets.flatten()[real]
    signal = None if teacher is None else real_rows(teacher, real, symbols)
    kept = signal.ids.size(-1) if isinstance(signal, TopK) else 0
    options = KdOptions(
        temperature,
        kd_weight,
        label_smoothing,
        smoothing_over,
        temper,
        temperature_squared,
        tail or default_tail(kept),
        kept,
        ALIASES.get(divergence, divergence),
    )
    log_q = log_probs(student_logits.flatten(0, -2)[real])
    weights = None
    if options.statistics and kd_weight:
        statistics = token_statistics(options.statistics, log_q.detach(), None, target, signal, options)
        weights, _ = term_weights(statistics, options)
    total = kd_ls_terms(log_q, target, signal, options, weights).loss.sum()
    return total if reduction == "sum" else total / max(target.numel(), 1)


def log_probs(logits: Tensor) -> Tensor:
    """log softmax in float32 at least.   (N, V) -> (N, V)"""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def real_rows(teacher: Tensor | Signal, real: Tensor, symbols: int) -> Signal:
    """The signal of the positions that count; `real` (P,) bool marks N of P."""
    if isinstance(teacher, TopK):
        ids, kept = (part.flatten(0, -2) for part in (teacher.ids, teacher.log_probs))
        require_positions(kept, real)
        return TopK(ids[real], kept[real].detach(), teacher.temperature)
    whole = (teacher.log_probs if isinstance(teacher, Dense) else teacher).flatten(0, -2)
    require_positions(whole, real)
    require(whole.size(-1) == symbols, f"the teacher has {whole.size(-1)} symbols, the student {symbols}: give one V")
    return Dense(log_probs(whole[real].detach()), teacher.temperature if isinstance(teacher, Dense) else 1.0)


def require_positions(whole: Tensor, real: Tensor) -> None:
    """Refuse a teacher of another number of positions."""
    require(
        whole.size(0) == real.numel(),
        f"the teacher is of {whole.size(0)} positions and the targets of {real.numel()}: give a row for each, "
        "those that do not count included",
    )
