"""Verb of experiment tracking: `track`."""

import argparse
from pathlib import Path

from lskd_nmt.cli.common import answer, show, verb_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.experiment import tracking
from lskd_nmt.experiment.run import Run


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    text = "log a finished run's scores, costs and table where its curves are: TensorBoard, Weights & Biases"
    verb = verb_of(verbs, "track", text, run_track)
    verb.add_argument("folder", type=Path, metavar="RUN")
    verb.add_argument("--tensorboard-logdir", type=Path, metavar="DIR", help="what the plan says if not given")
    verb.add_argument("--wandb-project", metavar="PROJECT", help="what the plan says if not given")
    verb.add_argument("--if-planned", action="store_true", help="do nothing where the plan tracks nothing")


def run_track(args: argparse.Namespace) -> None:
    """`lskd track RUN [--tensorboard-logdir DIR] [--wandb-project PROJECT]`."""
    run = Run(args.folder)
    given = {
        tracking.TENSORBOARD: str(args.tensorboard_logdir.absolute()) if args.tensorboard_logdir else None,
        tracking.WANDB: args.wandb_project,
    }
    wishes = {flag: value for flag, value in given.items() if value} or tracking.planned(run.plan)
    if not wishes and args.if_planned:
        answer(models=[])
        return
    require(
        bool(wishes),
        f"{args.folder}/plan.json tracks nothing: give --tensorboard-logdir DIR or --wandb-project PROJECT, or say it "
        "in the YAML as track: {tensorboard: DIR}",
    )
    from lskd_nmt.report.track import track  # pandas takes a second

    answer(models=track(run, wishes, show))
