"""Tokens by the sentences that they stand in, which come one after the other.

N tokens of S sentences; of these, s sentences are drawn, which have n tokens.
"""

import numpy as np

from lskd_nmt.storage.arrays import Float64s, Ids, Rows


def by_sentence(sentence: Ids, values: Float64s) -> Float64s:
    """Sums over each sentence's tokens.   (N,), (N, …) -> (S, …)"""
    starts = np.flatnonzero(np.diff(sentence, prepend=-1 - int(sentence[0])))
    return np.asarray(np.add.reduceat(values, starts, axis=0))


def drawn(sentence: Ids, tokens: int, seed: int) -> Ids:
    """Sentences that the seed draws until they have so many tokens, in the order of the draw.   (N,) -> (s,)"""
    names, lengths = np.unique(sentence, return_counts=True)
    return np.asarray(names[within(lengths, tokens, seed)])


def within(lengths: Ids, tokens: int, seed: int) -> Rows:
    """Sentences of these lengths, drawn by the seed until they have so many tokens.   (S,) -> (s,)

    A larger budget has all sentences of a smaller one.
    """
    order = np.random.default_rng(seed).permutation(len(lengths))
    before = np.cumsum(lengths[order]) - lengths[order]
    return np.asarray(order[before < tokens])


def rows_of(sentence: Ids, names: Ids) -> Rows:
    """The rows of some sentences' tokens.   (N,), (s,) -> (n,)"""
    return np.flatnonzero(np.isin(sentence, names))
