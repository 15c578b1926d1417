"""How much memory does data preparation take, and does it grow with the corpus?

    python benchmarks/prepare_memory.py --pairs 1000000 4000000 --out benchmarks/results/prepare_memory

Draws words of a Zipf vocabulary as sentences, with another language's words for them as translations, one pair in
twenty a second time, and runs prepare.sh stage by stage. The peak is that of the largest process of a stage (its
resident set); what takes less than this process itself, about 80 MB, shows as that. Sizes that are there already in
OUT/table.json are kept. With --stop-stage 3 the later stages are not measured.
"""

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, cost_of, markdown_table, origin, parser_of, show
from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import save
from lskd_nmt.storage import files

STAGES = ("fetch", "clean", "subwords", "binarise", "check")
LANGS = ("aa", "bb")
WORDS, MEAN_WORDS, BLOCK = 200_000, 12, 50_000
TARGET, LIMIT = 20_000_000, 4 << 10  # pairs, and megabytes that they may take


def vocabulary(draw: np.random.Generator) -> list[str]:
    """Words of 2 letters and more, about 7."""
    letters = list("etaoinshrdlucmfwypvbgkjqxz")
    chances = np.arange(1, len(letters) + 1) ** -0.7
    sizes = draw.poisson(5, WORDS) + 2
    return ["".join(draw.choice(letters, size, p=chances / chances.sum())) for size in sizes]


def write_corpus(folder: Path, pairs: int) -> None:
    """{train,valid,test}.{aa,bb}, with about 80 characters a line."""
    draw = np.random.default_rng(1)
    languages = [vocabulary(draw) for _ in LANGS]
    chances = np.cumsum(1 / np.arange(1, WORDS + 1))
    for split, count in (("train", pairs), ("valid", 1000), ("test", 1000)):
        with (folder / f"{split}.aa").open("w") as source, (folder / f"{split}.bb").open("w") as target:
            for start in range(0, count, BLOCK):
                size = min(BLOCK, count - start)
                ends = np.cumsum(draw.poisson(MEAN_WORDS - 1, size) + 1)
                ids = np.searchsorted(chances, draw.random(ends[-1]) * chances[-1])
                rows = [row.tolist() for row in np.split(ids, ends[:-1])]
                rows[1::20] = rows[0::20][: len(rows[1::20])]
                for file, words in zip((source, target), languages, strict=True):
                    file.writelines(" ".join([words[i] for i in row]) + "\n" for row in rows)


def prepared(pairs: int, scratch: Path, last: int) -> dict[str, Any]:
    """What each stage takes at so many pairs, up to the stage of that number."""
    writer = multiprocessing.get_context("spawn").Process(target=write_corpus, args=(scratch, pairs))
    writer.start()  # a child's peak is never below that of the process that started it, which thus stays small
    writer.join()
    size = sum((scratch / f"train.{lang}").stat().st_size for lang in LANGS)
    found: dict[str, Any] = {"pairs": pairs, "text_mb": round(size / 2**20), "stages": {}}
    prefixes = [word for split in ("train", "valid", "test") for word in (f"--{split}", str(scratch / split))]
    for number, stage in enumerate(STAGES[:last], 1):
        flags = f"--corpus files --source-lang {LANGS[0]} --target-lang {LANGS[1]} --workers 1"
        stages = ["--stage", str(number), "--stop-stage", str(number), "--out", str(scratch / "data")]
        command = ["bash", str(ROOT / "data-prep" / "prepare.sh"), *flags.split(), *prefixes, *stages]
        cost = cost_of(command)
        found["stages"][stage] = {"seconds": round(cost.wall_seconds), "mb": round(cost.peak_bytes / 2**20)}
        show(f"{pairs} {stage} {found['stages'][stage]}")
    return found


def extrapolated(rows: Sequence[dict[str, Any]], stage: str) -> float:
    """Megabytes at 20 million pairs, on the line through the smallest and the largest corpus; not less than these."""
    (x0, y0), (x1, y1) = ((row["pairs"], row["stages"][stage]["mb"]) for row in (rows[0], rows[-1]))
    return max(y0, y1, y1 + (TARGET - x1) * (y1 - y0) / (x1 - x0) if x1 > x0 else 0)


def table(rows: Sequence[dict[str, Any]], command: object) -> str:
    """As Markdown."""
    lines = []
    for row in rows:
        found = [row["stages"].get(stage) for stage in STAGES]
        cells = [f"{each['mb']:,} ({each['seconds']:,} s)" if each else "not measured" for each in found]
        lines.append((f"{row['pairs']:,}", f"{row['text_mb']:,}", *cells))
    if len(rows) > 1:
        cells = [f"{extrapolated(rows, stage):,.0f}" if stage in rows[-1]["stages"] else "?" for stage in STAGES]
        lines.append((f"{TARGET:,}, on a line through these", "", *cells))
    shown = markdown_table(("pairs", "text MB", *STAGES), lines, "---:")
    return f"# Memory of data preparation\n\n`{command}`\n\nPeak of the largest process in MB (seconds).\n\n{shown}"


def picture(rows: Sequence[dict[str, Any]]) -> Figure:
    """Megabytes over pairs, for each stage."""
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    for stage in STAGES:
        there = [row for row in rows if stage in row["stages"]]
        pairs, megabytes = [row["pairs"] / 1e6 for row in there], [row["stages"][stage]["mb"] for row in there]
        line = axes.plot(pairs, megabytes, "o-", label=stage)[0]
        if len(there) > 1:
            ends = [pairs[-1], TARGET / 1e6], [megabytes[-1], extrapolated(there, stage)]
            axes.plot(*ends, ":", color=line.get_color())
    axes.axhline(LIMIT, color="0.5", linewidth=1, linestyle="--")
    axes.set(
        xlabel="million pairs (dotted: on a line through the measured)",
        ylabel="MB of the largest process",
        ylim=(0, None),
    )
    axes.legend()
    return figure


def main() -> None:
    """Measure what is missing, and write OUT/{table.json,table.md} and the picture."""
    parser = parser_of(__doc__, "DIR")
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--stop-stage", type=int, default=len(STAGES), help="the last stage that is measured")
    args = parser.parse_args()
    file = args.out / "table.json"
    rows = {row["pairs"]: row for row in (files.read_json(file)["rows"] if file.is_file() else [])}
    for pairs in args.pairs:
        if pairs not in rows:
            with tempfile.TemporaryDirectory() as scratch:
                rows[pairs] = prepared(pairs, Path(scratch), args.stop_stage)
        ordered = [rows[size] for size in sorted(rows)]
        made = origin()
        files.write_json(file, {**made, "rows": ordered})
        files.write_text(args.out / "table.md", table(ordered, made["command"]))
        save(picture(ordered), args.out / "curve")


if __name__ == "__main__":
    main()
