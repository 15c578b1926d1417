"""What is known of tokens before their loss is taken, and the log-probabilities that it is known from.

The weights of a token may depend on the whole batch: then all chunks are looked at first, and the loss uses what was
seen of a chunk again instead of multiplying the matrices once more. Kept is as much as `KEPT_CHUNKS` allows; the loss
makes the logits of the other chunks itself. Where weights depend on a token alone, or on its sentence, nothing is
looked at before: the loss asks for the weights of each chunk as soon as it has its logits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lskd_nmt.losses.signals import Dense
from lskd_nmt.losses.token_selection import TermWeights

KEPT_CHUNKS = 16  # log-probabilities of student and teacher, in chunks of `fused.CHUNK_ELEMENTS`: 128 MB on a CPU


class Seen(NamedTuple):
    """A chunk of C tokens at τ = 1, whose loss may overwrite it."""

    log_q: Tensor | None  # (C, V) of the student
    signal: Dense | None  # (C, V) of the teacher

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        log_p = None if self.signal is None else self.signal.log_probs
        return sum(part.numel() for part in (self.log_q, log_p) if part is not None)


@dataclass
class FirstLook:
    """The weights of N tokens, known already or as soon as a chunk is seen."""

    weights: TermWeights  # (N,) each
    selected: Tensor  # (N,) how much of each token is selected, from 0 to 1
    pieces: Sequence[slice]  # the tokens that the loss has to work on at a time
    weigh: Callable[[Seen, slice], None] | None = None  # fills in the weights of a chunk; None: all are known
    kept: dict[int, Seen] = field(default_factory=dict)  # by the first token

    def taken(self, where: slice) -> Seen | None:
        """What was kept of a chunk, once: from then on its memory is the caller's."""
        return self.kept.pop(where.start, None)


def pieces_of(count: int, chunk: int) -> list[slice]:
    """So many tokens, a chunk at a time."""
    return [slice(start, min(start + chunk, count)) for start in range(0, count, chunk)]


def whole_sentences(sentence: Tensor, chunk: int) -> list[slice] | None:
    """Tokens in pieces of at most a chunk that divide no sentence; None where a sentence is longer.

    `sentence` is the row of each token, (N,), of which those of a row stand together.
    """
    pieces, start, end = list[slice](), 0, 0
    for length in torch.unique_consecutive(sentence, return_counts=True)[1].tolist():
        if length > chunk:
            return None
        if end + length - start > chunk:
            pieces.append(slice(start, end))
            start = end
        end += length
    return [*pieces, slice(start, end)] if end else []
