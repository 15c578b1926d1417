"""A run folder that is planned again: what was made stays as it was, all else follows the config."""

import hashlib
import json
import os
import shutil

import pytest
from test_plan import config, flag

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan, preview
from lskd_nmt.report.results.signature import flags as signed
from lskd_nmt.storage.files import write_json

FILES = {"bin/dict.en.txt": "a 1", "bin/train.en-de.en.bin": "t", "bin/valid.en-de.de.bin": "v", "clean/test.de": "Ja."}
TEACHER, PLAIN, STUDENT = "teacher-ls0.1-s1", "student-plain-s1", "student-ls0.1-t1-s1"


def planned(run, **sections):
    models = plan(resolve(config(**sections)), "", run).models
    return {model.name: model for model in models}


def train(run, *names):
    for name in names:
        (run / "models" / name / "checkpoints").mkdir()
        (run / "models" / name / "checkpoints" / "checkpoint_last.pt").touch()


def test_a_view_has_the_times_of_its_files_by_which_a_dry_run_knows_what_is_old(tmp_path):
    run, view = tmp_path / "run", tmp_path / "view"
    planned(run)
    for second, name in enumerate(("table.json", ".metrics-12345678")):  # the table is the older one
        (run / name).touch()
        os.utime(run / name, (1000 + second, 1000 + second))
    preview(resolve(config()), run, view)
    assert (view / "table.json").lstat().st_mtime == 1000 and (view / ".metrics-12345678").lstat().st_mtime == 1001


def test_a_plan_of_which_nothing_was_made_is_replaced(tmp_path):
    planned(tmp_path, train={"dropout": 0.5}, student={"temperature": [1, 2]}, data={"pairs": 5})
    failed = tmp_path / "models" / "student-ls0.1-t2-s1"  # as a start that fairseq refused leaves it
    (failed / "checkpoints").mkdir()
    for name in ("train.log", "run.json", "inputs.json", "curve.json", ".lock", ".lock.train"):
        (failed / name).touch()
    models = planned(tmp_path, train={"dropout": 0.1}, data={"pairs": 7}, decode={"beam": 3})
    assert flag(models[TEACHER], "dropout") == "0.1"
    assert "--pairs 7" in (tmp_path / "prepare.sh").read_text()
    assert "dropout 0.1" in (tmp_path / "models" / PLAIN / "command.sh").read_text()
    assert sorted(file.name for file in (tmp_path / "models").iterdir()) == sorted(models)


def test_what_is_not_ours_is_left_where_a_model_is_no_longer_planned(tmp_path):
    planned(tmp_path, student={"temperature": [1, 2]})
    mine = tmp_path / "models" / "student-ls0.1-t2-s1" / "notes.txt"
    mine.write_text("mine")
    planned(tmp_path)
    assert mine.read_text() == "mine" and [file.name for file in mine.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "sections, key",
    [
        ({"train": {"dropout": 0.1}}, "train.dropout = None, the config now says 0.1"),
        ({"teacher": {"label_smoothing": 0.2}}, "teacher.label_smoothing = [0.1], the config now says [0.2]"),
        ({"decode": {"beam": 3}}, "decode.beam = 5, the config now says 3"),
        ({"data": {"pairs": 7}}, "data.pairs = None, the config now says 7"),
        ({"train": {"log-interval": 3, "dropout": 0.1}}, "train.dropout = None, the config now says 0.1"),
    ],
)
def test_a_model_that_was_begun_stays_as_it_was_planned(tmp_path, sections, key):
    planned(tmp_path)
    train(tmp_path, TEACHER)
    with pytest.raises(LskdError) as refused:
        planned(tmp_path, **sections)
    assert f"was made with {key}: change it back, or give another --out" in str(refused.value)


def test_models_that_were_not_begun_may_change_while_others_are_trained(tmp_path):
    planned(tmp_path)
    train(tmp_path, TEACHER)
    models = planned(tmp_path, student={"temperature": 3, "train": {"max-epoch": 9}})
    assert flag(models[PLAIN], "max-epoch") == "9" and flag(models[TEACHER], "max-epoch") == "3"
    assert not (tmp_path / "models" / STUDENT).exists() and "student-ls0.1-t3-s1" in models


def test_students_of_another_choice_join_those_of_the_same_decodings(tmp_path):
    before = {"kd_level": ["sequence"], "hypotheses": ["beam"]}
    planned(tmp_path, student=before, seqkd={"beam": 4, "nbest": 4})
    train(tmp_path, TEACHER, "student-ls0.1-sequence-beam-s1")
    models = planned(tmp_path, student={**before, "hypotheses": ["beam", "mbr"]}, seqkd={"beam": 4, "nbest": 4})
    assert "student-ls0.1-sequence-mbr-s1" in models and len(models[TEACHER].seqkd_commands) == 3
    with pytest.raises(LskdError, match=r"was made with seqkd.beam = 4, the config now says 5"):
        planned(tmp_path, student={**before, "hypotheses": ["beam", "mbr"]}, seqkd={"beam": 5, "nbest": 4})


def test_students_of_draws_join_those_of_all_translations(tmp_path):
    before = {"kd_level": ["sequence"], "hypotheses": ["beam", "multi"]}
    planned(tmp_path, student=before, seqkd={"nbest": 4})
    train(tmp_path, TEACHER, "student-ls0.1-sequence-beam-s1", "student-ls0.1-sequence-multi-s1")
    models = planned(tmp_path, student={**before, "hypotheses_drawn": [0, 1]}, seqkd={"nbest": 4})
    assert {"student-ls0.1-sequence-multi-s1", "student-ls0.1-sequence-multi-drawn1-s1"} < {*models}
    assert "student-ls0.1-sequence-beam-drawn1-s1" not in models
    with pytest.raises(LskdError, match=r"student.hypotheses_drawn = \[0, 1\], the config now says \[1\]"):
        planned(tmp_path, student={**before, "hypotheses_drawn": 1}, seqkd={"nbest": 4})


def test_prepared_data_of_other_settings_are_named_with_the_way_out(tmp_path):
    planned(tmp_path, data={"pairs": 5})
    (tmp_path / "data" / "clean").mkdir(parents=True)
    with pytest.raises(LskdError, match=r"data.pairs = 5, the config now says 7: remove .*/data, or give"):
        planned(tmp_path, data={"pairs": 7})
    planned(tmp_path, data={"pairs": 5}, train={"dropout": 0.1})


def test_flags_of_logging_change_no_finished_model_and_no_signature(tmp_path):
    before = planned(tmp_path)
    train(tmp_path, TEACHER, STUDENT)
    (tmp_path / "models" / TEACHER / "model.pt").touch()
    logging = {
        "tensorboard-logdir": "tb",
        "wandb-project": "kd",
        "log-interval": 5,
        "log-format": "simple",
        "azureml-logging": True,
        "no-progress-bar": True,
    }
    after = planned(tmp_path, train=logging)
    assert after[TEACHER].train_command == before[TEACHER].train_command
    for name in (PLAIN, STUDENT):  # not finished: it logs from now on
        assert flag(after[name], "wandb-project") == "kd" and flag(after[name], "log-interval") == "5"
        assert signed(after[name].train_command) == signed(before[name].train_command)


def folder(path):
    for name, text in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()}
    write_json(
        path / "prep.json",
        {
            "corpus": "files",
            "form": "raw",
            "source_lang": "en",
            "target_lang": "de",
            "sha256": {name: hashes[name] for name in hashes if name.startswith("clean")},
        },
    )
    return {f"data {name[4:]}": digest for name, digest in hashes.items() if name.startswith("bin/")}


def trained_on(run, data, **sections):
    planned(run, data={"corpus": None, "dir": str(data)}, **sections)
    train(run, TEACHER)
    write_json(run / "models" / TEACHER / "inputs.json", folder(data))


def test_a_data_folder_may_move(tmp_path):
    old, new, run = tmp_path / "old", tmp_path / "new", tmp_path / "run"
    folder(old)
    trained_on(run, old, student={"store": "features"})
    shutil.move(old, new)
    with pytest.raises(LskdError, match=r"old/prep.json does not exist: name a folder .* its new place"):
        planned(run, data={"corpus": None, "dir": str(old)}, train={"dropout": 0.2})
    with pytest.raises(LskdError, match=r"old/prep.json does not exist: name a folder .* its new place"):
        planned(run, data={"corpus": None, "dir": str(old)}, student={"store": "features"})  # the plan's own config
    models = planned(run, data={"corpus": None, "dir": str(new)}, student={"store": "features"})
    content = json.loads((run / "plan.json").read_text())
    assert content["data"]["folder"] == content["config"]["data"]["dir"] == str(new)
    assert str(old) not in json.dumps(content)
    assert str(old) not in "".join(file.read_text() for file in (run / "models").rglob("*.sh"))
    assert models[TEACHER].train_command[1] == f"{new}/bin"
    grown = planned(run, data={"corpus": None, "dir": str(new)}, student={"store": "features", "temperature": [1, 2]})
    assert grown["student-ls0.1-t2-s1"].train_command[1] == f"{new}/bin"


@pytest.mark.parametrize("name", ["bin/dict.en.txt", "bin/train.en-de.en.bin", "clean/test.de"])
def test_a_data_folder_of_other_text_is_not_taken_for_one_that_moved(tmp_path, name):
    old, new, run = tmp_path / "old", tmp_path / "new", tmp_path / "run"
    folder(old)
    trained_on(run, old)
    folder(new)
    (new / name).write_text("other")
    with pytest.raises(LskdError, match=rf"where {name} differs: name the folder that it was made from"):
        planned(run, data={"corpus": None, "dir": str(new)})
    (new / name).unlink()
    with pytest.raises(LskdError, match=rf"where {name} differs"):
        planned(run, data={"corpus": None, "dir": str(new)})


def test_without_a_recorded_hash_no_folder_counts_as_the_same(tmp_path):
    old, new, run = tmp_path / "old", tmp_path / "new", tmp_path / "run"
    folder(old)
    trained_on(run, old)
    folder(new)
    (run / "models" / TEACHER / "inputs.json").unlink()
    with pytest.raises(LskdError, match="no hash of what it was made from was recorded"):
        planned(run, data={"corpus": None, "dir": str(new)})


def test_a_lent_teachers_data_may_move(tmp_path):
    old, new, run, other = (tmp_path / name for name in ("old", "new", "run", "other"))
    folder(old)
    trained_on(other, old)
    (other / "models" / TEACHER / "model.pt").touch()
    shutil.move(old, new)
    lend = {"data": {"corpus": None, "dir": str(new)}, "teacher": {"run": str(other)}}
    planned(run, **lend)
    assert (run / "models" / TEACHER).resolve() == (other / "models" / TEACHER).resolve()
    (new / "bin" / "dict.en.txt").write_text("b 1")
    with pytest.raises(LskdError, match=r"has its data in .*/old, and data.dir is .*/new: name that"):
        planned(tmp_path / "third", **lend)


def test_a_training_whose_data_are_gone_begins_nothing_and_keeps_its_checkpoints(tmp_path, capsys):
    run = tmp_path / "run"
    planned(run)
    folder(run / "data")
    train(run, TEACHER)
    write_json(run / "models" / TEACHER / "inputs.json", folder(run / "data"))
    shutil.rmtree(run / "data" / "bin")
    assert main(["watch", "--run", str(run), "--model", TEACHER]) == 2
    assert "data/bin holds no binarised data: prepare them first" in capsys.readouterr().err
    assert (run / "models" / TEACHER / "checkpoints" / "checkpoint_last.pt").is_file()


def test_a_plan_of_others_with_a_path_for_a_name_removes_nothing(tmp_path):
    planned(tmp_path)
    file, mine = tmp_path / "plan.json", tmp_path / "notes" / "run.json"
    file.write_text(file.read_text().replace(f'"name": "{PLAIN}"', '"name": "../notes"'))
    mine.parent.mkdir()
    mine.write_text("{}")
    with pytest.raises(LskdError, match=r'models\[1\].name is "../notes", where the name of a folder'):
        planned(tmp_path, train={"dropout": 0.1})
    assert mine.is_file()
