"""The processes that torchrun or srun starts become one training.

fairseq takes the number of visible GPUs for the number of workers. Without a GPU, or with one for each process, what
they start are therefore independent trainings that overwrite each other's checkpoints; with several GPUs for each
process, srun's are so unless `--distributed-port` is given.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from lskd_nmt.errors import require

if TYPE_CHECKING:
    from . import Replace

PROGRAMS = ("fairseq-train", "train.py")  # the console script, and fairseq_cli.train as a module
TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
SRUN = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
FIRST_PORT, PORTS = 20000, 20000  # srun's jobs on one machine get different ones


class Launch(NamedTuple):
    """How many processes a launcher started for one training, which this one is, and where they meet."""

    launcher: str
    workers: str
    rank: str
    port: str  # of the machine of rank 0; empty where the environment says it


def apply(_: "Replace") -> None:
    """Tell fairseq-train, whose arguments are not parsed yet, what torchrun or srun told this process.

    Nothing of fairseq is replaced; the words of its command are all that can be asked for the criterion so early.
    """
    if Path(sys.argv[0]).name in PROGRAMS and names_kd_ls(sys.argv):
        sys.argv += missing_flags(sys.argv, os.environ, torch.cuda.device_count())


def names_kd_ls(words: Sequence[str]) -> bool:
    """Whether a command trains with this plugin's criterion."""
    return "--criterion=kd_ls" in words or ("--criterion", "kd_ls") in pairwise(words)


def launch_of(environment: Mapping[str, str]) -> Launch | None:
    """The launcher that started this process and what it told it, if it is one of several."""
    if all(name in environment for name in TORCHRUN):
        return Launch("torchrun", environment["WORLD_SIZE"], environment["RANK"], "")
    if all(name in environment for name in SRUN):
        port = FIRST_PORT + int(environment["SLURM_JOB_ID"]) % PORTS
        return Launch("srun", environment["SLURM_STEP_NUM_TASKS"], environment["SLURM_PROCID"], str(port))
    return None


def values_by_flag(words: Sequence[str]) -> dict[str, str]:
    """The flags of a command, each with the word after it or after its `=`."""
    return {
        word.partition("=")[0]: word.partition("=")[2] or after
        for word, after in pairwise([*words, ""])
        if word.startswith("--")
    }


def missing_flags(words: Sequence[str], environment: Mapping[str, str], gpus: int) -> list[str]:
    """The flags that make a launcher's processes one training, as far as neither fairseq nor the user gives them."""
    launch = launch_of(environment)
    if launch is None or launch.workers == "1":
        return []
    given = values_by_flag(words)
    workers = given.get("--distributed-world-size", launch.workers)
    require(
        workers == launch.workers,
        f"--distributed-world-size is {workers} and {launch.launcher} started "
        f"{launch.workers} processes: leave the flag out",
    )
    on_cpu = gpus == 0 or "--cpu" in given
    if "--distributed-init-method" in given:
        return []
    if gpus > 1 and not on_cpu:  # fairseq's own way
        return [] if not launch.port or "--distributed-port" in given else ["--distributed-port", launch.port]
    flags = {
        "--distributed-world-size": launch.workers,
        "--distributed-rank": launch.rank,
        "--distributed-init-method": meeting_place(launch, environment),
        "--distributed-no-spawn": "",
    }
    if on_cpu:
        flags |= {"--distributed-backend": "gloo", "--ddp-backend": "legacy_ddp"}
    else:
        flags["--device-id"] = "0"  # the one that this process sees
    return [word for flag, value in flags.items() if flag not in given for word in (flag, value) if word]


def meeting_place(launch: Launch, environment: Mapping[str, str]) -> str:
    """The init method of torch.distributed: where the processes of a training find each other."""
    if not launch.port:
        return "env://"
    command = ["scontrol", "show", "hostnames", environment["SLURM_STEP_NODELIST"]]
    return f"tcp://{subprocess.check_output(command, text=True).split()[0]}:{launch.port}"
