"""Rows that are longer than a model takes are found before it is trained: fairseq leaves them out, or raises."""

import json

import numpy as np
import pytest
from conftest import binarise, train
from test_plan import config, flag

from lskd_nmt.cli import main
from lskd_nmt.data.prepared import INDEX_HEAD
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import lengths
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.lengths import Takes, left_out, rows_of, takes
from lskd_nmt.experiment.plan import plan, planned

LANGS = ("en", "de")


def write(data, **splits):
    """Index files with these lengths of source and target."""
    (data / "bin").mkdir(parents=True, exist_ok=True)
    for split, sides in splits.items():
        for lang, sizes in zip(LANGS, sides, strict=True):
            body = np.array(sizes, dtype=np.int32).tobytes() + np.zeros(len(sizes), dtype=np.int64).tobytes()
            head = INDEX_HEAD.pack(b"MMIDIDX\x00\x00", 1, 4, len(sizes))
            (data / "bin" / f"{split}.en-de.{lang}.idx").write_bytes(head + body)
    facts = {"corpus": "files", "form": "raw", "source_lang": "en", "target_lang": "de"}
    (data / "prep.json").write_text(json.dumps(facts))
    return data


def plan_of(data, run, **sections):
    return planned(resolve(config(data={"corpus": None, "dir": str(data)}, **sections)), run)


def refusal(data, **sections):
    with pytest.raises(LskdError) as refused:
        plan_of(data, data / "run", **sections)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_rows_are_as_long_as_fairseq_has_them(plugin, tmp_path):
    (tmp_path / "text").mkdir()
    lines = ["a b c", "a", "b " * 1500]
    for split in ("train", "valid", "test"):
        for lang in ("aa", "bb"):
            (tmp_path / "text" / f"{split}.{lang}").write_text("".join(f"{line.strip()}\n" for line in lines))
    found = rows_of(binarise(tmp_path / "text", tmp_path / "bin").parent, ("aa", "bb"), "test")
    assert found is not None
    assert found.source.tolist() == found.target.tolist() == [4, 2, 1501]


def test_what_a_command_takes():
    assert takes(["fairseq-train", "d"]) == Takes(1024, 1024, 0)
    words = ["fairseq-train", "d", "--max-source-positions", "7", "--eval-bleu", "--max-tokens", "9"]
    assert takes(words, "max-tokens-valid") == Takes(7, 1024, 9)
    assert takes([*words, "--max-tokens-valid", "3"], "max-tokens-valid") == Takes(7, 1024, 3)
    assert takes([*words, "--arch", "fconv_iwslt_de_en"]) == Takes(5, 1022, 9)


def test_positions_are_those_of_fairseqs_models(plugin, data, tmp_path):
    """The table's 1,024, and two less for fconv, are what the built models say."""
    from fairseq import models, options, tasks, utils

    small = ["--encoder-layers", "[(8, 3)]", "--decoder-layers", "[(8, 3)]"]
    for arch, most, more in (("ls_transformer_tiny", 1024, []), ("fconv", 1022, small), ("lstm", 1024, [])):
        words = [str(data), "-s", "aa", "-t", "bb", "--arch", arch, *more]
        args = options.parse_args_and_arch(options.get_training_parser(), words)
        task = tasks.setup_task(args)
        model = models.ARCH_MODEL_REGISTRY[arch].build_model(args, task)
        found = utils.resolve_max_positions(task.max_positions(), model.max_positions())
        assert tuple(found) == takes(["fairseq-train", *words])[:2] == (most, most)


@pytest.mark.parametrize(
    "split, sizes, line",
    [
        (
            "test",
            ([3, 1751, 2000], [3, 4, 5]),
            "clean/test.en line 2 (row 1 of the binarised set) has 1,751 subwords with "
            "its end (and 1 more lines), and teacher-ls0.1-s1 takes 1,024: shorten or remove them, or set train: "
            "{max-source-positions: 2000}, for all models alike",
        ),
        (
            "test",
            ([3], [1025]),
            "clean/test.de line 1 (row 0 of the binarised set) has 1,025 subwords with its end, and "
            "teacher-ls0.1-s1 takes 1,024: shorten or remove it, or set train: {max-target-positions: 1025}",
        ),
        ("valid", ([3, 1100], [3, 4]), "clean/valid.en line 2 (row 1 of the binarised set) has 1,100 subwords"),
        ("train", ([1025, 1600], [3, 4]), "all 2 pairs of "),
    ],
)
def test_a_row_that_is_too_long_is_refused_by_file_and_line(tmp_path, split, sizes, line):
    assert line in refusal(write(tmp_path, **{split: sizes}))


def test_a_row_of_the_longest_length_is_taken(tmp_path):
    data = write(tmp_path, train=([1024, 9], [9, 1024]), valid=([1024], [1024]), test=([1024], [1024]))
    assert plan_of(data, tmp_path / "run").models


def test_positions_set_for_all_models_keep_the_row_and_reach_its_decoding(tmp_path):
    data = write(tmp_path, test=([1751], [5]), valid=([5], [1200]))
    far = {"max-source-positions": 1751, "max-target-positions": 1200}
    for model in plan_of(data, tmp_path / "run", train=far).models:
        assert flag(model, "max-source-positions") == "1751"
        words = model.decode_command
        assert words[words.index("--max-source-positions") + 1] == "1751"
        assert words[words.index("--max-target-positions") + 1] == "1200"
    only = refusal(data, teacher={"train": {"max-epoch": 3, **far}})
    assert "student-plain-s1 takes 1,024" in only


def test_a_row_that_fills_no_batch_is_refused(tmp_path):
    data = write(tmp_path, valid=([600], [5]), test=([5], [900]))
    text = refusal(data, train={"max-tokens": 512})
    assert "line 1 (row 0 of the binarised set) has 600 subwords with its end, and teacher-ls0.1-s1 takes 512: " in text
    assert "shorten or remove it, or set max-tokens to at least 600" in text
    assert "set decode.max_tokens to at least 900" in refusal(data, decode={"max_tokens": 800})
    plan_of(data, tmp_path / "run", train={"max-tokens": 512, "max-tokens-valid": 600})
    plan_of(data, tmp_path / "run", train={"max-tokens": 512, "disable-validation": True})


def test_a_teacher_that_takes_less_than_its_student_learns_of_is_refused(tmp_path):
    data = write(tmp_path, train=([5, 700, 5], [5, 5, 5]))
    small = {"teacher": {"train": {"max-epoch": 3, "max-source-positions": 512}}}
    text = refusal(data, **small)
    assert "clean/train.en line 2 (row 1 of the binarised set) has 700 subwords with its end, student-" in text
    assert "learns of it, and its teacher teacher-ls0.1-s1 takes 512: set max-source-positions under train" in text
    plan_of(data, tmp_path / "run", **small, train={"max-tokens": 512})  # which leaves that pair out


def test_pairs_of_train_that_are_left_out_are_counted_as_fairseq_does(plugin, tmp_path, caplog):
    """A training on four pairs, two of them longer than its tokens or positions: fairseq's log says how many."""
    (tmp_path / "text").mkdir()
    lines = ["a b c", "a " * 40, "b " * 130, "c"]
    for split in ("train", "valid", "test"):
        for lang in ("aa", "bb"):
            text = "".join(f"{line.strip()}\n" for line in (lines if split == "train" else lines[:1]))
            (tmp_path / "text" / f"{split}.{lang}").write_text(text)
    data = binarise(tmp_path / "text", tmp_path / "bin")
    words = ["fairseq-train", str(data), "--max-tokens", "100", "--max-source-positions", "30"]
    assert left_out(words, tmp_path, ("aa", "bb")) == (2, 4)
    train(
        data,
        tmp_path / "m",
        "--kd-weight",
        0,
        "--max-source-positions",
        30,
        "--max-epoch",
        1,
        "--required-batch-size-multiple",
        1,
    )
    assert "2 samples have invalid sizes and will be skipped, max_positions=(30, 100)" in caplog.text


def test_data_that_are_not_there_yet_or_have_another_form_are_passed(tmp_path):
    data = write(tmp_path, test=([5], [5]))
    (data / "bin" / "valid.en-de.en.idx").write_bytes(b"TNTIDX\x00\x00")
    (data / "bin" / "valid.en-de.de.idx").write_bytes(b"")
    assert plan_of(data, tmp_path / "run").models
    assert lengths.rows_of(data, LANGS, "valid") is None and left_out(["x", "y"], data, LANGS) == (0, 0)


def test_the_step_that_trains_looks_again(tmp_path, capsys):
    """Data that were prepared after the plan: the training's verb refuses them, and begins nothing."""
    file, run = tmp_path / "x.yaml", tmp_path / "run"
    file.write_text(
        "name: x\ndata: {corpus: toy}\nteacher: {arch: ls_transformer_tiny, train: {max-epoch: 1}}\n"
        "student: {arch: ls_transformer_tiny, train: {max-epoch: 1}}\n"
    )
    assert main(["plan", str(file), "--out", str(run)]) == 0
    write(run / "data", test=([1751], [5]))
    capsys.readouterr()
    assert main(["watch", "--run", str(run), "--model", "teacher-ls0.1-s1"]) == 2
    assert "clean/test.en line 1 (row 0 of the binarised set) has 1,751 subwords" in capsys.readouterr().err
    assert not (run / "models" / "teacher-ls0.1-s1" / "inputs.json").exists()
    assert main(["plan", str(file), "--out", str(run), "--check"]) == 2


def test_a_plan_of_before_decodes_with_the_positions_of_its_training(tmp_path):
    data, run = write(tmp_path / "data", test=([5], [5])), tmp_path / "run"
    far = {"max-source-positions": 2000}
    content = resolve(config(data={"corpus": None, "dir": str(data)}, train=far))
    plan(content, "", run)
    old = json.loads((run / "plan.json").read_text())
    for model in old["models"]:
        del model["decode_command"][-2:]
        (run / "models" / model["name"] / "model.pt").touch()
    (run / "plan.json").write_text(json.dumps(old))
    write(data, test=([1751], [5]))
    for model in plan(content, "", run).models:
        assert model.decode_command[-2:] == ("--max-source-positions", "2000")
        assert "--max-source-positions 2000" in (run / "models" / model.name / "decode.sh").read_text()


def test_a_finished_model_has_taken_all_rows(tmp_path):
    data, run = write(tmp_path / "data", test=([5], [5])), tmp_path / "run"
    for model in plan(resolve(config(data={"corpus": None, "dir": str(data)})), "", run).models:
        for name in ("model.pt", "test.hyp"):
            (run / "models" / model.name / name).touch()
    write(data, test=([1751], [5]))
    plan_of(data, run)
    (run / "models" / "student-plain-s1" / "test.hyp").unlink()
    with pytest.raises(LskdError, match="student-plain-s1 takes 1,024"):
        plan_of(data, run)
