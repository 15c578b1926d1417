"""Selections that compare student and teacher on the gold symbol, both at τ = 1."""

from collections.abc import Mapping

import torch
from torch import Tensor

Facts = Mapping[str, Tensor]  # (N,) each, by the names in survey.FACTS; `sentence`: the row; `window`: (M,) losses


def surplus(facts: Facts) -> Tensor:
    """NLL_q - NLL_p, and 0 where both are infinite, as at a gold symbol that both models mask.   -> (N,)"""
    student, teacher = facts["student_nll"], facts["teacher_nll"]
    return torch.where(student == teacher, torch.zeros_like(student), student - teacher)


def hard_gate(facts: Facts) -> Tensor:
    """1 where q[y] > p[y], else 0: where the student is surer than the teacher it is over-confident.   -> (N,)

    Lee et al. 2022, HKD-T; that confidence is the probability of the gold symbol, and at τ = 1, is our reading.
    """
    return (facts["student_nll"] < facts["teacher_nll"]).to(facts["student_nll"].dtype)


def hard_gate_sentence(facts: Facts) -> Tensor:
    """1 for all tokens of a sentence where Π q[y] > Π p[y], else 0.   -> (N,)

    Lee et al. 2022, HKD-S; that a sentence's confidence is its probability is our reading.
    """
    margin, row = -surplus(facts), facts["sentence"]
    rows = torch.zeros(int(row.max()) + 1 if row.numel() else 0, dtype=margin.dtype, device=margin.device)
    return (rows.index_add(0, row, margin) > 0).to(margin.dtype)[row]


def gap(facts: Facts, sharpness: float) -> Tensor:
    """max(0, tanh(B·(NLL_q - NLL_p))): the more, the better the teacher is on the gold symbol.   -> (N,) 0 to 1

    fairseq's example of distillation has the opposite sign, and so distils where the student is the better one.
    """
    return (sharpness * surplus(facts)).tanh().clamp(min=0)
