"""Options of the scripts that no run can have: one line, exit code 2, and nothing made."""

import os
import subprocess
import sys

import pytest
from bench import ROOT

CASES = [
    ("experiments/run.sh", ["--config", "c.yaml", "--jobs", "0"], "--jobs is '0': a whole number from 1"),
    ("experiments/run.sh", ["--config", "c.yaml", "--jobs", "99999999999999999999"], "a whole number from 1"),
    ("experiments/run.sh", ["--config", "c.yaml", "--gpus", "-1"], "--gpus is '-1': a whole number from 1"),
    ("experiments/run.sh", ["--config", "c.yaml", "--threads", "08"], "--threads is '08': a whole number"),
    ("experiments/run.sh", ["--config", "c.yaml", "--retries", "1e3"], "--retries is '1e3': a whole number"),
    ("experiments/quickstart.sh", ["--out", "made", "--jobs", "x"], "--jobs is 'x': a whole number from 1"),
]


def test_a_path_of_modules_has_no_current_folder():
    """What the scripts give Python: entries that are empty, `.` or `./` name the folder that one happens to be in."""
    show = f'source {ROOT}/experiments/lib.sh; printf %s "$PYTHONPATH"'
    for given, kept in (("", ""), (".", ""), (":./:", ""), ("a:.:b/.::", ":a:b/."), ("..:.x", ":..:.x")):
        environment = {**os.environ, "LSKD_PYTHON": sys.executable, "PYTHONPATH": given}
        done = subprocess.run(["bash", "-c", show], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"{ROOT}{kept}"


def test_a_folder_of_temporary_files_that_is_none_is_named(tmp_path):
    (tmp_path / "c.yaml").write_text((ROOT / "experiments" / "configs" / "quickstart.yaml").read_text())
    environment = {**os.environ, "LSKD_PYTHON": sys.executable, "TMPDIR": "/dev/null"}
    words = ["--config", "c.yaml", "--out", "made", "--device", "cpu", "--dry-run", "yes"]
    done = subprocess.run(
        ["bash", ROOT / "experiments/run.sh", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "TMPDIR is '/dev/null', where no folder can be made" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("script, words, line", CASES, ids=[" ".join(words) for _, words, _ in CASES])
def test_an_option_is_refused_in_one_line(tmp_path, script, words, line):
    (tmp_path / "c.yaml").write_text("name: x\n")
    environment = {**os.environ, "LSKD_PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", ROOT / script, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and line in done.stderr, done.stderr
    assert done.stderr.count("error: ") == 1 and "line " not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]
