"""The config's checks and its expansion, worked out by hand."""

import json
import shlex
import subprocess

import pytest

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import read_config, resolve
from lskd_nmt.experiment.fairseq_commands import RESERVED, TRAINING_DEFAULTS
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.records import PlannedData
from lskd_nmt.experiment.scripts import as_arguments, command_script
from lskd_nmt.storage.typed import to_json

MINIMAL = """
name: small
data: {corpus: toy}
teacher: {arch: ls_transformer_base, train: {max-epoch: 3}}
student: {arch: ls_transformer_tiny, train: {max-epoch: 2}}
"""


def config(**sections):
    base = {
        "name": "small",
        "data": {"corpus": "toy"},
        "teacher": {"arch": "ls_transformer_base", "train": {"max-epoch": 3}},
        "student": {"arch": "ls_transformer_tiny", "train": {"max-epoch": 2}},
    }
    for name, value in sections.items():
        base[name] = {**base[name], **value} if isinstance(base.get(name), dict) else value
    return base


def expanded(**sections):
    return {model.name: model for model in expand(resolve(config(**sections))).models}


def flag(model, name):
    argv = model.train_command
    return argv[argv.index(f"--{name}") + 1]


def complaint(content):
    with pytest.raises(LskdError) as refused:
        expand(resolve(content, "x.yaml"))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_grid_is_teachers_then_plain_students_then_one_student_per_teacher_and_temperature():
    models = expanded(teacher={"label_smoothing": [0, 0.1]}, student={"temperature": [1, 2.5]}, seeds=[1, 7])
    assert list(models) == [
        "teacher-ls0-s1",
        "teacher-ls0-s7",
        "teacher-ls0.1-s1",
        "teacher-ls0.1-s7",
        "student-plain-s1",
        "student-plain-s7",
        "student-ls0-t1-s1",
        "student-ls0-t2.5-s1",
        "student-ls0-t1-s7",
        "student-ls0-t2.5-s7",
        "student-ls0.1-t1-s1",
        "student-ls0.1-t2.5-s1",
        "student-ls0.1-t1-s7",
        "student-ls0.1-t2.5-s7",
    ]


def test_a_student_learns_from_the_teacher_of_its_own_seed():
    student = expanded(seeds=[1, 7], student={"temperature": 2, "kd_weight": 0.5})["student-ls0.1-t2-w0.5-s7"]
    assert flag(student, "teacher-path") == "models/teacher-ls0.1-s7/model.pt"
    assert (flag(student, "temperature"), flag(student, "kd-weight"), flag(student, "seed")) == ("2.0", "0.5", "7")
    assert "--no-temperature-squared" not in student.train_command
    assert (student.teacher, student.label_smoothing, student.temperature) == ("teacher-ls0.1-s7", 0.1, 2.0)


def test_one_teacher_serves_the_students_of_all_seeds():
    models = expanded(teacher={"seed": 7}, seeds=[1, 2])
    assert list(models) == [
        "teacher-ls0.1-s7",
        "student-plain-s1",
        "student-plain-s2",
        "student-ls0.1-t1-s1",
        "student-ls0.1-t1-s2",
    ]
    assert [flag(models[f"student-ls0.1-t1-s{seed}"], "seed") for seed in (1, 2)] == ["1", "2"]
    assert flag(models["student-ls0.1-t1-s2"], "teacher-path") == "models/teacher-ls0.1-s7/model.pt"


def test_tails_and_weights_are_axes_of_the_grid():
    models = expanded(student={"plain": False, "tail": ["dense", "bucket:8"], "kd_weight": [1, 0.5], "temperature": 2})
    assert list(models)[1:] == [
        "student-ls0.1-t2-s1",
        "student-ls0.1-bucket8-t2-s1",
        "student-ls0.1-t2-w0.5-s1",
        "student-ls0.1-bucket8-t2-w0.5-s1",
    ]
    model = models["student-ls0.1-bucket8-t2-w0.5-s1"]
    assert (flag(model, "top-k"), flag(model, "tail"), flag(model, "kd-weight")) == ("8", "bucket", "0.5")
    assert (model.tail, model.top_k, model.kd_weight) == ("bucket", 8, 0.5)
    assert "--top-k" not in models["student-ls0.1-t2-s1"].train_command


@pytest.mark.parametrize(
    ("keep", "tails", "words"),
    [
        ("features", ["dense", "renormalise:4"], ["--keep", "features"]),
        ("top-k", ["bucket:8", "renormalise:4"], ["--keep", "top-k", "--top-k", "8", "--temperatures", "1,64"]),
    ],
)
def test_a_store_keeps_what_its_students_read(keep, tails, words):
    models = expanded(student={"store": keep, "tail": tails, "temperature": [1, 64]})
    teacher, student = models["teacher-ls0.1-s1"], models["student-ls0.1-renormalise4-t64-s1"]
    command = teacher.store_command
    assert command[:2] == ("lskd", "teacher-store") and command[-2:] == ("--out", "models/teacher-ls0.1-s1/store")
    assert [*command[command.index("--keep") : -2]] == words
    assert flag(student, "teacher-store") == "models/teacher-ls0.1-s1/store"
    assert "--teacher-path" not in student.train_command


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        (
            {"student": {"tail": ["bucket"]}},
            "student.tail is ['bucket'], it must be dense, or bucket, uniform or "
            "renormalise with its number of symbols, such as bucket:8",
        ),
        ({"student": {"store": "top-k"}}, "student.tail has dense, and student.store is top-k"),
        ({"student": {"store": "features", "kd_level": "both"}}, "student.store is features, and student.kd_level is"),
        ({"teacher": {"run": "elsewhere"}}, "data.dir is missing, teacher.run needs it"),
    ],
)
def test_what_does_not_go_together_is_refused(sections, line):
    content = config(**{name: {**config()[name], **value} for name, value in sections.items()})
    assert line in complaint(content)


def test_teachers_and_plain_students_have_no_teacher():
    models = expanded(student={"label_smoothing": 0.2})
    for name, smoothing in (("teacher-ls0.1-s1", "0.1"), ("student-plain-s1", "0.2")):
        assert flag(models[name], "kd-weight") == "0"
        assert flag(models[name], "label-smoothing") == smoothing
        assert "--teacher-path" not in models[name].train_command


def test_without_plain_there_is_no_plain_student():
    assert "student-plain-s1" not in expanded(student={"plain": False})


def test_the_objective_options_reach_the_command():
    student = expanded(student={"temper": "teacher", "smoothing_over": "vocabulary", "temperature_squared": False})
    model = student["student-ls0.1-t1-s1"]
    assert flag(model, "temper") == "teacher" and flag(model, "smoothing-over") == "vocabulary"
    assert "--no-temperature-squared" in model.train_command


def test_a_models_own_flags_win_over_the_shared_ones_and_those_over_the_defaults():
    models = expanded(
        train={"lr": "1e-3", "dropout": 0.2, "patience": None, "eval-bleu": False},
        teacher={"train": {"max-epoch": 3, "dropout": 0.4}},
    )
    teacher, student = models["teacher-ls0.1-s1"], models["student-plain-s1"]
    assert flag(teacher, "dropout") == "0.4" and flag(student, "dropout") == "0.2"
    assert flag(teacher, "lr") == "1e-3"
    assert flag(teacher, "clip-norm") == "0.0"
    assert not {"--patience", "--eval-bleu"} & set(teacher.train_command)


def test_every_default_has_a_reason_and_none_is_the_pipelines_own():
    names = [name for name, _, _ in TRAINING_DEFAULTS]
    assert all(reason for _, _, reason in TRAINING_DEFAULTS)
    assert len(set(names)) == len(names) and not set(names) & set(RESERVED)


def test_flags_become_words():
    assert as_arguments("eval-bleu", True) == ["--eval-bleu"]
    assert as_arguments("eval-bleu", False) == as_arguments("patience", None) == []
    assert as_arguments("eval-bleu-args", {"beam": 1}) == ["--eval-bleu-args", '{"beam": 1}']
    assert as_arguments("lr", 0.0001) == ["--lr", "0.0001"]


def test_tokenised_data_is_validated_on_detokenised_text():
    data = {"corpus": "iwslt14_en_de", "form": "fairseq14"}
    model = expanded(data=data)["teacher-ls0.1-s1"]
    assert flag(model, "eval-bleu-detok") == "moses"
    assert json.loads(flag(model, "eval-bleu-detok-args")) == {"target_lang": "de"}


def test_the_languages_of_named_corpora_are_known():
    langs = {name: expand(resolve(config(data={"corpus": name}))).data for name in ("toy", "iwslt_en_ru")}
    assert langs["toy"].langs == ("en", "de")
    assert langs["iwslt_en_ru"].target_lang == "ru"


def test_decoding_drops_no_row():
    command = expanded()["teacher-ls0.1-s1"].decode_command
    assert command[command.index("--required-batch-size-multiple") + 1] == "1"


def test_an_unknown_key_is_refused_with_the_nearest_valid_one():
    text = complaint(config(student={"temprature": 2}))
    assert "unknown key 'student.temprature', the nearest valid one is 'student.temperature'" in text
    assert "'seeds'" in complaint(config(seed=[1]))


def test_all_complaints_come_at_once():
    text = complaint(config(student={"temperature": 0, "kd_weight": 2}, decode={"beam": "five"}))
    assert "student.temperature is 0, it must be a number above 0" in text
    assert "student.kd_weight is 2" in text and "decode.beam is 'five', it must be a whole number from 1" in text


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"teacher": {"label_smoothing": 1}}, "it must be a number from 0 up to, not including, 1"),
        ({"teacher": {"label_smoothing": [0.1, 0.1]}}, "a list of different values"),
        ({"seeds": []}, "seeds is [], it must be a list of different values, at least one"),
        ({"student": {"temperature": float("nan")}}, "student.temperature is nan"),
        ({"student": {"kd_weight": 0}}, "a number above 0, at most 1"),
        ({"student": {"kd_weight": True}}, "a number above 0, at most 1"),
        ({"student": {"plain": "no thanks"}}, "it must be true or false"),
        ({"student": {"temper": "student"}}, "it must be one of both, teacher"),
        ({"student": {"arch": None}}, "student.arch is missing"),
        ({"name": "a b"}, "name is 'a b', it must be a name of letters"),
        ({"train": {"lr": [1, 2]}}, "train is {'lr': [1, 2]}, it must be fairseq-train flags"),
        ({"decode": 3}, "decode is 3, it must hold 'key: value' lines"),
        ({"data": {"corpus": None}}, "data.corpus is missing"),
        ({"data": {"corpus": "files"}}, "data.target_lang is missing, data.corpus 'files' needs it"),
        ({"data": {"corpus": None, "dir": "/a:b"}}, "data.dir is '/a:b', and to fairseq a colon ends a path"),
        ({"data": {"corpus": "toyy"}}, "data.corpus is 'toyy', it must be one of files, iwslt14_en_de, "),
        ({"data": {"source_lang": "de", "target_lang": "de"}}, "data.source_lang and data.target_lang are both de"),
        ({"data": {"target_lang": "en"}}, "data.source_lang and data.target_lang are both en"),
        ({"data": {"target_lang": "fr"}}, "toy: language pair en-fr is not in the toy grammar: use en-de or en-ru"),
        ({"data": {"source_lang": "de", "target_lang": "en"}}, "language pair de-en is not in the toy grammar"),
        ({"data": {"corpus": "iwslt_en_ru", "source_lang": "e.n"}}, "data.source_lang is 'e.n', it must be a code"),
        ({"data": {"max_ratio": 0.5}}, "data.max_ratio is 0.5, it must be a number from 1, or 0 for any"),
        ({"data": {"form": "fairseq14"}}, "data.form is fairseq14, the recipe of iwslt14_en_de"),
        ({"data": {"dir": "x"}}, "data.dir names a prepared folder, so data.corpus has no say"),
        ({"data": {"train": 5}}, "data.train is 5, it must be a path"),
        ({"teacher": {"train": {}}}, "teacher.train has neither max-epoch nor max-update: say when to stop"),
        ({"train": {"seed": 3}}, "train.seed is set by the pipeline: use seeds"),
        ({"train": {"save_dir": "x"}}, "train.save-dir is set by the pipeline: remove it"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(change, part):
    assert part in complaint(config(**change))


def test_a_path_may_hold_environment_variables_that_are_set(monkeypatch, tmp_path):
    data = {"corpus": "files", "source_lang": "en", "target_lang": "de"}
    data |= {split: "${MY_TEXT}/" + split for split in ("train", "valid", "test")}
    monkeypatch.setenv("MY_TEXT", str(tmp_path))
    assert resolve(config(data=data)).data.valid == str(tmp_path / "valid")
    monkeypatch.delenv("MY_TEXT")
    assert "MY_TEXT is not: export MY_TEXT=FOLDER" in complaint(config(data=data))


def test_text_that_is_no_config_is_refused(tmp_path, capsys):
    cases = {
        "a: [1": "is not YAML",
        "- 1": "holds no 'key: value' lines",
        "name: a\nname: b": "line 1: key 'name' stands twice: keep one",
    }
    for text, part in cases.items():
        file = tmp_path / "x.yaml"
        file.write_text(text)
        assert main(["plan", str(file), "--out", str(tmp_path / "run")]) == 2
        err = capsys.readouterr().err
        assert part in err and err.count("\n") == 1, err
    assert not (tmp_path / "run").exists()


def test_an_existing_run_keeps_its_plan_and_refuses_another_config(tmp_path, capsys):
    file, run = tmp_path / "x.yaml", tmp_path / "run"
    file.write_text(MINIMAL)
    assert main(["plan", str(file), "--out", str(run)]) == 0
    models = ["teacher-ls0.1-s1", "student-plain-s1", "student-ls0.1-t1-s1"]
    assert json.loads(capsys.readouterr().out) == {"run": str(run), "models": models}
    (run / "models" / "student-plain-s1" / "model.pt").touch()
    before = (run / "plan.json").read_bytes()
    plan(read_config(file), MINIMAL, run)
    assert (run / "plan.json").read_bytes() == before
    file.write_text(MINIMAL + "decode: {beam: 4}\n")
    assert main(["plan", str(file), "--out", str(run)]) == 2
    err = capsys.readouterr().err
    assert "was made with decode.beam = 5, the config now says 4" in err and err.count("\n") == 1
    assert (run / "plan.json").read_bytes() == before


def test_a_prepared_folder_tells_its_languages_and_form(tmp_path):
    facts = {"corpus": "files", "form": "raw", "source_lang": "xx", "target_lang": "yy"}
    (tmp_path / "prep.json").write_text(json.dumps(facts))
    content = expand(resolve(config(data={"corpus": None, "dir": str(tmp_path)})))
    assert content.data == PlannedData(folder=str(tmp_path), **facts)
    assert content.models[0].train_command[1] == f"{tmp_path}/bin"
    assert "does not exist" in complaint(config(data={"corpus": None, "dir": str(tmp_path / "none")}))


def test_the_written_command_is_the_planned_one(tmp_path):
    argv = ["printf", "%s\\n", "--flag", "a b", "--args", '{"beam": 1}', "--switch", "--number", "-1"]
    script = tmp_path / "models" / "x" / "command.sh"
    script.parent.mkdir(parents=True)
    script.write_text(command_script("test", argv))
    said = subprocess.run(["bash", script, "--cpu"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [*argv[2:], "--cpu"]


def test_the_preparation_command_has_the_configs_options(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(MINIMAL.replace("toy}", "toy, pairs: 300, keep_repeated: true, target_lang: ru}"))
    plan(read_config(file), "", tmp_path / "run")
    words = shlex.split((tmp_path / "run" / "prepare.sh").read_text().splitlines()[-1])
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options == {
        "--corpus": "toy",
        "--pairs": "300",
        "--keep-repeated": "yes",
        "--source-lang": "en",
        "--target-lang": "ru",
        "--form": "raw",
        "--out": "data",
    }


def test_students_of_translations_name_their_level_and_read_what_their_teacher_wrote():
    models = expanded(
        student={
            "kd_level": ["word", "sequence", "both"],
            "hypotheses": ["beam", "multi"],
            "temperature": [1, 2],
            "plain": False,
        },
        seqkd={"beam": 8, "nbest": 4},
    )
    assert list(models)[1:] == [
        "student-ls0.1-t1-s1",
        "student-ls0.1-t2-s1",
        "student-ls0.1-sequence-beam-s1",
        "student-ls0.1-sequence-multi-s1",
        "student-ls0.1-both-beam-t1-s1",
        "student-ls0.1-both-beam-t2-s1",
        "student-ls0.1-both-multi-t1-s1",
        "student-ls0.1-both-multi-t2-s1",
    ]
    sequence, both = models["student-ls0.1-sequence-multi-s1"], models["student-ls0.1-both-beam-t2-s1"]
    assert flag(sequence, "kd-level") == "sequence" and flag(both, "kd-level") == "both"
    assert flag(sequence, "hypotheses") == "models/teacher-ls0.1-s1/hypotheses/multi"
    assert not {"--teacher-path", "--temperature", "--temper"} & set(sequence.train_command)
    assert flag(both, "teacher-path") == "models/teacher-ls0.1-s1/model.pt" and flag(both, "temperature") == "2.0"
    assert "--kd-level" not in models["student-ls0.1-t1-s1"].train_command
    decode, beam, multi = models["teacher-ls0.1-s1"].seqkd_commands
    assert decode[:3] == ("lskd", "seqkd", "decode") and decode[decode.index("--nbest") + 1] == "4"
    assert "--temperature" not in decode and "--sampling" not in decode
    assert [step[step.index("--method") + 1] for step in (beam, multi)] == ["beam", "multi"]
    assert {step[step.index("--decoded") + 1] for step in (beam, multi)} == {decode[decode.index("--out") + 1]}
    assert expanded()["teacher-ls0.1-s1"].seqkd_commands == ()


def test_filters_reach_the_choice_of_translations_and_the_preparation_and_are_no_key_of_old_runs():
    student = {"kd_level": "sequence"}
    models = expanded(student=student, seqkd={"filters": ["repeats", "copies"]})
    chosen = models["teacher-ls0.1-s1"].seqkd_commands[-1]
    assert chosen[chosen.index("--filters") + 1] == "repeats,copies"
    assert "--filters" not in expanded(student=student)["teacher-ls0.1-s1"].seqkd_commands[-1]
    assert resolve(config(data={"filters": "all"}), "x.yaml").data.filters == "all"
    content = to_json(resolve(config(), "x.yaml"))
    assert "filters" not in content["data"] and "filters" not in content["seqkd"]


@pytest.mark.parametrize(
    "sections, part",
    [
        ({"student": {"kd_level": "words"}}, "student.kd_level is 'words', it must be one of word, sequence, both"),
        ({"student": {"kd_level": "both", "hypotheses": "interpolate"}}, "has interpolate, and seqkd.nbest is 1"),
        ({"student": {"kd_level": "both"}, "seqkd": {"nbest": 6}}, "seqkd.nbest is 6 and seqkd.beam is 5"),
        (
            {"student": {"kd_level": "both"}, "seqkd": {"temperature": 2}},
            "seqkd.temperature is 2 without seqkd.sampling",
        ),
        (
            {"student": {"kd_level": "both"}, "seqkd": {"quantization": "int3"}},
            "--quantization is int3: one of float32",
        ),
        (
            {"student": {"kd_level": "both"}, "seqkd": {"engine": "fairseq", "quantization": "int8"}},
            "it is of ctranslate2",
        ),
        ({"seqkd": {"filters": ["loops"]}}, "seqkd.filters is ['loops'], it must be one of copies, repeats, chatter"),
        ({"student": {"kd_level": "both"}, "seqkd": {"max_ratio": 0.5}}, "seqkd.max_ratio is 0.5, it must be a number"),
        ({"train": {"kd-level": "both"}}, "train.kd-level is set by the pipeline: use student.kd_level"),
    ],
)
def test_translations_that_cannot_be_made_are_refused(sections, part):
    assert part in complaint(config(**sections))


def test_a_run_planned_before_a_key_was_known_continues(tmp_path):
    content = resolve(config())
    plan(content, "", tmp_path)
    (tmp_path / "models" / "student-ls0.1-t1-s1" / "model.pt").touch()
    old = json.loads((tmp_path / "plan.json").read_text())
    del old["config"]["seqkd"], old["config"]["student"]["kd_level"]
    (tmp_path / "plan.json").write_text(json.dumps(old))
    plan(content, "", tmp_path)
    assert json.loads((tmp_path / "plan.json").read_text()) == old
    with pytest.raises(LskdError, match=r"was made with student.kd_level = \['word'\], the config now says \['both'\]"):
        plan(resolve(config(student={"kd_level": "both"})), "", tmp_path)


def test_a_level_may_come_later_and_an_average_may_not_change(tmp_path):
    keep = {"max-epoch": 3, "keep-last-epochs": 9, "no-epoch-checkpoints": False}
    first = config(teacher={"train": keep, "average": {"last": 5}})
    plan(resolve(first), "", tmp_path)
    (tmp_path / "models" / "teacher-ls0.1-s1" / "model.pt").touch()
    levels = {"student": {**first["student"], "kd_level": ["word", "sequence"]}}
    names = [model.name for model in plan(resolve(first | levels), "", tmp_path).models]
    assert names[-2:] == ["student-ls0.1-t1-s1", "student-ls0.1-sequence-beam-s1"]
    assert (tmp_path / "models" / names[0] / "hypotheses.sh").is_file()
    less = {"teacher": {**first["teacher"], "average": {"last": 3}}}
    with pytest.raises(LskdError, match=r"was made with teacher.average.last = 5, the config now says 3"):
        plan(resolve(first | levels | less), "", tmp_path)


@pytest.mark.parametrize(
    "sections, part",
    [
        ({"student": {"temperature": [1, 1.0000001]}}, "two models are called student-ls0.1-t1-s1 (temp"),
        ({"student": {"kd_weight": [0.5, 0.50000001]}}, "two models are called student-ls0.1-t1-w0.5-s1 (kd_w"),
        ({"teacher": {"label_smoothing": [0.1, 0.10000000001]}}, "two models are called teacher-ls0.1-s1 (label"),
        ({"student": {"temperature": [1, 1.0]}}, "a list of different values"),
        ({"student": {"temperature": [2, "2"]}}, "a list of different values"),
        ({"seeds": [3, 3]}, "a list of different values"),
        ({"student": {"methods": {"a": {"about": "x"}}, "temperature": None}, "seeds": [1, 1]}, "different values"),
    ],
)
def test_two_models_of_one_name_are_refused(sections, part):
    assert part in complaint(
        config(
            **{
                name: {**config()[name], **value} if isinstance(value, dict) else value
                for name, value in sections.items()
            }
        )
    )
