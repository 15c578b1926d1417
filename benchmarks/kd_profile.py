"""Where the time of a training step goes: by part of the step, and by kind of operation, in the thread's own time.

    python benchmarks/kd_profile.py --out benchmarks/results/kd_step_profile

The steps are those of kd_step.py. Every operation of torch is timed where it is dispatched, in forward and backward;
what is between the operations is `python`.
"""

import functools
import json
import logging
import statistics
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from common import markdown_table, origin, parser_of, show, write_results
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.models.transformer import TransformerModelBase
from kd_step import Step, make_teacher, processor, whole_steps
from torch.utils._python_dispatch import TorchDispatchMode

from lskd_nmt.losses import fused
from lskd_nmt.teacher.offline import StoredTeacher
from lskd_nmt.teacher.online import LiveTeacher

STEPS = ("plain", "floor", "live", "store", "features")
PARTS = ("student", "teacher", "loss", "backward", "optimizer", "rest")
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
EXPONENTIALS = ("softmax", "exp", "log", "_softmax", "_log_softmax", "logsumexp")
KINDS = ("products", "exp and log", "element-wise", "python")
Times = dict[tuple[str, str], float]  # seconds by part and kind


def kind_of(operation: str) -> str:
    """`aten.addmm_.default`: products."""
    name = operation.split(".")[1].rstrip("_").removesuffix("_backward_data")
    if name in PRODUCTS:
        return KINDS[0]
    return KINDS[1] if name in EXPONENTIALS else KINDS[2]


class Profile(TorchDispatchMode):
    """The time of each operation, under the part of the step that asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Times = defaultdict(float)
        self.part = "rest"
        self.since = time.thread_time()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and note its time; what came before it was Python's."""
        start = time.thread_time()
        self.times[self.part, "python"] += start - self.since
        result = func(*args, **(kwargs or {}))
        self.since = time.thread_time()
        self.times[self.part, kind_of(str(func))] += self.since - start
        return result

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """A part of the step; of a part within a part the inner one counts."""
        before, self.part = self.part, part
        try:
            yield
        finally:
            self.part = before


def parts(profile: Profile) -> list[Any]:
    """What tells the profile where a step is."""

    def within(owner: Any, name: str, part: str | Callable[[Any], str]) -> Any:
        plain = getattr(owner, name)

        @functools.wraps(plain)  # the criterion asks for the parameters of a model's forward
        def timed(*args: Any, **kwargs: Any) -> Any:
            with profile.inside(part if isinstance(part, str) else part(args[0])):
                return plain(*args, **kwargs)

        return patch.object(owner, name, timed)

    of_model: Callable[[Any], str] = lambda model: "student" if model.training else "teacher"  # noqa: E731
    return [
        within(TransformerModelBase, "forward", of_model),
        within(LiveTeacher, "signal", "teacher"),
        within(StoredTeacher, "signal", "teacher"),
        within(fused.FusedObjective, "forward", "loss"),
        within(LabelSmoothedCrossEntropyCriterion, "compute_loss", "loss"),
        within(torch.Tensor, "backward", "backward"),
        within(torch.optim.Adam, "step", "optimizer"),
    ]


def profiled(run: Step) -> Times:
    """One step's times."""
    with Profile() as profile:
        patches = parts(profile)
        for each in patches:
            each.start()
        try:
            run()
        finally:
            for each in reversed(patches):
                each.stop()
    return profile.times


def median_times(runs: dict[str, Step], rounds: int) -> dict[str, Times]:
    """Of each step, interleaved; the first round only warms up."""
    found: dict[str, list[Times]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            times = profiled(run)
            if number:
                found[name].append(times)
    keys = [(part, kind) for part in PARTS for kind in KINDS]
    return {
        name: {key: statistics.median(times.get(key, 0.0) for times in each) for key in keys}
        for name, each in found.items()
    }


def rows(symbols: int, temperature: float, found: dict[str, Times]) -> Iterator[list[str]]:
    """Of each step: milliseconds by part, then by kind in its loss."""
    for name, times in found.items():
        by_part = [sum(times[part, kind] for kind in KINDS) for part in PARTS]
        cells = [sum(by_part), *by_part, *(times["loss", kind] for kind in KINDS)]
        yield [name, f"{symbols:,}", f"{temperature:g}", *(f"{1000 * cell:,.0f}" for cell in cells)]


def table(results: list[dict[str, Any]]) -> str:
    """As Markdown."""
    names = ["step", "V", "T", "all", *PARTS, *(f"loss: {kind}" for kind in KINDS)]
    lines = [row for each in results for row in rows(each["symbols"], each["temperature"], of_json(each["steps"]))]
    return (
        f"{markdown_table(names, lines)}\nMilliseconds of one thread, medians. `loss` is from features to the loss; "
        "of kd_ls it has the gradients too, of plain and floor they are in `backward`, and the output projection is in "
        "`student` and `teacher`.\n"
    )


def of_json(steps: dict[str, dict[str, dict[str, float]]]) -> dict[str, Times]:
    """The times of each step, as they are used here."""
    return {
        name: {(part, kind): value for part, kinds in each.items() for kind, value in kinds.items()}
        for name, each in steps.items()
    }


def to_json(times: Times) -> dict[str, dict[str, float]]:
    """Seconds by part, then by kind."""
    return {part: {kind: times[part, kind] for kind in KINDS} for part in PARTS}


def measured(args: Namespace, symbols: int) -> Iterator[dict[str, Any]]:
    """The profile of each temperature."""
    temperatures = tuple(map(float, args.temperatures.split(",")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, teacher = make_teacher(folder, symbols, args.tokens, temperatures, "cpu")
        for temperature in temperatures:
            steps, tokens = whole_steps(
                data, teacher, folder / "stores", args.tokens, temperature, "cpu", torch.float32
            )
            found = median_times({name: steps[name] for name in STEPS}, args.rounds)
            times = {name: to_json(each) for name, each in found.items()}
            yield {"symbols": symbols, "tokens": tokens, "temperature": temperature, "steps": times}


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--symbols", default="10000,32000")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--temperatures", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    results: list[dict[str, Any]] = []
    for symbols in map(int, args.symbols.split(",")):
        for entry in measured(args, symbols):
            results.append(entry)
            show(table([entry]))
    settings = {"processor": processor(), "threads": 1, "rounds": args.rounds}
    write_results(args.out, {**origin(), **settings, "results": results}, table(results))
    print(json.dumps({"out": str(args.out.with_suffix(".json"))}))


if __name__ == "__main__":
    main()
