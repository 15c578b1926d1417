"""How sure models are of the same tokens: hand-computed means, twins of the divergence, and laws of differences."""

import json

import numpy as np
import pytest
from frames import arrays_of, drawn, header_facts, log_softmax
from slow import kl as slow_kl

from lskd_nmt import cli
from lskd_nmt.analysis.confidence.confidence import ConfidenceSettings, agreement, confidence
from lskd_nmt.analysis.confidence.token_ranges import FREQUENCY, POSITION, names, range_of
from lskd_nmt.analysis.features.distribution import Model, entropy_histogram, kl
from lskd_nmt.analysis.features.folder import Features, open_features, write_features
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import to_json

PLAIN = ConfidenceSettings("plain")


def silent(line: str) -> None:
    """Nobody listens."""


def model_of(features: Features) -> Model:
    return Model(features.state, features.projection, features.bias)


@pytest.fixture
def models(tmp_path) -> dict[str, Features]:
    return {name: drawn(tmp_path / name, seed) for name, seed in (("plain", 1), ("student", 2), ("teacher", 3))}


def test_ranges_by_hand():
    assert names((0, 1, 2, 4)) == ["0", "1", "2-3", "4+"]
    assert range_of(np.array([0, 1, 2, 3, 4, 99]), (0, 1, 2, 4)).tolist() == [0, 1, 2, 2, 3, 3]
    assert names(FREQUENCY)[:2] == ["0-9", "10-99"] and len(names(FREQUENCY)) == len(FREQUENCY)
    assert range_of(np.array([9, 10], dtype=np.uint64), FREQUENCY).tolist() == [0, 1]
    assert range_of(np.array([0, 15, 16, 1000]), POSITION).tolist() == [0, 4, 5, 7]


def test_means_and_differences_by_hand(tmp_path):
    two = np.log(2)  # log odds of 2 : 1 and of 1 : 2
    found = {}
    for name, states in (("plain", [two, two, -two]), ("student", [two, -two, -two])):
        arrays = arrays_of(
            np.array([[each] for each in states], np.float32),
            np.array([[1.0], [0.0]]),
            [0, 0, 1],
            [2, 1],
            counts=np.array([5, 5000], dtype=np.uint64),
        )
        write_features(tmp_path / name, header_facts(["▁a", "b"]), arrays)
        found[name] = open_features(tmp_path / name)
    compared = to_json(confidence(found, PLAIN, silent))["models"]
    plain, student = (compared[name]["all"][0] for name in ("plain", "student"))
    assert plain["accuracy"]["value"] == 1 and "difference" not in plain["accuracy"]
    assert student["accuracy"]["difference"]["value"] == pytest.approx(-1 / 3)
    assert student["target_probability"]["value"] == pytest.approx((2 / 3 + 1 / 3 + 2 / 3) / 3)
    assert student["confidence"]["value"] == plain["confidence"]["value"] == pytest.approx(2 / 3)
    by_frequency = {row["bucket"]: row for row in compared["student"]["frequency"]}
    assert set(by_frequency) == {"0-9", "1000-9999"}
    assert by_frequency["0-9"]["accuracy"]["value"] == 0.5 and by_frequency["1000-9999"]["tokens"] == 1
    by_position = {row["bucket"]: row["accuracy"]["value"] for row in compared["student"]["position"]}
    assert by_position == {"0": 1.0, "1": 0.0}


@pytest.mark.parametrize("partition", ["frequency", "position"])
def test_ranges_hold_every_token_once(partition, models):
    for model in to_json(confidence(models, PLAIN, silent))["models"].values():
        (whole,), rows = model["all"], model[partition]
        assert len(rows) > 2 and sum(row["tokens"] for row in rows) == whole["tokens"]
        for key in ("entropy", "confidence", "target_probability", "accuracy", "nll"):
            total = sum(row["tokens"] * row[key]["value"] for row in rows)
            assert total / whole["tokens"] == pytest.approx(whole[key]["value"])


def test_a_difference_turns_its_sign_with_the_baseline(models):
    one, other = (
        to_json(confidence(models, ConfidenceSettings(name), silent))["models"] for name in ("plain", "student")
    )
    there, back = (each["all"][0]["entropy"]["difference"] for each in (one["student"], other["plain"]))
    assert there["low"] < there["value"] < there["high"]
    assert [there["value"], there["low"], there["high"]] == pytest.approx([-back["value"], -back["high"], -back["low"]])


def test_differences_are_paired(models):
    same = to_json(confidence({"plain": models["plain"], "twin": models["plain"]}, PLAIN, silent))["models"]["twin"][
        "all"
    ][0]
    assert same["nll"]["difference"] == {"value": 0, "low": 0, "high": 0}
    assert same["nll"]["low"] < same["nll"]["high"]


def test_without_counts_there_are_no_ranges_of_frequency(tmp_path):
    arrays = arrays_of(np.ones((3, 2), np.float32), np.eye(2), [0, 1, 0], [2, 1])
    write_features(tmp_path / "f", header_facts(["a", "b"]), arrays)
    found = to_json(confidence({"plain": open_features(tmp_path / "f")}, PLAIN, silent))["models"]["plain"]
    assert "frequency" not in found and found["position"]


@pytest.mark.parametrize("bias", [None, np.array([0.1, -2, 3, 0, 1], np.float32)], ids=["plain", "bias"])
def test_the_divergence_is_its_equation(bias, monkeypatch):
    monkeypatch.setattr("lskd_nmt.analysis.features.distribution.LOGITS", 5 * 3)  # three tokens at a time
    draw = np.random.default_rng(1)
    p, q = (
        Model(draw.normal(size=(7, width)).astype(np.float16), draw.normal(size=(5, width)).astype(np.float32), b)
        for width, b in ((3, bias), (2, None))
    )
    rows = [
        np.exp(log_softmax(each.state.astype(float) @ each.projection.T + (0 if each.bias is None else each.bias)))
        for each in (p, q)
    ]
    expected = [slow_kl(a, b) for a, b in zip(*(each.tolist() for each in rows), strict=True)]
    assert kl(p, q).tolist() == pytest.approx(expected, rel=1e-4)
    assert kl(p, p).tolist() == pytest.approx([0] * 7, abs=1e-7)


def test_agreement_with_the_teacher(models):
    teacher, student = models["teacher"], models["student"]
    found = to_json(agreement(teacher, student, PLAIN))
    assert found["top_1"]["value"] == pytest.approx(sum(teacher.top == student.top) / teacher.tokens)
    assert found["kl"]["value"] == pytest.approx(kl(model_of(teacher), model_of(student)).mean())
    assert found["divergence_tokens"] == teacher.tokens and found["kl"]["low"] < found["kl"]["high"]
    itself = to_json(agreement(teacher, teacher, PLAIN))
    assert itself["top_1"]["value"] == 1 and itself["kl"]["value"] == pytest.approx(0, abs=1e-7)


def test_a_budget_draws_whole_sentences_for_the_divergence(models):
    few = to_json(agreement(models["teacher"], models["student"], ConfidenceSettings("plain", tokens=50)))
    assert 50 <= few["divergence_tokens"] < 60
    every = to_json(agreement(models["teacher"], models["student"], PLAIN))
    assert few["top_1"] == every["top_1"]  # of all tokens


def test_the_histogram_holds_every_token_and_ends_at_the_uniform_distribution():
    found = to_json(entropy_histogram(np.array([0.0, np.log(8), np.log(8) + 1e-6, 0.01]), 8))
    assert found["count"][0] == 2 and found["count"][-1] == 2 and sum(found["count"]) == 4
    assert found["edges"][-1] == pytest.approx(np.log(8))


def test_models_of_other_tokens_are_refused(models, tmp_path):
    other = drawn(tmp_path / "other", 2, sentences=30)
    with pytest.raises(LskdError, match="other and plain are of other sentences"):
        to_json(confidence({"plain": models["plain"], "other": other}, PLAIN, silent))
    symbols = drawn(tmp_path / "symbols", 2, symbols=9)
    with pytest.raises(LskdError, match="symbols and plain are of other symbols"):
        to_json(confidence({"plain": models["plain"], "symbols": symbols}, PLAIN, silent))


def test_the_verb_compares_with_the_first_unless_told(models, tmp_path, capsys):
    folders = [f"{name}={tmp_path / name}" for name in models]
    call = ["confidence", "--models", *folders, "--out", str(tmp_path / "c.json"), "--teacher", "teacher"]
    assert cli.main(call) == 0
    answer, found = json.loads(capsys.readouterr().out), json.loads((tmp_path / "c.json").read_text())
    assert answer["baseline"] == "plain" and list(answer["entropy"]) == list(models)
    assert found["models"]["student"]["features"]["digest"] == models["student"].header.digest
    assert "agreement" in found["models"]["student"] and "agreement" not in found["models"]["teacher"]
    assert cli.main([*call, "--baseline", "teacher"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "teacher"


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--baseline", "nobody"], "--baseline is nobody: one of plain, student, teacher"),
        (["--teacher", "nobody"], "--teacher is nobody"),
        (["--divergence-tokens", "0"], "--divergence-tokens is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--models", "plain"], "--models has 'plain'"),
        (["--models", "plain=nowhere"], "has no header.json"),
        (["--out", "."], "--out . is a folder"),
    ],
)
def test_the_verb_refuses_in_one_line_and_writes_nothing(extra, part, models, tmp_path, capsys):
    folders = [f"{name}={tmp_path / name}" for name in models]
    assert cli.main(["confidence", "--models", *folders, "--out", str(tmp_path / "c.json"), *extra]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert not (tmp_path / "c.json").exists()
