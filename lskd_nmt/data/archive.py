"""Read files out of an archive that somebody else made: only the wanted ones, into memory, and whole or not at all.

Nothing is unpacked to the disk. An archive is read to its end, where the checksum of gzip, bzip2 or xz is; a .tar
without compression has none.
"""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import IO, Any, Protocol

from lskd_nmt.errors import LskdError, require

HELD = 1 << 30  # bytes of the wanted files together
READ = 16 << 30  # bytes that an archive may unpack to
RATIO, FREELY = 100, 64 << 20  # and beyond 64 MiB no more than 100 times its own size


class Readable(Protocol):
    """What bytes come out of: a file, or the inside of a compressed one."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""


OPENERS: dict[bytes, Callable[[IO[bytes]], Readable]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
# what the libraries raise for what is damaged
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    IndexError,
    OverflowError,
)


def members(archive: Path, wanted: Collection[str], nested: Collection[str] = ()) -> dict[str, bytes]:
    """The wanted files of a .zip or a .tar, .tgz, …, by their `key`; also of the archives `nested` that lie in a .tar.

    Those that are not there are left out. Refused are links that lead outside or nowhere, absolute names and `..`,
    encrypted files, damage, and what unpacks to more than the limits above.
    """
    require(not archive.exists() or archive.is_file(), f"{archive} is no file: give the archive itself")
    require(archive.is_file(), f"{archive} does not exist: see data-prep/corpora for where to fetch it")
    try:
        if zipfile.is_zipfile(archive):
            return zipped(archive, wanted)
        with archive.open("rb") as stream:
            return Tar(str(archive), archive.stat().st_size, wanted, nested).read(stream)
    except DAMAGE as error:
        if isinstance(error, PermissionError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LskdError(f"{archive} is no readable archive ({reason}): remove it and fetch it again") from None


def is_whole(archive: Path) -> bool:
    """Whether an archive can be read to its end."""
    try:
        members(archive, ())
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as package:
                return package.testzip() is None
    except (LskdError, *DAMAGE):
        return False
    return True


def key(name: str) -> str:
    """The name that a file is asked for by: without folders, except that of a language pair (`ru_to_en/ru.train`)."""
    path = PurePosixPath(name)
    return f"{path.parent.name}/{path.name}" if "_to_" in path.parent.name else path.name


def require_inside(name: str, where: str) -> None:
    """Refuse a name that leads out of the archive."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    require(inside, f"{where} holds '{name}', a name that leads out of it: fetch it from its publisher")


def zipped(archive: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """The wanted files of a .zip."""
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(archive) as package:
        for entry in package.infolist():
            if entry.is_dir() or key(entry.filename) not in wanted:
                continue
            where = f"{archive}: {entry.filename}"
            require_inside(entry.filename, str(archive))
            require(not entry.flag_bits & 1, f"{where} is encrypted: unpack it, and pack it without a password")
            require(not stat.S_ISLNK(entry.external_attr >> 16), f"{where} is a link: pack the file itself")
            require_held(sum(map(len, found.values())) + entry.file_size, str(archive))
            with package.open(entry) as stream:
                found[key(entry.filename)] = Limited(stream, str(archive), entry.compress_size).read()
    return found


def require_held(size: int, where: str) -> None:
    """Refuse to hold more text in memory than `HELD` bytes."""
    require(size <= HELD, f"{where} holds more than {HELD >> 20:,} MB of text that is asked for: it is another archive")


class Limited:
    """A stream that refuses to unpack more than the limits allow; `size` is its size in bytes when it is packed."""

    def __init__(self, stream: Readable, where: str, size: int) -> None:
        self.stream, self.where, self.size, self.count = stream, where, size, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes; all that are left if `size` is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        block = bytes(self.stream.read(size))
        self.count += len(block)
        fits = self.count <= FREELY or self.count <= min(READ, RATIO * self.size)
        require(
            fits,
            f"{self.where} unpacks to more than {READ >> 30} GB, or to more than {RATIO} times its size: "
            "it is no archive of text",
        )
        return block


class Tar:
    """A .tar, compressed or not, and the archives in it; `where` is its name, `size` its bytes."""

    def __init__(self, where: str, size: int, wanted: Collection[str], nested: Collection[str]) -> None:
        self.where, self.size, self.wanted, self.nested = where, size, wanted, nested
        self.links: dict[str, str] = {}

    def read(self, stream: IO[bytes]) -> dict[str, bytes]:
        """Its wanted files; a link among them is followed to a file of the archive."""
        found = self.scan(stream, lambda name: key(name) if key(name) in self.wanted else "")
        linked = {
            self.target(name): key(name) for name in self.links if key(name) in self.wanted and key(name) not in found
        }
        if linked:
            there = self.scan(stream, lambda name: linked.get(normpath(name), ""))
            for name, wanted in linked.items():
                require(
                    wanted in there,
                    f"{self.where} holds {wanted} as a link to {name}, which is not in it: fetch it from its publisher",
                )
            found |= there
        return found

    def target(self, link: str) -> str:
        """The name of the file that a link leads to in the end, which must be within the archive."""
        passed, name = {link}, self.links[link]
        while name in self.links and name not in passed:
            passed.add(name)
            name = self.links[name]
        require(
            name not in passed,
            f"{self.where} holds the link {link}, which leads back to itself: fetch it from its publisher",
        )
        require_inside(name, self.where)
        return name

    def scan(self, stream: IO[bytes], wanted: Callable[[str], str]) -> dict[str, bytes]:
        """One pass: the files that `wanted` gives a key for, and all links."""
        found: dict[str, bytes] = {}
        stream.seek(0)
        start = stream.read(6)
        stream.seek(0)
        opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
        content: Any = Limited(opener(stream) if opener else stream, self.where, self.size)
        with tarfile.open(fileobj=content, mode="r|") as package:
            for member in package:
                if member.issym() or member.islnk():
                    folder = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
                    self.links[normpath(member.name)] = normpath(folder / member.linkname)
                    continue
                own, is_nested = wanted(member.name), key(member.name) in self.nested
                if member.isdir() or not (own or is_nested):
                    continue
                text = self.content(package, member, sum(map(len, found.values())))
                if is_nested:
                    inner = Tar(f"{self.where}: {member.name}", member.size, self.wanted, ())
                    found |= inner.read(io.BytesIO(text))
                else:
                    found[own] = text
        while content.read(1 << 20):  # to the checksum behind the last member
            pass
        return found

    def content(self, package: tarfile.TarFile, member: tarfile.TarInfo, held: int) -> bytes:
        """The bytes of a member that is a plain file, within the limit together with those `held` already."""
        require_inside(member.name, self.where)
        plain = member.isreg() and not member.issparse()
        require(plain, f"{self.where} holds {member.name}, which is no plain file: fetch it from its publisher")
        require_held(held + member.size, self.where)
        inside = package.extractfile(member)
        assert inside is not None
        return inside.read()
