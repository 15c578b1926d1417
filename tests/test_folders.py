"""Output folders: one writer at a time, which dies without trace; nothing goes that its own verb did not make."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.storage import folders

HOLDER = """
import sys, time
from pathlib import Path
from lskd_nmt.storage import folders
with folders.hold(Path(sys.argv[1]), "the first verb") as held, folders.part_of(Path(sys.argv[1]), "a verb", held):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that writes tmp_path/new/out, inside of a part folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "new" / "out"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_told_who_the_first_is_until_that_one_is_killed(tmp_path, holder, monkeypatch):
    out = tmp_path / "new" / "out"
    with (
        pytest.raises(LskdError, match=rf"out is being written by process {holder.pid} on .*the first verb.*: wait"),
        folders.hold(out, "second"),
    ):
        pass
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LskdError), folders.hold(Path("new/../new/out"), "the same place by another name"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert len(list(out.parent.glob("out.part.*"))) == 1
    foreign = out.parent / "out.part.of-the-user"
    foreign.mkdir()
    with folders.hold(out, "third") as held, folders.part_of(out, "a verb", held) as part:
        assert held
        assert sorted(out.parent.glob("out.part.*")) == sorted([part, foreign])  # what the killed one left is gone
        (part / "content").mkdir()
        (part / "content").rename(out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out", "out.part.of-the-user"]


def test_a_hold_leaves_nothing_neither_lock_nor_the_folders_above(tmp_path):
    with folders.hold(tmp_path / "a" / "b" / "out", "verb") as held:
        assert held
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with folders.hold(tmp_path / "a" / "out", "verb"):
        folders.mark(tmp_path / "a" / "out", "verb")
    assert list(tmp_path.iterdir()) == []  # nothing came of it
    (tmp_path / "mine").mkdir()
    with folders.hold(tmp_path / "mine", "verb"):
        folders.mark(tmp_path / "mine", "verb")
    assert list((tmp_path / "mine").iterdir()) == []
    with folders.hold(tmp_path / "a" / "out", "verb"):
        folders.mark(tmp_path / "a" / "out", "verb")
        (tmp_path / "a" / "out" / "result").touch()
    assert sorted(path.name for path in (tmp_path / "a" / "out").iterdir()) == [folders.MARK, "result"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda lock: lock.symlink_to("somewhere")])
def test_what_stands_in_the_place_of_a_lock_is_neither_touched_nor_a_reason_to_refuse(tmp_path, make):
    lock = tmp_path / ".out.lskd-lock"
    make(lock)
    with folders.hold(tmp_path / "out", "verb") as held:
        assert not held
    assert os.path.lexists(lock)
    assert not (tmp_path / "somewhere").exists()


def test_a_file_system_without_locks_is_worked_on_all_the_same(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with folders.hold(tmp_path / "out", "verb") as held:
        assert not held


def test_only_what_is_marked_or_known_is_own(tmp_path):
    out = tmp_path / "out"
    folders.require_own(out, "lskd clean")
    out.mkdir()
    folders.require_own(out, "lskd clean")
    (out / "thesis.tex").write_text("mine")
    for refuse in (folders.require_own, folders.remove_own):
        with pytest.raises(LskdError, match=r"holds files that lskd clean did not make \(first: thesis.tex\)"):
            refuse(out, "lskd clean", ["dropped.json"])
    folders.mark(out, "lskd features")
    with pytest.raises(LskdError, match="did not make"):
        folders.remove_own(out, "lskd clean")
    (out / "dropped.json").write_text("{}")
    folders.require_own(out, "lskd clean", ["dropped.json"])  # made before there were marks
    assert (out / "thesis.tex").is_file()
    folders.remove_own(out, "lskd features")
    assert not out.exists()


def test_a_link_is_not_removed_nor_followed_and_a_file_is_no_folder(tmp_path):
    folders.mark(tmp_path / "real", "verb")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(LskdError, match="is a link"):
        folders.remove_own(tmp_path / "link", "verb")
    (tmp_path / "file").write_text("")
    for name, there in (("file", ""), ("dangling", "nowhere")):
        if there:
            (tmp_path / name).symlink_to(there)
        with pytest.raises(LskdError, match="is no folder"):
            folders.require_own(tmp_path / name, "verb")
    assert (tmp_path / "real" / folders.MARK).is_file()
