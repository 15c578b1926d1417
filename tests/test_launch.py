"""torchrun's processes are one training, not several on one folder."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, train

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import read_checkpoint

TORCHRUN = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
WORKERS = ["--distributed-world-size", "2", "--distributed-rank", "1", "--distributed-init-method", "env://",
           "--distributed-no-spawn"]  # fmt: skip
CPU = ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]


@pytest.mark.parametrize("words, environment, gpus, flags", [
    ([], TORCHRUN, 0, WORKERS + CPU),
    (["--cpu"], TORCHRUN, 4, WORKERS + CPU),
    ([], TORCHRUN, 1, [*WORKERS, "--device-id", "0"]),
    ([], TORCHRUN, 2, []),  # fairseq's own way works
    ([], {}, 0, []),
    ([], {**TORCHRUN, "WORLD_SIZE": "1"}, 0, []),
    (["--distributed-world-size", "2", "--ddp-backend", "c10d"], TORCHRUN, 0,
     [*WORKERS[2:], "--distributed-backend", "gloo"]),
    (["--distributed-world-size=2", "--distributed-init-method", "tcp://a:1"], TORCHRUN, 0, []),
])  # fmt: skip
def test_only_what_is_missing_is_added(words, environment, gpus, flags, plugin):
    from user_dir.launch import missing_flags

    assert missing_flags(["fairseq-train", "data", *words], environment, gpus) == flags


def test_another_number_of_workers_is_refused(plugin):
    from user_dir.launch import missing_flags

    with pytest.raises(LskdError, match="is 3 and torchrun started 2 processes: leave the flag out"):
        missing_flags(["fairseq-train", "--distributed-world-size", "3"], TORCHRUN, 0)


def test_torchrun_trains_the_student_that_one_process_trains(data, teacher, tmp_path):
    flags = ["--teacher-path", teacher, "--dropout", 0, "--max-tokens", 40, "--no-epoch-checkpoints"]
    flags += ["--optimizer", "sgd", "--lr", 0.1]  # Adam makes rounding as large as any gradient
    script = tmp_path / "script.py"
    script.write_text("import sys; from conftest import train; train(sys.argv[1], sys.argv[2], *sys.argv[3:])\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--master-port", 0, "--standalone",
               script, data, tmp_path / "two", *flags]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    train(data, tmp_path / "one", *flags, "--update-freq", 2)
    one, two = (read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint") for name in ("one", "two"))
    assert one["optimizer_history"][-1]["num_updates"] == two["optimizer_history"][-1]["num_updates"] > 5
    for name, weight in one["model"].items():
        torch.testing.assert_close(two["model"][name], weight, rtol=1e-3, atol=1e-4)
