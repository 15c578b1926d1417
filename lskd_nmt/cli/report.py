"""Verb of the page: `report`."""

import argparse
import json
from pathlib import Path

from lskd_nmt.cli.common import verb_of
from lskd_nmt.cli.table import PAIRS, add_baseline, assessed, with_sets
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.experiment import run
from lskd_nmt.experiment.config_values import ALL_SETS
from lskd_nmt.storage import files, folders, provenance

SENTENCES = 5000
WHAT = "lskd report"


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    text = "one static page of runs: tables, figures, analyses, sentences side by side, commands and signatures"
    verb = verb_of(verbs, "report", text, run_report)
    verb.add_argument("folders", nargs="+", type=Path, metavar="RUN", help="several: seeds of one cell are united")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="index.html, figures and data go there")
    verb.add_argument("--title", help="(default: the runs' names)")
    verb.add_argument(
        "--sentences",
        type=int,
        default=SENTENCES,
        metavar="N",
        help="test sentences in the page; 0: none, nor any of their text, examples of analyses included "
        "(default: %(default)s)",
    )
    add_baseline(verb)
    verb.add_argument("--published", default="auto", choices=PAIRS, help="as in lskd table")


def run_report(args: argparse.Namespace) -> None:
    """`lskd report RUN [RUN…] --out DIR`."""
    require(args.sentences >= 0, f"--sentences is {args.sentences}: give 0 or more")
    require(
        not (args.out / "plan.json").is_file(),
        f"--out {args.out} is a run folder: give another, such as {args.out / 'report'}",
    )
    with folders.hold(args.out, WHAT):
        own = folders.is_own(args.out, WHAT, ("data/table.json",))  # before there were marks
        require(
            own or not (args.out / "index.html").exists(),
            f"--out {args.out} has an index.html that {WHAT} did not make: give a new or an empty folder",
        )
        write_report(args)
        folders.mark(args.out, WHAT)


def write_report(args: argparse.Namespace) -> None:
    """The page, while nobody else writes there."""
    from lskd_nmt.report.page import analysed, render, sections, sources
    from lskd_nmt.report.page.parts import slug
    from lskd_nmt.report.results import read, table_json
    from lskd_nmt.report.tables import tables  # pandas and matplotlib take a second

    names = read.labels(args.folders)
    places = dict(zip(names, args.folders, strict=True))
    content = assessed(args, args.folders, names, known_differences(args))
    content = with_sets(args, args.folders, names, args.out / "data", content)
    over = {} if content.over_sets is None else {"mean over all": content.over_sets}
    sets = {content.main_set or "test": content, **content.sets, **over}
    found = {name: run.Run(folder) for name, folder in places.items()}
    analyses = sources.analyses(places, args.sentences > 0)
    calls = {
        "command": args.command,
        "commit": provenance.commit() or "not recorded",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions().items()),
    }
    parts = [
        sections.pictures(sets),
        sections.results(sets),
        sections.effects(sets, f"command: {args.command}"),
        *analysed.sections(analyses),
        sections.costs(content),
        sections.curves(places),
        sections.records(content, found, calls),
    ]
    data = {
        "table.json": as_json(table_json.as_json(content)),
        "table.csv": tables.csv(content),
        "significance.json": (args.out / "data" / "significance.json").read_text(encoding="utf-8"),
    }
    data |= {f"analysis-{slug(each.run)}-{slug(each.name)}.json": as_json(each.content) for each in analyses}
    texts = sources.sentences(found, content, args.sentences)
    opening = sections.opening(args.title, sets)
    page = render.write(args.out, opening, [part for part in parts if part], texts, data)
    print(
        json.dumps(
            {
                "page": str(page),
                "bytes": page.stat().st_size,
                "models": len(content.rows),
                "analyses": [f"{each.run}/{each.name}" for each in analyses],
            },
            ensure_ascii=False,
        )
    )


def known_differences(args: argparse.Namespace) -> Path:
    """Where the page keeps what was measured; one run's own measurements are taken over, of all its test sets."""
    place: Path = args.out / "data"
    folder, *others = args.folders
    sets = (*run.Run(folder).plan.set_names[1:], ALL_SETS)
    for name in ["significance.json", *(f"significance-{each}.json" for each in sets)] if not others else []:
        own, file = folder / name, place / name
        if own.is_file() and not file.is_file():
            files.write_text(file, own.read_text(encoding="utf-8"))
    return place / "significance.json"


def as_json(content: object) -> str:
    """Readable JSON."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
