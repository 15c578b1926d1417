"""How close students come to a translator that is not ours, by how much of its text they learned.

    python benchmarks/external_teacher.py --students 3000=DIR 29000=DIR --teacher-size-mb 17.4 \
        --teacher-command 'python translate.py' --out benchmarks/results/external_teacher/curve

Each DIR has `int8` (lskd export), and `valid` and `test` with both sides: source, and the teacher's translation, whose
languages are `--langs`. Scores are of the students' translations against the teacher's, not against people's. Speeds
are CPU seconds of whole commands, teacher and student in turn, on the first `--lines` sources of test.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common import cost_of, markdown_table, origin, parser_of, show, write_results
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

LSKD = Path(sys.executable).parent / "lskd"


@dataclass(frozen=True)
class Fidelity:
    """A student beside its teacher."""

    lines: int  # of the teacher's that it learned
    megabytes: float
    scores: dict[str, dict[str, float]]  # by split: BLEU and chrF against the teacher's translations
    seconds: float  # CPU, of `--lines` sources


def text_of(file: Path) -> list[str]:
    """The lines of a file."""
    return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def translated(model: Path, source: Path) -> list[str]:
    """A file's lines in the words of an exported student."""
    with source.open("rb") as lines:
        done = subprocess.run([LSKD, "translate", model], stdin=lines, capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\n").split("\n")


def scores_of(folder: Path, langs: Sequence[str]) -> dict[str, dict[str, float]]:
    """BLEU and chrF of valid and test."""
    found = {}
    for split in ("valid", "test"):
        source, target = (folder / f"{split}.{lang}" for lang in langs)
        ours, theirs = translated(folder / "int8", source), [text_of(target)]
        found[split] = {
            "bleu": BLEU().corpus_score(ours, theirs).score,
            "chrf": CHRF().corpus_score(ours, theirs).score,
        }
    return found


def seconds_of(command: Sequence[str], source: Path) -> float:
    """CPU seconds of a command that reads a file."""
    return cost_of(["sh", "-c", f'"$@" < {source}', "sh", *command], OMP_NUM_THREADS="1").cpu_seconds


def table(found: Sequence[Fidelity], teacher_mb: float, teacher_seconds: float) -> str:
    """As Markdown."""
    rows = [("teacher", f"{teacher_mb:.1f}", "–", "–", "–", "–", f"{teacher_seconds:.1f}", "1.0")]
    for each in found:
        scores = [f"{each.scores[split][name]:.1f}" for split in ("valid", "test") for name in ("bleu", "chrf")]
        speed = f"{each.seconds:.1f}", f"{teacher_seconds / each.seconds:.1f}"
        rows.append((f"student of {each.lines:,} lines", f"{each.megabytes:.1f}", *scores, *speed))
    names = ("", "MB", "BLEU valid", "chrF valid", "BLEU test", "chrF test", "CPU s", "times as fast")
    return markdown_table(names, rows)


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--students", nargs="+", required=True, metavar="LINES=DIR")
    parser.add_argument("--langs", default="en,pt")
    parser.add_argument("--teacher-command", required=True, help="reads lines and writes their translations")
    parser.add_argument("--teacher-size-mb", type=float, required=True)
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    args: argparse.Namespace = parser.parse_args()
    langs = args.langs.split(",")
    folders = {int(name): Path(folder) for name, _, folder in (each.partition("=") for each in args.students)}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        first = text_of(next(iter(folders.values())) / f"test.{langs[0]}")[: args.lines]
        source.write_text("".join(f"{line}\n" for line in first), encoding="utf-8")
        commands = {
            number: [str(LSKD), "translate", str(folder / "int8"), "--threads", "1"]
            for number, folder in folders.items()
        }
        commands[0] = args.teacher_command.split()
        times: dict[int, list[float]] = {number: [] for number in commands}
        for _ in range(args.repeats):
            for number, command in commands.items():
                times[number].append(seconds_of(command, source))
    found = []
    for number, folder in sorted(folders.items()):
        show(f"{number:,} lines")
        size = sum(file.stat().st_size for file in (folder / "int8").iterdir()) / 1e6
        found.append(Fidelity(number, size, scores_of(folder, langs), statistics.median(times[number])))
    teacher = statistics.median(times[0])
    content = {"lines_timed": args.lines, "teacher_cpu_seconds": teacher, "students": [asdict(each) for each in found]}
    write_results(args.out, {**origin(), **content}, table(found, args.teacher_size_mb, teacher))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
