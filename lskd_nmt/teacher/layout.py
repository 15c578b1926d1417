"""What a teacher store has of each target token, and in what types."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lskd_nmt.errors import require
from lskd_nmt.losses.signals import Record

NUMBERS: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}
Columns = Mapping[str, NDArray[Any]]  # (N, …) each, by the names of a layout
Parts = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]


def id_type(symbols: int) -> np.dtype[Any]:
    """uint16 up to 65,536 symbols, else uint32."""
    return np.dtype(np.uint16 if symbols <= 1 << 16 else np.uint32)


@dataclass(frozen=True)
class TopKLayout:
    """The k most probable symbols, and a log-sum-exp for each temperature."""

    k: int
    temperatures: tuple[float, ...]
    symbols: int
    log_probs: str = "fp16"

    def __post_init__(self) -> None:
        require(
            1 <= self.k <= self.symbols, f"--top-k is {self.k}: give 1 to {self.symbols}, the size of the vocabulary"
        )
        require(
            bool(self.temperatures), "--temperatures is empty: give those that students will train at, such as 1,2,3,64"
        )
        bad = [t for t in self.temperatures if not 0 < t < float("inf")]
        require(not bad, f"--temperatures holds {bad}: give finite numbers above 0")
        require(self.log_probs in NUMBERS, f"--log-probs is {self.log_probs}: one of {', '.join(NUMBERS)}")

    @property
    def token_bytes(self) -> int:
        """Bytes of one target token's record."""
        return self.k * (id_type(self.symbols).itemsize + NUMBERS[self.log_probs].itemsize) + 4 * len(self.temperatures)

    def column(self, temperature: float) -> int:
        """Where a temperature stands in the grid."""
        grid = ", ".join(f"{t:g}" for t in self.temperatures)
        require(temperature in self.temperatures, f"--temperature is {temperature:g}, the teacher store has {grid}: "
                                                  "train at one of these, or write a store with it")  # fmt: skip
        return self.temperatures.index(temperature)

    def parts(self, sentences: int, tokens: int) -> Parts:
        """The arrays of a shard, in the order of the file."""
        return {
            "keys": (np.dtype(np.uint64), (sentences,)),
            "log_sum_exps": (np.dtype(np.float32), (tokens, len(self.temperatures))),
            "lengths": (np.dtype(np.uint32), (sentences,)),
            "ids": (id_type(self.symbols), (tokens, self.k)),
            "log_probs": (NUMBERS[self.log_probs], (tokens, self.k)),
        }

    def encode(self, record: Record) -> Columns:
        """To the types of the store."""
        return {
            "log_sum_exps": record.log_sum_exps.float().cpu().numpy(),
            "ids": record.ids.cpu().numpy().astype(id_type(self.symbols)),
            "log_probs": record.log_probs.float().cpu().numpy().astype(NUMBERS[self.log_probs]),
        }

    def decode(self, columns: Columns) -> Record:
        """Back to tensors that the losses take."""
        return Record(
            torch.from_numpy(columns["ids"].astype(np.int64)),
            torch.from_numpy(columns["log_probs"].astype(np.float32)),
            torch.from_numpy(columns["log_sum_exps"].astype(np.float32)),
        )

    def tail_mass(self, columns: Columns) -> NDArray[np.float64]:
        """The mass outside the top k, summed over tokens.   -> (G,)"""
        log_probs = columns["log_probs"].astype(np.float64)  # (N, k)
        pairs = zip(self.temperatures, columns["log_sum_exps"].T, strict=True)
        kept = [np.exp(log_probs / temperature - sums[:, None]).sum(-1) for temperature, sums in pairs]  # G × (N,)
        return np.asarray([np.clip(1 - each, 0, None).sum() for each in kept])


def layout_of(header: Mapping[str, Any]) -> TopKLayout:
    """The layout as `store.json` has it."""
    return TopKLayout(**{**header["layout"], "temperatures": tuple(header["layout"]["temperatures"])})


def layout_content(layout: TopKLayout) -> dict[str, Any]:
    """The layout for `store.json`."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(layout).items()}
