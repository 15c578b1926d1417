"""Products of matrices on a CPU: by the faster library, and as exact as their type promises."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lskd_nmt.errors import LskdError
from lskd_nmt.losses import products
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.options import KdOptions


class Settings(TorchDispatchMode):
    """What torch was allowed at each product of matrices."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if str(func).split(".")[1] in ("mm", "addmm", "addmm_"):
            self.seen.append(torch.backends.mkldnn.matmul.fp32_precision)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("shape", list(itertools.product((1, 7, 64), (16, 257), (5, 300))))
def test_float32_loses_no_digits_whoever_multiplies(shape):
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(sum(shape))
    a, b = (torch.randn(*sizes, generator=generator) for sizes in ((rows, inner), (inner, columns)))
    exact = a.double() @ b.double()
    with products.matrix_products():
        assert float((a @ b - exact).norm() / exact.norm()) < 1e-6  # bfloat16 would be about 2e-3


def test_the_callers_setting_is_back_even_after_an_error(monkeypatch):
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    with pytest.raises(KeyError), products.matrix_products():
        raise KeyError
    assert matmul.fp32_precision == before
    matmul.fp32_precision = "ieee"  # a choice, which stays
    try:
        with products.matrix_products("bfloat16"):
            assert matmul.fp32_precision == "ieee"
    finally:
        matmul.fp32_precision = before


@pytest.mark.parametrize("faster", [True, False])
def test_the_objective_multiplies_by_the_faster_library(monkeypatch, faster):
    monkeypatch.setattr(products, "onednn_is_faster", lambda: faster)
    h, w = torch.randn(5, 3, requires_grad=True), torch.randn(7, 3, requires_grad=True)
    with Settings() as settings:
        kd_ls_from_features(h, Projection(w), torch.arange(5), None, KdOptions(kd_weight=0.0)).loss.backward()
    assert settings.seen
    assert set(settings.seen) == {"bf16" if faster else "none"}


@pytest.mark.parametrize(
    "options",
    [
        KdOptions(1.0, 0.5, 0.1, cpu_products="bfloat16"),
        KdOptions(4.0, 0.9, cpu_products="bfloat16"),
        KdOptions(2.0, 0.5, 0.1, tail="bucket", top_k=8, cpu_products="bfloat16"),
        KdOptions(1.0, 0.5, divergence="reverse", cpu_products="bfloat16"),
    ],
)
def test_bfloat16_keeps_the_loss_to_a_thousandth_and_gradients_to_a_hundredth(options):
    """Numbers of 8 bits are off by up to 2^-9 = 0.2 %, each by another amount; sums of them by less."""
    generator = torch.Generator().manual_seed(4)
    sizes = ((90, 64), (500, 64), (500,), (90, 32), (500, 32))
    h, w, b, g, v = (torch.randn(*size, generator=generator, dtype=torch.float64) / 4 for size in sizes)
    target = torch.randint(500, (90,), generator=generator)
    found = []
    for dtype, asked in ((torch.float64, replace(options, cpu_products="float32")), (torch.float32, options)):
        own = [each.to(dtype).requires_grad_() for each in (h, w, b)]
        teacher = TeacherFeatures([g.to(dtype)], [Projection(v.to(dtype))])
        loss = kd_ls_from_features(own[0], Projection(*own[1:]), target, teacher, asked, chunk=32).loss
        found.append((float(loss.detach()), torch.autograd.grad(loss, own)))
    (exact, slopes), (rounded, ours) = found
    assert math.isclose(rounded, exact, rel_tol=1e-3)
    for mine, theirs in zip(ours, slopes, strict=True):
        assert mine.dtype == torch.float32
        error = float((mine - theirs).norm() / theirs.norm())
        assert error < 1e-2
    assert float((ours[1] - slopes[1]).norm() / slopes[1].norm()) > 1e-4  # float32's would be about 1e-6


def test_the_flag_is_the_losss_option(plugin):
    from user_dir.criterions.flags import KdLsConfig, options_of

    assert options_of(KdLsConfig(teacher_path="t.pt", cpu_products="bfloat16")).cpu_products == "bfloat16"
    assert options_of(KdLsConfig(teacher_path="t.pt")).cpu_products == "float32"
    with pytest.raises(LskdError, match="--cpu-products is half: give one of "):
        KdOptions(cpu_products="half")


@pytest.mark.parametrize("name, amx", [("Intel(R) Xeon(R) Gold", False), ("AMD EPYC", True), ("", None)])
def test_intels_and_unknown_processors_and_those_with_amx_stay_with_mkl(monkeypatch, name, amx):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    known = {} if amx is None else {"cpu_name": name, "amx_tile": amx}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert not products.onednn_is_faster.__wrapped__()


@pytest.mark.parametrize("rounding, faster", [(5e-7, True), (2e-3, False)])
def test_a_library_that_rounds_to_bfloat16_is_not_taken(monkeypatch, rounding, faster):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    known = {"cpu_name": "AMD EPYC", "amx_tile": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    monkeypatch.setattr(products, "rounding_of_onednn", lambda: rounding)
    assert products.onednn_is_faster.__wrapped__() is faster
