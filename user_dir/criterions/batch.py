"""What fairseq gives a criterion and takes from it: batches and logs."""

from typing import TypedDict

from torch import Tensor

NetInput = dict[str, Tensor]  # src_tokens (B, S), src_lengths (B,) and prev_output_tokens (B, T)
Logs = dict[str, Tensor | float]  # sums over a batch, by name


class Batch(TypedDict):
    """A batch as fairseq's translation data sets collate it, of B sentence pairs."""

    id: Tensor  # (B,) numbers of the pairs in their data set
    nsentences: int
    ntokens: int  # real target tokens
    net_input: NetInput
    target: Tensor  # (B, T), padded
