"""Words per second of whole trainings by fairseq-train, and whether two workers learn what one does.

    python benchmarks/training_speed.py speed --device cuda --precision fp16 --out benchmarks/results/gpu/speed-fp16
    python benchmarks/training_speed.py workers --device cuda --out benchmarks/results/gpu/workers

`speed` trains without a teacher, with a live one and from its store, in turn. `workers` trains two processes with each
of fairseq's backends for gradients, and one process that adds up two batches an update: their losses must be equal up
to rounding. The two processes share the first GPU where there is but one, and then talk by gloo instead of NCCL.
Sentences and the teacher's weights are random; the speed is the median of the log's, without its first third.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import markdown_table, origin, parser_of, show, write_results
from conftest import USER_DIR
from kd_step import make_data, processor

from lskd_nmt import fairseq_io
from lskd_nmt.losses.settings import DEFAULTS
from lskd_nmt.teacher.layout import TopKLayout
from lskd_nmt.teacher.writer import WriterSettings, write_store

LOSSES_APART = 1e-3  # of two workers and of one, in relative terms: the log rounds to three decimals
KEPT, WARM_UP = 8, 1 / 3


@dataclass(frozen=True)
class Training:
    """What the log of a training says."""

    losses: list[float]  # by logged update
    words_per_second: float


@dataclass(frozen=True)
class Place:
    """Where trainings run and how large they are."""

    data: Path
    scratch: Path
    device: str
    arch: str
    tokens: int
    updates: int

    def command(self, name: str, *flags: object) -> list[str]:
        """The words of `fairseq-train` for one training."""
        program = [sys.executable, "-c", "from fairseq_cli.train import cli_main; cli_main()", str(self.data)]
        every = max(1, self.updates // 12)
        words = ["--user-dir", USER_DIR, "--arch", self.arch, "--criterion", "kd_ls", "--optimizer", "adam"]
        words += ["--lr", 1e-4, "--dropout", 0, "--max-tokens", self.tokens, "--max-update", self.updates]
        words += ["--seed", 1, "--num-workers", 1, "--no-save", "--disable-validation"]
        words += ["--save-dir", self.scratch / name, "--log-format", "json", "--log-interval", every]
        words += [] if self.device == "cuda" else ["--cpu"]
        return [*program, *map(str, [*words, *flags])]


def log_of(text: str) -> Training:
    """The training's losses and speed, of what fairseq logs as JSON."""
    entries = [
        json.loads(line[line.index("{") :]) for line in text.splitlines() if "| train_inner |" in line and "{" in line
    ]
    if not entries:
        raise SystemExit(f"the training logged no update:\n{text[-3000:]}")
    speeds = [float(entry["wps"]) for entry in entries[int(len(entries) * WARM_UP) :]]
    return Training([float(entry["loss"]) for entry in entries], statistics.median(speeds))


def run(commands: Sequence[Sequence[str]]) -> Training:
    """Processes that are one training; the log of the first."""
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for command in commands
    ]
    try:
        texts = [child.communicate()[0] for child in children]
    finally:
        for child in children:
            child.kill()
    for child, text in zip(children, texts, strict=True):
        if child.returncode:
            raise SystemExit(f"a training failed:\n{text[-3000:]}")
    return log_of(texts[0])


def make_store(place: Place, teacher: Path) -> Path:
    """The top 8 of the teacher at T = 1 for all of train."""
    known = fairseq_io.read_symbols(str(place.data), ("aa", "bb"))
    assert known is not None
    settings, store = WriterSettings(TopKLayout(KEPT, (1.0,), len(known.target))), place.scratch / "store"
    write_store(store, [str(teacher)], str(place.data), known, settings, place.device, show)
    return store


def make_teacher(place: Place) -> Path:
    """A checkpoint of random weights, whose speed is a trained one's."""
    command = place.command("teacher", "--kd-weight", 0, "--max-update", 1)
    command = [word for word in command if word != "--no-save"]
    run([command])
    return place.scratch / "teacher" / "checkpoint_last.pt"


def speed(place: Place, args: argparse.Namespace) -> list[dict[str, object]]:
    """Words per second without a teacher, with a live one and from its store."""
    teacher = make_teacher(place)
    store = make_store(place, teacher)
    precision = {"fp32": [], "fp16": ["--fp16"], "bf16": ["--bf16"]}[args.precision]
    ways = {
        "no teacher": ["--kd-weight", 0],
        "live teacher": ["--teacher-path", teacher],
        "store of the top 8": ["--teacher-store", store],
    }
    results: list[dict[str, object]] = []
    for name, flags in ways.items():
        show(f"{args.precision}: {name}")
        found = run([place.command("student", *flags, *precision)])
        results.append({"training": name, "precision": args.precision, "words_per_second": found.words_per_second})
    return results


def workers(place: Place, args: argparse.Namespace) -> list[dict[str, object]]:
    """One process with two batches an update, and two processes with each backend."""
    teacher = ["--teacher-path", make_teacher(place), "--label-smoothing", DEFAULTS.label_smoothing]
    show("one process")
    one = run([place.command("one", *teacher, "--update-freq", 2)])
    results: list[dict[str, object]] = [entry_of("one process, --update-freq 2", one, one)]
    gpus = torch.cuda.device_count() if place.device == "cuda" else 0
    through = "nccl" if gpus > 1 else "gloo"
    for backend in ("c10d", "legacy_ddp") if gpus else ("legacy_ddp",):  # fairseq gives c10d a GPU's number
        show(f"two processes, {backend} over {through}")
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        together = ["--ddp-backend", backend, "--distributed-backend", through, "--distributed-world-size", 2]
        together += ["--distributed-init-method", f"tcp://localhost:{port}", "--distributed-no-spawn"]
        commands = [
            place.command(backend, *teacher, *together, "--distributed-rank", rank, "--device-id", rank % max(1, gpus))
            for rank in (0, 1)
        ]
        two = run(commands)
        results.append(entry_of(f"two processes, {backend} over {through}", two, one))
    return results


def entry_of(name: str, found: Training, one: Training) -> dict[str, object]:
    """A row of the table of workers."""
    apart = max(abs(a - b) / abs(b) for a, b in zip(found.losses, one.losses, strict=True))
    return {"training": name, "words_per_second": found.words_per_second, "losses": found.losses, "apart": apart}


def table(what: str, results: Sequence[dict[str, object]]) -> str:
    """As Markdown, speeds beside the first row's."""
    first = float(str(results[0]["words_per_second"]))
    names = ["training", "words/s", "of the first"] + (["largest difference of a loss"] if what == "workers" else [])
    rows = []
    for each in results:
        words = float(str(each["words_per_second"]))
        row = [str(each["training"]), f"{words:,.0f}", f"{words / first:.2f}"]
        rows.append(row + ([f"{float(str(each['apart'])):.1e}"] if what == "workers" else []))
    return markdown_table(names, rows)


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("what", choices=("speed", "workers"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--arch", default="ls_transformer_iwslt")
    parser.add_argument("--symbols", type=int, default=10000)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--updates", type=int, default=120)
    args = parser.parse_args()
    fairseq_io.load_plugin()
    with tempfile.TemporaryDirectory() as name, fairseq_io.quiet():
        scratch = Path(name)
        words = args.tokens * min(args.updates, 30)
        data = make_data(scratch / "data", args.symbols, words)
        place = Place(data, scratch, args.device, args.arch, args.tokens, args.updates)
        results = (speed if args.what == "speed" else workers)(place, args)
    sizes = {key: getattr(args, key) for key in ("arch", "symbols", "tokens", "updates", "precision")}
    content = {**origin(), "processor": processor(), **sizes, "results": results}
    write_results(args.out, content, table(args.what, results))
    beyond = [str(each["training"]) for each in results if float(str(each.get("apart", 0))) > LOSSES_APART]
    print(json.dumps({"out": str(args.out.with_suffix(".json")), "beyond": beyond}))
    if beyond:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
