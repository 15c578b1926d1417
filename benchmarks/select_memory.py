"""What choosing among a teacher's translations takes in memory, by the number of sentences.

    python benchmarks/select_memory.py --rows 50000 200000 --hypotheses 5 --out benchmarks/results/select_memory/table

Makes corpora of random subwords (Zipf's law over 8,000 of them) and decodings of them, runs lskd seqkd select on each,
and notes the largest resident memory of the process, its seconds, and a hash of all that it wrote. --checkout names
another version of this repository to measure beside this one. --filters are those of select; language is refused,
as these are none.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import ROOT, markdown_table, origin, parser_of, show, write_results
from matplotlib.figure import Figure

from lskd_nmt import fairseq_io
from lskd_nmt.report.figures.style import save
from lskd_nmt.seqkd import corpus, ledger
from lskd_nmt.seqkd.ledger import Hypothesis, Row
from lskd_nmt.storage import files
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.typed import to_json
from lskd_nmt.teacher.coverage import data_hashes

LANGS = ("aa", "bb")
SYMBOLS, LENGTHS = 8000, (5, 40)  # subwords; shortest and longest sentence
SPECIAL, EOS = 4, 2
PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from lskd_nmt.cli import main
code = main(sys.argv[2:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def sentences(draw: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Random sentences, as ids without their end."""
    for start in range(0, count, 10_000):
        lengths = draw.integers(*LENGTHS, size=min(10_000, count - start), endpoint=True)
        ids = SPECIAL + (draw.zipf(1.3, size=int(lengths.sum())) - 1) % SYMBOLS
        yield from np.split(ids, np.cumsum(lengths)[:-1])


def make(folder: Path, rows: int, hypotheses: int) -> None:
    """A corpus in `folder`/bin and a finished decoding of it in `folder`/decoded."""
    draw, (data, decoded) = np.random.default_rng(1), (folder / "bin", folder / "decoded")
    data.mkdir(parents=True)
    decoded.mkdir()
    names = ["".join(letters) for letters in islice(product(ascii_lowercase, repeat=3), SYMBOLS)]
    words = [f"▁{name}" if number % 3 else name for number, name in enumerate(names)]
    for lang in LANGS:
        (data / f"dict.{lang}.txt").write_text("".join(f"{word} 1\n" for word in words), encoding="utf-8")
    ends = (np.append(ids, EOS) for ids in sentences(draw, 2 * rows))
    fairseq_io.write_pairs(str(data), LANGS, "train", list(zip(ends, ends, strict=False)), (SYMBOLS + 4,) * 2)
    settings = {"nbest": hypotheses, "sampling": True, "shard_sentences": 1000}
    hashes = data_hashes(str(data), LANGS, ("train",))
    plan = ledger.DecodingPlan([Origin("t.pt", "0", "x", 0.0)], list(LANGS), hashes, settings)
    found = sentences(draw, rows * hypotheses)
    with (decoded / ledger.ROWS).open("w", encoding="utf-8") as out:
        for number, pair in enumerate(corpus.corpus_pairs(str(data), LANGS, "train")):
            texts = (" ".join(words[i - SPECIAL] for i in next(found)) for _ in range(hypotheses))
            own = tuple(Hypothesis(text, -1.0 - at / 8) for at, text in enumerate(texts))
            out.write(Row(number, corpus.source_key(pair.source_ids), ledger.settings_hash(plan), own).line())
    counts = {"rows": rows, "hypotheses": rows * hypotheses, "empty_rows": 0}
    content = {"format": ledger.FORMAT, **to_json(plan), **counts, "sha256": files.sha256(decoded / ledger.ROWS)}
    files.write_json(decoded / ledger.FILE, content)


def measure(checkout: Path, folder: Path, rows: int, method: str, filters: str = "") -> dict[str, Any]:
    """One call of lskd seqkd select in a process of its own."""
    out = folder / f"chosen-{method}-{time.monotonic_ns()}"
    words = ["seqkd", "select", "--decoded", folder / "decoded", "--data", folder / "bin", "--out", out]
    words += ["--filters", filters] if filters else []
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, checkout, *map(str, words), "--method", method],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    seconds = time.monotonic() - start
    whole = hashlib.sha256()
    for file in sorted(file for file in out.rglob("*") if file.is_file()):
        whole.update(f"{file.relative_to(out)} {files.sha256(file)}\n".encode())
    size = sum(file.stat().st_size for file in out.rglob("*"))
    return {
        "rows": rows,
        "method": f"{method}, {filters}" if filters else method,
        "hypotheses": json.loads(result.stdout)["hypotheses"],
        "peak_megabytes": round(int(result.stderr.split()[-1]) / 1e6, 1),
        "seconds": round(seconds, 1),
        "written_megabytes": round(size / 1e6, 1),
        "sha256": whole.hexdigest(),
    }


def table(found: list[dict[str, Any]]) -> str:
    """As Markdown."""
    names = ("version", "method", "rows", "hypotheses", "peak MB", "seconds", "MB written", "sha256 of all")
    rows = [
        (
            row["version"],
            row["method"],
            f"{row['rows']:,}",
            f"{row['hypotheses']:,}",
            f"{row['peak_megabytes']:,.0f}",
            f"{row['seconds']:.0f}",
            f"{row['written_megabytes']:,.0f}",
            row["sha256"][:12],
        )
        for row in found
    ]
    return markdown_table(names, rows)


def picture(found: list[dict[str, Any]]) -> Figure:
    """Peak memory by rows, one line for each version and method."""
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    for version, method in dict.fromkeys((row["version"], row["method"]) for row in found):
        points = [
            (row["rows"], row["peak_megabytes"])
            for row in found
            if (row["version"], row["method"]) == (version, method)
        ]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{version}, {method}")
    axes.set(xlabel="sentences", ylabel="largest resident memory, MB", ylim=(0, None), xlim=(0, None))
    axes.legend(frameon=False)
    return figure


def main() -> None:
    """Write OUT.json, OUT.md and the picture."""
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--hypotheses", type=int, default=5, metavar="M")
    parser.add_argument("--methods", nargs="+", default=["multi"])
    parser.add_argument("--filters", default="", metavar="NAME,…", help="drop pairs by these")
    parser.add_argument("--checkout", action="append", default=[], metavar="NAME=DIR", help="another version")
    args = parser.parse_args()
    versions = {**dict(word.split("=", 1) for word in args.checkout), "now": str(ROOT)}
    found = []
    with TemporaryDirectory() as scratch, fairseq_io.quiet():
        for rows in args.rows:
            make(Path(scratch) / str(rows), rows, args.hypotheses)
            for method in args.methods:
                for name, checkout in versions.items():
                    row = {
                        "version": name,
                        **measure(Path(checkout), Path(scratch) / str(rows), rows, method, args.filters),
                    }
                    found.append(row)
                    show(json.dumps(row))
    write_results(args.out, {**origin(), "measured": found}, table(found))
    with fairseq_io.quiet():
        save(picture(found), args.out)
    print(table(found))


if __name__ == "__main__":
    main()
