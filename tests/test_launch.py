"""torchrun's processes are one training, not several on one folder."""

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import read_checkpoint

TORCHRUN = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
WORKERS = [
    "--distributed-world-size",
    "2",
    "--distributed-rank",
    "1",
    "--distributed-init-method",
    "env://",
    "--distributed-no-spawn",
]
CPU = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]


@pytest.mark.parametrize(
    "words, environment, gpus, flags",
    [
        ([], TORCHRUN, 0, WORKERS + CPU),
        (["--cpu"], TORCHRUN, 4, WORKERS + CPU),
        ([], TORCHRUN, 1, [*WORKERS, "--device-id", "0"]),
        ([], TORCHRUN, 2, []),  # fairseq's own way works
        ([], {}, 0, []),
        ([], {**TORCHRUN, "WORLD_SIZE": "1"}, 0, []),
        (
            ["--distributed-world-size", "2", "--ddp-backend", "c10d"],
            TORCHRUN,
            0,
            [*WORKERS[2:], "--distributed-backend", "gloo"],
        ),
        (["--distributed-world-size=2", "--distributed-init-method", "tcp://a:1"], TORCHRUN, 0, []),
    ],
)
def test_only_what_is_missing_is_added(words, environment, gpus, flags, plugin):
    from user_dir.patches.launch import missing_flags

    assert missing_flags(["fairseq-train", "data", *words], environment, gpus) == flags


def test_another_number_of_workers_is_refused(plugin):
    from user_dir.patches.launch import missing_flags

    with pytest.raises(LskdError, match="is 3 and torchrun started 2 processes: leave the flag out"):
        missing_flags(["fairseq-train", "--distributed-world-size", "3"], TORCHRUN, 0)


@pytest.mark.parametrize(
    "words, tasks, gpus, flags",
    [
        ([], "2", 0, [*WORKERS[:5], "tcp://node7:20042", WORKERS[6], *CPU]),
        ([], "2", 1, [*WORKERS[:5], "tcp://node7:20042", WORKERS[6], "--device-id", "0"]),
        ([], "2", 4, ["--distributed-port", "20042"]),  # what fairseq's own way lacks
        (["--distributed-port", "9"], "2", 4, []),
        ([], "1", 0, []),  # a step of one task, as every job of the pipeline is
    ],
)
def test_sruns_tasks_are_one_training_too(words, tasks, gpus, flags, plugin, tmp_path, monkeypatch):
    from user_dir.patches.launch import missing_flags

    tmp_path.joinpath("scontrol").write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames node[7-8]" ] && echo node7 && echo node8\n'
    )
    tmp_path.joinpath("scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    slurm = {
        "SLURM_STEP_NUM_TASKS": tasks,
        "SLURM_PROCID": "1",
        "SLURM_STEP_NODELIST": "node[7-8]",
        "SLURM_JOB_ID": "42",
    }
    assert missing_flags(["fairseq-train", "data", *words], slurm, gpus) == flags


def losses(log):
    """The loss of every update."""
    lines = [line.split("| train_inner | ")[1] for line in log.splitlines() if "| train_inner | {" in line]
    return [float(json.loads(line)["loss"]) for line in lines]


def test_torchrun_trains_the_student_that_one_process_trains(data, teacher, tmp_path):
    flags = ["--teacher-path", teacher, "--dropout", 0, "--max-tokens", 40, "--no-epoch-checkpoints"]
    flags += ["--optimizer", "sgd", "--lr", 0.1]  # Adam makes rounding as large as any gradient
    flags += ["--log-format", "json", "--log-interval", 1]
    script = tmp_path / "script.py"
    script.write_text("import sys; from conftest import train; train(sys.argv[1], sys.argv[2], *sys.argv[3:])\n")
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", 2, "--master-port", 0, "--standalone"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    curves = []
    for name, way in (("one", []), ("two", launcher)):
        words = [sys.executable, *way, script, data, tmp_path / name, *flags, "--update-freq", 1 if way else 2]
        done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        curves.append(losses(done.stdout))
    assert len(curves[0]) > 5 and curves[0] == pytest.approx(curves[1], abs=0.002)  # fairseq logs three digits
    one, two = (read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint") for name in ("one", "two"))
    assert one["optimizer_history"][-1]["num_updates"] == two["optimizer_history"][-1]["num_updates"] > 5
    for name, weight in one["model"].items():
        torch.testing.assert_close(two["model"][name], weight, rtol=1e-3, atol=1e-4)
