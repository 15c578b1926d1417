"""A run whose trainings go on: the config raises max-epoch, max-update or patience of models that are made."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bench import MODELS
from test_plan import config, flag
from test_replan import folder as prepared

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import history, input_hashes, prolonging
from lskd_nmt.experiment import plan as plan_module
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan, preview
from lskd_nmt.experiment.records import Costs, CurvePoint, RunRecord
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_command import record_attempt
from lskd_nmt.report.figures import learning_curves
from lskd_nmt.report.results import prolonged
from lskd_nmt.storage.files import sha256, write_json

TEACHER, PLAIN, STUDENT = "teacher-ls0.1-s1", "student-plain-s1", "student-ls0.1-t1-s1"
METRICS = ("bleu", "chrf", "bleu_tokenised_lowercased")
RESULTS = ("model.pt", "metrics.json", "test.hyp", "decode.json", "generate.log")
SCHEDULED = {"lr-scheduler": "inverse_sqrt", "warmup-updates": 4}


# ---- the law: trained on is trained at once


@pytest.mark.parametrize(
    "stops, whole",
    [
        ((["--max-epoch", 1], ["--max-epoch", 2], ["--max-epoch", 3]), ["--max-epoch", 3]),  # interrupted on its way
        ((["--max-update", 3], ["--max-update", 9]), ["--max-update", 9]),  # in the middle of an epoch
    ],
)
def test_a_training_that_went_on_has_the_parameters_of_one_at_once(data, tmp_path, stops, whole):
    import torch
    from conftest import train

    from lskd_nmt.fairseq_io import read_checkpoint

    common = ["--kd-weight", 0, "--no-epoch-checkpoints", "--lr-scheduler", "inverse_sqrt", "--warmup-updates", 4]
    for limits in stops:
        train(data, tmp_path / "on", *common, *limits)
    train(data, tmp_path / "whole", *common, *whole)
    on, at_once = (
        read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint")["model"] for name in ("on", "whole")
    )
    assert on.keys() == at_once.keys() and all(torch.equal(on[name], at_once[name]) for name in on)


# ---- planning


def planned(run, prolong=False, **sections):
    models = plan(resolve(config(**sections)), "", run, prolong).models
    return {model.name: model for model in models}


def finish(run, name, epochs, log="", score=20.0):
    """A model as a finished and scored training leaves it, as far as planning reads it."""
    folder = run / "models" / name
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "checkpoint_last.pt").write_text(f"last of {name}")
    (folder / "model.pt").write_text(f"best of {name} in {epochs}")
    points = [{"epoch": at, "updates": 10 * at, "valid_nll_loss": 5.0 - at} for at in range(1, epochs + 1)]
    write_json(folder / "curve.json", points)
    command = Run(run).model(name).train_command
    attempt = {"command": [*command, "--cpu"], "wall_seconds": 60.0 * epochs, "cpu_seconds": 30.0 * epochs}
    record = {"name": name, "attempts": [attempt], "wall_seconds": 60.0 * epochs, "cpu_seconds": 30.0 * epochs}
    write_json(folder / "run.json", record)
    (folder / "train.log").write_text(log)
    metric = {"score": score, "signature": "s", "text": "detokenized"}
    write_json(folder / "metrics.json", {**dict.fromkeys(METRICS, metric), "sentences": 3, "model": name})
    for file in ("test.hyp", "decode.json", "generate.log"):
        (folder / file).write_text(f"{file} of {name}")


@pytest.fixture
def run(tmp_path):
    """A run of three finished models, two epochs of students and three of the teacher."""
    planned(tmp_path)
    for name, epochs in ((TEACHER, 3), (PLAIN, 2), (STUDENT, 2)):
        finish(tmp_path, name, epochs)
    return tmp_path


def files(run):
    """Every file of a run with its content."""
    return {str(file.relative_to(run)): file.read_bytes() for file in run.rglob("*") if file.is_file()}


def results_of(run, name):
    return [file for file in RESULTS if (run / "models" / name / file).exists()]


def test_longer_students_go_on_and_keep_what_they_were(run, capsys):
    models = planned(run, student={"train": {"max-epoch": 4}})
    assert [flag(models[name], "max-epoch") for name in (TEACHER, PLAIN, STUDENT)] == ["3", "4", "4"]
    assert results_of(run, TEACHER) == list(RESULTS) and not (run / "models" / TEACHER / "history").exists()
    for name in (PLAIN, STUDENT):
        folder = run / "models" / name
        assert results_of(run, name) == [] and (folder / "checkpoints" / "checkpoint_last.pt").is_file()
        kept = folder / "history" / "1"
        assert (kept / "model.pt").read_text() == f"best of {name} in 2"
        assert (kept / "test.hyp").read_text() == f"test.hyp of {name}"
        ((entry, is_continued),) = history.earlier(folder)
        assert is_continued and entry.scores == dict.fromkeys(METRICS, 20.0)
        assert (entry.limits["max-epoch"], entry.epochs, entry.updates) == ("2", 2, 20)
        assert entry.model_sha256 == sha256(kept / "model.pt")
    assert "max-epoch 4" in (run / "models" / PLAIN / "command.sh").read_text()
    before = files(run)
    planned(run, student={"train": {"max-epoch": 4}})
    assert files(run) == before


def test_a_training_may_go_on_again_and_again(run):
    for number, last in enumerate((4, 6), 1):
        planned(run, student={"train": {"max-epoch": last}})
        finish(run, PLAIN, last)
        assert history.numbers(run / "models" / PLAIN) == list(range(1, number + 1))
    found = history.earlier(run / "models" / PLAIN)
    assert [(entry.epochs, is_continued) for entry, is_continued in found] == [(2, True), (4, True)]


@pytest.mark.parametrize(
    "train, told",
    [
        ({"max-epoch": 1}, "train.max-epoch = 2, the config now says 1"),
        ({"max-epoch": 4, "dropout": 0.5}, "train.dropout = None, the config now says 0.5"),
        ({"max-epoch": 4, "patience": 5}, "was made with student.train"),  # 10 is the default
    ],
)
def test_any_other_change_is_refused_and_so_is_a_lower_limit(run, train, told):
    before = files(run)
    with pytest.raises(LskdError) as refused:
        planned(run, prolong=True, student={"train": train})
    assert told in str(refused.value) and "change it back, or give another --out" in str(refused.value)
    assert files(run) == before


def test_students_of_a_longer_teacher_begin_anew_only_with_consent(run):
    longer, before = {"teacher": {"train": {"max-epoch": 6}}}, files(run)
    with pytest.raises(LskdError) as refused:
        planned(run, **longer)
    line = str(refused.value)
    assert f"{TEACHER} would be trained on (max-epoch 3 to 6), and so {STUDENT} would begin anew" in line
    assert "2m00s of training" in line and "--prolong yes" in line and "\n" not in line and files(run) == before
    planned(run, prolong=True, **longer)
    assert results_of(run, TEACHER) == results_of(run, STUDENT) == [] and results_of(run, PLAIN) == list(RESULTS)
    assert (run / "models" / STUDENT / "history" / "1" / "model.pt").is_file()
    write_json(run / "models" / STUDENT / "curve.json", [{"epoch": at, "updates": 10 * at} for at in (1, 2)])
    assert [is_continued for _, is_continued in history.earlier(run / "models" / STUDENT)] == [False]


def test_the_costs_of_a_student_that_began_anew_are_its_new_trainings(run, monkeypatch):
    planned(run, prolong=True, teacher={"train": {"max-epoch": 6}})
    folder, now = run / "models" / STUDENT, {"data train": "1", "--teacher-path": "the longer teacher"}
    write_json(folder / "inputs.json", {**now, "--teacher-path": "the shorter teacher"})
    monkeypatch.setattr(input_hashes, "inputs", lambda run, model: now)

    def trained(seconds):
        """As the train step does it: `begin`, and an attempt of so many seconds."""
        model = Run(run).model(STUDENT)
        input_hashes.begin(Run(run), model, lambda text: None)
        (folder / "checkpoints" / "checkpoint_last.pt").write_text("begun")
        costs = Costs(wall_seconds=seconds, cpu_seconds=seconds)
        record_attempt(folder / "run.json", RunRecord(name=STUDENT), model.train_command, 0, costs, None)
        return Run(run).run_record(STUDENT)

    assert trained(7.0).wall_seconds == 7.0
    assert trained(5.0).wall_seconds == 12.0 and len(Run(run).run_record(STUDENT).attempts) == 2  # it was interrupted
    assert history.earlier(folder)[0][0].wall_seconds == 120.0
    assert json.loads((folder / "history" / "1" / "run.json").read_text())["wall_seconds"] == 120.0


def test_the_time_is_not_known_if_that_of_one_training_is_not(run):
    (run / "models" / PLAIN / "run.json").unlink()
    longer = plan_module.planned(resolve(config(student={"train": {"max-epoch": 4}})), run)
    found = prolonging.prolonging(plan_module.plan_of(run), longer, run)
    assert found.seconds_on is None and "for a time that is not known" in prolonging.line(found)


def test_students_of_another_runs_longer_teacher_begin_anew_only_with_consent(tmp_path):
    own, theirs, longer = tmp_path / "own", tmp_path / "theirs", {"max-epoch": 6}
    prepared(tmp_path / "data")
    data = {"corpus": None, "dir": str(tmp_path / "data")}
    planned(theirs, data=data)
    finish(theirs, TEACHER, 3)
    planned(own, data=data, teacher={"run": str(theirs)})
    finish(own, STUDENT, 2)
    planned(theirs, data=data, teacher={"train": longer})
    finish(theirs, TEACHER, 6)
    before = files(own), files(theirs)
    with pytest.raises(LskdError, match=f"trained {TEACHER} with --max-epoch 6"):
        planned(own, data=data, teacher={"run": str(theirs)})
    both = {"data": data, "teacher": {"run": str(theirs), "train": longer}}
    with pytest.raises(LskdError, match=f"{TEACHER} was trained on by another run .* {STUDENT} would begin anew"):
        planned(own, **both)
    assert (files(own), files(theirs)) == before
    told = []
    plan(resolve(config(**both)), "", own, True, tell=told.append)
    assert told[0].startswith(f"{TEACHER} was trained on by another run; {STUDENT} anew, as the teacher changes")
    assert results_of(own, STUDENT) == [] and history.numbers(own / "models" / STUDENT) == [1]
    assert results_of(theirs, TEACHER) == list(RESULTS) and history.numbers(theirs / "models" / TEACHER) == [1]


def test_what_a_teacher_made_for_its_students_needs_consent_too(run):
    shutil.rmtree(run / "models" / STUDENT)
    store = run / "models" / TEACHER / "store"
    store.mkdir()
    digest = sha256(run / "models" / TEACHER / "model.pt")
    write_json(store / "plan.json", {"teacher": [{"file": "model.pt", "sha256": digest}]})
    with pytest.raises(LskdError, match=f"what {TEACHER} made for students would be made again"):
        planned(run, teacher={"train": {"max-epoch": 6}})
    planned(run, prolong=True, teacher={"train": {"max-epoch": 6}})
    folder = run / "models" / TEACHER
    assert not history.drop_stale(folder, "store")  # while nobody knows which model will come of it
    shutil.copy(folder / "history" / "1" / "model.pt", folder / "model.pt")
    assert not history.drop_stale(folder, "store") and store.is_dir()  # the best checkpoint is still the same
    (folder / "model.pt").write_text("a better one")
    assert not history.drop_stale(folder, "hypotheses")
    assert history.drop_stale(folder, "store") and not store.exists()


EARLY = (
    "2024-01-01 00:00:00 | INFO | valid | {}\n"
    "2024-01-01 00:00:00 | INFO | fairseq_cli.train | "
    "early stop since valid performance hasn't improved for last 10 runs\n"
    "2024-01-01 00:00:00 | INFO | train | {}\n"
)


def test_what_patience_ended_goes_on_when_patience_is_raised_and_stands_otherwise(run):
    finish(run, PLAIN, 1, log=EARLY)
    finish(run, STUDENT, 2, log=EARLY + EARLY.partition("\n")[0] + "\n")  # that was before it went on the last time
    planned(run, student={"train": {"max-epoch": 4}})
    assert results_of(run, PLAIN) == list(RESULTS) and results_of(run, STUDENT) == []
    attempts = Run(run).run_record(PLAIN).attempts
    assert [each.wall_seconds for each in attempts] == [60.0, 0]
    assert prolonging.limits_of(attempts[-1].command) == {"patience": "10", "max-epoch": "4"}
    assert "--cpu" in attempts[-1].command
    planned(run, student={"train": {"max-epoch": 4, "patience": 20}})
    assert results_of(run, PLAIN) == []


def test_what_another_limit_ended_stands(tmp_path):
    both = {"max-epoch": 2, "max-update": 20}
    planned(tmp_path, student={"train": both})
    finish(tmp_path, PLAIN, 2)  # 20 updates
    planned(tmp_path, student={"train": {**both, "max-epoch": 4}})
    assert results_of(tmp_path, PLAIN) == list(RESULTS)
    planned(tmp_path, student={"train": {"max-epoch": 4, "max-update": 30}})
    assert results_of(tmp_path, PLAIN) == []


@pytest.mark.parametrize(
    "train, follower",
    [
        ({"lr-scheduler": "cosine"}, "the learning rate of cosine"),
        ({"lr-scheduler": "cosine", "lr-period-updates": 50}, None),
        ({"lr-scheduler": "polynomial_decay"}, "the learning rate of polynomial_decay"),
        ({"lr-scheduler": "polynomial_decay", "total-num-update": 50}, None),
        ({"lr-scheduler": "tri_stage", "phase-ratio": "(0.1,0.4,0.5)"}, "the learning rate of tri_stage"),
        ({"kd-weight-schedule": "linear:0.1"}, "kd-weight-schedule linear:0.1"),
        ({"kd-weight-schedule": "linear:0.1:50"}, None),
        (SCHEDULED, None),
    ],
)
def test_what_is_stretched_over_max_update_does_not_go_on(train, follower):
    command = ("fairseq-train", "bin", *(word for name, value in train.items() for word in (f"--{name}", str(value))))
    assert prolonging.follower(command) == follower


def test_a_stretched_learning_rate_is_refused_in_one_line(run):
    stretched = replace(Run(run).model(PLAIN), train_command=("fairseq-train", "bin", "--lr-scheduler", "cosine"))
    with pytest.raises(LskdError, match="learning rate of cosine follows max-update, which is raised from 20 to 40"):
        prolonging.require_possible(stretched, run / "models" / PLAIN, {"max-update": ("20", "40")})
    prolonging.require_possible(stretched, run / "models" / PLAIN, {"max-epoch": ("2", "4")})


def test_without_its_last_checkpoint_nothing_goes_on(run):
    (run / "models" / PLAIN / "checkpoints" / "checkpoint_last.pt").unlink()
    with pytest.raises(LskdError, match=r"has no checkpoint_last\.pt to go on from: change max-epoch back to 2"):
        planned(run, student={"train": {"max-epoch": 4}})
    assert results_of(run, STUDENT) == list(RESULTS)


def test_a_training_that_was_begun_may_be_made_longer_before_it_ends(tmp_path):
    planned(tmp_path)
    (tmp_path / "models" / PLAIN / "checkpoints").mkdir()
    (tmp_path / "models" / PLAIN / "checkpoints" / "checkpoint_last.pt").touch()
    models = planned(tmp_path, student={"train": {"max-epoch": 4}})
    assert flag(models[PLAIN], "max-epoch") == "4" and not (tmp_path / "models" / PLAIN / "history").exists()


def test_a_look_at_it_changes_nothing(run, tmp_path_factory, capsys):
    before, view = files(run), tmp_path_factory.mktemp("view")
    longer = {**config(), "teacher": {**config()["teacher"], "train": {"max-epoch": 6}}}
    preview(resolve(longer), run, view)
    assert results_of(view, TEACHER) == results_of(view, STUDENT) == [] and results_of(view, PLAIN) == list(RESULTS)
    assert (view / "models" / TEACHER / "checkpoints" / "checkpoint_last.pt").is_file()
    file = view / "longer.json"  # JSON is YAML
    file.write_text(json.dumps(longer))
    words = ["plan", str(file), "--out", str(run), "--check"]
    assert main(words) == 2 and "consent with --prolong yes" in capsys.readouterr().err
    assert main([*words, "--prolong"]) == 0
    said = json.loads(capsys.readouterr().out)["prolongs"]
    assert f"{TEACHER} will be trained on (max-epoch 3 to 6; 3m00s of training)" in said
    assert f"{STUDENT} anew, as the teacher changes (2m00s of training)" in said
    assert main(["forecast", str(file), "--out", str(run)]) == 0
    assert json.loads(capsys.readouterr().out) == {"seconds_on": 180.0, "seconds_anew": 120.0, "at_most": False}
    assert files(run) == before


@pytest.mark.parametrize("moves", range(14))
def test_killed_at_any_move_the_same_call_does_the_rest(run, moves, monkeypatch):
    whole = {name: {file: (run / "models" / name / file).read_bytes() for file in RESULTS} for name in (PLAIN, STUDENT)}
    made = []

    def killed(self, target, original=Path.replace):
        if self.name in RESULTS and "models" in self.parts:
            made.append(self.name)
            if len(made) > moves:
                raise KeyboardInterrupt
        return original(self, target)

    with monkeypatch.context() as killing:
        killing.setattr(Path, "replace", killed)
        try:
            planned(run, student={"train": {"max-epoch": 4}})
        except KeyboardInterrupt:
            assert Run(run).model(PLAIN).train_command.count("2")  # the old plan
    planned(run, student={"train": {"max-epoch": 4}})
    for name, content in whole.items():
        assert results_of(run, name) == [] and history.numbers(run / "models" / name) == [1]
        kept = run / "models" / name / "history" / "1"
        assert {file: (kept / file).read_bytes() for file in RESULTS} == content
        assert history.earlier(run / "models" / name)[0][0].scores == dict.fromkeys(METRICS, 20.0)


def test_killed_before_it_had_its_number_an_entry_gets_it_at_the_next_call(run):
    folder = run / "models" / PLAIN
    planned(run, student={"train": {"max-epoch": 4}})
    (folder / "history" / "1").rename(folder / "history" / "part")
    planned(run, student={"train": {"max-epoch": 4}})
    assert history.numbers(folder) == [1] and not (folder / "history" / "part").exists()


def test_killed_before_the_new_plan_was_written_old_and_new_limits_are_possible(run, monkeypatch):
    def killed(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as killing, pytest.raises(KeyboardInterrupt):
        killing.setattr("lskd_nmt.experiment.plan.write_json", killed)
        planned(run, student={"train": {"max-epoch": 4}})
    assert flag(planned(run)[PLAIN], "max-epoch") == "2" and results_of(run, PLAIN) == []  # published again at once
    assert flag(planned(run, student={"train": {"max-epoch": 4}})[PLAIN], "max-epoch") == "4"
    assert history.numbers(run / "models" / PLAIN) == history.numbers(run / "models" / STUDENT) == [1]


def test_a_model_at_work_is_not_touched(run):
    import fcntl

    before = files(run)
    with (run / "models" / STUDENT / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as a step does that reads the model
        with pytest.raises(LskdError, match=f"{STUDENT} is at work: wait for it"):
            planned(run, student={"train": {"max-epoch": 4}})
    assert {name: content for name, content in files(run).items() if not name.endswith(".lock")} == before


@pytest.mark.parametrize(
    "before, now, continued",
    [
        ([(1, 10, 3.0)], [(1, 10, 3.0), (2, 20, 2.0)], True),
        ([(1, 10, 3.0)], [(1, 10, 3.1), (2, 20, 2.0)], False),  # another training
        ([(1, 10, 3.0), (2, 15, 2.5)], [(1, 10, 3.0), (2, 20, 2.0)], True),  # it had ended in the middle of an epoch
        ([(1, 10, 3.0), (2, 20, 2.5)], [(1, 10, 3.0)], False),
        ([], [(1, 10, 3.0)], False),
    ],
)
def test_a_curve_says_whether_a_training_went_on(before, now, continued):
    curves = [[CurvePoint(at, updates=made, valid_nll_loss=loss) for at, made, loss in each] for each in (before, now)]
    assert history.goes_on(*curves) == continued


# ---- what the table and the figure say


def test_a_ring_on_the_curve_and_a_note_under_the_table(run):
    planned(run, student={"train": {"max-epoch": 4}})
    finish(run, PLAIN, 4)
    loss = learning_curves.curves(run).axes[0]
    rings = [line for line in loss.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in rings] == [[2]] and [list(each.get_ydata()) for each in rings] == [[3.0]]
    assert "trained on from here" in loss.get_xlabel()
    (note,) = prolonged.notes({"r": Run(run)}, "bleu")
    assert note.startswith(f"trained on after they were scored: {PLAIN} after epoch 2 (BLEU 20.00, signature None), ")
    write_json(run / "models" / STUDENT / "curve.json", [{"epoch": 1, "updates": 10, "valid_nll_loss": 1.0}])
    assert prolonged.notes({"r": Run(run)}, "bleu")[1].startswith("trained anew as their teacher was trained on")


# ---- through run.sh, with stand-ins for fairseq


@pytest.mark.long
def test_a_finished_run_goes_on(finished):
    teacher, plain, *_ = MODELS
    table = json.loads((finished.run / "table.json").read_text())
    signatures = {row["name"]: row["signature"] for row in table["rows"]}
    text = finished.config.read_text()
    finished.config.write_text(text.replace("max-epoch: 2", "max-epoch: 4"))
    assert "consent with --prolong yes" in finished.experiment("--device", "cpu").stderr
    longer = text[: text.index("student:")] + text[text.index("student:") :].replace("max-epoch: 2", "max-epoch: 4")
    finished.config.write_text(longer)
    dry = finished.experiment("--device", "cpu", "--dry-run", "yes")
    assert f"would make models/{plain}/model.pt" in dry.stdout and f"{teacher}/model.pt" not in dry.stdout
    assert finished.calls() == {}
    killed = finished.experiment("--device", "cpu", "--until", "data")  # ended after planning
    assert killed.returncode == 0 and not (finished.model(plain) / "model.pt").exists()
    done = finished.experiment("--device", "cpu", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert set(finished.calls()) == {plain, *MODELS[2:]}
    found = json.loads((finished.run / "table.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert rows[plain]["epochs"] == 4 and rows[teacher]["epochs"] == 2
    ((entry, is_continued),) = history.earlier(finished.model(plain))
    assert is_continued and entry.signature == signatures[plain] != rows[plain]["signature"]
    assert "trained on after they were scored" in " ".join(found["remarks"])
    assert (finished.model(plain) / "model.pt").read_text() == f"{plain} best of 4"
    again = finished.experiment("--device", "cpu", "--dry-run", "yes")
    assert again.stdout == "" and "nothing to do" in again.stderr


@pytest.mark.long
def test_a_teacher_goes_on_and_its_students_begin_anew(finished):
    teacher, plain, *students = MODELS
    text = finished.config.read_text()
    finished.config.write_text(text.replace("max-epoch: 2", "max-epoch: 4", 1))
    done = finished.experiment("--device", "cpu", "--jobs", "2", "--prolong", "yes")
    assert done.returncode == 0, done.stderr
    assert set(finished.calls()) == {teacher, *students}
    for name in students:
        assert f"{name}: other inputs than at its beginning (--teacher-path): starts anew" in done.stderr
        assert (finished.model(name) / "history" / "1" / "metrics.json").is_file()
    assert (finished.model(plain) / "metrics.json").is_file() and not (finished.model(plain) / "history").exists()
