"""Which tokens are selected, against slow twins, and what the objective makes of it on both paths."""

import math
import re
import sys

import pytest
import slow
import torch
from conftest import ROOT
from test_chunked import EXACT, Case, N
from torch.nn.functional import linear

from lskd_nmt.errors import LskdError
from lskd_nmt.losses import token_selection
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense
from lskd_nmt.losses.token_selection import SELECTIONS
from lskd_nmt.losses.token_statistics import token_statistics

ROWS = [0, 0, 0, 1, 1, 3, 3, 3, 3, 4, 5, 5, 5]  # a sentence of one token, and a row without any
FORMS = ["batch:0.4", "global:0.4:20", "hard-gate", "hard-gate-sentence", "gap:0.8"]
GATES = [form for form in FORMS if SELECTIONS[form.split(":")[0]].hard_alone]
COMPARING = [form for form in GATES if SELECTIONS[form.split(":")[0]].statistics == ("student_nll", "teacher_nll")]


def distributions(case):
    """log q and log p at τ = 1."""
    (features,), (projection,) = case.teacher
    return linear(case.h, case.w, case.b).log_softmax(-1), linear(features, *projection).log_softmax(-1)


def statistics_of(case, options, from_features=True, chunk=5):
    """What a selection is told; the queue of one with memory holds twice the losses of the batch."""
    log_q, log_p = distributions(case)
    student = (case.h, Projection(case.w, case.b)) if from_features else (log_q, None)
    teacher = case.teacher if from_features else Dense(log_p, 1.0)
    statistics = token_statistics(options.selection.entry.statistics, *student, case.target, teacher, options, chunk)
    statistics["sentence"] = torch.tensor(ROWS)
    if options.selection.memory:
        statistics["window"] = torch.cat([2 * statistics["student_nll"], statistics["student_nll"]])
    return statistics


def selected_slowly(case, name, parameters):
    q, p = (each.exp().tolist() for each in distributions(case))
    target = case.target.tolist()
    losses = [-math.log(row[y]) for row, y in zip(q, target, strict=True)]
    if name == "batch":
        return slow.hardest(losses, losses, *parameters)
    if name == "global":
        return slow.hardest(losses, [2 * loss for loss in losses] + losses, parameters[0])
    if name == "hard-gate-sentence":
        return slow.hard_gate_sentences(q, p, target, ROWS)
    function = getattr(slow, name.replace("-", "_"))
    return [function(*token, *parameters) for token in zip(q, p, target, strict=True)]


@pytest.mark.parametrize("from_features", [True, False])
@pytest.mark.parametrize("text", FORMS)
def test_selected_is_what_the_slow_twin_selects(text, from_features):
    for seed in range(5):
        case, options = Case(seed), KdOptions(select=text, kd_weight=0.25)
        expected = torch.tensor(selected_slowly(case, options.selection.name, options.selection.parameters))
        assert 0 < expected.sum() < N
        weights = options.selection.weights(statistics_of(case, options, from_features, chunk=seed + 1), 0.25)
        torch.testing.assert_close(weights.soft, 0.25 * expected.double(), rtol=1e-6, atol=1e-6)
        hard = 1 - 0.25 * expected.double() if text in GATES else torch.full((N,), 0.75, dtype=torch.float64)
        torch.testing.assert_close(weights.hard, hard, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("text", FORMS)
def test_chunks_change_neither_loss_nor_gradient(text):
    case, options = Case(2), KdOptions(2.0, 0.4, 0.1, select=text)
    weights = options.selection.weights(statistics_of(case, options), 0.4)
    log_q, log_p = distributions(case)
    expected = kd_ls_terms(log_q, case.target, Dense(log_p, 1.0), options, weights).loss.sum()
    hard, soft = (
        kd_ls_terms(log_q, case.target, Dense(log_p, 1.0), KdOptions(2.0, weight, 0.1)).loss for weight in (0.0, 1.0)
    )
    torch.testing.assert_close(expected, (weights.hard * hard + weights.soft * soft).sum(), **EXACT)
    slopes = torch.autograd.grad(2.5 * expected, case.inputs())
    for chunk in (1, 5, N + 1):
        found = case.chunked(options, chunk=chunk, term_weights=weights).loss
        torch.testing.assert_close(found, expected, **EXACT)
        for ours, theirs in zip(torch.autograd.grad(2.5 * found, case.inputs()), slopes, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("text", FORMS)
def test_gradients_are_the_slopes_of_the_objective_whose_selection_stands_still(text):
    case, options = Case(2, v=5, d=2), KdOptions(2.0, 0.5, select=text)
    weights = options.selection.weights(statistics_of(case, options), 0.5)

    def loss(h, w, b):
        return kd_ls_from_features(h, Projection(w, b), case.target, case.teacher, options, term_weights=weights).loss

    assert torch.autograd.gradcheck(loss, case.inputs())


@pytest.mark.parametrize("text", ["batch:1", "global:1:7", "global:1:1000"])
def test_a_share_of_one_is_no_selection(text):
    case, options = Case(3), KdOptions(2.0, 0.3, 0.1, select=text)
    weights = options.selection.weights(statistics_of(case, options), 0.3)
    found, plain = case.chunked(options, term_weights=weights).loss, case.chunked(KdOptions(2.0, 0.3, 0.1)).loss
    torch.testing.assert_close(found, plain, **EXACT)
    for pair in zip(*(torch.autograd.grad(loss, case.inputs()) for loss in (found, plain)), strict=True):
        torch.testing.assert_close(*pair, **EXACT)


@pytest.mark.parametrize("text", COMPARING)
def test_where_no_model_is_the_better_one_the_hard_term_is_all(text):
    case, options = Case(d=5), KdOptions(2.0, 0.7, 0.1, select=text)
    projection = Projection(case.w.detach(), case.b.detach())
    case.teacher = case.teacher._replace(features=[case.h.detach()], projections=[projection])
    weights = options.selection.weights(statistics_of(case, options), 0.7)
    assert weights.soft.eq(0).all() and weights.hard.eq(1).all()
    plain = case.chunked(KdOptions(kd_weight=0.0, label_smoothing=0.1)).loss
    torch.testing.assert_close(case.chunked(options, term_weights=weights).loss, plain, **EXACT)


@pytest.mark.parametrize("text", ["hard-gate", "hard-gate-sentence"])
def test_gates_of_exchanged_models_are_each_others_opposite(text):
    selection = KdOptions(select=text).selection
    ours, theirs = torch.rand(2, N, dtype=torch.float64)
    statistics = {"student_nll": ours, "teacher_nll": theirs, "sentence": torch.tensor(ROWS)}
    swapped = statistics | {"student_nll": theirs, "teacher_nll": ours}
    assert (selection.weights(statistics, 1.0).soft + selection.weights(swapped, 1.0).soft).eq(1).all()


def test_sentences_of_one_token_are_tokens():
    statistics = {"student_nll": torch.rand(N), "teacher_nll": torch.rand(N), "sentence": torch.arange(N).flip(0)}
    token, sentence = (KdOptions(select=text).selection for text in ("hard-gate", "hard-gate-sentence"))
    assert torch.equal(token.weights(statistics, 1.0).soft, sentence.weights(statistics, 1.0).soft)


def test_gates_by_hand():
    """Two sentences of two tokens: the student gives the first 1/8 and the other 1/8, the teacher 1/4 and 1/16."""
    student, teacher = torch.tensor([[2, 4, 4, 2], [2, 2, 2, 8]]).log()
    statistics = {"student_nll": student, "teacher_nll": teacher, "sentence": torch.tensor([0, 0, 1, 1])}
    soft = {
        text: KdOptions(select=text).selection.weights(statistics, 1.0).soft.tolist()
        for text in ("hard-gate", "hard-gate-sentence", "gap:1")
    }
    assert soft["hard-gate"] == [0, 0, 0, 1]
    assert soft["hard-gate-sentence"] == [0, 0, 1, 1]
    assert soft["gap:1"] == pytest.approx([0, 0.6, 0.6, 0])  # tanh(log 2) = (4 - 1) / (4 + 1)


def test_a_sharp_gap_selects_what_the_hard_gate_leaves():
    statistics = {"student_nll": torch.rand(N, dtype=torch.float64), "teacher_nll": torch.rand(N, dtype=torch.float64)}
    sharp, gate = (KdOptions(select=text).selection.weights(statistics, 1.0).soft for text in ("gap:1000", "hard-gate"))
    apart = (statistics["student_nll"] - statistics["teacher_nll"]).abs() > 0.02  # tanh(20) = 1 - 8.5e-18
    assert apart.any() and torch.equal(sharp[apart], 1 - gate[apart])


@pytest.mark.parametrize("text", FORMS)
def test_of_no_tokens_none_is_selected(text):
    statistics = {name: torch.zeros(0) for name in ("student_nll", "teacher_nll", "window")}
    weights = KdOptions(select=text).selection.weights(statistics | {"sentence": torch.zeros(0, dtype=torch.long)}, 0.5)
    assert weights.hard.shape == weights.soft.shape == (0,)


@pytest.mark.parametrize(
    "text, part",
    [
        ("global:0.5", "give global:R:Q with R above 0 and at most 1, Q above 0 and at most 1000000 and whole"),
        ("global:0.5:0", "and whole"),
        ("global:0.5:2.5", "and whole"),
        ("global:0.5:inf", "and whole"),
        ("hard-gate:1", "give hard-gate"),
        ("gap:0", "give gap:B with B above 0 and at most 1000"),
        ("gap:-1", "give gap:B"),
    ],
)
def test_selections_out_of_range_are_refused_in_one_line(text, part):
    with pytest.raises(LskdError) as caught:
        KdOptions(select=text)
    line = str(caught.value)
    assert line.startswith(f"--select is {text}: ") and part in line and "\n" not in line


def test_a_selection_of_nothing_is_refused():
    with pytest.raises(LskdError, match=r"--select is batch:0.5 and --kd-weight is 0: nothing is distilled"):
        KdOptions(select="batch:0.5", kd_weight=0.0)


def test_the_example_of_the_docs_does_what_they_say(monkeypatch):
    """Its function and its line are run, against its twin and the laws of the table."""
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split("### A selection\n")[1].split("\n## ")[0]
    function, line, twin = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setitem(SELECTIONS, "trusted", SELECTIONS["all"])  # so that the table is as it was afterwards
    ours, theirs = dict(vars(token_selection)), dict(vars(slow))
    exec(function + line, ours)
    exec(twin, theirs)
    monkeypatch.setattr(slow, "trusted", theirs["trusted"], raising=False)
    assert SELECTIONS["trusted"].function is ours["trusted"]
    monkeypatch.setattr(sys.modules[__name__], "GATES", [*GATES, "trusted:4.5"])
    for from_features in (True, False):
        test_selected_is_what_the_slow_twin_selects("trusted:4.5", from_features)
    test_chunks_change_neither_loss_nor_gradient("trusted:4.5")
    test_gradients_are_the_slopes_of_the_objective_whose_selection_stands_still("trusted:4.5")
