"""The tables of docs/findings.md are those of the kept results, and are written anew by one command."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results"
PAGE = "Before: 1.00.\n\n<!-- table: choices -->\n\n| old |\n| --- |\n| 9 |\n\nAfter: 2.00.\n"
RUN = "multi30k_choose"


def findings(*words):
    command = [sys.executable, ROOT / "benchmarks" / "findings.py", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path):
    """Results of one run, a page of one of their tables, and the words that name both."""
    (tmp_path / "results" / RUN).mkdir(parents=True)
    shutil.copy(RESULTS / RUN / "table.json", tmp_path / "results" / RUN)
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    return tmp_path, ("--results", tmp_path / "results", "--page", tmp_path / "page.md")


def test_the_page_says_what_the_results_say():
    done = findings("--check")
    assert done.returncode == 0, done.stderr


def test_other_results_write_other_numbers_and_nothing_else(copy):
    folder, words = copy
    file = folder / "results" / RUN / "table.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    beam = next(cell for cell in content["cells"] if cell["name"] == "student-ls0.1-sequence-beam")
    beam["bleu"] = {"mean": 12.346, "deviation": 0.5}
    beam["over"]["plain"]["difference"] |= {"value": -1.5, "low": -3.25, "high": 0.25, "p_holm": 0.9}
    file.write_text(json.dumps(content), encoding="utf-8")
    assert findings(*words).returncode == 0
    page = (folder / "page.md").read_text(encoding="utf-8")
    assert page.startswith("Before: 1.00.\n\n<!-- table: choices -->\n\n| the student learns |")
    assert page.endswith(" |\n\nAfter: 2.00.\n")
    line = next(line for line in page.splitlines() if line.startswith("| the best of the beam |"))
    assert "| 12.35 ± 0.50 |" in line and "| −1.50 [−3.25, +0.25] |" in line
    assert findings("--check", *words).returncode == 0


def test_a_significant_difference_is_bold(copy):
    folder, words = copy
    assert findings(*words).returncode == 0
    lines = (folder / "page.md").read_text(encoding="utf-8").splitlines()
    bold = {line.split(" | ")[0].removeprefix("| ") for line in lines if "| **" in line}
    content = json.loads((RESULTS / RUN / "table.json").read_text(encoding="utf-8"))
    found = [cell for cell in content["cells"] if any(small(over) for over in cell["over"].values())]
    assert len(bold) == len(found) > 0


def small(over):
    return over["difference"] is not None and over["difference"]["p_holm"] < 0.05


def test_a_page_that_differs_is_named_and_left_alone(copy):
    folder, words = copy
    done = findings("--check", *words)
    assert done.returncode == 1 and "not what the results say: | 9 |" in done.stderr
    assert (folder / "page.md").read_text(encoding="utf-8") == PAGE


def test_a_table_that_nobody_knows_is_named(copy):
    folder, words = copy
    (folder / "page.md").write_text(PAGE.replace("choices", "choises"), encoding="utf-8")
    done = findings(*words)
    assert done.returncode == 1 and "choises" in done.stderr and "choices" in done.stderr
    assert "Traceback" not in done.stderr
