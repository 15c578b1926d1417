"""The engine: what is missing is made, in what order, on which GPU; what is killed, stopped or changed continues."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import pytest
from bench import MODELS, ROOT, STEPS, error_line

from lskd_nmt.cli import main

TEACHER, PLAIN, STUDENT = MODELS[:3]
RUN = ROOT / "experiments" / "run.sh"
GRID = """
name: tiny
data: {{dir: {data}}}
teacher: {{arch: ls_transformer_tiny, label_smoothing: [0, 0.1], seed: 1, train: {{max-epoch: 2}}}}
student:
  arch: ls_transformer_tiny
  store: features
  tail: [dense, "renormalise:4"]
  kd_level: word
  train: {{max-epoch: 2}}
seeds: [1, 2]
"""


def scores(bench):
    """The table without what a repetition may cost."""
    rows = json.loads((bench.run / "table.json").read_text())["rows"]
    return [(row["name"], row["bleu"], row["chrf"], row["epochs"]) for row in rows]


def trained(bench):
    """How often each model was trained."""
    calls = [json.loads(line)[:2] for line in (bench.folder / "calls").read_text().splitlines()]
    return {name: calls.count(["fairseq-train", name]) for _, name in calls if ["fairseq-train", name] in calls}


def started(bench, *arguments, fake="", log="out"):
    """run.sh in the background; its output in a file."""
    with (bench.folder / log).open("w") as out:
        return subprocess.Popen(
            ["bash", RUN, "--config", "tiny.yaml", "--device", "cpu", *arguments],
            stdout=out,
            stderr=out,
            cwd=bench.folder,
            env={**bench.environment, "FAKE": fake},
            start_new_session=True,
        )


def wait_for(condition, what):
    for _ in range(2400):  # two minutes: machines are busy
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"waited in vain for {what}")


def workers(bench):
    """Every process that works in the bench's folder, but for this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, directory = (folder / "cmdline").read_bytes(), (folder / "cwd").readlink()
        except OSError:
            continue
        if str(bench.folder).encode() in words or bench.folder in (directory, *directory.parents):
            found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def kill_all(bench):
    while found := workers(bench):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


@pytest.fixture
def cleaned(bench):
    yield bench
    kill_all(bench)


def test_a_store_is_written_between_a_teacher_and_its_students(bench, prepared):
    bench.config.write_text(GRID.format(data=prepared))
    planned = bench.experiment("--device", "cpu", "--dry-run", "yes")
    assert planned.returncode == 0 and bench.calls() == {}
    would = [line.removeprefix("would make ") for line in planned.stdout.splitlines()]
    assert "models/teacher-ls0-s1/store/store.json" in would and "models/student-ls0.1-t1-s2/model.pt" in would
    done = bench.experiment("--device", "cpu", "--jobs", "3", "--until", "students")
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in (bench.folder / "calls").read_text().splitlines()]
    order = [
        (command, name) if command != "lskd" else (command, words[words.index("--out") + 1])
        for command, name, _, *words in calls
    ]
    for alpha in ("0", "0.1"):
        wrote = order.index(("lskd", f"models/teacher-ls{alpha}-s1/store"))
        assert order.index(("fairseq-train", f"teacher-ls{alpha}-s1")) < wrote
        students = [i for i, (_, name) in enumerate(order) if name.startswith(f"student-ls{alpha}-")]
        assert len(students) == 4 and min(students) > wrote
    words = bench.calls()["student-ls0.1-renormalise4-t1-s2"]
    assert words[words.index("--teacher-store") + 1] == "models/teacher-ls0.1-s1/store"
    assert words[words.index("--tail") + 1] == "renormalise" and words[words.index("--top-k") + 1] == "4"
    assert bench.experiment("--device", "cpu", "--until", "students", "--dry-run", "yes").stdout == ""


def test_only_what_is_missing_is_made_again_and_what_comes_of_it(finished):
    table = scores(finished)
    times = {path: path.stat().st_mtime_ns for path in finished.run.glob("models/*/[mt]*.[jhp]*")}
    for name, file in ((PLAIN, "model.pt"), (STUDENT, "test.hyp")):
        finished.model(name).joinpath(file).unlink()
    done = finished.experiment("--device", "cpu", "--jobs", "2")
    assert done.returncode == 0 and scores(finished) == table
    made = {f"{path.parent.name}/{path.name}" for path, then in times.items() if path.stat().st_mtime_ns != then}
    assert made == {f"{PLAIN}/{file}" for file in ("model.pt", "test.hyp", "metrics.json")} | {
        f"{STUDENT}/test.hyp",
        f"{STUDENT}/metrics.json",
    }
    assert trained(finished) == {PLAIN: 1}
    finished.run.joinpath("table.json").unlink()
    assert finished.experiment("--device", "cpu").returncode == 0
    assert scores(finished) == table and trained(finished) == {PLAIN: 1}


def test_one_process_decodes_and_scores_unless_only_decoding_is_asked_for(bench):
    assert bench.experiment("--device", "cpu", "--jobs", "2", "--until", "students").returncode == 0
    decoded = bench.experiment("--device", "cpu", "--until", "decode")
    assert decoded.returncode == 0 and " evaluate " not in decoded.stderr
    assert all(bench.model(name).joinpath("test.hyp").exists() for name in MODELS)
    assert not any(bench.model(name).joinpath("metrics.json").exists() for name in MODELS)
    bench.model(PLAIN).joinpath("test.hyp").unlink()
    times = {name: bench.model(name).joinpath("test.hyp").stat().st_mtime_ns for name in MODELS if name != PLAIN}
    scored = bench.experiment("--device", "cpu", "--jobs", "2", "--until", "score")
    assert scored.returncode == 0, scored.stderr
    assert [name for name in MODELS if f" evaluate {name}" in scored.stderr] == [PLAIN]
    assert all(bench.model(name).joinpath("test.hyp").stat().st_mtime_ns == then for name, then in times.items())
    assert all(bench.model(name).joinpath("metrics.json").exists() for name in MODELS)


def test_a_grid_grows_by_seeds_and_keeps_what_it_has(finished):
    finished.config.write_text(finished.config.read_text() + "seeds: [1, 2]\n")
    done = finished.experiment("--device", "cpu", "--jobs", "4", "--until", "students")
    assert done.returncode == 0, done.stderr
    assert trained(finished) == {name.replace("s1", "s2"): 1 for name in MODELS}


def test_a_student_whose_teacher_changed_starts_from_the_beginning(finished):
    finished.model(TEACHER).joinpath("model.pt").write_text("another teacher")
    for name in (PLAIN, STUDENT):
        finished.model(name).joinpath("model.pt").unlink()
    done = finished.experiment("--device", "cpu", "--jobs", "2", "--until", "students")
    assert f"{STUDENT}: other inputs than at its beginning (--teacher-path): starts anew" in done.stderr
    assert f"{PLAIN}: other inputs" not in done.stderr
    assert not (finished.model(STUDENT) / "test.hyp").exists() and (finished.model(PLAIN) / "test.hyp").exists()


def test_any_path_will_do_for_run_data_and_checkout(bench, prepared):
    strange = bench.folder / "it's a {folder}"
    strange.mkdir()
    for name in ("lskd_nmt", "user_dir", "experiments"):
        strange.joinpath(name).symlink_to(ROOT / name)
    strange.joinpath("data").symlink_to(prepared)
    bench.config.write_text(bench.config.read_text().replace(f"dir: {prepared}", f'dir: "{strange}/data"'))
    script = strange / "experiments" / "run.sh"
    done = bench(script, "--config", "tiny.yaml", "--device", "cpu", "--out", strange / "run")
    assert done.returncode == 0, done.stderr
    assert (strange / "run" / "table.md").is_file()


def test_a_crash_is_tried_again_and_a_refusal_is_not(bench):
    half = ("--device", "cpu", "--until", "students")
    refused = bench.experiment(*half, fake=f"refuse {STUDENT}")
    assert error_line(refused) == f"{STUDENT}: fairseq-train: error: the teacher is broken: train it again"
    assert trained(bench) == dict.fromkeys(MODELS, 1)  # what does not depend on it is done
    assert next(iter(trained(bench))) == TEACHER  # others wait for it
    assert f"failed: train {STUDENT} (exit code 2)" in refused.stderr
    crashed = bench.experiment(*half, fake=f"crash {STUDENT}")  # its second attempt resumes
    assert crashed.returncode == 0 and trained(bench)[STUDENT] == 3


@pytest.mark.long
def test_every_job_has_gpus_of_its_own(bench, prepared):
    bench.config.write_text(GRID.format(data=prepared))
    torch = bench.folder / "stub" / "torch"
    torch.mkdir(parents=True)
    torch.joinpath("__init__.py").write_text(
        "class cuda:\n    is_available = staticmethod(lambda: True)\n    device_count = staticmethod(lambda: 3)\n"
    )
    environment = {"PYTHONPATH": str(torch.parent), "TMPDIR": str(bench.folder)}
    for gpus, jobs in ((1, 3), (2, 1)):
        for model in bench.run.glob("models/student-*/model.pt"):
            model.unlink()
        done = bench.experiment("--gpus", gpus, "--threads", "1", "--until", "students", fake="slow", **environment)
        assert done.returncode == 0, done.stderr
        lines = map(json.loads, (bench.folder / "gpus").read_text().splitlines())
        spans = [(set(ids.split(",")), start, end) for _, ids, start, end, _ in lines]
        (bench.folder / "gpus").unlink()
        assert all(len(ids) == gpus and ids <= {"0", "1", "2"} for ids, _, _ in spans)
        assert len(spans) == (12 if jobs > 1 else 10)
        together = [
            (a, b) for (a, start, end), (b, begin, stop) in combinations(spans, 2) if start < stop and begin < end
        ]
        assert all(a.isdisjoint(b) for a, b in together)
        assert bool(together) == (jobs > 1)
    done = bench.experiment("--gpus", 4, **environment)
    assert "--gpus is 4, and 3 are visible: give fewer" in error_line(done)


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_jobs_run_at_once_than_are_allowed(jobs, bench, prepared):
    """Also after a job that all others waited for: some versions of Snakemake count its cores twice."""
    grid = GRID.format(data=prepared).replace("[0, 0.1]", "[0.1]")
    bench.config.write_text(grid.replace("student:", "student:\n  plain: false"))
    done = bench.experiment("--device", "cpu", "--jobs", jobs, "--threads", "1", "--until", "students", fake="slow")
    assert done.returncode == 0, done.stderr
    spans = [json.loads(line)[2:4] for line in (bench.folder / "gpus").read_text().splitlines()]
    assert len(spans) == 5
    assert max(sum(start <= begin < end for start, end in spans) for begin, _ in spans) == jobs


@pytest.mark.long
def test_a_run_killed_in_every_step_ends_with_the_table_of_one_never_killed(cleaned, once_finished):
    bench, last = cleaned, Path("checkpoints", "checkpoint_last.pt")
    marks = {
        "the plan": lambda: bench.run / "plan.json",
        "the teacher's first epoch": lambda: bench.model(TEACHER) / last,
        "a student's first epoch": lambda: bench.model(STUDENT) / last,
        "decoding": lambda: bench.model(STUDENT) / "generate.log",
        "a score": lambda: bench.model(STUDENT) / "metrics.json",
        "the table": lambda: bench.run / "table.json",
    }
    for what, file in marks.items():
        with started(bench) as process:
            wait_for(file().is_file, what)
            kill_all(bench)
            assert process.wait() == -signal.SIGKILL, what
    done = bench.experiment("--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert scores(bench) == scores(once_finished) == [(name, 100, 100, 2) for name in MODELS]


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_takes_all_it_started_along(cleaned, way):
    bench = cleaned
    with started(bench, "--until", "teachers", fake=f"hang {TEACHER}") as process:
        wait_for(lambda: f"{TEACHER}: epoch 1 done" in (bench.folder / "out").read_text(), "the first epoch")
        os.killpg(process.pid, way)
        assert process.wait(timeout=30) == 130
    wait_for(lambda: not workers(bench), "its processes to end")
    assert (bench.folder / "out").read_text().endswith("stopped: the same command continues\n")
    attempts = json.loads((bench.model(TEACHER) / "run.json").read_text())["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [143]
    assert bench.experiment("--device", "cpu", "--until", "teachers").returncode == 0


def test_the_second_of_two_runs_on_one_folder_stops_with_one_line(cleaned):
    bench = cleaned
    with started(bench, fake=f"hang {TEACHER}") as process:
        wait_for(lambda: f"{TEACHER}: epoch 1 done" in (bench.folder / "out").read_text(), "the first epoch")
        line = error_line(bench.experiment("--device", "cpu"))
        assert line == f"run.sh: error: runs/tiny is at work already: wait for it, or end it with: kill {process.pid}"
        process.kill()  # what it started lives on
        process.wait()
        words = error_line(bench.experiment("--device", "cpu")).split("kill ")[1]
        subprocess.run(f"kill {words}", shell=True, check=True)
        wait_for(lambda: not workers(bench), "the engine and its jobs to end")


def test_a_forecast_leaves_a_run_at_work_alone(bench, capsys):
    bench.run.mkdir(parents=True)
    with (bench.run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["forecast", str(bench.config), "--out", str(bench.run), "--device", "cpu"]) == 2
    assert capsys.readouterr().err == (
        f"lskd forecast: error: {bench.run} is at work: wait for it, or give another --out\n"
    )
    assert [file.name for file in bench.run.iterdir()] == [".lock"]


def test_neither_a_dry_run_nor_a_graph_changes_anything(finished, prepared):
    half, config = ("--device", "cpu", "--out", "runs/other"), finished.config.read_text()

    def would_make(*arguments):
        done = finished.experiment(*arguments, "--dry-run", "yes")
        assert done.returncode == 0, done.stderr
        return {line.removeprefix("would make ") for line in done.stdout.splitlines() if "model.pt" in line}

    def tree():
        return {
            path: path.lstat().st_mtime_ns
            for path in (finished.folder / "runs").rglob("*")
            if ".snakemake" not in path.parts
        }

    before = tree()
    finished.config.write_text(config + "seeds: [1, 2]\n")
    grown = {f"models/{name.replace('s1', 's2')}/model.pt" for name in MODELS}
    assert would_make("--device", "cpu") == grown
    assert finished.experiment("--device", "cpu", "--graph", "picture").returncode == 0
    finished.config.write_text(OTHER.format(data=prepared, run=finished.run, epochs=2))
    assert would_make(*half) == {"models/student-ls0.1-t64-s1/model.pt"}
    assert tree() == before
    finished.config.write_text(config)
    assert would_make("--device", "cpu") == set()


def test_a_config_that_is_refused_leaves_no_folder(bench):
    bench.config.write_text(bench.config.read_text() + "train: {kd-level: both}\n")
    assert "train.kd-level is set by the pipeline" in error_line(bench.experiment("--device", "cpu"))
    assert not bench.run.parent.exists()


def test_a_lock_that_is_held_out_of_sight_gives_no_process_to_kill(bench):
    bench.run.mkdir(parents=True)
    unseeing = bench.folder / "bin" / "find"
    unseeing.write_text("#!/bin/sh\nexit 1\n")
    unseeing.chmod(0o755)
    with (bench.run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = error_line(bench.experiment("--device", "cpu"))
    assert line == "run.sh: error: runs/tiny is at work already, on another machine or as another user: wait for it"


@pytest.mark.parametrize("tool", ["flock", "setsid"])
def test_a_machine_without_util_linux_is_told_so(tool, bench):
    folder = bench.folder / "few"
    folder.mkdir()
    for name in ("bash", "basename", "dirname", "date", "env", "sed", "nproc"):
        (folder / name).symlink_to(shutil.which(name))
    present = {"flock", "setsid"} - {tool}
    for name in present:
        (folder / name).symlink_to(shutil.which(name))
    done = bench.experiment("--device", "cpu", PATH=str(folder))
    assert error_line(done) == f"run.sh: error: {tool} is not installed: install util-linux"
    assert not bench.run.exists()


@pytest.mark.parametrize("threads", ["abc", "08"])
def test_threads_that_are_no_number_are_refused_with_a_profile_too(threads, bench):
    profile = bench.folder / "profile"
    profile.mkdir()
    (profile / "config.yaml").write_text("executor: local\n")
    line = error_line(bench.experiment("--profile", profile, "--threads", threads, "--dry-run", "yes"))
    assert line == f"run.sh: error: --threads is '{threads}': a whole number"


def test_a_step_waits_for_a_training_that_outlived_its_pipeline(cleaned):
    bench = cleaned
    assert bench.experiment("--device", "cpu", "--until", "data").returncode == 0
    step = ["bash", STEPS / "train.sh", "--run", bench.run, "--model", TEACHER, "--device", "cpu"]
    with subprocess.Popen(
        step, env={**bench.environment, "FAKE": f"hang {TEACHER}"}, stderr=subprocess.PIPE, start_new_session=True
    ) as first:
        last = bench.model(TEACHER) / "checkpoints" / "checkpoint_last.pt"
        wait_for(last.is_file, "the first epoch")
        os.killpg(first.pid, signal.SIGKILL)  # the training has a session of its own
    out = bench.folder / "second"
    with (
        out.open("w") as stream,
        subprocess.Popen(step, env=bench.environment, stderr=stream, start_new_session=True) as second,
    ):
        message = f"{TEACHER}: waiting for another process that works on {bench.model(TEACHER)}"
        wait_for(lambda: message in out.read_text(), "the second to wait")
        assert second.poll() is None
        orphan = [pid for pid in workers(bench) if b"fairseq-train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(orphan[0], signal.SIGKILL)
        assert second.wait(timeout=30) == 0
    assert (bench.model(TEACHER) / "model.pt").read_text() == f"{TEACHER} best"


OTHER = """
name: other
data: {{dir: {data}}}
teacher: {{arch: ls_transformer_tiny, run: {run}, train: {{max-epoch: {epochs}}}}}
student: {{arch: ls_transformer_tiny, plain: false, temperature: 64, train: {{max-epoch: 2, clip-norm: 1}}}}
"""


def test_students_of_another_runs_teacher_do_not_train_it_again(finished, prepared):
    finished.config.write_text(OTHER.format(data=prepared, run=finished.run, epochs=2))
    done = finished.experiment("--device", "cpu", "--out", "runs/other")
    assert done.returncode == 0, done.stderr
    assert trained(finished) == {"student-ls0.1-t64-s1": 1}
    rows = json.loads((finished.folder / "runs" / "other" / "table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == [TEACHER, "student-ls0.1-t64-s1"]


@pytest.mark.parametrize(
    ("epochs", "file", "message"),
    [
        (3, "", f"trained {TEACHER} with --max-epoch 2, the config now says --max-epoch 3: change"),
        ("2, update-freq: 2", "", f"trained {TEACHER} with no more, the config now says --update-freq 2: change"),
        (2, "model.pt", f"has not finished {TEACHER}: run it first"),
    ],
)
def test_a_teacher_of_another_recipe_or_unfinished_is_refused(epochs, file, message, finished, prepared):
    if file:
        finished.model(TEACHER).joinpath(file).unlink()
    finished.config.write_text(OTHER.format(data=prepared, run=finished.run, epochs=epochs))
    assert message in error_line(finished.experiment("--device", "cpu", "--out", "runs/other"))


READERS = """
name: other
data: {{dir: {data}}}
teacher: {{arch: ls_transformer_tiny, run: {run}, train: {{max-epoch: 2}}}}
student: {{arch: ls_transformer_tiny, plain: false, {student}, train: {{max-epoch: 2}}}}
seqkd: {{beam: {beam}}}
"""


@pytest.mark.parametrize(
    ("student", "made"),
    [
        ("store: features", "store/store.json"),
        ("kd_level: sequence", "hypotheses/beam/hypotheses.json"),
    ],
)
def test_what_students_read_of_a_borrowed_teacher_is_made_once(student, made, finished, prepared):
    half = ("--device", "cpu", "--until", "students")
    for number in (1, 2):
        finished.config.write_text(READERS.format(data=prepared, run=finished.run, student=student, beam=5))
        done = finished.experiment(*half, "--out", f"runs/other{number}")
        assert done.returncode == 0, done.stderr
        assert (finished.model(TEACHER) / made).is_file()
    assert list(trained(finished).values()) == [2]
    calls = [json.loads(line) for line in (finished.folder / "calls").read_text().splitlines()]
    assert len([words for command, _, _, *words in calls if command == "lskd" and "select" not in words]) == 1


def test_translations_of_a_borrowed_teacher_by_another_search_are_refused(finished, prepared):
    for beam, out in ((5, "runs/other"), (6, "runs/another")):
        finished.config.write_text(READERS.format(data=prepared, run=finished.run, student="kd_level: both", beam=beam))
        done = finished.experiment("--device", "cpu", "--until", "data", "--out", out)
    line = f"{finished.model(TEACHER)}/hypotheses.sh has other settings than the config: change it to these, or train"
    assert line in error_line(done)


def test_a_borrowed_teacher_stays_that_of_the_run_that_is_named(finished, prepared):
    half, link = ("--device", "cpu", "--until", "data", "--out", "runs/other"), f"runs/other/models/{TEACHER}"

    def other(run):
        finished.config.write_text(OTHER.format(data=prepared, run=run, epochs=2))
        return finished.experiment(*half)

    shutil.copytree(finished.run, finished.folder / "runs" / "twin")
    assert other(finished.run).returncode == 0
    assert f"{link} is not the one of teacher.run" in error_line(other(finished.folder / "runs" / "twin"))
    finished.config.write_text(finished.config.read_text().replace(f"run: {finished.folder}/runs/twin, ", ""))
    assert f"runs/other has {TEACHER} of another run: name that as" in error_line(finished.experiment(*half))
    moved = finished.run.rename(finished.folder / "runs" / "moved")
    assert other(moved).returncode == 0
    assert (finished.folder / link).resolve() == moved / "models" / TEACHER


def shadows(folder):
    """Files with the names of modules that the pipeline needs; to import one ends the process."""
    for name in ("random", "yaml", "torch", "snakemake", "argparse", "fairseq"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the current folder was run')\n")
    for name in ("lskd_nmt", "user_dir"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise SystemExit('{name} of the current folder was run')\n")


def test_files_of_the_current_folder_are_not_taken_for_modules(bench):
    shadows(bench.folder)
    for until, path in (("teachers", ""), ("data", ":"), ("data", f"{ROOT / 'tests'}::.:./")):  # empty and .: here
        done = bench.experiment("--device", "cpu", "--until", until, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        assert "of the current folder" not in done.stderr
    assert (bench.model(TEACHER) / "model.pt").is_file()
    (bench.folder / "lskd_nmt" / "__init__.py").unlink()  # `python -m` takes a package of that name wherever it runs
    (bench.folder / "lskd_nmt").rmdir()
    done = subprocess.run(
        [sys.executable, "-m", "lskd_nmt.cli", "--version"],
        cwd=bench.folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.startswith("lskd_nmt "), done.stderr


def engine_of(bench):
    """The number of the process that is the engine."""
    found = [
        pid
        for pid in workers(bench)
        if b"snakemake\0--snakefile" in Path(f"/proc/{pid}/cmdline").read_bytes()
        or b"\0snakemake\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert found
    return min(found)


def test_an_engine_that_is_killed_alone_leaves_no_training_behind(cleaned):
    bench = cleaned
    with started(bench, "--until", "teachers", fake=f"hang {TEACHER}") as process:
        wait_for(lambda: f"{TEACHER}: epoch 1 done" in (bench.folder / "out").read_text(), "the first epoch")
        os.kill(engine_of(bench), signal.SIGKILL)
        assert process.wait(timeout=30) == 137
    wait_for(lambda: not workers(bench), "its processes to end")
    assert "the engine ended before its jobs did: they are ended too" in (bench.folder / "out").read_text()
    attempts = json.loads((bench.model(TEACHER) / "run.json").read_text())["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [143]
    assert bench.experiment("--device", "cpu", "--until", "teachers").returncode == 0


def test_what_outlived_a_pipeline_is_named_with_the_command_that_ends_it(cleaned):
    bench = cleaned
    with started(bench, "--until", "teachers", fake=f"hang {TEACHER}") as process:
        wait_for(lambda: f"{TEACHER}: epoch 1 done" in (bench.folder / "out").read_text(), "the first epoch")
        engine = engine_of(bench)
        process.kill()
        os.kill(engine, signal.SIGKILL)
        process.wait()
    with started(bench, "--until", "teachers", log="next") as process:
        wait_for(lambda: "waiting for another process" in (bench.folder / "next").read_text(), "the next run to wait")
        line = next(line for line in (bench.folder / "next").read_text().splitlines() if "waiting for another" in line)
        assert f"works on {bench.model(TEACHER)}: " in line and "fairseq-train " in line
        subprocess.run(line.split("which ends with: ")[1], shell=True, check=True)
        assert process.wait(timeout=60) == 0
    assert (bench.model(TEACHER) / "model.pt").is_file()


def test_locks_of_gpus_are_kept_in_a_folder_of_ones_own(bench, tmp_path):
    take = f'source {ROOT}/experiments/lib.sh; visible_gpus() {{ echo 0; }}; take_gpus 1; echo "$CUDA_VISIBLE_DEVICES"'
    own = tmp_path / f"lskd-gpus-{os.getuid()}"

    def taken():
        return subprocess.run(
            ["bash", "-c", take],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert taken().stdout == "0\n" and own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)  # as an earlier version may have left it
    assert taken().returncode == 0 and own.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(own)
    (tmp_path / "elsewhere").mkdir()
    own.symlink_to(tmp_path / "elsewhere")
    done = taken()
    assert done.returncode == 2 and f"{own} is not a folder of yours" in done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())
    own.unlink()
    own.touch()
    assert taken().returncode == 2
