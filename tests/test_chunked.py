"""The chunked objective equals the dense one, gradient for gradient, whatever the chunks, types and scales."""

import itertools

import pytest
import torch
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode

from lskd_nmt.losses.divergences import mean_log_probs
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.objective import kd_ls_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Dense, top_k
from lskd_nmt.losses.token_selection import TermWeights

N, V, D, D_TEACHER = 13, 11, 6, 5
EXACT = {"rtol": 1e-10, "atol": 1e-10}
GRID = list(
    itertools.product(
        (0.0, 0.3, 1.0),
        (1.0, 2.5),
        ("both", "teacher"),
        (0.0, 0.1),
        ("others", "vocabulary"),
        ("dense", "bucket", "uniform", "renormalise"),
    )
)


class Case:
    """Random features, projections and targets; the student's require a gradient."""

    def __init__(self, seed=0, n=N, v=V, d=D, dtype=torch.float64, bias=True, teachers=1):
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        self.h, self.w = draw(n, d).requires_grad_(), draw(v, d).requires_grad_()
        self.b = draw(v).requires_grad_() if bias else None
        self.teacher = TeacherFeatures(
            [draw(n, D_TEACHER) for _ in range(teachers)],
            [Projection(draw(v, D_TEACHER), draw(v)) for _ in range(teachers)],
        )
        self.target = torch.randint(v, (n,), generator=generator)

    def inputs(self):
        return [t for t in (self.h, self.w, self.b) if t is not None]

    def dense(self, options, term_weights=None):
        z = linear(self.h, self.w, self.b)
        log_q = (z if z.dtype == torch.float64 else z.float()).log_softmax(-1)
        each = [linear(g, *p).to(log_q.dtype).log_softmax(-1) for g, p in zip(*self.teacher, strict=True)]
        signal = Dense(mean_log_probs(each), 1.0)
        signal = top_k(signal, options.top_k, options.temperature) if options.top_k else signal
        return kd_ls_terms(log_q, self.target, signal if options.kd_weight else None, options, term_weights)

    def chunked(self, options, **extra):
        teacher = self.teacher if options.kd_weight else None
        return kd_ls_from_features(self.h, Projection(self.w, self.b), self.target, teacher, options, **extra)


def settings(weight, temperature, temper, epsilon, over, tail):
    return KdOptions(temperature, weight, epsilon, over, temper, tail=tail, top_k=0 if tail == "dense" else 3)


@pytest.mark.parametrize("chunk, bias, every", [(7, True, 1), (1, False, 7), (N, True, 7), (N + 1, False, 7)])
def test_loss_and_every_gradient_are_the_dense_ones(chunk, bias, every):
    for seed, combination in enumerate(GRID[::every]):
        case, options = Case(seed, bias=bias), settings(*combination)
        expected, found = case.dense(options), case.chunked(options, chunk=chunk)
        torch.testing.assert_close(found.loss, expected.loss.sum(), **EXACT)
        torch.testing.assert_close(found.nll, expected.nll, **EXACT)
        if expected.kd is not None:
            torch.testing.assert_close(found.kd, expected.kd, **EXACT)
        slopes = torch.autograd.grad(3.5 * expected.loss.sum(), case.inputs())
        for ours, theirs in zip(torch.autograd.grad(3.5 * found.loss, case.inputs()), slopes, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("combination", GRID[::17])
def test_weights_are_those_of_the_tokens_in_the_sum(combination):
    case, options = Case(1), settings(*combination)
    weights = torch.tensor([0.0, 2.0, 0.5, 1.0, *[0.25] * (N - 4)], dtype=torch.float64)
    expected, found = case.dense(options), case.chunked(options, chunk=5, sentence_weights=weights)
    torch.testing.assert_close(found.loss, (expected.loss * weights).sum(), **EXACT)
    torch.testing.assert_close(found.nll, expected.nll, **EXACT)
    slopes = torch.autograd.grad((expected.loss * weights).sum(), case.inputs())
    for ours, theirs in zip(torch.autograd.grad(found.loss, case.inputs()), slopes, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("combination", GRID[40:44] + GRID[-4:])
def test_gradcheck(combination):
    case = Case(n=3, v=5, d=2)
    options = settings(*combination)

    def loss(h, w, b):
        return kd_ls_from_features(h, Projection(w, b), case.target, case.teacher, options, chunk=2).loss

    assert torch.autograd.gradcheck(loss, case.inputs())


@pytest.mark.parametrize("n, v, d", [(1, 2, 1), (2, 3, 257), (129, 31, 3)])
def test_odd_shapes_and_the_default_chunk(n, v, d):
    case, options = Case(n=n, v=v, d=d), KdOptions(2.0, 0.5, 0.1)
    expected, found = case.dense(options), case.chunked(options)
    for ours, theirs in zip(
        torch.autograd.grad(found.loss, case.inputs()),
        torch.autograd.grad(expected.loss.sum(), case.inputs()),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("top_k_kept", [0, 3])
def test_an_ensemble_is_the_mean_of_its_probabilities(top_k_kept):
    case = Case(teachers=3)
    options = KdOptions(2.0, 0.5, tail="bucket" if top_k_kept else "dense", top_k=top_k_kept)
    torch.testing.assert_close(case.chunked(options, chunk=4).loss, case.dense(options).loss.sum(), **EXACT)


@pytest.mark.parametrize("top_k_kept", [0, 3])
def test_a_signal_stands_for_the_teacher_it_was_made_from(top_k_kept):
    case = Case()
    options = KdOptions(2.0, 0.5, tail="uniform" if top_k_kept else "dense", top_k=top_k_kept)
    whole = Dense(linear(case.teacher.features[0], *case.teacher.projections[0]).log_softmax(-1), 1.0)
    given = [whole, whole.at(2.0)] if not top_k_kept else [whole, top_k(whole, 3, 2.0)]
    for signal in given:
        found = kd_ls_from_features(case.h, Projection(case.w, case.b), case.target, signal, options, chunk=5)
        torch.testing.assert_close(found.loss, case.chunked(options).loss, **EXACT)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("scale", [1.0, 128.0, 2.0**-10])
def test_half_precision_keeps_gradients_wide_until_the_scale_is_known(scale, dtype, tolerance):
    half = Case(n=64, v=97, dtype=dtype)
    wide = Case(n=64, v=97)
    for ours, theirs in zip(half.inputs(), wide.inputs(), strict=True):
        theirs.data.copy_(ours.data)
    projections = [Projection(w.double(), b.double()) for w, b in half.teacher.projections]
    wide.teacher = TeacherFeatures([g.double() for g in half.teacher.features], projections)
    options = KdOptions(2.0, 0.5, 0.1)
    found = half.chunked(options, chunk=10)
    assert found.loss.dtype == torch.float32
    torch.testing.assert_close(found.loss.double(), wide.chunked(options).loss, rtol=1e-4, atol=0)
    exact = torch.autograd.grad(wide.chunked(options).loss, wide.inputs())
    for ours, theirs in zip(torch.autograd.grad(scale * found.loss, half.inputs()), exact, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double() / scale, theirs, rtol=tolerance, atol=tolerance * theirs.abs().max())


@pytest.mark.parametrize(
    "options",
    [
        KdOptions(2.0, 1e-3),
        KdOptions(20.0, 0.1, temperature_squared=False),
        KdOptions(64.0, 1.0),
        KdOptions(2.0, 1e-3, tail="renormalise", top_k=3),
        KdOptions(2.0, 1e-3, tail="bucket", top_k=3),
        KdOptions(2.0, 1e-3, tail="uniform", top_k=3),
        KdOptions(64.0, 0.5, divergence="reverse"),
    ],
)
def test_no_balance_of_the_terms_overflows_half_precision(options):
    half, wide = Case(n=64, v=97, dtype=torch.float16), Case(n=64, v=97)
    for ours, theirs in zip(half.inputs(), wide.inputs(), strict=True):
        theirs.data.copy_(ours.data)
    projections = [Projection(w.double(), b.double()) for w, b in half.teacher.projections]
    wide.teacher = TeacherFeatures([g.double() for g in half.teacher.features], projections)
    loss = half.chunked(options, chunk=10).loss
    exact = torch.autograd.grad(wide.chunked(options).loss, wide.inputs())
    for ours, theirs in zip(torch.autograd.grad(loss, half.inputs()), exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-3, atol=2e-3 * theirs.abs().max())


def test_the_weight_of_one_token_overflows_no_half_precision():
    half, options = Case(n=64, v=97, dtype=torch.float16), KdOptions(4.0, 0.5, divergence="ttm")
    soft = torch.full((64,), 0.01)
    soft[3] = 300.0
    loss = half.chunked(options, term_weights=TermWeights(torch.ones(64), soft), chunk=10).loss
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(loss / 100, half.inputs()))


def test_a_gradient_below_half_precisions_smallest_number_survives_a_loss_scale():
    """One token of 2,000 symbols, all but alike: (q - label) is 5e-4 but for the target, times features of 1e-4."""
    h = torch.full((1, 2), 1e-4, dtype=torch.float16, requires_grad=True)
    w = torch.zeros(2000, 2, dtype=torch.float16, requires_grad=True)
    loss = kd_ls_from_features(h, Projection(w), torch.tensor([7]), None, KdOptions(kd_weight=0.0)).loss
    (slope,) = torch.autograd.grad(loss * 2**15, [w])
    torch.testing.assert_close(slope[0].float(), torch.full((2,), 1e-4 * 2**15 / 2000), rtol=2e-3, atol=0)


def test_autocast_multiplies_in_half_and_returns_the_parameters_type():
    case, options = Case(n=32, v=41, dtype=torch.float32), KdOptions(2.0, 0.5, 0.1)
    exact = torch.autograd.grad(case.chunked(options).loss, case.inputs())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = case.chunked(options).loss
    assert loss.dtype == torch.float32
    for ours, theirs in zip(torch.autograd.grad(loss, case.inputs()), exact, strict=True):
        assert ours.dtype == torch.float32 and not ours.equal(theirs)
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05 * float(theirs.abs().max()))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 64.0, 1000.0])
@pytest.mark.parametrize("tail", ["dense", "bucket", "uniform", "renormalise"])
def test_no_temperature_overflows(temperature, tail):
    case = Case(dtype=torch.float32)
    case.h.data.mul_(100)
    loss = case.chunked(settings(0.5, temperature, "both", 0.1, "others", tail)).loss
    assert loss.isfinite() and all(slope.isfinite().all() for slope in torch.autograd.grad(loss, case.inputs()))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 64.0])
def test_divergence_is_exactly_zero_for_a_student_that_is_its_teacher(temperature):
    case = Case(dtype=torch.float32)
    case.teacher = TeacherFeatures([case.h.detach()], [Projection(case.w.detach(), case.b.detach())])
    assert case.chunked(KdOptions(temperature, 0.5), chunk=4).kd.eq(0).all()


def test_no_tokens_give_a_connected_zero():
    case = Case(n=0)
    loss = case.chunked(KdOptions(2.0, 0.5, 0.1)).loss
    loss.backward()
    assert loss.detach() == 0 and all(tensor.grad.eq(0).all() for tensor in case.inputs())


def test_gradients_accumulate_over_batches():
    case, options = Case(), KdOptions(2.0, 0.5, 0.1)
    for _ in range(2):
        case.chunked(options).loss.backward()
    once = torch.autograd.grad(case.chunked(options).loss, case.inputs())
    for tensor, slope in zip(case.inputs(), once, strict=True):
        torch.testing.assert_close(tensor.grad, 2 * slope, **EXACT)


def test_without_gradients_only_the_terms_are_made():
    case, options = Case(), KdOptions(2.0, 0.5, 0.1)
    with torch.no_grad():
        found = case.chunked(options, accuracy=True)
    assert not found.loss.requires_grad
    torch.testing.assert_close(found.loss, case.dense(options).loss.sum(), **EXACT)
    assert found.correct.equal(linear(case.h, case.w, case.b).argmax(-1) == case.target)


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("tail", ["dense", "bucket"])
def test_no_tensor_has_the_logits_of_all_tokens(tail):
    case, chunk = Case(n=300, v=200, d=4, dtype=torch.float32), 10
    with Largest() as seen:
        case.chunked(settings(0.5, 2.0, "both", 0.1, "others", tail), chunk=chunk).loss.backward()
    assert seen.elements == chunk * 200  # of a chunk, and not the 300 · 200 of all
