"""What a selection, a divergence or self-evolution has to know of a batch's tokens before the loss is taken.

It is taken without gradients, and costs the student's output projection once more, and the teacher's where a statistic
is about the teacher.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lskd_nmt.losses.divergences import tempered
from lskd_nmt.losses.fused import chunk_size, work_dtype
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, dense_rows, logits
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Signal, TopK
from lskd_nmt.losses.smoothing import negative_log_likelihood
from lskd_nmt.losses.token_selection import TermWeights, TokenStatistics


def difficulty(log_q: Tensor, log_p: Tensor, target: Tensor, options: KdOptions) -> Tensor:
    """What self-evolution calls so, at the temperatures of the divergence, in nats.   (C, V), (C, V), (C,) -> (C,)"""
    assert options.evolution is not None
    log_p, log_q = tempered(log_p, options.temperature), tempered(log_q, options.student_temperature)
    return options.evolution.difficulty(log_p, log_q, target)


@dataclass(frozen=True)
class Statistic:
    """One entry of the table: a number for each token."""

    asks_teacher: bool  # all of its log-probabilities: a top k has none of it
    function: Callable[[Tensor, Tensor, Tensor, KdOptions], Tensor]  # log q, log p at τ = 1, targets -> (C,)


STATISTICS: dict[str, Statistic] = {
    "student_nll": Statistic(False, lambda log_q, log_p, target, options: negative_log_likelihood(log_q, target)),
    "teacher_nll": Statistic(True, lambda log_q, log_p, target, options: negative_log_likelihood(log_p, target)),
    "teacher_log_power": Statistic(True, lambda log_q, log_p, target, options: log_power(log_p, options.temperature)),
    "difficulty": Statistic(True, difficulty),
}


def log_power(log_p: Tensor, temperature: float) -> Tensor:
    """log Σ_v p_v^(1/τ), from which `wttm` weighs tokens.   (C, V) -> (C,)"""
    return (log_p / temperature).logsumexp(-1)


@torch.no_grad()
def token_statistics(
    names: Sequence[str],
    student: Tensor,
    projection: Projection | None,
    target: Tensor,
    teacher: TeacherFeatures | Signal | None,
    options: KdOptions,
    chunk: int = 0,
) -> dict[str, Tensor]:
    """The named statistics of N tokens.   (N, D) and a projection, or (N, V) log q without one -> (N,) each"""
    asks_teacher = any(STATISTICS[name].asks_teacher for name in names)
    assert not (asks_teacher and (teacher is None or isinstance(teacher, TopK))), "options refuse this"
    wide = torch.promote_types(student.dtype, torch.float32)
    found = {name: torch.zeros(target.numel(), dtype=wide, device=student.device) for name in names}
    symbols = student.size(-1) if projection is None else projection.weight.size(0)
    step = chunk or chunk_size(symbols, student.device.type)
    if projection is not None:
        work = work_dtype(student)
        student, weight = student.to(work), projection.weight.to(work)
    for start in range(0, target.numel(), step):
        where = slice(start, start + step)
        log_q = student[where].to(wide)
        if projection is not None:
            with torch.autocast(student.device.type, enabled=False):
                log_q = logits(student[where], weight, projection.bias).log_softmax(-1)
        log_p = log_q
        if asks_teacher and not isinstance(teacher, TopK) and teacher is not None:
            log_p = dense_rows(teacher, where).log_probs
        for name in names:
            found[name][where] = STATISTICS[name].function(log_q, log_p, target[where], options)
    return found


def term_weights(statistics: TokenStatistics, options: KdOptions) -> tuple[TermWeights, Tensor]:
    """The weights of the objective's terms, and how much of each token is selected, from 0 to 1.   -> (N,) each"""
    weights = options.selection.weights(statistics, options.kd_weight)
    selected = weights.soft / options.kd_weight
    weights = options.named_divergence.reweighted(weights, statistics)
    if options.evolution is not None:
        weights = weights._replace(prior=options.evolution.mix(statistics["difficulty"]))
    return weights, selected
