"""Methods of distillation: files of flags that become students, and what tables say of them."""

import json

import pytest
import yaml

from lskd_nmt.cli import main
from lskd_nmt.cost.kinds import signal
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import read_config
from lskd_nmt.experiment.models import expand

CONFIG = {
    "name": "small",
    "data": {"corpus": "toy"},
    "teacher": {"arch": "ls_transformer_base", "train": {"max-epoch": 3}},
    "student": {
        "arch": "ls_transformer_tiny",
        "train": {"max-epoch": 2, "dropout": 0.2},
        "methods": ["mine", "word_kd"],
    },
}
MINE = {"about": "of our own", "flags": {"temperature": 2, "divergence": "reverse"}}


def write(folder, files=None, **student):
    """A config in `folder` with these methods beside it."""
    (folder / "methods").mkdir(exist_ok=True)
    for name, content in (files or {"mine": MINE}).items():
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (folder / "methods" / f"{name}.yaml").write_text(text)
    seeds = student.pop("seeds", [1])
    alphas = student.pop("alphas", [0.1])
    content = CONFIG | {"seeds": seeds, "student": CONFIG["student"] | student}
    content["teacher"] = CONFIG["teacher"] | {"label_smoothing": alphas}
    (folder / "x.yaml").write_text(yaml.safe_dump(content))
    return folder / "x.yaml"


def expanded(*arguments, **student):
    return {model.name: model for model in expand(read_config(write(*arguments, **student))).models}


def flags(model):
    """The flags of a training, without what every student has."""
    words = model.train_command
    names = (
        "teacher-path",
        "teacher-store",
        "kd-weight",
        "temperature",
        "label-smoothing",
        "divergence",
        "dropout",
        "r-drop",
        "rank",
        "top-k",
    )
    return {name: words[words.index(f"--{name}") + 1] for name in names if f"--{name}" in words}


def complaint(file):
    with pytest.raises(LskdError) as refused:
        expand(read_config(file))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_each_method_is_a_student_of_each_teacher_and_one_without_teacher_is_one_of_each_seed(tmp_path):
    r_drop = {"about": "two passes", "teacher": False, "flags": {"r-drop": 5, "kd-weight": 0}}
    models = expanded(
        tmp_path, {"mine": MINE, "r_drop": r_drop}, alphas=[0, 0.1], seeds=[1, 2], methods=["r_drop", "mine"]
    )
    assert list(models) == [
        "teacher-ls0-s1",
        "teacher-ls0-s2",
        "teacher-ls0.1-s1",
        "teacher-ls0.1-s2",
        "student-plain-s1",
        "student-plain-s2",
        "student-r_drop-s1",
        "student-ls0-mine-s1",
        "student-ls0.1-mine-s1",
        "student-r_drop-s2",
        "student-ls0-mine-s2",
        "student-ls0.1-mine-s2",
    ]
    mine, alone = models["student-ls0.1-mine-s2"], models["student-r_drop-s2"]
    assert flags(mine) == {
        "teacher-path": "models/teacher-ls0.1-s2/model.pt",
        "kd-weight": "0.5",
        "temperature": "2",
        "label-smoothing": "0.0",
        "divergence": "reverse",
        "dropout": "0.2",
    }
    assert flags(alone) == {"r-drop": "5", "kd-weight": "0", "label-smoothing": "0.0", "dropout": "0.2"}
    names = ("method", "teacher", "label_smoothing", "temperature", "kd_weight", "kd_level", "tail", "top_k")
    assert [getattr(mine, name) for name in names] == ["mine", "teacher-ls0.1-s2", 0.1, 2.0, 0.5, "word", "dense", 0]
    assert [getattr(alone, name) for name in names] == ["r_drop", None, None, None, 0.0, None, None, None]
    assert signal(alone.train_command) == "plain" and signal(mine.train_command) == "live teacher"


def test_a_method_has_the_last_word_on_every_flag_that_it_names(tmp_path):
    content = {"about": "x", "flags": {"label-smoothing": 0.3, "top-k": 8, "kd_weight": "1e0"}}
    models = expanded(tmp_path, {"mine": content}, label_smoothing=0.1)
    assert flags(models["student-ls0.1-mine-s1"]) == {
        "teacher-path": "models/teacher-ls0.1-s1/model.pt",
        "kd-weight": "1e0",
        "temperature": "1.0",
        "label-smoothing": "0.3",
        "dropout": "0.2",
        "top-k": "8",
    }
    facts = models["student-ls0.1-mine-s1"]
    assert (facts.kd_weight, facts.tail, facts.top_k) == (1.0, "bucket", 8)
    assert flags(models["student-plain-s1"])["dropout"] == "0.2"


def test_a_store_serves_all_methods_but_live_ones_and_those_without_teacher(tmp_path):
    methods = {"mine": MINE, "live": {"about": "x", "live": True}, "alone": {"about": "x", "teacher": False}}
    models = expanded(tmp_path, methods, methods=list(methods), store="features")
    read = {name: sorted({"teacher-path", "teacher-store"} & set(flags(model))) for name, model in models.items()}
    assert read == {
        "teacher-ls0.1-s1": [],
        "student-plain-s1": [],
        "student-ls0.1-mine-s1": ["teacher-store"],
        "student-ls0.1-live-s1": ["teacher-path"],
        "student-alone-s1": [],
    }
    assert models["teacher-ls0.1-s1"].store_command[-4:-2] == ("--keep", "features")
    assert signal(models["student-alone-s1"].train_command) == "no teacher"
    without = expanded(tmp_path, methods, methods=["live", "alone"], store="features")
    assert without["teacher-ls0.1-s1"].store_command == ()


def test_the_method_beside_the_config_is_taken_before_the_one_that_ships(tmp_path):
    assert flags(expanded(tmp_path)["student-ls0.1-word_kd-s1"])["kd-weight"] == "0.5"
    models = expanded(tmp_path, {"mine": MINE, "word_kd": {"about": "x", "flags": {"kd-weight": 0.7}}})
    assert flags(models["student-ls0.1-word_kd-s1"])["kd-weight"] == "0.7"


@pytest.mark.parametrize(
    ("methods", "student", "part"),
    [
        ({}, {"methods": ["word_dk"]}, "student.methods has word_dk, and there is no "),
        ({}, {"methods": ["word_dk"]}, "methods/word_dk.yaml: the nearest valid one is word_kd"),
        ({}, {"methods": []}, "student.methods is [], it must be a list of different values"),
        ({}, {"methods": ["../x"]}, "student.methods is ['../x'], it must be a name of letters"),
        ({}, {"methods": "plain"}, "student.methods has plain, which is another row of tables: rename it"),
        ({}, {"temperature": 2}, "student.methods and student.temperature are given: a method's flags say that"),
        ({}, {"temper": "both"}, "student.methods and student.temper are given"),
        ({}, {"store": "top-k"}, "student.store is top-k, and student.methods are given: use features, or none"),
        ({"mine": "- 1"}, {}, "methods/mine.yaml holds no 'key: value' lines: give it about, teacher, live, flags"),
        ({"mine": "a: [1"}, {}, "methods/mine.yaml is not YAML"),
        ({"mine": {"flags": {}}}, {}, "methods/mine.yaml: about is missing"),
        ({"mine": {"about": "x", "flag": {}}}, {}, "unknown key 'flag', the nearest valid one is 'flags'"),
        ({"mine": {"about": "x\ny"}}, {}, "it must be one line of text"),
        (
            {"mine": {"about": "x", "live": True, "teacher": False}},
            {},
            "live is true, and teacher is false: remove one",
        ),
        (
            {"mine": {"about": "x", "flags": {"rank": {"a": 1}}}},
            {},
            "it must be kd_ls flags without dashes and with one",
        ),
        ({"mine": {"about": "x", "flags": {"--rank": 1}}}, {}, "it must be kd_ls flags without dashes and with one"),
        (
            {"mine": {"about": "x", "flags": {"r-drop": 1, "r_drop": 2}}},
            {},
            "with one value each, 'kd-weight: 0.5', each",
        ),
        (
            {"mine": {"about": "x", "flags": {"temperature": 0}}},
            {},
            "flags.temperature is 0, it must be a number above 0",
        ),
        ({"mine": {"about": "x", "flags": {"kd-weight": "all"}}}, {}, "flags.kd-weight is 'all', it must be"),
        ({"mine": {"about": "x", "flags": {"max-epoch": 50}}}, {}, "flags.max-epoch is no flag of kd_ls that a method"),
        ({"mine": {"about": "x", "flags": {"teacher_path": "a"}}}, {}, "flags.teacher-path is no flag of kd_ls that"),
        ({"mine": {"about": "x", "flags": {"divergance": "tvd"}}}, {}, "may set, the nearest one is divergence"),
        (
            {"mine": {"about": "x", "flags": {"kd-passes": 3}}},
            {},
            "flags.kd-passes needs the teacher beside the student",
        ),
        (
            {"word_kd": {"about": "x"}, "ls0.1-word_kd": {"about": "x", "teacher": False}},
            {"methods": ["word_kd", "ls0.1-word_kd"]},
            "student.methods make student-ls0.1-word_kd-s1 twice: rename one",
        ),
    ],
)
def test_what_is_no_method_is_refused_in_one_line(tmp_path, methods, student, part):
    assert part in complaint(write(tmp_path, {"mine": MINE} | methods, **student))


def test_a_run_keeps_its_methods_and_may_grow_by_new_ones(tmp_path, capsys):
    file, run = write(tmp_path), tmp_path / "run"

    def plan(config=file):
        code = main(["plan", str(config), "--out", str(run)])
        return code, capsys.readouterr().err

    assert plan() == (0, "")
    content = json.loads((run / "plan.json").read_text())
    assert content["config"]["student"]["methods"]["mine"] == {
        "about": "of our own",
        "teacher": True,
        "live": False,
        "flags": MINE["flags"],
    }
    before = (run / "plan.json").read_bytes()
    assert plan(run / "config.yaml") == (0, "") and (run / "plan.json").read_bytes() == before
    (run / "models" / "student-ls0.1-mine-s1" / "model.pt").touch()
    edited = {"mine": MINE | {"flags": {**MINE["flags"], "temperature": 3}}}
    code, err = plan(write(tmp_path, edited))
    assert code == 2 and err.count("\n") == 1
    assert "was made with student.methods.mine.flags.temperature = 2, the config now says 3: change it back" in err
    assert (run / "plan.json").read_bytes() == before
    assert plan(write(tmp_path, {"mine": MINE} | {"new": edited["mine"]}, methods=["mine", "new", "word_kd"]))[0] == 0
    names = [model["name"] for model in json.loads((run / "plan.json").read_text())["models"]]
    assert names[-3:] == ["student-ls0.1-mine-s1", "student-ls0.1-new-s1", "student-ls0.1-word_kd-s1"]
