"""How are bad inputs answered? Every entry point, with files cut, flipped, edited, of other types, missing, no files.

    python benchmarks/bad_inputs.py --out benchmarks/results/bad_inputs [--count 1500] [--seed 1]

Each bad input is a valid call, which is tried first, in a folder of its own, in a process of its own, with one file or
number made bad by the seed. Answered well is success, or exit code 2 with exactly one line of error; no traceback, no
crash, no wait without an end, and nothing half-written left. Writes OUT/table.md and OUT/results.json, in which every
badly answered one is listed with its command; exit code 1 if there is one.
"""

import argparse
import collections
import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import bad_calls  # noqa: E402
import bad_world  # noqa: E402

from lskd_nmt import fairseq_io  # noqa: E402
from lskd_nmt.storage import files, provenance  # noqa: E402


def table(tried: list[dict[str, str]], column: str) -> list[str]:
    """Counts by what stands in a column, as Markdown."""
    lines = [f"| {column} | tried | accepted as valid | refused in one line | badly |", "|---|---:|---:|---:|---:|"]
    for name in [*sorted({each[column] for each in tried}), None]:
        mine = [each["outcome"] for each in tried if name in (None, each[column])]
        counts = collections.Counter(what if what in ("accepted", "refused") else "badly" for what in mine)
        row = [name or "**all**", len(mine), counts["accepted"], counts["refused"], counts["badly"]]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return lines


def main() -> int:
    """Try them all and write what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--entry", action="append", choices=[*bad_calls.ENTRIES], help="only these")
    parser.add_argument("--world", type=Path, help="where valid inputs are, or will be made (default: a new folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = args.world or Path(folder) / "world"
        fairseq_io.load_plugin()
        if not world.exists():
            with contextlib.redirect_stdout(io.StringIO()), fairseq_io.quiet():
                bad_world.build(world, *bad_world.pieces_and_model(Path(folder)))
        tried = []
        begin = time.monotonic()
        for name in args.entry or bad_calls.ENTRIES:  # else a refusal would say nothing of what was made bad
            with tempfile.TemporaryDirectory() as place:
                outcome = bad_calls.run(bad_calls.Bad(name, "nothing", "", 0), world, Path(place))
            assert outcome.what == "accepted", (name, outcome)
        for number, bad in enumerate(bad_calls.drawn(args.count, args.seed, args.entry or ()), start=1):
            with tempfile.TemporaryDirectory() as place:
                outcome = bad_calls.run(bad, world, Path(place))
            tried.append(
                {
                    "entry": bad.entry,
                    "kind": bad.kind,
                    "target": bad.target,
                    "how": bad.how,
                    "seed": str(bad.seed),
                    "command": " ".join(bad.words),
                    "outcome": outcome.what,
                    "line": outcome.line,
                }
            )
            if not outcome.is_good or number % 50 == 0:
                print(f"{number} of {args.count} ({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
            if not outcome.is_good:
                print(f"{bad}: {outcome.what}: {outcome.line}", file=sys.stderr, flush=True)
    badly = [each for each in tried if each["outcome"] not in ("accepted", "refused")]
    command = f"python benchmarks/bad_inputs.py --count {args.count} --seed {args.seed} --out {args.out}"
    lines = ["# Bad inputs", "", f"`{command}`", "", *table(tried, "entry"), "", *table(tried, "kind")]
    lines += ["", "## Answered badly", ""]
    lines += [
        f"- `{each['command']}`, {each['target']} {each['how']} (seed {each['seed']}): {each['outcome']}: "
        f"{each['line']}"
        for each in badly
    ] or ["None."]
    files.write_text(args.out / "table.md", "\n".join(lines) + "\n")
    files.write_json(
        args.out / "results.json",
        {"command": command, "commit": provenance.commit(), "versions": provenance.versions(), "tried": tried},
    )
    print(json.dumps({"tried": len(tried), "bad": len(badly)}))
    return 1 if badly else 0


if __name__ == "__main__":
    sys.exit(main())
