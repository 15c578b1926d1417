"""Single arrays of a store, each a .npy file whose hash is in the header."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import reading, require, writing
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Kind

Append = Callable[[NDArray[Any]], object]


@contextmanager
def new_array(file: Path, kind: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[Append]:
    """Write `file` whole or not at all, by as many calls as the caller has parts of it, in their order."""
    part = file.with_name(f"{file.name}.part")
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with writing(file):
        try:
            with part.open("wb") as stream:  # of a full disk np.save does not say what it is
                np.lib.format.write_array_header_1_0(stream, header)
                yield lambda rows: stream.write(rows.astype(kind, copy=False).tobytes())
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def write_array(file: Path, array: NDArray[Any]) -> str:
    """Write `file` whole or not at all; its hash."""
    with new_array(file, array.dtype, array.shape) as append:
        append(array)
    return sha256(file)


def map_array(file: Path, kind: Kind, expected: str | None) -> NDArray[Any]:
    """The array, memory-mapped; refused if its hash is not the `expected` one, where one is given."""
    is_whole = file.is_file() and (expected is None or expected == sha256(file))
    require(is_whole, f"{kind.name}: {file} was edited, damaged or removed: {kind.again}")
    with reading(file, "NumPy array", kind.again):
        return np.asarray(np.lib.format.open_memmap(file, mode="r"))  # which knows no pickles, as np.load does
