"""How far `kd_ls` in float32, bfloat16 and float16 is from float64: losses and gradients, in relative terms.

    python benchmarks/parity.py --device cuda --out benchmarks/results/gpu/parity

Features, projections and targets are random. They are rounded to the type first, and the reference in float64 is
computed from the rounded numbers by the dense path (`kd_ls_loss`) and autograd: what is measured is arithmetic alone.
An error beyond the bound of its type ends the program with exit code 1.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from common import markdown_table, origin, parser_of, show, write_results
from kd_step import processor
from torch import Tensor

from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.plain import kd_ls_loss
from lskd_nmt.losses.signals import Dense, TopK, top_k

# Products are summed in float32 at least. What a gradient loses is the rounding of its matrix and of itself to the
# type: twice half a unit in the last place, of 8, 11 and 24 bits; float32 has its sums' rounding beside it.
BOUNDS = {"float32": 1e-4, "bfloat16": 2.0**-7, "float16": 2.0**-10}
LOSS_BOUND = 1e-4  # of sums in float32, in every type
KEPT = 8  # symbols of a teacher store


@dataclass(frozen=True)
class Case:
    """One objective: the divergence, the temperature, and whether the teacher is live or its top k."""

    divergence: str
    temperature: float
    stored: bool

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return f"{'top 8' if self.stored else 'live'}, {self.divergence}, T = {self.temperature:g}"


CASES = [
    *(Case("forward", temperature, stored) for stored in (False, True) for temperature in (1.0, 2.0, 64.0)),
    *(Case(name, 1.0, False) for name in ("reverse", "jsd:0.5", "skew:0.1", "tvd", "ttm")),
]


def relative(ours: Tensor, exact: Tensor) -> float:
    """‖ours - exact‖ / ‖exact‖, on the CPU in float64."""
    exact = exact.detach().cpu().double()
    return float((ours.detach().cpu().double() - exact).norm() / exact.norm())


def errors(case: Case, dtype: torch.dtype, sizes: tuple[int, int, int], device: str) -> dict[str, float]:
    """Relative errors of the loss and of the gradients of the features (N, D) and of the projection (V, D)."""
    tokens, symbols, width = sizes
    generator = torch.Generator().manual_seed(1)
    h, w, g, v = (
        (torch.randn(count, width, generator=generator) * scale).to(dtype)
        for count, scale in ((tokens, 1.0), (symbols, 0.3), (tokens, 1.0), (symbols, 0.3))
    )
    target = torch.randint(0, symbols, (tokens,), generator=generator)
    top = KEPT if case.stored else 0
    tail = "bucket" if case.stored else "dense"
    options = KdOptions(case.temperature, 0.5, 0.1, divergence=case.divergence, top_k=top, tail=tail)
    exact_h, exact_w = (tensor.double().requires_grad_() for tensor in (h, w))
    whole = Dense((g.double() @ v.double().t()).log_softmax(-1), 1.0)
    signal: Dense | TopK = top_k(whole, KEPT, case.temperature) if case.stored else whole
    exact = kd_ls_loss(
        exact_h @ exact_w.t(),
        target,
        signal,
        temperature=case.temperature,
        kd_weight=0.5,
        label_smoothing=0.1,
        divergence=case.divergence,
        tail="bucket" if case.stored else None,
        reduction="sum",
    )
    exact_slopes = torch.autograd.grad(exact, (exact_h, exact_w))
    h, w, g, v, target = (tensor.to(device) for tensor in (h, w, g, v, target))
    h, w = h.requires_grad_(), w.requires_grad_()
    teacher = TeacherFeatures([g], [Projection(v)])
    loss = kd_ls_from_features(h, Projection(w), target, teacher, options).loss
    slopes = torch.autograd.grad(loss, (h, w))
    found = [relative(ours, theirs) for ours, theirs in zip(slopes, exact_slopes, strict=True)]
    return {"loss": relative(loss, exact), "features": found[0], "projection": found[1]}


def measurements(args: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, float]]]:
    """(type, case, errors) of all."""
    for kind in args.types.split(","):
        for case in CASES:
            show(f"{kind}: {case.name}")
            found = errors(case, getattr(torch, kind), (args.tokens, args.symbols, args.width), args.device)
            yield kind, case.name, found


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--types", default="float32,bfloat16,float16")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--symbols", type=int, default=10000)
    parser.add_argument("--width", type=int, default=256)
    args = parser.parse_args()
    results = list(measurements(args))
    beyond = [
        f"{kind}, {name}: {part} is off by {error:.1e}, the bound is {bound:.1e}"
        for kind, name, found in results
        for part, error in found.items()
        for bound in [LOSS_BOUND if part == "loss" else BOUNDS[kind]]
        if not error <= bound
    ]
    rows = [(kind, name, *(f"{error:.1e}" for error in found.values())) for kind, name, found in results]
    table = markdown_table(("type", "objective", "loss", "gradient of features", "of the projection"), rows)
    bounds = ", ".join(f"{bound:.1e} in {kind}" for kind, bound in BOUNDS.items())
    table += f"\nErrors relative to float64. Bounds: {LOSS_BOUND:.0e} for losses; for gradients {bounds}.\n"
    content = [{"type": kind, "objective": name, "errors": found} for kind, name, found in results]
    sizes = {"tokens": args.tokens, "symbols": args.symbols, "width": args.width}
    write_results(args.out, {**origin(), "processor": processor(), **sizes, "results": content}, table)
    print(json.dumps({"out": str(args.out.with_suffix(".json")), "beyond": beyond}))
    if beyond:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
