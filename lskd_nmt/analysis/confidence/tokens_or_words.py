"""What calibration is measured of: tokens or words, how sure the model was of each, and whether it was right."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.analysis.confidence import calibration
from lskd_nmt.analysis.features.folder import Features
from lskd_nmt.analysis.features.ter_alignment import END, RIGHT, SUBSTITUTED
from lskd_nmt.analysis.words import word_starts

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """Tokens or words, in the sentences' order.   (N,) each"""

    confidence: Array
    right: NDArray[np.bool_]
    sentence: NDArray[np.integer]
    means: Mapping[str, Array]  # what else is averaged


def tokens(features: Features) -> Units:
    """The target tokens."""
    probability = np.exp(features.target_log_prob.astype(np.float64))
    means = {
        "nll": -features.target_log_prob.astype(np.float64),
        "brier": calibration.brier(probability, features.sum_squares.astype(np.float64)),
        "entropy": features.entropy.astype(np.float64),
        "target_probability": probability,
    }
    confidence = np.exp(features.top_log_prob.astype(np.float64))
    return Units(confidence, features.top == features.target, features.sentence, means)


def words(features: Features) -> Units:
    """Words: confidence is the product of the pieces' confidences; right if all pieces are."""
    starts = word_starts(features.symbols, features.target, features.position)
    top, target = (
        np.add.reduceat(each.astype(np.float64), starts) for each in (features.top_log_prob, features.target_log_prob)
    )
    right = np.logical_and.reduceat(features.top == features.target, starts)
    return Units(np.exp(top), right, features.sentence[starts], {"nll": -target, "target_probability": np.exp(target)})


def own_tokens(features: Features, *, unaligned: bool) -> Units:
    """The tokens of the model's own output: confidence is their probability; right if TER aligns them to their equal.

    Tokens that TER aligns to nothing are left out, or wrong. The end symbol is left out.
    """
    assert features.edit is not None, "see `levels`"
    kept = features.edit != END if unaligned else np.isin(features.edit, (RIGHT, SUBSTITUTED))
    means = {"entropy": features.entropy[kept].astype(np.float64)}
    confidence = np.exp(features.target_log_prob[kept].astype(np.float64))
    return Units(confidence, features.edit[kept] == RIGHT, features.sentence[kept], means)


def levels(features: Features) -> dict[str, Units]:
    """What is measured."""
    if features.edit is None:
        return {"token": tokens(features), "word": words(features)}
    return {"token": own_tokens(features, unaligned=False), "token_all": own_tokens(features, unaligned=True)}
