"""What `lskd project` and `lskd diffuse` found, as tables and figures."""

from collections.abc import Sequence

from lskd_nmt.report.figures import diffusion as indices
from lskd_nmt.report.figures.projection import figure
from lskd_nmt.report.page.estimates import Row, frame
from lskd_nmt.report.page.parts import Drawing, Part, table
from lskd_nmt.report.page.sources import Analysis
from lskd_nmt.report.results.analyses import Diffusion, Projection

ARMS = {"students": "students of the smoothed teacher", "control": "control, α = 0", "difference": "less the control"}


def projection(mine: Sequence[Analysis]) -> list[Part]:
    """Spreads of the three words and distances between them, for each model and split."""
    parts: list[Part] = []
    for each in mine:
        content = each.read(Projection)
        first, second, third = content.tokens
        text = f"A panel for each model and split: states of {first}, {second} and {third}, and their centroids."
        parts.append(Drawing(f"{each.id}-plane", f"{each.title}: the plane of three words", text, figure(content)))
        title = f"{each.title}: spreads of {first}, {second}, {third}, and distances"
        parts.append(table(f"{each.id}-words", title, frame(planes(content))))
        if content.proposed:
            parts.append(table(f"{each.id}-proposed", f"{each.title}: proposed words", frame(content.proposed)))
    return parts


def planes(content: Projection) -> list[Row]:
    """A row for each model and split."""
    first, second, third = content.tokens
    spreads = [f"spread of {token}" for token in content.tokens]
    distances = [f"{first} to {second}", f"{first} to {third}", f"{second} to {third}"]
    return [
        {
            "model": name,
            "split": split,
            **dict(zip(spreads, found.spreads, strict=True)),
            **dict(zip(distances, found.distances, strict=True)),
            "variance in the plane": sum(model.explained_variance),
        }
        for name, model in content.models.items()
        for split, found in model.splits.items()
    ]


def diffusion(mine: Sequence[Analysis]) -> list[Part]:
    """The index by arm and temperature, and of each word."""
    parts: list[Part] = []
    for each in mine:
        content = each.read(Diffusion)
        text = (
            "The index of similar and of other words at each temperature; the numbers are those of the table after it."
        )
        title = f"{each.title}: diffusion index by temperature"
        parts.append(Drawing(f"{each.id}-figure", title, text, indices.figure(content)))
        rows: list[Row] = [
            {
                "of": ARMS[name],
                "T": heat,
                "similar": found.similar,
                "others": found.others,
                "margin": found.margin,
                "seeds": found.seeds,
                "verdict": found.verdict,
            }
            for name, arm in content.arms.items()
            for heat, found in arm.items()
        ]
        parts.append(table(f"{each.id}-index", f"{each.title}: diffusion index", frame(rows)))
        if words := of_words(content):
            parts.append(table(f"{each.id}-by-word", f"{each.title}: diffusion index of each word", frame(words)))
    return parts


def of_words(content: Diffusion) -> list[Row]:
    """A row for each arm, temperature and word."""
    return [
        {
            "word": word,
            "of": ARMS[name],
            "T": heat,
            "occurrences": content.occurrences.get(word),
            "similar": values.similar,
            "others": values.others,
            "similar words": list(content.similar[word]) if word in content.similar else None,
        }
        for name, arm in content.arms.items()
        for heat, found in arm.items()
        for word, values in found.by_class.items()
    ]
