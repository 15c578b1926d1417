"""Losses for distillation as pure functions of tensors, for any PyTorch loop: no fairseq, no padding, no batches.

    from lskd_nmt.losses import kd_ls_loss

    loss = kd_ls_loss(student(x), y, teacher(x).detach(), temperature=2.0, kd_weight=0.5, ignore_index=PAD)

N tokens, V symbols; p is the teacher and q the student, log p and log q are log-probabilities (N, V), losses are (N,)
in nats. A name is imported with torch when it is first asked for: the rules and settings of this room need none.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lskd_nmt.losses.divergences import (
        forward_kl,
        js_divergence,
        mean_log_probs,
        reverse_kl,
        skew_kl,
        skew_reverse_kl,
        tempered,
        total_variation,
    )
    from lskd_nmt.losses.fused import kd_ls_from_features
    from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
    from lskd_nmt.losses.objective import ObjectiveTerms, kd_ls_terms
    from lskd_nmt.losses.options import KdOptions
    from lskd_nmt.losses.plain import kd_ls_loss
    from lskd_nmt.losses.r_drop import symmetric_kl
    from lskd_nmt.losses.signals import Dense, TopK, top_k, top_k_kl
    from lskd_nmt.losses.smoothing import negative_log_likelihood, smoothed_nll
    from lskd_nmt.losses.tie_ranking import ranking_loss

HOME = {
    "divergences": (
        "forward_kl",
        "js_divergence",
        "mean_log_probs",
        "reverse_kl",
        "skew_kl",
        "skew_reverse_kl",
        "tempered",
        "total_variation",
    ),
    "fused": ("kd_ls_from_features",),
    "fused_chunk": ("Projection", "TeacherFeatures"),
    "objective": ("ObjectiveTerms", "kd_ls_terms"),
    "options": ("KdOptions",),
    "plain": ("kd_ls_loss",),
    "r_drop": ("symmetric_kl",),
    "signals": ("Dense", "TopK", "top_k", "top_k_kl"),
    "smoothing": ("negative_log_likelihood", "smoothed_nll"),
    "tie_ranking": ("ranking_loss",),
}

__all__ = [
    "Dense",
    "KdOptions",
    "ObjectiveTerms",
    "Projection",
    "TeacherFeatures",
    "TopK",
    "forward_kl",
    "js_divergence",
    "kd_ls_from_features",
    "kd_ls_loss",
    "kd_ls_terms",
    "mean_log_probs",
    "negative_log_likelihood",
    "ranking_loss",
    "reverse_kl",
    "skew_kl",
    "skew_reverse_kl",
    "smoothed_nll",
    "symmetric_kl",
    "tempered",
    "top_k",
    "top_k_kl",
    "total_variation",
]


def __getattr__(name: str) -> object:
    """A public name, from the module that has it."""
    for module, names in HOME.items():
        if name in names:
            return getattr(import_module(f"lskd_nmt.losses.{module}"), name)
    raise AttributeError(f"module 'lskd_nmt.losses' has no attribute '{name}'")
