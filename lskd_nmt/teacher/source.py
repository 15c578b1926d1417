"""What a teacher is to everything above this file: something that gives signals, or something that gives translations.

`SignalSource` and `TranslationSource` are protocols: any class with these methods is a teacher, of whatever framework.
Here fairseq's models (`online.LiveTeacher`), teacher stores (`offline.StoredTeacher`) and the decoding engines of
`seqkd.engines` have them. B sentence pairs, S source and T target positions, N target tokens, V symbols, D widths.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lskd_nmt.decode_settings import DecodeSettings, Pieces
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.pair_keys import Pair

if TYPE_CHECKING:  # what decodes needs no torch
    from torch import Tensor

    from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
    from lskd_nmt.losses.signals import Signal

NetInput = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class TeacherBatch:
    """Sentence pairs as symbol ids of the student's dictionaries, and the target positions that are asked about.

    `net_input` holds `src_tokens` (B, S), `src_lengths` (B,) and `prev_output_tokens` (B, T): what a decoder is given
    at each target position, which is the target moved by one, or any other prefix.
    """

    net_input: NetInput
    target: "Tensor"  # (B, T), each with its end symbol, padded on the right
    real: "Tensor"  # (B, T - prefix) bool: the N tokens that are asked about
    pads: tuple[int, int]  # the ids that stand for padding in source and target
    prefix: int = 0  # target positions before those of `real`

    def pairs(self) -> list[Pair]:
        """The sentence pairs without padding, as stores know them."""
        return pairs_of(self.net_input, self.target, self.pads)


@dataclass(frozen=True)
class Wish:
    """How a student wants a teacher's signal.

    With `features`, what is before the output projection, if the teacher has one: the loss is then taken chunk by
    chunk. Otherwise the `top_k` most probable symbols at `temperature`, or for 0 the log-probabilities of all.
    """

    features: bool = False
    top_k: int = 0
    temperature: float = 1.0


class SignalSource(Protocol):
    """Gives the teacher's distribution of every target token of a batch, given the source and the target before it."""

    def signal(self, batch: TeacherBatch, wish: Wish, like: "Tensor") -> "TeacherFeatures | Signal":
        """The signal of the batch's N tokens, sentence after sentence, on the device and in the type of `like`."""


class OnlineSource(SignalSource, Protocol):
    """A source that is run, and so can be asked about any prefix, also one that no store has."""

    def to(self, like: "Tensor") -> None:
        """Move to the device and the floating type of `like`."""

    def max_positions(self) -> tuple[int, int]:
        """The longest source and target that it takes, in symbols with their ends."""

    def projections(self) -> "list[Projection] | None":
        """The output projection of each model, which turns features into logits; None if it gives no features."""

    def same_sources(self) -> AbstractContextManager[None]:
        """Inside, all batches have the sources of the first: a source may encode them once, and need not."""


class Hypothesis(NamedTuple):
    """A translation in subwords that spaces separate, and its score.

    The score is the log-probability over the number of subwords (with the end) to the power of the length penalty.
    """

    pieces: str
    score: float


class TranslationSource(Protocol):
    """Gives translations of batches of sentences."""

    def translate(self, batch: Sequence[Pieces], settings: DecodeSettings) -> list[list[Hypothesis]]:
        """The `nbest` hypotheses of each sentence: best first, or drawn, in no meaningful order."""

    def reseed(self, seed: int) -> None:
        """Start the random numbers of sampling anew."""


class TextHypothesis(NamedTuple):
    """A translation as text, and its score.

    The score is the log-probability over the length, or None where the translator gives none.
    """

    text: str
    score: float | None
    stripped: tuple[str, ...] = ()  # the rules that took something away around it: of a language model's answer


class TextTranslationSource(Protocol):
    """Gives translations of lines of text: tokenisation and special symbols are its own."""

    def translate_text(self, lines: Sequence[str], settings: DecodeSettings) -> list[list[TextHypothesis]]:
        """The `nbest` hypotheses of each line: best first, or drawn, in no meaningful order."""

    def reseed(self, seed: int) -> None:
        """Start the random numbers of sampling anew."""


def pairs_of(net_input: NetInput, target: "Tensor", pads: tuple[int, int]) -> list[Pair]:
    """The sentence pairs of a batch as ids without padding; `pads` are the padding ids of source and target.

    A symbol of padding inside a sentence, which the data may have, stays: the keys of the stores have it, too.
    """
    sides = (ids.cpu().numpy() for ids in (net_input["src_tokens"], target))
    sources, targets = ([unpadded(ids, pad) for ids in side] for side, pad in zip(sides, pads, strict=True))
    return list(zip(sources, targets, strict=True))


def unpadded(ids: Ids, pad: int) -> Ids:
    """A sentence without the padding before its first and after its last real symbol, its end.   (S,) -> (s,)"""
    real = (ids != pad).nonzero()[0]
    return ids[real[0] : real[-1] + 1] if len(real) else ids[:0]
