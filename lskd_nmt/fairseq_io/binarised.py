"""Files of fairseq-preprocess, proved whole before fairseq opens them: it believes them, and fails in the middle."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.errors import LskdError, reading, require, require_file

if TYPE_CHECKING:
    from lskd_nmt.fairseq_io.types import IntegerType
    from lskd_nmt.storage.arrays import Ids

HEAD = struct.Struct("<9sQBQ")  # of an .idx: magic, version, code of the type, number of sentences
MAGIC = b"MMIDIDX\x00\x00"
OTHERS = (b"TNTIDX", b"HUFFIDX")  # fairseq's other formats: lazy or cached, and huffman
# codes of whole numbers
TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2", 9: "<u4", 10: "<u8"}
AGAIN = "binarise it again with fairseq-preprocess"
AT_ONCE = 1 << 24  # ids looked at


def require_data(data: str, flag: str = "--data", *, several: bool = True) -> None:
    """Refuse data folders that are not there; a colon separates them, in fairseq too, and cannot be part of a path."""
    folders = data.split(":")
    lacking = [folder for folder in folders if not Path(folder).is_dir()]
    if len(folders) > 1 and Path(data).is_dir() and (lacking or not several):
        raise LskdError(
            f"{flag} {data} has a colon, which separates folders here ({', '.join(folders)}): give a path "
            "without one, such as a symbolic link to it"
        )
    require(several or len(folders) == 1, f"{flag} is {data}: give one folder")
    require(
        not lacking,
        f"{flag} {lacking[0] if lacking else ''} does not exist: give the output folder of fairseq-preprocess",
    )


def require_whole(folder: str, split: str, langs: Sequence[str], symbols: Sequence[int]) -> None:
    """Refuse a split whose files are cut, are no files, or hold ids beyond the dictionaries of so many symbols.

    One that is not there, or of another format than `mmap`, is left to fairseq.
    """
    for source, target in (langs, langs[::-1]):
        stem = f"{split}.{source}-{target}"
        files = [Path(folder) / f"{stem}.{lang}" for lang in langs]
        if any(Path(f"{file}.idx").exists() for file in files):
            counts = [count_of(file, size) for file, size in zip(files, symbols, strict=True)]
            require(
                len({*counts} - {None}) < 2,
                f"{folder}/{stem} has {counts[0]} sentences of {langs[0]} and {counts[1]} of {langs[1]}: {AGAIN}",
            )


def count_of(file: Path, symbols: int) -> int | None:
    """How many sentences the .idx and .bin of one side hold, proved; None for another format."""
    import numpy as np

    index, data = Path(f"{file}.idx"), Path(f"{file}.bin")
    for each in (index, data):
        require_file(each, AGAIN)
    with reading(index, "index of fairseq", AGAIN):
        with index.open("rb") as stream:
            head = stream.read(HEAD.size)
        if not head.startswith(MAGIC):
            require(head.startswith(OTHERS), f"{index} is no index of fairseq: {AGAIN}")
            return None
        _, version, code, count = HEAD.unpack(head)
        require(version == 1 and code in TYPES, f"{index} is of another version or type of fairseq's: {AGAIN}")
        require(index.stat().st_size == HEAD.size + 12 * count, f"{index} is cut or has been added to: {AGAIN}")
        sizes = np.fromfile(index, "<i4", count, offset=HEAD.size).astype(np.int64)
        starts = np.fromfile(index, "<i8", count, offset=HEAD.size + 4 * count)
        kind = np.dtype(TYPES[code])
        ends = np.cumsum(sizes)
        whole = not count or (sizes.min() >= 0 and np.array_equal(starts, kind.itemsize * (ends - sizes)))
        require(bool(whole), f"{index} is damaged: {AGAIN}")
        tokens = int(ends[-1]) if count else 0
        require(data.stat().st_size == tokens * kind.itemsize, f"{data} is cut, or of another binarisation: {AGAIN}")
        require_ids(data, kind, tokens, symbols)
    return int(count)


def require_ids(data: Path, kind: "IntegerType", tokens: int, symbols: int) -> None:
    """Refuse a .bin file of so many tokens in which an id is negative, or beyond the dictionary's last symbol."""
    import numpy as np

    for start in range(0, tokens, AT_ONCE):
        ids = np.fromfile(data, kind, min(AT_ONCE, tokens - start), offset=start * kind.itemsize)
        require(
            int(ids.min()) >= 0 and int(ids.max()) < symbols,
            f"{data} holds symbols that its dictionary of {symbols} lacks: {AGAIN}",
        )


def split_ids(folder: str, split: str, langs: tuple[str, str], symbols: tuple[int, int]) -> "list[list[Ids]]":
    """The sentences of a split as arrays of ids with their ends, source and target; proved whole, as fairseq's are not.

    Files of the other direction are found, too; those of another format than `mmap` are refused.
    """
    import numpy as np

    require_whole(folder, split, langs, symbols)
    for names in (langs, langs[::-1]):
        stem = Path(folder) / f"{split}.{names[0]}-{names[1]}"
        files = [Path(f"{stem}.{lang}") for lang in langs]
        if all(Path(f"{file}.idx").is_file() for file in files):
            break
    else:
        raise LskdError(f"{folder} has no '{split}' of {langs[0]}-{langs[1]}: {AGAIN}")
    found = []
    for file in files:
        with Path(f"{file}.idx").open("rb") as stream:
            head = stream.read(HEAD.size)
        require(head.startswith(MAGIC), f"{file}.idx is of another format than mmap")
        _, _, code, count = HEAD.unpack(head)
        ends = np.cumsum(np.fromfile(f"{file}.idx", "<i4", count, offset=HEAD.size))
        found.append(np.split(np.fromfile(f"{file}.bin", np.dtype(TYPES[code])), ends[:-1]) if count else [])
    return found
