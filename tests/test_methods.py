"""What every divergence and every selection of the tables has to obey, on both paths."""

import pytest
import torch
from test_chunked import EXACT, Case, D, N, V

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.divergences import DIVERGENCES
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense, top_k
from lskd_nmt.losses.token_selection import SELECTIONS, TermWeights
from lskd_nmt.losses.token_statistics import STATISTICS, token_statistics


def spelled(name):
    """A divergence's name with a parameter, if it has one: the middle of its range."""
    parameter = DIVERGENCES[name].parameter
    return f"{name}:{(parameter.low + parameter.high) / 2:g}" if parameter else name


def slopes(loss, case):
    return torch.autograd.grad(2.5 * loss, case.inputs())


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_chunks_change_neither_loss_nor_gradient(name, temperature):
    case, options = Case(), KdOptions(temperature, 0.4, 0.1, divergence=spelled(name))
    expected = case.dense(options)
    for chunk in (1, 5, N + 1):
        found = case.chunked(options, chunk=chunk)
        torch.testing.assert_close(found.loss, expected.loss.sum(), **EXACT)
        torch.testing.assert_close(found.kd, expected.kd, **EXACT)
        for ours, theirs in zip(slopes(found.loss, case), slopes(case.dense(options).loss.sum(), case), strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_gradients_of_the_objective_are_its_slopes(name):
    case, options = Case(n=3, v=5, d=2), KdOptions(2.0, 0.5, divergence=spelled(name))

    def loss(h, w, b):
        return kd_ls_from_features(h, Projection(w, b), case.target, case.teacher, options, chunk=2).loss

    assert torch.autograd.gradcheck(loss, case.inputs())


@pytest.mark.parametrize("name", [name for name, entry in DIVERGENCES.items() if entry.temper != "teacher"])
def test_a_perfect_student_costs_nothing_and_another_something(name):
    case, options = Case(v=D), KdOptions(2.0, 1.0, divergence=spelled(name))
    same = case.h.detach().log_softmax(-1)
    assert kd_ls_terms(same, case.target, Dense(same, 1.0), options).kd.abs().max() < 1e-12
    assert (kd_ls_terms(same, case.target, Dense(same.flip(-1), 1.0), options).kd > 0).all()


@pytest.mark.parametrize("tail, divergence", [("dense", "forward"), ("bucket", "forward"), ("dense", "reverse")])
def test_weights_of_the_terms_replace_theirs(tail, divergence):
    """Constant ones give the objective itself; others the sum written out, with its gradient."""
    options = KdOptions(2.0, 0.3, 0.1, tail=tail, top_k=0 if tail == "dense" else 3, divergence=divergence)
    case = Case()
    constant = TermWeights(torch.full((N,), 0.7, dtype=torch.float64), torch.full((N,), 0.3, dtype=torch.float64))
    plain, weighted = case.chunked(options, chunk=4), case.chunked(options, chunk=4, term_weights=constant)
    torch.testing.assert_close(weighted.loss, plain.loss, **EXACT)
    for ours, theirs in zip(slopes(weighted.loss, case), slopes(plain.loss, case), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    some = TermWeights(torch.rand(N, dtype=torch.float64), torch.rand(N, dtype=torch.float64))
    hard = case.dense(KdOptions(kd_weight=0.0, label_smoothing=0.1)).loss
    soft = case.dense(options).kd
    found = case.chunked(options, chunk=4, term_weights=some)
    torch.testing.assert_close(found.loss, (some.hard * hard + 4 * some.soft * soft).sum(), **EXACT)


@pytest.mark.parametrize("from_features", [True, False])
def test_the_statistics_are_what_the_loss_is_made_of(from_features):
    case, options = Case(), KdOptions(2.0, 0.5)
    log_q = torch.nn.functional.linear(case.h, case.w, case.b).log_softmax(-1)
    log_p = torch.nn.functional.linear(case.teacher.features[0], *case.teacher.projections[0]).log_softmax(-1)
    student, projection = (case.h, Projection(case.w, case.b)) if from_features else (log_q, None)
    found = token_statistics(
        ["student_nll", "teacher_nll"], student, projection, case.target, case.teacher, options, chunk=5
    )
    for token, symbol in enumerate(case.target.tolist()):
        assert found["student_nll"][token].item() == pytest.approx(-log_q[token, symbol].item())
        assert found["teacher_nll"][token].item() == pytest.approx(-log_p[token, symbol].item())
    assert not found["student_nll"].requires_grad


def test_batch_selects_the_hardest_share():
    statistics = {"student_nll": torch.tensor([0.1, 3.0, 2.0, 0.5, 1.0])}
    chosen = KdOptions(select="batch:0.4").selection
    weights = chosen.weights(statistics, 0.25)
    assert weights.soft.tolist() == [0, 0.25, 0.25, 0, 0]
    assert weights.hard.tolist() == [0.75] * 5


@pytest.mark.parametrize("share, tokens, selected", [(0.07, 100, 7), (0.55, 100, 55), (0.28, 25, 7), (0.5, 3, 2)])
def test_a_share_is_rounded_up_and_no_further(share, tokens, selected):
    chosen = KdOptions(select=f"batch:{share}").selection
    assert chosen.weights({"student_nll": torch.arange(float(tokens))}, 1.0).soft.count_nonzero() == selected


@pytest.mark.parametrize(
    "flag, value",
    [
        ("divergence", "backward"),
        ("divergence", "forward:2"),
        ("select", "batch"),
        ("select", "batch:0"),
        ("select", "batch:1.5"),
        ("select", "batch:x"),
        ("select", "all:1"),
        ("select", "best"),
    ],
)
def test_what_the_tables_do_not_know_is_refused_in_one_line(flag, value):
    with pytest.raises(LskdError) as caught:
        KdOptions(**{flag: value})
    assert str(caught.value).startswith(f"--{flag} is {value}: ")
    assert "give " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in DIVERGENCES if name != "forward"])
def test_a_top_k_has_forward_kl_only(name):
    with pytest.raises(LskdError, match=r"--divergence is .* and --tail is bucket: .*leave --top-k out"):
        KdOptions(tail="bucket", top_k=8, divergence=spelled(name))


@pytest.mark.parametrize(
    "name", [name for name, entry in SELECTIONS.items() if any(STATISTICS[f].asks_teacher for f in entry.statistics)]
)
def test_a_selection_by_the_teachers_loss_needs_all_of_the_teacher(name):
    text = ":".join([name, *(f"{parameter.high:g}" for parameter in SELECTIONS[name].parameters)])
    with pytest.raises(LskdError, match=r"--select is .* and --tail is bucket: .*leave --top-k out"):
        KdOptions(tail="bucket", top_k=8, select=text)


def test_selection_works_with_a_top_k_where_the_student_alone_decides():
    case, options = Case(), KdOptions(2.0, 0.5, tail="bucket", top_k=3, select="batch:0.5")
    log_p = torch.nn.functional.linear(case.teacher.features[0], *case.teacher.projections[0]).log_softmax(-1)
    signal = top_k(Dense(log_p, 1.0), 3, 2.0)
    statistics = token_statistics(
        options.selection.entry.statistics, case.h, Projection(case.w, case.b), case.target, signal, options
    )
    weights = options.selection.weights(statistics, options.kd_weight)
    assert weights.soft.count_nonzero() == -(-N // 2)
    both = [
        kd_ls_from_features(case.h, Projection(case.w, case.b), case.target, given, options, term_weights=weights).loss
        for given in (signal, case.teacher)
    ]
    torch.testing.assert_close(*both, **EXACT)
    assert V > 3
