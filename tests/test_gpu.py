"""benchmarks/gpu.sh, which is for a GPU: tried on the CPU with tiny sizes, so that it works on the day there is one."""

import os
import subprocess

import pytest
from conftest import ROOT


def gpu(out, *options, **environment):
    """A call of the script on the CPU with tiny sizes."""
    command = ["bash", ROOT / "benchmarks/gpu.sh", "--device", "cpu", "--size", "tiny", "--out", out, *options]
    return subprocess.run(
        list(map(str, command)), env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def stand_in(folder, body):
    """A python that runs a line of shell instead of the measurement; `$out` is its --out."""
    folder.mkdir(exist_ok=True)
    python = folder / "python"
    python.write_text(f'#!/bin/bash\nfor word; do out=$word; done\nname=$(basename "$out")\n{body}\n')
    python.chmod(0o755)
    return {"LSKD_PYTHON": str(python)}


DONE = 'echo "[]" > "$out.json"; echo "| of $name |" > "$out.md"'


@pytest.mark.commands
def test_every_piece_works_on_a_cpu(tmp_path):
    done = gpu(tmp_path / "out")
    assert done.returncode == 0, done.stderr + "".join(log.read_text()[-2000:] for log in tmp_path.glob("out/*.log"))
    tables = (tmp_path / "out" / "gpu.md").read_text()
    for piece in ("parity", "steps-float32", "workers", "speed-fp32", "decoding"):
        assert f"## {piece}\n" in tables
        assert (tmp_path / "out" / f"{piece}.json").is_file()


def test_a_second_call_measures_what_is_left(tmp_path):
    slow = stand_in(tmp_path / "slow", f'echo "$name" >> {tmp_path}/ran; [[ $name != workers ]] || sleep 100; {DONE}')
    first = gpu(tmp_path / "out", "--seconds", 11, **slow)
    assert first.returncode == 75 and "left: workers" in first.stderr
    second = gpu(tmp_path / "out", **stand_in(tmp_path / "fast", f'echo "$name" >> {tmp_path}/ran; {DONE}'))
    assert second.returncode == 0
    ran = (tmp_path / "ran").read_text().split()
    assert ran == ["parity", "steps-float32", "workers", "workers", "speed-fp32", "decoding"]


def test_a_piece_that_fails_is_named_and_the_others_are_measured(tmp_path):
    done = gpu(tmp_path / "out", **stand_in(tmp_path, f"[[ $name != parity ]] || {{ echo no; exit 1; }}; {DONE}"))
    assert done.returncode == 1 and "failed: parity" in done.stderr
    assert "of decoding" in (tmp_path / "out/gpu.md").read_text()
    assert (tmp_path / "out/parity.log").read_text() == "no\n"


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--pieces", "parity,nothing"], "--pieces names nothing: give some of parity,"),
        (["--size", "huge"], "--size is huge: give full or tiny"),
        (["--seconds", "-1"], "--seconds is -1: give a whole number"),
        (["--device", "gpu"], "PyTorch sees no GPU here"),
    ],
)
def test_bad_options_are_one_line(options, complaint, tmp_path):
    done = gpu(tmp_path / "out", *options, **stand_in(tmp_path, "exit 1"))
    assert done.returncode == 2 and complaint in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
