"""A store of the teacher's features stands for the live teacher: all symbols, every temperature, every tail."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import batch_of, build, gradients, train
from test_store import LANGS, files_of, pairs_of

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.losses.fused_chunk import mean_teacher
from lskd_nmt.teacher import writer
from lskd_nmt.teacher.layout import FeatureLayout
from lskd_nmt.teacher.offline import StoredTeacher
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.shards import ShardBuffer
from lskd_nmt.teacher.source import TeacherBatch, Wish
from lskd_nmt.teacher.store import TeacherStore

ROUNDING = {"rtol": 1e-5, "atol": 1e-6}  # float32: the teacher's own batches are others than the student's
TAILS = [
    ("--temperature", 1),
    ("--temperature", 64),
    ("--temperature", 2, "--top-k", 4, "--tail", "renormalise"),
    ("--temperature", 3, "--top-k", 3),
]


def write(out: Path, teachers: list[Path], data: Path, precision: str = "fp32", splits=("train", "valid")) -> dict:
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    layout = FeatureLayout((), len(symbols.target), precision)
    settings = writer.WriterSettings(layout, splits, max_tokens=40, shard_pairs=20)
    return writer.write_store(out, list(map(str, teachers)), str(data), symbols, settings, "cpu", lambda line: None)


@pytest.fixture(scope="module")
def other(data, tmp_path_factory) -> Path:
    """A second teacher, of another width."""
    folder = tmp_path_factory.mktemp("other")
    width = "--encoder-embed-dim", 8, "--decoder-embed-dim", 8
    train(data, folder, "--kd-weight", 0, *width, "--seed", 5, "--max-epoch", 1)
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def store(teacher, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "fp32"
    write(folder, [teacher], data)
    return folder


@pytest.fixture(scope="module")
def half(teacher, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "fp16"
    write(folder, [teacher], data, "fp16")
    return folder


def losses(data: Path, flags: tuple, steps: int = 5) -> list[float]:
    """The loss of each of a student's first steps, of another batch each."""
    task, model, criterion = build(data, "--kd-weight", 0.7, "--label-smoothing", 0.1, *flags)
    task.load_dataset("train")
    dataset, optimizer, found = task.dataset("train"), torch.optim.SGD(model.parameters(), lr=0.01), []
    for step in range(steps):
        loss, size, _ = criterion(model, dataset.collater([dataset[10 * step + row] for row in range(10)]))
        optimizer.zero_grad()
        (loss / size).backward()
        optimizer.step()
        found.append(float(loss.detach() / size))
    return found


@pytest.mark.parametrize("flags", TAILS, ids=str)
def test_a_student_of_the_store_has_the_losses_of_a_student_of_the_teacher(flags, store, teacher, data):
    live, stored = (losses(data, (*flags, *of)) for of in (("--teacher-path", teacher), ("--teacher-store", store)))
    assert stored == pytest.approx(live, rel=1e-4)  # float32, and T² = 4096 multiplies what rounding leaves
    assert len(set(np.round(live, 3))) == len(live)  # and it does learn


@pytest.mark.parametrize("flags", TAILS, ids=str)
@pytest.mark.parametrize("prefix", [0, 1])
def test_from_features_and_from_dense_logits_its_step_is_the_live_one(flags, prefix, store, teacher, data, monkeypatch):
    flags = *flags, "--kd-weight", 0.7, "--ignore-prefix-size", prefix
    task, model, live = build(data, *flags, "--teacher-path", teacher)
    stored, batch = build(data, *flags, "--teacher-store", store)[2], batch_of(task)
    expected = gradients(live, model, batch)
    assert stored(model, batch)[2].keys() == live(model, batch)[2].keys()  # the tail is logged under its name
    found = [gradients(stored, model, batch)]
    monkeypatch.setattr(stored, "projection", lambda model: None)
    found.append(gradients(stored, model, batch))
    for loss, slopes in found:
        torch.testing.assert_close(loss, expected[0], **ROUNDING)
        for ours, theirs in zip(slopes, expected[1], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def log_probs_of(store: Path, pairs: list) -> torch.Tensor:
    """Every symbol's log p of the pairs' tokens, from the store."""
    teacher = StoredTeacher(TeacherStore.open(store))
    net_input, target = fairseq_io.net_input([tuple(map(torch.from_numpy, pair)) for pair in pairs], 1, 2)
    batch = TeacherBatch(net_input, target, target.ne(1), (1, 1))
    return mean_teacher(teacher.signal(batch, Wish(features=True), torch.zeros(0))).log_probs


def live_log_probs(teachers: list[Path], data: Path, pairs: list) -> torch.Tensor:
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    live = LiveTeacher.load(list(map(str, teachers)), symbols, str(data), None)
    net_input, target = fairseq_io.net_input([tuple(map(torch.from_numpy, pair)) for pair in pairs], 1, 2)
    return live.log_probs(net_input, target.ne(1))


def test_every_token_of_train_and_valid_has_the_teachers_distribution(store, teacher, data, plugin):
    pairs = pairs_of(data, "train")[::7] + pairs_of(data, "valid")
    torch.testing.assert_close(log_probs_of(store, pairs), live_log_probs([teacher], data, pairs), rtol=1e-4, atol=1e-5)


def test_an_ensembles_features_stand_side_by_side(teacher, other, data, tmp_path, plugin):
    pairs = pairs_of(data, "valid")
    header = write(tmp_path / "both", [teacher, other], data)
    assert header.layout["widths"] == [16, 8]
    expected = live_log_probs([teacher, other], data, pairs)
    torch.testing.assert_close(log_probs_of(tmp_path / "both", pairs), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, live_log_probs([teacher], data, pairs), atol=1e-2)


def test_a_bias_of_the_output_projection_is_kept(teacher, data, tmp_path, monkeypatch, plugin):
    plain = fairseq_io.output_projection
    monkeypatch.setattr(fairseq_io, "output_projection", lambda model: (plain(model)[0], torch.arange(16.0)))
    pairs = pairs_of(data, "valid")
    write(tmp_path / "s", [teacher], data)
    without = live_log_probs([teacher], data, pairs)
    expected = (without + torch.arange(16.0)).log_softmax(-1)
    torch.testing.assert_close(log_probs_of(tmp_path / "s", pairs), expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_off_by_no_more_than_its_rounding(half, store, teacher, data, plugin):
    """A half has 11 bits: |Δz_v| <= 2⁻¹¹·Σ_d |h_d·w_vd|, and a log-softmax moves by no more than twice the largest."""
    pairs = pairs_of(data, "train")[:20]
    opened = TeacherStore.open(store)
    features, weight = torch.tensor(opened.lookup(pairs)["features"]), opened.projections[0].weight
    bound = 2 * 2**-11 * (features.abs() @ weight.abs().t()).amax(-1, keepdim=True)  # (N, 1)
    off = (log_probs_of(half, pairs) - log_probs_of(store, pairs)).abs()
    assert (off <= bound + 1e-5).all() and off.max() > 1e-5
    flags = "--temperature", 1, "--teacher-store"
    assert losses(data, (*flags, half)) == pytest.approx(losses(data, (*flags, store)), rel=1e-3)


def test_a_student_in_half_precision_takes_them_in_its_own_type(half, data):
    task, model, stored = build(data, "--teacher-store", half, "--temperature", 2)
    batch = batch_of(task)
    expected = gradients(stored, model, batch)[0]
    loss, slopes = gradients(stored, model.to(torch.bfloat16), batch)
    torch.testing.assert_close(loss.float(), expected, rtol=0.02, atol=0)  # bfloat16 has 8 bits
    assert {slope.dtype for slope in slopes} == {torch.bfloat16}


def test_features_too_large_for_a_half_are_refused():
    layout = FeatureLayout((1,), 9)
    with pytest.raises(LskdError, match="features go up to 70000: use --precision fp32"):
        layout.encode([torch.tensor([[1.0], [-70000.0]])])
    assert replace(layout, precision="fp32").encode([torch.tensor([[7e4]])])["features"] == np.float32(7e4)


def test_a_killed_writer_resumes_to_the_same_bytes(store, teacher, data, tmp_path, monkeypatch):
    real, written = ShardBuffer.write, []

    def killed(self, folder, name):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        real(self, folder, name)

    monkeypatch.setattr(ShardBuffer, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "s", [teacher], data)
    (tmp_path / "s" / "projections" / "0.weight.npy").write_bytes(b"half")
    monkeypatch.setattr(ShardBuffer, "write", lambda self, *where: (written.append(where[1]), real(self, *where)))
    write(tmp_path / "s", [teacher], data)
    assert len(written) == len(set(written)) > 3  # no shard twice
    assert files_of(tmp_path / "s") == files_of(store)


@pytest.fixture
def copy(store, tmp_path) -> Path:
    shutil.copytree(store, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", ["shards/00001.bin", "projections/0.weight.npy"])
def test_a_cut_edited_or_missing_file_is_refused(name, copy):
    whole = (copy / name).read_bytes()
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), None):
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        with pytest.raises(LskdError, match=f"{name.rpartition('/')[2]} (was|has)"):
            TeacherStore.open(copy)
        (copy / name).write_bytes(whole)
    TeacherStore.open(copy)


def test_stores_of_another_kind_precision_or_teacher_are_refused(copy, teacher, other, data):
    with pytest.raises(LskdError, match="holds a teacher store with other layout"):
        write(copy, [teacher], data, "fp16")
    with pytest.raises(LskdError, match="holds a teacher store with other teacher, layout"):
        write(copy, [other], data)
    header = json.loads((copy / "store.json").read_text())
    (copy / "store.json").write_text(json.dumps({**header, "format": 3}))
    with pytest.raises(LskdError, match=r"has format 3, this version reads 1 and 2: write the store again"):
        TeacherStore.open(copy)


def test_a_teacher_without_a_plain_output_projection_is_refused(teacher, data, tmp_path, monkeypatch):
    monkeypatch.setattr(fairseq_io, "output_projection", lambda model: None)
    with pytest.raises(LskdError, match="plain output projection: use --keep top-k"):
        write(tmp_path / "s", [teacher], data)
    assert not (tmp_path / "s").exists()


def test_a_student_trains_from_the_store_without_a_teacher(store, data, tmp_path, monkeypatch, refused):
    monkeypatch.setattr(LiveTeacher, "load", lambda *arguments: pytest.fail("a teacher was loaded"))
    folder = train(data, tmp_path / "m", "--teacher-store", store, "--temperature", 5, "--max-epoch", 1)
    assert (folder / "checkpoint_last.pt").is_file()
    for flags, part in (
        (("--tail", "bucket"), "--tail is bucket"),
        (("--kd-weight", 0), "--kd-weight is 0"),
        (("--teacher-path", "t.pt"), "are both given"),
    ):
        with refused() as line:
            train(data, tmp_path / "n", "--teacher-store", store, *flags)
        assert part in line[0]


def test_the_verb_refuses_flags_that_it_would_not_read_and_the_doctor_knows_the_size(teacher, data, tmp_path, capsys):
    call = ["teacher-store", "--teacher-path", teacher, "--data", data, "--out", tmp_path / "s", "--keep", "features"]
    for flags in (["--top-k", 8], ["--temperatures", "1,2"]):
        assert cli.main(list(map(str, [*call, *flags]))) == 2
        assert "leave out --top-k and --temperatures" in capsys.readouterr().err
        assert not (tmp_path / "s").exists()
    assert cli.main(list(map(str, call))) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["bytes_per_token"] == 16 * 2 and answer["tail_mass"] == {}
    assert cli.main(["doctor", "--data", str(data), "--teacher-path", str(teacher)]) == 0
    predicted = capsys.readouterr().err.partition("--keep features: ")[2].split(" MB")[0]
    real = sum(len(content) for name, content in files_of(tmp_path / "s").items() if not name.endswith(".json"))
    assert float(predicted) == pytest.approx(real / 1e6, abs=0.05)
