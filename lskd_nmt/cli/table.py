"""Verbs over finished runs: `table` and `curves`."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.cli.common import show, verb_of, words_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage import files

if TYPE_CHECKING:
    from lskd_nmt.evaluate.contrasts import Output
    from lskd_nmt.report.results.records import ResultsTable

PAIRS = ("auto", "none", "en-de", "en-ru")


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    text = "the results of runs as JSON, Markdown, LaTeX, CSV and figures, with intervals, tests and published numbers"
    table = verb_of(verbs, "table", text, run_table)
    table.add_argument("folders", nargs="*", type=Path, metavar="RUN", help="several: seeds of one cell are united")
    table.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="two runs side by side instead")
    table.add_argument("--out", type=Path, metavar="DIR", help="where to write; the run folder if one is given")
    add_baseline(table)
    table.add_argument(
        "--published",
        default="auto",
        choices=PAIRS,
        help="whose published numbers stand beside: auto takes the language pair's",
    )

    text = "the learning curves of a run as a figure"
    curves = verb_of(verbs, "curves", text, run_curves)
    curves.add_argument("folder", type=Path, metavar="RUN")
    curves.add_argument("--out", type=Path, metavar="DIR", help="where to write; the run folder if not given")


def add_baseline(verb: argparse.ArgumentParser) -> None:
    """The flags of both verbs that compare rows."""
    verb.add_argument(
        "--metrics",
        metavar="NAMES",
        help="columns, with commas between, such as chrf,bleu: intervals, effects and figures are of the first "
        "(default: those of the run's plan)",
    )
    verb.add_argument(
        "--pool-seeds",
        action="store_true",
        help="how seeds scatter is one number for all students, pooled over their rows, in intervals and "
        "p-values alike: for many rows of two or three seeds that scatter alike",
    )
    verb.add_argument(
        "--baseline",
        action="append",
        metavar="CELL",
        help="what students are compared with, again for several: plain (the student without KD; "
        "the default), a method, or a model's name without its seed, such as student-ls0-t1",
    )


def run_table(args: argparse.Namespace) -> None:
    """`lskd table RUN [RUN…] [--out DIR]`, `lskd table --compare A B --out DIR`."""
    require(bool(args.folders) != bool(args.compare), "give run folders, or --compare with two of them")
    require(args.out is not None or len(args.folders) == 1, "several runs have no folder of their own: give --out DIR")
    if args.compare:
        require(not args.pool_seeds, "--pool-seeds is for the rows of one table: leave it out of --compare")
        run_compare(args)
        return
    from lskd_nmt.report.figures import bleu_bars, bleu_by_temperature, method_ranking, style
    from lskd_nmt.report.results import read, table_json  # pandas takes a second
    from lskd_nmt.report.tables import document, tables

    out = args.out or args.folders[0]
    content = assessed(args, args.folders, read.labels(args.folders), out / "significance.json")
    write(
        out,
        "table",
        table_json.as_json(content),
        document.markdown(content),
        document.latex(content),
        tables.csv(content),
    )
    style.save(bleu_bars.bleu(content), out / content.main)
    for name, figure in (
        ("temperature", bleu_by_temperature.figure(content)),
        ("methods", method_ranking.figure(content)),
    ):
        if figure is not None:
            style.save(figure, out / name)
    print(
        json.dumps(
            {"table": str(out / "table.json"), "models": len(content.rows), "not_scored": content.not_scored},
            ensure_ascii=False,
        )
    )


def run_compare(args: argparse.Namespace) -> None:
    """`lskd table --compare A B --out DIR`."""
    from lskd_nmt.evaluate.contrasts import measure
    from lskd_nmt.report.results import measured, read, table_json
    from lskd_nmt.report.tables import two_runs

    names = read.labels(args.compare)
    wish = words_of(args.metrics, "--metrics")
    both = (read.results([run], [name], wish) for run, name in zip(args.compare, names, strict=True))
    two_runs.require_comparable(*both)
    single = [
        assessed(args, [folder], [name], args.out / f"significance-{number}.json")
        for number, (folder, name) in enumerate(zip(args.compare, names, strict=True), start=1)
    ]
    content = two_runs.side_by_side(*single)
    pools = measured.pools([pair.first for pair in content.cells] + [pair.second for pair in content.cells])
    file = args.out / "significance.json"
    found = measure(outputs_of(args.compare, names), two_runs.contrasts(content), file, show, pools)
    content = two_runs.with_measured(content, found)
    write(
        args.out,
        "compare",
        table_json.as_json(content),
        two_runs.markdown(content),
        two_runs.latex(content),
        two_runs.csv(content),
    )
    print(json.dumps({"table": str(args.out / "compare.json"), "pairs": len(content.cells)}))


def assessed(args: argparse.Namespace, folders: Sequence[Path], names: Sequence[str], file: Path) -> "ResultsTable":
    """The table with what was measured of it and kept in `file`."""
    from lskd_nmt.evaluate.contrasts import measure
    from lskd_nmt.report.results import baselines, effects, measured, published, read
    from lskd_nmt.report.results.records import PublishedSource

    table = read.results(folders, names, words_of(args.metrics, "--metrics"))
    pair = published.pair_of(args.published, table.runs) if published.METRIC in table.signatures else None
    obstacles = published.obstacles(pair, table.runs) if pair else []
    source = PublishedSource(pair, published.SOURCE, tuple(obstacles))
    of_effects = pair if table.main in published.KINDS else None
    table = replace(table, published=source, effects=tuple(effects.effects(table.cells, of_effects)))
    bases = baselines.baselines(table.cells, args.baseline or ["plain"])
    pools = measured.pools(table.cells, args.pool_seeds)
    several = any(len(group) > 1 for pool in pools if pool.always for group in pool.groups)
    require(several or not args.pool_seeds, "--pool-seeds needs students of two seeds: no row has them, leave it out")
    found = measure(outputs_of(folders, names), measured.contrasts(table, bases), file, show, pools)
    return measured.with_measured(table, bases, found)


def outputs_of(folders: Sequence[Path], names: Sequence[str]) -> "dict[str, Output]":
    """The translations of every scored model, by RUN/MODEL."""
    from lskd_nmt.evaluate.contrasts import Output
    from lskd_nmt.evaluate.records import read_metrics
    from lskd_nmt.report.results import read

    found = {}
    for name, run in zip(names, map(Run, folders), strict=True):
        data, reference = run.plan.data, run.text("test", "target")
        for model in run.models:
            folder = run.model_folder(model.name)
            if (folder / "metrics.json").is_file():
                metrics = read_metrics(folder / "metrics.json")
                found[f"{name}/{model.name}"] = Output(
                    folder / "test.hyp",
                    reference,
                    data.target_lang,
                    data.form,
                    model.seed,
                    metrics.facts.hyp_sha256,
                    metrics.facts.ref_sha256,
                    read.tokenizer(metrics),
                    run.text("test", "source"),
                    {name: score.signature for name, score in metrics.scores.items()},
                )
    return found


def write(out: Path, name: str, content: object, markdown: str, latex: str, csv: str) -> None:
    """NAME.{json,md,tex,csv} in `out`."""
    files.write_json(out / f"{name}.json", content)
    for kind, text in (("md", markdown), ("tex", latex), ("csv", csv)):
        files.write_text(out / f"{name}.{kind}", text)


def run_curves(args: argparse.Namespace) -> None:
    """`lskd curves RUN [--out DIR]`."""
    from lskd_nmt.report.figures import learning_curves, style

    out = args.out or args.folder
    print(
        json.dumps({"curves": [str(file) for file in style.save(learning_curves.curves(args.folder), out / "curves")]})
    )
