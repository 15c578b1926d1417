"""Self-Evolution KD: its slow twin, what it is without hard tokens or without the gold symbol, bounds, its minimum."""

import json
import math

import pytest
import slow
import torch
from conftest import train
from test_chunked import EXACT, Case, Largest, N, V
from test_kd_ls import SENTENCES, TableModel, criterion, make_sample, transitions  # noqa: F401
from test_preflight import refuses  # noqa: F401
from torch.nn.functional import linear

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.divergences import forward_kl, tempered
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.self_evolution import Evolution, evolved_kl, evolved_written_out, log_prior, prior_kl
from lskd_nmt.losses.signals import Dense
from lskd_nmt.losses.token_selection import TermWeights
from lskd_nmt.losses.token_statistics import token_statistics

GOLDS = [0.0, 0.5, 1.0]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair():
    """Teacher, student that takes a gradient, targets."""
    return draw(N, V, seed=1).log_softmax(-1), draw(N, V, seed=2).requires_grad_(), torch.arange(N) % V


@pytest.mark.parametrize("gold", GOLDS)
def test_loss_and_difficulty_are_their_slow_twins(gold):
    log_p, z, target = pair()
    mix = torch.linspace(0, 0.95, N, dtype=torch.float64)
    found = evolved_kl(log_p, z.log_softmax(-1), target, gold, mix)
    difficulty = Evolution(gold, 1.0).difficulty(log_p, z.log_softmax(-1), target)
    for token, y in enumerate(target.tolist()):
        p, q = log_p[token].exp().tolist(), slow.softmax(z[token].tolist())
        assert found[token].item() == pytest.approx(slow.evolved(p, q, y, gold, mix[token].item()), rel=1e-9)
        assert difficulty[token].item() == pytest.approx(slow.kl(slow.prior(p, y, gold), q), rel=1e-9)


@pytest.mark.parametrize("gold", GOLDS)
@pytest.mark.parametrize("size", [1.0, 40.0, 300.0])
def test_the_written_out_gradient_is_autograds(gold, size):
    """Of likely symbols, and of those whose probabilities are below the smallest number."""
    target, mix = torch.arange(N) % V, torch.linspace(1e-6, 0.95, N, dtype=torch.float64)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        log_p = (draw(N, V, seed=1) * size).to(dtype).log_softmax(-1)
        z = (draw(N, V, seed=2) * size).to(dtype).requires_grad_()
        log_q = z.log_softmax(-1)
        expected = evolved_kl(log_p.double(), log_q.double(), target, gold, mix)
        (slope,) = torch.autograd.grad(expected.sum(), z)
        given = log_p.exp(), log_p.clone(), log_q.detach().clone()
        found = evolved_written_out(*given, target, gold, mix.to(dtype))
        torch.testing.assert_close(found.losses.double(), expected.detach(), rtol=tolerance, atol=10 * tolerance)
        torch.testing.assert_close(found.own * log_q.exp() - found.dense, slope, rtol=0, atol=tolerance)


@pytest.mark.parametrize("gold", GOLDS)
@pytest.mark.parametrize("size", [0.01, 1.0, 300.0])
def test_the_difficulty_is_the_divergence_from_the_prior(gold, size):
    target = torch.arange(N) % V
    log_p, log_q = ((draw(N, V, seed=seed) * size).log_softmax(-1) for seed in (1, 2))
    log_q[0, 3] = -math.inf  # infinitely difficult
    expected = forward_kl(log_prior(log_p, target, gold), log_q)
    torch.testing.assert_close(prior_kl(log_p, log_q, target, gold), expected, rtol=1e-9, atol=1e-12)


def test_gold_alone_is_as_difficult_as_its_loss():
    log_p, z, target = pair()
    expected = -z.log_softmax(-1).gather(-1, target[:, None])[:, 0]
    torch.testing.assert_close(Evolution(1.0, 1.0).difficulty(log_p, z.log_softmax(-1), target), expected, **EXACT)


@pytest.mark.parametrize("gold", GOLDS)
def test_without_hard_tokens_it_is_forward_kl(gold):
    log_p, z, target = pair()
    evolved = evolved_kl(log_p, z.log_softmax(-1), target, gold, torch.zeros(N, dtype=torch.float64))
    plain = forward_kl(log_p, z.log_softmax(-1))
    torch.testing.assert_close(evolved, plain, **EXACT)
    slopes = [torch.autograd.grad(loss.sum(), z)[0] for loss in (evolved, plain)]
    torch.testing.assert_close(*slopes, **EXACT)


def test_without_the_gold_symbol_a_perfect_student_costs_nothing():
    log_p, _, target = pair()
    assert evolved_kl(log_p, log_p, target, 0.0, torch.full((N,), 0.7, dtype=torch.float64)).abs().max() < 1e-12


@pytest.mark.parametrize("gold", GOLDS)
def test_bounds(gold):
    """KL is convex in its second argument, and the mixture is nowhere below λ_t·(1-B)·p."""
    log_p, z, target = pair()
    mix = torch.linspace(0.05, 0.95, N, dtype=torch.float64)
    log_q, log_r = z.detach().log_softmax(-1), log_prior(log_p, target, gold)
    found = evolved_kl(log_p, log_q, target, gold, mix)
    assert (found >= 0).all()
    assert (found <= (1 - mix) * forward_kl(log_p, log_q) + mix * forward_kl(log_p, log_r) + 1e-12).all()
    if gold < 1:
        assert (found <= -(mix * (1 - gold)).log() + 1e-12).all()


def test_where_the_mixture_is_the_teacher_nothing_is_left_to_learn():
    """At q = (p - λ_t·r)/(1 - λ_t) loss and gradient are 0: the student leaves to the prior what the prior says."""
    p = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64)
    r = 0.4 * torch.eye(3, dtype=torch.float64)[:1] + 0.6 * p  # the gold symbol is the first
    z = ((p - 0.5 * r) / 0.5).log().requires_grad_()
    loss = evolved_kl(p.log(), z.log_softmax(-1), torch.tensor([0]), 0.4, torch.tensor([0.5], dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss.sum(), z)
    assert z.detach().exp().sum().item() == pytest.approx(1)
    assert loss.abs().item() < 1e-12 and slope.abs().max() < 1e-12


def test_the_mix_follows_the_difficulty_of_the_hard_tokens():
    difficulty = torch.tensor([3.0, 0.25, 1.0, 0.0], dtype=torch.float64)
    assert Evolution(0.5, 0.5).mix(difficulty).tolist() == [0.75, 0, 0.5, 0]
    assert Evolution(0.5, 1.0).mix(difficulty).tolist() == [0.75, 0.2, 0.5, 0]
    assert Evolution(0.5, 0.5).mix(difficulty[:0]).tolist() == []


def weighed(options, case, chunk=4):
    """The weights of a case's tokens as the criterion makes them."""
    statistics = token_statistics(
        options.statistics, case.h, Projection(case.w, case.b), case.target, case.teacher, options, chunk
    )
    assert not statistics["difficulty"].requires_grad
    return options.selection.weights(statistics, options.kd_weight)._replace(
        prior=options.evolution.mix(statistics["difficulty"])
    )


def dense(options, case, weights):
    signal = Dense(linear(case.teacher.features[0], *case.teacher.projections[0]).log_softmax(-1), 1.0)
    return kd_ls_terms(linear(case.h, case.w, case.b).log_softmax(-1), case.target, signal, options, weights)


GRID = [
    KdOptions(kd_weight=0.5, self_evolution="0.5:0.5"),
    KdOptions(2.5, 0.4, 0.1, self_evolution="0.3:1"),
    KdOptions(2.5, 1.0, temper="teacher", self_evolution="1:0.3"),
    KdOptions(2.0, 0.4, select="batch:0.5", self_evolution="0:0.5"),
]


@pytest.mark.parametrize("options", GRID)
def test_chunks_change_neither_loss_nor_gradient(options):
    case = Case()
    weights = weighed(options, case)
    expected = dense(options, case, weights)
    slopes = torch.autograd.grad(2.5 * expected.loss.sum(), case.inputs())
    for chunk in (1, 5, N + 1):
        torch.testing.assert_close(weighed(options, case, chunk).prior, weights.prior, **EXACT)
        found = case.chunked(options, term_weights=weights, chunk=chunk)
        torch.testing.assert_close(found.loss, expected.loss.sum(), **EXACT)
        torch.testing.assert_close(found.kd, expected.kd, **EXACT)
        for ours, theirs in zip(torch.autograd.grad(2.5 * found.loss, case.inputs()), slopes, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("options", GRID[:3])
def test_the_statistics_are_at_the_temperatures_of_the_divergence(options):
    case = Case()
    log_p = tempered(linear(case.teacher.features[0], *case.teacher.projections[0]), options.temperature)
    log_q = tempered(linear(case.h, case.w, case.b), options.student_temperature)
    expected = options.evolution.mix(options.evolution.difficulty(log_p, log_q, case.target))
    torch.testing.assert_close(weighed(options, case).prior, expected, **EXACT)


@pytest.mark.parametrize("options", GRID)
def test_gradients_are_slopes(options):
    case = Case(n=3, v=5, d=2)
    weights = weighed(options, case)

    def loss(h, w, b):
        projection = Projection(w, b)
        return kd_ls_from_features(
            h, projection, case.target, case.teacher, options, term_weights=weights, chunk=2
        ).loss

    assert torch.autograd.gradcheck(loss, case.inputs())


def test_no_tensor_has_the_logits_of_all_tokens():
    case, chunk = Case(n=300, v=200, d=4, dtype=torch.float32), 10
    with Largest() as seen:
        case.chunked(GRID[0], term_weights=weighed(GRID[0], case, chunk), chunk=chunk).loss.backward()
    assert seen.elements == chunk * 200


@pytest.mark.parametrize("gold", GOLDS)
@pytest.mark.parametrize("size", [1.0, 300.0])
def test_sure_students_that_are_wrong_overflow_nothing(size, gold):
    """Probabilities below float32's smallest number, in teacher and student."""
    z = (draw(N, V, seed=3) * size).float().requires_grad_()
    log_p, target, evolution = (draw(N, V) * size).float().log_softmax(-1), torch.arange(N) % V, Evolution(gold, 0.5)
    mix = evolution.mix(evolution.difficulty(log_p, z.detach().log_softmax(-1), target))
    loss = evolved_kl(log_p, z.log_softmax(-1), target, gold, mix)
    assert loss.isfinite().all() and torch.autograd.grad(loss.sum(), z)[0].isfinite().all()


def test_the_weights_of_some_tokens():
    weights = TermWeights(torch.arange(4.0), torch.arange(4.0) + 10, torch.arange(4.0) + 20)
    assert [each.tolist() for each in weights.rows(slice(1, 3))] == [[1, 2], [11, 12], [21, 22]]
    assert weights._replace(prior=None).rows(slice(1, 3)).prior is None


def test_the_criterion_mixes_the_prior_into_the_hardest_tokens(criterion):  # noqa: F811
    student, teacher = TableModel(1), TableModel(2)
    kd_ls = criterion([teacher], self_evolution="0.4:0.3", kd_weight=0.25, temperature=2.0)
    found = []  # difficulty, teacher, student, target and NLL of each of the 9 tokens
    for before, token in transitions():
        z = student.table[before].tolist()
        p, q = slow.softmax(teacher.table[before].tolist(), 2.0), slow.softmax(z, 2.0)
        found.append((slow.kl(slow.prior(p, token, 0.4), q), p, q, token, -math.log(slow.softmax(z)[token])))
    found.sort(reverse=True)  # three of nine are hard
    kd = sum(slow.evolved(p, q, y, 0.4, d / (1 + d) if i < 3 else 0.0) for i, (d, p, q, y, _) in enumerate(found))
    loss, _, logs = kd_ls(student, make_sample(*SENTENCES))
    expected = 0.75 * sum(each[-1] for each in found) + 0.25 * 4 * kd
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(logs["kd_loss"]) == pytest.approx(kd, rel=1e-5)
    rows, _, _ = kd_ls(student, make_sample(*SENTENCES), reduce=False)
    torch.testing.assert_close(rows.sum(), loss)


def test_a_training_compares_less_where_more_is_mixed_in(data, teacher, tmp_path, caplog):
    """At learning rate ~0, without the gold symbol: mixing in the teacher itself can only bring the student closer."""
    found = []
    for flags in ((), ("--self-evolution", "0:0.3"), ("--self-evolution", "0:1")):
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
                "--log-format",
                "json",
                *flags,
            )
        lines = [record.getMessage() for record in caplog.records]
        found.append(float(next(json.loads(line) for line in lines if '"valid_kd_loss"' in line)["valid_kd_loss"]))
    assert found[0] > found[1] > found[2] > 0


@pytest.mark.parametrize("text", ["0.5", "0.5:0", "0.5:1.1", "-0.1:0.5", "1.1:0.5", "x:0.5", "nan:0.5", "0.5:0.5:1"])
def test_what_is_not_a_share_of_gold_and_a_share_of_tokens(text):
    with pytest.raises(LskdError) as caught:
        KdOptions(self_evolution=text)
    assert str(caught.value).startswith(f"--self-evolution is {text}: give B:R") and "\n" not in str(caught.value)


def test_what_it_does_not_go_with(refuses):  # noqa: F811
    wanted = "--self-evolution", "0.5:0.5"
    with_teacher = *wanted, "--teacher-path", "t.pt"
    said = "--self-evolution is 0.5:0.5 and "
    assert said + "--kd-weight is 0: give a weight" in refuses(*wanted, "--kd-weight", 0)
    assert said + "--divergence is reverse: it is a forward KL" in refuses(*with_teacher, "--divergence", "reverse")
    assert said + "--tail is bucket: it needs the teacher's whole distr" in refuses(*with_teacher, "--top-k", 8)
    assert said + "--r-drop is 5: its two passes" in refuses(*with_teacher, "--r-drop", 5)
    assert said + "--virtual-teacher is correct: it needs a real" in refuses(*wanted, "--virtual-teacher", "correct")
    line = refuses(*wanted, "--kd-level", "sequence", "--hypotheses", "h")
    assert "--kd-level is sequence and does not read --self-evolution" in line
