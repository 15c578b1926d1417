"""Which sentences features are kept of: all, or as many as a token budget allows, drawn by a seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lskd_nmt.analysis.features.sentence_spans import within
from lskd_nmt.errors import require
from lskd_nmt.teacher.batches import Entry, PairDataset
from lskd_nmt.teacher.layout import require_numbers

WINDOW = 1 << 16  # target tokens that are sorted by length, and held, at a time


@dataclass(frozen=True)
class FeatureSettings:
    """What is kept; all of it but `max_tokens` is in the header."""

    split: str = "valid"
    tokens: int | None = None  # whole sentences are drawn until there are so many; None: all
    seed: int = 1
    precision: str = "fp16"  # of the states
    beam: int = 0  # above 0: of the model's own translations instead of the references
    max_tokens: int = 4096  # padded tokens in a batch of the model

    def __post_init__(self) -> None:
        require(self.tokens is None or self.tokens > 0, f"--tokens is {self.tokens}: give a number above 0")
        require(self.max_tokens > 0, f"--max-tokens is {self.max_tokens}: give a number above 0")
        require(self.beam >= 0, f"--own-output is {self.beam}: give a beam of 1 or more")
        require(self.seed >= 0, f"--seed is {self.seed}: give a whole number from 0")
        require_numbers(self.precision)


def sample(dataset: PairDataset, settings: FeatureSettings) -> list[Entry]:
    """The sentences in the corpus' order: all, or those drawn by the seed until the token budget is reached.

    All models get the same sentences, as the draw depends on the data alone.
    """
    lengths = np.asarray(dataset.tgt_sizes)
    rows = np.arange(len(lengths))
    if settings.tokens is not None:
        rows = np.sort(within(lengths, settings.tokens, settings.seed))
    return [Entry(0, 0, int(row), int(dataset.src_sizes[row]), int(lengths[row])) for row in rows]


def fits(entry: Entry, limits: tuple[int, int]) -> bool:
    """Whether the model can take the pair."""
    return entry.source_tokens <= limits[0] and entry.target_tokens <= limits[1]


def windows(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Neighbours in the corpus, about `WINDOW` tokens at a time."""
    window: list[Entry] = []
    held = 0
    for entry in entries:
        window.append(entry)
        held += entry.target_tokens
        if held >= WINDOW:
            yield window
            window, held = [], 0
    if window:
        yield window
