"""What `lskd robustness` found, as tables and figures."""

from collections.abc import Sequence

import pandas as pd

from lskd_nmt.evaluate.robustness import Example, Robustness
from lskd_nmt.report.figures import robustness as figures
from lskd_nmt.report.page.parts import Drawing, Part, table
from lskd_nmt.report.page.sources import Analysis
from lskd_nmt.report.tables import robustness as tables
from lskd_nmt.report.tables.texts import NONE

SETS = "sets/"  # in the folder of analyses those of further test sets


def robustness(mine: Sequence[Analysis]) -> list[Part]:
    """Figures first, then the tables, then examples where there are any; of a further test set its first table."""
    parts: list[Part] = []
    for each in mine:
        content = each.read(Robustness)
        title = "" if each.title == each.kind else f"{each.title}: "
        if each.name.startswith(SETS):  # what it lacks is in its folder: the page does not grow with test sets
            name, found = next(iter(tables.frames(content).items()))
            parts.append(table(f"{each.id}-1", f"{title}{name}", found))
            continue
        parts += drawings(each.id, title, content)
        for number, (name, found) in enumerate(tables.frames(content).items(), start=1):
            notes = tables.notes(content) if number == 1 else ()
            parts.append(table(f"{each.id}-{number}", f"{title}{name}", found, notes=notes))
        if content.sentences is not None and content.sentences.examples:
            shown = examples(content, content.sentences.examples)
            parts.append(table(f"{each.id}-examples", f"{title}Sentences with defects", shown))
    return parts


def drawings(name: str, title: str, content: Robustness) -> list[Part]:
    """Of the models' own translations, and of changed sources."""
    text = "A row for each model, a panel for each measure that is not 0 for all; the numbers are in the tables below."
    parts: list[Part] = [Drawing(f"{name}-texts", f"{title}Defects of translations", text, figures.texts(content))]
    changed = figures.changes(content)
    if changed is not None:
        text = "A row for each model, a column for each change of the source; the numbers are in the tables below."
        parts.append(Drawing(f"{name}-changes", f"{title}Changed sources", text, changed))
    return parts


def examples(content: Robustness, found: Sequence[Example]) -> pd.DataFrame:
    """Sentences with defects, and the training pair of memorised ones."""
    return pd.DataFrame(
        [
            {
                "model": each.model,
                "defect": content.definitions[each.defect].title,
                "sentence": str(each.row + 1),
                "source": each.source,
                "translation": each.translation,
                "reference": each.reference,
                "training pair": " / ".join(filter(None, (each.training_source, each.training_target))) or NONE,
            }
            for each in found
        ],
        dtype=str,
    )
