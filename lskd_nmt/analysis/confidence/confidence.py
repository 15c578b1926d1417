"""How sure several models are of the same tokens, against one of them, by frequency and position; and whom they follow.

Sultan's comparison (EMNLP 2023) for translation. M models of the same N tokens; all differences are paired.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.analysis import intervals
from lskd_nmt.analysis.confidence.buckets import FREQUENCY, POSITION, buckets, names
from lskd_nmt.analysis.features import sentence_spans
from lskd_nmt.analysis.features.distribution import Model, entropy_histogram, kl
from lskd_nmt.analysis.features.folder import Features, described, require_comparable
from lskd_nmt.errors import require
from lskd_nmt.evaluate.bootstrap import SEED

Array = NDArray[np.float64]

EQUATIONS = {
    "entropy": "mean of −Σ_v q_v · log q_v, nats",
    "confidence": "mean of max_v q_v",
    "target_probability": "mean of q(y)",
    "accuracy": "share of tokens with argmax q = y",
    "nll": "mean of −log q(y), nats",
    "top_1": "share of tokens with argmax q = argmax p, p the teacher",
    "kl": "mean of Σ_v p_v · (log p_v − log q_v), nats",
}


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
) -> dict[str, Any]:
    """All of it, as JSON."""
    for flag, name in (("--baseline", settings.baseline), ("--teacher", settings.teacher)):
        require(name is None or name in models, f"{flag} is {name}: one of {', '.join(models)}")
    require_comparable(models)
    base = models[settings.baseline]
    partitions = {
        "all": (np.zeros(base.tokens, dtype=np.intp), ["all"]),
        "position": (buckets(base.position, POSITION), names(POSITION)),
    }
    if base.counts is not None:
        partitions["frequency"] = buckets(base.counts[base.target], FREQUENCY), names(FREQUENCY)
    compared: dict[str, dict[str, Any]] = {name: {"features": described(each)} for name, each in models.items()}
    for partition, (bucket, labels) in partitions.items():
        sums = {name: bucket_sums(each, bucket, len(labels)) for name, each in models.items()}
        for name, rows in compare(sums, settings.baseline, labels).items():
            compared[name][partition] = rows
    for name, features in models.items():
        show(f"{name}: {features.tokens:,} tokens compared")
        compared[name]["entropy_histogram"] = entropy_histogram(features.entropy, len(features.projection))
        if settings.teacher not in (None, name):
            compared[name]["agreement"] = agreement(models[settings.teacher], features, settings)
    return {
        "analysis": "confidence",
        "decoding": "teacher-forced",
        "equations": EQUATIONS,
        "settings": {**asdict(settings), "resamples": intervals.RESAMPLES, "bootstrap_seed": SEED},
        "models": compared,
    }


def values(features: Features) -> dict[str, Array]:
    """What is averaged over tokens.   -> (N,) each"""
    return {
        "entropy": features.entropy.astype(np.float64),
        "confidence": np.exp(features.top_log_prob.astype(np.float64)),
        "target_probability": np.exp(features.target_log_prob.astype(np.float64)),
        "accuracy": (features.top == features.target).astype(np.float64),
        "nll": -features.target_log_prob.astype(np.float64),
    }


def bucket_sums(features: Features, bucket: NDArray[np.intp], size: int) -> Array:
    """Counts and summed values of each sentence's tokens in each bucket.   -> (S, B, 1 + K)"""
    columns = np.stack([np.ones(features.tokens), *values(features).values()], axis=1)
    parts = [sentence_spans.by_sentence(features.sentence, columns * (bucket == b)[:, None]) for b in range(size)]
    return np.stack(parts, axis=1)


def compare(sums: Mapping[str, Array], baseline: str, labels: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Each model's means in each bucket that has tokens, with what they are more than the baseline's, and intervals."""
    keys = list(EQUATIONS)[: sums[baseline].shape[2] - 1]

    def means(total: Array) -> Array:
        """(…, B · (1 + K)) -> (…, B, K)"""
        table = total.reshape(*total.shape[:-1], len(labels), -1)
        with np.errstate(invalid="ignore"):
            return np.asarray(table[..., 1:] / table[..., :1])

    together = np.concatenate([each.reshape(len(each), -1) for each in sums.values()], axis=1)  # drawn alike
    drawn = np.split(intervals.resampled(together), len(sums), axis=1)
    found = {
        name: (means(each.reshape(len(each), -1).sum(0)), means(draws))
        for (name, each), draws in zip(sums.items(), drawn, strict=True)
    }
    base_value, base_draws = found[baseline]
    result: dict[str, list[dict[str, Any]]] = {}
    for name, (value, draws) in found.items():
        counts = sums[name][:, :, 0].sum(0)
        result[name] = []
        for b in np.flatnonzero(counts):
            row: dict[str, Any] = {"bucket": labels[b], "tokens": int(counts[b])}
            for k, key in enumerate(keys):
                row[key] = intervals.with_interval(value[b, k], draws[:, b, k])
                if name != baseline:
                    more = value[b, k] - base_value[b, k], draws[:, b, k] - base_draws[:, b, k]
                    row[key]["difference"] = intervals.with_interval(*more)
            result[name].append(row)
    return result


def agreement(teacher: Features, student: Features, settings: ConfidenceSettings) -> dict[str, Any]:
    """How often both hold the same symbol most probable, and how far the student's q is from the teacher's p."""
    rows = sentence_spans.rows_of(
        student.sentence, sentence_spans.drawn(student.sentence, settings.tokens, settings.seed)
    )
    divergence = kl(*(Model(each.state[rows], each.projection, each.bias) for each in (teacher, student)))
    same = (teacher.top == student.top).astype(np.float64)
    result: dict[str, Any] = {"divergence_tokens": len(rows)}
    for name, each, sentence in (("top_1", same, student.sentence), ("kl", divergence, student.sentence[rows])):
        sums = sentence_spans.by_sentence(sentence, np.stack([np.ones(len(each)), each], axis=1))
        draws = intervals.resampled(sums)
        result[name] = intervals.with_interval(each.mean(), draws[:, 1] / draws[:, 0])
    return result
