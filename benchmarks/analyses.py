"""What the analyses of a million tokens cost: seconds and memory of each verb, in a process of its own.

    python benchmarks/analyses.py --out benchmarks/results/analyses_cpu

The features are made up (random states of width 256 in half precision, Zipfian targets among 8,000 symbols), since time
and memory depend on sizes alone. On two threads; `lskd features`, which runs the model, is not measured here.
"""

import multiprocessing
import sys
import tempfile
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from common import ROOT, cost_of, markdown_table, origin, parser_of, show, write_results

from lskd_nmt.analysis.features.folder import FeaturesData, FeaturesHeader, Sample, write_features
from lskd_nmt.storage.header import Origin, StoredSymbols

SYMBOLS, WIDTH, THREADS = 8000, 256, 2


def made_up(folder: Path, tokens: int, model: int, split: str) -> None:
    """A features folder of `tokens` tokens; those of one split have the same targets for every model."""
    targets, own = np.random.default_rng(len(split)), np.random.default_rng(model)
    lengths = np.full(tokens // 20, 20)
    share = 1 / np.arange(1, SYMBOLS + 1)
    target = targets.choice(SYMBOLS, tokens, p=share / share.sum()).astype(np.uint16)
    log_p = -own.exponential(size=tokens).astype(np.float32)
    top = np.where(own.random(tokens) < 0.7, target, own.integers(SYMBOLS, size=tokens)).astype(np.uint16)
    arrays = {
        "state": own.normal(size=(tokens, WIDTH), scale=0.5).astype(np.float16),
        "target": target,
        "target_log_prob": log_p,
        "top": top,
        "top_log_prob": np.maximum(log_p, -own.exponential(size=tokens).astype(np.float32)),
        "entropy": own.exponential(size=tokens).astype(np.float32),
        "sum_squares": own.random(tokens).astype(np.float32),
        "sentence": np.repeat(np.arange(len(lengths)), lengths).astype(np.uint32),
        "position": np.tile(np.arange(20), len(lengths)).astype(np.uint16),
        "projection": own.normal(size=(SYMBOLS, WIDTH), scale=0.1).astype(np.float32),
        "counts": (1e6 * share).astype(np.uint64) + 1,
    }
    symbols = ["▁" + "".join(letters) for letters in islice(product(ascii_lowercase, repeat=3), SYMBOLS)]
    facts = FeaturesHeader(
        model=Origin(f"{model}.pt", str(model), "made up", 0.1),
        data=FeaturesData(split, ["aa", "bb"], ["1", "2"]),
        symbols=StoredSymbols(symbols, symbols),
        sample=Sample(None, None),
    )
    write_features(folder, facts, arrays)


def verbs_on(features: list[str]) -> dict[str, list[str]]:
    """The verbs that are measured, by their names, with the folders that each reads."""
    teacher, cold, hot, off_cold, off_hot = features
    students, control = [f"1={cold}", f"2={hot}"], [f"1={off_cold}", f"2={off_hot}"]
    return {
        "calibrate": [teacher],
        "confidence": ["--models", f"teacher={teacher}", f"student={cold}", "--teacher", "teacher"],
        "diffusion-index": ["--teacher", teacher, "--students", *students, "--control", *control],
        "projection": ["--teacher", teacher, "--models", f"student={cold}:{hot}"],
        "diagnose": ["--teacher", teacher],
    }


def measured(at: Path, tokens: int) -> dict[str, Any]:
    """Make the folders in `at`; seconds and memory of each verb on them."""
    for model in range(5):  # in processes of their own: a child's peak is never below its parent's size
        job = multiprocessing.get_context("spawn").Process(
            target=made_up, args=(at / str(model), tokens, model, "train")
        )
        job.start()
        job.join()
    found = {}
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    for name, words in verbs_on([str(at / str(model)) for model in range(5)]).items():
        show(f"{name} …")
        command = [sys.executable, "-m", "lskd_nmt.cli", name, *words, "--out", str(at / f"out-{name}.json")]
        cost = cost_of(command, PYTHONPATH=str(ROOT), **threads)
        seconds = {"wall_seconds": cost.wall_seconds, "cpu_seconds": cost.cpu_seconds}
        found[name] = {**seconds, "peak_gib": round(cost.peak_bytes / 2**30, 2)}
    return found


def main() -> None:
    """Measure, and write FILE.json and FILE.md."""
    parser = parser_of(__doc__, "FILE")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(Path(scratch), args.tokens)
    sizes = {"tokens": args.tokens, "width": WIDTH, "symbols": SYMBOLS, "threads": THREADS}
    rows = [(f"`lskd {name}`", *each.values()) for name, each in found.items()]
    total = sum(each["wall_seconds"] for each in found.values())
    text = (
        f"# The analyses of {args.tokens:,} tokens, width {WIDTH}, float16, on two threads\n\n"
        f"{markdown_table(('verb', 'wall s', 'CPU s', 'peak GiB'), rows)}\n"
        f"Together {total:.0f} s. `diffusion-index` and `confidence` read several models of that many tokens.\n"
    )
    write_results(args.out, {**origin(), **sizes, "verbs": found}, text)
    print(text)


if __name__ == "__main__":
    main()
