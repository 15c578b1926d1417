"""Settings and weights of which nothing can be learned are refused before the first batch."""

import math

import pytest
import torch
from conftest import train
from test_kd_ls import SENTENCES, SYMBOLS, TableModel, criterion, make_sample  # noqa: F401
from test_preflight import edited, refuses  # noqa: F401

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.losses.options import COLDEST, HOTTEST, KdOptions
from lskd_nmt.losses.signals import Dense, record
from lskd_nmt.teacher.layout import FeatureLayout, TopKLayout
from lskd_nmt.teacher.writer import WriterSettings

WEIGHT = "decoder.layers.0.fc1.weight"


@pytest.mark.parametrize("value", [1e30, 1e-30, 1e6, 1e-4, 0.0, -1.0, math.nan, math.inf])
def test_temperatures_that_leave_nothing_to_learn(value):
    with pytest.raises(LskdError, match=r"--temperature is .*: give a finite number above 0, from 0.001 to 100000"):
        KdOptions(value)
    with pytest.raises(LskdError, match=r"--temperatures holds \["):
        WriterSettings(TopKLayout(2, (1.0, value), 9))


def test_the_bounds_of_the_temperature_may_be_given_and_are_where_float32_ends():
    assert KdOptions(COLDEST).temperature == COLDEST and KdOptions(HOTTEST).temperature == HOTTEST
    step = torch.finfo(torch.float32).eps * 8  # between numbers from 8 to 16
    assert 10 * step < 1 / HOTTEST and step / COLDEST < 1e-3


@pytest.mark.parametrize("flag", ["kd_weight", "label_smoothing", "r_drop", "virtual_share", "temperature"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, -1.0])
def test_no_number_of_the_objective_is_without_bounds(flag, value):
    extra = {"virtual_teacher": "correct"} if flag == "virtual_share" else {}
    with pytest.raises(LskdError, match=f"--{flag.replace('_', '-')} is .*: give "):
        KdOptions(**{flag: value}, **extra)


def test_no_more_symbols_than_the_dictionary_has(refuses, teacher):  # noqa: F811
    assert "--rank is 100000, and the dictionary has" in refuses("--teacher-path", teacher, "--rank", 100000)
    assert "--top-k is 100000, and the dictionary has" in refuses("--teacher-path", teacher, "--top-k", 100000)
    KdOptions(rank=9).require_symbols(9)
    with pytest.raises(LskdError, match=r"--rank is 10, and the dictionary has 9 symbols: give no more"):
        KdOptions(rank=10).require_symbols(9)
    with pytest.raises(LskdError, match=r"--top-k is 10: give 1 to 9"):
        TopKLayout(10, (1.0,), 9)


def test_the_criterion_alone_knows_the_dictionary_too(criterion):  # noqa: F811
    criterion([TableModel(2)], tail="bucket", top_k=SYMBOLS)
    with pytest.raises(LskdError, match=f"--top-k is {SYMBOLS + 1}, and the dictionary has {SYMBOLS}"):
        criterion([TableModel(2)], tail="bucket", top_k=SYMBOLS + 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers(bad, refuses, edited, teacher):  # noqa: F811
    path = edited(lambda state: state["model"][WEIGHT].view(-1).__setitem__(3, bad))
    said = f"teacher {path} holds {'NaN' if math.isnan(bad) else bad} in {WEIGHT}"
    assert said in refuses("--teacher-path", path)
    assert said in refuses("--teacher-path", f"{teacher}:{path}")


def test_no_verb_takes_such_weights(edited, data, tmp_path, capsys):  # noqa: F811
    path, out = edited(lambda state: state["model"][WEIGHT].fill_(math.nan)), tmp_path / "out"
    for words in (
        ["teacher-store", "--teacher-path", path, "--data", data, "--out", out, "--top-k", 4, "--temperatures", "1"],
        ["export", "--to", "fairseq", "--checkpoint", path, "--data", data, "--out", out],
        ["features", "--checkpoint", path, "--data", data, "--out", out],
    ):
        assert cli.main([str(word) for word in words]) == 2, words
        errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(errors) == 1 and f"holds NaN in {WEIGHT}" in errors[0], errors
        assert not out.exists()


def test_a_bias_that_masks_a_symbol_is_no_fault():
    masked = {"model": {"decoder.output_projection.bias": torch.tensor([0.0, -math.inf])}}
    fairseq_io.require_finite(masked, "t.pt", "teacher")
    for bad in (torch.tensor([0.0, math.inf]), torch.tensor([[0.0, -math.inf]]), torch.tensor([math.nan])):
        with pytest.raises(LskdError, match=r"teacher t.pt holds .* in w, so that"):
            fairseq_io.require_finite({"model": {"w": bad.half()}}, "t.pt", "teacher")


@pytest.mark.parametrize("top_k", [0, 3])
def test_a_teacher_that_says_nan_is_not_learned_from(criterion, top_k):  # noqa: F811
    """Numbers as weights are no proof: here the table is not finite for one previous token."""
    teacher = TableModel(2)
    teacher.table.data[4] = math.nan
    kd_ls = criterion([teacher], top_k=top_k)
    with pytest.raises(LskdError, match=r"the teacher says NaN or infinity: .*give another checkpoint"):
        kd_ls(TableModel(1), make_sample(*SENTENCES))


def test_a_store_of_nan_is_not_written():
    log_p = torch.full((2, 9), math.nan)
    with pytest.raises(LskdError, match="the teacher says NaN"):
        TopKLayout(3, (1.0,), 9).encode(record(Dense(log_p, 1.0), 3, [1.0]))
    for precision in ("fp16", "fp32"):
        with pytest.raises(LskdError, match="the teacher says NaN"):
            FeatureLayout((4,), 9, precision).encode([torch.full((2, 4), math.nan)])


def test_a_teacher_that_masks_symbols_is_learned_from(criterion):  # noqa: F811
    teacher, student = TableModel(2), TableModel(1)
    for model in (teacher, student):
        model.table.data[:, 0] = -math.inf
    loss, _, logs = criterion([teacher], temperature=2.0)(student, make_sample(*SENTENCES))
    loss.backward()
    assert loss.isfinite() and float(logs["kd_loss"]) > 0 and student.table.grad.isfinite().all()


def test_bounds_do_not_stand_in_the_way_of_temperatures_in_use(data, teacher, tmp_path):
    for temperature in (0.05, 1000):
        folder = train(
            data,
            tmp_path / str(temperature),
            "--teacher-path",
            teacher,
            "--temperature",
            temperature,
            "--max-update",
            1,
        )
        assert (folder / "checkpoint_last.pt").is_file()
