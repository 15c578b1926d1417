"""A batch's hypotheses, read from a store, as a batch of their own whose sources are rows of the first."""

from typing import NamedTuple

import torch
from fairseq.data.data_utils import collate_tokens
from torch import Tensor

from lskd_nmt.seqkd.store import HypothesisStore
from lskd_nmt.storage.pair_keys import Pair

from .batch import NetInput


class Hypotheses(NamedTuple):
    """H hypotheses of at most T symbols for the sentences of a batch."""

    row: Tensor  # (H,) the sentence that each translates
    target: Tensor  # (H, T), padded
    prev_output_tokens: Tensor  # (H, T)
    share: Tensor  # (H,) 1/M, where M is how many hypotheses its sentence has

    def net_input(self, net_input: NetInput) -> NetInput:
        """Their decoder input, and the sources again for each."""
        sources = {name: net_input[name][self.row] for name in ("src_tokens", "src_lengths")}
        return {**sources, "prev_output_tokens": self.prev_output_tokens}


def hypotheses_of(store: HypothesisStore, batch: list[Pair], like: Tensor, pad: int, eos: int) -> Hypotheses:
    """The hypotheses of each pair, on the device of `like`."""
    found = store.lookup(batch)
    flat = [torch.from_numpy(ids) for each in found for ids in each]
    row = [number for number, each in enumerate(found) for _ in each]
    if not flat:
        none = torch.zeros(0, 1, dtype=torch.long, device=like.device)
        return Hypotheses(none[:, 0], none, none, none[:, 0].float())
    target = collate_tokens(flat, pad, eos, left_pad=False)
    previous = collate_tokens(flat, pad, eos, left_pad=False, move_eos_to_beginning=True)
    share = torch.tensor([1 / len(found[number]) for number in row])
    return Hypotheses(*(part.to(like.device) for part in (torch.tensor(row), target, previous, share)))
