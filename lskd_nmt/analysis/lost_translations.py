"""Sentences that a teacher translates well and its student does not: how many, of what kind, and which. S sentences."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt.analysis.intervals import resampled, with_interval
from lskd_nmt.errors import require
from lskd_nmt.evaluate.scoring import sentence_bleu

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")
BEGINNING = re.compile(r"[.!?:;…]|[\"„“”«»(]$")  # between two words, where the second may begin a sentence
LENGTHS = (0, 8, 12, 16, 24)  # reference words, each the start of a bucket
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


def words(line: str) -> list[str]:
    """Its words, without punctuation around them."""
    return WORD.findall(line)


def has_digit(word: str) -> bool:
    """Whether it is a number, or part of it is."""
    return any(sign.isdigit() for sign in word)


def word_counts(lines: Sequence[str]) -> Counter[str]:
    """How often each word stands in these lines."""
    return Counter(word for line in lines for word in words(line))


def capitalised(line: str) -> set[str]:
    """Words of two letters or more with a capital, not at the beginning of a sentence."""
    found = list(WORD.finditer(line))
    return {
        after[0]
        for before, after in pairwise(found)
        if after[0][0].isupper() and len(after[0]) > 1 and not BEGINNING.search(line[before.end() : after.start()])
    }


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


def length_buckets(reference: Sequence[str]) -> dict[str, Mask]:
    """Sentences by their reference's words."""
    sizes = np.array([len(words(line)) for line in reference])
    found = {f"{low} to {high - 1} words": (sizes >= low) & (sizes < high) for low, high in pairwise(LENGTHS)}
    return {**found, f"{LENGTHS[-1]} words or more": sizes >= LENGTHS[-1]}


def sentence_scores(
    lines: Sequence[str], reference: Sequence[str], lang: str = "en", tokenize: str | None = None
) -> dict[str, Matrix]:
    """sacreBLEU's sentence chrF and sentence BLEU (effective order).   -> (S,) each"""
    metrics = {"chrf": CHRF(), "bleu": sentence_bleu(lang, tokenize)}
    return {
        name: np.array([metric.sentence_score(line, [ref]).score for line, ref in zip(lines, reference, strict=True)])
        for name, metric in metrics.items()
    }


def comparison(texts: Texts, rules: Rules) -> dict[str, Any]:
    """Which sentences the teacher gets right and the student wrong, by kind; and the reverse, for scale."""
    sizes = {
        name: len(lines)
        for name, lines in vars(texts).items()
        if name not in ("reference", "frequency") and lines is not None
    }
    other = [f"{name} {size}" for name, size in sizes.items() if size != len(texts.reference)]
    require(not other, f"reference has {len(texts.reference)} lines, {', '.join(other)}: give lines of one test set")
    require(bool(texts.reference), "the reference is empty: give a test set")
    scores = {
        name: sentence_scores(getattr(texts, name), texts.reference, rules.lang, rules.tokenize)
        for name in ("teacher", "student")
    }
    special = special_words(texts, rules)
    buckets = {"all": np.ones(len(texts.reference), dtype=bool), **length_buckets(texts.reference)}
    for kind, found in special.items():
        buckets |= {
            f"with {kind}": np.array([bool(each) for each in found]),
            f"without {kind}": np.array([not each for each in found]),
        }
    return {
        "sentences": len(texts.reference),
        "groups": groups(scores, buckets, rules),
        "words": {kind: recall(found, texts) for kind, found in special.items()},
        "examples": examples(texts, scores, special, rules),
    }


def groups(scores: Mapping[str, Mapping[str, Matrix]], buckets: Mapping[str, Mask], rules: Rules) -> dict[str, Any]:
    """Of each group: its size, mean chrF and BLEU of both, the difference in chrF with interval, and who is right."""
    teacher, student = scores["teacher"]["chrf"], scores["student"]["chrf"]
    found = {}
    for name, mask in buckets.items():
        if mask.any():
            means = {
                metric: {who: float(scores[who][metric][mask].mean()) for who in scores} for metric in ("chrf", "bleu")
            }
            found[name] = {
                "sentences": int(mask.sum()),
                **means,
                "difference": interval((teacher - student)[mask]),
                "teacher_right_student_wrong": right_and_wrong(teacher[mask], student[mask], rules),
                "student_right_teacher_wrong": right_and_wrong(student[mask], teacher[mask], rules),
            }
    return found


def right_and_wrong(one: Matrix, other: Matrix, rules: Rules) -> int:
    """How many sentences the one gets right and the other wrong."""
    return int(np.count_nonzero(is_worse(one, other, rules)))


def is_worse(one: Matrix, other: Matrix, rules: Rules) -> Mask:
    """Where the one is right and the other wrong.   (S,), (S,) -> (S,)"""
    return np.asarray((one >= rules.right) & (other < rules.right) & (one - other >= rules.margin))


def interval(values: Matrix) -> dict[str, float | None]:
    """The mean and, of 20 sentences or more, its 95 % interval over sentences, drawn with replacement.   (S,)"""
    if len(values) < FEW:
        return {"value": float(values.mean()), "low": None, "high": None}
    return {**with_interval(values.mean(), resampled(values[:, None])[:, 0] / len(values))}


def recall(special: Sequence[set[str]], texts: Texts) -> dict[str, int]:
    """How many of the reference's words of a kind each system writes in the same sentence."""
    systems = {"teacher": texts.teacher, "student": texts.student}
    there = {
        who: sum(len(wanted & set(words(line))) for wanted, line in zip(special, lines, strict=True))
        for who, lines in systems.items()
    }
    return {"reference": sum(map(len, special)), **there}


def examples(
    texts: Texts,
    scores: Mapping[str, Mapping[str, Matrix]],
    special: Mapping[str, Sequence[set[str]]],
    rules: Rules,
) -> list[dict[str, Any]]:
    """The sentences that the teacher gets right and the student wrong, the largest difference in chrF first."""
    teacher, student = scores["teacher"]["chrf"], scores["student"]["chrf"]
    chosen = np.flatnonzero(is_worse(teacher, student, rules))
    order = chosen[np.argsort(student[chosen] - teacher[chosen], kind="stable")][: rules.examples]
    return [
        {
            "row": int(row),
            "source": None if texts.source is None else texts.source[row],
            "reference": texts.reference[row],
            "teacher": texts.teacher[row],
            "student": texts.student[row],
            "chrf": {who: round(float(scores[who]["chrf"][row]), 1) for who in scores},
            "bleu": {who: round(float(scores[who]["bleu"][row]), 1) for who in scores},
            **{kind.replace(" ", "_"): sorted(found[row]) for kind, found in special.items()},
        }
        for row in order
    ]
