"""Verb over all that a run has: `analyse`."""

import argparse
import contextlib
import io
import json
import shlex
from pathlib import Path

from lskd_nmt import cli, fairseq_io
from lskd_nmt.analysis.run_steps import Analyses
from lskd_nmt.cli.common import show, verb_of, whole
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import run
from lskd_nmt.storage import files


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "every analysis of every trained model of a run, with features first; what is there and not outdated stays"
    verb = verb_of(verbs, "analyse", about, run_analyse)
    verb.add_argument("folder", type=Path, metavar="RUN")
    verb.add_argument("--tokens", type=whole(1), default=120_000, help="of train, in a sample (default: %(default)s)")
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    verb.add_argument("--dry-run", action="store_true", help="only print the commands")


def run_analyse(args: argparse.Namespace) -> None:
    """`lskd analyse RUN`: RUN/features, and RUN/analysis with its commands.txt."""
    analyses = Analyses(run.Run(args.folder), args.tokens, args.device)
    steps, made = analyses.steps(), 0
    lines = [shlex.join(["lskd", *step.words]) for step in steps]
    if args.dry_run:
        print("\n".join(lines))
        return
    files.write_text(analyses.out / "commands.txt", "\n".join(lines) + "\n")
    for number, (step, line) in enumerate(zip(steps, lines, strict=True), 1):
        if step.is_done:
            continue
        show(f"{number} of {len(steps)}: {line}")
        step.output.unlink(missing_ok=True)  # outdated: a folder with the header of other features would be refused
        with fairseq_io.quiet(), contextlib.redirect_stdout(io.StringIO()):  # one line of JSON for all of them
            code = cli.main(step.words)
        if code:
            raise LskdError(f"{line} failed: see above; what is done stays done")
        made += 1
    print(json.dumps({"analysis": str(analyses.out), "made": made, "kept": len(steps) - made}))
