"""Verb over defects of translations that no score shows, and over small changes of the source: `robustness`."""

import argparse
import os
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import answer, show, verb_of, whole, write
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.storage.files import write_text
from lskd_nmt.storage.typed import to_json

DEVICES = {"auto": "auto", "cpu": "cpu", "cuda": "gpu"}


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = (
        "defects of the translations of a run's models, and what small changes of the source do to them; a changed "
        "source is translated once, and kept in RUN/robustness"
    )
    verb = verb_of(verbs, "robustness", about, run_robustness)
    verb.add_argument("folder", type=Path, metavar="RUN")
    verb.add_argument("--set", metavar="NAME", help="the test set (default: the main one)")
    place = "(default: RUN/analysis, of a further test set RUN/analysis/sets/NAME)"
    verb.add_argument("--out", type=Path, metavar="DIR", help=place)
    names = "their names, with -s1 or without for all seeds (default: all with translations)"
    verb.add_argument("--models", nargs="+", default=[], metavar="NAME", help=names)
    verb.add_argument(
        "--perturbations",
        nargs="*",
        metavar="NAME",
        help="upper, lower, first_letter, typo, no_stop, doubled, short, training (default: all; none: decode nothing)",
    )
    verb.add_argument(
        "--sentences",
        type=whole(0),
        default=1000,
        metavar="N",
        help="of the test set that are changed, and of train; 0: all of the test set (default: %(default)s)",
    )
    verb.add_argument("--device", choices=DEVICES, default="auto")


def run_robustness(args: argparse.Namespace) -> None:
    """`lskd robustness RUN [--set NAME] [--models NAME …] [--perturbations NAME …] [--out DIR]`."""
    from lskd_nmt.analysis.robustness.asked import ASKED, Settings
    from lskd_nmt.analysis.robustness.decodings import Machine
    from lskd_nmt.analysis.robustness.measure import robustness
    from lskd_nmt.experiment.run import Run
    from lskd_nmt.report.figures import robustness as figures
    from lskd_nmt.report.tables.robustness import document

    wished = tuple(ASKED) if args.perturbations is None else tuple(dict.fromkeys(args.perturbations))
    settings = Settings(tuple(args.models), wished, args.sentences)
    threads = int(os.environ.get("OMP_NUM_THREADS") or 0) or len(os.sched_getaffinity(0))
    run = Run(args.folder) if args.set is None else Run(args.folder).on(args.set)
    args.out = args.out or args.folder / "analysis" / (f"sets/{run.test_set}" if run.test_set else "")
    with fairseq_io.quiet():
        found = robustness(run, settings, Machine(DEVICES[args.device], threads), show)
    args.out.mkdir(parents=True, exist_ok=True)
    drawn = {"robustness": figures.texts(found), "robustness-changes": figures.changes(found)}
    content = {"analysis": "robustness", "settings": to_json(settings), **to_json(found)}
    content |= {"set": run.test_set} if run.test_set else {}
    write(args, "robustness", content, {stem: figure for stem, figure in drawn.items() if figure is not None})
    write_text(args.out / "robustness.md", document(found))
    why = {model.name: model.not_decoded for model in found.models if model.not_decoded}
    answer(robustness=str(args.out / "robustness.json"), models=len(found.models) - 1, not_decoded=why)
