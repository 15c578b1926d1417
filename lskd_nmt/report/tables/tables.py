"""The results of run folders as Markdown, LaTeX and CSV. Nothing is scored or compared here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lskd_nmt.report.results.read import METRICS
from lskd_nmt.report.results.rows import label, level, method, row_title, tail, title

LABELS = {"bleu": "BLEU", "chrf": "chrF", "bleu_tokenised_lowercased": "BLEU tok. lc"}
STEP_COST = "step cost (plain = 1)"
LATEX = {"±": r"$\pm$", "×": r"$\times$", "α": r"$\alpha$", "–": "--", "<": "$<$"}


def score(value: Mapping[str, Any]) -> str:
    """Mean, and deviation if there is one."""
    return f"{value['mean']:.2f}" + (f" ± {value['deviation']:.2f}" if value["deviation"] is not None else "")


def optional(value: float | None, form: str = "g") -> str:
    """A number, or – where there is none."""
    return "–" if value is None else f"{value:{form}}"


def interval(result: Mapping[str, Any] | None) -> str:
    """`+0.66 [-0.27, +1.64]`."""
    return "–" if result is None else f"{result['value']:+.2f} [{result['low']:+.2f}, {result['high']:+.2f}]"


def p_value(p: float | None) -> str:
    """Three digits."""
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def p_by_seed(result: Mapping[str, Any] | None) -> str:
    """sacreBLEU's p-value of each pair of models of one seed."""
    return ", ".join(p_value(p) for p in (result or {}).get("p_by_seed", {}).values()) or "–"


def frame(content: Mapping[str, Any]) -> pd.DataFrame:
    """The table that people read: one row per cell, as text; columns that say nothing are left out."""
    cells = content["cells"]
    students = [cell for cell in cells if label(cell) == "student"]
    shown = {
        "KD level": any(cell["kd_level"] not in (None, "word") for cell in students),
        "tail": any(cell["tail"] not in (None, "dense") for cell in students),
        "KD weight": len({cell["kd_weight"] for cell in students}) > 1,
        "run": any(cell["named_runs"] for cell in cells),
        STEP_COST: any(map(method, cells)),
        "note": any(cell["not_converged"] for cell in cells),
    } | dict.fromkeys(("over baseline [95 %]", "p", "p each seed"), any(cell["difference"] for cell in cells))
    lines = [
        {
            "model": title(cell),
            "run": ", ".join(cell["named_runs"]) or "–",
            "teacher LS": optional(cell["label_smoothing"]),
            "KD level": level(cell),
            "tail": tail(cell),
            "KD weight": f"{cell['kd_weight']:g}",
            "T": optional(cell["temperature"]),
            "seeds": str(len(cell["seeds"])),
            **{LABELS[metric]: score(cell[metric]) for metric in METRICS},
            **differences(cell),
            STEP_COST: optional(cell.get("step_cost"), ".2f"),
            "note": "not converged" if cell["not_converged"] else "",
        }
        for cell in cells
    ]
    hidden = [name for name, is_shown in shown.items() if not is_shown]
    return pd.DataFrame(lines, dtype=str).drop(columns=hidden, errors="ignore")


def differences(cell: Mapping[str, Any]) -> dict[str, str]:
    """A row over its baseline; over each of several, where p each seed is in the JSON alone."""
    if "over" not in cell:
        found = cell["difference"]
        return {
            "over baseline [95 %]": interval(found),
            "p": p_value(found and found["p_holm"]),
            "p each seed": p_by_seed(found),
        }
    texts: dict[str, str] = {}
    for wish, each in cell["over"].items():
        found = each["difference"]
        texts |= {f"over {wish} [95 %]": interval(found), f"p over {wish}": p_value(found and found["p_holm"])}
    return texts


def effects(content: Mapping[str, Any]) -> pd.DataFrame:
    """The effects of the teacher's label smoothing and of the temperature, with published values and verdicts."""
    lines = [
        {
            "effect": each["effect"],
            "at": each["at"],
            "BLEU [95 %]": interval(each["difference"]),
            "p": p_value(each["difference"] and each["difference"]["p_holm"]),
            **(
                {"published": optional(each["published"], "+.2f"), "verdict": each["verdict"] or "–"}
                if content["published"]["pair"]
                else {}
            ),
        }
        for each in content["effects"]
    ]
    return pd.DataFrame(lines, dtype=str)


def published(content: Mapping[str, Any]) -> pd.DataFrame:
    """Our numbers beside the published ones."""
    found = [(cell, cell["published"]) for cell in content["cells"] if cell["published"]]
    lines = [
        {
            "row": row_title(cell),
            LABELS["bleu_tokenised_lowercased"]: f"{each['ours']:.2f}",
            "published": f"{each['value']:.2f}",
            "difference": f"{each['difference']:+.2f}",
            "verdict": each["verdict"] or "–",
        }
        for cell, each in found
    ]
    return pd.DataFrame(lines, dtype=str)


def costs(content: Mapping[str, Any]) -> pd.DataFrame:
    """What each row's trainings cost, and the row's signature."""
    lines = [
        {
            "row": row_title(cell),
            "parameters": optional(cell["parameters"], ","),
            "epochs": f"{cell['epochs']:g}",
            "CPU h": optional(cell["cpu_hours"], ".2f"),
            "GPU h": optional(cell["gpu_hours"], ".2f"),
            "memory MB": optional(cell["peak_memory_mb"], ",.0f"),
            "GPU memory MB": optional(cell["peak_gpu_memory_mb"], ",.0f"),
            "words/s": optional(cell["words_per_second"], ",.0f"),
            "signature": cell["signature"],
        }
        for cell in content["cells"]
    ]
    return pd.DataFrame(lines, dtype=str)


def sections(content: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The tables under the main one, by heading; those that have no line are left out."""
    found = {"Effects": effects(content), "Beside the published numbers": published(content), "Costs": costs(content)}
    return {heading: table for heading, table in found.items() if len(table)}


def as_markdown(title: str, table: pd.DataFrame, lines: Sequence[str]) -> str:
    """A title, a table of texts, and notes under it."""
    return f"# {title}\n\n{body(table)}\n\n" + "".join(f"- {line}\n" for line in lines)


def body(table: pd.DataFrame) -> str:
    """A table of texts as Markdown."""
    return str(table.to_markdown(index=False, disable_numparse=True))


def as_latex(table: pd.DataFrame, lines: Sequence[str]) -> str:
    """A table of texts (booktabs), its notes as comments."""
    text = str(table.to_latex(index=False, escape=True))
    for sign, command in LATEX.items():
        text = text.replace(sign, command)
    return "".join(f"% {line}\n" for line in lines) + text


def csv(content: Mapping[str, Any]) -> str:
    """One line per model, numbers only."""
    cells = {member: cell for cell in content["cells"] for member in cell["members"]}
    left_out = {"translations", "commit", "not_converged", "tokenizer", "references_changed_by_subwords"}
    left_out |= set() if any(map(method, cells.values())) else {"method"}
    lines = []
    for row in content["rows"]:
        cell, seed = cells[f"{row['run']}/{row['name']}"], str(row["seed"])
        over = {f"p_over_{wish}": each["difference"] for wish, each in cell.get("over", {}).items()}
        known = over or {"p_over_baseline": cell["difference"]}
        values = {name: ((found or {}).get("p_by_seed") or {}).get(seed) for name, found in known.items()}
        lines.append(
            {name: value for name, value in row.items() if name not in left_out}
            | {"not_converged": int(row["not_converged"]), **values}
        )
    return str(pd.DataFrame(lines).to_csv(index=False))
