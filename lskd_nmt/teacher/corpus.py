"""What a teacher is asked about: the data's sentence pairs, once each, in an order that makes good batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lskd_nmt.teacher.pairs import pair_key


@dataclass(frozen=True)
class Entry:
    """A distinct sentence pair and where its data are."""

    key: int
    dataset: int
    index: int
    source_tokens: int
    target_tokens: int


def distinct_pairs(datasets: Sequence[Any], limits: tuple[int, int]) -> tuple[list[Entry], int]:
    """All pairs once, short ones first, and how many were left out because the teacher cannot take their length."""
    pairs: dict[int, Entry] = {}
    too_long = 0
    for number, dataset in enumerate(datasets):
        for index in range(len(dataset)):
            item = dataset[index]
            source, target = item["source"].numpy(), item["target"].numpy()
            if len(source) > limits[0] or len(target) > limits[1]:
                too_long += 1
                continue
            key = pair_key(source, target)
            pairs.setdefault(key, Entry(key, number, index, len(source), len(target)))
    return sorted(pairs.values(), key=lambda pair: (pair.target_tokens, pair.source_tokens, pair.key)), too_long


def batches(pairs: Sequence[Entry], max_tokens: int) -> Iterator[list[Entry]]:
    """Neighbours, as many as the token budget allows; at least one."""
    batch: list[Entry] = []
    longest = 0
    for pair in pairs:
        longest = max(longest, pair.source_tokens, pair.target_tokens)
        if batch and longest * (len(batch) + 1) > max_tokens:
            yield batch
            batch, longest = [], max(pair.source_tokens, pair.target_tokens)
        batch.append(pair)
    if batch:
        yield batch


def shard_slices(pairs: Sequence[Entry], size: int) -> Iterator[list[Entry]]:
    """Slices of `size` pairs."""
    rest = iter(pairs)
    while chunk := list(islice(rest, size)):
        yield chunk
