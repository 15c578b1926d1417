"""What the analyses of a million tokens cost: seconds and memory of each verb, in a process of its own.

    python benchmarks/analyses.py --out benchmarks/results/analyses_cpu

The features are made up (random states of width 256 in half precision, Zipfian targets among 8,000 symbols), since time
and memory depend on sizes alone. On two threads; `lskd features`, which runs the model, is not measured here.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lskd_nmt.analysis.features.folder import FeaturesData, FeaturesHeader, Sample, write_features  # noqa: E402
from lskd_nmt.storage import files, provenance  # noqa: E402
from lskd_nmt.storage.header import Origin, StoredSymbols  # noqa: E402

SYMBOLS, WIDTH = 8000, 256


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


def measured(command: list[str]) -> dict[str, Any]:
    """Wall and CPU seconds and the largest resident set of a command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    complaint = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}\n{complaint}")
    return {
        "wall_seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Make the folders, run the verbs, write FILE.json and FILE.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="without suffix")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        at = Path(scratch)
        teacher, cold, hot, off_cold, off_hot = (str(at / str(model)) for model in range(5))
        for model in range(5):  # in processes of their own: a child's peak is never below its parent's size
            job = multiprocessing.get_context("spawn").Process(
                target=made_up, args=(at / str(model), args.tokens, model, "train")
            )
            job.start()
            job.join()
        verbs = {
            "calibrate": ["calibrate", teacher],
            "confidence": ["confidence", "--models", f"teacher={teacher}", f"student={cold}", "--teacher", "teacher"],
            "diffuse": [
                "diffuse",
                "--teacher",
                teacher,
                "--students",
                f"1={cold}",
                f"2={hot}",
                "--control",
                f"1={off_cold}",
                f"2={off_hot}",
            ],
            "project": ["project", "--teacher", teacher, "--models", f"student={cold}:{hot}"],
            "diagnose": ["diagnose", "--teacher", teacher],
        }
        found = {}
        for name, words in verbs.items():
            print(f"{name} …", file=sys.stderr, flush=True)
            found[name] = measured(
                [sys.executable, "-m", "lskd_nmt.cli", *words, "--out", str(at / f"out-{name}.json")]
            )
    facts = {
        "command": " ".join(["python", *sys.argv]),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "host": provenance.host(),
        "tokens": args.tokens,
        "width": WIDTH,
        "symbols": SYMBOLS,
        "threads": 2,
        "verbs": found,
    }
    files.write_json(args.out.with_suffix(".json"), facts)
    lines = [
        f"| `lskd {name}` | {each['wall_seconds']} | {each['cpu_seconds']} | {each['peak_gib']} |"
        for name, each in found.items()
    ]
    total = sum(each["wall_seconds"] for each in found.values())
    files.write_text(
        args.out.with_suffix(".md"),
        "\n".join(
            [
                f"# The analyses of {args.tokens:,} tokens, width {WIDTH}, float16, on two threads",
                "",
                "| verb | wall s | CPU s | peak GiB |",
                "|---|---|---|---|",
                *lines,
                "",
                f"Together {total:.0f} s. `diffuse` and `confidence` read several models of that many tokens.",
                "",
            ]
        ),
    )
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
