"""What a student's training costs in CPU time, by what it is spent on, and how much less than in another checkout.

    python benchmarks/training_overhead.py --run runs/multi30k_grid --model student-ls0.1-t1-s1 --before ../before \
      --updates 60 --out benchmarks/results/training_overhead_cpu

The command of a model of a run, whose data and teacher store are there, is run for some updates and one validation with
the code of either checkout, both at once, each in one thread: what disturbs one disturbs the other. `--epochs` full
epochs are then what start, updates, validations and checkpoints take, times how often they occur.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, markdown_table, origin, parser_of, show, write_results

from lskd_nmt.experiment.run import Run

CHILD = """
import json, sys, time
clock = time.process_time
from fairseq_cli import train  # first: it sets up the log
from fairseq import checkpoint_utils
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer

spent, calls, facts = {}, {}, {}

def measure(owner, name, part):
    function = getattr(owner, name)
    def measured(*args, **kwargs):
        facts.setdefault("start", clock()) if part == "updates" else None
        begun = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] = spent.get(part, 0) + clock() - begun
            calls[part] = calls.get(part, 0) + 1
    setattr(owner, name, measured)

measure(Trainer, "train_step", "updates")
measure(FairseqTask, "train_step", "forward_backward")
measure(train, "validate", "validations")
measure(SequenceGenerator, "generate", "translation")
measure(checkpoint_utils, "save_checkpoint", "checkpoints")
out = sys.argv.pop(1)
sys.argv[0] = "fairseq-train"
train.cli_main()
json.dump({"total": clock(), **facts, "spent": spent, "calls": calls}, open(out, "w"))
"""


def started(checkout: Path, words: list[str], folder: Path, out: Path) -> "subprocess.Popen[bytes]":
    """A training by the code of a checkout, in the run folder; its measurements become `out`."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [str(checkout / "user_dir") if Path(word).name == "user_dir" else word for word in words]
    log = out.with_suffix(".log").open("wb")
    command = [sys.executable, "-P", "-c", CHILD, str(out), *words, "--save-dir", str(out.with_suffix(""))]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)


def parts(found: dict, updates: int, epochs: int) -> dict[str, float]:
    """CPU seconds of `epochs` epochs of so many updates, by part; their sum is `all`."""
    spent, calls = found["spent"], found["calls"]
    each = {name: seconds / calls[name] for name, seconds in spent.items() if name not in ("translation",)}
    between = found["total"] - found["start"] - spent["updates"] - spent["validations"] - spent["checkpoints"]
    result = {
        "start": found["start"],
        "forward, loss, backward": each["forward_backward"] * updates * epochs,
        "optimizer, logs of an update": (each["updates"] - each["forward_backward"]) * updates * epochs,
        "batches, progress": between / calls["updates"] * updates * epochs,
        "validation: translations": spent["translation"] / calls["validations"] * epochs,
        "validation: loss, BLEU": (spent["validations"] - spent["translation"]) / calls["validations"] * epochs,
        "checkpoints": each["checkpoints"] * epochs,
    }
    return {**result, "all": sum(result.values())}


def main() -> None:
    """Train with both, write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the code to compare with")
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--updates-per-epoch", type=int, default=264)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    command = [str(word) for word in Run(args.run).model(args.model).train_command[1:]]
    at = command.index("--save-dir")
    words = [*command[:at], *command[at + 2 :], "--cpu", "--max-update", str(args.updates)]
    with tempfile.TemporaryDirectory() as folder:
        outs = {"before": Path(folder) / "before.json", "now": Path(folder) / "now.json"}
        codes = {"before": args.before.resolve(), "now": ROOT}
        begun = time.monotonic()
        children = [started(codes[name], words, args.run, out) for name, out in outs.items()]
        for child, out in zip(children, outs.values(), strict=True):
            if child.wait():
                raise SystemExit(out.with_suffix(".log").read_text()[-2000:])
        show(f"{time.monotonic() - begun:.0f} s")
        found = {name: json.loads(out.read_text()) for name, out in outs.items()}
        curves = {name: validated(out.with_suffix(".log")) for name, out in outs.items()}
    seconds = {name: parts(each, args.updates_per_epoch, args.epochs) for name, each in found.items()}
    rows = [
        (
            part,
            f"{before:.0f}",
            f"{100 * before / seconds['before']['all']:.1f} %",
            f"{seconds['now'][part]:.0f}",
            f"{seconds['now'][part] / before:.2f}",
        )
        for part, before in seconds["before"].items()
    ]
    table = markdown_table(["CPU seconds", "before", "share", "now", "now / before"], rows, "---:")
    text = (
        f"{args.epochs} epochs of {args.updates_per_epoch} updates of `{args.model}`, projected from "
        f"{args.updates} updates and a validation of either code, run side by side. Then validation has "
        f"{curves['before']} before and "
        f"{curves['now']}.\n\n{table}"
    )
    write_results(args.out, {**origin(), "measured": found, "seconds": seconds, "validated": curves}, text)
    print(text)


def validated(log: Path) -> dict[str, str]:
    """Loss and BLEU of the last validation in a log."""
    lines = [line.split(" | ")[-1] for line in log.read_text().splitlines() if "| valid | {" in line]
    last = json.loads(lines[-1])
    return {name: last[f"valid_{name}"] for name in ("loss", "bleu")}


if __name__ == "__main__":
    main()
