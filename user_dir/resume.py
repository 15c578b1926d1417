"""A resumed training sees the batches that an uninterrupted one would have seen.

fairseq composes the batches once, with the random seed of the epoch it *starts* at: sentences of equal length fall
into other batches after a resume at epoch 5 than in a run that began at epoch 1.
"""

import functools
from typing import Any

from fairseq.tasks import FairseqTask


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
