"""Losses against the slow twin, values and gradients, and the laws they obey."""

import math

import pytest
import torch
from slow import cross_entropy, kd_ls, kl, smoothed_label, softmax

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.divergences import forward_kl, mean_log_probs, tempered
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense
from lskd_nmt.losses.smoothing import negative_log_likelihood, smoothed_nll

SHAPES = [(1, 2), (3, 7), (41, 127)]
EXACT = {"rtol": 1e-11, "atol": 1e-11}  # float64 against Python floats: only the order of sums differs


def logits_and_target(n: int, v: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1000 * n + v)
    student, teacher = torch.randn(2, n, v, generator=generator, dtype=torch.float64) * 3
    return student, teacher, torch.randint(v, (n,), generator=generator)


def numeric_gradient(function, logits: list[float], step: float = 1e-5) -> list[float]:
    """Central differences of a function of Python floats."""
    slopes = []
    for k in range(len(logits)):
        ends = [function([z + sign * step * (i == k) for i, z in enumerate(logits)]) for sign in (1, -1)]
        slopes.append((ends[0] - ends[1]) / (2 * step))
    return slopes


@pytest.mark.parametrize("over", ["others", "vocabulary"])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("n, v", SHAPES)
def test_smoothed_nll_is_the_cross_entropy_of_the_written_out_label(n, v, epsilon, over):
    student, _, target = logits_and_target(n, v)
    slow = [
        cross_entropy(smoothed_label(v, y, epsilon, over), softmax(row))
        for row, y in zip(student.tolist(), target.tolist(), strict=True)
    ]
    fast = smoothed_nll(student.log_softmax(-1), target, epsilon, over)
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), **EXACT)


def test_uniform_student_costs_log_v_under_every_smoothing():
    log_q = torch.zeros(3, 8).log_softmax(-1)
    for over in ("others", "vocabulary"):
        loss = smoothed_nll(log_q, torch.tensor([0, 3, 7]), 0.3, over)
        torch.testing.assert_close(loss, torch.full((3,), math.log(8)))


def test_conventions_meet_at_the_known_change_of_epsilon():
    """Smoothing ε over the vocabulary leaves ε·(V-1)/V on the others: so says the definition."""
    student, _, target = logits_and_target(41, 127)
    log_q = student.log_softmax(-1)
    torch.testing.assert_close(
        smoothed_nll(log_q, target, 0.1, "vocabulary"), smoothed_nll(log_q, target, 0.1 * 126 / 127, "others")
    )


@pytest.mark.parametrize("temper", ["both", "teacher"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 64.0])
@pytest.mark.parametrize("n, v", SHAPES)
def test_forward_kl_equals_the_loop(n, v, temperature, temper):
    student, teacher, _ = logits_and_target(n, v)
    slow = [
        kl(softmax(t, temperature), softmax(s, temperature if temper == "both" else 1.0))
        for s, t in zip(student.tolist(), teacher.tolist(), strict=True)
    ]
    fast = forward_kl(tempered(teacher, temperature), tempered(student, temperature if temper == "both" else 1.0))
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 2.0, 64.0, 1000.0])
def test_divergence_is_zero_at_a_perfect_match_and_positive_elsewhere(temperature):
    student, teacher, _ = logits_and_target(41, 127)
    log_p = teacher.log_softmax(-1)
    shifted = (teacher + 5).log_softmax(-1)  # the same distribution from other logits
    log_p, shifted, log_q = (tempered(each, temperature) for each in (log_p, shifted, student))
    torch.testing.assert_close(forward_kl(log_p, shifted), torch.zeros(41, dtype=torch.float64))
    assert (forward_kl(log_p, log_q) > 0).all()


def test_scaled_divergence_tends_to_logit_matching():
    """τ²·KL(p(τ)‖q(τ)) -> (1/2V)·‖centred difference of logits‖² (Hinton et al. 2015, section 2.1)."""
    student, teacher, _ = logits_and_target(5, 11)
    temperature = 1e4
    difference = (teacher - teacher.mean(-1, keepdim=True)) - (student - student.mean(-1, keepdim=True))
    limit = difference.square().sum(-1) / (2 * 11)
    scaled = temperature**2 * forward_kl(tempered(teacher, temperature), tempered(student, temperature))
    torch.testing.assert_close(scaled, limit, rtol=1e-3, atol=1e-3)


def test_one_sided_divergence_obeys_the_ttm_identity():
    """KL(p(τ)‖q) = τ·KL(p(τ)‖q(τ)) - (τ-1)·H_{1/τ}(q) + (τ-1)·H(p(τ)), H_a Rényi's entropy (Zheng & Yang 2024)."""
    student, teacher, _ = logits_and_target(7, 13)
    temperature = 3.0
    log_p, log_q = teacher.log_softmax(-1), student.log_softmax(-1)
    tempered_p = (log_p / temperature).softmax(-1)
    entropy = -(tempered_p * tempered_p.log()).sum(-1)
    order = 1 / temperature
    renyi = (log_q * order).logsumexp(-1) / (1 - order)
    both = forward_kl(tempered(log_p, temperature), tempered(log_q, temperature))
    right = temperature * both - (temperature - 1) * (renyi - entropy)
    torch.testing.assert_close(forward_kl(tempered(log_p, temperature), log_q), right)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("temper", ["both", "teacher"])
@pytest.mark.parametrize("over", ["others", "vocabulary"])
@pytest.mark.parametrize("temperature, kd_weight, epsilon", [(1.0, 0.5, 0.0), (2.0, 0.5, 0.1), (64.0, 1.0, 0.1)])
def test_objective_and_its_gradient_equal_the_loop(temperature, kd_weight, epsilon, over, temper, squared):
    student, teacher, target = logits_and_target(3, 7)
    student.requires_grad_(True)
    options = KdOptions(temperature, kd_weight, epsilon, over, temper, squared)
    loss = kd_ls_terms(student.log_softmax(-1), target, Dense(teacher.log_softmax(-1), 1.0), options).loss
    (3 * loss.sum()).backward()  # an upstream factor of 1 could hide a mistake

    def slow(row: list[float], i: int) -> float:
        arguments = temperature, kd_weight, epsilon, over, temper, squared
        return kd_ls(row, teacher[i].tolist(), int(target[i]), *arguments)

    rows = student.detach().tolist()
    expected = torch.tensor([slow(row, i) for i, row in enumerate(rows)], dtype=torch.float64)
    torch.testing.assert_close(loss.detach(), expected, **EXACT)
    slopes = [numeric_gradient(lambda z, i=i: 3 * slow(z, i), row) for i, row in enumerate(rows)]
    # central differences of step 1e-5 are good to 1e-10·τ²-ish; 1e-6 leaves room at τ = 64
    torch.testing.assert_close(student.grad, torch.tensor(slopes, dtype=torch.float64), rtol=1e-5, atol=1e-6)


def test_logged_parts_do_not_depend_on_weights():
    student, teacher, target = logits_and_target(3, 7)
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    terms = kd_ls_terms(log_q, target, Dense(log_p, 1.0), KdOptions(4.0, 0.3, 0.2))
    torch.testing.assert_close(terms.nll, negative_log_likelihood(log_q, target))
    torch.testing.assert_close(terms.kd, forward_kl(tempered(log_p, 4.0), tempered(log_q, 4.0)))


def test_ensemble_averages_probabilities():
    halves = [torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.1, 0.9]]).log()]
    torch.testing.assert_close(mean_log_probs(halves).exp(), torch.tensor([[0.5, 0.5]]))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_logits_change_the_loss_by_their_rounding_only(dtype, tolerance):
    student, teacher, target = logits_and_target(41, 127)
    for temperature in (0.1, 1.0, 64.0):
        rounded = [logits.to(dtype).float().log_softmax(-1) for logits in (student, teacher)]
        terms = kd_ls_terms(rounded[0], target, Dense(rounded[1], 1.0), KdOptions(temperature))
        signal = Dense(teacher.log_softmax(-1), 1.0)
        exact = kd_ls_terms(student.log_softmax(-1), target, signal, KdOptions(temperature))
        scale = exact.loss.abs().max().item()
        torch.testing.assert_close(terms.loss.double(), exact.loss, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("temperature", [0.1, 1000.0])
def test_far_logits_at_extreme_temperatures_stay_finite(temperature):
    student, teacher, target = (part * 100 for part in logits_and_target(41, 127))
    student = student.float().requires_grad_(True)
    log_p = teacher.float().log_softmax(-1)
    loss = kd_ls_terms(student.log_softmax(-1), target // 100, Dense(log_p, 1.0), KdOptions(temperature)).loss
    loss.sum().backward()
    assert loss.isfinite().all() and student.grad.isfinite().all()


@pytest.mark.parametrize(
    "setting, value",
    [
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("kd_weight", -0.1),
        ("kd_weight", 1.5),
        ("kd_weight", math.nan),
        ("label_smoothing", -0.1),
        ("label_smoothing", 1.0),
        ("label_smoothing", math.nan),
        ("smoothing_over", "nobody"),
        ("temper", "student"),
    ],
)
def test_settings_out_of_range_are_refused_with_flag_and_value(setting, value):
    with pytest.raises(LskdError) as caught:
        KdOptions(**{setting: value})
    flag = "--" + setting.replace("_", "-")
    assert str(caught.value).startswith(f"{flag} is {value}: give ")
    assert "\n" not in str(caught.value)


def test_all_complaints_come_at_once():
    with pytest.raises(LskdError, match=r"--temperature is -1.*--kd-weight is 2.*--label-smoothing is 1"):
        KdOptions(temperature=-1, kd_weight=2, label_smoothing=1)
