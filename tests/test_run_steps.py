"""Which analyses a run gets, from made-up plans; one model is read, for features of another sample."""

import json
import os

import pytest

from lskd_nmt.analysis.model_groups import shared
from lskd_nmt.analysis.run_steps import Analyses
from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.run import Run


def student(alpha, temperature, seed, **facts):
    return {
        "name": f"s-{alpha}-{temperature}-{seed}{facts.get('tail', '')}",
        "role": "student",
        "seed": seed,
        "teacher": f"t-{alpha}",
        "label_smoothing": alpha,
        "temperature": temperature,
        "kd_weight": 1.0,
        "kd_level": "word",
        "hypotheses": None,
        "tail": "dense",
        "top_k": 0,
        **facts,
    }


def teacher(alpha):
    return {
        "name": f"t-{alpha}",
        "role": "teacher",
        "seed": 1,
        "teacher": None,
        "label_smoothing": alpha,
        "temperature": None,
        "kd_weight": 0.0,
    }


PLAIN = {
    "name": "plain",
    "role": "student",
    "seed": 1,
    "teacher": None,
    "label_smoothing": None,
    "temperature": None,
    "kd_weight": 0.0,
}


@pytest.fixture
def run(tmp_path):
    """A factory: a run folder with these models, those named in `untrained` without a model.pt."""

    def build(models, untrained=()):
        for model in models:
            folder = tmp_path / "models" / model["name"]
            folder.mkdir(parents=True)
            if model["name"] not in untrained:
                (folder / "model.pt").touch()
        data = {"folder": "data", "source_lang": "en", "target_lang": "de"}
        plan = {"name": "x", "data": data, "decode": {"beam": 4}, "models": models}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        return Run(tmp_path)

    return build


def calls(run, verb):
    """The words of each call of a verb, folders by their names alone."""
    steps = Analyses(run, 500).steps()
    return [
        " ".join(word.replace(f"{run.folder}/features/", "") for word in step.words[1:-2])
        for step in steps
        if step.words[0] == verb
    ]


def test_students_are_compared_over_the_seeds_that_all_their_temperatures_have(run):
    grid = [student(alpha, t, seed) for alpha in (0, 0.1) for t in (1, 64) for seed in (1, 2)]
    more = [student(0.1, 1, 3), student(0.1, 2, 1)]  # T = 2 has students of one teacher only: it is left out
    lone = [student(0.1, 64, 1, tail="bucket", top_k=8)]  # has no T = 1 beside it
    made = run([teacher(0), teacher(0.1), *grid, *more, *lone], untrained=["s-0-64-2"])
    assert calls(made, "diffuse") == [
        "--teacher t-0.1.train --students 1=s-0.1-1-1.train 64=s-0.1-64-1.train "
        "--control 1=s-0-1-1.train 64=s-0-64-1.train"
    ]


def test_without_another_label_smoothing_there_is_no_control(run):
    made = run([teacher(0.1), *(student(0.1, t, seed) for t in (1, 2) for seed in (1, 2))])
    assert calls(made, "diffuse") == [
        "--teacher t-0.1.train --students 1=s-0.1-1-1.train:s-0.1-1-2.train 2=s-0.1-2-1.train:s-0.1-2-2.train"
    ]


def test_models_of_a_seed_stand_side_by_side_against_the_plain_one(run):
    made = run([teacher(0), teacher(0.1), PLAIN, student(0.1, 1, 1), student(0.1, 1, 2)])
    teachers = "t-0=t-0.valid t-0.1=t-0.1.valid"
    assert calls(made, "confidence") == [
        f"--models {teachers} plain=plain.valid s-0.1-1-1=s-0.1-1-1.valid --baseline plain --teacher t-0.1",
        f"--models {teachers} s-0.1-1-2=s-0.1-1-2.valid --teacher t-0.1",
    ]
    names = "t-0", "t-0.1", "plain", "s-0.1-1-1", "s-0.1-1-2"
    assert calls(made, "calibrate") == [f"{name}.{kind}" for name in names for kind in ("valid", "own")]
    assert calls(made, "diagnose") == ["--teacher t-0.valid", "--teacher t-0.1.valid"]


def test_a_model_is_asked_about_the_reference_a_sample_and_its_own_translations(run):
    made = Analyses(run([teacher(0.1)]), 500).steps()[:3]
    asked = [" ".join(step.words[step.words.index("--split") : step.words.index("--device")]) for step in made]
    assert asked == ["--split valid", "--split train --tokens 500", "--split valid --own-output 4"]


def test_a_teachers_translations_are_held_against_those_of_its_first_student(run):
    made = run([teacher(0), teacher(0.1), student(0.1, 1, 1), student(0.1, 2, 1)])
    for split, lang in (("test", "de"), ("test", "en"), ("train", "de")):
        file = made.folder / "data" / "clean" / f"{split}.{lang}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for name in ("t-0", "t-0.1", "s-0.1-1-1", "s-0.1-2-1"):
        (made.model_folder(name) / "test.hyp").touch()
    alone, together = (call.replace(f"{made.folder}/", "") for call in calls(made, "diagnose"))
    assert alone == "--teacher t-0.valid"  # it has no student
    assert together == (
        "--teacher t-0.1.valid --hypotheses models/t-0.1/test.hyp models/s-0.1-1-1/test.hyp "
        "--reference data/clean/test.de --source data/clean/test.en "
        "--train-target data/clean/train.de"
    )


def test_robustness_is_measured_once_texts_and_translations_are_there(run):
    made = run([teacher(0.1), student(0.1, 1, 1)])
    assert calls(made, "robustness") == []
    for split in ("test", "train"):
        for lang in ("en", "de"):
            file = made.folder / "data" / "clean" / f"{split}.{lang}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    assert calls(made, "robustness") == []
    (made.model_folder("t-0.1") / "test.hyp").touch()
    (step,) = [step for step in Analyses(made, 500, "cpu").steps() if step.words[0] == "robustness"]
    out = made.folder / "analysis"
    assert list(step.words) == ["robustness", str(made.folder), "--device", "cpu", "--out", str(out)]
    assert step.output == out / "robustness.json" and list(step.inputs) == [made.model_folder("t-0.1") / "test.hyp"]


def test_groups_that_differ_in_more_than_temperature_have_names_of_their_own(run):
    kinds = [
        {},
        {"tail": "bucket", "top_k": 8},
        {"kd_weight": 0.5, "tail": ""},
        {"method": "jsd", "tail": None},
        {"kd_level": "both", "hypotheses": "beam", "tail": "uniform", "top_k": 4},
    ]
    students = [student(0.1, t, 1, **kind) | {"name": f"s{n}-{t}"} for n, kind in enumerate(kinds) for t in (1, 2)]
    steps = Analyses(run([teacher(0.1), *students]), 500).steps()
    names = [step.output.parent.name for step in steps if step.words[0] == "diffuse"]
    assert names == [
        "diffusion-dense",
        "diffusion-bucket8",
        "diffusion-dense-w0.5",
        "diffusion-jsd-dense",
        "diffusion-both-beam-uniform4",
    ]


def test_what_is_there_stays_until_something_younger_is_in_it(run):
    step = Analyses(run([teacher(0.1)]), 500).steps()[0]
    (checkpoint,) = step.inputs
    assert not step.is_done
    step.output.parent.mkdir(parents=True)
    step.output.touch()
    os.utime(checkpoint, (1, 1))
    assert step.is_done
    os.utime(step.output, (0, 0))
    assert not step.is_done


def test_another_sample_is_taken_anew(run):
    made = run([teacher(0.1)])
    train = Analyses(made, 500).steps()[1]
    train.output.parent.mkdir(parents=True)
    train.output.write_text(json.dumps({"sample": {"tokens": 500, "seed": 1}}))
    os.utime(*train.inputs, (1, 1))
    assert Analyses(made, 500).steps()[1].is_done
    assert not Analyses(made, 600).steps()[1].is_done


def test_a_method_without_a_teacher_is_not_the_student_without_one(run):
    r_drop = PLAIN | {"name": "r", "method": "r_drop"}
    assert "--baseline" not in calls(run([teacher(0.1), r_drop]), "confidence")[0]


def test_seeds_of_one_temperature_alone_are_nothing_to_compare():
    assert shared({1.0: {1: {}, 2: {}}}, {}) == []
    assert shared({2.0: {1: {}}, 64.0: {1: {}}}, {}) == []
    assert shared({1.0: {1: {}, 2: {}}, 2.0: {2: {}}, 64.0: {3: {}}}, {}) == [([2.0], [2])]


def test_temperatures_of_other_seeds_are_compared_apart(run):
    some = [
        student(0.1, t, seed) for t, seeds in ((1, (1, 2, 3)), (2, (1, 2)), (3, (1, 2)), (64, (2, 3))) for seed in seeds
    ]
    steps = Analyses(run([teacher(0.1), *some]), 500).steps()
    made = {
        step.output.parent.name: " ".join(step.words).replace(f"{step.output.parents[2]}/features/", "")
        for step in steps
        if step.words[0] == "diffuse"
    }
    assert list(made) == ["diffusion-dense-t2-3", "diffusion-dense-t64"]
    assert "64=s-0.1-64-2.train:s-0.1-64-3.train" in made["diffusion-dense-t64"]
    assert "1=s-0.1-1-1.train:s-0.1-1-2.train 2=" in made["diffusion-dense-t2-3"]


def test_a_run_without_models_is_refused(run, capsys):
    made = run([teacher(0.1)], untrained=["t-0.1"])
    with pytest.raises(LskdError, match="has no trained model: train them first"):
        Analyses(made, 500)
    assert main(["analyse", str(made.folder)]) == 2
    assert capsys.readouterr().err == f"lskd analyse: error: {made.folder} has no trained model: train them first\n"


def test_another_sample_replaces_the_one_that_is_there(checkpoint, pieces, tmp_path, capsys):
    model = teacher(0.1)
    plan = {
        "name": "x",
        "data": {"folder": str(pieces.parent), "source_lang": "aa", "target_lang": "bb"},
        "decode": {"beam": 2},
        "models": [model],
    }
    folder = tmp_path / "models" / model["name"]
    folder.mkdir(parents=True)
    (folder / "model.pt").symlink_to(checkpoint)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    made = []
    for tokens in (30, 60):
        assert main(["analyse", str(tmp_path), "--tokens", str(tokens), "--device", "cpu"]) == 0
        made.append(json.loads(capsys.readouterr().out)["made"])
        sample = json.loads((tmp_path / "features" / f"{model['name']}.train" / "header.json").read_text())["sample"]
        assert sample["tokens"] == tokens
    assert made == [6, 1]  # three kinds of features, two calibrations, a diagnosis; then the sample alone
    commands = (tmp_path / "analysis" / "commands.txt").read_text().splitlines()
    assert json.loads(next((tmp_path / "analysis").glob("calibration-*.json")).read_text())["command"] in commands
