"""The divergences of `--divergence` against slow twins, and the identities, limits and bounds between them."""

import itertools
import math
import re

import pytest
import test_methods
import torch
from conftest import ROOT
from slow import jensen_shannon, kl, power_sum, skew, softmax, total_variation
from test_chunked import EXACT, Case
from test_kd_ls import SENTENCES, TableModel, criterion, make_sample, transitions  # noqa: F401

from lskd_nmt.errors import LskdError
from lskd_nmt.losses import divergences
from lskd_nmt.losses.divergences import DIVERGENCES, divergence_named, tempered
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense
from lskd_nmt.losses.token_statistics import token_statistics

TWINS = {
    "reverse": lambda p, q: kl(q, p),
    "jsd:0.5": lambda p, q: jensen_shannon(p, q, 0.5),
    "jsd:0.1": lambda p, q: jensen_shannon(p, q, 0.1),
    "skew:0.1": lambda p, q: skew(p, q, 0.1),
    "skew:0": kl,
    "skew-reverse:0.1": lambda p, q: kl(q, [0.9 * a + 0.1 * b for a, b in zip(p, q, strict=True)]),
    "tvd": total_variation,
    "ttm": kl,
    "wttm": kl,
}


def drawn(n, v, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [each.log_softmax(-1) for each in torch.randn(2, n, v, generator=generator, dtype=torch.float64) * 3]


def of(name, log_p, log_q):
    """The divergence of distributions as they are."""
    return divergence_named(name)(log_p, log_q)


def test_every_divergence_has_a_twin():
    assert {name.split(":")[0] for name in TWINS} == DIVERGENCES.keys() - {"forward"}


@pytest.mark.parametrize("temperature", [1.0, 2.0, 64.0])
@pytest.mark.parametrize("name", TWINS)
def test_divergence_equals_the_loop(name, temperature):
    """Of ttm and wttm the student is never tempered."""
    for n, v in ((1, 2), (3, 7), (17, 53)):
        log_p, log_q = drawn(n, v)
        student = 1.0 if name in ("ttm", "wttm") else temperature
        slow = [
            TWINS[name](softmax(a, temperature), softmax(b, student))
            for a, b in zip(log_p.tolist(), log_q.tolist(), strict=True)
        ]
        options = KdOptions(temperature, 0.5, divergence=name)
        found = kd_ls_terms(log_q, torch.zeros(n, dtype=torch.long), Dense(log_p, 1.0), options).kd
        torch.testing.assert_close(found, torch.tensor(slow, dtype=torch.float64), rtol=1e-10, atol=1e-12)


def test_values_worked_out_by_hand():
    """(¾, ¼) and (½, ½); and two distributions that share no symbol."""
    log_p, log_q = (torch.tensor([each], dtype=torch.float64).log() for each in ([0.75, 0.25], [0.5, 0.5]))
    assert of("tvd", log_p, log_q).item() == pytest.approx(0.25)
    assert of("skew:0.5", log_p, log_q).item() == pytest.approx(0.75 * math.log(6 / 5) + 0.25 * math.log(2 / 3))
    apart = [torch.tensor([each], dtype=torch.float64) for each in ([0.0, -200.0], [-200.0, 0.0])]
    assert of("tvd", *apart).item() == 1
    assert of("jsd:0.5", *apart).item() == pytest.approx(math.log(2))
    assert of("jsd:0.1", *apart).item() == pytest.approx(-0.1 * math.log(0.1) - 0.9 * math.log(0.9))
    for name in ("skew:0.1", "skew-reverse:0.1"):
        assert of(name, *apart).item() == pytest.approx(-math.log(0.1))
    assert of("reverse", *apart).item() == pytest.approx(200)


def test_skew_without_a_share_is_the_kl_itself_to_the_last_bit():
    case = Case(dtype=torch.float32)
    for skewed, plain in (("skew:0", "forward"), ("skew-reverse:0", "reverse")):
        options = [KdOptions(2.0, 0.5, divergence=name) for name in (skewed, plain)]
        found, expected = (case.dense(each) for each in options)
        assert found.kd.equal(expected.kd)
        slopes = [torch.autograd.grad(terms.loss.sum(), case.inputs()) for terms in (found, expected)]
        assert all(ours.equal(theirs) for ours, theirs in zip(*slopes, strict=True))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_swapping_teacher_and_student_swaps_the_shares_of_jsd(share):
    """At ½ it is symmetric."""
    log_p, log_q = drawn(9, 13)
    torch.testing.assert_close(of(f"jsd:{share}", log_p, log_q), of(f"jsd:{1 - share}", log_q, log_p), **EXACT)


def test_jsd_has_both_kls_at_its_ends():
    log_p, log_q = (tempered(each, 3.0) for each in drawn(9, 13))
    near = {"rtol": 1e-4, "atol": 1e-5}  # the next term is the share, 1e-7, times Σp²/q, some hundred at most
    torch.testing.assert_close(of("jsd:1e-7", log_p, log_q) / 1e-7, of("forward", log_p, log_q), **near)
    torch.testing.assert_close(of(f"jsd:{1 - 1e-7}", log_p, log_q) / 1e-7, of("reverse", log_p, log_q), **near)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_jsd_is_made_of_two_skewed_kls(share):
    log_p, log_q = drawn(9, 13)
    parts = share * of(f"skew:{share}", log_p, log_q) + (1 - share) * of(f"skew-reverse:{1 - share}", log_p, log_q)
    torch.testing.assert_close(of(f"jsd:{share}", log_p, log_q), parts, **EXACT)


def test_bounds():
    """Pinsker's; and those of convexity, KL(p ‖ A·p + (1-A)·q) <= (1-A)·KL(p ‖ q), JSD <= B·(1-B)·(KL + KL)."""
    rounding = 1e-12
    for scale in (0.1, 1.0, 10.0):
        log_p, log_q = (each * scale for each in drawn(50, 13))
        log_p, log_q = log_p.log_softmax(-1), log_q.log_softmax(-1)
        forward, reverse, tvd = (of(name, log_p, log_q) for name in ("forward", "reverse", "tvd"))
        assert (tvd >= 0).all() and (tvd <= 1 + rounding).all()
        assert (tvd.square() <= torch.minimum(forward, reverse) / 2 + rounding).all()
        for share in (0.1, 0.5, 0.9):
            most = torch.clamp((1 - share) * forward, max=-math.log(share))
            assert (of(f"skew:{share}", log_p, log_q) <= most + rounding).all()
            assert (of(f"jsd:{share}", log_p, log_q) <= share * (1 - share) * (forward + reverse) + rounding).all()


@pytest.mark.parametrize(
    "name, factor",
    [
        ("reverse", 1.0),
        ("jsd:0.5", 0.25),
        ("jsd:0.1", 0.09),
        ("skew:0.1", 0.81),
        ("skew-reverse:0.1", 0.81),
    ],
)
def test_at_a_high_temperature_all_of_them_match_logits(name, factor):
    """Times τ² they tend to (1/2V)·‖a - b‖², a and b centred logits, but for the square of how far m is from each.

    With p ≈ (1 + a/τ)/V and m = B·p + (1-B)·q the logits of p and m differ by (1-B)·(a - b), those of q and m by
    B·(a - b): B·(1-B)² + (1-B)·B² = B·(1-B) for jsd, (1-A)² for both skewed ones.
    """
    (log_p, log_q), temperature = drawn(5, 11), 1e4
    centred = (log_p - log_p.mean(-1, keepdim=True)) - (log_q - log_q.mean(-1, keepdim=True))
    scaled = temperature**2 * of(name, tempered(log_p, temperature), tempered(log_q, temperature))
    torch.testing.assert_close(scaled, factor * centred.square().sum(-1) / (2 * 11), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["reverse", "jsd:0.5", "skew:0.1", "skew-reverse:0.1", "tvd"])
def test_the_gradient_stays_of_one_size_at_high_temperatures(name):
    """What `order` is for: τ² for those of second order, τ for total variation."""
    log_p, log_q = drawn(1, 11)
    slopes = []
    for temperature in (1e3, 1e5):
        options = KdOptions(temperature, 1.0, divergence=name)
        z = log_q.clone().requires_grad_()
        (slope,) = torch.autograd.grad(kd_ls_terms(z, torch.tensor([0]), Dense(log_p, 1.0), options).loss.sum(), z)
        slopes.append(slope)
    assert slopes[0].norm() > 1e-3
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0.05, atol=1e-2 * float(slopes[0].abs().max()))


@pytest.mark.parametrize("temper", ["both", "teacher"])
@pytest.mark.parametrize("kd_weight", [0.3, 0.5])
def test_ttm_is_the_papers_sum_with_its_beta(temper, kd_weight):
    """H(y, q) + β·KL(p(τ) ‖ q), β = λτ/(1-λ), up to the factor 1-λ (Zheng & Yang 2024); `temper` changes nothing."""
    (log_p, log_q), target, temperature = drawn(7, 13), torch.arange(7), 3.0
    options = KdOptions(temperature, kd_weight, temper=temper, divergence="ttm")
    loss = kd_ls_terms(log_q, target, Dense(log_p, 1.0), options).loss
    beta = kd_weight * temperature / (1 - kd_weight)
    soft = of("forward", (log_p / temperature).log_softmax(-1), log_q)
    hard = -log_q.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(loss / (1 - kd_weight), hard + beta * soft, **EXACT)


def test_ttm_is_kd_less_the_students_renyi_entropy():
    """τ·KL(p(τ) ‖ q) has the gradient of τ²·KL(p(τ) ‖ q(τ)) - τ·(τ-1)·H_{1/τ}(q), H_a Rényi's entropy."""
    (log_p, log_q), target, temperature = drawn(7, 13), torch.zeros(7, dtype=torch.long), 3.0
    z = log_q.clone().requires_grad_()
    one, both = (
        kd_ls_terms(z.log_softmax(-1), target, Dense(log_p, 1.0), KdOptions(temperature, 1.0, divergence=name)).loss
        for name in ("ttm", "forward")
    )
    renyi = (z.log_softmax(-1) / temperature).logsumexp(-1) / (1 - 1 / temperature)
    right = both - temperature * (temperature - 1) * renyi
    slopes = [torch.autograd.grad(side.sum(), z)[0] for side in (one, right)]
    torch.testing.assert_close(*slopes, **EXACT)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 64.0])
@pytest.mark.parametrize("name", TWINS)
def test_extreme_logits_stay_finite_in_single_precision(name, temperature):
    """Probabilities of 0 on either side, on both, and a student that is all but its teacher."""
    z = torch.tensor([[1e4, 0.0, -1e4, 3.0], [0.0, 1e4, 5.0, -1e4], [0.0, 0.0, 0.0, 0.0], [30.0, 0.0, -30.0, 1.0]])
    for student, teacher in itertools.permutations([z, z.flip(-1), z + 1e-6, z.flip(0)], 2):
        logits = student.clone().requires_grad_()
        options = KdOptions(temperature, 0.5, divergence=name)
        signal, target = Dense(teacher.log_softmax(-1), 1.0), torch.zeros(4, dtype=torch.long)
        terms = kd_ls_terms(logits.log_softmax(-1), target, signal, options)
        (slope,) = torch.autograd.grad(terms.loss.sum(), logits)
        fused = kd_ls_from_features(logits, Projection(torch.eye(4)), target, signal, options)
        (fused_slope,) = torch.autograd.grad(fused.loss, logits)
        for kd in (terms.kd, fused.kd):
            assert kd.isfinite().all() and (kd > -1e-5).all()
        assert slope.isfinite().all() and fused_slope.isfinite().all()


def test_a_vocabulary_of_thousands_at_a_high_temperature_keeps_its_digits():
    """Single precision against double at T = 64: log p is about -9 and good to 1e-6, and T² makes 4e-3 of that."""
    log_p, log_q = drawn(4, 8000)
    for name in TWINS:
        options = KdOptions(64.0, 1.0, divergence=name)
        exact, single = (
            kd_ls_terms(q, torch.zeros(4, dtype=torch.long), Dense(p, 1.0), options).loss
            for p, q in ((log_p, log_q), (log_p.float(), log_q.float()))
        )
        torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-2)


@pytest.mark.parametrize("temperature", [1.0, 1.25, 64.0])
def test_the_weight_of_wttm_is_the_teachers_power_sum_over_its_mean(temperature):
    case = Case()
    options = KdOptions(temperature, 0.4, divergence="wttm")
    entry = options.named_divergence.entry
    student = case.h, Projection(case.w, case.b)
    statistics = token_statistics(entry.statistics, *student, case.target, case.teacher, options, chunk=5)
    weights = options.named_divergence.reweighted(options.selection.weights(statistics, 0.4), statistics)
    z = torch.nn.functional.linear(case.teacher.features[0], *case.teacher.projections[0])
    powers = [power_sum(softmax(row), temperature) for row in z.tolist()]
    for weight, power in zip(weights.soft.tolist(), powers, strict=True):
        assert weight == pytest.approx(0.4 * power * len(powers) / sum(powers), rel=1e-10)
    assert weights.hard.eq(0.6).all()


@pytest.mark.parametrize("select, kept", [("all", 9), ("batch:0.25", 3)])
def test_criterion_weighs_tokens_as_wttm_says_whatever_is_selected(criterion, select, kept):  # noqa: F811
    teacher, student, sample = TableModel(1), TableModel(2), make_sample(*SENTENCES)
    kd_ls = criterion([teacher], divergence="wttm", select=select, temperature=2.0, kd_weight=0.25)
    tokens = []  # (NLL, KL(p(2) ‖ q), U_{1/2}(p)) of each of the 9 tokens
    for before, token in transitions():
        s, t = student.table[before].tolist(), teacher.table[before].tolist()
        soft = kl(softmax(t, 2.0), softmax(s))
        tokens.append((-math.log(softmax(s)[token]), soft, power_sum(softmax(t), 2.0)))
    mean = sum(power for _, _, power in tokens) / 9
    hardest = sorted(tokens, reverse=True)[:kept]
    expected = 0.75 * sum(nll for nll, _, _ in tokens) + 0.25 * 2 * sum(soft * u / mean for _, soft, u in hardest)
    loss, _, logs = kd_ls(student, sample)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(logs["kd_loss"]) == pytest.approx(sum(soft for _, soft, _ in tokens), rel=1e-5)


def test_wttm_without_tokens_is_a_connected_zero(criterion):  # noqa: F811
    student = TableModel(1)
    loss, _, _ = criterion([TableModel(2)], divergence="wttm", temperature=2.0)(student, make_sample([1, 1]))
    loss.backward()
    assert float(loss.detach()) == 0 and student.table.grad.eq(0).all()


@pytest.mark.parametrize(
    "text",
    [
        "jsd",
        "jsd:",
        "jsd:0",
        "jsd:1",
        "jsd:nan",
        "skew:1",
        "skew:-0.1",
        "skew:x",
        "tvd:1",
        "skew-reverse:1",
        "wttm:2",
        "JSD:0.5",
    ],
)
def test_parameters_out_of_range_are_refused_in_one_line(text):
    with pytest.raises(LskdError) as caught:
        KdOptions(divergence=text)
    assert str(caught.value).startswith(f"--divergence is {text}: ")
    assert "give " in str(caught.value) and "\n" not in str(caught.value)


def test_the_lower_end_of_a_skew_may_be_given_and_the_message_says_so():
    assert KdOptions(divergence="skew:0").named_divergence.parameter == 0
    with pytest.raises(LskdError, match=r"with A from 0 to below 1, as skew:0.5"):
        KdOptions(divergence="skew:1")
    with pytest.raises(LskdError, match=r"with B between 0 and 1, as jsd:0.5"):
        KdOptions(divergence="jsd:1")


def test_the_example_of_the_docs_does_what_they_say(monkeypatch):
    """Its function, its line and its test are run, and the laws of the table on what it adds."""
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split("### A divergence\n")[1].split("\n### ")[0]
    monkeypatch.setitem(DIVERGENCES, "hellinger", DIVERGENCES["forward"])  # so that the table is as it was afterwards
    names = vars(divergences) | {"torch": torch}
    function, line, _, _, law = re.findall(r"```python\n(.*?)```", text, re.DOTALL)  # `test_recipes` tries the twin
    exec(function + line + law, names)
    assert divergence_named("hellinger").entry.function is names["hellinger"]
    names["test_hellinger_lies_between_total_variation_and_its_square"]()
    for temperature in (1.0, 2.5):
        test_methods.test_chunks_change_neither_loss_nor_gradient("hellinger", temperature)
    test_methods.test_gradients_of_the_objective_are_its_slopes("hellinger")
    test_methods.test_a_perfect_student_costs_nothing_and_another_something("hellinger")
