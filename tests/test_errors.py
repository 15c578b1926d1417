"""Which exceptions are one line for the user, what that line says, and which stay tracebacks."""

import errno
import gzip
import io
import json
import lzma
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import sentencepiece
import torch
from conftest import ROOT

from lskd_nmt.errors import LskdError, explain, one_line, reading, reason, require, require_file, writing
from lskd_nmt.storage.files import write_text


class Harmless:
    """An object that no safe reader makes."""


def raised(call, *arguments, **options):
    with pytest.raises(Exception) as caught:
        call(*arguments, **options)
    return caught.value


def deep_json():
    return json.loads("[" * 100_000)


def other_archive():
    return zipfile.ZipFile(io.BytesIO(b"PK\x03\x04 cut"))


def cut(pack, unpack):
    return lambda: unpack(pack(b"text" * 1000)[:-9])


def flipped_gzip():
    content = bytearray(gzip.compress(b"text" * 1000))
    content[-6] ^= 1  # of the checksum
    return gzip.decompress(bytes(content))


def foreign_pickle():
    torch.save({"x": Harmless()}, stream := io.BytesIO())
    return torch.load(io.BytesIO(stream.getvalue()), weights_only=True)


def object_array():
    np.save(stream := io.BytesIO(), np.array([{}]), allow_pickle=True)
    return np.load(io.BytesIO(stream.getvalue()), allow_pickle=False)


READERS = {
    "bytes": (b"ab\xff".decode, "not UTF-8, byte 3"),
    "json": (lambda: json.loads('{\n"a": }'), "line 2, column 6: Expecting value"),
    "nested": (deep_json, "nested too deeply"),
    "zip": (other_archive, "BadZipFile: File is not a zip file"),
    "tar": (lambda: tarfile.TarFile(fileobj=io.BytesIO(b"x" * 600)), "ReadError"),
    "cut gzip": (cut(gzip.compress, gzip.decompress), "end-of-stream"),
    "gzip's checksum": (flipped_gzip, "BadGzipFile: CRC check failed"),
    "zlib": (cut(zlib.compress, zlib.decompress), "error: Error -5"),
    "lzma": (lambda: lzma.decompress(b"no xz"), "LZMAError"),
    "pickle": (lambda: pickle.loads(b"\x80\x04X"), "it ends too early|pickle data was truncated"),
    "object": (foreign_pickle, "it holds test_errors.Harmless, which is not read because it could run code"),
    "object array": (object_array, "it holds Python objects, which is not read because it could run code"),
    "array": (lambda: np.load(io.BytesIO(b"\x93NUMPY\x01"), allow_pickle=False), "it ends too early|EOF|header"),
    "torch's zip": (lambda: torch.load(io.BytesIO(b"PK\x03\x04" + b"x" * 99), weights_only=True), "RuntimeError: Pyt"),
    "sentencepiece": (lambda: sentencepiece.SentencePieceProcessor(model_proto=b"xx"), "Error: "),
    "key": (lambda: {}["name"], "it lacks 'name'"),
    "type": (lambda: json.loads("3")["name"], "TypeError: 'int' object is not subscriptable"),
    "end": (lambda: raise_(EOFError()), "it ends too early"),
    "memory": (lambda: raise_(MemoryError()), "more memory than there is"),
    "silent": (lambda: raise_(AssertionError()), "AssertionError"),
}


def raise_(error):
    raise error


@pytest.mark.parametrize("kind", READERS)
def test_whatever_a_reader_raises_is_one_line_with_the_file_and_the_remedy(kind):
    reader, part = READERS[kind]
    with pytest.raises(LskdError) as caught, reading("f.bin", "store", "write it again"):
        reader()
    line = str(caught.value)
    assert line.startswith("f.bin is no readable store (") and line.endswith("): write it again")
    assert any(each in line for each in part.split("|")), line
    assert len(line) < 260 and line.isprintable()
    assert not any(word in line for word in ("weights_only", "allow_pickle", "safe_globals", "trust"))


def test_a_line_of_ours_passes_a_reader_unchanged_and_the_systems_errors_are_named():
    with pytest.raises(LskdError, match=r"^other: mend it$"), reading("f", "store"):
        require(False, "other: mend it")
    with pytest.raises(OSError) as caught, reading("f", "store"):
        raise OSError(errno.EIO, "Input/output error")
    assert explain(caught.value) == (
        "f: Input/output error: the disk or network reports a fault, copy the file elsewhere and run again"
    )


@pytest.mark.parametrize(
    "number", sorted(set(errno.errorcode) - {errno.EBADF, errno.EFAULT, errno.ENOTSOCK, errno.ECHILD, errno.ESRCH})
)
def test_every_error_of_the_system_names_its_file_on_one_line(number):
    line = explain(OSError(number, os.strerror(number), "a/b"))
    assert line is not None and line.startswith(f"a/b: {os.strerror(number)}") and line.isprintable()


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        TypeError("x"),
        ValueError("x"),
        AssertionError("x"),
        RuntimeError("x"),
        IndexError("x"),
        RecursionError("x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        OSError(errno.EBADF, "Bad file descriptor"),
        ModuleNotFoundError("x", name="lskd_nmt.none"),
    ],
)
def test_what_no_reader_claims_is_a_fault_of_ours_and_stays_a_traceback(error):
    assert explain(error) is None


@pytest.mark.parametrize(
    "error, part",
    [
        (MemoryError(), "not enough memory"),
        (
            RuntimeError("CUDA out of memory. Tried to\nallocate"),
            "not enough memory (RuntimeError: CUDA out of memory.",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0"), "o could not be written"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), "o could not be written: is the disk full?"),
        (RuntimeError("Symlink loop from '/tmp/a'"), "Symlink loop from '/tmp/a': remove the symbolic link"),
        (ModuleNotFoundError("No module named 'x'", name="x"), "module x is missing in this environment"),
        (UnicodeEncodeError("utf-8", "\udcff.json", 0, 1, "surrogates not allowed"), "cannot be written as utf-8"),
        (OSError(errno.ENOSPC, "No space left on device"), "o: No space left on device: free some and run again"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files: raise the limit of open files"),
        (shutil.Error([("a", "b", "why")]), "why"),
    ],
)
def test_what_the_machine_refuses_is_said(error, part):
    line = explain(error, "o")
    assert line is not None and part in line and line.isprintable()


def test_a_full_disk_names_what_was_written_and_never_what_was_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copied = OSError(errno.ENOSPC, "No space left on device", "source", None, "target")  # as shutil.copyfile has it
    assert explain(copied) == "target: No space left on device: free some and run again"
    with pytest.raises(OSError) as caught, writing("out.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert explain(caught.value).startswith("out.json: ")
    with pytest.raises(OSError) as caught, writing("target"):
        raise OSError(errno.ENOSPC, "No space left on device", "source")
    assert explain(caught.value).startswith("target: ")
    moved = OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")
    assert explain(moved) == "a to b: Invalid cross-device link"


def test_a_file_that_the_system_limits_is_named_and_nothing_is_left(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        error = raised(write_text, tmp_path / "big.json", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert explain(error).startswith(f"{tmp_path}/big.json: File too large: raise the limit")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_made_for_a_file_that_cannot_be_written_does_not_stay(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("a/b/file", "mine/file"):
        with pytest.raises(LskdError, match="file could not be written: is the disk full"), writing(tmp_path / name):
            raise RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]  # which was there, if empty
    with writing(tmp_path / "a" / "b" / "file"):
        (tmp_path / "a" / "b" / "file").write_text("x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError) as caught, writing(tmp_path / "file" / "x"):
        pass
    assert explain(caught.value).startswith(f"{tmp_path}/file: File exists")


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    paths = {name: tmp_path / name for name in ("file", "fifo", "socket", "loop", "dangling", "folder")}
    paths["file"].write_text("x")
    os.mkfifo(paths["fifo"])
    paths["loop"].symlink_to(paths["loop"])
    paths["dangling"].symlink_to(tmp_path / "nothing")
    paths["folder"].mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(tmp_path)  # a socket's path is short
        try:
            listener.bind("socket")
        finally:
            os.chdir(before)
    require_file(paths["file"], "x")
    says = {
        "fifo": "is a pipe (FIFO) where a file is meant: give it",
        "socket": "is a socket where",
        "loop": "Too many levels of symbolic links",
        "dangling": "is a link to nothing: give it",
        "folder": "is a folder where a file is meant: give it",
    }
    for name, part in says.items():
        with pytest.raises(LskdError) as caught:
            require_file(paths[name], "give it")
        assert str(paths[name]) in str(caught.value) and part in str(caught.value)
    for path, part in {
        "/dev/null": "is a device",
        tmp_path / "none": "does not exist",
        "a\0b": "cannot be a path",
        tmp_path / ("x" * 300): "File name too long",
    }.items():
        with pytest.raises(LskdError, match=part):
            require_file(path, "give it")
    with pytest.raises(LskdError, match="is a pipe"):
        require_file(paths["fifo"], "give it", stream=True)


def test_a_pipe_of_the_shell_is_welcome_where_a_stream_is_read_once():
    read, write = os.pipe()
    try:
        require_file(f"/dev/fd/{read}", "x", stream=True)
        with pytest.raises(LskdError, match="is a pipe"):
            require_file(f"/dev/fd/{read}", "x")
    finally:
        os.close(read)
        os.close(write)


def test_a_message_of_another_library_is_folded_and_cut():
    text = "\x1b[1mone\x1b[0m\n\n  two\r\x07\u2028three\u202e four \x9b end"
    assert one_line(text) == "one two three four end"
    assert one_line("x" * 500, 200) == "x" * 199 + "…"
    assert len(reason(ValueError("word " * 500))) < 220
    assert reason(RuntimeError("no file\nException raised from f at a.cpp:3")) == "RuntimeError: no file"


@pytest.mark.parametrize(
    "redirect, code, part",
    [
        (">/dev/full", 2, "lskd toy: error: standard output: No space left on device"),
        ("| true", 141, ""),
        (">&-", 0, ""),
    ],
)
def test_standard_output_that_takes_nothing(redirect, code, part, tmp_path):
    words = ["toy", "--source-lang", "en", "--target-lang", "de", "--out", str(tmp_path / "toy"), "--train", "9"]
    script = f'set -o pipefail; "$@" --valid 3 --test 3 {redirect}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", "lskd_nmt.cli", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == bool(part) and part in done.stderr


def test_a_traceback_is_shown_beside_the_line_to_who_asks(capsys, monkeypatch):
    explain(LskdError("mend it"))
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("LSKD_TRACEBACK", "1")
    assert explain(LskdError("mend it")) == "mend it"
    assert "LskdError: mend it" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_written_is_named_and_leaves_nothing(data, refused, tmp_path, caplog):
    import resource

    from conftest import train

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with refused() as line:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            train(data, tmp_path / "saved", "--kd-weight", 0, "--max-epoch", 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"{tmp_path}/saved/checkpoint" in line[0] and "File too large: raise the limit" in line[0]
    assert "Traceback" not in caplog.text
    assert list((tmp_path / "saved").iterdir()) == []
