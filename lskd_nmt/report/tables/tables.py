"""The tables of results: every cell, effects, published numbers, costs. Nothing is scored or compared here."""

import pandas as pd

from lskd_nmt.evaluate.metrics import LOWERCASED, described
from lskd_nmt.report.results.published import KINDS
from lskd_nmt.report.results.records import Cell, ResultsTable, TableRow
from lskd_nmt.report.results.rows import label, level, row_title, tail, title
from lskd_nmt.report.results.table_json import record_json
from lskd_nmt.report.tables import texts
from lskd_nmt.report.tables.texts import optional
from lskd_nmt.storage.typed import Json

STEP_COST = "step cost (plain = 1)"
DECIDES = "would decide"
COMPARED = ("over baseline [95 %]", "p", "p each seed")  # columns of the comparison with one baseline
NO_NUMBERS = (
    "translations",
    "commit",
    "not_converged",
    "tokenizer",
    "references_changed_by_subwords",
)  # not in the CSV


def frame(table: ResultsTable) -> pd.DataFrame:
    """The table that people read: one row per cell, as text; columns that say nothing are left out."""
    lines = texts.frame([line(cell) for cell in table.cells])
    return lines.drop(columns=[name for name, is_shown in columns(table).items() if not is_shown], errors="ignore")


def set_frame(table: ResultsTable, is_mean: bool = False) -> pd.DataFrame:
    """The table of a further test set, or of the mean over all: what is known of trainings stands in the main one."""
    unwanted = [STEP_COST, "note", *([COMPARED[2]] if is_mean else [])]
    return frame(table).drop(columns=unwanted, errors="ignore")


def columns(table: ResultsTable) -> dict[str, bool]:
    """Which of the columns are shown that not every table needs."""
    cells = table.cells
    students = [cell.setting for cell in cells if label(cell.setting) == "student"]
    return {
        "KD level": any(setting.kd_level not in (None, "word") for setting in students),
        "tail": any(setting.tail not in (None, "dense") for setting in students),
        "start": any(setting.init for setting in students),
        "KD weight": len({setting.kd_weight for setting in students}) > 1,
        "run": any(cell.named_runs for cell in cells),
        STEP_COST: any(cell.setting.method for cell in cells),
        "note": any(cell.not_converged for cell in cells),
        **dict.fromkeys(COMPARED, any(cell.difference for cell in cells)),
        DECIDES: any(texts.would_decide(cell.needed) not in ("", texts.NONE) for cell in cells),
    }


def line(cell: Cell) -> dict[str, str]:
    """A cell's texts in all columns that a table may have."""
    setting = cell.setting
    return {
        "model": title(setting),
        "run": ", ".join(cell.named_runs) or texts.NONE,
        "teacher LS": optional(setting.label_smoothing),
        "KD level": level(setting),
        "tail": tail(setting),
        "start": setting.init or ("random" if setting.role == "student" else texts.NONE),
        "KD weight": f"{setting.kd_weight:g}",
        "T": optional(setting.temperature),
        "seeds": str(len(cell.seeds)),
        **{described(metric).label: texts.score(value) for metric, value in cell.scores.items()},
        **differences(cell),
        STEP_COST: optional(cell.cost.step_cost if cell.cost else None, ".2f"),
        "note": "not converged" if cell.not_converged else "",
    }


def differences(cell: Cell) -> dict[str, str]:
    """A cell over its baseline; over each of several, where p each seed is in the JSON alone."""
    if not cell.over:
        found = cell.difference
        values = (texts.interval(found), texts.p_holm(found), texts.p_by_seed(found))
        return {**dict(zip(COMPARED, values, strict=True)), DECIDES: texts.would_decide(cell.needed)}
    shown: dict[str, str] = {}
    for wish, each in cell.over.items():
        found = each.difference
        shown |= {f"over {wish} [95 %]": texts.interval(found), f"p over {wish}": texts.p_holm(found)}
    return shown


def effects(table: ResultsTable) -> pd.DataFrame:
    """The effects of the teacher's label smoothing and of the temperature, with published values and verdicts."""
    lines, has_open = [], any(each.needed for each in table.effects)
    for each in table.effects:
        shown = {
            "effect": each.effect,
            "at": each.at,
            f"{described(table.main).label} [95 %]": texts.interval(each.difference),
            "p": texts.p_holm(each.difference),
        }
        if table.published.pair and table.main in KINDS:
            shown |= {"published": optional(each.published, "+.2f"), "verdict": each.verdict or texts.NONE}
        lines.append(shown | ({DECIDES: texts.with_bounds(each.needed)} if has_open else {}))
    return texts.frame(lines)


def published(table: ResultsTable) -> pd.DataFrame:
    """Our numbers beside the published ones."""
    return texts.frame(
        [
            {
                "row": row_title(cell),
                described(LOWERCASED).label: f"{cell.published.ours:.2f}",
                "published": f"{cell.published.value:.2f}",
                "difference": f"{cell.published.difference:+.2f}",
                "verdict": cell.published.verdict or texts.NONE,
            }
            for cell in table.cells
            if cell.published
        ]
    )


def costs(table: ResultsTable) -> pd.DataFrame:
    """What each cell's trainings cost, and the cell's signature."""
    return texts.frame(
        [
            {
                "row": row_title(cell),
                "parameters": optional(cell.parameters, ","),
                "epochs": f"{cell.epochs:g}",
                "CPU h": optional(cell.cpu_hours, ".2f"),
                "GPU h": optional(cell.gpu_hours, ".2f"),
                "memory MB": optional(cell.peak_memory_mb, ",.0f"),
                "GPU memory MB": optional(cell.peak_gpu_memory_mb, ",.0f"),
                "words/s": optional(cell.words_per_second, ",.0f"),
                "signature": cell.signature,
            }
            for cell in table.cells
        ]
    )


def sections(table: ResultsTable) -> dict[str, pd.DataFrame]:
    """The tables under the main one, by heading; those that have no line are left out."""
    found = {"Effects": effects(table), "Beside the published numbers": published(table), "Costs": costs(table)}
    return {heading: each for heading, each in found.items() if len(each)}


def csv(table: ResultsTable) -> str:
    """One line per model, numbers only; of several test sets one per set and model, under each other."""
    if not table.sets:
        return texts.csv(lines(table))
    tables = [(table.main_set, table), *table.sets.items()]
    return texts.csv([{"set": name, **each} for name, of_set in tables for each in lines(of_set)])


def lines(table: ResultsTable) -> list[dict[str, Json]]:
    """The lines of a table's CSV."""
    cells = {member: cell for cell in table.cells for member in cell.members}
    left_out = {*NO_NUMBERS, *(() if any(cell.setting.method for cell in table.cells) else ("method",))}
    return [numbers(row, cells[row.member], left_out) for row in table.rows]


def numbers(row: TableRow, cell: Cell, left_out: set[str]) -> dict[str, Json]:
    """A model's line of the CSV: its row, and the p-values of its seed."""
    known = {f"p_over_{wish}": each.difference for wish, each in cell.over.items()}
    values = {
        name: ((found and found.p_by_seed) or {}).get(str(row.seed))
        for name, found in (known or {"p_over_baseline": cell.difference}).items()
    }
    kept = {name: value for name, value in record_json(row).items() if name not in left_out}
    return {**kept, "not_converged": int(row.not_converged), **values}
