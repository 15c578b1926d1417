"""Verbs of test sets: `score-set`."""

import argparse
import sys
from pathlib import Path

from lskd_nmt.cli.common import answer, held, show, verb_of
from lskd_nmt.cli.experiment import log, teller
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.evaluate.records import read_metrics
from lskd_nmt.experiment import run_metrics, set_steps, steps
from lskd_nmt.experiment.in_train import in_train
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import read_lines


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    text = "give a finished run a further test set: every model translates it, and is scored"
    later = verb_of(verbs, "score-set", text, run_score_set)
    later.add_argument("folder", type=Path, metavar="RUN")
    later.add_argument("--name", required=True, help="of the test set")
    later.add_argument("--source", type=Path, required=True, metavar="FILE", help="a sentence a line")
    about = "its translations, line by line; again for several references of each sentence"
    later.add_argument("--reference", type=Path, required=True, action="append", metavar="FILE", help=about)
    later.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto", help="where it is decoded")
    later.add_argument("--workers", type=int, default=0, metavar="N", help="that translate; 0: as many as fit")


def run_score_set(args: argparse.Namespace) -> None:
    """`lskd score-set RUN --name NAME --source FILE --reference FILE`: every model has scores on it."""
    machine = steps.Machine(args.device, args.workers, ("--cpu",) if args.device == "cpu" else ())
    Run(args.folder)  # what is no run folder is refused before a lock is left in it
    with held(args.folder, "wait for it"):
        view = set_steps.add_set(Run(args.folder), args.name, args.source, args.reference)
        names, code = set_steps.score_set(view, machine, teller, log)
        if code:
            sys.exit(code)
        run_metrics.add(view, run_metrics.wanted(view.plan), show, names)
    scores = {name: read_metrics(view.results(name) / "metrics.json").scores["bleu"].score for name in names}
    known = in_train(view)
    counted = {} if known is None else {"in_train": {"pairs": known.pairs, "sources": known.sources}}
    answer(set=args.name, sentences=len(read_lines(view.text("test", "source"))), **counted, bleu=scores)
