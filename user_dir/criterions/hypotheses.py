"""A batch's hypotheses, read from a store, as a batch of their own whose sources are rows of the first."""

import random
from typing import NamedTuple

import torch
from fairseq.data.data_utils import collate_tokens
from torch import Tensor

from lskd_nmt.seqkd.store import HypothesisStore, Which
from lskd_nmt.storage.pair_keys import Pair

from .batch import NetInput
from .flags import KdLsConfig
from .task_hooks import Updates


class Drawn:
    """Which of a sentence's M hypotheses are learned at this update: all, or N drawn without replacement.

    A draw is of the seed, the update and the sentence pair alone. It so resumes, and neither workers nor the sentences
    beside it in a batch change it. Each subset of N is equally likely, so that the mean loss of the drawn ones has the
    mean loss of all M as its expectation.
    """

    def __init__(self, cfg: KdLsConfig, updates: Updates) -> None:
        """N is --hypotheses-drawn; where it is 0, or at least M, all are learned."""
        self.most, self.seed, self.updates = cfg.hypotheses_drawn, cfg.seed, updates

    def __call__(self, key: int, count: int) -> list[int]:
        """The places of the drawn ones, ascending; `key` is that of the sentence pair, `count` is M."""
        if not 0 < self.most < count:
            return [*range(count)]
        draw = random.Random(f"{self.seed} {self.updates.made} hypotheses {key}")
        numbers = [draw.random() for _ in range(count)]  # `random` alone gives the same in all versions of Python
        return sorted(sorted(range(count), key=numbers.__getitem__)[: self.most])


class Hypotheses(NamedTuple):
    """H hypotheses of at most T symbols for the sentences of a batch."""

    row: Tensor  # (H,) the sentence that each translates
    target: Tensor  # (H, T), padded
    prev_output_tokens: Tensor  # (H, T)
    share: Tensor  # (H,) 1/M, where M is how many hypotheses its sentence has here

    def net_input(self, net_input: NetInput) -> NetInput:
        """Their decoder input, and the sources again for each."""
        sources = {name: net_input[name][self.row] for name in ("src_tokens", "src_lengths")}
        return {**sources, "prev_output_tokens": self.prev_output_tokens}


def hypotheses_of(
    store: HypothesisStore, which: Which, batch: list[Pair], like: Tensor, pad: int, eos: int
) -> Hypotheses:
    """The hypotheses of each pair that `which` names, on the device of `like`."""
    found = store.lookup(batch, which)
    flat = [torch.from_numpy(ids) for each in found for ids in each]
    row = [number for number, each in enumerate(found) for _ in each]
    if not flat:
        none = torch.zeros(0, 1, dtype=torch.long, device=like.device)
        return Hypotheses(none[:, 0], none, none, none[:, 0].float())
    target = collate_tokens(flat, pad, eos, left_pad=False)
    previous = collate_tokens(flat, pad, eos, left_pad=False, move_eos_to_beginning=True)
    share = torch.tensor([1 / len(found[number]) for number in row])
    return Hypotheses(*(part.to(like.device) for part in (torch.tensor(row), target, previous, share)))
