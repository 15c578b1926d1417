"""The losses of the last tokens, which a selection may remember beyond its batch."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


class LossQueue(nn.Module):
    """The last Q losses, the oldest first, in nats; in float32 whatever the training's precision."""

    losses: Tensor  # (Q,) its last `filled` entries count
    filled: Tensor  # ()

    def __init__(self, size: int) -> None:
        """An empty queue of `size` losses."""
        super().__init__()
        self.register_buffer("losses", torch.zeros(size))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        # Its gradient is always 0. fairseq writes a criterion into checkpoints only if it has something to train.
        self.anchor = nn.Parameter(torch.zeros(1))

    def held(self) -> Tensor:
        """What is in the queue, the oldest first.   -> (≤ Q,)"""
        return self.losses[self.losses.numel() - int(self.filled) :]

    def push(self, losses: Tensor) -> Tensor:
        """Take in N losses; the queue with them, though never less than all of them.   (N,) -> (≤ max(Q, N),)"""
        size = self.losses.numel()
        window = torch.cat([self.held(), losses.detach().to(self.losses)])[-max(size, losses.numel()) :]
        kept = window[-size:]
        self.losses[size - kept.numel() :] = kept
        self.filled.fill_(kept.numel())
        return window

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *more: object) -> None:
        """Take a queue of another size too: its last losses, as many as there is room for."""
        kept, size = state.get(f"{prefix}losses"), self.losses.numel()
        if kept is not None and kept.numel() != size:
            last = kept[max(kept.numel() - size, 0) :]
            state[f"{prefix}losses"] = torch.cat([last.new_zeros(size - last.numel()), last])
            state[f"{prefix}filled"] = state[f"{prefix}filled"].clamp(max=size)
        super()._load_from_state_dict(state, prefix, *more)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the module to its device, but not to half precision."""
        losses = self.losses
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.losses = losses.to(self.losses.device)
        return self
