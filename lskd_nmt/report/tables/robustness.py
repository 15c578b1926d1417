"""The tables of `lskd robustness`: defects of the models' own translations, and what changed sources do to them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lskd_nmt.evaluate.robustness import Definition, Measured, RobustModel, Robustness
from lskd_nmt.report.tables.texts import NONE, frame, markdown

OWN = "Translations of the test set, in percent"
LESS = "Translations of the test set: less those of the teacher, in percentage points"
TITLES = {
    "chrf_to_clean": "Changed sources: chrF to the translation of the source as it is",
    "hallucinations": "Changed sources: hallucinations, in percent",
    "bleu": "Changed sources: BLEU",
    "chrf": "Changed sources: chrF against the reference",
}
APART = ("short", "training")  # they have measures of their own
APART_TITLE = "Short inputs, and sources of train, in percent"


def text(found: Measured | None, signed: bool = False) -> str:
    """`1.40 [0.60, 2.60]`, with the interval where there is one."""
    if found is None:
        return NONE
    form = "+.2f" if signed else ".2f"
    within = "" if found.low is None or found.high is None else f" [{found.low:{form}}, {found.high:{form}}]"
    return f"{found.value:{form}}{within}"


def frames(content: Robustness) -> dict[str, pd.DataFrame]:
    """The tables by their titles; those with nothing in them are left out."""
    models, defined = content.models, content.definitions
    names = [name for name in defined if any(name in model.texts for model in models)]
    students = [model for model in models if any(each.difference for each in model.texts.values())]
    found = {
        OWN: frame([own_row(model, names, defined) for model in models]),
        LESS: frame([difference_row(model, names, defined) for model in students]),
    }
    decoded = [model for model in models if model.perturbed]
    for measure, title in TITLES.items():
        found[title] = frame([changed_row(model, measure, content) for model in decoded])
    apart = [apart_row(model, content.perturbed_definitions) for model in decoded]
    found[APART_TITLE] = frame([row for row in apart if len(row) > 1])
    return {title: each for title, each in found.items() if each.shape[1] > 1}


def seeds(model: RobustModel) -> str:
    """A model's name, with the number of its seeds if it has several."""
    return f"{model.name} ({len(model.seeds)} seeds)" if len(model.seeds) > 1 else model.name


def own_row(model: RobustModel, names: Sequence[str], defined: Mapping[str, Definition]) -> dict[str, str]:
    """A model's own translations."""
    return {"model": seeds(model), **{defined[name].title: text(model.texts.get(name)) for name in names}}


def difference_row(model: RobustModel, names: Sequence[str], defined: Mapping[str, Definition]) -> dict[str, str]:
    """What a student's measures are less its teacher's."""
    found = {name: each.difference for name in names if (each := model.texts.get(name)) is not None}
    cells = {defined[name].title: text(found.get(name), signed=True) for name in names}
    return {"model": seeds(model), "teacher": model.beside or NONE, **cells}


def changed_row(model: RobustModel, measure: str, content: Robustness) -> dict[str, str]:
    """A measure of a model by perturbation."""
    tasks = [task for task in content.perturbations if task not in APART]
    cells = {task: model.perturbed.get(task, {}).get(measure) for task in tasks}
    shown = {task.replace("_", " "): text(cell) for task, cell in cells.items() if measure in known(content, task)}
    return {"model": seeds(model), **shown}


def known(content: Robustness, task: str) -> set[str]:
    """The measures that any model has of a perturbation."""
    return {name for model in content.models for name in model.perturbed.get(task, {})}


def apart_row(model: RobustModel, defined: Mapping[str, Definition]) -> dict[str, str]:
    """The measures of short inputs and of training sources."""
    cells = {
        f"{task}: {defined[name].title}": text(each)
        for task in APART
        for name, each in model.perturbed.get(task, {}).items()
    }
    return {"model": seeds(model), **cells}


def notes(content: Robustness) -> list[str]:
    """What the numbers are: definitions, sentences, and models that were not asked anew."""
    lines = [
        f"{content.test_sentences:,} test sentences, {content.training_pairs:,} training pairs; [95 % interval] over "
        "sentences drawn with replacement, and seeds where there are several; a row of the reference for scale"
    ]
    lines += [f"{each.title}: {each.about}" for each in content.definitions.values()]
    if content.perturbations:
        lines += [f"{each.title}: {each.about}" for each in content.perturbed_definitions.values()]
    lines += [
        f"{task.replace('_', ' ')}: {each.about} ({each.sentences:,} sentences)"
        for task, each in content.perturbations.items()
    ]
    return lines + [
        f"{model.name}: not decoded anew: {model.not_decoded}" for model in content.models if model.not_decoded
    ]


def document(content: Robustness) -> str:
    """All tables as Markdown, with the notes as a list."""
    found = frames(content)
    return markdown("Robustness", found.pop(OWN), notes(content), found)
