"""Virtual teachers: their published numbers, label smoothing as their special case, and what they do not go with."""

import json
import math
from typing import get_args

import pytest
import slow
import torch
from conftest import train
from test_chunked import EXACT, Case, N, V
from test_kd_ls import SENTENCES, SYMBOLS, TableModel, criterion, make_sample, transitions  # noqa: F401
from test_preflight import refuses  # noqa: F401
from torch.nn.functional import linear

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.settings import VirtualTeacher
from lskd_nmt.losses.smoothing import smoothed_nll
from lskd_nmt.losses.virtual_teacher import virtual_log_prob, virtual_signal

KINDS = get_args(VirtualTeacher)


def settings(kind, temperature=1.0, weight=0.3, epsilon=0.0, share=None, squared=True):
    return KdOptions(
        temperature,
        weight,
        epsilon,
        temperature_squared=squared,
        tail="uniform",
        top_k=1,
        virtual_teacher=kind,
        virtual_share=share,
    )


def signal(options, target, symbols=V):
    kind, share = options.virtual_teacher, options.virtual_share
    return virtual_signal(target, symbols, kind, share, options.temperature, torch.float64)


def log_q(case):
    return linear(case.h, case.w, case.b).log_softmax(-1)


def slopes(loss, case):
    return torch.autograd.grad(2.5 * loss, case.inputs())


@pytest.mark.parametrize(
    "symbols, kind, share, expected",
    [
        (10_000, "reg_prob_as_logit", 0.99, 1.05e-4),
        (10_000, "reg_power", 0.99, 2.0e-4),
        (10, "reg_prob_as_logit", 0.99, 0.1045),
        (10, "reg_power", 0.99, 0.135),
        (10, "reg_power", 0.999, 0.149),
    ],
)
def test_the_two_readings_at_temperature_20_are_as_far_apart_as_computed_by_hand(symbols, kind, share, expected):
    """e^{0.99/20} / (e^{0.99/20} + V-1), say, is 1.05/V; (0.99·9/0.01)^{1/20} = 1.404, over 1.404 + 9 it is 0.135."""
    assert math.exp(virtual_log_prob(kind, share, symbols, 20.0)) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 20.0, 1e6])
@pytest.mark.parametrize("share", [1e-6, 1 / V, 0.5, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_no_temperature_and_no_share_leaves_the_probabilities(kind, share, temperature):
    log_p = virtual_log_prob(kind, share, V, temperature)
    assert log_p <= 0
    if temperature >= 0.5:
        expected = slow.virtual_teacher(kind, share, V, 0, temperature)[0]
        assert math.exp(log_p) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 2.5, 20.0])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_its_slow_twin_and_chunks_change_nothing(kind, temperature, squared):
    case, options = Case(), settings(kind, temperature, epsilon=0.1, share=0.9, squared=squared)
    given = signal(options, case.target)
    dense = kd_ls_terms(log_q(case), case.target, given, options)
    student_temperature = 1.0 if kind == "reg_prob_as_logit" else temperature
    for token, (z, y) in enumerate(zip(linear(case.h, case.w, case.b).tolist(), case.target.tolist(), strict=True)):
        p = slow.virtual_teacher(kind, 0.9, V, y, temperature)
        kd = slow.kl(p, slow.softmax(z, student_temperature))
        hard = slow.cross_entropy(slow.smoothed_label(V, y, 0.1, "others"), slow.softmax(z))
        assert dense.kd[token].item() == pytest.approx(kd, rel=1e-9)
        expected = 0.7 * hard + 0.3 * (temperature**2 if squared else 1) * kd
        assert dense.loss[token].item() == pytest.approx(expected, rel=1e-9)
    expected = slopes(dense.loss.sum(), case)
    for chunk in (1, 5, N + 1):
        found = kd_ls_from_features(case.h, Projection(case.w, case.b), case.target, given, options, chunk=chunk)
        torch.testing.assert_close(found.loss, dense.loss.sum(), **EXACT)
        torch.testing.assert_close(found.kd, dense.kd, **EXACT)
        for ours, theirs in zip(slopes(found.loss, case), expected, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


def entropy(p):
    return -sum(each * math.log(each) for each in p)


@pytest.mark.parametrize("kind, share, over", [("correct", None, "vocabulary"), ("reg_power", 0.8, "others")])
def test_at_temperature_1_it_is_label_smoothing(kind, share, over):
    """A uniform teacher (LSR-OS) smooths over the vocabulary, one of share a (Tf-KD_reg) by ε = α(1-a) over the others.

    The loss differs by the teacher's entropy, the gradient not at all.
    """
    case, options = Case(), settings(kind, weight=0.3, share=share)
    dense = kd_ls_terms(log_q(case), case.target, signal(options, case.target), options)
    epsilon = 0.3 if share is None else 0.3 * (1 - share)
    smoothed = smoothed_nll(log_q(case), case.target, epsilon, over)
    constant = 0.3 * entropy(slow.virtual_teacher(kind, 1 / V if share is None else share, V, 0, 1.0))
    torch.testing.assert_close(dense.loss, smoothed - constant, **EXACT)
    for ours, theirs in zip(slopes(dense.loss.sum(), case), slopes(smoothed.sum(), case), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_that_says_what_its_virtual_teacher_says_has_no_divergence(kind):
    options, target = settings(kind, 4.0, share=0.9), torch.tensor([2])
    p = torch.tensor([slow.virtual_teacher(kind, 0.9, V, 2, 4.0)], dtype=torch.float64)
    student = (options.student_temperature * p.log()).log_softmax(-1)
    assert kd_ls_terms(student, target, signal(options, target), options).kd.abs().max() < 1e-12


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"virtual_teacher": "wise"}, "--virtual-teacher is wise: give one of"),
        ({"virtual_teacher": "reg_power", "virtual_share": 1.0}, "--virtual-share is 1.0: give a number"),
        ({"virtual_teacher": "reg_power", "virtual_share": math.nan}, "--virtual-share is nan: give a number"),
        (
            {"virtual_teacher": "correct", "divergence": "reverse"},
            "--divergence is reverse and --virtual-teacher is corr",
        ),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(LskdError) as caught:
        KdOptions(**settings)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_criterion_loads_no_teacher_and_names_no_tail(criterion, kind):  # noqa: F811
    student, sample = TableModel(1), make_sample(*SENTENCES)
    kd_ls = criterion(virtual_teacher=kind, kd_weight=0.25, temperature=2.0, no_temperature_squared=True)
    loss, _, logs = kd_ls(student, sample)
    hard = soft = 0.0
    for before, token in transitions():
        z = student.table[before].tolist()
        share = 1 / SYMBOLS if kind == "correct" else 0.99
        q = slow.softmax(z, 1.0 if kind == "reg_prob_as_logit" else 2.0)
        hard -= math.log(slow.softmax(z)[token])
        soft += slow.kl(slow.virtual_teacher(kind, share, SYMBOLS, token, 2.0), q)
    assert float(loss.detach()) == pytest.approx(0.75 * hard + 0.25 * soft, rel=1e-5)
    assert float(logs["kd_loss"]) == pytest.approx(soft, rel=1e-5)
    assert kd_ls._teacher.live is None and not [name for name in logs if name.startswith("tail_")]


def last_valid(caplog):
    """What the last validation logged."""
    lines = [record.getMessage() for record in caplog.records]
    return json.loads([line for line in lines if '"valid_loss"' in line][-1])


def test_a_training_with_a_uniform_teacher_is_one_with_label_smoothing(data, tmp_path, caplog):
    """LSR-OS at T = 1 beside ε = 0.1 over the vocabulary: the same weights, and losses apart by 0.1·log V."""
    both = []
    for flags in (
        ("--virtual-teacher", "correct", "--kd-weight", 0.1),
        ("--kd-weight", 0, "--label-smoothing", 0.1, "--smoothing-over", "vocabulary"),
    ):
        caplog.clear()
        with caplog.at_level("INFO"):
            train(data, tmp_path, "--no-save", "--max-epoch", 1, "--log-format", "json", *flags)
        both.append(last_valid(caplog))
    virtual, smoothed = both
    assert float(smoothed["valid_loss"]) - float(virtual["valid_loss"]) == pytest.approx(0.1 * math.log2(16), abs=2e-3)
    assert virtual["valid_nll_loss"] == smoothed["valid_nll_loss"]
    assert "valid_kd_loss" in virtual and "valid_kd_tail" not in virtual


def test_flags_that_a_virtual_teacher_does_not_read(refuses):  # noqa: F811
    virtual = "--virtual-teacher", "reg_power"
    for flags in (
        ("--teacher-path", "t.pt"),
        ("--teacher-store", "store"),
        ("--teacher-data", "d"),
        ("--top-k", 8),
        ("--tail", "bucket"),
        ("--temper", "teacher"),
        ("--hypotheses", "h"),
    ):
        line = refuses(*virtual, *flags)
        assert f"--virtual-teacher reg_power does not read {flags[0]}: leave one of them out" in line
    assert "--virtual-teacher reg_power is for --kd-level word, not both" in refuses(*virtual, "--kd-level", "both")
    assert "--virtual-teacher is reg_power and --kd-weight is 0: give a weight" in refuses(*virtual, "--kd-weight", 0)
    assert "--virtual-share is 1.5: give a number above 0" in refuses(*virtual, "--virtual-share", 1.5)
    assert "--divergence is reverse and --virtual-teacher is reg_power" in refuses(*virtual, "--divergence", "reverse")
    assert "--virtual-share is 0.5 and --virtual-teacher is not given" in refuses("--virtual-share", 0.5)
