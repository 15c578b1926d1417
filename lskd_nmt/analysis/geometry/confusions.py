"""Which words a teacher takes for which. N tokens, D width of states, V symbols, K classes, n tokens of a chunk."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lskd_nmt.analysis.features.folder import Features
from lskd_nmt.analysis.geometry import word_classes
from lskd_nmt.analysis.geometry.word_classes import ClassRows
from lskd_nmt.errors import require
from lskd_nmt.storage.arrays import Float64s, Floats, Ids, Rows

CHUNK = 16384  # tokens at a time, which bounds the memory


class Triple(NamedTuple):
    """Two classes that are confused with each other and one that is with neither, by their place among the classes."""

    one: int
    other: int
    distant: int


def mean_probabilities(
    state: Floats,
    target_log_prob: Floats,
    projection: Floats,
    bias: Floats | None,
    classes: Sequence[int],
    rows: ClassRows,
) -> Float64s:
    """P[i, j], the mean probability of class j where class i is the target.   (N, D), (N,), (V, D) -> (K, K)

    log p(j) = z_j − z_y + log p(y) with y the target: exact over the whole vocabulary, from K logits a token.
    """
    weight = np.asarray(projection[classes], dtype=np.float32)
    offset = np.zeros(len(classes), np.float32) if bias is None else np.asarray(bias[classes], dtype=np.float32)
    mean = np.empty((len(classes), len(classes)))
    for place, mine in enumerate(rows):
        total = np.zeros(len(classes))
        for some in chunks(mine):
            logits = np.asarray(state[some], dtype=np.float32) @ weight.T + offset  # (n, K)
            log_probs = logits - logits[:, [place]] + np.asarray(target_log_prob[some])[:, None]
            total += np.exp(np.minimum(log_probs, 0.0), dtype=np.float64).sum(0)
        mean[place] = total / len(mine)
    return mean


def top_rates(top: Ids, classes: Sequence[int], rows: ClassRows) -> Float64s:
    """How often class j is the most probable symbol where class i is the target.   (N,) -> (K, K)"""
    return np.array([[np.count_nonzero(top[mine] == j) / len(mine) for j in classes] for mine in rows])


def mutual(probabilities: Float64s) -> Float64s:
    """(P[i, j] + P[j, i]) / 2, the confusion of two classes.   (K, K) -> (K, K)"""
    return (probabilities + probabilities.T) / 2


def triples(confusion: Float64s, count: int) -> list[Triple]:
    """The most confused pairs that share no class, each with the class that is confused least with either.

    Equal values: the class that comes first.   (K, K), symmetric
    """
    size = len(confusion)
    require(size >= 3, f"three classes make a plane, there are {size}: lower --minimum or take more tokens")
    one, other = np.triu_indices(size, 1)
    found: list[Triple] = []
    for pair in np.argsort(-confusion[one, other], kind="stable"):
        a, b = int(one[pair]), int(other[pair])
        if len(found) < count and not {a, b} & {c for triple in found for c in triple[:2]}:
            farness = np.maximum(confusion[a], confusion[b])
            farness[[a, b]] = np.inf
            found.append(Triple(a, b, int(farness.argmin())))
    return found


def chunks(rows: Rows) -> Iterator[Rows]:
    """Rows in parts that fit in memory."""
    yield from (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def confusion_of(teacher: Features, ids: Sequence[int], rows: ClassRows) -> tuple[Float64s, Float64s]:
    """The teacher's mean probabilities between classes, and how often each is its top.   (K, K), (K, K)"""
    probabilities = mean_probabilities(
        teacher.state, teacher.target_log_prob, teacher.projection, teacher.bias, ids, rows
    )
    word_classes.forget(teacher.state)
    return probabilities, top_rates(teacher.top, ids, rows)
