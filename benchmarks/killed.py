"""Does a pipeline that was killed again and again end as one that was not?

    python benchmarks/killed.py --kills 30 --out benchmarks/results/killed

Runs two small experiments in one go: data, a teacher, its store or its translations, students of these, decoding,
scores. Then both in turn with SIGKILL to all its processes at random moments, each time with another number of jobs,
until it is complete; and again until so many kills were made. What must be the same byte by byte is compared:
prepared data, store, translations of train and test, scores; and every weight of every model.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import torch
from common import ROOT, origin, parser_of, show

from lskd_nmt import fairseq_io
from lskd_nmt.storage.files import sha256, write_json

START = """
name: killed
data: {corpus: toy, source_lang: en, target_lang: de, pairs: 1500, vocab_size: 300}
teacher: {arch: ls_transformer_tiny, label_smoothing: [0.1], train: {max-epoch: 3}}
train: {max-tokens: 512, lr: 3e-3, warmup-updates: 50}
seeds: [1]
student:
  arch: ls_transformer_tiny
  temperature: [1]
  train: {encoder-layers: 1, decoder-layers: 1, max-epoch: 2}
"""
CONFIGS = (
    START + "  plain: true\n  tail: [bucket:8]\n  store: top-k\n",
    START + "  kd_level: [both]\n  hypotheses: [interpolate]\nseqkd: {beam: 4, nbest: 4}\n",
)
SAME = (
    *(f"data/{part}/*" for part in ("bin", "spm", "clean")),
    *(f"models/*/{part}" for part in ("store/**/*", "hypotheses/**/*", "test.hyp", "metrics.json")),
)
TOKEN = "LSKD_KILLED_BENCHMARK"  # in the environment of all that a call starts
PASSING = (".log", "lock")  # what a call says, and who holds what
PATIENCE = 1800  # seconds for a call that is not to be killed


def names_of_hashes(run: Path) -> dict[str, str]:
    """Hashes that differ between equal runs, and a name for each.

    A checkpoint holds the wall time of its training. Its hash stands in the headers of stores and translations, and
    goes into the hash of a decoding's settings, that into each row, and so on. What is hashed is compared itself.
    """
    found = {sha256(file): f"checkpoint {file.parent.name}" for file in run.glob("models/*/model.pt")}
    for rows in run.glob("models/*/hypotheses/decoded/rows.jsonl"):
        with rows.open(encoding="utf-8") as lines:
            settings = json.loads(next(lines))["settings"]
        found[f'"settings": "{settings}"'] = '"settings": "those of the plan"'
        found |= {sha256(file): file.name for file in (rows, rows.with_name("ledger.json"))}
    for header in [*run.glob("models/*/store/store.json"), *run.glob("models/*/hypotheses/*/hypotheses.json")]:
        found[json.loads(header.read_text(encoding="utf-8"))["digest"]] = "digest of the header"
    return found


def digests(run: Path) -> dict[str, str]:
    """Of every file that must be the same, and of the weights of every model."""
    files = {file for pattern in SAME for file in run.glob(pattern) if file.is_file()}
    names, found = names_of_hashes(run), {}
    for file in sorted(files):
        if not file.name.startswith(".") and not str(file).endswith(PASSING):
            content = file.read_bytes()
            if file.suffix in (".json", ".jsonl"):
                for value, name in names.items():
                    content = content.replace(value.encode(), name.encode())
            found[str(file.relative_to(run))] = hashlib.sha256(content).hexdigest()
    for file in sorted(run.glob("models/*/model.pt")):
        weights = torch.load(file, weights_only=True, map_location="cpu")["model"]
        content = b"".join(name.encode() + weights[name].numpy().tobytes() for name in sorted(weights))
        found[f"{file.relative_to(run)}: weights"] = hashlib.sha256(content).hexdigest()
    return found


def kill_all(token: str) -> None:
    """SIGKILL to every process that has the token in its environment, however it was started."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if token.encode() in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except OSError:  # it has ended, or is another user's
            continue


def call(run: Path, config: Path, jobs: int, patience: float) -> dict[str, Any]:
    """One call of the pipeline, killed after `patience` seconds; how it ended."""
    token = uuid.uuid4().hex
    command = [
        "bash",
        str(ROOT / "experiments" / "run.sh"),
        "--config",
        str(config),
        "--out",
        str(run),
        "--device",
        "cpu",
        "--jobs",
        str(jobs),
        "--threads",
        "1",
    ]
    start = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {TOKEN: token}
    ) as child:
        try:
            code: int | None = child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            code = None
            kill_all(token)
            kill_all(token)  # what was being started meanwhile
    done = len(list(run.glob("models/*/model.pt")))
    return {"jobs": jobs, "seconds": round(time.monotonic() - start, 1), "exit_code": code, "models": done}


def uninterrupted(folder: Path) -> tuple[list[Path], list[dict[str, Any]], list[dict[str, str]]]:
    """Each experiment in one go: its config, how it ended, and its digests."""
    configs, ends, wholes = [], [], []
    for number, text in enumerate(CONFIGS):
        configs.append(folder / f"killed{number}.yaml")
        configs[-1].write_text(text)
        ends.append(call(folder / f"whole{number}", configs[-1], 2, PATIENCE))
        assert ends[-1]["exit_code"] == 0, ends
        wholes.append(digests(folder / f"whole{number}"))
    return configs, ends, wholes


def kill_until_complete(
    run: Path, config: Path, kills: int, patience: float, draw: random.Random
) -> list[dict[str, Any]]:
    """The calls of one run, at most `kills` of them killed; the last has completed it."""
    calls: list[dict[str, Any]] = []
    while not calls or calls[-1]["exit_code"] is None:
        limit = draw.uniform(2, patience) if len(calls) < kills else PATIENCE
        calls.append({"run": run.name, **call(run, config, draw.randint(1, 3), limit)})
        show(calls[-1])
    assert calls[-1]["exit_code"] == 0, f"{run} cannot be finished"
    return calls


def main() -> None:
    """Compare and write OUT.json."""
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=30, help="at least (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=30, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    calls: list[dict[str, Any]] = []
    different: list[str] = []
    killed = number = 0
    fairseq_io.allow_safe_unpickling()
    with tempfile.TemporaryDirectory() as folder:
        configs, ends, wholes = uninterrupted(Path(folder))
        while killed < args.kills:
            run, which = Path(folder) / f"killed{number}", number % len(CONFIGS)
            mine = kill_until_complete(run, configs[which], args.kills - killed, args.patience, draw)
            killed += len(mine) - 1
            calls += mine
            found, wanted = digests(run), wholes[which]
            different += [f"{run.name}/{name}" for name in wanted | found if wanted.get(name) != found.get(name)]
            number += 1
    counts = {"kills": killed, "runs": number, "compared": [len(each) for each in wholes], "different": different}
    write_json(args.out.with_suffix(".json"), {**origin(), **counts, "uninterrupted": ends, "calls": calls})
    print(f"{killed} kills in {number} runs, {len(different)} of the files and weights compared differ")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
