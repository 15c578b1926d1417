"""torchrun's processes become one training.

fairseq takes the number of visible GPUs for the number of workers. Without a GPU, or with one for each process, what
torchrun starts are therefore independent trainings that overwrite each other's checkpoints.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lskd_nmt.errors import require

TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def join_torchrun() -> None:
    """Tell fairseq-train, whose arguments are not parsed yet, what torchrun told this process."""
    if Path(sys.argv[0]).name in ("fairseq-train", "train.py"):  # the console script, and fairseq_cli.train as a module
        sys.argv += missing_flags(sys.argv, os.environ, torch.cuda.device_count())


def missing_flags(words: Sequence[str], environment: Mapping[str, str], gpus: int) -> list[str]:
    """The flags that make torchrun's processes one training, as far as neither fairseq nor the user gives them."""
    if any(name not in environment for name in TORCHRUN) or environment["WORLD_SIZE"] == "1":
        return []
    given = {word.partition("=")[0]: (word.partition("=")[2] or after)
             for word, after in zip(words, [*words[1:], ""], strict=True) if word.startswith("--")}  # fmt: skip
    workers = environment["WORLD_SIZE"]
    said = given.get("--distributed-world-size", workers)
    require(said == workers, f"--distributed-world-size is {said} and torchrun started {workers} processes: "
                             "leave the flag out")  # fmt: skip
    on_cpu = gpus == 0 or "--cpu" in given
    if "--distributed-init-method" in given or (gpus > 1 and not on_cpu):
        return []
    flags = {"--distributed-world-size": workers, "--distributed-rank": environment["RANK"],
             "--distributed-init-method": "env://", "--distributed-no-spawn": ""}  # fmt: skip
    if on_cpu:
        flags |= {"--distributed-backend": "gloo", "--ddp-backend": "legacy_ddp"}
    else:
        flags["--device-id"] = "0"  # the one that this process sees
    return [word for flag, value in flags.items() if flag not in given for word in (flag, value) if word]
