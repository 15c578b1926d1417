"""The lines of a results table: which models are the seeds of one, their means, and what tells lines apart."""

import itertools
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from lskd_nmt.report.results import signature
from lskd_nmt.report.results.records import Cell, Expansion, MeanScore, Number, Setting, TableRow
from lskd_nmt.report.results.rows import rank


def seeds_of_cells(rows: Sequence[TableRow]) -> tuple[list[TableRow], list[list[TableRow]]]:
    """The rows, and those of each cell; rows of several runs meet where settings and signatures agree.

    A model that several runs share is taken once, and is no row again; another training of the same seed is a cell by
    itself.
    """
    groups: dict[tuple[Setting, str, int], list[TableRow]] = {}
    kept = []
    for entry in rows:
        for number in itertools.count():
            members = groups.setdefault((entry.setting, entry.signature, number), [])
            twin = next((member for member in members if member.seed == entry.seed), None)
            if twin is None:
                members.append(entry)
                kept.append(entry)
                break
            if entry.translations is not None and twin.translations == entry.translations:
                break
    return kept, list(groups.values())


def in_order(cells: Sequence[Cell], methods: Sequence[str | None]) -> list[Cell]:
    """Teachers, plain students, and all others, by method in the order of `methods` and then by setting."""
    by_setting = sorted(cells, key=lambda cell: order(cell.setting))
    return sorted(by_setting, key=lambda cell: (*rank(cell.setting), methods.index(cell.setting.method)))


def order(setting: Setting) -> tuple[str, Number, int, str, int, bool, str, int, Number, Number]:
    """What cells of one label and method are sorted by: start, α, level, translations, tail, weight, temperature."""
    levels = ("word", "sequence", "both")
    return (
        setting.init or "",
        setting.label_smoothing or 0,
        levels.index(setting.kd_level) if setting.kd_level in levels else -1,
        setting.hypotheses or "",
        setting.hypotheses_drawn or 0,
        setting.tail != "dense",
        setting.tail or "",
        setting.top_k or 0,
        setting.kd_weight,
        setting.temperature or 0,
    )


def summary(members: Sequence[TableRow]) -> Cell:
    """One cell: mean and standard deviation of the scores, sums of hours, the largest memory."""
    first = members[0]
    return Cell(
        name=re.sub(r"-s\d+$", "", first.name),
        setting=first.setting,
        seeds=tuple(member.seed for member in members),
        teachers=tuple(sorted({member.teacher for member in members if member.teacher is not None})),
        members=tuple(member.member for member in members),
        runs=tuple(dict.fromkeys(member.run for member in members)),
        scores={metric: mean([member.scores[metric] for member in members]) for metric in first.scores},
        parameters=first.parameters,
        epochs=round(statistics.fmean(member.epochs for member in members), 1),
        not_converged=tuple(member.seed for member in members if member.not_converged),
        cpu_hours=united(sum, [member.cpu_hours for member in members]),
        gpu_hours=united(sum, [member.gpu_hours for member in members]),
        peak_memory_mb=united(max, [member.peak_memory_mb for member in members]),
        peak_gpu_memory_mb=united(max, [member.peak_gpu_memory_mb for member in members]),
        words_per_second=united(statistics.fmean, [member.words_per_second for member in members]),
        updates_per_second=united(statistics.fmean, [member.updates_per_second for member in members]),
        signature=first.signature,
    )


def mean(values: Sequence[Number]) -> MeanScore:
    """Mean and standard deviation of seeds' scores."""
    return MeanScore(
        round(statistics.fmean(values), 2), round(statistics.stdev(values), 2) if len(values) > 1 else None
    )


def united(how: Callable[[list[Number]], Number], values: Sequence[Number | None]) -> Number | None:
    """The seeds' values as one; None where one of them is not known."""
    known = [value for value in values if value is not None]
    return round(how(known), 2) if len(known) == len(values) else None


def tell_apart(cells: Sequence[Cell], expansions: Mapping[str, Expansion]) -> list[Cell]:
    """Name the runs of cells that have one title, and the keys in which they differ; no two keep one name."""
    found: list[Cell] = []
    for cell in cells:
        twins = [other for other in cells if shown(other.setting) == shown(cell.setting)]
        name, taken = cell.name, {other.name for other in found}
        if name in taken:
            name = f"{cell.runs[0]}:{name}"
        while name in taken:
            name += "'"
        apart = () if twins[0] is cell else differences(twins[0], cell, expansions)
        named = cell.runs if len(twins) > 1 else ()
        found.append(replace(cell, name=name, named_runs=named, differs_in=apart))
    return found


def shown(setting: Setting) -> tuple[str, Number | None] | Setting:
    """What a cell is known by: its setting, or its method and its teacher's label smoothing."""
    return (setting.method, setting.label_smoothing) if setting.method else setting


def differences(first: Cell, second: Cell, expansions: Mapping[str, Expansion]) -> tuple[str, ...]:
    """In what two cells of one title differ: in their signatures, in their settings, or in the training itself."""
    keys = signature.differing(expansions[first.signature], expansions[second.signature])
    pairs = [(each.name, *(getattr(cell.setting, each.name) for cell in (first, second))) for each in fields(Setting)]
    keys = keys or [f"{name} ({one} or {other})" for name, one, other in pairs if one != other]
    return tuple(keys or ["translations of the same seed"])
