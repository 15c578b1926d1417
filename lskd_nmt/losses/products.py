"""Which library multiplies float32 matrices on a CPU, and whether it may round them to bfloat16.

torch gives such products to MKL, which leaves AVX-512 unused on processors that are not Intel's. oneDNN, which torch
has too, uses it, at twice the speed (`benchmarks/results/kd_step_cpu.md`); torch asks oneDNN where bfloat16 is
allowed. oneDNN then rounds on processors with AMX alone; on the others the products are those of float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from lskd_nmt.losses.settings import CpuProducts

LEAST_DIGITS = 1e-5  # the largest relative error of a product in float32; bfloat16's are about 2e-3


@contextmanager
def matrix_products(kind: CpuProducts = "float32") -> Iterator[None]:
    """Inside, products of float32 matrices on the CPU are oneDNN's: `float32` where it is the faster one and as exact.

    `bfloat16` allows it to round what it multiplies, where the processor has AMX; sums and results are float32 in
    either case. What the caller chose by `torch.backends` stays.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    free = getattr(matmul, "fp32_precision", "") == "none"  # torch < 2.9 has no such setting
    if matmul is None or not free or not (kind == "bfloat16" or onednn_is_faster()):
        yield
        return
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = "none"


@cache
def onednn_is_faster() -> bool:
    """Whether float32's products are faster by oneDNN and lose no digits there: AVX-512, MKL, and no Intel processor.

    The answer depends on the processor alone, so that a resumed training is the one that was stopped.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return False
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if known.get("amx_tile", True) or "intel" in str(known.get("cpu_name", "intel")).lower():
        return False
    return rounding_of_onednn() < LEAST_DIGITS


def rounding_of_onednn() -> float:
    """The relative error of one of oneDNN's products where bfloat16 is allowed."""
    grid = torch.linspace(-1, 1, 64 * 64).view(64, 64)
    a, b = grid.sin(), grid.t().cos()
    exact = a.double() @ b.double()
    with matrix_products("bfloat16"):
        return float(((a @ b) - exact).norm() / exact.norm())
