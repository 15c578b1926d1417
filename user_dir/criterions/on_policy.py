"""Batches whose targets are sampled from the student itself (GKD, Agarwal et al. 2024)."""

import random
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.losses.schedule import share_schedule

from .batch import Batch, Logs
from .decoding import decoded, drawn_with
from .flags import KdLsConfig
from .task_hooks import Updates

if TYPE_CHECKING:
    from fairseq.data import Dictionary
    from fairseq.models import FairseqEncoderDecoderModel

LENGTH_PER_SOURCE, LENGTH_MORE = 1.2, 10  # a sample's symbols for each of its source's, and beyond that; ends included


class OnPolicy:
    """When the student samples, and its samples: of the seed, the update and the batch alone, so that they resume."""

    def __init__(self, cfg: KdLsConfig, symbols: "Dictionary", updates: Updates) -> None:
        """`symbols`: the target dictionary."""
        self.share, self.seed, self.updates = share_schedule(cfg.on_policy or ""), cfg.seed, updates
        self.pad, self.eos = symbols.pad(), symbols.eos()

    def drawn(self, *what: object) -> random.Random:
        """A source of random numbers for this purpose at this update, the same in every process."""
        return random.Random(f"{self.seed} {self.updates.made} {what}")

    def turn(self) -> bool:
        """Whether the batches of this update are the student's; all workers and micro-batches agree."""
        return self.drawn("turn").random() < self.share.at(self.updates.made)

    def sampled(self, model: "FairseqEncoderDecoderModel", sample: Batch, longest: int) -> Batch:
        """The batch with translations sampled from the model at temperature 1 in the place of its references.

        `longest` is the most symbols that the teacher can take.
        """
        net_input, own = sample["net_input"], fairseq_io.unwrapped(model)
        longest = min(longest, own.max_positions()[1])
        generator = torch.Generator(net_input["src_tokens"].device)
        generator.manual_seed(self.drawn("samples", sample["id"].tolist()).getrandbits(63))
        limits = (net_input["src_lengths"] * LENGTH_PER_SOURCE + LENGTH_MORE).long().clamp(max=longest)
        numbers = torch.rand(
            limits.size(0), int(limits.max()), dtype=torch.float64, generator=generator, device=limits.device
        )
        target = decoded(own, net_input, limits, self.pad, self.eos, drawn_with(numbers))
        start = torch.full_like(target[:, :1], self.eos)
        previous = torch.cat([start, target[:, :-1]], dim=1).masked_fill(target == self.pad, self.pad)
        return {
            **sample,
            "target": target,
            "ntokens": int(target.ne(self.pad).sum()),
            "net_input": {**net_input, "prev_output_tokens": previous},
        }


def policy_logs(kd: Tensor) -> Logs:
    """What is logged of the divergence (N,) on samples; there is no reference whose NLL could be logged."""
    return {"nll_loss": kd.new_zeros(()), "policy_loss": kd.data.sum(), "policy_ntokens": kd.numel()}
