"""One step of the pipeline on one model: what it needs, when it is done, and what it runs."""

import json

import pytest
from test_plan import config

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.steps import Machine, publish_model, run_step

TEACHER, STUDENT = "teacher-ls0.1-s1", "student-plain-s1"
# a script of a plan that says what it was called with
SCRIPT = 'printf "%s " "$@" > "$(dirname "$0")/called"; exit 3\n'


@pytest.fixture
def folder(tmp_path):
    plan(resolve(config()), "", tmp_path)
    return tmp_path


def done(folder, name, step, machine=Machine()):  # noqa: B008  it is frozen
    said: list[str] = []
    code = run_step(Run(folder), name, step, machine, said.append, said.append)
    return code, said


@pytest.mark.parametrize("step, file", [("train", "model.pt"), ("decode", "test.hyp"), ("score", "metrics.json")])
def test_a_step_that_is_done_is_skipped(folder, step, file):
    (folder / "models" / STUDENT / file).touch()
    assert done(folder, STUDENT, step) == (0, [f"{step} {STUDENT}: done, skipped"])


@pytest.mark.parametrize("step, file, maker", [("decode", "model.pt", "train"), ("score", "test.hyp", "decode")])
def test_a_step_names_what_must_come_first(folder, step, file, maker):
    with pytest.raises(LskdError, match=rf"{file} does not exist: run experiments/steps/{maker}\.sh first"):
        done(folder, STUDENT, step)


def test_what_no_student_reads_is_not_made(folder):
    assert done(folder, TEACHER, "store") == (0, [f"store {TEACHER}: none is needed"])
    assert done(folder, TEACHER, "hypotheses") == (0, [f"hypotheses {TEACHER}: none are needed"])


def test_a_model_that_is_not_planned_is_refused(folder, capsys):
    assert main(["run-step", str(folder), "x", "train"]) == 2
    assert f"plan.json has no model 'x': one of {TEACHER}" in capsys.readouterr().err


def test_translations_without_their_header_are_chosen_again(folder):
    place = folder / "models" / TEACHER
    (place / "model.pt").touch()
    (place / "hypotheses.sh").write_text(SCRIPT)
    for name, files in {"beam": ["keys.npy"], "multi": ["keys.npy", "hypotheses.json"], "decoded": []}.items():
        (place / "hypotheses" / name).mkdir(parents=True)
        for file in files:
            (place / "hypotheses" / name / file).touch()
    assert done(folder, TEACHER, "hypotheses", Machine("cpu", 3))[0] == 3
    assert (place / "called").read_text() == "--device cpu --workers 3 "
    assert sorted(file.name for file in (place / "hypotheses").iterdir()) == ["decoded", "multi"]


def test_the_verb_gives_the_exit_code_of_what_it_runs(folder, capsys):
    place = folder / "models" / TEACHER
    (place / "model.pt").touch()
    (place / "store.sh").write_text(SCRIPT)
    with pytest.raises(SystemExit, match="3"):
        main(["run-step", "--device", "gpu", str(folder), TEACHER, "store"])
    said = capsys.readouterr()
    assert json.loads(said.out) == {"model": TEACHER, "step": "store", "exit_code": 3}
    assert said.err.endswith(f" store {TEACHER}\n") and (place / "called").read_text() == "--device cuda "


def test_the_best_checkpoint_is_published_or_the_last(folder):
    place = folder / "models" / STUDENT
    (place / "checkpoints").mkdir()
    for name in ("last", "best"):
        (place / "checkpoints" / f"checkpoint_{name}.pt").write_text(name)
        assert publish_model(Run(folder), STUDENT) == 0
        assert (place / "model.pt").read_text() == name and not (place / "model.pt.part").exists()
