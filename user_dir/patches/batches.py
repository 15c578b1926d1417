"""Batches that fairseq would otherwise choose badly, or not at all.

It composes the batches once, with the random seed of the epoch it *starts* at: sentences of equal length fall into
other batches after a resume at epoch 5 than in a run that began at epoch 1. And a worker that has no batch left trains,
without weight, on the first batch of what was opened last, the validation set, which stored translations do not know.
"""

import functools
from typing import Any

from fairseq.data.iterators import EpochBatchIterator
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer

from lskd_nmt.errors import require


def keep_batches_on_resume() -> None:
    """Compose batches as for epoch 1 whatever epoch training starts at; their order still changes by epoch."""
    compose = FairseqTask.get_batch_iterator

    @functools.wraps(compose)
    def get_batch_iterator(self: Any, dataset: Any, *args: Any, epoch: int = 1, **kwargs: Any) -> Any:
        cached = self.dataset_to_epoch_iter.get(dataset)
        iterator = compose(self, dataset, *args, epoch=1, **kwargs)
        if iterator is not cached:
            dataset.set_epoch(epoch)
            iterator.epoch = epoch
        return iterator

    FairseqTask.get_batch_iterator = get_batch_iterator


def keep_dummy_batch() -> None:
    """Leave a worker without a batch its first training batch, whatever is validated meanwhile."""
    valid_iterator = Trainer.get_valid_iterator

    @functools.wraps(valid_iterator)
    def get_valid_iterator(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self._dummy_batch
        iterator = valid_iterator(self, *args, **kwargs)
        if before is not None:
            self.reset_dummy_batch(before)
        return iterator

    Trainer.get_valid_iterator = get_valid_iterator


def refuse_no_batch() -> None:
    """Say what to do about data of which fairseq makes no batch."""
    first_batch = EpochBatchIterator.first_batch.fget

    def first_batch_if_any(self: Any) -> Any:
        require(
            len(self.frozen_batches) > 0,
            "the data make no batch: their sentences are longer than --max-tokens, or fewer than "
            "--required-batch-size-multiple, which is 8 if not given: give --required-batch-size-multiple 1",
        )
        return first_batch(self)

    EpochBatchIterator.first_batch = property(first_batch_if_any)
