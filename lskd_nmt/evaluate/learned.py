"""Metrics that programs of the user's compute, in environments of their own: trained ones, such as COMET and MetricX.

A program is asked once of all models that lack its scores, through the protocol of `score_command`. What it answers is
kept for each sentence (`kept_statistics`), so that intervals, seeds and corrections are those of every other metric,
and no table ever runs it again. The signature of a score is what the program says of itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lskd_nmt.errors import require
from lskd_nmt.evaluate.answers_so_far import all_answers
from lskd_nmt.evaluate.formulas import Array
from lskd_nmt.evaluate.kept_statistics import Reading, about_of, key_of, place_of, read
from lskd_nmt.evaluate.metrics import METRICS, EvaluationSet, Statistics, described, detokenised_text
from lskd_nmt.evaluate.records import Score
from lskd_nmt.evaluate.score_command import item
from lskd_nmt.progress import Progress, Show
from lskd_nmt.storage.typed import Json

SILENT = "the program says nothing of itself"
DIGITS = 12  # of a hash in a signature
DIRECTION = "higher_is_better"  # the key of what a program says of itself that is no part of its signature


@dataclass(frozen=True)
class Asked:
    """One model's translations of an evaluation set, in a file beside which the scores are kept."""

    file: Path
    translations: Sequence[str]
    data: EvaluationSet


def scores_by_program(name: str, command: str, asked: Sequence[Asked], show: Show) -> list[Score]:
    """The score of each model by the metric of that name; the command is asked of those alone that lack it.

    No score is kept unless the command answers for every sentence; after a kill it is asked for the rest alone.
    """
    for each in asked:
        require_texts(name, each.data)
    lacking = [each for each in asked if kept(name, each) is None]
    if lacking:
        questions = [items(name, each) for each in lacking]
        distinct = {as_key(one): one for question in questions for one in question}
        progress = Progress(len(distinct), f"sentences scored by {name}", show)
        so_far = place_of(lacking[0].file, name).with_suffix(".jsonl")
        found = all_answers(command, distinct, f"metric_commands.{name}", so_far, progress)
        scores = dict(zip(distinct, found.scores, strict=True))
        for each, question in zip(lacking, questions, strict=True):
            values = np.array([scores[as_key(one)] for one in question])
            keep(name, each, np.stack([values, np.ones_like(values)], axis=1), found.about)
        so_far.unlink(missing_ok=True)
    return [score_of(name, each) for each in asked]


def require_texts(name: str, data: EvaluationSet) -> None:
    """Refuse a metric that reads sources or references where there are none."""
    entry = described(name)
    for is_needed, lines, what in (
        (entry.needs_source, data.sources, "source sentences"),
        (entry.needs_reference, data.references, "references"),
    ):
        require(
            not is_needed or bool(lines),
            f"the metric '{name}' needs the {what}, which are not there: give them, or score by another metric",
        )


def items(name: str, asked: Asked) -> list[dict[str, Json]]:
    """What a program is asked of one model's sentences: text without a tokeniser's traces."""
    data = asked.data
    change = detokenised_text(data).change
    streams = [change(stream) for stream in data.streams] if described(name).needs_reference else []
    sources: Sequence[str | None] = [None] * len(asked.translations)
    if data.sources is not None:
        its = EvaluationSet((), data.source_lang or data.lang, data.form)
        sources = detokenised_text(its).change(data.sources)
    rows = zip(change(asked.translations), sources, *streams, strict=True)
    return [item(translation, source, references) for translation, source, *references in rows]


def as_key(question: Mapping[str, Json]) -> str:
    """A question as text: what several models ask alike is asked once."""
    return json.dumps(dict(question), sort_keys=True)


def signature_of(name: str, about: Mapping[str, Json]) -> str:
    """The name and what the program says of itself: its own signature, then the other keys; hashes by their begin."""
    said = {key: value for key, value in about.items() if key not in ("signature", DIRECTION)}
    parts = [str(about["signature"])] if "signature" in about else []
    parts += [
        f"{key}:{value[:DIGITS] if isinstance(value, str) and is_hash(value) else value}" for key, value in said.items()
    ]
    scale = described(name).scale
    return "|".join([name, *(parts or [SILENT]), *([f"scale:{scale:g}"] if scale != 1 else [])]).replace("\n", " ")


def is_hash(text: str) -> bool:
    """Whether it is a hash in hexadecimal."""
    return len(text) >= 32 and set(text) <= set("0123456789abcdef")


def keep(name: str, asked: Asked, statistics: Array, about: Mapping[str, Json]) -> None:
    """Keep the sentences' scores and what the program said of itself."""
    reading = Reading(name, asked.data, signature_of(name, about))
    reading.keep(place_of(asked.file, name), asked.translations, statistics, about)


def kept(name: str, asked: Asked) -> Statistics | None:
    """The sentences' scores that are kept; None if they are not there or of another text.   -> (S, 2)"""
    place = place_of(asked.file, name)
    reading = Reading(name, asked.data, signature_of(name, about_of(place)))
    found = read(place, key_of(reading.facts, asked.translations))
    return found if found is not None and len(found) == len(asked.translations) else None


def score_of(name: str, asked: Asked) -> Score:
    """The score of a corpus whose sentences' scores are kept."""
    statistics, about = kept(name, asked), about_of(place_of(asked.file, name))
    assert statistics is not None, "sentences are scored first"
    reading = Reading(name, asked.data, signature_of(name, about))
    lower = about.get(DIRECTION) is False and name not in METRICS
    value = float(reading.score(statistics.sum(0)))
    return Score(round(value, 2), reading.signature, reading.by_one_line.text, lower_is_better=lower or None)
