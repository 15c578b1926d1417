"""experiments/run.sh and its steps, with stand-ins for the fairseq commands (tests/bin)."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from bench import MODELS, ROOT, STEPS, TEXT, error_line

from lskd_nmt.cli import main
from lskd_nmt.experiment import method_files


def test_a_run_ends_in_the_table_and_a_second_run_does_nothing(bench):
    done = bench.experiment("--device", "cpu", "--jobs", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    trained = bench.calls()
    assert sorted(trained) == sorted(MODELS)
    assert list(trained).index(MODELS[0]) < min(list(trained).index(name) for name in MODELS[2:])
    assert trained[MODELS[3]][-1] == "--cpu"
    table = json.loads((bench.run / "table.json").read_text())
    assert [(row["name"], row["bleu"], row["parameters"], row["epochs"]) for row in table["rows"]] == [
        (name, 100.0, 4321, 2) for name in MODELS
    ]
    assert done.stdout == (bench.run / "table.md").read_text()
    assert bench.model(MODELS[0]).joinpath("test.hyp").read_text(encoding="utf-8").splitlines() == TEXT
    assert bench.model(MODELS[0]).joinpath("model.pt").read_text() == f"{MODELS[0]} best"
    call = json.loads((bench.run / "run.json").read_text())["calls"][0]["command"]
    assert call == "run.sh --config tiny.yaml --device cpu --jobs 2 --threads 1"

    before = (bench.folder / "calls").read_text()
    again = bench.experiment("--device", "cpu")
    assert again.returncode == 0 and again.stdout == done.stdout
    assert (bench.folder / "calls").read_text() == before


def test_an_interrupted_training_continues_and_its_cost_adds_up(bench):
    teacher = bench.model(MODELS[0])
    crashed = bench.experiment("--until", "teachers", "--retries", 0, fake=f"crash {MODELS[0]}")
    assert crashed.returncode == 1
    assert "stopped with exit code 1" in crashed.stderr and "something broke" in crashed.stderr
    assert not (teacher / "model.pt").exists()
    assert [epoch["epoch"] for epoch in json.loads((teacher / "curve.json").read_text())] == [1]
    assert bench.experiment("--until", "teachers").returncode == 0
    record = json.loads((teacher / "run.json").read_text())
    assert [attempt["exit_code"] for attempt in record["attempts"]] == [1, 0]
    seconds = [attempt["cpu_seconds"] for attempt in record["attempts"]]
    assert record["cpu_seconds"] == pytest.approx(sum(seconds), abs=0.1)
    curve = json.loads((teacher / "curve.json").read_text())
    assert [(epoch["epoch"], epoch["valid_bleu"], epoch["updates"]) for epoch in curve] == [(1, 10, 10), (2, 20, 20)]
    assert set(bench.calls()) == {MODELS[0]}  # --until teachers trains teachers only


def test_a_refused_training_shows_fairseqs_line_and_exits_2(bench):
    done = bench.experiment("--until", "students", fake=f"refuse {MODELS[1]}")
    assert error_line(done) == f"{MODELS[1]}: fairseq-train: error: the teacher is broken: train it again"
    assert not (bench.model(MODELS[1]) / "model.pt").exists()


def test_a_decoding_that_drops_a_row_is_refused_and_leaves_no_translation(finished):
    translation = finished.model(MODELS[0]) / "test.hyp"
    translation.unlink()
    done = finished.experiment("--until", "decode", fake=f"drop {MODELS[0]}")
    assert "does not match the 27 test rows (missing: 1 rows (0))" in error_line(done)
    assert not translation.exists()
    assert finished.experiment("--until", "decode").returncode == 0
    assert translation.read_text(encoding="utf-8").splitlines() == TEXT


def test_a_stopped_training_takes_its_children_along_and_records_its_cost(bench):
    assert bench.experiment("--until", "data").returncode == 0
    command = [sys.executable, "-m", "lskd_nmt.cli", "watch", "--run", str(bench.run), "--model", MODELS[0]]
    path = f"{bench.folder / 'bin'}:{os.environ['PATH']}"
    environment = {**bench.environment, "FAKE": f"hang {MODELS[0]}", "PYTHONPATH": str(ROOT), "PATH": path}
    (bench.model(MODELS[0]) / "checkpoints").mkdir()
    with subprocess.Popen(command, cwd=bench.folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "epoch 0.50" in process.stderr.readline()
        log = bench.model(MODELS[0]) / "train.log"
        while '"train_num_updates": "10"' not in log.read_text():
            time.sleep(0.05)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert time.monotonic() - start < 20
    attempts = json.loads((bench.model(MODELS[0]) / "run.json").read_text())["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [143]
    assert attempts[0]["cpu_seconds"] >= 0.5


def test_steps_run_by_hand_from_anywhere_and_say_what_must_come_first(bench):
    assert "no planned model 'x': run lskd plan" in error_line(bench(STEPS / "train.sh", "--run", "r", "--model", "x"))
    assert "has no plan.json" in error_line(bench(STEPS / "prepare.sh", "--run", "r"))
    assert bench.experiment("--until", "data").returncode == 0
    here = ("--run", bench.run, "--model", MODELS[2])
    assert "model.pt does not exist: run experiments/steps/train.sh" in error_line(bench(STEPS / "decode.sh", *here))
    assert "test.hyp does not exist: run experiments/steps/decode.sh" in error_line(bench(STEPS / "score.sh", *here))
    assert "has no scored model" in error_line(bench(STEPS / "table.sh", "--run", bench.run))
    bench.folder = bench.folder.parent  # another working directory
    for step in ("train", "decode", "score"):
        assert bench(STEPS / f"{step}.sh", *here).returncode == 0
    metrics = json.loads((bench.model(MODELS[2]) / "metrics.json").read_text())
    assert metrics["bleu"]["score"] == 100 and metrics["decode"]["beam"] == 5
    assert set(bench(STEPS / "table.sh", "--run", bench.run).stdout.split()) >= {"|", "BLEU", "100.00"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--config", "none.yaml"], "--config none.yaml cannot be read"),
        (["--jobs", "0"], "--jobs is '0': a whole number from 1"),
        (
            ["--until", "nine"],
            "--until is 'nine': data, teachers, hypotheses, stores, students, decode, score, table or report",
        ),
        (["--gpus", "x"], "--gpus is 'x': a whole number from 1"),
        (["--gpus", "2", "--device", "cpu"], "--gpus is 2, and 0 are visible: give fewer"),
        (["--retries", "-1"], "--retries is '-1': a whole number"),
        (["--profile", "nowhere"], "--profile nowhere has no config.yaml: see experiments/profiles"),
        (["--dry-run", "maybe"], "--dry-run is 'maybe': yes or no"),
        (["--device", "tpu"], "--device is 'tpu': auto, gpu or cpu"),
        (["--precision", "int8"], "--precision is 'int8': fp32, fp16 or bf16"),
        (["--precision", "fp16", "--device", "cpu"], "--precision fp16 needs a GPU: use bf16 or fp32"),
        (["--threads", "many"], "--threads is 'many': a whole number"),
        (["--colour", "red"], "unknown option '--colour'"),
        (["--out"], "option '--out' needs a value"),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_made(bench, arguments, part):
    assert part in error_line(bench.experiment(*arguments))
    assert not (bench.folder / "runs").exists()


def test_every_script_needs_its_options(bench):
    assert "--config is needed" in error_line(bench(ROOT / "experiments" / "run.sh"))
    for step in STEPS.glob("*.sh"):
        assert "needed: see --help" in error_line(bench(step))


def test_a_changed_or_unknown_key_stops_the_run(bench):
    assert bench.experiment("--until", "data").returncode == 0
    (bench.model(MODELS[0]) / "model.pt").touch()
    text = bench.config.read_text()
    bench.config.write_text(text.replace("max-epoch: 2", "max-epoch: 1"))
    assert "runs/tiny was made with teacher.train.max-epoch = 2, the config now says 1" in error_line(
        bench.experiment()
    )
    bench.config.write_text(text.replace("max-epoch: 2", "max-epoch: 3"))
    assert "checkpoints has no checkpoint_last.pt to go on from: change max-epoch back to 2" in error_line(
        bench.experiment()
    )
    bench.config.write_text(text + "sedes: [1, 2]\n")
    assert "unknown key 'sedes', the nearest valid one is 'seeds'" in error_line(bench.experiment())


def test_gpu_and_half_precision_follow_what_torch_sees(bench):
    torch = bench.folder / "stub" / "torch"
    torch.mkdir(parents=True)
    bench.environment["PYTHONPATH"] = str(torch.parent)
    for sees in (False, True):
        torch.joinpath("__init__.py").write_text(
            f"class cuda:\n    is_available = staticmethod(lambda: {sees})\n"
            f"    device_count = staticmethod(lambda: {int(sees)})\n"
        )
        choices = (["--device", "gpu"], ["--precision", "fp16"])
        done = [bench.experiment("--until", "teachers", *choice) for choice in choices]
        if not sees:
            assert "torch sees no GPU" in error_line(done[0])
            assert "--precision fp16 needs a GPU, and torch sees none" in error_line(done[1])
    assert [each.returncode for each in done] == [0, 0]
    assert "--cpu" not in bench.calls()[MODELS[0]]
    on_cpu = "--device", "cpu", "--precision", "bf16"  # by autocast, which needs no GPU
    done = bench(STEPS / "train.sh", "--run", bench.run, "--model", MODELS[1], *on_cpu, "--threads", "3")
    assert done.returncode == 0 and bench.calls()[MODELS[1]][-2:] == ["--cpu", "--bf16"]
    assert json.loads((bench.folder / "calls").read_text().splitlines()[-1])[2] == "3"


def test_help_is_the_scripts_head(bench):
    for script in [*STEPS.glob("*.sh"), *(ROOT / "experiments" / name for name in ("run.sh", "quickstart.sh"))]:
        done = bench(script, "--help")
        assert done.returncode == 0 and "experiments/" in done.stdout
        assert script.read_text().startswith("#!/usr/bin/env bash\n# " + done.stdout.splitlines()[0])


def test_the_shipped_configs_and_methods_are_valid(bench, monkeypatch, capsys):
    runs = bench.folder / "shipped"
    monkeypatch.setenv("LSKD_DATA", "/data")
    monkeypatch.setenv("LSKD_RUNS", str(runs))
    monkeypatch.chdir(ROOT)
    lending = ["multi30k_grid", "multi30k_self_kd"]  # others take their data, or a teacher
    found = {config.stem: config for config in (ROOT / "experiments" / "configs").glob("*.yaml")}
    configs = [found.pop(name) for name in lending] + list(found.values())
    for config in configs:
        assert main(["plan", str(config), "--out", str(runs / config.stem)]) == 0, capsys.readouterr().err
        plan = json.loads((runs / config.stem / "plan.json").read_text())
        assert plan["name"] == config.stem
        if config.stem in lending:  # as if it had run
            (runs / config.stem / "data").mkdir(exist_ok=True)
            (runs / config.stem / "data" / "prep.json").write_text(json.dumps(plan["data"]))
            for teacher in (runs / config.stem / "models").glob("teacher-*"):
                (teacher / "model.pt").touch()
    for file in (ROOT / "experiments" / "configs" / "methods").glob("*.yaml"):
        assert method_files.read(file.stem, configs[0]).about


def test_what_is_kept_of_a_run_names_no_folder_of_this_machine(finished, prepared):
    (finished.run / "methods").mkdir()
    (finished.run / "methods" / "mine.yaml").write_text("about: x\n")
    (finished.run / "analysis").mkdir()
    (finished.run / "analysis" / "why.json").write_text(json.dumps({"command": f"lskd calibrate {prepared}/features"}))
    kept = finished.folder / "kept"
    done = finished(
        ROOT / "benchmarks" / "keep.sh", "--run", finished.run, "--out", kept, LSKD_RUNS=str(prepared.parent)
    )
    assert done.returncode == 0, done.stderr
    files = [file for file in kept.rglob("*") if file.suffix in (".txt", ".json", ".yaml", ".md")]
    assert {"commands.txt", "config.yaml", "mine.yaml", "models.json", "table.md", "why.json"} < {f.name for f in files}
    assert f"$LSKD_RUNS/{prepared.name}/bin" in (kept / "commands.txt").read_text()
    assert not [file for file in files if str(prepared.parent) in file.read_text(encoding="utf-8")]


SEQUENCE_LEVEL = """
name: tiny
data: {{dir: {data}}}
teacher: {{arch: ls_transformer_tiny, train: {{max-epoch: 2}}}}
student:
  arch: ls_transformer_tiny
  plain: false
  kd_level: [sequence, both]
  hypotheses: [beam, interpolate]
  train: {{max-epoch: 2}}
seqkd: {{nbest: 5}}
"""


@pytest.mark.long
def test_students_of_translations_wait_for_them(bench, prepared):
    bench.config.write_text(SEQUENCE_LEVEL.format(data=prepared))
    half = ("--until", "hypotheses")
    refused = bench.experiment("--device", "cpu", "--jobs", "2", "--threads", "3", *half, fake="refuse interpolate")
    assert error_line(refused) == "lskd seqkd: error: the disk is full: free some"
    done = bench.experiment("--device", "cpu", "--jobs", "2", "--threads", "3")
    assert done.returncode == 0, done.stderr
    made = bench.calls("lskd")
    assert list(made) == ["decoded", "beam", "interpolate"]
    assert made["decoded"][-4:] == ["--device", "cpu", "--workers", "6"]
    calls = [json.loads(line)[:2] for line in (bench.folder / "calls").read_text().splitlines()]
    students = [name for command, name in calls if command == "fairseq-train" and name.startswith("student")]
    assert sorted(students) == [
        "student-ls0.1-both-beam-t1-s1",
        "student-ls0.1-both-interpolate-t1-s1",
        "student-ls0.1-sequence-beam-s1",
        "student-ls0.1-sequence-interpolate-s1",
    ]
    assert calls.index(["fairseq-train", students[0]]) > calls.index(["lskd", "interpolate"])
    table = (bench.run / "table.md").read_text()
    assert "| both (interpolate)" in table and "| sequence (beam)" in table
