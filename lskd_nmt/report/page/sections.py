"""The page's sections from results tables, one of each test set: pictures, results, effects, costs, commands."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lskd_nmt.evaluate.metrics import described
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures import bleu_bars, bleu_by_cost, bleu_by_temperature, learning_curves, method_ranking
from lskd_nmt.report.page.parts import (
    Choice,
    Drawing,
    Fact,
    Folded,
    Opening,
    Part,
    Section,
    Table,
    TableCell,
    slug,
    table,
)
from lskd_nmt.report.page.sources import commands
from lskd_nmt.report.results import answer
from lskd_nmt.report.results.records import Cell, ResultsTable
from lskd_nmt.report.results.rows import group, row_title
from lskd_nmt.report.results.table_json import record_json
from lskd_nmt.report.tables import document, tables, texts

Sets = Mapping[str, ResultsTable]  # by the name of the test set; the first is the main one
Make = Callable[[ResultsTable, str], list[Part]]
TALL = 30  # models from which on the figure of all stands behind a click
SHOWN = 3  # metrics whose columns are seen at first
EFFECTS = {"Effects": "effects", "Beside the published numbers": "published"}  # headings of tables, and their ids


def opening(title: str | None, sets: Sets) -> Opening:
    """Title, what the page is about, and its answer; that of further test sets in one more sentence."""
    first = next(iter(sets.values()))
    others = answer.other_sets(sets)
    return Opening(title or first.name, answer.about(first), [*answer.sentences(first), *([others] if others else [])])


def by_set(name: str, sets: Sets, make: Make) -> list[Part]:
    """The parts of the only test set; of several sets a choice. `make` is given what ids of a set's parts end with."""
    if len(sets) == 1:
        return [part for content in sets.values() for part in make(content, "")]
    ends = ["", *(f"-{slug(each)}" for each in list(sets)[1:])]
    options = {each: make(sets[each], end) for each, end in zip(sets, ends, strict=True)}
    return [Choice(f"sets-{name}", "Test set", options)]


def pictures(sets: Sets) -> Section:
    """The figures of the main metric, before all tables."""
    return Section("pictures", "Pictures", "", by_set("pictures", sets, drawings))


def drawings(content: ResultsTable, end: str = "") -> list[Part]:
    """The main metric by temperature, by method and by cost, where there are such, and of every model."""
    main = described(content.main).label
    captions = {
        "bleu-by-temperature": f"{main} against the temperature, by label smoothing",
        "methods": f"{main} by method",
        "bleu-by-cost": f"{main} against size and training time",
    }
    figures = (bleu_by_temperature.figure, method_ranking.figure, bleu_by_cost.figure)
    made = {name: figure(content) for name, figure in zip(captions, figures, strict=True)}
    text = "The numbers are those of the tables below."
    found: list[Part] = [
        Drawing(f"{name}{end}", captions[name], text, figure) for name, figure in made.items() if figure is not None
    ]
    text = "; ".join(f"{row_title(cell)}: {texts.score(cell.scores[content.main])}" for cell in content.cells)
    caption = f"{main} of every model; a dot for each seed"
    every = Drawing(f"bleu{end}", caption, text, bleu_bars.bleu(content))
    is_tall = len(content.cells) > TALL and bool(found)
    return [*found, Folded(f"bleu{end}-folded", caption, [every]) if is_tall else every]


def results(sets: Sets) -> Section:
    """The main table and the grid of each kind of student."""
    first = next(iter(sets.values()))
    about = [
        "A model's name leads to the command that trained it and to its signature",
        *(f"{line[:1].upper()}{line[1:]}" for line in document.cautions(first)),
    ]
    return Section("results", "Results", ". ".join(about) + ".", by_set("results", sets, scores))


def scores(content: ResultsTable, end: str = "") -> list[Part]:
    """The main table of one test set, and its grids; columns of metrics beyond the first are hidden at first."""
    links = [anchor(cell) for cell in content.cells]
    frame = tables.frame(content)
    frame[frame.columns[0]] = [row_title(cell) for cell in content.cells]  # which says of a row what it is
    labels = [described(metric).label for metric in content.signatures]
    chosen = {text: place < SHOWN for place, text in enumerate(labels)} if len(labels) > SHOWN else {}
    notes = document.notes(content)
    return [table(f"results{end}", "Every model: mean over seeds", frame, links, notes, chosen), *grids(content, end)]


def anchor(cell: Cell) -> str:
    """The id of the part of the page that has a cell's commands and signature."""
    return f"cell-{slug(cell.name)}"


def grids(content: ResultsTable, end: str = "") -> list[Table]:
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
        grid(f"grid-{place}{end}", ", ".join(kind), cells, content.main, notes)
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


def effects(sets: Sets, command: str) -> Section | None:
    """What label smoothing and temperature change, and the published numbers."""
    is_there = any(tables.sections(content).keys() & EFFECTS.keys() for content in sets.values())
    text = "Of the teacher's label smoothing and of the temperature; what others published, and whether it was found."
    parts = by_set("effects", sets, lambda content, end: differences(content, end, command))
    return Section("effects", "Effects", text, parts) if is_there else None


def differences(content: ResultsTable, end: str, command: str) -> list[Part]:
    """The effects of one test set, and its published numbers."""
    captions = (f"Differences in {described(content.main).label}", "Our numbers beside the published ones")
    found = tables.sections(content)
    notes = [*document.tests(content), *document.against_published(content), command]
    places = {row_title(cell): anchor(cell) for cell in content.cells}
    return [
        table(f"{name}{end}", caption, found[heading], [places.get(text) for text in found[heading].iloc[:, 0]], notes)
        for (heading, name), caption in zip(EFFECTS.items(), captions, strict=True)
        if heading in found
    ]


def costs(content: ResultsTable) -> Section:
    """What trainings cost."""
    frame = tables.costs(content)
    frame = frame.loc[:, (frame != texts.NONE).any()]
    links = [anchor(cell) for cell in content.cells]
    notes = ["hours are sums over seeds, memory is the largest, words a second the mean; as each run's record has them"]
    return Section("cost", "Cost and size", "", [table("costs", "Cost of training and size", frame, links, notes)])


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
