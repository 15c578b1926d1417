"""What benchmarks/results keeps: light, without pictures, and enough to draw them again."""

import json
import subprocess
import sys

from conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def test_what_is_kept_is_light():
    ignored = (RESULTS / ".gitignore").read_text(encoding="utf-8").splitlines()
    again = {RESULTS / line.removeprefix("/") for line in ignored if line.startswith("/")}
    assert {"*.png", "*.svg", "*.pdf"} <= {*ignored} and not any(line.startswith("!") for line in ignored)
    files = [file for file in RESULTS.rglob("*") if file.is_file() and f"*{file.suffix}" not in ignored]
    files = [file for file in files if file not in again]
    assert len(files) < 450 and sum(file.stat().st_size for file in files) < 8e6


def test_a_run_of_which_scores_are_shown_has_its_commands_and_signatures():
    for file in RESULTS.glob("*/models.json"):
        for name, model in json.loads(file.read_text(encoding="utf-8")).items():
            was_there = model["run"]["attempts"] == [] and name.startswith("teacher-")  # and is not trained by the run
            assert was_there or (model["run"]["attempts"][-1]["command"] and model["curve"]), name
            assert model["decode"]["command"], name
            assert model["metrics"]["bleu"]["signature"] and model["run"]["data"], name
        assert file.with_name("commands.txt").is_file()


def test_pictures_are_drawn_again_from_what_is_kept(tmp_path):
    folders = ["multi30k_t64_clip", "multi30k_ship", "multi30k_grid/analysis/diagnosis-teacher-ls0-s1"]
    folders += [
        "multi30k_grid/analysis/diffusion-bucket8",
        "multi30k_grid/analysis/projection-bucket8",
        "select_memory",
    ]
    command = [sys.executable, ROOT / "benchmarks" / "figures.py", *(RESULTS / name for name in folders)]
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn = {file.stem for file in tmp_path.glob("*.svg")}
    assert drawn == {
        "bleu",
        "temperature",
        "curves",
        "beam1",
        "beam5",
        "sentences",
        "tail",
        "diffusion",
        "projection",
        "table",
    }
    assert json.loads(done.stdout) == {"pictures": len(drawn)}
