"""Divergences where arithmetic is hard: probabilities of exactly 0, and distributions that are nearly the same.

The twin takes p and q from the logits with 60 digits.
"""

import itertools
import math
from decimal import Decimal, getcontext

import pytest
import torch

from lskd_nmt.losses import relative
from lskd_nmt.losses.divergences import divergence_named, mean_log_probs
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.r_drop import symmetric_kl, symmetric_kl_and_gradient
from lskd_nmt.losses.relative import at_once, relative_entropy, term_by_term
from lskd_nmt.losses.self_evolution import Evolution, evolved_kl
from lskd_nmt.losses.signals import Dense, top_k
from lskd_nmt.losses.token_selection import TermWeights, gap, hard_gate_sentence

getcontext().prec = 60
NONE = -math.inf
NAMES = ["forward", "reverse", "jsd:0.5", "jsd:0.1", "skew:0", "skew:0.1", "skew-reverse:0.1", "tvd", "ttm", "wttm"]
TAILS = ["bucket", "uniform", "renormalise"]
MASKED = [  # teacher, student: logits of a symbol that one of them masks, or both
    ([0.5, -0.5, NONE, 0.1], [1.0, 0.0, NONE, -2.0]),
    ([0.5, -0.5, NONE, 0.1], [1.0, 0.0, 0.3, -2.0]),
    ([0.5, -0.5, 0.7, 0.1], [1.0, 0.0, NONE, -2.0]),
    ([NONE, 0.0, NONE, NONE], [1.0, 0.0, NONE, -2.0]),
    ([0.5, NONE, NONE, 0.1], [NONE, 0.0, NONE, 0.2]),
    ([0.5, -0.5, 0.7, 3.0], [-2000.0, -2001.0, -2000.5, 0.0]),  # all that the student leaves to others underflows
    ([-90.0, 3.0, NONE, 200.0], [1.0, -150.0, NONE, -2.0]),  # in a top k nothing is known of what 200 leaves to 3
]


def exact(logits, temperature=1.0):
    """softmax(z/τ) in decimals."""
    powers = [Decimal(0) if z == NONE else (Decimal(z) / Decimal(temperature)).exp() for z in logits]
    return [power / sum(powers) for power in powers]


def kl(p, q):
    """Σ p·log(p/q) in decimals; 0 · log 0 is 0, and p · log(p/0) is infinite."""
    if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
        return Decimal("Infinity")
    return sum((a * (a / b).ln() for a, b in zip(p, q, strict=True) if a > 0), Decimal(0))


def mixed(p, q, share):
    share = Decimal(share)
    return [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]


def twin(name, p, q):
    """A divergence by its equation."""
    name, _, share = name.partition(":")
    if name == "jsd":
        m, part = mixed(p, q, share), Decimal(share)
        return part * kl(p, m) + (1 - part) * kl(q, m)
    return {
        "forward": lambda: kl(p, q),
        "ttm": lambda: kl(p, q),
        "wttm": lambda: kl(p, q),
        "reverse": lambda: kl(q, p),
        "skew": lambda: kl(p, mixed(p, q, share)),
        "skew-reverse": lambda: kl(q, mixed(q, p, share)),
        "tvd": lambda: sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2,
    }[name]()


def top_k_twin(p, q, k, tail):
    """The divergence of which only the k most probable symbols are known, symbol by symbol."""
    kept = sorted(range(len(p)), key=lambda v: -p[v])[:k]
    others = [v for v in range(len(p)) if v not in kept]
    mass = sum(p[v] for v in kept)
    if tail == "renormalise":
        return kl([p[v] / mass for v in kept], [q[v] for v in kept])
    if tail == "bucket":
        return kl([*(p[v] for v in kept), 1 - mass], [*(q[v] for v in kept), sum(q[v] for v in others)])
    return kl([*(p[v] for v in kept), *[(1 - mass) / len(others)] * len(others)], [q[v] for v in (*kept, *others)])


def from_logits(options, teacher, student, dtype=torch.float64):
    """kd and ∂loss/∂z of one token, λ = 1, on the dense path and chunk by chunk (its bias being the logits)."""
    target = torch.tensor([max(range(len(student)), key=lambda v: student[v])])
    log_p, z = torch.tensor([teacher], dtype=dtype).log_softmax(-1), torch.tensor([student], dtype=dtype)
    signal = Dense(log_p, 1.0)
    signal = top_k(signal, options.top_k, options.temperature) if options.top_k else signal
    dense = z.clone().requires_grad_()
    terms = kd_ls_terms(dense.log_softmax(-1), target, signal, options)
    bias, nothing = z[0].clone().requires_grad_(), torch.zeros(1, 1, dtype=dtype)
    projection = Projection(torch.zeros(len(student), 1, dtype=dtype), bias)
    found = kd_ls_from_features(nothing, projection, target, signal, options)
    slopes = torch.autograd.grad(terms.loss.sum(), dense)[0][0], torch.autograd.grad(found.loss, bias)[0]
    return (terms.kd.item(), found.kd.item()), slopes


def slope_of(function, logits, step=Decimal("1e-15")):
    """Central differences in decimals; 0 at symbols that are masked."""
    slopes = []
    for k, z in enumerate(logits):
        if z == NONE:
            slopes.append(0.0)
            continue
        ends = [
            function([Decimal(x) + sign * step * (i == k) if x != NONE else x for i, x in enumerate(logits)])
            for sign in (1, -1)
        ]
        slopes.append(float((ends[0] - ends[1]) / (2 * step)))
    return slopes


@pytest.mark.parametrize(
    "name, value", [("forward", 0.5 * math.log(2)), ("skew:0.1", 0.29892), ("reverse", math.inf), ("tvd", 0.25)]
)
def test_values_with_a_zero_by_hand(name, value):
    """p = (½, ½, 0), q = (½, ¼, ¼)."""
    log_p, log_q = torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.5, 0.25, 0.25]]).log()
    assert divergence_named(name)(log_p, log_q).item() == pytest.approx(value, rel=1e-5)
    both = [torch.cat([each, torch.tensor([[NONE]])], dim=-1) for each in (log_p, log_q)]  # and one that is 0 in both
    assert divergence_named(name)(*both).item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_masked_symbols_cost_what_the_equation_says(name, temperature):
    """Value and slope, finite wherever they are so mathematically; infinite where they are that."""
    for (teacher, student), dtype in itertools.product(MASKED, (torch.float64, torch.float32)):
        options = KdOptions(temperature, 1.0, divergence=name)
        of_student = options.student_temperature
        p = exact(teacher, temperature)

        def loss(z, p=p, of_student=of_student, options=options):
            return Decimal(options.kd_scale) * twin(options.divergence, p, exact(z, of_student))

        expected = float(twin(name, p, exact(student, of_student)))
        values, slopes = from_logits(options, teacher, student, dtype)
        assert values == pytest.approx([expected] * 2, rel=1e-9 if dtype is torch.float64 else 1e-5, abs=1e-12)
        if math.isfinite(expected):
            for slope in slopes:
                precise = 1e-9 if dtype is torch.float64 else 1e-4
                assert slope.tolist() == pytest.approx(slope_of(loss, student), rel=precise, abs=precise)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_masked_symbols_in_and_outside_of_a_top_k(k, tail, temperature):
    options = KdOptions(temperature, 1.0, tail=tail, top_k=k)
    for teacher, student in MASKED[:-1]:
        p = exact(teacher, temperature)

        def loss(z, p=p):
            return Decimal(options.kd_scale) * top_k_twin(p, exact(z, temperature), k, tail)

        expected = float(top_k_twin(p, exact(student, temperature), k, tail))
        values, slopes = from_logits(options, teacher, student)
        assert values == pytest.approx([expected] * 2, rel=1e-9, abs=1e-12), (teacher, student)
        if math.isfinite(expected):
            for slope in slopes:
                assert slope.tolist() == pytest.approx(slope_of(loss, student), rel=1e-8, abs=1e-8)


def near(symbols, size, seed=0):
    """Logits of a teacher and of a student, in float32, whose differences are of that size."""
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(symbols, generator=generator)
    return teacher.tolist(), (teacher + size * torch.randn(symbols, generator=generator)).tolist()


# log p is of the order of log V, and rounded: by e, which is independent from symbol to symbol, and by a shift that all
# share and that cancels. Where p and q differ by d, KL is p·d²/2, and its rounding p·d·e, random in sign: 2e/(d·√V) of
# the whole, with e = log V · 6e-8. That is 2e-5 where V is 9 and d is 4e-3, and less for more symbols.
@pytest.mark.parametrize(
    "symbols, temperature, size",
    [(9, 64.0, 1.0), (9, 1000.0, 1.0), (300, 1000.0, 1.0), (9, 1.0, 1e-3), (300, 2.0, 1e-2), (9, 1e4, 1.0)],
)
@pytest.mark.parametrize("name", [name for name in NAMES if "ttm" not in name])
def test_near_distributions_keep_their_digits_in_single_precision(name, symbols, temperature, size):
    teacher, student = near(symbols, size)
    expected = float(twin(name, exact(teacher, temperature), exact(student, temperature)))
    values, _ = from_logits(KdOptions(temperature, 1.0, divergence=name), teacher, student, torch.float32)
    assert values == pytest.approx([expected] * 2, rel=2e-3 if temperature > 1000 else 3e-4)


@pytest.mark.parametrize("temperature", [1.0, 64.0, 1000.0])
@pytest.mark.parametrize("tail", ["bucket", "uniform"])
def test_near_distributions_keep_their_digits_with_a_top_k(tail, temperature):
    """With log V nats a mass of nearly 1 is rounded by 1e-7; its share of the divergence is of second order in that."""
    teacher, student = near(300, 1.0 if temperature > 1 else 1e-3)
    if tail == "uniform":
        teacher[5:] = [0.0] * 295  # so that nothing is lost by spreading
        student = [z + (s - z) for z, s in zip(teacher, student, strict=True)]
        teacher[:5] = [3.0, 2.5, 2.0, 1.5, 1.0]
    k = 5 if tail == "uniform" else 8
    expected = float(top_k_twin(exact(teacher, temperature), exact(student, temperature), k, tail))
    options = KdOptions(temperature, 1.0, tail=tail, top_k=k)
    values, _ = from_logits(options, teacher, student, torch.float32)
    assert values == pytest.approx([expected] * 2, rel=3e-3)


def test_the_slope_of_a_sure_student_keeps_its_digits_with_a_top_k():
    """It leaves 1e-7 to the rest and the teacher a half: 1 - r/R is 5e6, and times a rounding error it was 0.1."""
    teacher, student = [0.25, 0.0, -0.5, -1.0], [0.0, -16.5, -17.0, -16.2]
    expected = slope_of(lambda z: top_k_twin(exact(teacher), exact(z), 1, "bucket"), student)
    _, slopes = from_logits(KdOptions(1.0, 1.0, tail="bucket", top_k=1), teacher, student, torch.float32)
    for slope in slopes:
        assert slope.tolist() == pytest.approx(expected, abs=1e-5)


def test_bucket_at_a_high_temperature_in_a_large_vocabulary():
    """V = 32,000 and T = 64, in float32: the mean over some tokens against double precision."""
    generator = torch.Generator().manual_seed(3)
    log_p, log_q = (torch.randn(8, 32000, generator=generator) * 2 for _ in range(2))
    options = KdOptions(64.0, 1.0, tail="bucket", top_k=8)
    found = [
        kd_ls_terms(
            q.log_softmax(-1),
            torch.zeros(8, dtype=torch.long),
            top_k(Dense(p.log_softmax(-1), 1.0), 8, 64.0),
            options,
        )
        .kd.mean()
        .item()
        for p, q in ((log_p, log_q), (log_p.double(), log_q.double()))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ways_of_summing_agree_where_both_may_be_taken(dtype):
    generator = torch.Generator().manual_seed(1)
    log_p, log_q = (torch.randn(20, 50, generator=generator, dtype=dtype).log_softmax(-1) for _ in range(2))
    parts = log_p.exp(), log_q.exp(), log_p - log_q
    fast = at_once(*parts)
    assert fast is not None
    torch.testing.assert_close(fast, term_by_term(*parts), rtol=200 * torch.finfo(dtype).eps, atol=0)
    assert at_once(parts[0], parts[0], torch.zeros_like(log_p)) is None  # nothing but rounding


def test_what_is_not_a_number_stays_that():
    good, bad = torch.zeros(1, 3).log_softmax(-1), torch.tensor([[0.0, math.nan, 0.0]])
    for name, pair in itertools.product(NAMES, ((good, bad), (bad, good))):
        assert divergence_named(name)(*pair).isnan().all()
    assert relative_entropy(bad, good.exp(), bad).isnan().all()


def test_an_ensemble_of_teachers_that_mask_alike():
    masked = torch.tensor([[0.5, 0.5, 0.0]]).log()
    assert mean_log_probs([masked, masked]).exp().tolist() == [[0.5, 0.5, 0.0]]


def test_two_passes_that_mask_alike_are_as_far_apart_as_without_the_symbol():
    z = torch.tensor([[0.3, -1.0, 0.2], [0.1, 0.4, -0.2]], dtype=torch.float64)
    masked = torch.cat([z, torch.full((2, 1), NONE, dtype=torch.float64)], dim=-1)
    leaves = [each.clone().requires_grad_() for each in (z, masked)]
    plain, found = (symmetric_kl(each.log_softmax(-1)) for each in leaves)
    torch.testing.assert_close(found, plain)
    slopes = [torch.autograd.grad(each.sum(), leaf)[0] for each, leaf in zip((plain, found), leaves, strict=True)]
    torch.testing.assert_close(slopes[1][:, :3], slopes[0])
    apart, written_out = symmetric_kl_and_gradient(masked.log_softmax(-1))
    torch.testing.assert_close(apart, plain.detach())
    torch.testing.assert_close(written_out, slopes[1])
    assert written_out[:, 3].eq(0).all()


@pytest.mark.parametrize("gold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 300.0, 1e17])
def test_self_evolution_of_a_sharp_student_is_finite(gold, dtype, scale):
    """However sure the student is of the wrong symbol, and of symbols that both mask."""
    for temperature in (0.05, 1.0):
        z = (torch.tensor([[1.0, -0.5, 0.2, NONE]] * 2, dtype=dtype) * scale).requires_grad_()
        log_p = (torch.tensor([[0.5, 0.2, 0.1, NONE]] * 2, dtype=dtype) / temperature).log_softmax(-1)
        log_q, target = (z / temperature).log_softmax(-1), torch.tensor([1, 2])
        evolution = Evolution(gold, 1.0)
        mix = evolution.mix(evolution.difficulty(log_p, log_q.detach(), target))
        assert (mix < 1).all() and (mix >= 0).all()
        loss = evolved_kl(log_p, log_q, target, gold, mix)
        (slope,) = torch.autograd.grad(loss.sum(), z)
        assert loss.isfinite().all() and slope.isfinite().all() and slope[:, 3].eq(0).all()


def test_a_gold_symbol_that_both_mask_decides_no_gate():
    infinite = torch.tensor([math.inf, 1.0])
    statistics = {
        "student_nll": infinite,
        "teacher_nll": torch.tensor([math.inf, 2.0]),
        "sentence": torch.tensor([0, 0]),
    }
    assert gap(statistics, 1.0).tolist() == [0, 0]
    assert hard_gate_sentence(statistics).tolist() == [1, 1]  # as the other token says


def test_autocast_leaves_the_digits_of_a_divergence():
    """Under it, matrix products and with them `vecdot` are taken in bfloat16, which has two digits."""
    generator = torch.Generator().manual_seed(3)
    log_p, log_q = torch.randn(2, 5, 40, generator=generator).log_softmax(-1)
    expected = (log_p.double().exp() * (log_p.double() - log_q.double())).sum(-1)
    with torch.autocast("cpu", torch.bfloat16):
        for name in ("forward", "skew:0"):
            found = divergence_named(name)(log_p, log_q)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "divergence, teacher, student",
    [
        ("forward", [0.5, -0.5, 0.7], [1.0, 0.0, NONE]),
        ("reverse", [0.5, -0.5, NONE], [1.0, 0.0, 0.7]),
    ],
)
def test_an_infinite_divergence_of_a_token_that_is_not_selected_does_not_count(divergence, teacher, student):
    """Its weight is 0, and 0 times infinity is 0 here: what is left is the hard term and its gradient, q - y."""
    options = KdOptions(divergence=divergence, select="hard-gate")
    z = torch.tensor([student], requires_grad=True)
    log_p = torch.tensor([teacher]).log_softmax(-1)
    weights = TermWeights(torch.ones(1), torch.zeros(1))
    terms = kd_ls_terms(z.log_softmax(-1), torch.tensor([1]), Dense(log_p, 1.0), options, weights)
    assert terms.kd is not None and float(terms.kd) == math.inf
    torch.testing.assert_close(terms.loss, terms.nll)
    q, bias = torch.tensor([student]).softmax(-1), z.detach()[0].requires_grad_()
    projection = Projection(torch.zeros(3, 1), bias)
    fused = kd_ls_from_features(
        torch.zeros(1, 1), projection, torch.tensor([1]), Dense(log_p, 1.0), options, term_weights=weights
    )
    for loss, leaf in ((terms.loss, z), (fused.loss, bias)):
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        torch.testing.assert_close(gradient.view(1, 3), q - torch.tensor([[0.0, 1.0, 0.0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [3, 5])
def test_a_rest_that_is_a_rounding_error_is_none(k, dtype):
    """Both mask all but three symbols, which are all that the teacher has: KL of these, whose p sum to 1 or nearly."""
    generator = torch.Generator().manual_seed(5)
    log_p, log_q = (torch.full((200, 12), NONE, dtype=dtype) for _ in range(2))
    for each in (log_p, log_q):
        each[:, 4:7] = torch.randn(200, 3, generator=generator, dtype=dtype).log_softmax(-1)
    top = top_k(Dense(log_p, 1.0), k, 1.0)
    assert (top.log_probs.exp().sum(-1) < 1).any()  # there are such errors
    p, q = log_p[:, 4:7].double().exp(), log_q[:, 4:7].double().exp()
    options = KdOptions(kd_weight=1.0, top_k=k, tail="bucket")
    terms = kd_ls_terms(log_q, torch.full((200,), 5), top, options)
    assert terms.kd is not None
    torch.testing.assert_close(terms.kd.double(), (p * (p / q).log()).sum(-1), rtol=1e-4, atol=1e-6)


def test_differences_are_summed_row_by_row_alike_in_one_piece_and_in_many(monkeypatch):
    a, b = torch.rand(2, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = zip(a.tolist(), b.tolist(), strict=True)
    expected = torch.tensor([math.fsum(x - y for x, y in zip(*row, strict=True)) for row in rows], dtype=a.dtype)
    for numbers in (1, 10, 1000):
        monkeypatch.setattr(relative, "CACHED", numbers)
        torch.testing.assert_close(relative.sum_of_differences(a, b), expected)
