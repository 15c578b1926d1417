"""Checkpoints of trainings that went wrong are refused: those with NaN or infinity among their parameters."""

import math

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io.types import CheckpointState


def require_finite(state: CheckpointState, path: str, what: str) -> None:
    """Refuse a checkpoint with a parameter that holds NaN or infinity; `what` names it in errors.

    A bias or a mask may hold -inf, which is how a model never says a symbol.
    """
    import torch

    for name, tensor in state["model"].items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or not tensor.numel():
            continue
        low, high = (float(end) for end in tensor.aminmax())  # NaN if any is
        masks = low == -math.inf and (tensor.dim() == 1 or "mask" in name)
        if math.isfinite(high) and (math.isfinite(low) or masks):
            continue
        found = "NaN" if math.isnan(low) else f"{high if math.isinf(high) else low:g}"
        raise LskdError(f"{what} {path} holds {found} in {name}, so that its training went wrong: give an earlier one")
