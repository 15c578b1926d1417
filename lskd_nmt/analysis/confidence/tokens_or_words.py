"""What calibration is measured of: tokens or words, how sure the model was of each, and whether it was right.

N tokens or words, in the sentences' order; V symbols.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lskd_nmt.analysis.confidence import calibration
from lskd_nmt.analysis.features.folder import Features
from lskd_nmt.analysis.features.ter_alignment import END, RIGHT, SUBSTITUTED
from lskd_nmt.storage.arrays import Float64s, Ids, Mask, Rows

END_SYMBOL = "</s>"
BEGINS_WORD = "▁"  # sentencepiece marks the first piece of a word with it
CONTINUES = "@@"  # subword-nmt ends a piece with it, unless it is the last of its word


@dataclass(frozen=True)
class Confidences:
    """How sure a model was of N tokens or words.   (N,) each"""

    confidence: Float64s  # its probability of what it held most probable
    right: Mask  # whether that was the reference's
    sentence: Ids
    means: Mapping[str, Float64s]  # what else is averaged, by name


def tokens(features: Features) -> Confidences:
    """The target tokens."""
    probability = np.exp(features.target_log_prob.astype(np.float64))
    means = {
        "nll": -features.target_log_prob.astype(np.float64),
        "brier": calibration.brier(probability, features.sum_squares.astype(np.float64)),
        "entropy": features.entropy.astype(np.float64),
        "target_probability": probability,
    }
    confidence = np.exp(features.top_log_prob.astype(np.float64))
    return Confidences(confidence, features.top == features.target, features.sentence, means)


def words(features: Features) -> Confidences:
    """Words: confidence is the product of the pieces' confidences; a word is right if all its pieces are."""
    starts = word_starts(features.symbols, features.target, features.position)
    top, target = (
        np.add.reduceat(each.astype(np.float64), starts) for each in (features.top_log_prob, features.target_log_prob)
    )
    right = np.logical_and.reduceat(features.top == features.target, starts)
    means = {"nll": -target, "target_probability": np.exp(target)}
    return Confidences(np.exp(top), right, features.sentence[starts], means)


def word_starts(symbols: Sequence[str], target: Ids, position: Ids) -> Rows:
    """The tokens that begin a word; the end symbol is a word of its own.   V, (N,) ids, (N,) from 0 -> rows

    Words are those of sentencepiece if symbols begin with ▁, of subword-nmt if more end with @@ (text may hold either
    sign); otherwise every token is a word.
    """
    ends = np.array([symbol == END_SYMBOL for symbol in symbols])[target]
    first = np.array([symbol.startswith(BEGINS_WORD) for symbol in symbols])
    inside = np.array([symbol.endswith(CONTINUES) for symbol in symbols])
    begins = first[target] if first.sum() > inside.sum() else np.concatenate([[True], ~inside[target][:-1]])
    return np.flatnonzero(begins | ends | (position == 0))


def own_tokens(features: Features, *, unaligned: bool) -> Confidences:
    """The tokens of the model's own translations (Wang et al. 2020), without the end symbol.

    Confidence is a token's probability; it is right if TER aligns it to an equal token of the reference. Tokens that
    TER aligns to nothing count as wrong if `unaligned`, and are left out otherwise.
    """
    assert features.edit is not None, "see `levels`"
    kept = features.edit != END if unaligned else np.isin(features.edit, (RIGHT, SUBSTITUTED))
    means = {"entropy": features.entropy[kept].astype(np.float64)}
    confidence = np.exp(features.target_log_prob[kept].astype(np.float64))
    return Confidences(confidence, features.edit[kept] == RIGHT, features.sentence[kept], means)


def levels(features: Features) -> dict[str, Confidences]:
    """What is measured of a folder: tokens and words, or tokens of the model's own translations in both ways."""
    if features.edit is None:
        return {"token": tokens(features), "word": words(features)}
    return {"token": own_tokens(features, unaligned=False), "token_all": own_tokens(features, unaligned=True)}
