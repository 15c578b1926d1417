"""plan.json, run.json and curve.json as records: read and written again they are the same, and old ones are read."""

import copy
import json

import pytest
from test_plan import config

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.records import Calls, CurvePoint, Plan, RunRecord, plan_json, read_curve, write_curve
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import write_json
from lskd_nmt.storage.typed import from_json, read_record, to_json

LEVELS = {"kd_level": ["word", "both", "sequence"], "tail": ["dense", "bucket:8"], "kd_weight": [1, 0.5]}
FLAGS = {"eval-bleu-args": {"beam": 2}}
METHODS = {"kl": {"about": "x", "flags": {"kd-weight": 1}}, "r_drop": {"about": "y", "teacher": False, "flags": {}}}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"student": LEVELS, "data": {"tokenize": "intl"}},
        {
            "student": {"methods": METHODS},
            "teacher": {"average": {"last": 3}},
            "train": {"eval-bleu-args": {"beam": 2}},
        },
    ],
)
def test_a_plan_that_is_read_is_written_as_it_was(tmp_path, sections):
    plan(resolve(config(**sections)), "", tmp_path)
    text = (tmp_path / "plan.json").read_text()
    found = read_record(tmp_path / "plan.json", Plan)
    assert json.dumps(plan_json(found), indent=1, ensure_ascii=False) + "\n" == text
    assert found.config.student.store == "none" and found.models[0].role == "teacher"
    assert [model.is_plain for model in found.models[:2]] == [False, True]


OLD = {
    "name": "r",
    "data": {"folder": "data", "source_lang": "en", "target_lang": "de"},
    "models": [{"name": "a", "role": "teacher", "teacher": None, "seed": 1, "train_command": ["x"]}],
    "config": {"student": {"arch": "tiny", "temperature": [2.0]}, "later": 3},
}


def test_a_plan_of_before_has_defaults_for_what_is_new_since():
    found = from_json(Plan, OLD, "plan.json")
    assert found.models[0].average is None and found.models[0].kd_weight == 0.0
    assert found.config.student.temperature == (2.0,) and found.config.student.kd_level == ("word",)
    assert found.config.seqkd.beam == found.decode.beam == 5


@pytest.mark.parametrize(
    "path, value, part",
    [
        (("models", 0, "role"), None, "plan.json lacks 'role' in models[0]: "),
        (("models", 0, "train_command"), ["x", 3], "plan.json: models[0].train_command[1] is 3, where text is meant"),
        (("config", "student", "temperature"), 2, "plan.json: config.student.temperature is 2, where a list is meant"),
        (("data", "folder"), None, "plan.json lacks 'folder' in data: "),
    ],
)
def test_what_a_plan_lacks_is_named(path, value, part):
    content = copy.deepcopy(OLD)
    place = content
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    if value is not None:
        place[path[-1]] = value
    with pytest.raises(LskdError) as caught:
        from_json(Plan, content, "plan.json")
    assert part in str(caught.value)


def test_a_run_gives_its_records(tmp_path):
    write_json(tmp_path / "plan.json", OLD)
    write_json(tmp_path / "models" / "a" / "run.json", {"wall_seconds": 3.0, "cpu_seconds": 4, "attempts": [{}]})
    write_json(tmp_path / "models" / "a" / "curve.json", [{"epoch": 1, "valid_loss": float("nan")}])
    run = Run(tmp_path)
    assert run.model("a") == run.models[0] == run.plan.models[0]
    assert run.run_record("a").cpu_seconds == 4 and run.run_record("a").attempts[0].command == ()
    assert run.curve("a")[0].epoch == 1
    with pytest.raises(LskdError, match=r"plan\.json has no model 'b': one of a"):
        run.model("b")


def test_a_curve_has_the_numbers_of_its_log_alone(tmp_path):
    file = tmp_path / "curve.json"
    entries = [{"epoch": 1, "valid_loss": 4.5, "updates": 10}, {"epoch": 2, "valid_kd_loss": 0.5, "train_ppl": 3.0}]
    write_json(file, entries)
    curve = read_curve(file)
    assert curve[1] == CurvePoint(2, valid_kd_loss=0.5, train_ppl=3.0)
    write_curve(tmp_path / "again.json", curve)
    assert json.loads((tmp_path / "again.json").read_text()) == entries
    file.write_text(json.dumps([{"valid_loss": 4.5}]))
    with pytest.raises(LskdError, match=r"curve\.json lacks 'epoch' in \[0\]"):
        read_curve(file)


def test_whole_numbers_of_a_training_stay_whole():
    attempt = {"command": ["x"], "commit": None, "exit_code": 0, "wall_seconds": 1.5, "peak_memory_mb": 900}
    found = from_json(RunRecord, {"parameters": 7, "wall_seconds": 2, "attempts": [attempt]}, "run.json")
    assert str(to_json(found)["wall_seconds"]) == "2" and str(found.attempts[0].peak_memory_mb) == "900"
    assert from_json(Calls, {"calls": []}, "run.json") == Calls()
