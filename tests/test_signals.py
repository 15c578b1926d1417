"""Top-k signals: what is kept is exact at every temperature of the grid, and each tail mode is the one it claims."""

import math

import pytest
import torch
from slow import kl, softmax, top_k_kl

from lskd_nmt.errors import LskdError
from lskd_nmt.losses import signals
from lskd_nmt.losses.divergences import forward_kl, tempered
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense

EXACT = {"rtol": 1e-10, "atol": 1e-10}
GRID = [0.5, 1.0, 2.0, 64.0]
TAILS = ["bucket", "uniform", "renormalise"]


def two_logits(n: int = 9, v: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, n, v, generator=torch.Generator().manual_seed(n * v), dtype=torch.float64) * 3


@pytest.mark.parametrize("column, temperature", list(enumerate(GRID)))
def test_kept_probabilities_are_the_full_softmaxs_at_every_temperature_of_the_grid(column, temperature):
    _, teacher = two_logits()
    record = signals.record(Dense(teacher.log_softmax(-1), 1.0), 5, GRID)
    signal = record.at(temperature)
    full = (teacher / temperature).softmax(-1)
    torch.testing.assert_close(signal.log_probs.exp(), full.gather(-1, record.ids), **EXACT)
    torch.testing.assert_close(signals.tail_mass(signal, 23), 1 - full.topk(5).values.sum(-1), **EXACT)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("temperature", [1.0, 2.0, 64.0])
@pytest.mark.parametrize("k", [1, 4, 22, 23])
def test_divergence_is_the_sum_written_out(k, temperature, tail):
    student, teacher = two_logits()
    signal = signals.top_k(Dense(teacher.log_softmax(-1), 1.0), k, temperature)
    slow = [
        top_k_kl(softmax(t, temperature), softmax(s, temperature), k, tail)
        for s, t in zip(student.tolist(), teacher.tolist(), strict=True)
    ]
    fast = signals.top_k_kl(signal, tempered(student, temperature), tail)
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("tail", TAILS)
def test_all_symbols_kept_is_dense(tail):
    student, teacher = two_logits()
    log_p, log_q = teacher.log_softmax(-1), student.log_softmax(-1)
    whole = signals.top_k_kl(signals.top_k(Dense(log_p, 1.0), 23, 2.0), tempered(log_q, 2.0), tail)
    torch.testing.assert_close(whole, forward_kl(tempered(log_p, 2.0), tempered(log_q, 2.0)), **EXACT)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 64.0])
def test_at_a_perfect_match_each_mode_has_its_known_floor(temperature):
    _, teacher = two_logits()
    log_p = teacher.log_softmax(-1)
    signal, log_q = signals.top_k(Dense(log_p, 1.0), 4, temperature), tempered(log_p, temperature)
    floor = {tail: signals.top_k_kl(signal, log_q, tail) for tail in TAILS}
    kept = signal.log_probs.exp().sum(-1)
    torch.testing.assert_close(floor["bucket"], torch.zeros(9, dtype=torch.float64), **EXACT)
    torch.testing.assert_close(floor["renormalise"], -kept.log(), **EXACT)
    for row, found in zip(teacher.tolist(), floor["uniform"].tolist(), strict=True):
        p = softmax(row, temperature)
        tail = sorted(p)[:-4]
        spread = [sum(tail) / len(tail)] * len(tail)
        assert found == pytest.approx(kl(spread, tail), abs=1e-10)


def test_tail_of_nothing_and_of_everything_stay_finite():
    certain = torch.tensor([[0.0, -800.0, -900.0]], dtype=torch.float32).log_softmax(-1)
    flat = torch.zeros(1, 3).log_softmax(-1)
    for tail in TAILS:
        for log_p, student in ((certain, flat), (flat, certain)):
            log_q = student.clone().requires_grad_()
            value = signals.top_k_kl(signals.top_k(Dense(log_p, 1.0), 1, 1.0), log_q, tail)
            value.sum().backward()
            assert math.isfinite(value.item()) and log_q.grad.isfinite().all(), tail


@pytest.mark.parametrize(
    "flags, part",
    [
        ({"tail": "dense", "top_k": 4}, "dense is for all symbols"),
        ({"tail": "bucket"}, "--tail is bucket and --top-k is 0"),
        ({"tail": "rest", "top_k": 4}, "--tail is rest"),
        ({"tail": "bucket", "top_k": -1}, "--top-k is -1"),
    ],
)
def test_modes_that_do_not_go_together_are_refused(flags, part):
    with pytest.raises(LskdError, match=part):
        KdOptions(**flags)


def test_the_objective_takes_the_teachers_side_only_when_asked_to():
    student, teacher = two_logits()
    log_q, target = student.log_softmax(-1), torch.zeros(9, dtype=torch.long)
    signal = signals.top_k(Dense(teacher.log_softmax(-1), 1.0), 4, 2.0)
    for temper, at in (("both", 2.0), ("teacher", 1.0)):
        options = KdOptions(2.0, 1.0, temper=temper, tail="bucket", top_k=4)
        expected = 4 * signals.top_k_kl(signal, tempered(log_q, at), "bucket")
        torch.testing.assert_close(kd_ls_terms(log_q, target, signal, options).loss, expected)
