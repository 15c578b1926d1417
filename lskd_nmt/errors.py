"""What the user can fix, as opposed to what we got wrong (an `assert`, or any exception that nobody turned).

Three things turn what Python and other libraries raise into our one line, and nothing else has to:
`reading(file, what)` around the code that reads a user's file: whatever that raises, the file is at fault;
`writing(file)` around the code that writes one: the operating system's errors then name that file;
`explain(error)` where a program ends: the operating system and the machine's memory, wherever they say no.
Every other exception is a fault of ours and keeps its traceback. `LSKD_TRACEBACK=1` shows it for the others, too.
"""

import contextlib
import errno
import json
import os
import re
import stat
import traceback
import unicodedata
from collections.abc import Iterator
from pathlib import Path

LONGEST = 200  # characters quoted of another library's message
OWN_FAULTS = (errno.EBADF, errno.EFAULT, errno.ENOTSOCK, errno.ECHILD, errno.ESRCH)  # of the system: we asked wrongly
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OF_WRITING = (*FULL, errno.EIO, errno.EROFS)
ADVICE = {
    errno.ENOSPC: "free some and run again",
    errno.EDQUOT: "free some and run again",
    errno.EIO: "the disk or network reports a fault, copy the file elsewhere and run again",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "change the rights, or choose another place",
    errno.EPERM: "change the rights, or choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "a symbolic link leads to itself, remove it",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or write to another disk",
    errno.ESTALE: "the network's file is gone, mount it again",
    errno.ENOMEM: "use a machine with more memory, or smaller batches",
    errno.EAGAIN: "end other programs, or raise the limit of processes (ulimit -u)",
}
ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")
ENDINGS = re.compile(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*")
# words of messages that advise to read a file without safety: such a message is never quoted
UNSAFE = re.compile(r"weights_only|weights only|allow_pickle|safe_globals|trust|arbitrary code", re.IGNORECASE)
FOREIGN = re.compile(r"GLOBAL ([\w.]+)|global ([\w.]+) was not|[Cc]an only \w+ ([\w.]+)")
TORCH_WRITES = re.compile(r"PytorchStreamWriter|unexpected pos \d+ vs \d+")
TORCH_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


class Target(str):
    """The file that an error is about, once the innermost `writing` has named it: where two are open at a time."""

    __slots__ = ()


class LskdError(Exception):
    """The user can fix this: it is shown on one line, without a traceback, with exit code 2."""


def require(condition: bool, message: str) -> None:
    """Raise `LskdError(message)` unless `condition` holds."""
    if not condition:
        raise LskdError(message)


def require_file(path: str | Path, remedy: str, *, stream: bool = False) -> None:
    """Refuse, before it is opened, what is no regular file; a FIFO would be waited for without an end.

    `stream`: a pipe that the shell gave by its number is welcome, such as bash's <(command); it can be read once.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        what = "is a link to nothing" if os.path.islink(path) else "does not exist"
        raise LskdError(f"{path} {what}: {remedy}") from None
    except ValueError:  # a NUL inside
        raise LskdError(f"{path!r} cannot be a path: {remedy}") from None
    except OSError as error:
        raise LskdError(of_system(error, path)) from None
    if stat.S_ISREG(mode) or (stream and os.path.realpath(path).startswith(("/proc/", "/dev/"))):
        return
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe (FIFO)", stat.S_IFSOCK: "socket"}
    raise LskdError(f"{path} is a {kinds.get(stat.S_IFMT(mode), 'device')} where a file is meant: {remedy}")


@contextlib.contextmanager
def reading(file: object, what: str, remedy: str = "give another file, or make it again") -> Iterator[None]:
    """Whatever a reader of the user's file raises, as one line: the file is no readable `what`, why, and the remedy.

    Errors that are one line already pass; those of the operating system are given the file's name.
    """
    try:
        yield
    except LskdError:
        raise
    except OSError as error:
        if error.errno is None:  # of a library, such as gzip's and sentencepiece's
            raise LskdError(f"{file} is no readable {what} ({reason(error)}): {remedy}") from error
        if error.filename is None:
            error.filename = str(file)
        raise
    except Exception as error:
        raise LskdError(f"{file} is no readable {what} ({reason(error)}): {remedy}") from error


@contextlib.contextmanager
def writing(file: str | Path) -> Iterator[None]:
    """Make the folder of a file that is written; errors of the operating system name the file, never what was read.

    A folder that was made for it does not stay behind empty.
    """
    made = [folder for folder in Path(file).absolute().parents if not folder.exists()]
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        is_named = isinstance(error, OSError) and isinstance(error.filename, Target)
        if isinstance(error, OSError) and error.errno is not None and not is_named:
            named_else = error.filename is not None and error.errno not in FULL
            error.filename = error.filename if named_else else Target(file)
            error.filename2 = error.filename2 if named_else else None
        if isinstance(error, RuntimeError) and TORCH_WRITES.search(str(error)):
            raise LskdError(f"{file} could not be written: is the disk full? Free some and run again") from error
        raise


def explain(error: BaseException, target: object = None) -> str | None:
    """One line about an error that the user can fix, or None for one of ours, which should stay a traceback.

    `target` is what the program was writing, for errors of writing that name no file.
    """
    text = str(error)
    line = None
    if isinstance(error, LskdError):
        line = text
    elif isinstance(error, OSError):
        line = None if error.errno in OWN_FAULTS else of_system(error, target)
    elif isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and TORCH_MEMORY.search(text)):
        line = f"not enough memory ({reason(error)}): use a machine with more, or smaller batches"
    elif isinstance(error, RuntimeError) and TORCH_WRITES.search(text):
        line = f"{target or 'a file'} could not be written: is the disk full? Free some and run again"
    elif isinstance(error, RuntimeError) and text.startswith("Symlink loop"):  # of Path.resolve
        line = f"{text}: remove the symbolic link"
    elif isinstance(error, UnicodeEncodeError):
        found = error.object[error.start : error.start + 20]
        line = f"{found!r} cannot be written as {error.encoding}: give names and text in UTF-8, and a UTF-8 locale"
    elif isinstance(error, ModuleNotFoundError) and not (error.name or "lskd_nmt").startswith(("lskd_nmt", "user_dir")):
        line = f"Python's module {error.name} is missing in this environment: install it as the README says"
    if line is not None and os.environ.get("LSKD_TRACEBACK"):
        traceback.print_exception(error)
    return None if line is None else one_line(line, 10 * LONGEST)


def of_system(error: OSError, target: object = None) -> str:
    """One line about an error of the operating system: the file, what it says, and what would do."""
    if error.errno is None:
        return reason(error)
    names = [name for name in (error.filename, error.filename2) if name is not None]
    if error.errno in FULL and len(names) == 2:
        names = names[1:]  # a copy: the first is what was read
    shown = " to ".join(map(shown_path, names)) or (str(target or "") if error.errno in OF_WRITING else "")
    return ": ".join(filter(None, (shown, error.strerror or type(error).__name__, ADVICE.get(error.errno))))


def shown_path(name: object) -> str:
    """A path of an OSError as text; a number is an open file."""
    if isinstance(name, int):
        return f"open file {name}"
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def reason(error: BaseException) -> str:
    """Why a file could not be read, in a few words without line ends, escape codes or advice to be careless."""
    text = one_line(str(error).partition("Exception raised from")[0], LONGEST)  # after it, C++ names its callers
    if UNSAFE.search(str(error)):
        foreign = FOREIGN.search(str(error))
        held = next(filter(None, foreign.groups())).rstrip(".") if foreign else "Python objects"
        return f"it holds {held}, which is not read because it could run code"
    if isinstance(error, OSError) and error.errno is not None:
        return of_system(error)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError | EOFError) and not text:
        return "it ends too early" if isinstance(error, EOFError) else "it asks for more memory than there is"
    if isinstance(error, KeyError):
        return f"it lacks {text}"
    if isinstance(error, json.JSONDecodeError):
        text = f"line {error.lineno}, column {error.colno}: {error.msg}"
    elif isinstance(error, UnicodeDecodeError):
        text = f"not {error.encoding.upper()}, byte {error.start + 1}"
    elif not isinstance(error, MemoryError | EOFError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


def one_line(text: str, longest: int | None = None) -> str:
    """Text without line ends, escape codes and control characters, cut to so many characters."""
    text = ENDINGS.sub(" ", ESCAPE.sub("", text)).strip()
    text = "".join(c for c in text if c in "\u200c\u200d" or unicodedata.category(c) != "Cf")  # direction marks
    return text if longest is None or len(text) <= longest else text[: longest - 1].rstrip() + "…"
