"""Seconds of the objective and its gradients for one checkout, to be run for two in turn.

    for tree in BEFORE AFTER BEFORE AFTER …; do
      PYTHONPATH=$tree OMP_NUM_THREADS=1 python AFTER/benchmarks/objective_times.py; done

Prints a line: for each objective the smallest of three process times, and the loss, which must be the same.
"""

import inspect
import time

import torch

from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.options import KdOptions

TOKENS, SYMBOLS, WIDTH, REPEATS = 1500, 10_000, 256, 3
OBJECTIVES = {
    "forward, T = 1": KdOptions(1.0, 0.5, 0.1),
    "forward, T = 2": KdOptions(2.0, 0.5, 0.1),
    "top 8": KdOptions(2.0, 0.5, 0.1, tail="bucket", top_k=8),
    "jsd": KdOptions(2.0, 0.5, 0.1, divergence="jsd:0.5"),
    "ranking": KdOptions(2.0, 0.5, 0.1, rank=5),
    "r_drop": KdOptions(1.0, 0.0, 0.1, r_drop=5.0),
}


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(TOKENS, WIDTH, generator=draw).requires_grad_()
    weight = (torch.randn(SYMBOLS, WIDTH, generator=draw) * 0.05).requires_grad_()
    features = torch.randn(TOKENS, WIDTH, generator=draw)
    teacher = TeacherFeatures([features], [Projection(torch.randn(SYMBOLS, WIDTH, generator=draw) * 0.05)])
    target = torch.randint(SYMBOLS, (TOKENS,), generator=draw)
    known = inspect.signature(kd_ls_from_features).parameters  # what it was called before
    passes = "dropout_passes" if "dropout_passes" in known else "passes"
    for name, options in OBJECTIVES.items():
        extra = {passes: 2} if options.r_drop else {}
        gold = target[: TOKENS // 2] if options.r_drop else target
        seconds = []
        for _ in range(REPEATS):
            start = time.process_time()
            asked = teacher if options.kd_weight else None
            loss = kd_ls_from_features(student, Projection(weight), gold, asked, options, **extra).loss
            torch.autograd.grad(loss, [student, weight])
            seconds.append(time.process_time() - start)
        print(f"{name}: {min(seconds):.3f} s, loss {loss.item():.3f}", end="; ")
    print()


if __name__ == "__main__":
    main()
