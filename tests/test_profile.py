"""What a cluster needs of the pipeline and can be tested without one; tests/slurm.py has the rest."""

import os
import subprocess

import pytest
from bench import MODELS, ROOT

SHIPPED = ROOT / "experiments" / "profiles" / "slurm"


def test_the_profile_that_ships_is_understood_and_plans_every_step(bench):
    done = bench.experiment("--profile", SHIPPED, "--device", "cpu", "--dry-run", "yes")
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        for file in ("model.pt", "test.hyp", "metrics.json"):
            assert f"would make models/{name}/{file}\n" in done.stdout


def taker(folder, job):
    """A job that takes one GPU of the one it sees, says so, and holds it until its stdin ends."""
    environment = {**os.environ, "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": job}
    code = f"source {ROOT}/experiments/lib.sh; take_gpus 1; echo $CUDA_VISIBLE_DEVICES; read -r || true"
    return subprocess.Popen(
        ["bash", "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_the_only_gpu_of_one_job_of_slurm_is_not_that_of_another(tmp_path):
    """SLURM shows each job its own GPUs, all numbered from 0; the tasks of one job share what it has."""
    with taker(tmp_path, "7") as first, taker(tmp_path, "8") as second:
        assert first.stdout.readline() == second.stdout.readline() == "0\n"
        with taker(tmp_path, "7") as third:
            with pytest.raises(subprocess.TimeoutExpired):
                third.wait(timeout=1)
            first.communicate()
            assert third.communicate(timeout=30)[0] == "0\n"
