"""The ranking term of TIE-KD: the order of the teacher's most probable symbols, in the student's probabilities."""

from torch import Tensor


def ranking_loss(log_p: Tensor, log_q: Tensor, k: int) -> Tensor:
    """L_rank of TIE-KD (Zhang et al. 2023), of probabilities, margin 0.   (N, V), (N, V) -> (N,)

    With t_1 … t_k the teacher's most probable symbols and s_1 … s_k the student's, both at τ = 1:

    Σ_j max(0, q[t_j] - q[t_1]) + Σ_j Σ_m 1[p[t_j] > p[s_m]]·max(0, q[s_m] - q[t_j]).

    0 exactly where the student's k symbols are the teacher's, in its order. Of symbols that tie for the last place
    either is taken; a vocabulary of fewer than k symbols is ranked whole.
    """
    k = min(k, log_q.size(-1))
    p_teachers, teachers = log_p.topk(k)  # log p, (N, k)
    students = log_q.detach().topk(k).indices  # (N, k)
    q_teachers, q_students = (log_q.gather(-1, ids).exp() for ids in (teachers, students))
    above_top = (q_teachers - q_teachers[:, :1]).relu().sum(-1)
    should_win = p_teachers.unsqueeze(-1) > log_p.gather(-1, students).unsqueeze(-2)  # (N, k, k)
    inverted = (q_students.unsqueeze(-2) - q_teachers.unsqueeze(-1)).relu()
    return above_top + (should_win * inverted).sum((-2, -1))
