"""Is a decoding that was killed again and again the same as one that was not?

    python benchmarks/killed.py --teacher T.pt --data DATA/bin --out benchmarks/results/decoding_killed

Decodes a split in one go, then once more with SIGKILL to all its processes at random moments until it is complete, each
time with another number of workers, and compares the files byte by byte.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lskd_nmt import runs  # noqa: E402


def command(args: argparse.Namespace, out: Path, workers: int) -> list[str]:
    """The decoding of the split into `out`."""
    return [str(Path(sys.executable).parent / "lskd"), "seqkd", "decode", "--teacher-path", args.teacher, "--data",
            args.data, "--split", args.split, "--shard-sentences", "10", "--nbest", "3", "--out", str(out),
            "--workers", str(workers), "--device", "cpu"]  # fmt: skip


def hashes(folder: Path) -> dict[str, str]:
    """Of every file."""
    return {str(file.relative_to(folder)): runs.sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def killed_until_done(args: argparse.Namespace, out: Path, draw: random.Random) -> list[dict[str, Any]]:
    """What each call left: seconds until it was killed, shards there; the last one ended by itself."""
    calls: list[dict[str, Any]] = []
    while True:
        patience = draw.uniform(3, args.patience) if len(calls) < args.kills else 600.0
        workers = draw.randint(1, 3)
        with subprocess.Popen(command(args, out, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True) as child:  # fmt: skip
            start = time.monotonic()
            try:
                code = child.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                code = child.wait()
        calls.append({"workers": workers, "seconds": round(time.monotonic() - start, 1), "exit_code": code,
                      "shards": len(list(out.glob("shards/*.jsonl")))})  # fmt: skip
        print(calls[-1], file=sys.stderr, flush=True)
        if code == 0:
            return calls


def main() -> None:
    """Compare and write OUT.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--kills", type=int, default=8, help="at most")
    parser.add_argument("--patience", type=float, default=25, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        subprocess.run(command(args, whole, 2), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        calls = killed_until_done(args, parts, random.Random(args.seed))
        same = hashes(whole) == hashes(parts)
        facts = {"command": f"python benchmarks/killed.py --split {args.split} --seed {args.seed}", "calls": calls,
                 "same_bytes": same, "files": hashes(parts), "commit": runs.commit(),
                 "versions": runs.versions()}  # fmt: skip
    runs.write_json(args.out.with_suffix(".json"), facts)
    print("the same bytes" if same else "DIFFERENT")
    sys.exit(not same)


if __name__ == "__main__":
    main()
