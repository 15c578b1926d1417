"""How far a training is. fairseq tells its task and not its criterion, so the task passes it on."""

import functools
from typing import Any


class Updates:
    """The number of updates made before the one that the task trains on now."""

    def __init__(self, task: Any) -> None:
        """Listen to the task's `train_step`; after a resume its trainer counts from the checkpoint's update."""
        self.made = 0
        train_step = task.train_step

        @functools.wraps(train_step)
        def told(sample: Any, model: Any, criterion: Any, optimizer: Any, update_num: int, **more: Any) -> Any:
            self.made = update_num
            return train_step(sample, model, criterion, optimizer, update_num, **more)

        task.train_step = told
