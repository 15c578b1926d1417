"""Sentences that a teacher translates well and its student does not: how many, of what kind, and which.

S sentences of a test set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt.analysis.intervals import Interval, resampled, with_interval
from lskd_nmt.errors import require
from lskd_nmt.evaluate.scoring import sentence_bleu
from lskd_nmt.evaluate.words import capitalised, has_digit, words
from lskd_nmt.storage.arrays import Float64s, Mask
from lskd_nmt.storage.typed import absent, record

Scores = Mapping[str, Mapping[str, Float64s]]  # by system (teacher, student) and metric (chrf, bleu), (S,) each

LENGTHS = (0, 8, 12, 16, 24)  # reference words, each the start of a range
FEW = 20  # sentences: fewer give no interval


@dataclass(frozen=True)
class Texts:
    """Lines of a test set and of two systems' translations; `frequency` counts the words of the training targets."""

    reference: Sequence[str]
    teacher: Sequence[str]
    student: Sequence[str]
    source: Sequence[str] | None = None
    frequency: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Rules:
    """When a translation is right, and what a rare word is."""

    right: float = 60.0  # sentence chrF, at least; wrong is what is below it,
    margin: float = 20.0  # and so many points below the right one or more
    rare: int = 5  # occurrences in the training targets, at most
    copied_names: bool = True  # a name is written alike in the source
    examples: int = 20
    lang: str = "en"  # of the translations, for BLEU
    tokenize: str | None = None  # of BLEU, instead of the language's own


@record
class SentenceGroup:
    """One group of sentences: mean scores by system, and how often one system is right where the other is wrong."""

    sentences: int
    chrf: dict[str, float]
    bleu: dict[str, float]
    difference: Interval  # in chrF, the teacher's less the student's
    teacher_right_student_wrong: int
    student_right_teacher_wrong: int


@record
class Example:
    """A sentence that the teacher gets right and the student wrong; scores by system."""

    row: int
    source: str | None
    reference: str
    teacher: str
    student: str
    chrf: dict[str, float]
    bleu: dict[str, float]
    numbers: list[str] | None = absent()  # the reference's words of each kind that is looked for
    rare_words: list[str] | None = absent()
    names: list[str] | None = absent()


@record
class Comparison:
    """Which sentences the teacher gets right and the student wrong, and the reverse for scale."""

    sentences: int
    groups: dict[str, SentenceGroup]
    words: dict[str, dict[str, int]]  # of each kind, how many the reference has and each system writes
    examples: list[Example]


def special_words(texts: Texts, rules: Rules) -> dict[str, list[set[str]]]:
    """For each kind, the reference's words of that kind in each sentence."""
    lines = [set(words(line)) for line in texts.reference]
    found = {"numbers": [set(filter(has_digit, line)) for line in lines]}
    if texts.frequency is not None:
        seen = texts.frequency
        found["rare words"] = [
            {word for word in line if seen.get(word, 0) <= rules.rare and not has_digit(word)} for line in lines
        ]
    if not rules.copied_names:
        found["names"] = [capitalised(line) for line in texts.reference]
    elif texts.source is not None:
        found["names"] = [
            capitalised(line) & capitalised(source) for line, source in zip(texts.reference, texts.source, strict=True)
        ]
    return found


def length_groups(reference: Sequence[str]) -> dict[str, Mask]:
    """The sentences of each range of reference words."""
    sizes = np.array([len(words(line)) for line in reference])
    found = {f"{low} to {high - 1} words": (sizes >= low) & (sizes < high) for low, high in pairwise(LENGTHS)}
    return {**found, f"{LENGTHS[-1]} words or more": sizes >= LENGTHS[-1]}


def sentence_scores(
    lines: Sequence[str], reference: Sequence[str], lang: str = "en", tokenize: str | None = None
) -> dict[str, Float64s]:
    """sacreBLEU's sentence chrF and sentence BLEU (effective order).   -> (S,) each"""
    metrics = {"chrf": CHRF(), "bleu": sentence_bleu(lang, tokenize)}
    return {
        name: np.array([metric.sentence_score(line, [ref]).score for line, ref in zip(lines, reference, strict=True)])
        for name, metric in metrics.items()
    }


def comparison(texts: Texts, rules: Rules) -> Comparison:
    """Which sentences the teacher gets right and the student wrong, by kind; and the reverse, for scale."""
    require_equal_lengths(texts)
    scores = {
        name: sentence_scores(getattr(texts, name), texts.reference, rules.lang, rules.tokenize)
        for name in ("teacher", "student")
    }
    special = special_words(texts, rules)
    masks = {"all": np.ones(len(texts.reference), dtype=bool), **length_groups(texts.reference)}
    for kind, found in special.items():
        masks |= {
            f"with {kind}": np.array([bool(each) for each in found]),
            f"without {kind}": np.array([not each for each in found]),
        }
    return Comparison(
        len(texts.reference),
        {name: sentence_group(scores, mask, rules) for name, mask in masks.items() if mask.any()},
        {kind: recall(found, texts) for kind, found in special.items()},
        examples(texts, scores, special, rules),
    )


def require_equal_lengths(texts: Texts) -> None:
    """Refuse texts of other numbers of lines, and empty ones."""
    sizes = {
        name: len(lines)
        for name, lines in vars(texts).items()
        if name not in ("reference", "frequency") and lines is not None
    }
    other = [f"{name} {size}" for name, size in sizes.items() if size != len(texts.reference)]
    require(not other, f"reference has {len(texts.reference)} lines, {', '.join(other)}: give lines of one test set")
    require(bool(texts.reference), "the reference is empty: give a test set")


def sentence_group(scores: Scores, mask: Mask, rules: Rules) -> SentenceGroup:
    """The sentences of a group: its size, mean scores, the difference in chrF with interval, and who is right."""
    teacher, student = (scores[who]["chrf"][mask] for who in ("teacher", "student"))
    means = {metric: {who: float(scores[who][metric][mask].mean()) for who in scores} for metric in ("chrf", "bleu")}
    return SentenceGroup(
        int(mask.sum()),
        means["chrf"],
        means["bleu"],
        interval(teacher - student),
        right_and_wrong(teacher, student, rules),
        right_and_wrong(student, teacher, rules),
    )


def right_and_wrong(one: Float64s, other: Float64s, rules: Rules) -> int:
    """How many sentences the one gets right and the other wrong."""
    return int(np.count_nonzero(is_worse(one, other, rules)))


def is_worse(one: Float64s, other: Float64s, rules: Rules) -> Mask:
    """Where the one is right and the other wrong.   (S,), (S,) -> (S,)"""
    return np.asarray((one >= rules.right) & (other < rules.right) & (one - other >= rules.margin))


def interval(values: Float64s) -> Interval:
    """The mean and, of 20 sentences or more, its 95 % interval over sentences, drawn with replacement.   (S,)"""
    if len(values) < FEW:
        return Interval(float(values.mean()), None, None)
    return with_interval(float(values.mean()), resampled(values[:, None])[:, 0] / len(values))


def recall(special: Sequence[set[str]], texts: Texts) -> dict[str, int]:
    """How many of the reference's words of a kind each system writes in the same sentence."""
    systems = {"teacher": texts.teacher, "student": texts.student}
    there = {
        who: sum(len(wanted & set(words(line))) for wanted, line in zip(special, lines, strict=True))
        for who, lines in systems.items()
    }
    return {"reference": sum(map(len, special)), **there}


def examples(texts: Texts, scores: Scores, special: Mapping[str, Sequence[set[str]]], rules: Rules) -> list[Example]:
    """The sentences that the teacher gets right and the student wrong, the largest difference in chrF first."""
    teacher, student = scores["teacher"]["chrf"], scores["student"]["chrf"]
    chosen = np.flatnonzero(is_worse(teacher, student, rules))
    order = chosen[np.argsort(student[chosen] - teacher[chosen], kind="stable")][: rules.examples]
    return [
        Example(
            int(row),
            None if texts.source is None else texts.source[row],
            texts.reference[row],
            texts.teacher[row],
            texts.student[row],
            {who: round(float(scores[who]["chrf"][row]), 1) for who in scores},
            {who: round(float(scores[who]["bleu"][row]), 1) for who in scores},
            **{kind.replace(" ", "_"): sorted(found[row]) for kind, found in special.items()},
        )
        for row in order
    ]
