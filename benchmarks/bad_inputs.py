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

from common import markdown_table, origin, parser_of, show

# isort: split
import bad_calls
import bad_world

from lskd_nmt import fairseq_io
from lskd_nmt.storage import files


def table(tried: list[dict[str, str]], column: str) -> str:
    """Counts by what stands in a column, as Markdown."""
    rows = []
    for name in [*sorted({each[column] for each in tried}), None]:
        mine = [each["outcome"] for each in tried if name in (None, each[column])]
        counts = collections.Counter(what if what in ("accepted", "refused") else "badly" for what in mine)
        rows.append((name or "**all**", len(mine), counts["accepted"], counts["refused"], counts["badly"]))
    return markdown_table((column, "tried", "accepted as valid", "refused in one line", "badly"), rows)


def try_all(args: argparse.Namespace, world: Path) -> list[dict[str, str]]:
    """What came of each bad input; before them of each entry's valid call, else a refusal would say nothing."""
    for name in args.entry or bad_calls.ENTRIES:
        with tempfile.TemporaryDirectory() as place:
            outcome = bad_calls.run(bad_calls.Bad(name, "nothing", "", 0), world, Path(place))
        assert outcome.what == "accepted", (name, outcome)
    tried, begin = [], time.monotonic()
    for number, bad in enumerate(bad_calls.drawn(args.count, args.seed, args.entry or ()), start=1):
        with tempfile.TemporaryDirectory() as place:
            outcome = bad_calls.run(bad, world, Path(place))
        facts = {"entry": bad.entry, "kind": bad.kind, "target": bad.target, "how": bad.how, "seed": str(bad.seed)}
        tried.append({**facts, "command": " ".join(bad.words), "outcome": outcome.what, "line": outcome.line})
        if not outcome.is_good or number % 50 == 0:
            show(f"{number} of {args.count} ({time.monotonic() - begin:.0f} s)")
        if not outcome.is_good:
            show(f"{bad}: {outcome.what}: {outcome.line}")
    return tried


def document(tried: list[dict[str, str]], badly: list[dict[str, str]], command: object) -> str:
    """The counts, and each badly answered one."""
    shown = [
        f"- `{each['command']}`, {each['target']} {each['how']} (seed {each['seed']}): "
        f"{each['outcome']}: {each['line']}"
        for each in badly
    ]
    tables = f"{table(tried, 'entry')}\n{table(tried, 'kind')}"
    lines = "\n".join(shown or ["None."])
    return f"# Bad inputs\n\n`{command}`\n\n{tables}\n## Answered badly\n\n{lines}\n"


def main() -> int:
    """Try them all and write what came of it."""
    parser = parser_of(__doc__)
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
        tried = try_all(args, world)
    badly = [each for each in tried if each["outcome"] not in ("accepted", "refused")]
    made = origin()
    files.write_text(args.out / "table.md", document(tried, badly, made["command"]))
    files.write_json(args.out / "results.json", {**made, "tried": tried})
    print(json.dumps({"tried": len(tried), "bad": len(badly)}))
    return 1 if badly else 0


if __name__ == "__main__":
    sys.exit(main())
