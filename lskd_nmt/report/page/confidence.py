"""What `lskd calibrate` and `lskd confidence` found, as tables and figures."""

from collections.abc import Mapping, Sequence

from lskd_nmt.report.figures import reliability
from lskd_nmt.report.page.estimates import Row, frame
from lskd_nmt.report.page.parts import Drawing, Part, table
from lskd_nmt.report.page.sources import Analysis
from lskd_nmt.report.results.analyses import (
    Bucket,
    Calibration,
    CalibrationLevel,
    Confidence,
    ConfidentModel,
    Estimate,
    Histogram,
)

# a level of a calibration -> what was measured there, in words
LEVELS = {"token": "tokens", "word": "words", "token_all": "tokens, those that TER aligns to nothing counted as wrong"}
BUCKETS = {"all": "all tokens", "frequency": "by the target's frequency in train", "position": "by position"}


def calibration(mine: Sequence[Analysis]) -> list[Part]:
    """For each level and kind of decoding: a table of all models, and a reliability diagram of each."""
    found = {each.title: each.read(Calibration) for each in mine}
    parts: list[Part] = []
    for decoding in sorted({content.decoding for content in found.values()}, reverse=True):  # teacher-forced first
        models = {name: content for name, content in found.items() if content.decoding == decoding}
        prefix = f"calibration-{'own' if decoding == 'own output' else 'forced'}"
        for level, words in LEVELS.items():
            known = {name: each for name, content in models.items() if (each := getattr(content, level)) is not None}
            if known:
                title = f"Calibration, {decoding}, {words}"
                rows = [numbers(name, each, models[name], level == "token") for name, each in known.items()]
                parts += [
                    table(f"{prefix}-{level}", title, frame(rows)),
                    diagram(f"{prefix}-{level}", title, known),
                ]
        histograms = {name: content.entropy_histogram for name, content in models.items()}
        parts.append(histogram(f"{prefix}-entropy", f"Entropy of the next token, {decoding}", histograms))
    return parts


def numbers(name: str, level: CalibrationLevel, content: Calibration, is_of_tokens: bool) -> Row:
    """A model's row; that of tokens has the temperature that was fitted on them."""
    fitted = {"T*": content.temperature.value} if is_of_tokens and content.temperature else {}
    return {"model": name, "measured": level.units, **level.numbers, **fitted}


def diagram(name: str, title: str, models: Mapping[str, CalibrationLevel]) -> Drawing:
    """The reliability of each model, in the first bins that it has."""
    found = {}
    for model, level in models.items():
        first, bins = next(iter(level.reliability.items()))
        error = level.numbers[first]
        value = "" if error is None else f" {error.value:.3f}"
        found[f"{model}, {first.upper().replace('_', '-')}{value}"] = bins
    text = f"A panel for each model: {'; '.join(found)}. The numbers are those of the table before it."
    return Drawing(f"{name}-reliability", f"Reliability: {title}", text, reliability.diagrams(found))


def histogram(name: str, title: str, found: Mapping[str, Histogram]) -> Drawing:
    """How each model's entropy is distributed over tokens."""
    text = f"A line for each model, {', '.join(found)}: the share of tokens by entropy in nats."
    return Drawing(name, title, text, reliability.histograms(found))


def confidence(mine: Sequence[Analysis]) -> list[Part]:
    """A table of all tokens with the agreement with the teacher, and one for each kind of bucket."""
    parts: list[Part] = []
    for each in mine:
        content = each.read(Confidence)
        for kind, words in BUCKETS.items():
            rows = [
                {**row(name, bucket, content.settings.baseline), **(agreement(model) if kind == "all" else {})}
                for name, model in content.models.items()
                for bucket in getattr(model, kind)
            ]
            if rows:
                shown = frame(rows)
                shown = shown.drop(columns="bucket") if kind == "all" else shown
                parts.append(table(f"{each.id}-{kind}", f"{each.title}: {words}", shown))
        histograms = {name: model.entropy_histogram for name, model in content.models.items()}
        parts.append(histogram(f"{each.id}-entropy", f"{each.title}: entropy of the next token", histograms))
    return parts


def row(name: str, bucket: Bucket, baseline: str) -> Row:
    """A model's means in a bucket, and what they are less the baseline's."""
    found: dict[str, Estimate | int | float | str | None] = {"model": name}
    for key, value in bucket.items():
        found[key] = value
        if isinstance(value, Estimate) and value.difference is not None:
            found[f"{key} less {baseline}'s"] = value.difference
    return found


def agreement(model: ConfidentModel) -> Row:
    """How far a model follows the teacher, where there is one."""
    found = model.agreement
    return {"same top symbol as the teacher": found.top_1, "KL(teacher ‖ model)": found.kl} if found else {}
