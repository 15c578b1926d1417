"""How sure several models are of the same tokens, against one of them, by frequency and position; and whom they follow.

The comparison of Sultan (EMNLP 2023), for translation. All models are of the same N tokens of S sentences, and all
differences are paired. B ranges of frequency or position, K measures.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from lskd_nmt.analysis import intervals
from lskd_nmt.analysis.confidence.token_ranges import FREQUENCY, POSITION, names, range_of
from lskd_nmt.analysis.features import sentence_spans
from lskd_nmt.analysis.features.distribution import Histogram, Model, entropy_histogram, kl
from lskd_nmt.analysis.features.folder import Described, Features, described, require_comparable
from lskd_nmt.analysis.intervals import Interval
from lskd_nmt.errors import require
from lskd_nmt.evaluate.bootstrap import SEED
from lskd_nmt.storage.arrays import Float64s, Ids, Rows
from lskd_nmt.storage.typed import AnyFloat, Json, absent, record, to_json

EQUATIONS = {
    "entropy": "mean of −Σ_v q_v · log q_v, nats",
    "confidence": "mean of max_v q_v",
    "target_probability": "mean of q(y)",
    "accuracy": "share of tokens with argmax q = y",
    "nll": "mean of −log q(y), nats",
    "top_1": "share of tokens with argmax q = argmax p, p the teacher",
    "kl": "mean of Σ_v p_v · (log p_v − log q_v), nats",
}


@record
class Compared:
    """A mean with its interval, and what it is more than the baseline's."""

    value: AnyFloat
    low: AnyFloat
    high: AnyFloat
    difference: Interval | None = absent()


@record
class RangeMeans:
    """The means over the tokens of a range, by the measures of `EQUATIONS`."""

    bucket: str  # the range in words
    tokens: int
    entropy: Compared
    confidence: Compared
    target_probability: Compared
    accuracy: Compared
    nll: Compared


@record
class Agreement:
    """How far a model is from the teacher."""

    divergence_tokens: int
    top_1: Interval
    kl: Interval


@record
class ComparedModel:
    """One model: its means over all tokens and over those of each range."""

    features: Described
    all: list[RangeMeans]
    position: list[RangeMeans]
    frequency: list[RangeMeans] | None = absent()  # where the frequencies of train are known
    entropy_histogram: Histogram = field(kw_only=True)
    agreement: Agreement | None = absent()


@record
class ConfidenceComparison:
    """What `lskd confidence` writes."""

    analysis: str
    decoding: str
    equations: dict[str, str]
    settings: dict[str, Json]
    models: dict[str, ComparedModel]


@dataclass(frozen=True)
class ConfidenceSettings:
    """What is compared with what."""

    baseline: str
    teacher: str | None = None
    tokens: int = 20_000  # of the divergence from the teacher
    seed: int = 1  # of their draw

    def __post_init__(self) -> None:
        require(self.tokens > 0, f"--divergence-tokens is {self.tokens}: give a number above 0")
        require(self.seed >= 0, f"--seed is {self.seed}: give a whole number from 0")


def confidence(
    models: Mapping[str, Features], settings: ConfidenceSettings, show: Callable[[str], None]
) -> ConfidenceComparison:
    """Everything that is compared."""
    for flag, name in (("--baseline", settings.baseline), ("--teacher", settings.teacher)):
        require(name is None or name in models, f"{flag} is {name}: one of {', '.join(models)}")
    require_comparable(models)
    ranges = ranges_of(models[settings.baseline])
    means = {
        partition: compare(
            {name: range_sums(each, numbers, len(labels)) for name, each in models.items()}, settings.baseline, labels
        )
        for partition, (numbers, labels) in ranges.items()
    }
    teacher = models[settings.teacher] if settings.teacher is not None else None
    compared = {}
    for name, features in models.items():
        show(f"{name}: {features.tokens:,} tokens compared")
        compared[name] = ComparedModel(
            described(features),
            **{partition: of[name] for partition, of in means.items()},
            entropy_histogram=entropy_histogram(features.entropy, len(features.projection)),
            agreement=None if teacher is None or settings.teacher == name else agreement(teacher, features, settings),
        )
    shown = {**to_json(asdict(settings)), "resamples": intervals.RESAMPLES, "bootstrap_seed": SEED}
    return ConfidenceComparison("confidence", "teacher-forced", EQUATIONS, shown, compared)


def ranges_of(features: Features) -> dict[str, tuple[Rows, list[str]]]:
    """For each partition of the tokens the number of each token's range, (N,), and the names of the ranges."""
    found = {
        "all": (np.zeros(features.tokens, dtype=np.intp), ["all"]),
        "position": (range_of(features.position, POSITION), names(POSITION)),
    }
    if features.counts is not None:
        found["frequency"] = range_of(features.counts[features.target], FREQUENCY), names(FREQUENCY)
    return found


def values(features: Features) -> dict[str, Float64s]:
    """What is averaged over tokens, in the order of `EQUATIONS`.   -> (N,) each"""
    return {
        "entropy": features.entropy.astype(np.float64),
        "confidence": np.exp(features.top_log_prob.astype(np.float64)),
        "target_probability": np.exp(features.target_log_prob.astype(np.float64)),
        "accuracy": (features.top == features.target).astype(np.float64),
        "nll": -features.target_log_prob.astype(np.float64),
    }


def range_sums(features: Features, numbers: Rows, size: int) -> Float64s:
    """Counts and summed values of each sentence's tokens in each range; `numbers`: see `ranges_of`. -> (S, B, 1 + K)"""
    columns = np.stack([np.ones(features.tokens), *values(features).values()], axis=1)
    parts = [sentence_spans.by_sentence(features.sentence, columns * (numbers == b)[:, None]) for b in range(size)]
    return np.stack(parts, axis=1)


def range_means(sums: Float64s, ranges: int) -> Float64s:
    """The means in each range, from counts and sums; NaN where there are no tokens.   (…, B · (1 + K)) -> (…, B, K)"""
    table = sums.reshape(*sums.shape[:-1], ranges, -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(table[..., 1:] / table[..., :1])


def compare(sums: Mapping[str, Float64s], baseline: str, labels: list[str]) -> dict[str, list[RangeMeans]]:
    """Each model's means in each range that has tokens, with what they are more than the baseline's, and intervals.

    `sums` are those of `range_sums`, by the models' names; `labels` name the ranges.
    """
    together = np.concatenate([each.reshape(len(each), -1) for each in sums.values()], axis=1)  # drawn alike
    drawn = np.split(intervals.resampled(together), len(sums), axis=1)
    found = {
        name: (range_means(each.reshape(len(each), -1).sum(0), len(labels)), range_means(draws, len(labels)))
        for (name, each), draws in zip(sums.items(), drawn, strict=True)
    }
    base_value, base_draws = found[baseline]

    def compared(name: str, b: int, k: int) -> Compared:
        value, draws = (each[..., b, k] for each in found[name])
        own, difference = intervals.with_interval(float(value), draws), None
        if name != baseline:
            more = float(value - base_value[b, k]), draws - base_draws[:, b, k]
            difference = intervals.with_interval(*more)
        assert own.low is not None and own.high is not None
        return Compared(own.value, own.low, own.high, difference)

    keys = list(EQUATIONS)[: base_value.shape[1]]
    result: dict[str, list[RangeMeans]] = {}
    for name, each in sums.items():
        counts = each[:, :, 0].sum(0)
        result[name] = [
            RangeMeans(labels[b], int(counts[b]), **{key: compared(name, b, k) for k, key in enumerate(keys)})
            for b in np.flatnonzero(counts).tolist()
        ]
    return result


def agreement(teacher: Features, student: Features, settings: ConfidenceSettings) -> Agreement:
    """How often both hold the same symbol most probable, and how far the student's q is from the teacher's p."""
    rows = sentence_spans.rows_of(
        student.sentence, sentence_spans.drawn(student.sentence, settings.tokens, settings.seed)
    )
    divergence = kl(*(Model(each.state[rows], each.projection, each.bias) for each in (teacher, student)))
    same = (teacher.top == student.top).astype(np.float64)

    def mean(each: Float64s, sentence: Ids) -> Interval:
        sums = sentence_spans.by_sentence(sentence, np.stack([np.ones(len(each)), each], axis=1))
        draws = intervals.resampled(sums)
        return intervals.with_interval(float(each.mean()), draws[:, 1] / draws[:, 0])

    return Agreement(len(rows), mean(same, student.sentence), mean(divergence, student.sentence[rows]))
