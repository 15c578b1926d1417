"""The queue of losses of a selection with memory, which all workers of a training hold alike."""

import torch
from fairseq.distributed import utils as distributed_utils
from torch import Tensor

from lskd_nmt.losses.loss_queue import LossQueue

from .student import Student


def window(queue: LossQueue, student: Student, losses: Tensor, ignored: bool) -> Tensor:
    """The losses that N new ones are compared with; training keeps these, of all workers.   (N,) -> (M,)

    In validation it is the queue alone, or the batch if nothing was trained yet. `ignored`: this worker's batch has no
    weight, and leaves nothing to keep.
    """
    if student.learns:
        return queue.push(gathered(losses[:0] if ignored else losses))
    held = queue.held()
    return held if held.numel() else losses


def gathered(values: Tensor) -> Tensor:
    """The values of all workers, in the order of their ranks; every worker has to call this.   (N,) -> (ΣN,)"""
    group = distributed_utils.get_data_parallel_group()
    if distributed_utils.get_world_size(group) == 1:
        return values
    own = torch.tensor([values.numel()], device=values.device)
    counts = [int(count) for count in distributed_utils.all_gather(own, group)]
    padded = torch.cat([values, values.new_zeros(max(counts) - values.numel())])
    parts = distributed_utils.all_gather(padded, group)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
