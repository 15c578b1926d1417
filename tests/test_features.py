"""A features folder says of every target token what the model says of it, and is whole or refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import train
from frames import arrays_of, drawn, header_facts, log_softmax
from test_store import LANGS, files_of, pairs_of

from lskd_nmt import cli, fairseq_io
from lskd_nmt.analysis.features import sample
from lskd_nmt.analysis.features import write as features_write
from lskd_nmt.analysis.features.folder import TOKENS, Features, open_features, require_comparable, write_features
from lskd_nmt.analysis.features.sample import FeatureSettings
from lskd_nmt.errors import LskdError
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.teacher.online import LiveTeacher


def write(out: Path, checkpoint: Path, data: Path, **settings) -> Features:
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    settings = FeatureSettings(**{"precision": "fp32", "max_tokens": 40, **settings})
    features_write.write_model_features(out, str(checkpoint), str(data), symbols, settings, "cpu", lambda line: None)
    return open_features(out)


@pytest.fixture(scope="module")
def whole(teacher, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "train"
    write(folder, teacher, data, split="train")
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def test_every_target_token_has_what_the_model_says_of_its_pair_alone(whole, teacher, data, plugin):
    found = open_features(whole)
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    live = LiveTeacher.load([str(teacher)], symbols, str(data), None)
    pairs = pairs_of(data, "train")
    lengths = [len(target) for _, target in pairs]
    assert np.array_equal(found.target, np.concatenate([target for _, target in pairs]))
    assert np.array_equal(found.sentence, np.repeat(np.arange(len(pairs)), lengths))
    assert np.array_equal(found.position, np.concatenate([np.arange(length) for length in lengths]))
    assert len(set(lengths)) > 3  # the model saw them in another order
    for row in (0, 7, 31, len(pairs) - 1):
        source, target = (torch.from_numpy(side) for side in pairs[row])
        alone, gold = fairseq_io.net_input([(source, target)], 1, 2)
        log_p = live.log_probs(alone, gold.ne(1)).double()  # (t, V)
        p, at = log_p.exp(), found.sentence == row
        expected = {
            "target_log_prob": log_p[range(len(target)), target],
            "top_log_prob": log_p.max(-1).values,
            "entropy": -(p * log_p).sum(-1),
            "sum_squares": (p**2).sum(-1),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(getattr(found, name)[at], values, rtol=1e-4, atol=1e-5)
        assert np.array_equal(found.top[at], log_p.argmax(-1))
        again = log_softmax(found.state[at] @ found.projection.T)
        np.testing.assert_allclose(again, log_p, rtol=1e-4, atol=1e-4)


def test_the_header_says_of_what_it_is(whole, teacher, data):
    found = open_features(whole)
    header, lines = found.header, (data.parent / "text" / "train.bb").read_text().splitlines()
    assert header.model.file == teacher.name and header.model.label_smoothing == 0.1
    assert header.sentences == len(lines) and header.tokens == sum(len(line.split()) + 1 for line in lines)
    assert header.precision == "fp32" and header.width == found.state.shape[1] == 16
    words = " ".join(lines).split()
    assert {found.symbols[n]: int(count) for n, count in enumerate(found.counts) if count} == {
        **{word: words.count(word) for word in set(words)},
        "</s>": len(lines),
    }


def test_half_precision_halves_the_states_and_leaves_the_statistics(whole, teacher, data, tmp_path):
    half, full = write(tmp_path / "half", teacher, data, split="train", precision="fp16"), open_features(whole)
    assert 2 * half.state.nbytes == full.state.nbytes
    np.testing.assert_allclose(half.state, full.state, rtol=1e-3, atol=1e-6)
    assert np.array_equal(half.entropy, full.entropy)


def test_small_windows_and_batches_give_the_same_rows(whole, teacher, data, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "WINDOW", 10)
    monkeypatch.setattr(features_write, "LOGITS", 30)
    small, full = write(tmp_path / "small", teacher, data, split="train", max_tokens=9), open_features(whole)
    for name in TOKENS:
        np.testing.assert_allclose(getattr(small, name), getattr(full, name), rtol=1e-4, atol=1e-5)


def test_a_sample_is_of_whole_sentences_the_same_for_every_model(teacher, data, tmp_path):
    other = train(data, tmp_path / "other", "--kd-weight", 0, "--seed", 5, "--max-epoch", 1) / "checkpoint_last.pt"
    one = write(tmp_path / "one", teacher, data, split="train", tokens=60, seed=4)
    two = write(tmp_path / "two", other, data, split="train", tokens=60, seed=4)
    require_comparable({"one": one, "two": two})
    lengths = [len(target) for _, target in pairs_of(data, "train")]
    rows, counts = np.unique(one.sentence, return_counts=True)
    assert [lengths[row] for row in rows] == counts.tolist()
    assert 60 <= one.tokens < 60 + max(lengths)
    assert not np.array_equal(one.entropy, two.entropy)
    three = write(tmp_path / "three", teacher, data, split="train", tokens=60, seed=5)
    more = write(tmp_path / "more", teacher, data, split="train", tokens=90, seed=4)
    assert set(one.sentence) < set(more.sentence)
    assert set(one.sentence) != set(three.sentence)
    with pytest.raises(LskdError, match="three and one are of other sentences"):
        require_comparable({"one": one, "three": three})
    valid = write(tmp_path / "valid", teacher, data)
    with pytest.raises(LskdError, match="valid and one are of other data: run lskd features for both"):
        require_comparable({"one": one, "valid": valid})


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(whole, teacher, data, tmp_path, monkeypatch):
    real, calls = features_write.window_arrays, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(sample, "WINDOW", 30)
    with monkeypatch.context() as patch:
        patch.setattr(features_write, "window_arrays", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "f", teacher, data, split="train")
    assert not (tmp_path / "f").exists()
    with pytest.raises(LskdError, match=r"has no header.json: .*lskd features"):
        open_features(tmp_path / "f")
    monkeypatch.undo()
    write(tmp_path / "f", teacher, data, split="train")
    assert files_of(tmp_path / "f") == files_of(whole)


def test_a_cut_or_edited_folder_is_refused(copy):
    for name in (*TOKENS, "projection", "counts"):
        file = copy / f"{name}.npy"
        before = file.read_bytes()
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(LskdError, match=rf"{name}.npy was edited, damaged or removed: run lskd features again"):
            open_features(copy)
        file.write_bytes(before)
    open_features(copy)
    header = (copy / "header.json").read_text()
    (copy / "header.json").write_text(header.replace('"split": "train"', '"split": "valid"'))
    with pytest.raises(LskdError, match=r"header.json was edited"):
        open_features(copy)


@pytest.mark.parametrize(
    "name, change, part",
    [
        ("state", lambda array: np.full_like(array, np.nan), "state holds NaN"),
        ("entropy", lambda array: np.where(np.arange(len(array)) == 3, np.float32(np.nan), array), "entropy holds NaN"),
        ("target", lambda array: array + 60_000, "target hold symbols that the vocabulary lacks"),
        ("target", lambda array: array.astype(np.float32), "target is of type float32"),
        ("state", lambda array: array.astype("S3"), "state is of type |S3"),
        ("position", lambda array: array[None], "the shape of position is not the header's"),
    ],
)
def test_values_that_nothing_can_be_computed_of_are_refused(name, change, part, copy):
    made = open_features(copy)
    arrays = {each: getattr(made, each) for each in (*TOKENS, "projection", "counts")}
    again = copy.parent / "again"
    write_features(again, made.header, arrays | {name: change(arrays[name])})
    with pytest.raises(LskdError, match=re.escape(part)):
        open_features(again)


def test_a_symbol_that_is_masked_adds_nothing_to_the_entropy():
    log_p = torch.tensor([[0.5, 0.5, 0.0]]).log()
    found = features_write.chunk_statistics(log_p, torch.tensor([0]))
    assert float(found["entropy"]) == pytest.approx(np.log(2)) and float(found["sum_squares"]) == 0.5


def test_a_folder_of_other_settings_is_not_overwritten(copy, teacher, data):
    before = files_of(copy)
    with pytest.raises(LskdError, match="holds features of other data: give another folder"):
        write(copy, teacher, data, split="valid")
    with pytest.raises(LskdError, match="holds features of other sample, precision"):
        write(copy, teacher, data, split="train", tokens=50, precision="fp16")
    write(copy, teacher, data, split="train")
    assert files_of(copy) == before


def test_a_projections_bias_is_part_of_the_distribution():
    state, weight, bias = torch.zeros(1, 2), torch.ones(3, 2), torch.tensor([0.5, 0.25, 0.25]).log()
    found = features_write.statistics(state, Projection(weight, bias), torch.tensor([1]))
    assert found["target_log_prob"].exp().item() == pytest.approx(0.25)
    assert found["top"].item() == 0 and found["top_log_prob"].exp().item() == pytest.approx(0.5)
    assert found["entropy"].item() == pytest.approx(1.5 * np.log(2))  # 1.5 bits
    assert found["sum_squares"].item() == pytest.approx(0.25 + 2 / 16)


def test_numpy_alone_writes_and_reads_a_folder(tmp_path):
    found = drawn(tmp_path / "f", seed=3)
    assert found.header.tokens == found.tokens == len(found.entropy) and found.bias is None
    assert found.header.sentences == 40 and found.header.precision == "fp32"


def test_arrays_that_do_not_fit_the_header_are_refused(tmp_path):
    arrays = arrays_of(np.zeros((3, 2), np.float16), np.zeros((4, 2)), [1, 2, 3], [3])
    write_features(tmp_path / "short", header_facts(list("abcd")), {**arrays, "top": arrays["top"][:2]})
    with pytest.raises(LskdError, match="the shape of top is not the header's"):
        open_features(tmp_path / "short")
    lacking = {name: array for name, array in arrays.items() if name != "entropy"}
    write_features(tmp_path / "lacking", header_facts(list("abcd")), lacking)
    with pytest.raises(LskdError, match="it lacks entropy: run lskd features again"):
        open_features(tmp_path / "lacking")


def test_the_verb_writes_and_does_nothing_twice(teacher, data, tmp_path, capsys):
    call = ["features", "--checkpoint", str(teacher), "--data", str(data), "--out", str(tmp_path / "f")]
    assert cli.main(call) == 0
    assert json.loads(capsys.readouterr().out)["sentences"] == 12
    before = files_of(tmp_path / "f")
    assert cli.main(call) == 0
    assert "nothing to do" in capsys.readouterr().err and files_of(tmp_path / "f") == before


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--checkpoint", "nothing.pt"], "--checkpoint nothing.pt does not exist"),
        (["--data", "nowhere"], "--data nowhere does not exist"),
        (["--data", "a:b"], "give one folder"),
        (["--split", "dev"], "has no 'dev'"),
        (["--tokens", "0"], "--tokens is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--max-tokens", "0"], "--max-tokens is 0"),
    ],
)
def test_the_verb_refuses_in_one_line_and_leaves_nothing(extra, part, teacher, data, tmp_path, capsys):
    call = ["features", "--checkpoint", str(teacher), "--data", str(data), "--out", str(tmp_path / "f"), *extra]
    assert cli.main(call) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert not (tmp_path / "f").exists()


def test_a_full_disk_is_noticed_before(teacher, data, tmp_path, monkeypatch):
    class Full:
        f_bavail, f_frsize = 1, 1

    monkeypatch.setattr("os.statvfs", lambda path: Full)
    with pytest.raises(LskdError, match="the features need about"):
        write(tmp_path / "f", teacher, data)
    assert not (tmp_path / "f").exists()
