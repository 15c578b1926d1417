"""Verbs over finished runs: `table` and `curves`."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.cli.common import show, verb_of, words_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.experiment.config_values import ALL_SETS
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage import files

if TYPE_CHECKING:
    from lskd_nmt.evaluate.contrasts import Contrasts, Output
    from lskd_nmt.evaluate.records import Pool, Significance
    from lskd_nmt.report.results.records import ResultsTable, TwoTables

    Measure = Callable[[Contrasts, Sequence[Pool]], Significance]

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
    names = read.labels(args.folders)
    content = assessed(args, args.folders, names, out / "significance.json")
    content = with_sets(args, args.folders, names, out, content)
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


SetPair = tuple[str | None, str | None]  # the names of one test set in both runs; None: the main one


def run_compare(args: argparse.Namespace) -> None:
    """`lskd table --compare A B --out DIR`: on the main test set, and on all others that both runs have."""
    from lskd_nmt.report.results import read, table_json
    from lskd_nmt.report.tables import two_runs

    names = read.labels(args.compare)
    first, *others = same_sets(args.compare)
    content = compared(args, names, first, "")
    of_first = {pair: pair[0] or Run(args.compare[0]).set_name for pair in (first, *others)}
    more = {of_first[pair]: compared(args, names, pair, f"-{of_first[pair]}") for pair in others}
    is_named = bool(more) or first != (None, None)
    content = replace(content, sets=more, main_set=of_first[first] if is_named else None)
    write(
        args.out,
        "compare",
        table_json.as_json(content),
        two_runs.markdown(content),
        two_runs.latex(content),
        two_runs.csv(content),
    )
    print(json.dumps({"table": str(args.out / "compare.json"), "pairs": len(content.cells)}))


def same_sets(folders: Sequence[Path]) -> list[SetPair]:
    """The test sets that are scored in both runs against the same references, the main first; else the main ones."""

    def sets(folder: Path) -> "dict[str | None, set[str | None]]":
        views = Run(folder).views
        outputs = {view.test_set: outputs_of([folder], [""], view.test_set).values() for view in views}
        return {name: {each.scored_against for each in found} for name, found in outputs.items() if found}

    one, other = map(sets, folders)
    pairs = [(a, b) for a, texts in one.items() for b, same in other.items() if texts == same]
    return pairs or [(None, None)]


def compared(args: argparse.Namespace, names: Sequence[str], pair: SetPair, ending: str) -> "TwoTables":
    """Both runs on one test set; what was measured is kept in files with this ending."""
    from lskd_nmt.evaluate.contrasts import measure
    from lskd_nmt.report.results import measured, read
    from lskd_nmt.report.tables import two_runs

    sides = list(zip(args.compare, names, pair, strict=True))
    metrics = words_of(args.metrics, "--metrics")
    two_runs.require_comparable(*(read.results([run], [name], metrics, test_set) for run, name, test_set in sides))
    single = [
        assessed(args, [folder], [name], args.out / f"significance{ending}-{number}.json", test_set)
        for number, (folder, name, test_set) in enumerate(sides, start=1)
    ]
    content = two_runs.side_by_side(*single)
    pools = measured.pools([pair.first for pair in content.cells] + [pair.second for pair in content.cells])
    outputs: dict[str, Output] = {}
    for folder, name, test_set in sides:
        outputs |= outputs_of([folder], [name], test_set)
    file = args.out / f"significance{ending}.json"
    return two_runs.with_measured(content, measure(outputs, two_runs.contrasts(content), file, show, pools))


def assessed(
    args: argparse.Namespace, folders: Sequence[Path], names: Sequence[str], file: Path, test_set: str | None = None
) -> "ResultsTable":
    """The table with what was measured of it and kept in `file`: of the main test set, or of the one of this name.

    Published numbers stand beside the main set's alone.
    """
    from lskd_nmt.evaluate.contrasts import measure
    from lskd_nmt.report.results import published, read
    from lskd_nmt.report.results.records import PublishedSource

    table = read.results(folders, names, words_of(args.metrics, "--metrics"), test_set)
    wish = args.published if test_set is None else "none"
    pair = published.pair_of(wish, table.runs) if published.METRIC in table.signatures else None
    obstacles = published.obstacles(pair, table.runs) if pair else []
    table = replace(table, published=PublishedSource(pair, published.SOURCE, tuple(obstacles)))
    outputs = outputs_of(folders, names, test_set)
    return tested(args, table, lambda asked, pools: measure(outputs, asked, file, show, pools), test_set is not None)


def tested(args: argparse.Namespace, table: "ResultsTable", measure: "Measure", further: bool = True) -> "ResultsTable":
    """The table with its effects, and what `measure` finds of them, of its rows and of their differences.

    `further`: it is not of the main test set.
    """
    from lskd_nmt.report.results import baselines, effects, measured, published

    of_effects = table.published.pair if table.main in published.KINDS else None
    table = replace(table, effects=tuple(effects.effects(table.cells, of_effects)))
    wishes = args.baseline or ["plain"]
    if further:  # a row of the main set alone is no baseline here
        wishes = [wish for wish in wishes if wish in baselines.names(table.cells)] or ["plain"]
    bases = baselines.baselines(table.cells, wishes)
    pools = measured.pools(table.cells, args.pool_seeds)
    several = any(len(group) > 1 for pool in pools if pool.always for group in pool.groups)
    require(several or not args.pool_seeds, "--pool-seeds needs students of two seeds: no row has them, leave it out")
    return measured.with_measured(table, bases, measure(measured.contrasts(table, bases), pools))


def with_sets(
    args: argparse.Namespace, folders: Sequence[Path], names: Sequence[str], out: Path, content: "ResultsTable"
) -> "ResultsTable":
    """The table with those of the further test sets that all runs have, and the one of the mean over all sets.

    What was measured is kept in `out`: significance-NAME.json, and significance-all.json.
    """
    from lskd_nmt.evaluate.over_sets import measure
    from lskd_nmt.report.results import over_sets

    further = over_sets.scored_sets(folders)
    if not further:
        return content
    sets = {name: assessed(args, folders, names, out / f"significance-{name}.json", name) for name in further}
    main = Run(folders[0]).set_name
    over = over_sets.mean_table(folders, names, {main: content, **sets})
    if over is not None:
        outputs = {main: outputs_of(folders, names)} | {name: outputs_of(folders, names, name) for name in sets}
        file = out / f"significance-{ALL_SETS}.json"
        over = tested(args, over, lambda asked, pools: measure(outputs, asked, file, show, pools))
    return replace(content, main_set=main, sets=sets, over_sets=over)


def outputs_of(folders: Sequence[Path], names: Sequence[str], test_set: str | None = None) -> "dict[str, Output]":
    """The translations of every scored model, by RUN/MODEL: of the main test set, or of the one of this name."""
    from lskd_nmt.evaluate.contrasts import Output
    from lskd_nmt.evaluate.records import read_metrics
    from lskd_nmt.report.results import read

    found = {}
    for name, folder in zip(names, folders, strict=True):
        run = Run(folder) if test_set is None else Run(folder).on(test_set)
        data, (reference, *others) = run.plan.data, run.references()
        for model in run.models:
            results = run.results(model.name)
            if (results / "metrics.json").is_file():
                metrics = read_metrics(results / "metrics.json")
                found[f"{name}/{model.name}"] = Output(
                    results / "test.hyp",
                    reference,
                    data.target_lang,
                    data.form,
                    model.seed,
                    metrics.facts.hyp_sha256,
                    metrics.facts.references,
                    read.tokenizer(metrics),
                    run.text("test", "source"),
                    {name: score.signature for name, score in metrics.scores.items()},
                    tuple(others),
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
