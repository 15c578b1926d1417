"""Virtual teachers: no model, but a share for the gold symbol and the rest spread evenly over the others."""

import math

import torch
from torch import Tensor

from lskd_nmt.losses.settings import VirtualTeacher
from lskd_nmt.losses.signals import TopK


def usual_share(kind: VirtualTeacher, symbols: int) -> float:
    """The gold symbol's share where none is given: 0.99 (Yuan et al.), or 1/V, a uniform teacher (LSR-OS)."""
    return 1 / symbols if kind == "correct" else 0.99


def virtual_log_prob(kind: VirtualTeacher, share: float, symbols: int, temperature: float) -> float:
    """log p(τ) of the gold symbol; each other symbol has an equal part of what it leaves.

    With a the share of the gold symbol and b = (1-a)/(V-1) that of each other:

    - `reg_power`: p(τ) ∝ a^{1/τ}, b^{1/τ} (Tf-KD_reg, Yuan et al. 2020, the paper's formula);
    - `reg_prob_as_logit`: p(τ) = softmax of a/τ, b/τ (their published code);
    - `correct`: a and b at every τ, which is the student's alone (LSR-OS-TC, Appl. Sci. 2021, 11(10), 4699).
    """
    other = (1 - share) / (symbols - 1)
    if kind == "reg_prob_as_logit":
        lead = (share - other) / temperature
    else:
        lead = (math.log(share) - math.log(other)) / (temperature if kind == "reg_power" else 1.0)
    rest = math.log(symbols - 1) - lead  # log of what the others weigh together, the gold symbol weighing 1
    return -max(rest, 0.0) - math.log1p(math.exp(-abs(rest)))


def virtual_signal(
    target: Tensor,
    symbols: int,
    kind: VirtualTeacher,
    share: float | None,
    temperature: float,
    dtype: torch.dtype = torch.float32,
) -> TopK:
    """What a virtual teacher says: a top k of one symbol, the gold one, exact with the tail mode `uniform`.   (N,)"""
    a = usual_share(kind, symbols) if share is None else share
    log_p = virtual_log_prob(kind, a, symbols, temperature)
    return TopK(target.unsqueeze(-1), torch.full_like(target.unsqueeze(-1), log_p, dtype=dtype), temperature)
