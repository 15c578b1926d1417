"""Lines of text, from a file that may be packed with gzip or Zstandard, or from standard input, one at a time."""

import gzip
import hashlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from lskd_nmt.errors import LskdError, reading, require, require_file

STDIN = "-"
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "Zstandard"}  # by the first bytes of a file
ENDINGS = {".gz": "gzip", ".zst": "Zstandard"}
BLOCK = 1 << 16


class TextFile:
    """Strictly read lines without their ends; after the last, `count` and `sha256` say what was read.

    The hash is of the bytes as they are unpacked: a text has the same, packed or not, from a file or from a pipe.
    """

    def __init__(self, path: str) -> None:
        """`path` names a file, or is `-` for standard input. It is opened when the lines are asked for."""
        self.path, self.count = path, 0
        self.digest = hashlib.sha256()
        self.name = "standard input" if path == STDIN else Path(path).name  # without folders

    @property
    def sha256(self) -> str:
        """The hash of what was read so far, in hexadecimal."""
        return self.digest.hexdigest()

    def lines(self) -> Iterator[str]:
        """The lines; `LskdError` for a file that is damaged, empty or not UTF-8, when that place is reached."""
        blank = True
        with self.opened() as stream, reading(self.shown, "text"):
            for number, line in enumerate(stream, 1):
                self.count, blank = number, blank and not line.strip()
                self.digest.update(line)
                try:
                    text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
                except UnicodeDecodeError as error:
                    raise LskdError(
                        f"{self.shown} line {number} is not UTF-8 (byte {error.start + 1}): convert it, for example "
                        "with iconv -f latin1 -t utf-8"
                    ) from None
                yield text.removeprefix("\ufeff") if number == 1 else text
        require(not blank, f"{self.shown} is empty: give a file with one sentence a line")

    @property
    def shown(self) -> str:
        """What errors call it."""
        return self.name if self.path == STDIN else self.path

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The bytes, unpacked."""
        if self.path == STDIN:
            yield unpacked(sys.stdin.buffer, "")
            return
        require_file(self.path, "give a text file, packed with gzip or Zstandard or as it is", stream=True)
        with open(self.path, "rb") as stream:
            yield unpacked(stream, ENDINGS.get(Path(self.path).suffix, ""))


def unpacked(given: IO[bytes], kind: str) -> IO[bytes]:
    """The stream without gzip or Zstandard; where `kind` does not say which, its first bytes do."""
    stream = given if isinstance(given, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", given))
    begin = stream.peek(4)
    kind = kind or next((each for magic, each in PACKED.items() if begin.startswith(magic)), "")
    if not begin or not kind:
        return stream
    if kind == "gzip":
        return io.BufferedReader(gzip.GzipFile(fileobj=stream))
    return io.BufferedReader(Unpacked(stream), BLOCK)


class Unpacked(io.RawIOBase):
    """A Zstandard stream of any number of frames; unlike zstandard's own reader it sees that the last was cut."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.rest = stream, memoryview(b"")
        self.frame = zstandard.ZstdDecompressor().decompressobj()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Fill a part of the buffer; how much, and 0 at the end."""
        while not self.rest:
            block = self.stream.read(BLOCK)
            if not block:
                if not self.frame.eof:
                    raise EOFError("it ends too early")
                return 0
            self.rest = memoryview(self.unpack(block))
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size

    def unpack(self, block: bytes) -> bytes:
        """The content of a block, whose frame may end in it and the next begin."""
        parts = []
        while block:
            if self.frame.eof:
                self.frame = zstandard.ZstdDecompressor().decompressobj()
            parts.append(self.frame.decompress(block))
            block = self.frame.unused_data if self.frame.eof else b""
        return b"".join(parts)
