"""What `lskd project`, `lskd diffuse` and `lskd diagnose` found, as tables and figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from lskd_nmt.report.figures import diffusion as indices
from lskd_nmt.report.figures import teacher_tail as tails
from lskd_nmt.report.figures.projection import figure
from lskd_nmt.report.page.estimates import frame
from lskd_nmt.report.page.parts import Drawing, Part, table
from lskd_nmt.report.page.sources import Analysis

ARMS = {"students": "students of the smoothed teacher", "control": "control, α = 0", "difference": "less the control"}


def projection(mine: Sequence[Analysis]) -> list[Part]:
    """Spreads of the three words and distances between them, for each model and split."""
    parts: list[Part] = []
    for each in mine:
        first, second, third = each.content["tokens"]
        spreads = [f"spread of {token}" for token in (first, second, third)]
        distances = [f"{first} to {second}", f"{first} to {third}", f"{second} to {third}"]
        rows = [
            {
                "model": name,
                "split": split,
                **dict(zip(spreads, found["spreads"], strict=True)),
                **dict(zip(distances, found["distances"], strict=True)),
                "variance in the plane": sum(model["explained_variance"]),
            }
            for name, model in each.content["models"].items()
            for split, found in model["splits"].items()
        ]
        text = f"A panel for each model and split: states of {first}, {second} and {third}, and their centroids."
        parts.append(Drawing(f"{each.id}-plane", f"{each.title}: the plane of three words", text, figure(each.content)))
        title = f"{each.title}: spreads of {first}, {second}, {third}, and distances"
        parts.append(table(f"{each.id}-words", title, frame(rows)))
        if each.content.get("proposed"):
            parts.append(table(f"{each.id}-proposed", f"{each.title}: proposed words", frame(each.content["proposed"])))
    return parts


def diffusion(mine: Sequence[Analysis]) -> list[Part]:
    """The index by arm and temperature, and of each word."""
    parts: list[Part] = []
    for each in mine:
        arms = [
            (ARMS.get(arm, arm), heat, found)
            for arm, value in each.content.items()
            for heat, found in temperatures(value)
        ]
        text = (
            "The index of similar and of other words at each temperature; the numbers are those of the table after it."
        )
        parts.append(
            Drawing(
                f"{each.id}-figure", f"{each.title}: diffusion index by temperature", text, indices.figure(each.content)
            )
        )
        rows = [
            {"of": arm, "T": heat, **{key: value for key, value in found.items() if key != "by_class"}}
            for arm, heat, found in arms
        ]
        parts.append(table(f"{each.id}-index", f"{each.title}: diffusion index", frame(rows)))
        words = [
            {
                "word": word,
                "of": arm,
                "T": heat,
                "occurrences": each.content["occurrences"].get(word),
                **values,
                "similar words": each.content["similar"].get(word),
            }
            for arm, heat, found in arms
            for word, values in found.get("by_class", {}).items()
        ]
        if words:
            parts.append(table(f"{each.id}-by-word", f"{each.title}: diffusion index of each word", frame(words)))
    return parts


def temperatures(found: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The temperatures of an arm, if it is one."""
    if not isinstance(found, Mapping):
        return []
    return [(heat, each) for heat, each in found.items() if isinstance(each, Mapping) and "verdict" in each]


def diagnosis(mine: Sequence[Analysis]) -> list[Part]:
    """What the teacher says, and what its student lost, as far as a file has them."""
    parts: list[Part] = []
    for each in mine:
        parts += the_tail(each, each.content["tail"]) if "tail" in each.content else []
        parts += sentences(each, each.content["sentences"]) if "sentences" in each.content else []
    return parts


def the_tail(each: Analysis, found: Mapping[str, Any]) -> list[Part]:
    """The mass outside of the teacher's top k at each temperature."""
    text = "A line for each temperature; the masses are those of the table after it."
    rows = [
        {
            "T": heat,
            "entropy (nats)": one["entropy"],
            **{f"outside of top {k}": beyond["mass"] for k, beyond in one["tail"].items()},
        }
        for heat, one in found["temperatures"].items()
    ]
    title = f"{each.title}: the teacher's mass outside of its top k"
    return [
        Drawing(f"{each.id}-tail-figure", f"{each.title}: the tail and its evenness", text, tails.figure(found)),
        table(f"{each.id}-tail", title, frame(rows)),
    ]


def sentences(each: Analysis, found: Mapping[str, Any]) -> list[Part]:
    """Groups of sentences, kinds of words, and examples where there are any."""
    text = "The teacher's chrF less the student's, by kind of sentence; the numbers are in the table after it."
    drawing = Drawing(
        f"{each.id}-sentences-figure", f"{each.title}: where the teacher is better", text, tails.sentences(found)
    )
    tables = {
        "groups": (
            "teacher and student by kind of sentence",
            [{"sentences of": name, **flat(group)} for name, group in found["groups"].items()],
        ),
        "words": (
            "words of the reference, and how many of them each writes in the same sentence",
            [{"kind": name, **flat(words)} for name, words in found["words"].items()],
        ),
        "examples": ("right in the teacher, wrong in the student", [flat(one) for one in found.get("examples", [])]),
    }
    return [
        drawing,
        *(
            table(f"{each.id}-{name}", f"{each.title}: {title}", frame(rows))
            for name, (title, rows) in tables.items()
            if rows
        ),
    ]


def flat(found: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of teacher and student beside each other: `chrf` becomes `teacher's chrf`, `student's chrf`."""
    result: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, Mapping) and "value" not in value:
            result |= {f"{who}'s {key}": number for who, number in value.items()}
        else:
            result[key.replace("_", " ")] = value
    return result
