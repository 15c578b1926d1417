"""The page's sections from a results table: results, the grid of α × T, effects, costs, curves, commands."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lskd_nmt.evaluate.metrics import described
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures import bleu_bars, bleu_by_cost, bleu_by_temperature, learning_curves, method_ranking
from lskd_nmt.report.page.parts import Drawing, Fact, Part, Section, Table, TableCell, slug, table
from lskd_nmt.report.page.sources import commands
from lskd_nmt.report.results.records import Cell, ResultsTable
from lskd_nmt.report.results.rows import group, row_title
from lskd_nmt.report.results.table_json import record_json
from lskd_nmt.report.tables import document, tables, texts


def results(content: ResultsTable) -> Section:
    """The main table, the grid of each kind of student, and the figures of the main metric."""
    links = [anchor(cell) for cell in content.cells]
    main = table("results", "Every model: mean over seeds", tables.frame(content), links, document.notes(content))
    about = [
        "A model's name leads to the command that trained it and to its signature",
        *(f"{line[:1].upper()}{line[1:]}" for line in document.cautions(content)),
    ]
    return Section("results", "Results", ". ".join(about) + ".", [main, *grids(content), *drawings(content)])


def drawings(content: ResultsTable) -> list[Drawing]:
    """The main metric by temperature and by method, where there are such, and of every model."""
    found, main = [], described(content.main).label
    heat = bleu_by_temperature.figure(content)
    if heat is not None:
        text = "A line for each label smoothing of the teacher; the numbers are those of the tables above."
        found.append(Drawing("bleu-by-temperature", f"{main} against the temperature, by label smoothing", text, heat))
    ranked = method_ranking.figure(content)
    if ranked is not None:
        text = "From the best down, beside the student without KD; the numbers are those of the table above."
        found.append(Drawing("methods", f"{main} by method", text, ranked))
    text = "; ".join(f"{row_title(cell)}: {texts.score(cell.scores[content.main])}" for cell in content.cells)
    return [*found, Drawing("bleu", f"{main} of every model; a dot for each seed", text, bleu_bars.bleu(content))]


def anchor(cell: Cell) -> str:
    """The id of the part of the page that has a cell's commands and signature."""
    return f"cell-{slug(cell.name)}"


def grids(content: ResultsTable) -> list[Table]:
    """A table of α × T for each level, tail and weight that has several students."""
    students: dict[tuple[str, ...], list[Cell]] = {}
    for cell in bleu_by_temperature.heated(content.cells):
        students.setdefault((group(cell.setting), *cell.named_runs), []).append(cell)
    notes = [
        f"{described(content.main).label} [95 % interval]; over the baseline [95 % interval]; the verdict where a "
        "number is published",
        f"{described(content.main).label}: {content.signatures[content.main]}",
    ]
    return [
        grid(f"grid-{place}", ", ".join(kind), cells, content.main, notes)
        for place, (kind, cells) in enumerate(students.items(), start=1)
        if len(cells) > 1
    ]


def grid(name: str, kind: str, cells: Sequence[Cell], main: str, notes: Sequence[str]) -> Table:
    """Rows of the teacher's label smoothing, columns of the temperature."""
    found = {(cell.setting.label_smoothing, bleu_by_temperature.temperature(cell)): cell for cell in cells}
    heats = sorted({heat for _, heat in found})
    smoothings = sorted({alpha for alpha, _ in found}, key=lambda alpha: (alpha is None, alpha or 0))
    rows = [
        [TableCell(texts.optional(alpha), alpha), *(grid_cell(found.get((alpha, heat)), main) for heat in heats)]
        for alpha in smoothings
    ]
    columns = ["teacher LS (α)", *(f"T = {heat:g}" for heat in heats)]
    title = f"{described(main).label} by label smoothing and temperature: {kind}"
    return Table(name, title, columns, [True] * len(columns), rows, notes)


def grid_cell(cell: Cell | None, main: str) -> TableCell:
    """One student's score by the main metric, what it is over the baseline, and its verdict."""
    if cell is None:
        return TableCell(texts.NONE)
    lines = [texts.score(cell.scores[main])]
    if cell.interval:
        lines[0] += " [{:.2f}, {:.2f}]".format(*cell.interval)
    if cell.difference:
        lines.append(texts.interval(cell.difference))
    if cell.published:
        lines.append(cell.published.verdict or "")
    return TableCell("\n".join(filter(None, lines)), cell.scores[main].mean, anchor(cell))


def effects(content: ResultsTable, command: str) -> Section | None:
    """What label smoothing and temperature change, and the published numbers."""
    names = {
        "Effects": ("effects", f"Differences in {described(content.main).label}"),
        "Beside the published numbers": ("published", "Our numbers beside the published ones"),
    }
    found = tables.sections(content)
    notes = [*document.tests(content), *document.against_published(content), command]
    places = {row_title(cell): anchor(cell) for cell in content.cells}
    parts = [
        table(*names[heading], found[heading], [places.get(text) for text in found[heading].iloc[:, 0]], notes)
        for heading in names
        if heading in found
    ]
    text = "Of the teacher's label smoothing and of the temperature; what others published, and whether it was found."
    return Section("effects", "Effects", text, parts) if parts else None


def costs(content: ResultsTable) -> Section:
    """What trainings cost, and the main metric against it."""
    frame = tables.costs(content)
    frame = frame.loc[:, (frame != texts.NONE).any()]
    links = [anchor(cell) for cell in content.cells]
    notes = ["hours are sums over seeds, memory is the largest, words a second the mean; as each run's record has them"]
    parts: list[Part] = [table("costs", "Cost of training and size", frame, links, notes)]
    figure = bleu_by_cost.figure(content)
    if figure is not None:
        text = "The numbers are those of the tables of results and costs."
        parts.append(
            Drawing("bleu-by-cost", f"{described(content.main).label} against size and training time", text, figure)
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


def records(content: ResultsTable, runs: Mapping[str, Run], calls: Mapping[str, str]) -> Section:
    """Each cell's commands, metrics and signature, and what made the page."""
    parts = [Fact(anchor(cell), row_title(cell), record(cell, content, runs)) for cell in content.cells]
    parts.append(Fact("this-page", "This page", list(calls.items())))
    text = "What made each number: commands as they were recorded, metrics, and everything that enters the signature."
    return Section("records", "Commands and signatures", text, parts)


def record(cell: Cell, content: ResultsTable, runs: Mapping[str, Run]) -> list[tuple[str, str]]:
    """What is behind the click on a cell: scores with their signatures, the commands and commits of each seed."""
    commits = {row.member: row.commit for row in content.rows}
    lines = [
        (described(metric).label, f"{texts.score(cell.scores[metric])}  {signature}")
        for metric, signature in content.signatures.items()
    ]
    for member in cell.members:
        run, name = member.rsplit("/", 1)
        lines += [(f"{what}, {member}", text) for what, text in commands(runs[run], name).items()]
        lines.append((f"commit, {member}", commits[member] or "not recorded"))
    expansion = record_json(content.expansions[cell.signature]).items()
    text = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in expansion)
    return [*lines, (f"signature {cell.signature} is of", text)]
