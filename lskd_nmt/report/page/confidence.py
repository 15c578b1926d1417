"""What `lskd calibrate` and `lskd confidence` found, as tables and figures."""

import statistics
from collections.abc import Mapping, Sequence

from lskd_nmt.report.figures import reliability
from lskd_nmt.report.page.estimates import DIGITS, Row, frame
from lskd_nmt.report.page.parts import Drawing, Folded, Part, table
from lskd_nmt.report.page.seeds import by_setting
from lskd_nmt.report.page.sources import Analysis
from lskd_nmt.report.results.analyses import (
    Bins,
    Bucket,
    Calibration,
    CalibrationLevel,
    Confidence,
    ConfidentModel,
    Estimate,
    Histogram,
)
from lskd_nmt.storage.typed import Json

# a level of a calibration -> what was measured there, in words
LEVELS = {"token": "tokens", "word": "words", "token_all": "tokens, those that TER aligns to nothing counted as wrong"}
BUCKETS = {"all": "all tokens", "frequency": "by the target's frequency in train", "position": "by position"}


def calibration(mine: Sequence[Analysis]) -> list[Part]:
    """For each level and kind of decoding: reliability diagrams and a table, a panel and a row for each setting.

    Seeds are averaged; each of them is a thin line in the panel, and has a row of its own behind a click.
    """
    found = {each.title: each.read(Calibration) for each in mine}
    parts: list[Part] = []
    for decoding in sorted({content.decoding for content in found.values()}, reverse=True):  # teacher-forced first
        models = {name: content for name, content in found.items() if content.decoding == decoding}
        prefix = f"calibration-{'own' if decoding == 'own output' else 'forced'}"
        for level, words in LEVELS.items():
            known = {name: each for name, content in models.items() if (each := getattr(content, level)) is not None}
            if known:
                rows = {name: numbers(name, each, models[name], level == "token") for name, each in known.items()}
                title = f"Calibration, {decoding}, {words}"
                parts += [diagram(f"{prefix}-{level}", title, known), *rows_of(f"{prefix}-{level}", title, rows)]
        histograms = {name: content.entropy_histogram for name, content in models.items()}
        parts.append(histogram(f"{prefix}-entropy", f"Entropy of the next token, {decoding}", histograms))
    return parts


def numbers(name: str, level: CalibrationLevel, content: Calibration, is_of_tokens: bool) -> Row:
    """A model's row; that of tokens has the temperature that was fitted on them."""
    fitted = {"T*": content.temperature.value} if is_of_tokens and content.temperature else {}
    return {"model": name, "measured": level.units, **level.numbers, **fitted}


def rows_of(name: str, title: str, rows: Mapping[str, Row]) -> list[Part]:
    """The table of all settings, and behind a click that of all seeds where there are several."""
    settings = by_setting(rows)
    if len(settings) == len(rows):
        return [table(name, title, frame(list(rows.values())))]
    notes = ["the mean over seeds (the smallest–the largest of them); of one seed alone its 95 % interval"]
    means = [over_seeds(setting, list(seeds.values())) for setting, seeds in settings.items()]
    every = table(f"{name}-seeds", f"{title}: each seed", frame(list(rows.values())))
    return [
        table(name, f"{title}: mean over seeds", frame(means), notes=notes),
        Folded(f"{name}-folded", f"Each of the {len(rows)} models", [every]),
    ]


def over_seeds(setting: str, rows: Sequence[Row]) -> Row:
    """A setting's row: of each number the mean over its seeds, with the smallest and the largest."""
    found: dict[str, Estimate | Json] = {"model": setting, "seeds": len(rows)}
    for key in dict.fromkeys(key for row in rows for key in row if key != "model"):
        values = [row.get(key) for row in rows]
        known = [each.value if isinstance(each, Estimate) else each for each in values if each is not None]
        if len(rows) == 1:
            found[key] = values[0]
        elif known:
            found[key] = spread([each for each in known if isinstance(each, int | float)])
    return found


def spread(values: Sequence[float]) -> str:
    """`0.062 (0.058–0.066)`: the mean, the smallest and the largest; of equal values one."""
    mean, low, high = (f"{each:{DIGITS}}" for each in (statistics.fmean(values), min(values), max(values)))
    if all(isinstance(each, int) for each in values):
        mean, low, high = (f"{round(each)}" for each in (statistics.fmean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low}–{high})"


def diagram(name: str, title: str, models: Mapping[str, CalibrationLevel]) -> Drawing:
    """The reliability of each setting, in the first bins that it has: of all its seeds together, and of each."""
    found: dict[str, list[Bins]] = {}
    for setting, seeds in by_setting(models).items():
        first = next(iter(next(iter(seeds.values())).reliability))
        errors = [error.value for level in seeds.values() if (error := level.numbers.get(first)) is not None]
        value = f" {statistics.fmean(errors):.3f}" if errors else ""
        bins = [level.reliability[first] for level in seeds.values() if first in level.reliability]
        found[f"{setting}, {first.upper().replace('_', '-')}{value}"] = bins
    text = f"A panel for each setting: {'; '.join(found)}. The numbers are those of the table after it."
    return Drawing(f"{name}-reliability", f"Reliability: {title}", text, reliability.diagrams(found))


def histogram(name: str, title: str, found: Mapping[str, Histogram]) -> Drawing:
    """How entropy is distributed over tokens: a line for each setting, and thin ones for its seeds."""
    settings = {setting: list(seeds.values()) for setting, seeds in by_setting(found).items()}
    text = f"A line for each setting, {', '.join(settings)}: the share of tokens by entropy in nats."
    return Drawing(name, title, text, reliability.histograms(settings))


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
