"""How tables are written: numbers as texts, and frames of texts as Markdown, LaTeX (booktabs) and CSV."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lskd_nmt.evaluate.records import Estimate, Needed
from lskd_nmt.report.results.records import MeanScore, Number
from lskd_nmt.report.tables.latex import tabular
from lskd_nmt.storage.typed import Json

NONE = "–"  # where there is no value
MANY = 100  # seeds: nobody trains more, so that their number is not said
NEEDS = "% needs \\usepackage{booktabs}; one that is too wide: \\resizebox{\\linewidth}{!}{...} of graphicx\n"


def score(value: MeanScore) -> str:
    """`35.30 ± 0.21`; of one seed the mean alone."""
    return f"{value.mean:.2f}" + (f" ± {value.deviation:.2f}" if value.deviation is not None else "")


def optional(value: Number | None, form: str = "g") -> str:
    """A number, or – where there is none."""
    return NONE if value is None else f"{value:{form}}"


def interval(result: Estimate | None) -> str:
    """An estimate with its 95 % interval: `+0.66 [-0.27, +1.64]`."""
    return NONE if result is None else f"{result.value:+.2f} [{result.low:+.2f}, {result.high:+.2f}]"


def p_value(p: float | None) -> str:
    """A p-value to three digits, such as `0.012` and `<0.001`."""
    return NONE if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def p_holm(result: Estimate | None) -> str:
    """The p-value of an estimate that is corrected for the number of tests, by Holm's method."""
    return p_value(result.p_holm if result else None)


def p_by_seed(result: Estimate | None) -> str:
    """sacreBLEU's p-value of each pair of models of one seed."""
    values = (result and result.p_by_seed) or {}
    return ", ".join(map(p_value, values.values())) or NONE


def would_decide(needed: Needed | None) -> str:
    """`12 seeds`, `> 100 seeds`, `larger test set (> 3.2 ×)`; – where it is not known, nothing where all is decided."""
    if needed is None:
        return ""
    if needed.test_set is not None:
        text = f"larger test set (> {needed.test_set:.1f} ×)"
    elif needed.seeds is None and not needed.within:
        text = NONE
    else:
        text = f"{needed.seeds} seeds" if needed.seeds is not None and needed.seeds <= MANY else f"> {MANY} seeds"
    return text if needed.teachers is None else f"≥ {needed.teachers} teachers, {text}"


def with_bounds(needed: Needed | None) -> str:
    """What would decide, and what is bounded already: `12 seeds; within ±1.64`."""
    text = would_decide(needed)
    if needed is None or needed.within is None:
        return text
    return "; ".join([*([text] if text != NONE else []), f"within ±{needed.within:.2f}"])


def frame(lines: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Lines of a table, each a text by column."""
    return pd.DataFrame(lines, dtype=str)


def body(table: pd.DataFrame) -> str:
    """A table of texts as Markdown, each text as it is."""
    return str(table.to_markdown(index=False, disable_numparse=True))


def markdown(
    title: str, main: pd.DataFrame, notes: Sequence[str], smaller: Mapping[str, pd.DataFrame] | None = None
) -> str:
    """A title, the main table, smaller ones under their headings, and notes as a list."""
    parts = [f"# {title}", body(main)]
    for heading, table in (smaller or {}).items():
        parts += [f"## {heading}", body(table)]
    return "\n\n".join([*parts, "".join(f"- {line}\n" for line in notes)])


def section(title: str, main: pd.DataFrame, notes: Sequence[str], smaller: Mapping[str, pd.DataFrame]) -> str:
    """A section of a document of several: its heading, table, smaller tables, and notes as a list."""
    parts = [f"## {title}", body(main)]
    for heading, table in smaller.items():
        parts += [f"### {heading}", body(table)]
    return "\n\n".join([*parts, "".join(f"- {line}\n" for line in notes)])


def latex(main: pd.DataFrame, notes: Sequence[str], smaller: Mapping[str, pd.DataFrame] | None = None) -> str:
    """The tables as LaTeX, each ready to be pasted; headings are comments, and so are the notes, after all tables."""
    parts = [NEEDS + tabular(main), *(f"% {heading}\n{tabular(table)}" for heading, table in (smaller or {}).items())]
    lines = [line for note in notes for line in note.splitlines()]
    return "\n\\bigskip\n\n".join(parts) + "\n% Notes\n" + "".join(f"% {line}\n" for line in lines)


def csv(lines: Sequence[Mapping[str, Json]]) -> str:
    """Lines of numbers as CSV; a column that a line lacks is empty there."""
    return str(pd.DataFrame(lines).to_csv(index=False))
