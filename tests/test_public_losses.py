"""`from lskd_nmt.losses import …` in a plain PyTorch loop: against slow twins, torch's losses and the criterion."""

import math
import subprocess
import sys

import pytest
import slow
import torch
from conftest import ROOT
from test_losses import logits_and_target
from torch.nn import functional as F

from lskd_nmt import losses
from lskd_nmt.errors import LskdError
from lskd_nmt.losses import Dense, KdOptions, kd_ls_loss, kd_ls_terms, top_k
from lskd_nmt.losses.divergences import DIVERGENCES

N, V = 17, 11


def slowly(student, teacher, target, temperature, weight, epsilon, over="others", temper="both", squared=True):
    arguments = temperature, weight, epsilon, over, temper, squared
    rows = zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True)
    return [slow.kd_ls(s, t, y, *arguments) for s, t, y in rows]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("temperature, weight, epsilon", [(1.0, 0.5, 0.0), (2.5, 0.3, 0.1), (64.0, 1.0, 0.1)])
def test_it_is_its_slow_twin(temperature, weight, epsilon, reduction):
    student, teacher, target = logits_and_target(N, V)
    found = kd_ls_loss(
        student,
        target,
        teacher,
        temperature=temperature,
        kd_weight=weight,
        label_smoothing=epsilon,
        reduction=reduction,
    )
    each = slowly(student, teacher, target, temperature, weight, epsilon)
    assert found.item() == pytest.approx(sum(each) / (N if reduction == "mean" else 1), rel=1e-10)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_without_a_teacher_it_is_torchs_cross_entropy(epsilon):
    """torch smooths over the whole vocabulary."""
    student, _, target = logits_and_target(N, V)
    student.requires_grad_()
    ours = kd_ls_loss(student, target, kd_weight=0.0, label_smoothing=epsilon, smoothing_over="vocabulary")
    theirs = F.cross_entropy(student, target, label_smoothing=epsilon)
    torch.testing.assert_close(ours, theirs)
    slopes = [torch.autograd.grad(loss, student)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_only_it_is_torchs_kl_divergence_times_the_square(temperature):
    student, teacher, target = logits_and_target(N, V)
    student.requires_grad_()
    ours = kd_ls_loss(student, target, teacher, temperature=temperature, kd_weight=1.0)
    log_q, log_p = ((logits / temperature).log_softmax(-1) for logits in (student, teacher))
    theirs = temperature**2 * F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    torch.testing.assert_close(ours, theirs)
    slopes = [torch.autograd.grad(loss, student)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("name", [name for name, entry in DIVERGENCES.items() if not entry.parameter])
def test_every_divergence_is_the_criterions(name):
    student, teacher, target = logits_and_target(N, V)
    signal, log_q = Dense(teacher.log_softmax(-1), 1.0), student.log_softmax(-1)
    options = KdOptions(2.0, 0.4, 0.1, divergence=name)
    weights = None
    if options.statistics:  # a weight for each token, whose mean is 1
        powers = torch.tensor([slow.power_sum(slow.softmax(row), 2.0) for row in teacher.tolist()], dtype=torch.float64)
        soft = 0.4 * powers / powers.mean()
        weights = losses.objective.TermWeights(torch.full_like(soft, 0.6), soft)
    expected = kd_ls_terms(log_q, target, signal, options, weights).loss.mean()
    found = kd_ls_loss(student, target, teacher, temperature=2.0, kd_weight=0.4, label_smoothing=0.1, divergence=name)
    torch.testing.assert_close(found, expected)


def test_a_signal_stands_for_its_logits_at_whatever_temperature_it_is():
    student, teacher, target = logits_and_target(N, V)
    whole = Dense(teacher.log_softmax(-1), 1.0)
    expected = kd_ls_loss(student, target, teacher, temperature=3.0)
    for signal in (whole, whole.at(3.0), whole.at(0.5)):
        torch.testing.assert_close(kd_ls_loss(student, target, signal, temperature=3.0), expected)
    torch.testing.assert_close(kd_ls_loss(student, target, top_k(whole, V, 3.0), temperature=3.0), expected)


@pytest.mark.parametrize("tail", ["bucket", "uniform", "renormalise"])
def test_a_top_k_is_compared_by_its_tail_mode(tail):
    student, teacher, target = logits_and_target(N, V)
    signal = top_k(Dense(teacher.log_softmax(-1), 1.0), 3, 2.0)
    found = kd_ls_loss(student, target, signal, temperature=2.0, kd_weight=1.0, tail=tail, reduction="sum")
    rows = zip(student.tolist(), teacher.tolist(), strict=True)
    each = [slow.top_k_kl(slow.softmax(t, 2.0), slow.softmax(s, 2.0), 3, tail) for s, t in rows]
    assert found.item() == pytest.approx(4 * sum(each), rel=1e-9)


def test_padding_counts_nowhere_even_if_it_is_not_a_number():
    student, teacher, target = logits_and_target(N, V)
    expected = kd_ls_loss(student, target, teacher, temperature=2.0)
    padded = [torch.cat([logits, torch.full((3, V), math.nan, dtype=torch.float64)]) for logits in (student, teacher)]
    student = padded[0].view(4, 5, V).requires_grad_()
    target = torch.cat([target, torch.full((3,), 1)]).view(4, 5)
    target.view(-1)[-3:] = -1
    found = kd_ls_loss(student, target, padded[1].view(4, 5, V), temperature=2.0, ignore_index=-1)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(found, student)
    assert slope.isfinite().all() and slope.view(-1, V)[-3:].eq(0).all()


def test_of_no_tokens_it_is_a_connected_zero():
    student = torch.randn(2, 3, V, requires_grad=True)
    loss = kd_ls_loss(student, torch.full((2, 3), -100), torch.randn(2, 3, V))
    loss.backward()
    assert loss.item() == 0 and student.grad.eq(0).all()


def test_half_precision_is_taken_in_single_and_the_teacher_gets_no_gradient():
    student, teacher, target = logits_and_target(N, V)
    half, taught = student.half().requires_grad_(), teacher.half().requires_grad_()
    loss = kd_ls_loss(half, target, taught, temperature=2.0)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad.dtype == torch.float16 and taught.grad is None
    torch.testing.assert_close(loss.double(), kd_ls_loss(student, target, teacher, temperature=2.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    "change, line",
    [
        ({"targets": torch.zeros(3, dtype=torch.long)}, r"student_logits are \(17, 11\) and targets \(3,\): give "),
        ({"teacher": torch.zeros(N, V + 1)}, "the teacher has 12 symbols, the student 11: give one V"),
        ({"teacher": torch.zeros(2, V)}, "the teacher is of 2 positions and the targets of 17: give a row for each"),
        ({"teacher": None}, "kd_weight is 0.5 and there is no teacher: give one, or 0"),
        ({"reduction": "max"}, "reduction is max: give mean or sum"),
        ({"temperature": -1.0}, "--temperature is -1.0: give a finite number above 0"),
        ({"divergence": "backward"}, "--divergence is backward: give one of forward"),
        ({"temperature": 2.0, "teacher": top_k(Dense(torch.zeros(N, V).log_softmax(-1), 1.0), 3, 4.0)}, "top k is of"),
    ],
)
def test_mistakes_get_one_line(change, line):
    student, teacher, target = logits_and_target(N, V)
    arguments = {"student_logits": student, "targets": target, "teacher": teacher, **change}
    with pytest.raises(LskdError, match=line) as refused:
        kd_ls_loss(**arguments)
    assert "\n" not in str(refused.value)


def test_every_public_name_is_there_and_documented():
    assert sorted(name for names in losses.HOME.values() for name in names) == sorted(losses.__all__)
    for name in losses.__all__:
        assert getattr(losses, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'kd_loss'"):
        _ = losses.kd_loss


def test_it_needs_no_fairseq():
    code = "import sys; sys.modules['fairseq'] = None; from lskd_nmt.losses import *; print(kd_ls_loss.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "kd_ls_loss\n", done.stderr


def test_divergences_by_hand():
    """p = (½, ½), q = (¼, ¾)."""
    log_p, log_q = (torch.tensor([each], dtype=torch.float64).log() for each in ([0.5, 0.5], [0.25, 0.75]))
    assert losses.forward_kl(log_p, log_q).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert losses.reverse_kl(log_p, log_q).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert losses.total_variation(log_p, log_q).item() == pytest.approx(0.25)
    assert losses.js_divergence(log_p, log_q, 0.5).item() == pytest.approx(
        slow.jensen_shannon([0.5, 0.5], [0.25, 0.75], 0.5)
    )
