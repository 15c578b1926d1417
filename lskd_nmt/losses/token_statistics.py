"""A first look at a batch's tokens, without gradients: what a selection or a divergence has to know before.

It costs the student's output projection once more, and the teacher's where a fact is about the teacher.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lskd_nmt.losses.divergences import tempered
from lskd_nmt.losses.fused import chunk_size, work_dtype
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, logits, teacher_log_probs
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Signal, TopK
from lskd_nmt.losses.smoothing import negative_log_likelihood


def difficulty(log_q: Tensor, log_p: Tensor, target: Tensor, options: KdOptions) -> Tensor:
    """What self-evolution calls so, at the temperatures of the divergence.   (C, V), (C, V), (C,) -> (C,)"""
    assert options.evolution is not None
    log_p, log_q = tempered(log_p, options.temperature), tempered(log_q, options.student_temperature)
    return options.evolution.difficulty(log_p, log_q, target)


# name -> (whether it needs the teacher, function); log q and log p at τ = 1: (C, V), (C, V), (C,), options -> (C,)
Fact = Callable[[Tensor, Tensor, Tensor, KdOptions], Tensor]
FACTS: dict[str, tuple[bool, Fact]] = {
    "student_nll": (False, lambda log_q, log_p, target, options: negative_log_likelihood(log_q, target)),
    "teacher_nll": (True, lambda log_q, log_p, target, options: negative_log_likelihood(log_p, target)),
    "teacher_log_power": (True, lambda log_q, log_p, target, options: (log_p / options.temperature).logsumexp(-1)),
    "difficulty": (True, difficulty),
}


@torch.no_grad()
def survey(
    names: Sequence[str],
    student: Tensor,
    projection: Projection | None,
    target: Tensor,
    teacher: TeacherFeatures | Signal | None,
    options: KdOptions,
    chunk: int = 0,
) -> dict[str, Tensor]:
    """The named facts of N tokens.   (N, D) and a projection, or (N, V) log q without one -> (N,) each

    A fact about the teacher needs its features or its dense log p; a top k has none of it.
    """
    asks_teacher = any(FACTS[name][0] for name in names)
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
            log_p = teacher_log_probs(teacher, where)
        for name in names:
            found[name][where] = FACTS[name][1](log_q, log_p, target[where], options)
    return found
