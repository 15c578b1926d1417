"""What a training step of each shipped method costs: seconds beside the plain step's, interleaved, medians.

    python benchmarks/method_steps.py --out benchmarks/results/method_steps_cpu
    python benchmarks/method_steps.py --only word_kd,jsd --out OUT

Student and teacher have the sizes of experiments/configs/multi30k_methods.yaml and random weights, on random sentences.
Where a method needs no teacher beside it there is a store of features. One CPU thread, its own clock.
"""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import markdown_table, origin, parser_of, write_results
from conftest import build, train
from kd_step import Step, batch, make_data, measure, processor

from lskd_nmt import fairseq_io
from lskd_nmt.experiment import method_files
from lskd_nmt.experiment.scripts import as_arguments
from lskd_nmt.teacher.layout import FeatureLayout
from lskd_nmt.teacher.writer import WriterSettings, write_store


def of_size(width: int, layers: int) -> list[Any]:
    """The flags of a transformer, over the tiny one of the tests."""
    parts = {"embed-dim": width, "ffn-embed-dim": 4 * width, "layers": layers, "attention-heads": 4}
    return [
        word for side in ("encoder", "decoder") for part, value in parts.items() for word in (f"--{side}-{part}", value)
    ]


TEACHER, STUDENT = of_size(256, 4), [*of_size(128, 2), "--dropout", 0.1]


def step_of(data: Path, flags: list[Any], tokens: int) -> tuple[Step, int]:
    """Forward, backward and Adam of one method, and how many of them: where the student samples, one of each kind."""
    task, model, criterion = build(data, *STUDENT, *flags)
    sample = batch(task, tokens, "cpu")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        criterion(model, sample)[0].backward()
        optimizer.step()

    def both_kinds() -> None:
        for turn in (False, True):
            criterion._on_policy.turn = lambda turn=turn: turn
            step()

    return (step, 1) if criterion._on_policy is None else (both_kinds, 2)


def shipped(only: str) -> dict[str, method_files.Method]:
    """The methods that are asked for, by name: all, or those of a list with commas."""
    every = {file.stem: method_files.read(file.stem, file) for file in sorted(method_files.SHIPPED.glob("*.yaml"))}
    word_kd = every["word_kd"]
    # what sets the others with the same flags apart is their teacher
    every = {name: method for name, method in every.items() if name == "word_kd" or method.flags != word_kd.flags}
    asked = only.split(",") if only else list(every)
    if unknown := [name for name in asked if name not in every]:
        raise SystemExit(f"--only names {', '.join(unknown)}: give some of {', '.join(every)}")
    return {name: every[name] for name in asked}


def steps_of_all(
    scratch: Path, methods: dict[str, method_files.Method], symbols: int, tokens: int
) -> dict[str, tuple[Step, int]]:
    """The step without distillation, and that of each method, by name; their files are in `scratch`."""
    data = make_data(scratch / "data", symbols, tokens)
    train(data, scratch / "teacher", *TEACHER, "--kd-weight", 0, "--max-update", 1)
    teacher, store = scratch / "teacher" / "checkpoint_last.pt", scratch / "store"
    known = fairseq_io.read_symbols(str(data), ("aa", "bb"))
    assert known is not None
    layout = FeatureLayout((), len(known.target))
    write_store(store, [str(teacher)], str(data), known, WriterSettings(layout), "cpu", lambda line: None)
    steps = {"plain": step_of(data, ["--kd-weight", 0], tokens)}
    for name, method in methods.items():
        flags: list[Any] = [word for flag in method.flags.items() for word in as_arguments(*flag)]
        if method.teacher:
            flags += ["--teacher-path", teacher] if method.live else ["--teacher-store", store]
        if "kd-weight-schedule" in method.flags:
            flags += ["--max-update", 100]
        steps[name] = step_of(data, flags, tokens)
    return steps


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--symbols", type=int, default=8000)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", default="", metavar="NAME,…", help="these methods beside the plain step, not all")
    args = parser.parse_args()
    methods = shipped(args.only)
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as scratch:
        steps = steps_of_all(Path(scratch), methods, args.symbols, args.tokens)
        found = measure({name: step for name, (step, _) in steps.items()}, args.rounds, "cpu")
    for name, (_, updates) in steps.items():
        found[name]["seconds"] /= updates
        found[name]["ratio"] = found[name]["seconds"] / found["plain"]["seconds"]
    sizes = {"processor": processor(), "threads": 1}
    sizes |= {name: getattr(args, name) for name in ("rounds", "symbols", "tokens")}
    rows = [
        (name, f"{each['ratio']:.2f}", f"{each['peak_bytes'] / 1e6:.0f}")
        for name, each in sorted(found.items(), key=lambda entry: entry[1]["ratio"])
    ]
    table = markdown_table(("method", "step (plain = 1)", "peak MB of a step"), rows)
    write_results(args.out, {**origin(), **sizes, "measured": found}, table)
    print(json.dumps({"out": str(args.out.with_suffix(".json"))}))


if __name__ == "__main__":
    main()
