"""What distilling costs: whole training steps and the loss alone, side by side, interleaved, medians.

    python benchmarks/kd_step.py --out benchmarks/results/kd_step_cpu

1 plain     fairseq's label_smoothed_cross_entropy
2 floor     the same, and the teacher's whole forward pass, its output projection included
3 dense     textbook word-level KD: two log-softmaxes over all positions and F.kl_div(log_target=True)
4 live      kd_ls with a live teacher
5 store     kd_ls from a teacher store (top 8, bucket)
6 features  kd_ls from a store of the teacher's features (all symbols)
7 bfloat16  the live one with --cpu-products bfloat16

With --library mkl kd_ls multiplies matrices by MKL on every processor, as fairseq's steps (1 to 3) do.
"""

import itertools
import json
import logging
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import markdown_table, origin, parser_of, show, write_results
from torch.nn import functional

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler's own chatter

from conftest import binarise, build, peak_bytes, train
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion

from lskd_nmt import fairseq_io
from lskd_nmt.losses import products
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.linear import in_blocks
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense, top_k
from lskd_nmt.teacher.layout import FeatureLayout, TopKLayout
from lskd_nmt.teacher.writer import WriterSettings, write_store

ARCH, EPSILON, WEIGHT = "ls_transformer_iwslt_small", 0.1, 0.5
SIZE = [
    part
    for side in ("encoder", "decoder")
    for part in (f"--{side}-embed-dim", 256, f"--{side}-ffn-embed-dim", 1024, f"--{side}-layers", 2)
]  # over the tiny one of the tests
STUDENT = "--arch", ARCH, *SIZE
Step = Callable[[], Any]


def make_data(folder: Path, symbols: int, tokens: int) -> Path:
    """A binarised folder of random sentences over so many symbols; enough of them for one batch."""
    draw, words = random.Random(1), [f"w{number}" for number in range(symbols - 4)]
    folder.mkdir(parents=True)
    lines = [" ".join(draw.choices(words, k=draw.randint(10, 30))) for _ in range(tokens // 20 + 8)]
    for split in ("train", "valid", "test"):
        for lang in ("aa", "bb"):
            (folder / f"{split}.{lang}").write_text("\n".join(lines if split == "train" else lines[:8]) + "\n")
    (folder / "dict.txt").write_text("".join(f"{word} 1\n" for word in words))
    return binarise(folder, folder / "bin", "--srcdict", folder / "dict.txt")


def dense_kd(model: Any, teacher: Any, sample: dict[str, Any], temperature: float) -> torch.Tensor:
    """Word-level KD as a good engineer would write it."""
    target, logits = sample["target"], model(**sample["net_input"])[0].float()  # (B, T, V)
    with torch.no_grad():
        log_p = (teacher(**sample["net_input"])[0].float() / temperature).log_softmax(-1)
    return dense_loss(logits, log_p, target, temperature)


def dense_loss(logits: torch.Tensor, log_p: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """(1-λ)·LS-NLL + λ·T²·KL, padding masked."""
    log_q, real = logits.log_softmax(-1), target.ne(1)
    soft_q = log_q if temperature == 1 else (logits / temperature).log_softmax(-1)
    nll = -log_q.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    share = EPSILON / (logits.size(-1) - 1)
    hard = (1 - EPSILON - share) * nll - share * log_q.sum(-1)
    kd = functional.kl_div(soft_q, log_p, log_target=True, reduction="none").sum(-1)
    return (((1 - WEIGHT) * hard + WEIGHT * temperature**2 * kd) * real).sum()


def whole_steps(
    data: Path, teacher_path: Path, stores: Path, tokens: int, temperature: float, device: str, dtype: torch.dtype
) -> tuple[dict[str, Step], int]:
    """The steps (forward, backward, Adam) on one batch, and its target tokens."""
    kd = *STUDENT, "--temperature", temperature, "--kd-weight", WEIGHT, "--label-smoothing", EPSILON
    task, model, live = build(data, *kd, "--teacher-path", teacher_path)
    _, _, rounded = build(data, *kd, "--teacher-path", teacher_path, "--cpu-products", "bfloat16")
    _, _, stored = build(data, *kd, "--teacher-store", stores / "top-k")
    _, _, features = build(data, *kd, "--teacher-store", stores / "features")
    plain = LabelSmoothedCrossEntropyCriterion(task, False, EPSILON)
    model, teacher = (module.to(device, dtype) for module in (model, live._teacher.live.models[0]))
    sample = batch(task, tokens, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step(loss: Callable[[], torch.Tensor]) -> Step:
        def run() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss().backward()
            optimizer.step()

        return run

    def kd_ls(criterion: Any) -> Step:
        def loss() -> torch.Tensor:
            with patched_linear():
                return criterion(model, sample)[0]

        return step(loss)

    def floor() -> torch.Tensor:
        with torch.no_grad():
            teacher(**sample["net_input"])
        return plain(model, sample)[0]

    steps = {
        "plain": step(lambda: plain(model, sample)[0]),
        "floor": step(floor),
        "dense": step(lambda: dense_kd(model, teacher, sample, temperature)),
        "live": kd_ls(live),
        "store": kd_ls(stored),
        "features": kd_ls(features),
        "bfloat16": kd_ls(rounded),
    }
    return steps, sample["ntokens"]


@contextmanager
def patched_linear() -> Iterator[None]:
    """Linear layers as in a training with kd_ls, see `user_dir/patches/products.py`."""
    torchs = functional.linear
    functional.linear = in_blocks(torchs)
    try:
        yield
    finally:
        functional.linear = torchs


def batch(task: Any, tokens: int, device: str) -> dict[str, Any]:
    """The first sentences of train, as many as have about so many target tokens."""
    task.load_dataset("train")
    dataset = task.dataset("train")
    sample: dict[str, Any] = dataset.collater([dataset[index] for index in range(tokens // 21)])
    sample["target"] = sample["target"].to(device)
    sample["net_input"] = {name: tensor.to(device) for name, tensor in sample["net_input"].items()}
    return sample


def losses_alone(symbols: int, tokens: int, temperature: float, device: str, dtype: torch.dtype) -> dict[str, Step]:
    """Forward and backward from features to their gradients, output projections included."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int, grad: bool = False) -> torch.Tensor:
        tensor = (torch.randn(*shape, generator=generator) * 0.06).to(device, dtype)
        return tensor.requires_grad_(grad)

    h, w, g, v = draw(tokens, 256, grad=True), draw(symbols, 256, grad=True), draw(tokens, 256), draw(symbols, 256)
    target = torch.randint(4, symbols, (tokens,), generator=generator).to(device)
    with torch.no_grad():
        signal = top_k(Dense((g @ v.t()).float().log_softmax(-1), 1.0), 8, temperature)
    live = KdOptions(temperature, WEIGHT, EPSILON)
    rounded = replace(live, cpu_products="bfloat16")
    stored = KdOptions(temperature, WEIGHT, EPSILON, tail="bucket", top_k=8)

    def plain() -> torch.Tensor:
        log_q = functional.linear(h, w).float().log_softmax(-1)
        nll, smooth = -log_q.gather(-1, target.unsqueeze(-1)).sum(), -log_q.sum()
        return (1 - EPSILON) * nll + EPSILON / symbols * smooth

    def dense() -> torch.Tensor:
        with torch.no_grad():
            log_p = (functional.linear(g, v).float() / temperature).log_softmax(-1)
        return dense_loss(functional.linear(h, w).float(), log_p, target, temperature)

    teacher = TeacherFeatures([g], [Projection(v)])
    chosen: dict[str, Callable[[], torch.Tensor]] = {
        "plain": plain,
        "dense": dense,
        "live": lambda: kd_ls_from_features(h, Projection(w), target, teacher, live).loss,
        "store": lambda: kd_ls_from_features(h, Projection(w), target, signal, stored).loss,
        "bfloat16": lambda: kd_ls_from_features(h, Projection(w), target, teacher, rounded).loss,
    }

    def step(loss: Callable[[], torch.Tensor]) -> Step:
        def run() -> None:
            h.grad = w.grad = None
            loss().backward()

        return run

    return {name: step(loss) for name, loss in chosen.items()}


def seconds(run: Step, device: str) -> float:
    """One call's time: on a CPU its one thread's own, which other programs disturb less, on a GPU the wall's."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def peak_of(run: Step, device: str) -> int:
    """The most bytes that were allocated at a time above the level before the call."""
    if device == "cpu":
        return int(peak_bytes(run))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def measure(steps: dict[str, Step], rounds: int, device: str) -> dict[str, dict[str, float]]:
    """Median seconds and peak bytes of each; interleaved, so that a busy machine disturbs all alike."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for run in steps.values():
        run()
    for _ in range(rounds):
        for name, run in steps.items():
            times[name].append(seconds(run, device))
    return {
        name: {"seconds": statistics.median(times[name]), "peak_bytes": peak_of(run, device)}
        for name, run in steps.items()
    }


def processor() -> str:
    """The name of the processor or of the GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    found = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    names = [line.split(":", 1)[1].strip() for line in found.splitlines() if line.startswith("Model name")]
    return names[0] if names else platform.machine()


NAMES = ("plain", "floor", "dense", "live", "store", "features", "bfloat16")
RATIOS = {
    "(4)/(2)": ("live", "floor", "seconds"),
    "(3)/(4)": ("dense", "live", "seconds"),
    "(5)/(1)": ("store", "plain", "seconds"),
    "(6)/(1)": ("features", "plain", "seconds"),
    "(6)/(4)": ("features", "live", "seconds"),
    "(7)/(4)": ("bfloat16", "live", "seconds"),
    "peak (4)/(3)": ("live", "dense", "peak_bytes"),
}


def row(entry: dict[str, Any]) -> list[str]:
    """The cells of one measurement: speeds, and ratios to plain (1), to the floor (2) and of the loss to dense (3)."""
    found = entry["measured"]
    speeds = [f"{entry['tokens'] / found[name]['seconds']:,.0f}" if name in found else "–" for name in NAMES]
    ratios = [
        f"{found[a][key] / found[b][key]:.2f}" if a in found and b in found else "–" for a, b, key in RATIOS.values()
    ]
    sizes = [f"{entry['symbols']:,}", f"{entry['tokens']:,}", f"{entry['temperature']:g}", entry["type"]]
    return [entry["what"], *sizes, *speeds, *ratios]


def table(results: list[dict[str, Any]]) -> str:
    """As Markdown."""
    numbered = [f"{name} ({number})" for number, name in enumerate(NAMES, 1)]
    shown = markdown_table(["what", "V", "tokens", "T", "type", *numbered, *RATIOS], map(row, results))
    return f"{shown}\nSpeeds are target tokens a second; ratios are of median seconds and of peak bytes.\n"


def make_teacher(folder: Path, symbols: int, tokens: int, heats: Sequence[float], device: str) -> tuple[Path, Path]:
    """Data in `folder`, a teacher of random weights, whose speed is a trained one's, and its two stores.

    The folder of the data, and the teacher's checkpoint.
    """
    data = make_data(folder / "data", symbols, tokens)
    teacher = train(data, folder / "teacher", *STUDENT, "--kd-weight", 0, "--max-update", 1) / "checkpoint_last.pt"
    known = fairseq_io.read_symbols(str(data), ("aa", "bb"))
    assert known is not None
    size = len(known.target)
    for keep, layout in {"top-k": TopKLayout(8, tuple(heats), size), "features": FeatureLayout((), size)}.items():
        settings = WriterSettings(layout)
        write_store(folder / "stores" / keep, [str(teacher)], str(data), known, settings, device, lambda line: None)
    return data, teacher


def measurements(args: Namespace, symbols: int, tokens: int) -> Iterator[dict[str, Any]]:
    """Whole steps and the loss alone at each temperature, on data of so many symbols and batches of so many tokens."""
    temperatures, dtype = tuple(map(float, args.temperatures.split(","))), getattr(torch, args.type)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, teacher = make_teacher(folder, symbols, tokens, temperatures, args.device)
        for temperature in temperatures:
            steps, count = whole_steps(data, teacher, folder / "stores", tokens, temperature, args.device, dtype)
            alone = losses_alone(symbols, count, temperature, args.device, dtype)
            sizes = {"symbols": symbols, "tokens": count, "temperature": temperature, "type": args.type}
            for what, runs_of in (("whole step", steps), ("loss alone", alone)):
                yield {"what": what, **sizes, "measured": measure(runs_of, args.rounds, args.device)}


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--type", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--symbols", default="10000,32000")
    parser.add_argument("--tokens", default="2000")
    parser.add_argument("--temperatures", default="1,2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--library", choices=("auto", "mkl"), default="auto")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.library == "mkl":
        products.onednn_is_faster = lambda: False
    logging.disable(logging.INFO)
    results: list[dict[str, Any]] = []
    for symbols, tokens in itertools.product(*(map(int, text.split(",")) for text in (args.symbols, args.tokens))):
        for entry in measurements(args, symbols, tokens):
            results.append(entry)
            show(table([entry]).splitlines()[2])
    onednn = products.onednn_is_faster()
    settings = {
        "processor": processor(),
        "products_by_onednn": onednn,
        "threads": 1,
        "rounds": args.rounds,
        "student": ARCH,
        "teacher": ARCH,
    }
    write_results(args.out, {**origin(), **settings, "results": results}, table(results))
    print(json.dumps({"out": str(args.out.with_suffix(".json"))}))


if __name__ == "__main__":
    main()
