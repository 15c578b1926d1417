"""Archives that somebody else made: damaged or hostile ones are refused in one line, and nothing is written."""

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from lskd_nmt.data import archive
from lskd_nmt.errors import LskdError

TEXT = "".join(f"line {i} of the talk\n" for i in range(200)).encode()
PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "none": bytes}


def tar(*entries: tuple[str, object]) -> bytes:
    """A .tar of (name, bytes or TarInfo)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as package:
        for name, content in entries:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            data = content if isinstance(content, bytes) else b""
            info.size = info.size or len(data)
            package.addfile(info, io.BytesIO(data) if data else None)
    return stream.getvalue()


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def of_type(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = kind
    return info


def zipped(*entries: tuple[str, bytes], **attributes: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            package.writestr(info, content)
    return stream.getvalue()


@pytest.fixture
def read(tmp_path, monkeypatch):
    """`read(content)`: x.txt of an archive with these bytes; nothing may appear in the file system."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def run(content: bytes, wanted=("x.txt",), nested=()) -> dict[str, bytes]:
        file = tmp_path / "a.archive"
        file.write_bytes(content)
        try:
            return archive.members(file, wanted, nested)
        except LskdError as error:
            assert "\n" not in str(error) and str(file) in str(error)
            raise
        finally:
            assert sorted(tmp_path.iterdir()) == [file, tmp_path / "cwd"] and not os.listdir()

    return run


@pytest.mark.parametrize("form", PACK)
def test_every_compression_is_read(read, form):
    assert read(PACK[form](tar(("d/y.txt", b"no"), ("./d/x.txt", TEXT)))) == {"x.txt": TEXT}


def test_a_zip_is_read(read):
    assert read(zipped(("d/", b""), ("d/x.txt", TEXT), ("y.txt", b"no"))) == {"x.txt": TEXT}


def test_an_archive_in_the_archive_is_read_if_it_is_asked_for(read):
    inner = gzip.compress(tar(("x.txt", TEXT)))
    content = gzip.compress(tar(("a/de-en.tgz", inner), ("a/zh-en.tgz", b"not read")))
    assert read(content, nested=("de-en.tgz",)) == {"x.txt": TEXT}
    assert read(content) == {}
    for number in (len(inner) - 6, len(inner) // 2):  # its own checksum counts too
        damaged = inner[:number] + bytes([inner[number] ^ 1]) + inner[number + 1 :]
        with pytest.raises(LskdError, match="is no readable archive"):
            read(tar(("de-en.tgz", damaged)), nested=("de-en.tgz",))


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", "zip"])
def test_a_flipped_bit_is_refused_or_does_no_harm(read, form):
    """Of gzip the checksum of the whole stands at the end, behind the last file: it must have been read."""
    texts = [("x.txt", TEXT[:2000]), ("y.txt", TEXT[::-1])]
    content = zipped(*texts) if form == "zip" else PACK[form](tar(*texts))
    draw, refused = random.Random(1), 0
    places = {*range(len(content) - 30, len(content)), *draw.sample(range(len(content)), 120)}
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        try:
            found = read(bytes(flipped), wanted=("x.txt", "y.txt"))
        except LskdError:
            refused += 1
        else:
            assert set(found.items()) <= set(texts)  # fewer: a name was hit
    assert refused > len(places) / 2


def test_the_checksum_at_the_end_of_gzip_counts(read):
    content = bytearray(gzip.compress(tar(("x.txt", TEXT))))
    content[-8] ^= 1
    with pytest.raises(LskdError, match=r"\(CRC check failed .*\): remove it and fetch it again$"):
        read(bytes(content))


@pytest.mark.parametrize("form", PACK)
def test_a_cut_archive_is_refused(read, form):
    content = PACK[form](tar(("x.txt", TEXT), ("y.txt", TEXT)))
    for share in (0.1, 0.4):
        with pytest.raises(LskdError, match="is no readable archive"):
            read(content[: int(len(content) * share)])


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", b"\x1f\x8b", b"PK\x03\x04", b"\0" * 100, b"BZh9"])
def test_no_archive_is_refused(read, content):
    with pytest.raises(LskdError, match="is no readable archive"):
        read(content)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_within_the_archive_is_followed(read, kind):
    target = "../b/real.txt" if kind == tarfile.SYMTYPE else "b/real.txt"
    assert read(gzip.compress(tar(("a/x.txt", link(target, kind)), ("b/real.txt", TEXT)))) == {"x.txt": TEXT}
    middle = "y" if kind == tarfile.SYMTYPE else "a/y"
    chain = [("b/real.txt", TEXT), ("a/y", link(target, kind)), ("a/x.txt", link(middle, kind))]
    assert read(tar(*chain)) == {"x.txt": TEXT}


@pytest.mark.parametrize(
    "target, message",
    [
        ("/etc/passwd", "holds '/etc/passwd', a name that leads out of it"),
        ("../../../etc/passwd", r"a name that leads out of it"),
        ("nowhere.txt", "holds x.txt as a link to a/nowhere.txt, which is not in it"),
        ("x.txt", "holds the link a/x.txt, which leads back to itself"),
        ("y", "holds the link a/x.txt, which leads back to itself"),
    ],
)
def test_links_that_lead_outside_or_nowhere_are_refused(read, target, message):
    with pytest.raises(LskdError, match=message):
        read(tar(("a/x.txt", link(target)), ("a/y", link("x.txt"))))


@pytest.mark.parametrize("name", ["/x.txt", "../x.txt", "a/../../x.txt"])
@pytest.mark.parametrize("make", [tar, zipped])
def test_names_that_lead_outside_are_refused(read, make, name):
    with pytest.raises(LskdError, match=r"a name that leads out of it: fetch it from its publisher$"):
        read(make((name, TEXT)))


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_pipes_and_devices_are_refused(read, kind):
    with pytest.raises(LskdError, match=r"holds x\.txt, which is no plain file"):
        read(tar(("x.txt", of_type(kind))))


def test_other_files_of_an_archive_do_not_matter(read):
    """They are not read, so they may be what they like."""
    odd = [
        ("/etc/passwd", b"x"),
        ("../up", b"x"),
        ("loop", link("loop")),
        ("out", link("/dev/zero")),
        ("dev", of_type(tarfile.CHRTYPE)),
        ("x.txt/", of_type(tarfile.DIRTYPE)),
    ]
    assert read(tar(*odd, ("d/x.txt", TEXT))) == {"x.txt": TEXT}


def test_encrypted_files_are_refused(read):
    content = bytearray(zipped(("x.txt", TEXT)))
    for head, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(head) + offset] |= 1
    with pytest.raises(LskdError, match=r"x\.txt is encrypted: unpack it, and pack it without a password$"):
        read(bytes(content))


def test_a_link_in_a_zip_is_refused(read):
    with pytest.raises(LskdError, match=r"x\.txt is a link: pack the file itself$"):
        read(zipped(("x.txt", b"/etc/passwd"), external_attr=0o120777 << 16, create_system=3))


@pytest.mark.parametrize(
    "make",
    [
        lambda text: gzip.compress(tar(("x.txt", text))),
        lambda text: bz2.compress(tar(("y.txt", text))),
        lambda text: zipped(("x.txt", text)),
        lambda text: tar(("de-en.tgz", gzip.compress(tar(("x.txt", text))))),
    ],
)
def test_bombs_are_refused(read, make, monkeypatch):
    monkeypatch.setattr(archive, "FREELY", 1 << 16)
    with pytest.raises(LskdError, match=r"unpacks to more than 16 GB, or to more than 100 times its size"):
        read(make(b"\0" * (1 << 20)), nested=("de-en.tgz",))
    text = "".join(f"{random.Random(i).random()}\n" for i in range(9000)).encode()  # 160 kB, packed to a half
    assert read(make(text), wanted=("x.txt", "y.txt"), nested=("de-en.tgz",)) in ({"x.txt": text}, {"y.txt": text})


@pytest.mark.parametrize("make", [tar, zipped])
def test_more_text_than_is_held_is_refused_unread(read, make, monkeypatch):
    monkeypatch.setattr(archive, "HELD", 3 << 20)
    monkeypatch.setattr(archive.Limited, "read", lambda self, size=-1: self.stream.read(size))
    with pytest.raises(LskdError, match="holds more than 3 MB of text that is asked for"):
        read(make(("x.txt", b"a" * (2 << 20)), ("y.txt", b"b" * (2 << 20))), wanted=("x.txt", "y.txt"))


def test_a_sparse_file_is_refused(read):
    """One may say that it is of any size, and holds nothing."""
    info = of_type(tarfile.GNUTYPE_SPARSE)
    content = bytearray(tar(("x.txt", info)))
    content[483:495] = b"77777777777\0"  # its real size, 8 GB
    content[148:156] = b"%06o\0 " % sum(content[:148] + b" " * 8 + content[156:512])
    with pytest.raises(LskdError, match=r"holds x\.txt, which is no plain file"):
        read(bytes(content))


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(LskdError, match=r"is no file: give the archive itself$"):
            archive.members(place, ("x",))
    with pytest.raises(LskdError, match="does not exist: see data-prep/corpora"):
        archive.members(tmp_path / "nope", ("x",))


def test_whole_archives_are_told_from_broken_ones(tmp_path: Path):
    for form, content in (("zip", zipped(("x.txt", TEXT))), ("gz", gzip.compress(tar(("x.txt", TEXT))))):
        good, bad = tmp_path / f"good.{form}", tmp_path / f"bad.{form}"
        good.write_bytes(content)
        place = content.index(b"x.txt") + 100 if form == "zip" else len(content) - 8
        bad.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert archive.is_whole(good) and not archive.is_whole(bad)
    (tmp_path / "page.html").write_text("<html>")
    assert not archive.is_whole(tmp_path / "page.html")
