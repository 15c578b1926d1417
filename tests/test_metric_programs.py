"""The programs of COMET and MetricX: flags and protocol, with stand-ins for the packages that they need."""

import hashlib
import json
import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from lskd_nmt.evaluate.score_command import item, scored_by
from lskd_nmt.progress import Progress

PROGRAMS = ROOT / "experiments" / "metrics"
COMET = '''
"""As much of unbabel-comet 2.2 as the program calls; it is noisy, as the real one is."""
import os
from types import SimpleNamespace

def download_model(name):
    print("downloading", name)
    return os.environ["CHECKPOINT"]

class Model:
    def predict(self, samples, batch_size, gpus, progress_bar):
        os.system("echo from a process")
        assert batch_size == 3 and gpus == 0 and not progress_bar and len(samples) <= 4
        # 0.5 for a source, and a tenth of the letters that translation and reference begin with alike
        found = [0.5 * bool(each["src"]) + len(os.path.commonprefix([each["mt"], each.get("ref", "")])) / 10
                 for each in samples]
        return SimpleNamespace(scores=found, system_score=0.0)

def load_from_checkpoint(path):
    assert path == os.environ["CHECKPOINT"]
    return Model()
'''
METRICX = '''
"""As much of metricx24.models as the program calls: the score is the number of subwords, which are letters."""
from types import SimpleNamespace
import torch

class MT5ForRegression(torch.nn.Module):
    config = SimpleNamespace(_commit_hash="0abc")

    @classmethod
    def from_pretrained(cls, name):
        print("loading", name)
        return cls()

    def forward(self, input_ids, attention_mask):
        assert (attention_mask == (input_ids != 0)).all()
        return SimpleNamespace(predictions=attention_mask.sum(-1).float())
'''
TRANSFORMERS = """
import torch

class Batch(dict):
    def to(self, device):
        return self

class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __call__(self, text, max_length, truncation):
        return {"input_ids": [*map(ord, text), 1]}

    def pad(self, rows, return_tensors):
        longest = max(map(len, rows["input_ids"]))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows["input_ids"]])
        return Batch(input_ids=ids, attention_mask=(ids != 0).long())
"""
ITEMS = [
    item("abc", "s", ["abd", "abc"]),
    item("x", "s", ["y"]),
    item("zz", "s"),
    item("", "s", ["a"]),
    item("ö", "s", ["ö"]),
]


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Stand-ins for the packages, where Python finds them first."""
    place = tmp_path / "packages"
    (place / "metricx24").mkdir(parents=True)
    for name, code in (("comet.py", COMET), ("metricx24/models.py", METRICX), ("transformers.py", TRANSFORMERS)):
        (place / name).write_text(code, encoding="utf-8")
    (place / "metricx24" / "__init__.py").touch()
    (place / "unbabel_comet-2.2.7.dist-info").mkdir()
    (place / "unbabel_comet-2.2.7.dist-info" / "METADATA").write_text("Name: unbabel-comet\nVersion: 2.2.7\n")
    (tmp_path / "model.ckpt").write_bytes(b"weights")
    monkeypatch.setenv("CHECKPOINT", str(tmp_path / "model.ckpt"))
    monkeypatch.setenv("PYTHONPATH", str(place))


def ask(program, flags, items=ITEMS):
    command = f"{sys.executable} {PROGRAMS / program} {flags}"
    return scored_by(command, items, "metric_commands.x", Progress(len(items), "sentences", lambda line: None))


@pytest.mark.parametrize("model", ["Unbabel/wmt22-comet-da", "$CHECKPOINT"])
def test_comet_scores_each_line_and_says_what_it_is(packages, model):
    found = ask("comet_scores.py", f"--model {model} --batch-size 3 --gpus 0 --chunk 3")
    assert found.scores == pytest.approx([0.5 + (0.2 + 0.3) / 2, 0.5, 0.5, 0.5, 0.6])
    name = "model.ckpt" if "$" in model else "wmt22-comet-da"
    assert found.about == {
        "signature": f"{name}|unbabel-comet:2.2.7",
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }


def test_comet_without_sentences_says_what_it_is(packages):
    assert ask("comet_scores.py", "--gpus 0", []).scores == []


def test_metricx_reads_what_it_was_trained_on(packages):
    found = ask("metricx_scores.py", "--batch-size 2")
    texts = ["source: s candidate: abc reference: abc", "source: s candidate: x reference: y"]
    texts += ["source: s candidate: zz", "source: s candidate:  reference: a", "source: s candidate: ö reference: ö"]
    assert found.scores == list(map(len, texts))
    assert found.about == {"signature": "metricx-24-hybrid-large-v2p6|ref", "revision": "0abc"}


def test_metricx_without_references_and_from_a_folder(tmp_path):
    program = runpy.run_path(str(PROGRAMS / "metricx_scores.py"))
    assert program["texts_of"](ITEMS[0], True) == ["source: s candidate: abc"]
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    said = program["itself"](SimpleNamespace(model=str(folder), qe=True), None)
    assert said == {"signature": "own|qe", "sha256": hashlib.sha256(b"weights").hexdigest()}


@pytest.mark.parametrize("program", ["comet_scores.py", "metricx_scores.py"])
def test_help_needs_no_package(program):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", PROGRAMS / program, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "--batch-size" in done.stdout and json.dumps("translation") in done.stdout
