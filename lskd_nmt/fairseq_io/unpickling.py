"""What `torch.load(weights_only=True)` may call besides torch's own functions: data of fairseq's checkpoints, no code.

NumPy's own types can be called to harm: `numpy.ndarray` and `numpy.dtype` take bytes of the file for the addresses of
objects. So numbers and arrays of them are rebuilt here, from a type of numbers, a shape and as many bytes, and of
objects that nobody reads only an empty one is left.
"""

import argparse
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

NUMBER = re.compile(r"b1|[iu][1248]|f[248]")  # types of numbers, as NumPy pickles them
ORDERS = ("<", ">", "=", "|")


class NumberType:
    """What stands for `numpy.dtype`: the type of a plain number."""

    def __init__(self, code: str, *_: object) -> None:
        """`code` is its kind and size, such as f8."""
        if not (isinstance(code, str) and NUMBER.fullmatch(code)):
            raise ValueError("a NumPy type that is none of plain numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        """The order of its bytes; whatever else NumPy's own type would take stays unread."""
        if state[1] not in ORDERS:
            raise ValueError("a NumPy type without an order of bytes")
        self.order = str(state[1])

    def dtype(self) -> np.dtype[np.generic]:
        """NumPy's own."""
        return np.dtype(self.order + self.code)


def numbers(kind: object, data: object, count: int) -> NDArray[np.generic]:
    """So many numbers of a type from their bytes.   -> (count,)"""
    if not (isinstance(kind, NumberType) and isinstance(data, bytes)):
        raise ValueError("a NumPy object that is none of plain numbers")
    found = np.frombuffer(data, kind.dtype())
    if len(found) != count:
        raise ValueError(f"a NumPy object of {count} numbers with the bytes of {len(found)}")
    return found


def number(kind: object, data: object) -> np.generic:
    """What stands for NumPy's function that rebuilds a number."""
    found: np.generic = numbers(kind, data, 1)[0]
    return found


class Numbers(np.ndarray[tuple[int, ...], np.dtype[np.generic]]):
    """What stands for `numpy.ndarray`: an array of plain numbers, which is saved as NumPy's own is."""

    def __new__(cls, *_: object) -> "Numbers":
        """Empty, whatever the file asks for."""
        return super().__new__(cls, (0,), np.int8)

    def __setstate__(self, state: tuple[object, Sequence[int], object, object, object]) -> None:  # type: ignore[override]
        """Its shape, type and bytes."""
        _, shape, kind, fortran, data = state
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError("a NumPy array of no shape")
        flat = numbers(kind, data, math.prod(shape))
        super().__setstate__((1, tuple(shape), flat.dtype, bool(fortran), flat.tobytes()))  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[object, ...]:
        return self.view(np.ndarray).__reduce__()  # type: ignore[return-value]


def empty(kind: object, *_: object) -> Numbers:
    """What stands for NumPy's function that makes an array before its content is known."""
    if kind is not Numbers:
        raise ValueError("a NumPy array of a type of its own")
    return Numbers()


class Unread:
    """What stands for an object that nobody reads, a meter of an older fairseq; it is saved as an empty dict."""

    def __init__(self, *_: object) -> None:
        """Nothing is kept."""

    def __setstate__(self, state: object) -> None:
        """Nothing is kept."""

    def __reduce__(self) -> tuple[object, ...]:
        return OrderedDict, ()  # torch reads these


METERS = [
    f"fairseq.{module}.{meter}Meter"
    for module in ("meters", "logging.meters")
    for meter in ("Average", "Stopwatch", "Time")
]
ALLOWED: dict[str, Callable[..., object]] = {  # by the name in the file; a test holds this list as it is
    "argparse.Namespace": argparse.Namespace,
    "numpy.dtype": NumberType,
    "numpy.ndarray": Numbers,
    "numpy.core.multiarray.scalar": number,  # NumPy 1
    "numpy.core.multiarray._reconstruct": empty,
    "numpy._core.multiarray.scalar": number,  # NumPy 2
    "numpy._core.multiarray._reconstruct": empty,
    **dict.fromkeys(METERS, Unread),
}


def allow() -> None:
    """Let torch read these, too."""
    torch.serialization.add_safe_globals([(call, name) for name, call in ALLOWED.items()])
