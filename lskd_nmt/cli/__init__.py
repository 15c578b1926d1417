"""`lskd VERB`: the only place that parses arguments, prints and exits.

Each verb reads files, calls one function, writes files and prints one JSON line.
A module of verbs is one file here with `register(verbs)`; `verbs.py` lists them all, in groups, with examples.
"""

import contextlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from lskd_nmt import __version__
from lskd_nmt.cli.common import Terminated, terminable
from lskd_nmt.cli.verbs import Parser, arrange
from lskd_nmt.errors import explain

MODULES = (
    "data",
    "doctor",
    "experiment",
    "scripts",
    "test_sets",
    "forecast",
    "table",
    "report",
    "track",
    "import_teacher",
    "trim",
    "init_student",
    "teacher_store",
    "seqkd",
    "deploy",
    "translate",
    "features",
    "geometry",
    "diagnose",
    "robustness",
    "analyse_run",
)
ALONE = {"translate": "translate"}  # verbs that people wait for: of these nothing but their own module is imported
STDOUT = "standard output"


def build_parser(verb: str = "") -> Parser:
    """The parser of `lskd` with every verb registered, or with one of `ALONE`."""
    parser = Parser(
        prog="lskd",
        description="Distillation for neural machine translation, verb by verb: each reads files, writes files and "
        "prints one line of JSON. data-prep/prepare.sh and experiments/run.sh call them in order.",
    )
    parser.add_argument("--version", action="version", version=f"lskd_nmt {__version__}")
    about = "one of those below: `lskd VERB --help` shows its options and an example"
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", help=about)
    for module in [ALONE[verb]] if verb in ALONE else MODULES:
        import_module(f"lskd_nmt.cli.{module}").register(verbs)
    arrange(parser, verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; 0 on success, 2 with one line on stderr for what the user can fix.

    A reader that has seen enough, such as `head`, ends a verb in silence, with the exit code of other programs.
    """
    words = sys.argv[1:] if argv is None else argv
    args = build_parser(words[0] if words else "").parse_args(words)
    args.command = shlex.join(["lskd", *words])
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(write_through=False)  # else PYTHONUNBUFFERED fails in `print`, which names no file
    try:
        try:
            with terminable():
                args.run(args)
        finally:
            flush()  # here its errors can be told; later they are remarks of the interpreter's
    except KeyboardInterrupt as stopped:
        print(f"lskd {args.verb}: interrupted: the same command continues", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)
    except BrokenPipeError:
        silence()
        return 128 + signal.SIGPIPE
    except Exception as error:
        line = explain(error, getattr(args, "out", None) or STDOUT)
        if line is None:
            raise
        with contextlib.suppress(OSError):
            flush()
        print(f"lskd {args.verb}: error: {line}", file=sys.stderr)
        return 2
    return 0


def flush() -> None:
    """Print what was printed; a closed standard output has nothing."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError as error:
            error.filename = STDOUT
            silence()
            raise


def silence() -> None:
    """Throw away what is still to be printed, which the interpreter would try, and complain about, at its end."""
    with contextlib.suppress(OSError):  # a test's stdout is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
