"""The pipeline and a training of two workers on a real SLURM controller: `make test-slurm`, not part of `make test`.

It needs the packages slurm-wlm and munge, and no cluster: tests/cluster.py makes this machine one.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from bench import ROOT, error_line
from cluster import CPUS, GPUS, Cluster

from lskd_nmt.fairseq_io import read_checkpoint

SHIPPED = ROOT / "experiments" / "profiles" / "slurm" / "config.yaml"
TEACHER, STUDENT = MODELS = ["teacher-ls0.1-s1", "student-ls0.1-t1-s1"]
PAIR = """
name: tiny
data: {{dir: {data}}}
teacher: {{arch: ls_transformer_tiny, train: {{max-epoch: 2}}}}
student: {{arch: ls_transformer_tiny, plain: false, temperature: 1, train: {{max-epoch: 2}}}}
"""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    one = Cluster(tmp_path_factory.mktemp("cluster"))
    one.configure()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def queue(cluster, bench, prepared):
    """A bench whose jobs go to the cluster, by the profile that ships, made smaller."""
    bench.config.write_text(PAIR.format(data=prepared))
    profile = yaml.safe_load(SHIPPED.read_text())
    profile["default-resources"] |= {"mem_mb": 500, "runtime": 10}
    profile |= {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 1}
    (bench.folder / "profile").mkdir()
    (bench.folder / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    srun = bench.folder / "bin" / "srun"  # the plugin takes SLURM_CONF from its jobs
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={cluster.folder}/slurm.conf exec /usr/bin/srun "$@"\n')
    srun.chmod(0o755)
    bench.environment |= {key: cluster.environment[key] for key in ("PATH", "SLURM_CONF")}
    return bench


def submit(queue, *arguments, **others):
    return queue.experiment("--profile", "profile", "--threads", 1, *arguments, **others)


def jobs(cluster, queue):
    """The jobs of the bench's last run: those under its engine's name."""
    lines = (queue.run / "engine.log").read_text().splitlines()
    (name,) = [line.removeprefix("SLURM run ID: ") for line in lines if line.startswith("SLURM run ID: ")]
    return cluster.jobs(name)


def trainings(queue):
    """[name, GPUs, start, end, SLURM's job] of every training that ended well."""
    return [json.loads(line) for line in (queue.folder / "gpus").read_text().splitlines()]


def test_every_step_but_the_table_is_a_job_of_slurm(cluster, queue):
    done = submit(queue, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    found = jobs(cluster, queue)
    steps = [
        f"rule_{rule}_wildcards_{name}"
        for name in MODELS
        for rule in (f"train_{name.partition('-')[0]}", "translate_test", "score_test")
    ]
    assert sorted(job["Comment"] for job in found.values()) == sorted(steps)
    assert {(job["JobState"], job["NumCPUs"]) for job in found.values()} == {("COMPLETED", "1")}
    assert not [job for job in found.values() if "TresPerJob" in job]  # no GPU
    ours = {
        int(number): f"rule_train_{name.partition('-')[0]}_wildcards_{name}"
        for name, _, _, _, number in trainings(queue)
    }
    assert ours == {number: job["Comment"] for number, job in found.items() if "rule_train" in job["Comment"]}
    assert (queue.run / "table.md").read_text() in done.stdout
    for words in (f"{TEACHER}: epoch 2 done", "2 of 2 models trained, 2 scored", "all in runs/tiny"):
        assert words in done.stderr
    before = len(cluster.jobs())
    again = submit(queue, "--device", "cpu")
    assert again.returncode == 0 and "Nothing to be done" in (queue.run / "engine.log").read_text()
    assert len(cluster.jobs()) == before


@pytest.mark.parametrize("gpus", [1, 2])
def test_every_training_has_gpus_of_its_own(cluster, queue, prepared, gpus):
    stub = queue.folder / "stub" / "torch"
    stub.mkdir(parents=True)
    stub.joinpath("__init__.py").write_text("class cuda:\n    is_available = staticmethod(lambda: True)\n")
    queue.config.write_text(PAIR.format(data=prepared) + "seeds: [1, 2]\n")
    done = submit(queue, "--gpus", gpus, "--until", "teachers", fake="slow", PYTHONPATH=str(stub.parent))
    assert done.returncode == 0, done.stderr
    assert {job["TresPerJob"] for job in jobs(cluster, queue).values()} == {f"gres:gpu:{gpus}"}
    (_, first, start, end, _), (_, second, begin, stop, _) = trainings(queue)
    assert len(first.split(",")) == len(second.split(",")) == gpus
    if start < stop and begin < end:  # at the same time
        assert first != second and gpus * 2 <= GPUS


def test_a_crash_is_tried_again_and_a_refusal_is_not(cluster, queue):
    half = ("--device", "cpu", "--until", "teachers")
    crashed = submit(queue, *half, "--retries", 0, fake=f"crash {TEACHER}")
    (number,) = jobs(cluster, queue)
    assert crashed.returncode == 1, crashed.stderr
    assert f"SLURM-job '{number}' failed, SLURM status is: 'FAILED'" in crashed.stderr
    assert f"failed: train {TEACHER} (exit code 1)" in crashed.stderr and "something broke" in crashed.stderr
    (queue.model(TEACHER) / "checkpoints" / "checkpoint_last.pt").unlink()
    assert submit(queue, *half, "--retries", 1, fake=f"crash {TEACHER}").returncode == 0
    assert [job["JobState"] for job in jobs(cluster, queue).values()] == ["FAILED", "COMPLETED"]

    refused = submit(queue, "--device", "cpu", "--until", "students", "--retries", 1, fake=f"refuse {STUDENT}")
    assert error_line(refused) == f"{STUDENT}: fairseq-train: error: the teacher is broken: train it again"
    assert f"failed: train {STUDENT} (exit code 2)" in refused.stderr
    calls = [json.loads(line)[1] for line in (queue.folder / "calls").read_text().splitlines()]
    assert calls.count(STUDENT) == 1


def test_what_sbatch_refuses_is_said(queue):
    profile = queue.folder / "profile" / "config.yaml"
    profile.write_text(profile.read_text().replace("mem_mb: 500", "slurm_partition: nowhere"))
    done = submit(queue, "--device", "cpu", "--until", "teachers", "--retries", 0)
    assert done.returncode == 1 and "sbatch: error: invalid partition specified: nowhere\n" in done.stderr
    assert "the engine stopped with exit code 1: runs/tiny/engine.log says why" in done.stderr


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_takes_its_jobs_along_and_continues(cluster, queue, way):
    command = [
        "bash",
        ROOT / "experiments" / "run.sh",
        "--config",
        "tiny.yaml",
        "--profile",
        "profile",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--until",
        "teachers",
    ]
    with (
        (queue.folder / "out").open("w") as out,
        subprocess.Popen(
            command,
            cwd=queue.folder,
            env={**queue.environment, "FAKE": f"hang {TEACHER}"},
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as process,
    ):
        for _ in range(600):
            if "epoch 1 done" in (queue.folder / "out").read_text():
                break
            time.sleep(0.1)
        os.kill(process.pid, way)
        assert process.wait(timeout=60) == 130
    assert (queue.folder / "out").read_text().endswith("stopped: the same command continues\n")
    cluster.wait_until_idle()
    assert [job["JobState"] for job in jobs(cluster, queue).values()] == ["CANCELLED"]
    attempts = json.loads((queue.model(TEACHER) / "run.json").read_text())["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [143]
    done = submit(queue, "--device", "cpu", "--until", "teachers")
    assert done.returncode == 0 and "epoch 1 done" not in done.stderr  # it resumed


def test_sruns_tasks_are_one_training(cluster, data, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys; from conftest import train; train(sys.argv[1], sys.argv[2], *sys.argv[3:])\n")
    flags = ["--kd-weight", 0, "--dropout", 0, "--max-tokens", 40, "--optimizer", "sgd", "--lr", 0.1]
    counts = {}
    for tasks in (1, CPUS):
        folder = tmp_path / str(tasks)
        done = cluster(
            "srun",
            "--ntasks",
            tasks,
            "--label",
            sys.executable,
            script,
            data,
            folder,
            *flags,
            "--update-freq",
            CPUS // tasks,
            PYTHONPATH=f"{ROOT / 'tests'}:{ROOT}",
        )
        assert done.returncode == 0, done.stderr[-2000:]
        saved = [line for line in done.stdout.splitlines() if "Saved checkpoint" in line]
        assert {line.split(":")[0] for line in saved} == {"0"}, saved
        state = read_checkpoint(str(folder / "checkpoint_last.pt"), "checkpoint")
        assert state["cfg"]["distributed_training"]["distributed_world_size"] == tasks
        counts[tasks] = state["optimizer_history"][-1]["num_updates"]
    assert counts[1] == counts[CPUS] > 5
