"""Divergences whose gradient is written out: value and slope are those of autograd, on the whole path, too."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from test_chunked import EXACT, Case, N

from lskd_nmt.losses import closed_forms
from lskd_nmt.losses.closed_forms import in_blocks
from lskd_nmt.losses.divergences import DIVERGENCES, divergence_named
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.terms import divergence_written_out
from lskd_nmt.losses.token_selection import TermWeights

CLOSED = [name for name, entry in DIVERGENCES.items() if entry.closed_form]
SHARES = ("1e-06", "0.1", "0.5", "0.9", "0.999999")  # skewed ones may have 0, too


def spelled(name):
    """A divergence with the ends of its parameter's range, and what is between."""
    parameter = DIVERGENCES[name].parameter
    if parameter is None:
        return [name]
    return [f"{name}:{share}" for share in (("0",) if parameter.low_included else ()) + SHARES]


FORMS = [form for name in CLOSED for form in spelled(name)]


def test_all_shipped_divergences_are_written_out():
    assert {"reverse", "jsd", "skew", "skew-reverse", "tvd"} <= set(CLOSED)
    assert all(divergence_written_out(KdOptions(2.0, 0.5, divergence=spelled(name)[0])) for name in DIVERGENCES)


def autograds(name, log_p, z):
    """Loss and slope in the logits."""
    z = z.clone().requires_grad_()
    losses = divergence_named(name)(log_p, z.log_softmax(-1))
    (slope,) = torch.autograd.grad(losses.sum(), z)
    return losses.detach(), slope


def written_out(name, log_p, z):
    """The same by the closed form."""
    slope, q = log_p.clone(), z.log_softmax(-1)
    losses, sums = in_blocks(divergence_named(name).in_closed_form, slope, q)
    torch.testing.assert_close(q, z.softmax(-1), equal_nan=True)
    return losses, slope - q * sums.unsqueeze(-1)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 8.0])
def test_value_and_slope_are_autograds(name, scale, monkeypatch):
    """Of distributions that are nearly even up to such with probabilities of 1e-20, in blocks of any size."""
    generator = torch.Generator().manual_seed(1)
    for tokens, symbols, block in ((7, 11, 22), (5, 40, 1), (0, 3, 9)):
        monkeypatch.setattr(closed_forms, "BLOCK_ELEMENTS", block)
        teacher, z = torch.randn(2, tokens, symbols, generator=generator, dtype=torch.float64) * scale
        for ours, theirs in zip(*(f(name, teacher.log_softmax(-1), z) for f in (written_out, autograds)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_value_and_slope_with_probabilities_that_are_0_or_underflow(name, dtype, tolerance):
    """Of both, of the student alone, and of the teacher alone where KL(q ‖ p) is infinite and has no slope."""
    teacher = torch.tensor([[0.5, -0.5, -math.inf, 0.1], [0.3, 1.0, -2000.0, 0.7], [0.0, 1.0, 2.0, 0.5]], dtype=dtype)
    student = torch.tensor([[1.0, 0.0, -math.inf, -2.0], [1.0, -2000.0, 0.3, 0.0], [0.2, -150.0, -150.0, -90.0]])
    log_p, z = teacher.log_softmax(-1), student.to(dtype)
    found, expected = (f(name, log_p, z) for f in (written_out, autograds))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    apart = torch.tensor([[0.0, -math.inf]], dtype=dtype)
    value, slope = written_out(name, apart, apart.flip(-1))
    torch.testing.assert_close(value, divergence_named(name)(apart, apart.flip(-1)), rtol=tolerance, atol=tolerance)
    assert slope.isfinite().all() or value.isinf()


@pytest.mark.parametrize("name", FORMS)
def test_a_student_that_is_its_teacher_costs_nothing_and_stays(name):
    z = torch.randn(5, 300, generator=torch.Generator().manual_seed(2)) * 3
    losses, slope = written_out(name, z.log_softmax(-1), z)
    assert losses.eq(0).all()
    assert slope.abs().max() < 1e-6  # a rounding error of q


def test_what_is_not_a_number_stays_that():
    good, bad = torch.zeros(1, 3), torch.tensor([[0.0, math.nan, 0.0]])
    for name, pair in itertools.product(FORMS, ((good, bad), (bad, good))):
        assert written_out(name, pair[0].log_softmax(-1), pair[1])[0].isnan().all()


@pytest.mark.parametrize("temper", ["both", "teacher"])
@pytest.mark.parametrize("name", FORMS)
def test_the_whole_path_is_the_dense_one(name, temper, monkeypatch):
    """With weights of tokens and of terms, some of them 0, a ranking term beside it, and chunks of several blocks."""
    monkeypatch.setattr(closed_forms, "BLOCK_ELEMENTS", 23)
    generator = torch.Generator().manual_seed(3)
    each, hard, soft = torch.rand(3, N, generator=generator, dtype=torch.float64)
    each[2] = soft[1] = soft[5] = 0
    for temperature, rank in ((1.0, 0), (3.0, 0), (1.0, 3), (3.0, 3)):
        case = Case()
        options = KdOptions(temperature, 0.4, 0.1, temper=temper, divergence=name, rank=rank)
        extra = {"sentence_weights": each, "term_weights": TermWeights(hard, soft)}
        expected, found = case.dense(options, extra["term_weights"]), case.chunked(options, chunk=5, **extra)
        torch.testing.assert_close(found.kd, expected.kd, **EXACT)
        torch.testing.assert_close(found.loss, (expected.loss * each).sum(), **EXACT)
        slopes = [torch.autograd.grad(loss, case.inputs()) for loss in (found.loss, (expected.loss * each).sum())]
        for ours, theirs in zip(*slopes, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


def test_one_without_a_closed_form_is_left_to_autograd(monkeypatch):
    """As a user's own; the objective is the same as with it."""
    monkeypatch.setitem(DIVERGENCES, "own", replace(DIVERGENCES["jsd"], closed_form=None))
    case, found = Case(), []
    for name in ("jsd:0.3", "own:0.3"):
        loss = case.chunked(KdOptions(2.0, 0.5, 0.1, divergence=name), chunk=4).loss
        found.append((loss, *torch.autograd.grad(loss, case.inputs())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
