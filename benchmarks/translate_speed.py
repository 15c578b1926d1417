"""What `lskd translate` costs beside the engine under it: whole commands on made-up lines, interleaved.

    python benchmarks/translate_speed.py --models student=student-int8 teacher=teacher-int8 \
        --out benchmarks/results/translate_cpu

The models are folders of `lskd export --to ctranslate2`; the lines are those of the generated corpus, as `lskd toy`
writes them. The script that is compared with has 12 lines: it reads all of the input, cuts it into subwords, calls
CTranslate2 once with as many workers, and writes. In each repeat the commands take turns. `--before` names an older
checkout of this repository, which then takes its turn, too.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from common import ROOT, markdown_table, origin, parser_of, show, write_results

from lskd_nmt.data import toy
from lskd_nmt.deploy.benchmark_settings import cores

ENGINE = """
import sys
import ctranslate2, sentencepiece
model, workers, beam = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
subwords = sentencepiece.SentencePieceProcessor(model_file=f"{model}/spm.model")
engine = ctranslate2.Translator(model, inter_threads=workers, intra_threads=1)
source = subwords.encode([line.rstrip("\\n") for line in sys.stdin], out_type=str)
found = engine.translate_batch(
    source, beam_size=beam, max_batch_size=1024, batch_type="tokens", max_decoding_length=400
)
for line in subwords.decode([result.hypotheses[0] for result in found]):
    print(line)
"""


class Took(NamedTuple):
    """A command's seconds, on the wall and of work on all cores."""

    wall: float
    cpu: float


def commands(model: Path, args: argparse.Namespace) -> dict[str, tuple[list[str], dict[str, str]]]:
    """By name the words of each command, and its environment."""
    verb = ["-m", "lskd_nmt.cli", "translate", str(model.resolve()), "--beam", str(args.beam)]
    engine = ["-c", ENGINE, str(model.resolve()), str(args.workers), str(args.beam)]
    found = {"engine": (engine, {}), "lskd translate": ([*verb, "--workers", str(args.workers)], place(ROOT))}
    if args.before:
        found["lskd translate before"] = (verb, place(args.before))
    return found


def place(checkout: Path) -> dict[str, str]:
    """The environment in which Python imports that checkout."""
    return {"PYTHONPATH": str(checkout.resolve())}


def run(words: Sequence[str], environment: Mapping[str, str], text: Path, out: Path) -> Took:
    """Translate a file with a command."""
    before, start = os.times(), time.monotonic()
    with text.open("rb") as source, out.open("wb") as target:
        subprocess.run(
            [sys.executable, *words],
            stdin=source,
            stdout=target,
            stderr=subprocess.DEVNULL,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(cores()), **environment},
            cwd=out.parent,
        )
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(time.monotonic() - start, cpu)


@dataclass(frozen=True)
class Row:
    """A command with a model: seconds of each repeat, ratios to the engine's in the same repeat, and its answers."""

    model: str
    command: str
    wall_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    wall_ratio: float  # the median over the repeats
    cpu_ratio: float
    lines: int
    other_lines: int  # that are not the engine's


def measure(name: str, model: Path, args: argparse.Namespace, text: Path) -> list[Row]:
    """Every command with one model; in each repeat they take turns."""
    calls = commands(model, args)
    took: dict[str, list[Took]] = {each: [] for each in calls}
    answers: dict[str, list[str]] = {}
    for repeat in range(args.repeats):
        for each, (words, environment) in calls.items():
            out = text.with_name("answers")
            took[each].append(run(words, environment, text, out))
            answers[each] = out.read_text(encoding="utf-8").splitlines()
            show(f"{name}, repeat {repeat + 1}: {each} {took[each][-1].wall:.1f} s, CPU {took[each][-1].cpu:.1f} s")
    rows = []
    for each, spans in took.items():
        pairs = list(zip(spans, took["engine"], strict=True))
        rows.append(
            Row(
                name,
                each,
                tuple(round(span.wall, 2) for span in spans),
                tuple(round(span.cpu, 2) for span in spans),
                round(statistics.median(ours.wall / engine.wall for ours, engine in pairs), 3),
                round(statistics.median(ours.cpu / engine.cpu for ours, engine in pairs), 3),
                len(answers[each]),
                sum(ours != engine for ours, engine in zip(answers[each], answers["engine"], strict=True)),
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    names = ("model", "command", "wall s", "of the engine's", "CPU s", "of the engine's", "lines unlike the engine's")
    cells = [
        (
            row.model,
            row.command,
            f"{statistics.median(row.wall_seconds):.1f}",
            f"{row.wall_ratio:.2f}",
            f"{statistics.median(row.cpu_seconds):.1f}",
            f"{row.cpu_ratio:.2f}",
            f"{row.other_lines} of {row.lines:,}",
        )
        for row in rows
    ]
    return markdown_table(names, cells)


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    rows: list[Row] = []
    load = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        text = Path(folder, "text")
        text.write_text(
            "".join(f"{pair[0]}\n" for pair in toy.generate("en", "de", args.lines, seed=7)), encoding="utf-8"
        )
        for name, _, model in (word.partition("=") for word in args.models):
            rows += measure(name, Path(model), args, text)
    about = {"lines": args.lines, "beam": args.beam, "workers": args.workers, "load_before": round(load, 2)}
    write_results(args.out, {**origin(), **about, "results": [asdict(row) for row in rows]}, table(rows))


if __name__ == "__main__":
    main()
