"""Models that were trained on after they were scored: what they were before, as notes of the table."""

from collections.abc import Mapping

from lskd_nmt.evaluate.metrics import described
from lskd_nmt.experiment import history
from lskd_nmt.experiment.history import Earlier
from lskd_nmt.experiment.run import Run

NAMED = 4  # models that a note names


def notes(runs: Mapping[str, Run], metric: str) -> list[str]:
    """A note about trainings that went on, and one about those that began anew as their teacher went on."""
    went_on, began_anew = list[str](), list[str]()
    for label, run in runs.items():
        for model in run.models:
            for entry, is_continued in history.earlier(run.model_folder(model.name)):
                name = model.name if len(runs) == 1 else f"{label}/{model.name}"
                (went_on if is_continued else began_anew).append(told(name, entry, metric))
    return [
        f"{what}: {listed(found)}; what they were before is in models/NAME/history"
        for what, found in (
            ("trained on after they were scored", went_on),
            ("trained anew as their teacher was trained on, or their data changed", began_anew),
        )
        if found
    ]


def told(name: str, entry: Earlier, metric: str) -> str:
    """What a model was: `student-plain-s1 after epoch 2 (BLEU 12.34, signature 0123abcd)`."""
    score = (entry.scores or {}).get(metric)
    scored = "not scored" if score is None else f"{described(metric).label} {score:.2f}, signature {entry.signature}"
    return f"{name} after epoch {entry.epochs} ({scored})"


def listed(told_of: list[str]) -> str:
    """The first models, and how many more there are."""
    more = f" and {len(told_of) - NAMED} more" if len(told_of) > NAMED else ""
    return ", ".join(told_of[:NAMED]) + more
