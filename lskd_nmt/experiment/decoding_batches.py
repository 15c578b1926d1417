"""The test set as fairseq-generate batches it: how long a translation may be depends on the batch that it is in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lskd_nmt import fairseq_io


@dataclass(frozen=True)
class EvalText:
    """The binarised test set in subwords, and its lengths in subwords with their ends, (sentences,) each."""

    sources: list[list[str]]
    references: list[str]  # subwords, with spaces between
    source_lengths: NDArray[np.int64]
    target_lengths: NDArray[np.int64]


def read_text(folder: str, langs: tuple[str, str], symbols: tuple[Sequence[str], Sequence[str]]) -> EvalText:
    """The test set of a data folder; `symbols` are those of its dictionaries in index order, source and target."""
    sides = fairseq_io.split_ids(folder, "test", langs, (len(symbols[0]), len(symbols[1])))
    source, target = (
        [[known[i] for i in ids[:-1]] for ids in side] for side, known in zip(sides, symbols, strict=True)
    )
    lengths = [np.array([len(ids) for ids in side], np.int64) for side in sides]
    return EvalText(source, [" ".join(pieces) for pieces in target], *lengths)


def batches(text: EvalText, max_tokens: int) -> list[list[int]]:
    """The rows of each batch: sorted by their lengths, at most so many subwords a batch with the padding of both sides.

    As fairseq's `batch_by_size` makes them of a `LanguagePairDataset`, without a multiple of sentences.
    """
    longer = np.maximum(text.source_lengths, text.target_lengths)
    found: list[list[int]] = []
    longest = 0
    for row in np.lexsort((text.target_lengths, text.source_lengths)).tolist():
        longest = max(longest, int(longer[row]))
        if not found or longest * (len(found[-1]) + 1) > max_tokens:
            found.append([])
            longest = int(longer[row])
        found[-1].append(row)
    return found
