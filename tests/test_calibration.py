"""Calibration: hand-computed values, scikit-learn's bins, twins from the equations, and models that are calibrated."""

import json
import math

import numpy as np
import pytest
from frames import drawn, log_softmax
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve

from lskd_nmt import cli
from lskd_nmt.analysis import intervals
from lskd_nmt.analysis.confidence import calibrate, calibration, temperature_scaling, tokens_or_words
from lskd_nmt.analysis.confidence.calibrate import CalibrationSettings
from lskd_nmt.analysis.confidence.tokens_or_words import word_starts
from lskd_nmt.analysis.features import sentence_spans
from lskd_nmt.storage.typed import to_json

SETTINGS = CalibrationSettings()


def draw_units(seed: int, size: int = 500) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    confidence = draw.random(size) ** 0.5
    return confidence, draw.random(size) < confidence**2


def alone(confidence, right, edges) -> np.ndarray:
    """The sums of all units, (3, M)."""
    (sums,) = calibration.binned(confidence, right, edges, np.zeros(len(confidence), dtype=np.intp))
    return sums


def slow_ece(confidence, right, bins: int) -> tuple[float, float]:
    """ECE and MCE from their equations, bin by bin, each (a, b]."""
    ece, mce = 0.0, 0.0
    for m in range(bins):
        inside = [n for n, c in enumerate(confidence) if m / bins < c <= (m + 1) / bins]
        if inside:
            gap = abs(sum(right[n] for n in inside) - sum(confidence[n] for n in inside)) / len(inside)
            ece, mce = ece + len(inside) / len(confidence) * gap, max(mce, gap)
    return ece, mce


def test_two_bins_by_hand():
    confidence, right = np.array([0.2, 0.4, 0.5, 0.9, 0.7]), np.array([False, True, True, True, False])
    sums = alone(confidence, right, calibration.equal_width(2))  # 0.5 belongs to the lower one
    assert sums.tolist() == [[3, 2], pytest.approx([1.1, 1.6]), [2, 1]]
    assert calibration.ece(sums) == pytest.approx((0.9 + 0.6) / 5)
    assert calibration.mce(sums) == pytest.approx(0.3)


@pytest.mark.parametrize("bins", [1, 15, 20])
def test_ece_and_mce_are_their_equations(bins):
    confidence, right = draw_units(bins)
    sums = alone(confidence, right, calibration.equal_width(bins))
    assert (float(calibration.ece(sums)), float(calibration.mce(sums))) == pytest.approx(
        slow_ece(confidence.tolist(), right.tolist(), bins)
    )


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_reliability_diagrams_are_scikit_learns(strategy):
    confidence, right = draw_units(3, 97)
    edges = (calibration.equal_width if strategy == "uniform" else lambda m: calibration.equal_mass(confidence, m))(15)
    found = to_json(calibration.reliability(alone(confidence, right, edges), edges))
    accuracy, mean = calibration_curve(right, confidence, n_bins=15, strategy=strategy)
    assert [each for each in found["accuracy"] if each is not None] == pytest.approx(accuracy.tolist())
    assert [each for each in found["confidence"] if each is not None] == pytest.approx(mean.tolist())


def test_shards_sum_and_order_does_not_matter():
    confidence, right = draw_units(4)
    group, edges = np.random.default_rng(5).integers(0, 7, 500), calibration.equal_width(15)
    whole = alone(confidence, right, edges)
    by_shard = calibration.binned(confidence, right, edges, group)
    assert by_shard.shape == (7, 3, 15)
    np.testing.assert_allclose(by_shard.sum(0), whole)
    np.testing.assert_allclose(by_shard[3], alone(confidence[group == 3], right[group == 3], edges))
    np.testing.assert_allclose(alone(confidence[::-1], right[::-1], edges), whole)


def test_bins_of_equal_mass_hold_equally_many():
    confidence, right = draw_units(6, 600)
    sums = alone(confidence, right, calibration.equal_mass(confidence, 15))
    assert sums[0].tolist() == [40] * 15


def test_perfect_and_wholly_wrong_certainty():
    certain, right = np.ones(8), np.ones(8, dtype=bool)
    assert calibration.ece(alone(certain, right, calibration.equal_width(15))) == 0
    assert calibration.ece(alone(certain, ~right, calibration.equal_width(15))) == 1


def test_brier_nll_and_entropy_are_their_equations(tmp_path):
    features = drawn(tmp_path / "f", seed=2)
    p = np.exp(log_softmax(features.state.astype(float) @ features.projection.T))
    tokens = list(zip(p.tolist(), features.target.tolist(), strict=True))
    found = to_json(calibrate.measure(tokens_or_words.tokens(features), (15, 20)))["numbers"]
    expected = {
        "brier": sum((q - (v == y)) ** 2 for row, y in tokens for v, q in enumerate(row)),
        "nll": sum(-math.log(row[y]) for row, y in tokens),
        "entropy": sum(-q * math.log(q) for row, _ in tokens for q in row),
        "confidence": sum(max(row) for row, _ in tokens),
        "target_probability": sum(row[y] for row, y in tokens),
        "accuracy": sum(row[y] == max(row) for row, y in tokens),
    }
    for name, total in expected.items():
        assert found[name]["value"] == pytest.approx(total / len(tokens), rel=1e-5)
    assert found["overconfidence"]["value"] == pytest.approx(found["confidence"]["value"] - found["accuracy"]["value"])
    twin = slow_ece([max(row) for row, _ in tokens], [row[y] == max(row) for row, y in tokens], 20)
    assert (found["ece_20"]["value"], found["mce_20"]["value"]) == pytest.approx(twin, abs=1e-6)


def test_a_model_whose_targets_are_drawn_from_itself_is_calibrated(tmp_path):
    features = drawn(tmp_path / "f", seed=0, sentences=4000)
    found = to_json(calibrate.measure(tokens_or_words.tokens(features), (15,)))["numbers"]
    assert found["ece_15"]["value"] < 0.02 and found["ece_mass_15"]["value"] < 0.02
    assert found["overconfidence"]["low"] < 0 < found["overconfidence"]["high"]
    assert found["nll"]["value"] == pytest.approx(found["entropy"]["value"], abs=0.03)  # cross entropy with itself


@pytest.mark.parametrize("of_targets", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_is_the_one_that_targets_were_drawn_at(of_targets, tmp_path):
    features = drawn(tmp_path / "f", seed=0, sentences=4000, temperature=of_targets)
    found = to_json(calibrate.post_hoc(features, SETTINGS))
    assert found["value"] == pytest.approx(of_targets, rel=0.1)
    if of_targets != 1:
        assert found["after"]["nll"] < found["before"]["nll"]
        assert found["after"]["ece_15"] < 0.03 < found["before"]["ece_15"]


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_fitted_temperature_is_scipys_minimum(scale, tmp_path):
    features = drawn(tmp_path / "f", seed=0, scale=scale, temperature=1.4)
    logits = features.state.astype(float) @ features.projection.T.astype(float)

    def nll(log_temperature: float) -> float:
        return -log_softmax(logits / math.exp(log_temperature))[range(len(logits)), features.target].mean()

    best = minimize_scalar(nll, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-6})
    assert temperature_scaling.fit(features.state, features.projection, None, features.target) == pytest.approx(
        math.exp(best.x), rel=1e-3
    )


def test_a_temperature_beyond_the_bounds_ends_at_them():
    state, projection = np.array([[1.0], [2.0]], np.float32), np.array([[1.0], [-1.0]], np.float32)
    assert temperature_scaling.fit(state, projection, None, np.array([0, 0])) == 0.05  # all right
    assert temperature_scaling.fit(state, projection, None, np.array([1, 1])) == 20  # all wrong


def test_a_words_pieces_are_those_until_the_next_word_begins():
    symbols = ["</s>", "▁a", "b", "▁c", "."]
    target = np.array([1, 2, 2, 3, 4, 0, 2, 3, 0])
    position = np.array([0, 1, 2, 3, 4, 5, 0, 1, 2])
    assert word_starts(symbols, target, position).tolist() == [0, 3, 5, 6, 7, 8]
    joined = ["</s>", "a@@", "b", "c"]
    target, position = np.array([1, 1, 2, 3, 0, 3, 0]), np.array([0, 1, 2, 3, 4, 0, 1])
    assert word_starts(joined, target, position).tolist() == [0, 3, 4, 5, 6]
    odd = [*joined, "▁"]  # a sign of the text
    assert word_starts(odd, target, position).tolist() == [0, 3, 4, 5, 6]
    assert word_starts(["</s>", "a", "b"], np.array([1, 2, 0]), np.arange(3)).tolist() == [0, 1, 2]


def test_a_words_confidence_is_the_product_and_it_is_right_if_all_its_pieces_are(tmp_path):
    features = drawn(tmp_path / "f", seed=2)  # odd symbols begin words
    found = tokens_or_words.words(features)
    words, current = [], None
    for n in range(features.tokens):
        if features.position[n] == 0 or features.target[n] % 2:
            current = [1.0, True, 0.0, int(features.sentence[n])]
            words.append(current)
        current[0] *= math.exp(features.top_log_prob[n])
        current[1] &= bool(features.top[n] == features.target[n])
        current[2] -= float(features.target_log_prob[n])
    confidence, right, nll, sentence = map(list, zip(*words, strict=True))
    assert found.confidence.tolist() == pytest.approx(confidence, rel=1e-5)
    assert found.means["nll"].tolist() == pytest.approx(nll, rel=1e-5)
    assert found.right.tolist() == right and found.sentence.tolist() == sentence
    assert len(words) < features.tokens


def test_sentences_are_drawn_once_and_whole_until_the_budget(tmp_path):
    features = drawn(tmp_path / "f", seed=2)
    drawn_sentences = sentence_spans.drawn(features.sentence, 60, seed=1)
    assert len(set(drawn_sentences)) == len(drawn_sentences)
    lengths = [int((features.sentence == name).sum()) for name in drawn_sentences]
    assert sum(lengths) >= 60 > sum(lengths[:-1])
    half = drawn_sentences[::2]
    assert sentence_spans.rows_of(features.sentence, half).tolist() == [
        n for n in range(features.tokens) if features.sentence[n] in half
    ]


def test_sums_by_sentence():
    sums = sentence_spans.by_sentence(np.array([3, 3, 5, 9, 9, 9]), np.array([[1.0], [2], [4], [8], [16], [32]]))
    assert sums.tolist() == [[3], [4], [56]]


def test_resampled_means_vary_as_the_mean_does():
    values = np.random.default_rng(1).normal(size=400)
    draws = intervals.resampled(np.stack([values, np.ones(400)], axis=1))
    means = draws[:, 0] / draws[:, 1]
    assert len(draws) == intervals.RESAMPLES and set(draws[:, 1]) == {400.0}
    assert means.std() == pytest.approx(values.std() / 20, rel=0.1)
    found = to_json(intervals.with_interval(values.mean(), means))
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert found["low"] < found["value"] < found["high"]


def test_resamples_are_the_same_however_many_are_drawn_at_a_time(monkeypatch):
    sums = np.random.default_rng(2).random((30, 2))
    before = intervals.resampled(sums)
    monkeypatch.setattr(intervals, "DRAWN", 30 * 7)
    assert np.array_equal(intervals.resampled(sums), before)


def test_the_verb_writes_numbers_diagrams_and_where_they_come_from(tmp_path, capsys):
    features = drawn(tmp_path / "f", seed=2)
    out = tmp_path / "calibration.json"
    assert cli.main(["calibrate", str(tmp_path / "f"), "--out", str(out), "--bins", "10"]) == 0
    answer, found = json.loads(capsys.readouterr().out), json.loads(out.read_text())
    assert answer["ece_10"] == pytest.approx(found["token"]["numbers"]["ece_10"]["value"], abs=1e-4)
    assert found["features"]["digest"] == features.header.digest and found["commit"] and found["command"]
    assert sum(found["token"]["reliability"]["ece_10"]["count"]) == features.tokens == found["token"]["units"]
    assert sum(found["entropy_histogram"]["count"]) == features.tokens
    fitted = found["temperature"]
    assert fitted["fitted_on_tokens"] + fitted["measured_on_tokens"] == features.tokens


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--bins", "0"], "--bins holds [0]"),
        (["--bins", "many"], "--bins is 'many'"),
        (["--bins", ","], "--bins holds nothing"),
        (["--temperature-tokens", "1"], "--temperature-tokens is 1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--out", "."], "--out . is a folder"),
    ],
)
def test_the_verb_refuses_in_one_line_and_writes_nothing(extra, part, tmp_path, capsys):
    drawn(tmp_path / "f", seed=2)
    assert cli.main(["calibrate", str(tmp_path / "f"), "--out", str(tmp_path / "c.json"), *extra]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert not (tmp_path / "c.json").exists()


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    assert cli.main(["calibrate", str(tmp_path), "--out", str(tmp_path / "c.json")]) == 2
    assert "has no header.json" in capsys.readouterr().err
