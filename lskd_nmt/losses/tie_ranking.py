"""The ranking term of TIE-KD: the order of the teacher's most probable symbols, in the student's probabilities."""

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 64  # symbols of which at first only the most probable one is looked at


class Ranked(NamedTuple):
    """The ranking loss of N tokens, and what it depends on: c is its slope in q of these symbols, 0 at all others."""

    losses: Tensor  # (N,)
    ids: Tensor  # (N, 2k), the teacher's symbols and the student's; one that is among both stands twice
    q: Tensor  # (N, 2k)
    c: Tensor  # (N, 2k), to be added up where a symbol stands twice


def ranking_loss(log_p: Tensor, log_q: Tensor, k: int) -> Tensor:
    """L_rank of TIE-KD (Zhang et al. 2023), of probabilities, margin 0.   (N, V), (N, V) -> (N,)

    With t_1 … t_k the teacher's most probable symbols and s_1 … s_k the student's, both at τ = 1:

    Σ_j max(0, q[t_j] - q[t_1]) + Σ_j Σ_m 1[p[t_j] > p[s_m]]·max(0, q[s_m] - q[t_j]).

    0 exactly where the student's k symbols are the teacher's, in its order. Of symbols that tie for the last place
    either is taken; a vocabulary of fewer than k symbols is ranked whole.
    """
    ranked = ranking(log_p, log_q.detach(), k)
    return ranked.losses + (ranked.c * (log_q.gather(-1, ranked.ids).exp() - ranked.q)).sum(-1)


def ranking(log_p: Tensor, log_q: Tensor, k: int) -> Ranked:
    """See `ranking_loss`; its slope c counts the differences that are above 0.   (N, V), (N, V)"""
    k = min(k, log_q.size(-1))
    (p_teachers, teachers), (_, students) = largest(log_p, k), largest(log_q, k)  # (N, k) each
    q_teachers, q_students = (log_q.gather(-1, ids).exp() for ids in (teachers, students))
    above_top = (q_teachers - q_teachers[:, :1]).relu()
    should_win = p_teachers.unsqueeze(-1) > log_p.gather(-1, students).unsqueeze(-2)  # (N, k, k)
    inverted = (q_students.unsqueeze(-2) - q_teachers.unsqueeze(-1)).relu() * should_win
    too_high, wrong = above_top.sign(), inverted.sign()
    c_teachers = too_high - wrong.sum(-1)
    c_teachers[:, 0] -= too_high.sum(-1)
    return Ranked(
        above_top.sum(-1) + inverted.sum((-2, -1)),
        torch.cat([teachers, students], dim=-1),
        torch.cat([q_teachers, q_students], dim=-1),
        torch.cat([c_teachers, wrong.sum(-2)], dim=-1),
    )


def largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of each row and where they are, the largest first.   (N, V) -> (N, k), (N, k)

    The k blocks with the largest maxima have them all, and a maximum costs a tenth of what `topk` does.
    """
    symbols = values.size(-1)
    whole = symbols // BLOCK
    if symbols < 8 * k * BLOCK:
        first = values.topk(k)
        return first.values, first.indices
    maxima = values[:, : whole * BLOCK].reshape(-1, whole, BLOCK).amax(-1)
    inside = torch.arange(BLOCK, device=values.device)
    ids = (maxima.topk(k, sorted=False).indices.unsqueeze(-1) * BLOCK + inside).flatten(1)
    rest = torch.arange(whole * BLOCK, symbols, device=values.device)
    ids = torch.cat([ids, rest.expand(ids.size(0), -1)], dim=1)
    found = values.gather(1, ids).topk(k)
    return found.values, ids.gather(1, found.indices)
