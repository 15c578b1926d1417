"""What `lskd project`, `lskd diffuse` and `lskd diagnose` found, as tables; their figures are files beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from lskd_nmt.report.page.estimates import frame
from lskd_nmt.report.page.parts import Part, table
from lskd_nmt.report.page.sources import Analysis

ARMS = {"students": "students of the smoothed teacher", "control": "control, α = 0", "difference": "less the control"}


def projection(mine: Sequence[Analysis]) -> list[Part]:
    """Spreads of the three words and distances between them, for each model and split."""
    parts: list[Part] = []
    for each in mine:
        first, second, third = each.content["tokens"]
        spreads = [f"spread of {token}" for token in (first, second, third)]
        distances = [f"{first} to {second}", f"{first} to {third}", f"{second} to {third}"]
        rows = [{"model": name, "split": split, **dict(zip(spreads, found["spreads"], strict=True)),
                 **dict(zip(distances, found["distances"], strict=True)),
                 "variance in the plane": sum(model["explained_variance"])}
                for name, model in each.content["models"].items() for split, found in model["splits"].items()
                ]  # fmt: skip
        title = f"{each.title}: spreads of {first}, {second}, {third}, and distances"
        parts.append(table(f"{each.id}-words", title, frame(rows)))
        if each.content.get("proposed"):
            parts.append(table(f"{each.id}-proposed", f"{each.title}: proposed words", frame(each.content["proposed"])))
    return parts


def diffusion(mine: Sequence[Analysis]) -> list[Part]:
    """The index by arm and temperature, and of each word."""
    parts: list[Part] = []
    for each in mine:
        arms = [(ARMS.get(arm, arm), heat, found) for arm, value in each.content.items()
                for heat, found in temperatures(value)]  # fmt: skip
        rows = [{"of": arm, "T": heat, **{key: value for key, value in found.items() if key != "by_class"}}
                for arm, heat, found in arms]  # fmt: skip
        parts.append(table(f"{each.id}-index", f"{each.title}: diffusion index", frame(rows)))
        words = [{"word": word, "of": arm, "T": heat, "occurrences": each.content["occurrences"].get(word), **values,
                  "similar words": each.content["similar"].get(word)}
                 for arm, heat, found in arms for word, values in found.get("by_class", {}).items()]  # fmt: skip
        if words:
            parts.append(table(f"{each.id}-by-word", f"{each.title}: diffusion index of each word", frame(words)))
    return parts


def temperatures(found: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The temperatures of an arm, if it is one."""
    if not isinstance(found, Mapping):
        return []
    return [(heat, each) for heat, each in found.items() if isinstance(each, Mapping) and "verdict" in each]


def diagnosis(mine: Sequence[Analysis]) -> list[Part]:
    """The teacher's tail; groups of sentences, kinds of words, and examples."""
    parts: list[Part] = []
    for each in mine:
        tail, texts = each.content.get("tail"), each.content.get("sentences")
        if tail:
            rows = [{"T": heat, "entropy (nats)": found["entropy"],
                     **{f"outside of top {k}": one["mass"] for k, one in found["tail"].items()}}
                    for heat, found in tail["temperatures"].items()]  # fmt: skip
            parts.append(
                table(f"{each.id}-tail", f"{each.title}: the teacher's mass outside of its top k", frame(rows))
            )
        if texts:
            groups = [{"sentences of": name, **flat(group)} for name, group in texts["groups"].items()]
            parts.append(
                table(f"{each.id}-groups", f"{each.title}: teacher and student by kind of sentence", frame(groups))
            )
            words = [{"kind": name, **flat(found)} for name, found in texts["words"].items()]
            parts.append(
                table(f"{each.id}-words", f"{each.title}: words of the reference, and who missed them", frame(words))
            )
            examples = [flat(example) for example in texts["examples"]]
            parts.append(
                table(
                    f"{each.id}-examples", f"{each.title}: right in the teacher, wrong in the student", frame(examples)
                )
            )
    return [part for part in parts if getattr(part, "rows", True)]


def flat(found: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of teacher and student beside each other: `chrf` becomes `teacher's chrf`, `student's chrf`."""
    result: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, Mapping) and "value" not in value:
            result |= {f"{who}'s {key}": number for who, number in value.items()}
        else:
            result[key.replace("_", " ")] = value
    return result
