"""Verb of what a run will cost: `forecast`."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import answer, held, origin, show, verb_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.experiment import plan as planning
from lskd_nmt.experiment import prolonging
from lskd_nmt.experiment.config import read_config
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage import files, provenance
from lskd_nmt.storage.typed import read_record, to_json

if TYPE_CHECKING:
    from lskd_nmt.cost.estimate import Machine
    from lskd_nmt.cost.records import Forecast

FILE = "forecast.json"


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "what a run will cost, from a few updates of each kind of training in it; of a run folder: what it came to"
    verb = verb_of(verbs, "forecast", about, run_forecast)
    verb.add_argument("config", type=Path, metavar="CONFIG|RUN")
    verb.add_argument("--out", type=Path, metavar="RUN", help="runs/NAME of the config if not given")
    verb.add_argument("--updates", type=int, default=30, help="of each probe (default: %(default)s)")
    verb.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time (default: %(default)s)")
    verb.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads of each; 0: an equal share")
    verb.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto")
    verb.add_argument("--precision", choices=("fp32", "fp16", "bf16"), default="fp32")


def run_forecast(args: argparse.Namespace) -> None:
    """`lskd forecast CONFIG [--out RUN]`, and afterwards `lskd forecast RUN`."""
    if args.config.is_dir():
        compare(args.config)
        return
    require(args.config.is_file(), f"{args.config} does not exist: give an experiment's YAML, or its run folder")
    require(args.updates >= 12, f"--updates is {args.updates}: give at least 12, the first sixth only warms up")
    for name in ("jobs", "threads"):
        least = 1 if name == "jobs" else 0
        require(getattr(args, name) >= least, f"--{name} is {getattr(args, name)}: a whole number from {least}")
    config = read_config(args.config)
    other = config.teacher.kind
    require(
        other in ("", "none"),
        f"teacher.from is {other}, which is not trained: a forecast needs teachers that the run trains",
    )
    folder = args.out or Path("runs") / config.name
    other_load = round(os.getloadavg()[0], 1)  # before anything of ours runs
    after = planning.planned(config, folder)  # refuses before there is a folder
    longer = prolonging.prolonging(planning.plan_of(folder), after, folder)
    if longer.finished or longer.stands:  # its own trainings say more than a probe: nothing is planned or run
        show(prolonging.line(longer))
        answer(seconds_on=longer.seconds_on, seconds_anew=longer.seconds_anew, at_most=longer.at_most)
        return
    machine = machine_of(args)
    with held(folder, "wait for it, or give another --out"):
        planning.plan(config, args.config.read_text(encoding="utf-8"), folder)
        prepare(folder)
        settings = {name: getattr(args, name) for name in ("device", "precision", "threads")}
        content = {
            **origin(args),
            "host": provenance.host(),
            **settings,
            **to_json(probed(Run(folder), machine, args.jobs, other_load)),
        }
        files.write_json(folder / FILE, content)
    print(json.dumps({"forecast": str(folder / FILE), **content["sweep"]}))


def probed(run: Run, machine: "Machine", jobs: int, other_load: float) -> "Forecast":
    """The forecast, shown as a table; `other_load` are the cores that were busy before."""
    from lskd_nmt.cost import table
    from lskd_nmt.cost.estimate import forecast

    with fairseq_io.quiet():
        found = forecast(run, machine, jobs, other_load, show)
        show(table.markdown(found))
    return found


def machine_of(args: argparse.Namespace) -> "Machine":
    """The trainings' flags and environment, as experiments/run.sh gives them."""
    from lskd_nmt.cost.estimate import Machine

    flags, environment = [], []
    if args.device == "cpu":
        require(args.precision == "fp32", f"--precision {args.precision} needs a GPU: use fp32 with --device cpu")
        flags.append("--cpu")
        environment.append("CUDA_VISIBLE_DEVICES=")
    elif args.device == "gpu" or args.precision != "fp32":
        wish = "--device gpu" if args.device == "gpu" else f"--precision {args.precision}"
        require(fairseq_io.gpus("auto") > 0, f"{wish} needs a GPU, and torch sees none: use --device cpu and fp32")
    if args.precision != "fp32":
        flags.append(f"--{args.precision}")
    cores = len(os.sched_getaffinity(0))
    threads = args.threads or (max(1, cores // args.jobs) if args.jobs > 1 else 0)
    if threads:
        environment.append(f"OMP_NUM_THREADS={threads}")
    return Machine(tuple(flags), tuple(environment), args.updates)


def prepare(run: Path) -> None:
    """The run's data, unless they are there."""
    script = run / "prepare.sh"
    if script.is_file():
        environment = {"LSKD_PYTHON": sys.executable, **os.environ}
        code = subprocess.run(["bash", str(script)], stdout=subprocess.DEVNULL, env=environment, check=False).returncode
        require(code == 0, f"{script} stopped with exit code {code}, for the reason above: mend that first")


def compare(folder: Path) -> None:
    """`lskd forecast RUN`: the forecast beside what the trainings of the run cost."""
    from lskd_nmt.cost import table
    from lskd_nmt.cost.records import Forecast

    require((folder / FILE).is_file(), f"{folder} has no {FILE}: run lskd forecast CONFIG --out {folder} first")
    forecast = read_record(folder / FILE, Forecast)
    rows = table.compared(Run(folder), forecast)
    require(bool(rows), f"{folder} has no trained model to compare with its forecast: train some first")
    show(table.comparison(rows, len(forecast.models)))
    print(json.dumps({"models": to_json(rows)}))
