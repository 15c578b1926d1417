"""What fairseq tells the task of an update and not the criterion, so that the task passes it on."""

import functools
from typing import TYPE_CHECKING

from torch import Tensor

from .batch import Batch, Logs

if TYPE_CHECKING:
    from fairseq.criterions import FairseqCriterion
    from fairseq.models import BaseFairseqModel
    from fairseq.optim import FairseqOptimizer
    from fairseq.tasks import FairseqTask


class Updates:
    """The number of updates made before the one that the task trains on now, and whether its batch counts."""

    def __init__(self, task: "FairseqTask") -> None:
        """Listen to the task's `train_step`; after a resume its trainer counts from the checkpoint's update."""
        self.made = 0
        self.ignored = False  # the batch stands in for one that a worker lacks, and has no weight
        train_step = task.train_step

        @functools.wraps(train_step)
        def told(
            sample: Batch,
            model: "BaseFairseqModel",
            criterion: "FairseqCriterion",
            optimizer: "FairseqOptimizer",
            update_num: int,
            ignore_grad: bool = False,
            **more: object,
        ) -> tuple[Tensor, Tensor | float, Logs]:
            self.made, self.ignored = update_num, ignore_grad
            return train_step(sample, model, criterion, optimizer, update_num, ignore_grad, **more)

        task.train_step = told
