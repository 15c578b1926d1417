"""What `lskd calibrate` and `lskd confidence` found, as tables and figures."""

from collections.abc import Sequence
from typing import Any

from lskd_nmt.report.figures import reliability
from lskd_nmt.report.page.estimates import frame
from lskd_nmt.report.page.parts import Drawing, Part, table
from lskd_nmt.report.page.sources import Analysis

LEVELS = {"token": "tokens", "word": "words", "token_all": "tokens, those that TER aligns to nothing counted as wrong"}
BUCKETS = {"all": "all tokens", "frequency": "by the target's frequency in train", "position": "by position"}


def calibration(mine: Sequence[Analysis]) -> list[Part]:
    """For each level and kind of decoding: a table of all models, and a reliability diagram of each."""
    parts: list[Part] = []
    for decoding in sorted({each.content["decoding"] for each in mine}, reverse=True):  # teacher-forced first
        models = {each.title: each.content for each in mine if each.content["decoding"] == decoding}
        prefix = f"calibration-{'own' if decoding == 'own output' else 'forced'}"
        for level, words in LEVELS.items():
            known = {name: content for name, content in models.items() if level in content}
            if known:
                title = f"Calibration, {decoding}, {words}"
                rows = [numbers(name, content, level) for name, content in known.items()]
                parts += [
                    table(f"{prefix}-{level}", title, frame(rows)),
                    diagram(f"{prefix}-{level}", title, known, level),
                ]
        parts.append(histogram(f"{prefix}-entropy", f"Entropy of the next token, {decoding}", models))
    return parts


def numbers(name: str, content: dict[str, Any], level: str) -> dict[str, Any]:
    """A model's row."""
    fitted = {"T*": content["temperature"]["value"]} if level == "token" and content.get("temperature") else {}
    return {"model": name, "measured": content[level]["units"], **content[level]["numbers"], **fitted}


def diagram(name: str, title: str, models: dict[str, dict[str, Any]], level: str) -> Drawing:
    """The reliability of each model, in the first bins that it has."""
    found = {}
    for model, content in models.items():
        first = next(iter(content[level]["reliability"]))
        error = content[level]["numbers"][first]["value"]
        found[f"{model}, {first.upper().replace('_', '-')} {error:.3f}"] = content[level]["reliability"][first]
    text = f"A panel for each model: {'; '.join(found)}. The numbers are those of the table before it."
    return Drawing(f"{name}-reliability", f"Reliability: {title}", text, reliability.diagrams(found))


def histogram(name: str, title: str, models: dict[str, dict[str, Any]]) -> Drawing:
    """How a model's entropy is distributed over tokens."""
    found = {model: content["entropy_histogram"] for model, content in models.items()}
    text = f"A line for each model, {', '.join(found)}: the share of tokens by entropy in nats."
    return Drawing(name, title, text, reliability.histograms(found))


def confidence(mine: Sequence[Analysis]) -> list[Part]:
    """A table of all tokens with the agreement with the teacher, and one for each kind of bucket."""
    parts: list[Part] = []
    for each in mine:
        models, baseline = each.content["models"], each.content["settings"]["baseline"]
        for kind, words in BUCKETS.items():
            rows = [
                row(name, bucket, baseline) | (agreement(model) if kind == "all" else {})
                for name, model in models.items()
                for bucket in model.get(kind, [])
            ]
            if rows:
                shown = frame(rows)
                shown = shown.drop(columns="bucket") if kind == "all" else shown
                parts.append(table(f"{each.id}-{kind}", f"{each.title}: {words}", shown))
        parts.append(histogram(f"{each.id}-entropy", f"{each.title}: entropy of the next token", models))
    return parts


def row(name: str, bucket: dict[str, Any], baseline: str) -> dict[str, Any]:
    """A model's means in a bucket, and what they are less the baseline's."""
    found: dict[str, Any] = {"model": name}
    for key, value in bucket.items():
        found[key] = value
        if isinstance(value, dict) and "difference" in value:
            found[f"{key} less {baseline}'s"] = value["difference"]
    return found


def agreement(model: dict[str, Any]) -> dict[str, Any]:
    """How far a model follows the teacher, where there is one."""
    found = model.get("agreement") or {}
    return (
        {"same top symbol as the teacher": found.get("top_1"), "KL(teacher ‖ model)": found.get("kl")} if found else {}
    )
