"""JSON files that lack a key or hold another type: one line that names the file, the place and what is meant."""

import copy
import json
import pickle
import re

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.records import Plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage import files, records
from lskd_nmt.storage.typed import from_json

PLAN = {
    "name": "r",
    "data": {"folder": "data", "source_lang": "en", "target_lang": "de", "form": "raw"},
    "decode": {"beam": 5},
    "models": [
        {"name": "a", "role": "teacher", "teacher": None, "seed": 1, "train_command": ["x"], "label_smoothing": 0.1}
    ],
}


def written(file, content):
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def line(file, content):
    with pytest.raises(LskdError) as caught:
        Run(written(file, content).parent)
    return str(caught.value)


def test_a_plan_as_it_should_be_is_read(tmp_path):
    run = Run(written(tmp_path / "plan.json", PLAN).parent)
    assert run.plan == from_json(Plan, PLAN, "plan.json") and run.model("a").seed == 1
    assert run.models[0].temperature is None


@pytest.mark.parametrize(
    "path, value, part",
    [
        (("models",), {}, "models is {}, where a list is meant"),
        (("models",), None, "models is null, where a list is meant"),
        (("models", 0), "a", 'models[0] is "a", where an object is meant'),
        (("models", 0, "seed"), "1", 'models[0].seed is "1", where a whole number is meant'),
        (("models", 0, "seed"), True, "models[0].seed is true, where a whole number is meant"),
        (("models", 0, "label_smoothing"), float("nan"), "models[0].label_smoothing is NaN, where a finite number is"),
        (("models", 0, "label_smoothing"), 10**400, "where a finite number is meant"),
        (("models", 0, "train_command"), ["x", 3], "models[0].train_command[1] is 3, where text is meant"),
        (("data",), [], "data is [], where an object is meant"),
        (("data", "folder"), 3, "data.folder is 3, where text is meant"),
        (("models", 0, "name"), "../../home", 'models[0].name is "../../home", where the name of a folder is meant'),
        (("models", 0, "name"), "..", 'models[0].name is "..", where the name of a folder is meant'),
        (("models", 0, "role"), "pupil", 'models[0].role is "pupil", where teacher or student is meant'),
        (("name",), "x\x1b[31m\n" * 50, None),
    ],
)
def test_another_type_is_named_with_its_place(path, value, part, tmp_path):
    content = copy.deepcopy(PLAN)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    if part is None:
        assert Run(written(tmp_path / "plan.json", content).parent).plan.name == value
        return
    found = line(tmp_path / "plan.json", content)
    assert found.startswith(f"{tmp_path}/plan.json: ") and part in found and len(found) < 300 and found.isprintable()


@pytest.mark.parametrize("key", ["models", "data"])
def test_a_key_that_is_missing_is_named_with_its_file(key, tmp_path):
    content = {name: value for name, value in PLAN.items() if name != key}
    assert f"{tmp_path}/plan.json lacks '{key}': it was edited" in line(tmp_path / "plan.json", content)


def test_a_key_that_is_missing_deep_inside_is_named_where_it_is_asked_for(tmp_path):
    plan = files.read_json(written(tmp_path / "plan.json", PLAN))
    with pytest.raises(LskdError, match=r"plan\.json lacks 'target': it was edited"):
        plan["data"]["target"]
    again = pickle.loads(pickle.dumps(plan["models"][0]))  # what a worker is given
    with pytest.raises(LskdError, match=r"plan\.json lacks 'none'"):
        again["none"]


@pytest.mark.parametrize(
    "content, part",
    [
        ("", "is no readable JSON (line 1, column 1: Expecting value)"),
        ("[" * 100_000, "(nested too deeply)"),
        ("3", "holds no JSON dict"),
        ("null", "holds no JSON dict"),
        ("[]", "holds no JSON dict"),
        ('{"a": ' * 900 + "1" + "}" * 900, "nested too deeply"),
        ("\0", "is no readable JSON"),
    ],
)
def test_what_is_no_record_at_all(content, part, tmp_path):
    assert part in line(tmp_path / "plan.json", content)


def test_files_of_other_names_and_keys_may_hold_anything(tmp_path):
    assert files.read_json(written(tmp_path / "other.json", {"models": 3})) == {"models": 3}
    assert files.read_json(written(tmp_path / "plan.json", {"mine": [3, {"x": None}]}))["mine"] == [3, {"x": None}]


def test_every_shape_is_one_that_is_understood():
    def known(shape):
        if isinstance(shape, tuple | list):
            return all(map(known, shape))
        if isinstance(shape, dict):
            return all(map(known, shape.values()))
        return isinstance(shape, re.Pattern | type) or shape in (None, records.NUMBER, records.ANY_NUMBER)

    assert all(map(known, records.SHAPES.values()))
