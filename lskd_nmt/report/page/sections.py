"""The page's sections from a table's content: results, the grid of α × T, effects, costs, commands."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures import bleu_bars, bleu_by_cost, bleu_by_temperature, learning_curves, method_ranking
from lskd_nmt.report.page.parts import Cell, Drawing, Fact, Part, Section, Table, slug, table
from lskd_nmt.report.page.sources import commands
from lskd_nmt.report.results.rows import group, row_title
from lskd_nmt.report.tables import document, tables

Content = Mapping[str, Any]


def results(content: Content) -> Section:
    """The main table, the grid of each kind of student, and two figures."""
    links = [anchor(cell) for cell in content["cells"]]
    main = table("results", "Every model: mean over seeds", tables.frame(content), links, document.notes(content))
    parts: list[Part] = [main, *grids(content)]
    heat = bleu_by_temperature.figure(content)
    if heat is not None:
        text = "A line for each label smoothing of the teacher; the numbers are those of the tables above."
        parts.append(Drawing("bleu-by-temperature", "BLEU against the temperature, by label smoothing", text, heat))
    ranked = method_ranking.figure(content)
    if ranked is not None:
        text = "From the best down, beside the student without KD; the numbers are those of the table above."
        parts.append(Drawing("methods", "BLEU by method", text, ranked))
    text = "; ".join(f"{row_title(cell)}: {tables.score(cell['bleu'])}" for cell in content["cells"])
    parts.append(Drawing("bleu", "BLEU of every model; a dot for each seed", text, bleu_bars.bleu(content)))
    about = (
        ". ".join(
            [
                "A model's name leads to the command that trained it and to its signature",
                *(f"{line[:1].upper()}{line[1:]}" for line in document.cautions(content)),
            ]
        )
        + "."
    )
    return Section("results", "Results", about, parts)


def anchor(cell: Content) -> str:
    """Where a cell's commands and signature are."""
    return f"cell-{slug(cell['name'])}"


def grids(content: Content) -> list[Table]:
    """A table of α × T for each level, tail and weight that has several students."""
    students = bleu_by_temperature.heated(content["cells"])
    kinds = list(dict.fromkeys((group(cell), tuple(cell["named_runs"])) for cell in students))
    notes = [
        "BLEU [95 % interval]; over the baseline [95 % interval]; the verdict where a number is published",
        f"BLEU: {content['signatures']['bleu']}",
    ]
    members = [[cell for cell in students if (group(cell), tuple(cell["named_runs"])) == kind] for kind in kinds]
    return [
        grid(f"grid-{place}", ", ".join([kind, *names]), cells, notes)
        for place, ((kind, names), cells) in enumerate(zip(kinds, members, strict=True), start=1)
        if len(cells) > 1
    ]


def grid(name: str, kind: str, cells: Sequence[Content], notes: Sequence[str]) -> Table:
    """Rows of the teacher's label smoothing, columns of the temperature."""
    smoothings = sorted({cell["label_smoothing"] for cell in cells})
    heats = sorted({cell["temperature"] for cell in cells})
    found = {(cell["label_smoothing"], cell["temperature"]): cell for cell in cells}
    rows = [
        [Cell(f"{alpha:g}", alpha), *(grid_cell(found.get((alpha, heat))) for heat in heats)] for alpha in smoothings
    ]
    columns = ["teacher LS (α)", *(f"T = {heat:g}" for heat in heats)]
    return Table(name, f"BLEU by label smoothing and temperature: {kind}", columns, [True] * len(columns), rows, notes)


def grid_cell(cell: Content | None) -> Cell:
    """One student's score, what it is over the baseline, and its verdict."""
    if cell is None:
        return Cell("–")
    texts = [tables.score(cell["bleu"])]
    if cell["interval"]:
        texts[0] += " [{:.2f}, {:.2f}]".format(*cell["interval"])
    if cell["difference"]:
        texts.append(tables.interval(cell["difference"]))
    if cell["published"]:
        texts.append(cell["published"]["verdict"] or "")
    return Cell("\n".join(filter(None, texts)), cell["bleu"]["mean"], anchor(cell))


def effects(content: Content, command: str) -> Section | None:
    """What label smoothing and temperature change, and the published numbers."""
    names = {
        "Effects": ("effects", "Differences in BLEU"),
        "Beside the published numbers": ("published", "Our numbers beside the published ones"),
    }
    found = tables.sections(content)
    notes = [*document.tests(content), *document.against_published(content), command]
    places = {row_title(cell): anchor(cell) for cell in content["cells"]}
    parts = [
        table(*names[heading], found[heading], [places.get(text) for text in found[heading].iloc[:, 0]], notes)
        for heading in names
        if heading in found
    ]
    text = "Of the teacher's label smoothing and of the temperature; what others published, and whether it was found."
    return Section("effects", "Effects", text, parts) if parts else None


def costs(content: Content) -> Section:
    """What trainings cost, and BLEU against it."""
    frame = tables.costs(content)
    frame = frame.loc[:, (frame != "–").any()]
    links = [anchor(cell) for cell in content["cells"]]
    notes = ["hours are sums over seeds, memory is the largest, words a second the mean; as each run's record has them"]
    parts: list[Part] = [table("costs", "Cost of training and size", frame, links, notes)]
    figure = bleu_by_cost.figure(content)
    if figure is not None:
        parts.append(
            Drawing(
                "bleu-by-cost",
                "BLEU against size and training time",
                "The numbers are those of the tables of results and costs.",
                figure,
            )
        )
    return Section("cost", "Cost and size", "", parts)


def curves(runs: Mapping[str, Path]) -> Section:
    """The learning curves of every run."""
    text = "Validation loss and greedy BLEU after each epoch, a line for each model."
    parts = [
        Drawing(f"curves-{slug(name)}", f"Learning curves of {name}", text, learning_curves.curves(folder))
        for name, folder in runs.items()
    ]
    return Section("curves", "Learning curves", "", parts)


def records(content: Content, runs: Mapping[str, Run], calls: Mapping[str, str]) -> Section:
    """Each cell's commands, metrics and signature, and what made the page."""
    commits = {f"{row['run']}/{row['name']}": row["commit"] for row in content["rows"]}
    parts = [Fact(anchor(cell), row_title(cell), record(cell, content, runs, commits)) for cell in content["cells"]]
    parts.append(Fact("this-page", "This page", list(calls.items())))
    text = "What made each number: commands as they were recorded, metrics, and everything that enters the signature."
    return Section("records", "Commands and signatures", text, parts)


def record(
    cell: Content, content: Content, runs: Mapping[str, Run], commits: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Behind the click on a cell."""
    lines = [
        (tables.LABELS[metric], f"{tables.score(cell[metric])}  {signature}")
        for metric, signature in content["signatures"].items()
    ]
    for member in cell["members"]:
        run, name = member.rsplit("/", 1)
        lines += [(f"{what}, {member}", text) for what, text in commands(runs[run], name).items()]
        lines.append((f"commit, {member}", commits[member] or "not recorded"))
    expansion = content["expansions"][cell["signature"]].items()
    text = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in expansion)
    return [*lines, (f"signature {cell['signature']} is of", text)]
