"""The verb `translate`: lines of standard input into lines of standard output."""

import argparse
import math
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lskd_nmt.cli.common import show, verb_of, whole
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.data.bitext import count_lines
from lskd_nmt.errors import LskdError, require
from lskd_nmt.progress import Progress

if TYPE_CHECKING:
    from lskd_nmt.deploy.translate import Translation, Translator

SHOWN = 5  # bad lines that are named
MOST_THREADS = 1024
BLOCK = 1 << 16  # bytes that are read at a time


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "translate standard input, line by line, with an exported CTranslate2 model"
    verb = verb_of(verbs, "translate", about, run)
    verb.add_argument("model", type=Path, metavar="MODEL")
    verb.add_argument("--beam", type=int, default=5, help="(default: %(default)s)")
    verb.add_argument("--nbest", type=int, default=1, help="'line ||| translation ||| score' if above 1")
    verb.add_argument(
        "--device", default="cpu", help="cpu, cuda, or auto: a GPU if there is one (default: %(default)s)"
    )
    about = "what the model computes in, such as int8, float32 or float16 (default: as it was exported)"
    verb.add_argument("--compute-type", default="default", metavar="TYPE", help=about)
    about = "batches that are translated at a time (default: one for each core, or 1 with --threads or on a GPU)"
    verb.add_argument("--workers", type=whole(0), default=0, metavar="N", help=about)
    about = "of one batch on the CPU (default: 1, and a worker for each core)"
    verb.add_argument("--threads", type=whole(0), default=0, metavar="N", help=about)
    about = "padded source subwords of a batch (default: %(default)s)"
    verb.add_argument(
        "--max-batch-tokens",
        "--batch-tokens",
        dest="batch_tokens",
        type=whole(1),
        default=1024,
        metavar="N",
        help=about,
    )
    about = "keep blank lines, the white space around lines, and their ends: the output has the shape of the input"
    verb.add_argument("--document", action="store_true", help=about)
    about = "add ' ||| 0-0 1-2', pairs of words of source and translation, counted from 0, by the model's attention"
    verb.add_argument("--alignment", action="store_true", help=about)
    about = "choose from all target symbols, where the model was exported with a vocabulary map"
    verb.add_argument("--no-vocabulary-map", action="store_true", help=about)
    about = "do not split lines into sentences, each of which is translated by itself"
    verb.add_argument("--one-sentence-a-line", action="store_true", help=about)
    about = (
        "what to do at a line that is not UTF-8: stop, answer it by an empty line, or translate it with U+FFFD for its "
        "bad bytes (default: empty, and exit code 2 at the end)"
    )
    verb.add_argument("--bad-lines", choices=("refuse", "empty", "replace"), help=about)


def run(args: argparse.Namespace) -> None:
    """`lskd translate MODEL < in > out`."""
    from lskd_nmt.deploy.translate import Translator

    require(
        not args.document or (args.nbest == 1 and not args.alignment),
        "--document prints one text: leave --nbest and --alignment out, or leave --document out",
    )
    require(args.threads <= MOST_THREADS, f"--threads is {args.threads}: give 1 to {MOST_THREADS}, or 0 for all")
    require(sys.stdin is not None, "standard input is closed: give the text on it, a sentence or more a line")
    require(sys.stdout is not None, "standard output is closed: send the translations to a file, or to a program")
    translator = Translator(
        args.model,
        args.device,
        args.threads,
        args.one_sentence_a_line,
        args.workers,
        args.compute_type,
        args.batch_tokens,
        not args.no_vocabulary_map,
    )
    if not translator.is_sealed:
        show(f"{args.model} has no hashes, as older versions made it: its files cannot be proved to be those exported")
    bad, progress = BadLines(args.bad_lines), progress_of_input()
    source = Input(sys.stdin.buffer)
    for group in answers(translator, args, bad.decoded(source, ends=args.document), source.ready):
        sys.stdout.buffer.write("".join(group).encode())  # UTF-8 whatever the locale
        sys.stdout.buffer.flush()
        if progress is not None:
            progress.add(len(group))
    bad.complain()


def answers(
    translator: "Translator", args: argparse.Namespace, lines: Iterator[str], ready: Callable[[float | None], bool]
) -> Iterator[list[str]]:
    """What is printed for each line, all that is there together."""
    if args.document:
        yield from translator.document_groups(lines, args.beam, ready)
        return
    numbers = count()
    for group in translator.groups(lines, args.beam, args.nbest, ready, args.alignment):
        numbered = zip(group, numbers, strict=False)
        yield ["".join(printed(each, number, args) for each in best) for best, number in numbered]


def printed(translation: "Translation", number: int, args: argparse.Namespace) -> str:
    """A translation as it is printed, with its end."""
    rich = [str(number), translation.text, f"{translation.score:.4f}"]
    parts = [translation.text] if args.nbest == 1 else rich
    if args.alignment:
        parts.append(" ".join(f"{source}-{target}" for source, target in translation.words().pairs))
    return " ||| ".join(parts) + "\n"


def progress_of_input() -> Progress | None:
    """What says how far it is with a file, or with a pipe if somebody watches; nothing where answers show it."""
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
        watched = sys.stderr is not None and sys.stderr.isatty()
        if sys.stdout.isatty() or stat.S_ISCHR(kind) or not (stat.S_ISREG(kind) or watched):
            return None
        total = count_lines(Path(f"/dev/fd/{sys.stdin.fileno()}")) if stat.S_ISREG(kind) else math.inf
    except (OSError, ValueError):  # no open files
        return None
    return Progress(total, "lines", show, brief=False)


class Input:
    """The lines of a stream with their ends, which tells whether the next one is there."""

    def __init__(self, stream: BinaryIO) -> None:
        """A stream that is no open file, as in tests, is always ready."""
        self.stream, self.file = stream, open_file(stream)
        self.lines: list[bytes] = []  # that are there, the last one first
        self.begun: list[bytes] = []  # parts of the line that has not ended
        self.is_over = False

    def ready(self, seconds: float | None = None) -> bool:
        """Whether there is a line, or the end of all, after so many seconds at most; None waits for it."""
        if self.lines or self.is_over or self.file is None:
            return True
        until = None if seconds is None else time.monotonic() + seconds
        while select.select([self.file], [], [], seconds)[0]:
            self.read(self.file)
            if self.lines or self.is_over:
                return True
            seconds = until and max(0.0, until - time.monotonic())
        return False

    def read(self, file: int) -> None:
        """What is there."""
        block = os.read(file, BLOCK)
        self.is_over = not block
        first, *others = block.split(b"\n")
        self.begun.append(first)
        if others or self.is_over:
            last = others.pop() if others else b""
            whole = b"".join(self.begun)
            self.lines = [line + b"\n" for line in reversed(others)] + [whole + b"\n" if block else whole]
            self.begun = [last]
            self.lines = [line for line in self.lines if line]  # no line follows the last line feed

    def __iter__(self) -> Iterator[bytes]:
        """All lines, each when it is there."""
        if self.file is None:
            yield from self.stream
        while self.file is not None and self.ready() and self.lines:
            yield self.lines.pop()


def open_file(stream: BinaryIO) -> int | None:
    """The number of the open file that a stream reads."""
    try:
        return stream.fileno()
    except OSError:
        return None


class BadLines:
    """What is done about lines of the input that are not UTF-8; only a line feed ends a line."""

    def __init__(self, way: str | None) -> None:
        """`way` is one of --bad-lines; without one (None) they are answered as with `empty`, and complained about."""
        self.way = way
        self.first: list[tuple[int, int]] = []  # numbers of lines, and of their first bad byte
        self.count = 0

    def decoded(self, lines: Iterable[bytes], ends: bool = False) -> Iterator[str]:
        """The lines as text, with their ends or without them; of one that is answered by an empty line the end."""
        for number, line in enumerate(lines, 1):
            body = line.removesuffix(b"\n")
            end = "\n" if ends and line.endswith(b"\n") else ""
            try:
                yield body.decode("utf-8") + end
            except UnicodeDecodeError as error:
                self.count += 1
                if self.count <= SHOWN:
                    self.first.append((number, error.start + 1))
                if self.way == "refuse":
                    return
                if self.count <= SHOWN:
                    how = "with U+FFFD for its bad bytes" if self.way == "replace" else "by an empty line"
                    show(f"line {number} of the input is not UTF-8 (byte {error.start + 1}): answered {how}")
                yield (body.decode("utf-8", "replace") if self.way == "replace" else "") + end

    def complain(self) -> None:
        """Refuse bad lines, unless the user has said how to answer them."""
        if not self.count or self.way in ("empty", "replace"):
            return
        number, byte = self.first[0]
        advice = "convert the input, for example iconv -f latin1 -t utf-8, or say what to do with --bad-lines"
        if self.way == "refuse":
            where = f"line {number} of the input is not UTF-8 (byte {byte})"
            raise LskdError(f"{where}, and only the lines before it are answered: {advice}")
        numbers = ", ".join(str(each) for each, _ in self.first) + (", …" if self.count > len(self.first) else "")
        raise LskdError(f"{self.count} of the input's lines not UTF-8, answered by empty lines ({numbers}): {advice}")
