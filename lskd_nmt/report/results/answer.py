"""What a results table comes to, in a few sentences: the best student and its cost, what is decided, what is not done.

A difference is decided if its p-value, corrected for the number of tests by Holm's method, is below 0.05.
"""

import statistics
from collections.abc import Mapping, Sequence

from lskd_nmt.evaluate.metrics import described
from lskd_nmt.evaluate.records import Estimate
from lskd_nmt.report.results.records import Cell, Number, ResultsTable
from lskd_nmt.report.results.rows import PLAIN, label, row_title

LEVEL = 0.05  # of a test
NAMED, SHOWN = 3, 2  # names of a list, of more the rest is counted; and effects with their numbers


def about(table: ResultsTable) -> str:
    """Pair, data and test size in a line, with the number of models and of seeds."""
    data = table.runs
    pairs = dict.fromkeys(f"{run.source_lang} → {run.target_lang}" for run in data if run.source_lang)
    names = dict.fromkeys(run.corpus for run in data if run.corpus)
    sizes = dict.fromkeys(f"{row.sentences:,}" for row in table.rows)
    seeds = sorted({row.seed for row in table.rows})
    parts = [
        ", ".join(pairs),
        f"data: {', '.join(names)}" if names else "",
        f"{' and '.join(sizes)} test sentences",
        f"{counted(len(table.rows), 'model')}, {counted(len(seeds), 'seed')}",
    ]
    return " · ".join(filter(None, parts))


def sentences(table: ResultsTable) -> list[str]:
    """Two or three sentences: the best student and its cost; what is decided and what is not; what is not converged."""
    return [text for text in (the_best(table), decided(table), unfinished(table)) if text]


def other_sets(tables: Mapping[str, ResultsTable]) -> str | None:
    """Whether the best student of the first test set is the best of the others; None if there is one set alone.

    A set whose models do not all have the first one's main metric, so that another is its main one, is left out.
    """
    main = next(iter(tables.values())).main
    found = {name: best(table) for name, table in tables.items() if table.main == main}
    first, *others = found
    top = found[first]
    if top is None or not others:
        return None
    same = [name for name in others if (other := found[name]) is not None and row_title(other) == row_title(top)]
    parts = [f"it is the best on {listed(same)}, too"] if same else []
    for name, other in found.items():
        if name not in (first, *same) and other is not None:
            parts.append(f"on {name} the best is {row_title(other)}: {scored(tables[name], other)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else None


def best(table: ResultsTable) -> Cell | None:
    """The student with the best mean of the main metric; None if no student is scored."""
    students = [cell for cell in table.cells if cell.setting.role == "student"]
    return max(students, key=lambda cell: sign_of(table) * cell.scores[table.main].mean, default=None)


def sign_of(table: ResultsTable) -> int:
    """1 where higher scores of the main metric are better, -1 where lower ones are."""
    return 1 if table.is_better_higher(table.main) else -1


def the_best(table: ResultsTable) -> str:
    """Which student is best, by how much, and what it costs beside its teacher."""
    cell, main = best(table), described(table.main).label
    if cell is None:
        return "No student is scored here: there are teachers alone."
    teacher = teacher_of(table, cell)
    text = f"The student with the best {main} is {row_title(cell)}: {scored(table, cell)}"
    if teacher is not None:
        ours, theirs = cell.scores[table.main].mean, teacher.scores[table.main].mean
        is_share = sign_of(table) > 0 and theirs > 0
        text += f", {100 * ours / theirs:.1f} % of its teacher's {theirs:.2f}" if is_share else ""
        text += "" if is_share else f" (its teacher: {theirs:.2f})"
    elif label(cell.setting) != PLAIN:
        text += "; its teacher is not scored here"
    spent = costs(cell, teacher)
    return f"{text}; {spent}." if spent else f"{text}."


def scored(table: ResultsTable, cell: Cell) -> str:
    """`35.30 [34.10, 36.52] (mean of 3 seeds)`, with the 95 % interval where it is measured."""
    ends = " [{:.2f}, {:.2f}]".format(*cell.interval) if cell.interval else ""
    seeds = f"mean of {len(cell.seeds)} seeds" if len(cell.seeds) > 1 else "one seed"
    return f"{cell.scores[table.main].mean:.2f}{ends} ({seeds})"


def teacher_of(table: ResultsTable, cell: Cell) -> Cell | None:
    """The teacher whose students a cell has, or the only teacher of the table."""
    teachers = [other for other in table.cells if other.setting.role == "teacher"]
    names = {f"{run}/{name}" for run in cell.runs for name in cell.teachers}
    own = [other for other in teachers if names & set(other.members)]
    if not cell.teachers:  # a student without KD, or a table of an older version
        alpha = cell.setting.label_smoothing
        own = [other for other in teachers if alpha is None or other.setting.label_smoothing == alpha]
    return own[0] if len(own) == 1 else None


def costs(cell: Cell, teacher: Cell | None) -> str:
    """`it has 1.95 million parameters (0.21 of its teacher's), and its training took 0.69 CPU hours`."""
    parts = []
    if cell.parameters is not None:
        known = teacher is not None and teacher.parameters
        share = f" ({cell.parameters / known:.2g} of its teacher's)" if known else ""
        parts.append(f"it has {amount(cell.parameters)} parameters{share}")
    for kind, name in (("GPU", "gpu_hours"), ("CPU", "cpu_hours")):
        hours = of_a_seed(cell, name)
        if hours:
            theirs = of_a_seed(teacher, name) if teacher is not None else None
            beside = f" (the teacher's {theirs:.3g})" if theirs else ""
            parts.append(f"its training took {hours:.3g} {kind} hours{beside}")
            break
    return ", and ".join(parts)


def of_a_seed(cell: Cell, name: str) -> float | None:
    """Hours of one training: a cell has the sum over its seeds."""
    hours: Number | None = getattr(cell, name)
    return None if hours is None else hours / len(cell.seeds)


def amount(parameters: int) -> str:
    """A number of parameters in words: `1.95 million`."""
    return f"{parameters / 1e6:.3g} million" if parameters >= 1e5 else f"{parameters:,}"


def decided(table: ResultsTable) -> str:
    """Which students differ from the baseline, and which effects are there, as far as tests tell."""
    names = {cell.name: row_title(cell) for cell in table.cells}
    compared = {cell.name: found for cell in table.cells if (found := over_baseline(cell)) is not None}
    parts = []
    if compared:
        parts.append(beside_baseline(table, compared, names))
    elif best(table) is not None:
        has_plain = any(label(cell.setting) == PLAIN for cell in table.cells)
        what = "students are not compared with the one without KD" if has_plain else "there is no student without KD"
        parts.append(f"{what}, so that it is not known what distillation gains")
    effects = {f"{each.effect} ({each.at})" if each.at else each.effect: each.difference for each in table.effects}
    tested = {name: found for name, found in effects.items() if found is not None}
    if tested:
        parts.append(of_effects(tested))
    seeds = [each.seeds for each in (*(each for _, each in compared.values()), *tested.values())]
    if 1 in seeds:
        parts.append("where there is one seed, the test is of the sentences alone, and another seed may change it")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def over_baseline(cell: Cell) -> tuple[str, Estimate] | None:
    """A cell's baseline, the first of several, and the difference to it where it was measured."""
    first = next(iter(cell.over.values()), None)
    baseline, difference = (first.baseline, first.difference) if first else (cell.baseline, cell.difference)
    return (baseline or "", difference) if difference is not None else None


def is_decided(found: Estimate) -> bool:
    """Whether a difference is other than 0 by its corrected p-value."""
    return found.p_holm is not None and found.p_holm < LEVEL


def beside_baseline(table: ResultsTable, compared: Mapping[str, tuple[str, Estimate]], names: Mapping[str, str]) -> str:
    """Of the students beside their baseline: how many are better, worse and undecided, and the best of them."""
    gains = {name: sign_of(table) * each.value for name, (_, each) in compared.items()}
    sure = [name for name, (_, each) in compared.items() if is_decided(each)]
    better = sorted((name for name in sure if gains[name] > 0), key=lambda name: -gains[name])
    rest = [name for name in compared if name not in sure]
    bases = dict.fromkeys(names.get(base, base) for base, _ in compared.values())
    text = f"compared with {next(iter(bases)) if len(bases) == 1 else 'its baseline'}, "
    text += counted(len(better), "student is better", "students are better")
    if better:
        text += f" ({'most of all ' * (len(better) > 1)}{names[better[0]]}: {estimate(compared[better[0]][1])})"
    text += f", {len(sure) - len(better)} worse, and {len(rest)} undecided"
    first = best(table)
    if first is not None and first.name in rest:
        text += f", the one with the best score among them ({estimate(compared[first.name][1])})"
    return text


def of_effects(tested: Mapping[str, Estimate]) -> str:
    """Of the effects of label smoothing and temperature: those that are decided, the largest first, and the rest."""
    sure = [name for name, each in tested.items() if is_decided(each)]
    sure.sort(key=lambda name: -abs(tested[name].value))
    of = counted(len(tested), "effect")
    text = f"of {of} of label smoothing and temperature, {len(sure)} {'is' if len(sure) == 1 else 'are'} decided"
    if sure:
        named = [f"{name}: {estimate(tested[name])}" for name in sure[:SHOWN]]
        text += f" ({'the largest: ' * (len(sure) > SHOWN)}{'; '.join(named)})"
    return text


def estimate(found: Estimate) -> str:
    """`+0.66 [-0.27, +1.64], p = 0.012`."""
    p = found.p_holm
    shown = "" if p is None else ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]{shown}"


def unfinished(table: ResultsTable) -> str:
    """Which trainings ended while their validation loss still fell, and how many models are not scored."""
    falling = {row_title(cell): len(cell.not_converged) for cell in table.cells if cell.not_converged}
    parts = []
    if falling:
        count, of = sum(falling.values()), len(table.rows)
        parts.append(
            f"{count} of {counted(of, 'training')} {'is' if count == 1 else 'are'} not converged ({listed(falling)}): "
            "the last validation loss is the lowest, and a longer training may give another result"
        )
    elif statistics.fmean(cell.epochs for cell in table.cells) > 0:
        parts.append("no training ended at its lowest validation loss: all count as converged")
    if table.not_scored:
        parts.append(f"{counted(len(table.not_scored), 'model is', 'models are')} not scored yet")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def listed(names: Sequence[str] | Mapping[str, int]) -> str:
    """The first names of several, and how many more there are."""
    shown = list(names)
    more = len(shown) - NAMED
    return f"{'; '.join(shown[:NAMED])}; and {more} more" if more > 0 else "; ".join(shown)


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
