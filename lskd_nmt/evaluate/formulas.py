"""The scores of a corpus from its summed statistics, many sums at once, as sacreBLEU computes them for one."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ORDERS = 4  # BLEU counts n-grams of up to so many words
BETA = 2  # chrF weighs recall so many times as much as precision


def bleu(sums: Array) -> Array:
    """Corpus BLEU in percent (Papineni et al. 2002), smoothed as sacreBLEU's `exp`.   (…, 10) -> (…)

    Statistics: length of translation and reference, matching n-grams of order 1 to 4, all n-grams of these orders.
    """
    length, reference_length = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    none = correct == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(none, 0.5 ** none.cumsum(-1), correct) / total
        brevity = np.exp(np.minimum(0, 1 - reference_length / length))
        score = 100 * brevity * np.exp(np.log(precisions).mean(-1))
    return np.where(correct.any(-1) & total.all(-1), score, 0.0)


def chrf(sums: Array) -> Array:
    """Corpus chrF2 in percent (Popović 2015), of the orders that both sides have.   (…, 18) -> (…)

    Statistics of each order from 1 to 6: character n-grams of the translation, of the reference, and matching ones.
    chrF2++ (Popović 2017) has word n-grams of order 1 and 2, too.   (…, 24) -> (…)
    """
    ours, theirs, matching = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)  # (…, 6) each
    counted = (ours > 0) & (theirs > 0)
    orders = np.maximum(counted.sum(-1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (np.where(counted, matching / side, 0).sum(-1) / orders for side in (ours, theirs))
        score = 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
    return np.where(precision + recall > 0, score, 0.0)


def ter(sums: Array) -> Array:
    """Corpus TER in percent (Snover et al. 2006): edits over the words of the references.   (…, 2) -> (…)

    Statistics: edits to the closest reference, and the mean length of the references. Of empty references TER is 100,
    or 0 if the translations are empty, too.
    """
    edits, length = sums[..., 0], sums[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = 100 * edits / length
    return np.where(length > 0, score, np.where(edits > 0, 100.0, 0.0))
