"""`lskd VERB`: the only place that parses arguments, prints and exits.

Each verb reads files, calls one function, writes files and prints one JSON line.
A module of verbs is one file here with `register(verbs)`.
"""

import argparse
import errno
import shlex
import sys
from collections.abc import Sequence

from lskd_nmt import __version__
from lskd_nmt.cli import (
    analyse,
    analysis,
    data,
    diagnose,
    doctor,
    experiment,
    forecast,
    report,
    seqkd,
    ship,
    store,
    table,
    why,
)
from lskd_nmt.errors import LskdError

# of the operating system, that the user can fix
KNOWN = (errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EISDIR, errno.ENOTDIR)


def build_parser() -> argparse.ArgumentParser:
    """The parser of `lskd`, with every verb registered."""
    parser = argparse.ArgumentParser(
        prog="lskd",
        description="Distillation for neural machine translation, verb by verb: each reads files, writes files and "
        "prints one line of JSON. data-prep/prepare.sh and experiments/run.sh call them in order.",
    )
    parser.add_argument("--version", action="version", version=f"lskd_nmt {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    data.register(verbs)
    doctor.register(verbs)
    experiment.register(verbs)
    forecast.register(verbs)
    table.register(verbs)
    report.register(verbs)
    store.register(verbs)
    seqkd.register(verbs)
    ship.register(verbs)
    analysis.register(verbs)
    why.register(verbs)
    diagnose.register(verbs)
    analyse.register(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; 0 on success, 2 with one line on stderr for what the user can fix."""
    args = build_parser().parse_args(argv)
    args.command = shlex.join(["lskd", *(sys.argv[1:] if argv is None else argv)])
    try:
        args.run(args)
    except LskdError as error:
        print(f"lskd {args.verb}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"lskd {args.verb}: interrupted: the same command continues", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in KNOWN:
            raise
        where = f"{error.filename}: " if error.filename else ""
        advice = ": free some and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"lskd {args.verb}: error: {where}{error.strerror}{advice}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
