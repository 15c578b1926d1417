"""The numeric tests under other processors' kernels, for a law that holds on one of them alone is none.

    make test-portable

NumPy multiplies matrices with OpenBLAS (OPENBLAS_CORETYPE names its kernels), torch with MKL (MKL_CBWR), and both have
vector code of their own for sums and functions (ATEN_CPU_CAPABILITY is torch's); all of them split work over threads.
They round differently. Every value of each stands in some run below, beside different ones of the others.
"""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent

# Every file whose tests compute with numbers that are rounded. Tests that train (they ask for a fixture in TRAINED) and
# those of tables and figures, which show what `bootstrap` and `contrasts` compute, are left to `make test`.
NUMERIC = (
    "averaging",
    "bootstrap",
    "bounds",
    "calibration",
    "chunked",
    "confidence",
    "contrasts",
    "diagnosis",
    "diffusion",
    "divergences",
    "evolution",
    "exact",
    "features",
    "kd_ls",
    "losses",
    "methods",
    "metrics",
    "own_output",
    "passes",
    "projection",
    "queue",
    "r_drop",
    "ranking",
    "schedule",
    "scoring",
    "selection",
    "signals",
    "virtual",
    "weight",
)
TRAINED = {"data", "teacher", "refuses", "refused", "trained"}


class Kernels(NamedTuple):
    """What one run computes with."""

    openblas: str
    aten: str
    threads: int
    mkl: str = "AUTO"

    @property
    def variables(self) -> dict[str, str]:
        """The environment that asks for it, whatever the caller's says."""
        names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
        kernels = {"OPENBLAS_CORETYPE": self.openblas, "ATEN_CPU_CAPABILITY": self.aten, "MKL_CBWR": self.mkl}
        return kernels | dict.fromkeys(names, str(self.threads))

    def __str__(self) -> str:
        return (
            f"OPENBLAS_CORETYPE={self.openblas} ATEN_CPU_CAPABILITY={self.aten} MKL_CBWR={self.mkl} "
            f"OMP_NUM_THREADS={self.threads}"
        )


# Where a processor cannot run the first, Haswell's take their place, so that all values of the others are met.
RUNS = (
    Kernels("SkylakeX", "avx2", 1),
    Kernels("Haswell", "default", 2),
    Kernels("Prescott", "avx2", 3, "COMPATIBLE"),
)
# Run only where they are other kernels than those above.
MORE = (Kernels("Zen", "default", 1), Kernels("Sapphirerapids", "avx2", 2))

PROBE = """
import numpy as np, torch, threadpoolctl
a = np.random.default_rng(0).random((300, 300))
a @ a, a.astype(np.float32) @ a.astype(np.float32), torch.from_numpy(a) @ torch.from_numpy(a)
torch.from_numpy(a).exp().sum()
blas = [lib["architecture"] for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "openblas"]
print(blas[0] if blas else "no OpenBLAS", torch.backends.cpu.get_cpu_capability())
"""


def probed(kernels: Kernels) -> tuple[str, str]:
    """The names of what is really computed with, or nothing and why it cannot be."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=os.environ | kernels.variables, capture_output=True, text=True, check=False
    )
    if done.returncode < 0:
        return "", f"this processor cannot run them ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        raise SystemExit(f"portable: error: the probe of {kernels} failed:\n{done.stderr}")
    return done.stdout.strip(), ""


def chosen() -> tuple[list[tuple[Kernels, str]], list[str]]:
    """What will be run with the names of what is then computed with, and what is left out, and why."""
    runs: list[tuple[Kernels, str]] = []
    left_out = []
    for wanted in (*RUNS, *MORE):
        kernels = wanted
        found, reason = probed(kernels)
        if reason and wanted in RUNS:
            left_out.append(f"{wanted.openblas}: {reason}")
            kernels = wanted._replace(openblas="Haswell")
            found, reason = probed(kernels)
        same = [other.openblas for other, names in runs if names.split()[0] == found.split()[0]] if found else []
        if wanted in MORE and same:
            reason = f"OpenBLAS has no others for it here than those of {same[0]}"
        if reason:
            left_out.append(f"{kernels.openblas}: {reason}")
        else:
            runs.append((kernels, found))
    return runs, left_out


def passes(kernels: Kernels, found: str) -> bool:
    """Whether the tests pass under these; all that they print is shown if they do not."""
    start = time.monotonic()
    print(f"running: {kernels}", flush=True)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "tests"],
        cwd=TESTS.parent,
        check=False,
        env=os.environ | kernels.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = done.stdout.splitlines() or [f"died of {-done.returncode}"]
    print("\n".join(lines) if done.returncode else "", end="", flush=True)
    print(
        f"{'FAILED' if done.returncode else 'passed'}: {kernels} (computed with {found}): {lines[-1]}, "
        f"{time.monotonic() - start:.0f} s",
        flush=True,
    )
    return done.returncode == 0


def main() -> int:
    """Run all, two at a time where there are two cores; 1 if any test failed."""
    runs, left_out = chosen()
    print("".join(f"left out: {line}\n" for line in left_out), end="", flush=True)
    with ThreadPoolExecutor(2 if len(os.sched_getaffinity(0)) > 1 else 1) as pool:
        passed = list(pool.map(lambda run: passes(*run), runs))
    print(f"{sum(passed)} of {len(runs)} sets of kernels passed, {len(left_out)} left out")
    return int(not all(passed))


def run_tests() -> int:
    """The numeric tests in this process, under the environment that it was started in."""
    import pytest

    class WithoutTrainings:
        """Leaves out what trains a model."""

        def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
            trained = [item for item in items if TRAINED & set(getattr(item, "fixturenames", ()))]
            config.hook.pytest_deselected(items=trained)
            items[:] = [item for item in items if item not in trained]

    files = [str(TESTS / f"test_{name}.py") for name in NUMERIC]
    return int(pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", *files], plugins=[WithoutTrainings()]))


if __name__ == "__main__":
    raise SystemExit(run_tests() if sys.argv[1:] == ["tests"] else main())
