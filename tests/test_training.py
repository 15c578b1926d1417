"""Real tiny trainings through fairseq's own entry points: what is saved, resumed, decoded, shipped."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from conftest import USER_DIR, call, train

from lskd_nmt.fairseq_io import SYMBOLS_KEY, read_checkpoint, section


def weights(path) -> dict[str, torch.Tensor]:
    return read_checkpoint(str(path), "checkpoint")["model"]


@pytest.fixture(scope="module")
def student(data, teacher, tmp_path_factory):
    """Four epochs of a student in one go."""
    return train(
        data, tmp_path_factory.mktemp("student"), "--teacher-path", teacher, "--temperature", 2, "--max-epoch", 4
    )


def test_resumed_student_equals_one_never_stopped(data, teacher, student, tmp_path):
    kd = "--teacher-path", teacher, "--temperature", 2
    train(data, tmp_path, *kd, "--max-update", 5)  # stops in the middle of the second epoch
    stopped = read_checkpoint(str(tmp_path / "checkpoint_last.pt"), "checkpoint")
    assert stopped["extra_state"]["train_iterator"]["iterations_in_epoch"] > 0
    train(data, tmp_path, *kd, "--max-epoch", 4)
    whole, resumed = weights(student / "checkpoint_last.pt"), weights(tmp_path / "checkpoint_last.pt")
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name


def test_a_training_killed_while_it_copies_a_checkpoint_keeps_the_last_one(data, tmp_path, monkeypatch):
    train(data, tmp_path, "--kd-weight", 0, "--max-epoch", 1, "--no-epoch-checkpoints")
    last = (tmp_path / "checkpoint_last.pt").read_bytes()

    class Killed(BaseException):
        pass

    def half(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:1000])
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", half)
        with pytest.raises(Killed):
            train(data, tmp_path, "--kd-weight", 0, "--max-epoch", 2, "--no-epoch-checkpoints")
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == last
    train(data, tmp_path, "--kd-weight", 0, "--max-epoch", 2, "--no-epoch-checkpoints")
    state = read_checkpoint(str(tmp_path / "checkpoint_last.pt"), "checkpoint")
    assert state["extra_state"]["train_iterator"]["epoch"] == 3


def test_student_checkpoint_holds_the_student_and_both_symbol_lists(data, student):
    state = read_checkpoint(str(student / "checkpoint_last.pt"), "checkpoint")
    assert not [name for name in state["model"] if "teacher" in name]
    assert not state.get("criterion")
    listed = [line.split()[0] for line in (data / "dict.bb.txt").read_text(encoding="utf-8").splitlines()]
    assert state["task_state"][SYMBOLS_KEY]["target"] == ["<s>", "<pad>", "</s>", "<unk>", *listed]
    assert section(state, "criterion")["temperature"] == 2


def test_teacher_file_is_only_read(data, teacher, tmp_path):
    before = teacher.read_bytes()
    train(data, tmp_path, "--teacher-path", teacher, "--max-epoch", 1, "--no-save")
    assert teacher.read_bytes() == before


def test_training_reports_the_teachers_label_smoothing(data, teacher, tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(data, tmp_path, "--teacher-path", f"{teacher}:{teacher}", "--max-epoch", 1, "--no-save")
    lines = [record.getMessage() for record in caplog.records if "trained with label smoothing" in record.getMessage()]
    assert lines == [f"teacher {teacher}: ls_transformer_tiny, trained with label smoothing 0.1"] * 2


def test_validation_bleu_is_the_students(data, teacher, tmp_path, caplog):
    """A student that knows nothing beside a teacher that does: with a hijacked generator both would score alike."""
    bleu = "--eval-bleu", "--eval-bleu-args", json.dumps({"beam": 1}), "--eval-bleu-detok", "space"
    good = (
        train(data, tmp_path / "good", "--kd-weight", 0, "--max-epoch", 150, "--lr", 0.005, "--dropout", 0, *bleu)
        / "checkpoint_last.pt"
    )
    scores = []
    for arguments in (
        ("--max-epoch", 151, "--lr", 0.005, "--kd-weight", 0),
        ("--teacher-path", good, "--max-epoch", 1, "--lr", 1e-9),
    ):
        caplog.clear()
        with caplog.at_level("INFO"):
            folder = tmp_path / ("good" if "--kd-weight" in arguments else "new")
            train(data, folder, "--dropout", 0, "--log-format", "json", *bleu, *arguments)
        valid = [json.loads(r.getMessage()) for r in caplog.records if '"valid_bleu"' in r.getMessage()]
        scores.append(float(valid[-1]["valid_bleu"]))
    assert scores[0] > 5 * max(scores[1], 1), scores


def test_translations_of_nothing_score_zero_and_do_not_stop_the_training(data, tmp_path, caplog):
    silent = json.dumps({"beam": 12, "lenpen": -100, "min_len": 0})  # the shortest hypothesis always wins
    with caplog.at_level("INFO"):
        train(
            data,
            tmp_path,
            "--kd-weight",
            0,
            "--max-epoch",
            2,
            "--log-format",
            "json",
            "--eval-bleu",
            "--eval-bleu-args",
            silent,
            "--best-checkpoint-metric",
            "bleu",
            "--maximize-best-checkpoint-metric",
        )
    valid = [json.loads(r.getMessage()) for r in caplog.records if '"valid_loss"' in r.getMessage()]
    assert [float(line["valid_bleu"]) for line in valid] == [0, 0]
    assert (tmp_path / "checkpoint_best.pt").is_file()


def test_stock_generate_reads_the_student(data, student, capsys):
    from fairseq_cli import generate

    call(
        generate.cli_main,
        "fairseq-generate",
        data,
        "--path",
        student / "checkpoint_best.pt",
        "--gen-subset",
        "test",
        "--required-batch-size-multiple",
        1,
        "--user-dir",
        USER_DIR,
        "--beam",
        2,
        "--cpu",
    )
    hypotheses = [line for line in capsys.readouterr().out.splitlines() if line.startswith("H-")]
    assert sorted(int(line.split("\t")[0][2:]) for line in hypotheses) == list(range(12))


def test_ctranslate2_converts_the_student_safely(data, student, tmp_path):
    from ctranslate2.converters import FairseqConverter

    converter = FairseqConverter(str(student / "checkpoint_best.pt"), str(data), user_dir=str(USER_DIR))
    converter.convert(str(tmp_path / "ct2"))
    assert (tmp_path / "ct2" / "model.bin").is_file()


@pytest.mark.parametrize("temper", ["both", "teacher"])
def test_every_switch_reaches_the_loss(data, teacher, tmp_path, temper, caplog):
    """One epoch at learning rate ~0 with and without T²: the divergence is the same, its share of the loss is not."""
    results = []
    for switch in ((), ("--no-temperature-squared",)):
        caplog.clear()
        with caplog.at_level("INFO"):
            train(
                data,
                tmp_path,
                "--teacher-path",
                teacher,
                "--max-epoch",
                1,
                "--no-save",
                "--lr",
                1e-9,
                "--dropout",
                0,
                "--kd-weight",
                1,
                "--temperature",
                3,
                "--temper",
                temper,
                "--log-format",
                "json",
                *switch,
            )
        lines = [record.getMessage() for record in caplog.records]
        results.append(next(json.loads(line) for line in lines if '"valid_kd_loss"' in line))
    squared, plain = results
    assert float(squared["valid_kd_loss"]) == float(plain["valid_kd_loss"]) > 0
    assert float(squared["valid_loss"]) == pytest.approx(9 * float(plain["valid_loss"]), abs=0.02)
    assert float(plain["valid_loss"]) == float(plain["valid_kd_loss"])
    assert math.isfinite(float(plain["valid_nll_loss"]))
