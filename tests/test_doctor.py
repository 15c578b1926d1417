"""`lskd doctor` and the forecasts: predicted sizes against measured ones, and each problem named with its fix."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import ROOT, batch_of, binarise, build, peak_bytes, train, write_copy_corpus

import lskd_nmt.doctor
from lskd_nmt import cli, fairseq_io, sizes
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.teacher import online
from lskd_nmt.teacher.layout import FeatureLayout, TopKLayout

OPTIONAL: dict[str, bool] = {}  # what the last call of `doctor` found of the parts that not everybody uses


def doctor(capsys, *arguments: object) -> tuple[int, dict[str, bool], str]:
    try:
        code = cli.main(["doctor", *map(str, arguments)])
    except SystemExit as stopped:
        code = int(stopped.code)
    out, err = capsys.readouterr()
    found = json.loads(out)
    OPTIONAL.update(found.pop("optional"))
    return code, found, err


def test_a_healthy_setup_is_well(data, teacher, tmp_path, capsys):
    code, findings, text = doctor(capsys, "--data", data, "--teacher-path", teacher, "--out", tmp_path / "new")
    assert code == 0 and all(findings.values())
    assert set(findings) == {"versions", "device", "data", "teacher", "memory", "teacher store"}
    assert "trained with label smoothing 0.1" in text and "predicted peak memory" in text


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch, capsys):
    there = lskd_nmt.doctor.is_installed
    monkeypatch.setattr(lskd_nmt.doctor, "is_installed", lambda name: name != "fastchrf" and there(name))
    monkeypatch.setattr(lskd_nmt.doctor.shutil, "which", lambda name: None if name == "setsid" else f"/bin/{name}")
    code, _, text = doctor(capsys)
    lines = [line for line in text.splitlines() if line.startswith("absent")]
    assert code == 0 and not OPTIONAL["MBR and language filters"] and not OPTIONAL["experiments/run.sh"]
    assert "absent  MBR and language filters: fastchrf not installed: pip install 'lskd_nmt[filters]'" in lines
    assert "absent  experiments/run.sh: setsid not installed: apt install util-linux" in lines


def test_every_extra_that_doctor_names_is_one_of_the_package():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    for extra, packages, _ in lskd_nmt.doctor.OPTIONAL.values():
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{extra}":'))
        assert all(f'"{name}' in line for name in packages), extra


def test_the_size_of_the_teacher_is_the_models(teacher, data, plugin):
    symbols = fairseq_io.read_symbols(str(data), ("aa", "bb"))
    loaded = online.LiveTeacher.load([str(teacher)], symbols, str(data), None)
    expected = sum(parameter.numel() for parameter in loaded.models[0].parameters())
    assert loaded.facts[0].parameters == pytest.approx(expected, rel=0.01)  # and a version number or two


@pytest.mark.parametrize(
    "arguments, sick, part",
    [
        (["--data", "nowhere"], "data", "--data nowhere does not exist"),
        (["--data", "DATA", "--teacher-path", "nothing.pt"], "teacher", "teacher nothing.pt does not exist"),
        (["--data", "DATA", "--arch", "ls_transformer_giant"], "memory", "--arch is ls_transformer_giant"),
        (["--data", "DATA", "--max-tokens", "4000000000"], "memory", "lower --max-tokens"),
        (["--data", "DATA", "--top-k", "4000000000000"], "teacher store", "a smaller --top-k"),
    ],
)
def test_each_problem_is_named_with_its_fix(arguments, sick, part, data, capsys):
    code, findings, text = doctor(capsys, *(str(data) if part == "DATA" else part for part in arguments))
    assert code == 2 and not findings[sick]
    problems = [line for line in text.splitlines() if line.startswith("PROBLEM")]
    assert len(problems) == 1 and part in problems[0]


def test_a_teacher_of_other_words_is_a_problem(data, teacher, tmp_path, capsys):
    write_copy_corpus(tmp_path / "text", "zyxw")
    other = binarise(tmp_path / "text", tmp_path / "bin")
    code, findings, text = doctor(capsys, "--data", other, "--teacher-path", teacher)
    assert code == 2 and not findings["teacher"] and "dictionaries differ" in text


@pytest.mark.parametrize("n, v, d", [(600, 3000, 64), (1500, 8000, 32)])
def test_the_forecast_of_the_loss_is_what_it_takes(n, v, d):
    h, w = torch.randn(n, d, requires_grad=True), torch.randn(v, d, requires_grad=True)
    teacher = TeacherFeatures([torch.randn(n, d)], [Projection(torch.randn(v, d))])
    target, options, chunk = torch.randint(v, (n,)), KdOptions(2.0, 0.5, 0.1), 200
    measured = peak_bytes(lambda: kd_ls_from_features(h, Projection(w), target, teacher, options, chunk=chunk).loss)
    assert 0.6 < sizes.chunked_loss_bytes(v, d, n, chunk) / measured < 1.7


def test_the_forecast_of_activations_is_what_a_step_keeps(data, plugin):
    widths = "--encoder-embed-dim", 128, "--decoder-embed-dim", 128  # 2+2 layers, inner width 512
    task, model, criterion = build(data, "--kd-weight", 0, *widths)
    batch = batch_of(task, 60)

    def step():
        criterion(model, batch)[0].backward()

    gradients = 4 * sum(parameter.numel() for parameter in model.parameters())
    predicted = sizes.activation_bytes(fairseq_io.arch_settings("ls_transformer_tiny"), batch["target"].numel())
    assert 0.5 < (predicted + gradients) / peak_bytes(step) < 2


@pytest.mark.parametrize("layout", [TopKLayout(8, (1.0, 2.0), 100), FeatureLayout((16, 8), 100)])
def test_the_forecast_of_a_store_is_its_files(layout, tmp_path):
    shapes = layout.parts(50, 1000).values()
    shards = sum(kind.itemsize * math.prod(shape) for kind, shape in shapes)
    weights = [np.zeros((100, width), np.float32).nbytes for width in getattr(layout, "widths", ())]
    assert sizes.store_bytes(1000, 50, layout.token_bytes, layout.once_bytes) == shards + sum(weights)


def test_training_says_what_memory_it_will_take(data, teacher, tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(data, tmp_path, "--teacher-path", teacher, "--max-epoch", 1, "--no-save")
    said = [record.getMessage() for record in caplog.records if "predicted peak memory" in record.getMessage()]
    assert len(said) == 1 and "teacher" in said[0]
