"""What a teacher store has of each target token, and in what types: its top k, or what its projection is given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lskd_nmt.errors import require
from lskd_nmt.losses.signals import Record
from lskd_nmt.sizes import top_k_bytes
from lskd_nmt.storage.arrays import AnyArray, DType, Float64s
from lskd_nmt.storage.typed import from_json, record

NUMBERS: dict[str, DType] = {"fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}
Columns = Mapping[str, AnyArray]  # (N, …) each, by the names of a layout
Parts = dict[str, tuple[DType, tuple[int, ...]]]  # the type and shape of each array


def id_type(symbols: int) -> DType:
    """uint16 up to 65,536 symbols, else uint32."""
    return np.dtype(np.uint16 if symbols <= 1 << 16 else np.uint32)


def require_numbers(precision: str) -> None:
    """Refuse an unknown type of numbers."""
    require(precision in NUMBERS, f"--precision is {precision}: one of {', '.join(NUMBERS)}")


def require_said(parts: Sequence[Tensor]) -> None:
    """Refuse what a teacher says, features or logarithms, where it is not a number; log 0 is one."""
    require(
        not any(bool((part.isnan() | part.isposinf()).any()) for part in parts),
        "the teacher says NaN or infinity: its weights are damaged, or too large for the precision it runs in: "
        "give another checkpoint, or run in float32",
    )


@record
class TopKLayout:
    """The k most probable symbols, and a log-sum-exp for each temperature."""

    format: ClassVar[int] = 1
    once_bytes: ClassVar[int] = 0

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
        require_numbers(self.log_probs)

    @property
    def kept(self) -> int:
        """How many symbols of a token there are."""
        return self.k

    @property
    def token_bytes(self) -> int:
        """Bytes of one target token's record."""
        return top_k_bytes(self.k, len(self.temperatures), self.symbols, NUMBERS[self.log_probs].itemsize)

    def column(self, temperature: float) -> int:
        """Where a temperature stands in the grid."""
        grid = ", ".join(f"{t:g}" for t in self.temperatures)
        require(
            temperature in self.temperatures,
            f"--temperature is {temperature:g}, the teacher store has {grid}: "
            "train at one of these, or write a store with it",
        )
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
        """The record in the types of the store, as numpy arrays."""
        require_said([record.log_probs, record.log_sum_exps])
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
            self.temperatures,
        )

    def tail_mass(self, columns: Columns) -> Float64s:
        """The mass outside the top k, summed over tokens.   -> (G,)"""
        log_probs = columns["log_probs"].astype(np.float64)  # (N, k)
        pairs = zip(self.temperatures, columns["log_sum_exps"].T, strict=True)
        kept = [np.exp(log_probs / temperature - sums[:, None]).sum(-1) for temperature, sums in pairs]  # G × (N,)
        return np.asarray([np.clip(1 - each, 0, None).sum() for each in kept])


@record
class FeatureLayout:
    """The features of each teacher side by side: with the output projections they are every symbol at every τ."""

    format: ClassVar[int] = 2
    temperatures: ClassVar[tuple[float, ...]] = ()  # no grid: any will do
    kept: ClassVar[int] = 0  # all of them

    widths: tuple[int, ...]  # D of each teacher
    symbols: int
    precision: str = "fp16"

    def __post_init__(self) -> None:
        require_numbers(self.precision)

    @property
    def token_bytes(self) -> int:
        """Bytes of one target token's features."""
        return sum(self.widths) * NUMBERS[self.precision].itemsize

    @property
    def once_bytes(self) -> int:
        """Bytes of the output projections."""
        return 4 * self.symbols * sum(self.widths)

    def parts(self, sentences: int, tokens: int) -> Parts:
        """The arrays of a shard, in the order of the file."""
        return {
            "keys": (np.dtype(np.uint64), (sentences,)),
            "lengths": (np.dtype(np.uint32), (sentences,)),
            "features": (NUMBERS[self.precision], (tokens, sum(self.widths))),
        }

    def encode(self, features: Sequence[Tensor]) -> Columns:
        """To the type of the store.   (N, D) each"""
        require_said(features)
        wide = torch.cat(list(features), dim=-1).float().cpu()
        largest = float(wide.abs().max()) if wide.numel() else 0.0
        require(
            largest <= float(np.finfo(NUMBERS[self.precision]).max),
            f"--precision is {self.precision} and the teacher's features go up to {largest:g}: use --precision fp32",
        )
        return {"features": wide.numpy().astype(NUMBERS[self.precision])}

    def decode(self, columns: Columns) -> list[Tensor]:
        """Back to tensors, in the type of the store.   -> (N, D) each"""
        return list(torch.from_numpy(columns["features"]).split_with_sizes(self.widths, dim=-1))

    def tail_mass(self, columns: Columns) -> Float64s:
        """Nothing is left out, at no temperature of a grid.   -> (0,)"""
        return np.zeros(0)


Layout = TopKLayout | FeatureLayout


def layout_of(number: int, content: object, place: Path) -> Layout:
    """The layout of a store of this format, from what its header says; `place` is the header's file."""
    kind: type[Layout] = TopKLayout if number == TopKLayout.format else FeatureLayout
    return from_json(kind, content, f"{place}: layout")
