"""Single arrays of a store, each a .npy file whose hash is in the header; and the names of array types."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import reading, require, writing
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Kind

# Types of arrays, for annotations in all rooms; a docstring gives the shapes.
AnyArray = NDArray[Any]  # of numbers of any type: what is copied, hashed or written without arithmetic
DType = np.dtype[Any]
Floats = NDArray[np.floating]  # float16, float32 or float64
Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]
Ids = NDArray[np.integer]  # of symbols, sentences or other things that are numbered, of any width
Rows = NDArray[np.intp]  # positions in another array
Mask = NDArray[np.bool_]
Append = Callable[[AnyArray], object]


@contextmanager
def new_array(file: Path, dtype: DType, shape: tuple[int, ...]) -> Iterator[Append]:
    """Write an array of this type and shape to `file`, whole or not at all.

    The function that the `with` statement gives appends rows; all calls together must give the whole shape.
    """
    part = file.with_name(f"{file.name}.part")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with writing(file):
        try:
            with part.open("wb") as stream:  # of a full disk np.save does not say what it is
                np.lib.format.write_array_header_1_0(stream, header)
                yield lambda rows: stream.write(rows.astype(dtype, copy=False).tobytes())
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def write_array(file: Path, array: AnyArray) -> str:
    """Write an array to `file`, whole or not at all; returns the SHA-256 of the file."""
    with new_array(file, array.dtype, array.shape) as append:
        append(array)
    return sha256(file)


def map_array(file: Path, kind: Kind, expected: str | None) -> AnyArray:
    """The array in `file`, memory-mapped; `LskdError` if the file's SHA-256 is not `expected` (None: not checked)."""
    is_whole = file.is_file() and (expected is None or expected == sha256(file))
    require(is_whole, f"{kind.name}: {file} was edited, damaged or removed: {kind.again}")
    with reading(file, "NumPy array", kind.again):
        return np.asarray(np.lib.format.open_memmap(file, mode="r"))  # which knows no pickles, as np.load does
