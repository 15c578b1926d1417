"""Output folders: one writer at a time, and nothing is removed that its own verb did not make.

A folder's lock is `.NAME.lskd-lock` beside it, there while somebody writes; its mark is `.made-by-lskd` inside, which
names what made the folder. Folders made before there were marks are known by a file that only their maker writes.
"""

import fcntl
import glob
import os
import shutil
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lskd_nmt.errors import LskdError, require

MARK = ".made-by-lskd"


@contextmanager
def hold(out: Path, what: str) -> Iterator[bool]:
    """Be the only writer of `out`, a folder or a file that need not be there yet; `LskdError` names who holds it.

    `what` is who writes, such as `lskd teacher-store`. A process that dies lets go. Where the file system knows no
    locks, or the folder around `out` may not be written to, the work goes on without: false.
    """
    place = out.resolve()
    is_new = not place.exists()
    made = [folder for folder in place.parents if not folder.exists()]  # the innermost first
    lock = place.parent / f".{place.name}.lskd-lock"
    held = None
    try:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            held = _locked(lock, out)
        if held is not None:
            os.ftruncate(held, 0)
            os.pwrite(held, f"process {os.getpid()} on {socket.gethostname()} ({what})\n".encode(), 0)
        yield held is not None
    finally:
        with suppress(OSError):  # no folder
            if os.listdir(place) == [MARK]:  # nothing came of it
                (place / MARK).unlink()
                if is_new:
                    place.rmdir()
        if held is not None:
            lock.unlink(missing_ok=True)  # while it is held: who opened it meanwhile finds that it is gone
            os.close(held)
        for folder in made:
            with suppress(OSError):  # in use
                folder.rmdir()


def _locked(lock: Path, out: Path) -> int:
    """An open file that is locked and is the one at `lock`; OSError where there are no locks."""
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(f"{lock} is no file")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(file), lock.stat()):
                return file
        except BlockingIOError:
            who = os.pread(file, 500, 0).decode(errors="replace").strip() or "another process"
            os.close(file)
            raise LskdError(f"{out} is being written by {who}: wait for it, or give another --out") from None
        except OSError:
            os.close(file)
            raise
        os.close(file)  # its holder has just removed it


def is_own(folder: Path, what: str, known: Sequence[str] = ()) -> bool:
    """Whether `what` made the folder: by its mark, or by a file of a name in `known`."""
    mark = folder / MARK
    return (mark.is_file() and mark.read_text(encoding="utf-8", errors="replace").strip() == what) or any(
        (folder / name).is_file() for name in known
    )


def require_own(folder: Path, what: str, known: Sequence[str] = ()) -> None:
    """Refuse a folder with content that `what` did not make; `known` are files that tell that it did."""
    require(
        folder.is_dir() or not (folder.exists() or folder.is_symlink()),
        f"--out {folder} is there and is no folder: give a new or an empty folder",
    )
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    require(
        not names or is_own(folder, what, known),
        f"--out {folder} holds files that {what} did not make (first: {names[0] if names else ''}): "
        "give a new or an empty folder",
    )


def mark(folder: Path, what: str) -> None:
    """Make the folder, and write into it that `what` made it: `what` may remove it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(what + "\n", encoding="utf-8")


def remove_own(folder: Path, what: str, known: Sequence[str] = ()) -> None:
    """Remove a folder that `what` made, if it is there; another one is refused."""
    require_own(folder, what, known)
    require(not folder.is_symlink(), f"--out {folder} is a link: give the folder that it names")
    if folder.is_dir():
        shutil.rmtree(folder)


@contextmanager
def part_of(out: Path, what: str, held: bool = True) -> Iterator[Path]:
    """A new folder beside `out` to make its content in, which is then renamed to `out`; the rest is removed at the end.

    Such folders of killed processes are removed first, if `out` is `held` (see `hold`): nobody can be at work then.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for stale in out.parent.glob(f"{glob.escape(out.name)}.part.*") if held else ():
        if not stale.is_symlink() and is_own(stale, what):
            shutil.rmtree(stale, ignore_errors=True)
    with TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.part.", ignore_cleanup_errors=True) as folder:
        mark(Path(folder), what)
        yield Path(folder)
