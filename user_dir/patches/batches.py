"""Batches that fairseq would otherwise choose badly, or not at all.

It composes the batches once, with the random seed of the epoch it *starts* at: sentences of equal length fall into
other batches after a resume at epoch 5 than in a run that began at epoch 1. And a worker that has no batch left trains,
without weight, on the first batch of what was opened last: the validation set, which stored translations do not have.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer

from lskd_nmt.errors import require

if TYPE_CHECKING:
    from . import Replace

P = ParamSpec("P")
GetBatches = Callable[Concatenate[FairseqTask, FairseqDataset, P], EpochBatchIterator]
GetValidBatches = Callable[Concatenate[Trainer, P], EpochBatchIterator]


def apply(replace: "Replace") -> None:
    """See the three functions below."""
    replace(FairseqTask, "get_batch_iterator", composed_as_in_epoch_1(FairseqTask.get_batch_iterator))
    replace(Trainer, "get_valid_iterator", keeping_the_dummy_batch(Trainer.get_valid_iterator))
    replace(EpochBatchIterator, "first_batch", property(refusing_no_batch(EpochBatchIterator.first_batch.fget)))


def composed_as_in_epoch_1(get_batches: GetBatches[P]) -> GetBatches[P]:
    """Compose batches as for epoch 1 whatever epoch training starts at; their order still changes by epoch."""

    @functools.wraps(get_batches)
    def get_batch_iterator(
        self: FairseqTask, dataset: FairseqDataset, *args: P.args, **kwargs: P.kwargs
    ) -> EpochBatchIterator:
        cached = self.dataset_to_epoch_iter.get(dataset)
        iterator = get_batches(self, dataset, *args, **{**kwargs, "epoch": 1})
        if iterator is not cached:
            dataset.set_epoch(kwargs.get("epoch", 1))
            iterator.epoch = kwargs.get("epoch", 1)
        return iterator

    return get_batch_iterator


def keeping_the_dummy_batch(get_batches: GetValidBatches[P]) -> GetValidBatches[P]:
    """Leave a worker without a batch its first training batch, whatever is validated meanwhile."""

    @functools.wraps(get_batches)
    def get_valid_iterator(self: Trainer, /, *args: P.args, **kwargs: P.kwargs) -> EpochBatchIterator:
        before = self._dummy_batch
        iterator = get_batches(self, *args, **kwargs)
        if before is not None:
            self.reset_dummy_batch(before)
        return iterator

    return get_valid_iterator


def refusing_no_batch(first_batch: Callable[[EpochBatchIterator], object]) -> Callable[[EpochBatchIterator], object]:
    """Say what to do about data of which fairseq makes no batch."""

    def first_batch_if_any(self: EpochBatchIterator) -> object:
        require(
            len(self.frozen_batches) > 0,
            "the data make no batch: their sentences are longer than --max-tokens, or fewer than "
            "--required-batch-size-multiple, which is 8 if not given: give --required-batch-size-multiple 1",
        )
        return first_batch(self)

    return first_batch_if_any
