"""What a comparison translates, how, and how often."""

import os
from dataclasses import dataclass

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import require


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class CompareSettings:
    """What is translated, how, and how often; the same for all models."""

    split: str = "test"
    beam: int = DecodeSettings.beam
    repeats: int = 3
    sentences: int = 0  # of which speed is measured, the first ones; 0: all
    threads: int = 1  # that count as all
    batch_tokens: int = DecodeSettings.batch_tokens
    tokenize: str | None = None  # of BLEU, instead of the target language's own
    metrics: tuple[str, ...] = ()  # beside BLEU and chrF
    within: str | None = None  # of the first model's score the smallest model is named, see `pareto.Margin`
    without_map: tuple[str, ...] = ()  # models whose vocabulary map is left out

    def __post_init__(self) -> None:
        self.decoding()  # refuses what it cannot do
        require(self.repeats > 0, f"--repeats is {self.repeats}: give a number above 0")
        require(self.sentences >= 0, f"--sentences is {self.sentences}: give a number above 0, or 0 for all")
        require(
            1 <= self.threads <= cores(),
            f"--threads is {self.threads} and this process may use {cores()} cores: give 1 to {cores()}, or 0 for all",
        )

    def decoding(self) -> DecodeSettings:
        """The settings of decoding, as the engines take them."""
        return DecodeSettings(engine="fairseq", beam=self.beam, batch_tokens=self.batch_tokens)

    def thread_counts(self) -> tuple[int, ...]:
        """The numbers of threads that are measured: one, and all."""
        return tuple(sorted({1, self.threads}))
