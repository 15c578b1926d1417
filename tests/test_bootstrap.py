"""Resampled BLEU against sacreBLEU's own tests, the laws of a bootstrap, and Holm's correction by hand."""

import math
import random
import statistics
from itertools import pairwise

import numpy as np
import pytest
import slow
from families import Table, corrected, family_error
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest
from scipy.stats import ttest_1samp, ttest_ind

from lskd_nmt.evaluate import bootstrap
from lskd_nmt.evaluate.metrics import EvaluationSet, bleu, scorer
from lskd_nmt.evaluate.records import Estimate

WORDS = ["der", "die", "das", "Hund", "Katze", "Haus", "sieht", "schläft", "nicht", "heute", "gern", "im", "auf"]


def noisy(lines, share, seed):
    """The lines with some words replaced."""
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) if draw.random() < share else word for word in line.split()) for line in lines]


@pytest.fixture(scope="module")
def refs():
    draw = random.Random(1)
    return [" ".join(draw.choices(WORDS, k=draw.randint(4, 14))) for _ in range(150)]


@pytest.fixture(scope="module")
def systems(refs):
    return {
        name: noisy(refs, share, seed)
        for seed, (name, share) in enumerate({"base": 0.3, "better": 0.24, "alike": 0.29, "worse": 0.5}.items())
    }


def statistics_of(hyps, refs):
    return scorer("bleu", EvaluationSet(refs, "de")).statistics(hyps)


def term(weight, seeds, hyps, refs):
    found = [statistics_of(each, refs) for each in hyps]
    points = np.array([bleu(each.sum(0)) for each in found])
    return bootstrap.Term(weight, seeds, points, bootstrap.resampled(found, bleu))


@pytest.mark.parametrize(
    "hyps",
    [
        ["der Hund schläft im Haus", "die Katze sieht"],
        ["der Hund", "die"],
        ["x y z", "u v"],
        ["", ""],
        ["der Hund schläft heute", "x x x x x x x"],
        ["der die das Hund Katze läuft heute nicht im Haus gern", ""],
    ],
)
def test_bleu_of_summed_statistics_is_sacrebleus(hyps):
    refs = ["der Hund schläft gern im Haus", "die Katze sieht das Haus nicht"]
    assert bleu(statistics_of(hyps, refs).sum(0)) == pytest.approx(BLEU().corpus_score(hyps, [refs]).score)


def test_one_seeds_p_value_is_that_of_sacrebleus_approximate_randomisation(systems, refs):
    _, found = PairedTest(list(systems.items()), {"BLEU": BLEU()}, [refs], test_type="ar")()
    wanted = [result.p_value for result in found["BLEU"][1:]]
    base, *others = (statistics_of(hyps, refs) for hyps in systems.values())
    assert bootstrap.randomisation([(base, other) for other in others], bleu) == wanted
    assert min(wanted) < 0.001 and max(wanted) > 0.1


def test_trials_are_the_same_however_many_are_drawn_at_a_time(systems, refs, monkeypatch):
    pair = [tuple(statistics_of(systems[name], refs)[:147] for name in ("base", "alike"))]  # an odd number of sentences
    found = bootstrap.randomisation(pair, bleu)
    for size in (bootstrap.TRIALS, 32):
        monkeypatch.setattr(bootstrap, "FLIPPED", size)
        assert bootstrap.randomisation(pair, bleu) == found


def whole_numbers(kind, largest=200, systems=21, sentences=9, width=3):
    """Statistics of more systems than are resampled at a time."""
    draw = np.random.default_rng(4)
    return [draw.integers(largest, size=(sentences, width)).astype(kind) for _ in range(systems)]


@pytest.mark.parametrize(
    "kind, largest", [(np.uint8, 200), (np.float64, 200), (np.uint32, 2**31), (np.float64, 2**31)], ids=str
)
def test_resampled_sums_are_exactly_those_of_a_loop(monkeypatch, kind, largest):
    # whole numbers: 2^31 is not exact in 32 bits, and sums in floats are exact up to 2^24 (32 bits) or 2^53 (64 bits)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 40)
    monkeypatch.setattr(bootstrap, "CHUNK", 20)
    found = whole_numbers(kind, largest)
    generator = np.random.default_rng(bootstrap.SEED)
    drawn = [row for _ in range(2) for row in generator.choice(9, size=(20, 9)).tolist()]
    for column in range(3):
        ours = bootstrap.resampled(found, lambda sums, column=column: sums[..., column])
        assert ours.tolist() == [
            [slow.sums_of_rows(each.astype(int).tolist(), row)[column] for row in drawn] for each in found
        ]


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_randomised_pairs_are_exactly_those_of_a_loop(monkeypatch, kind):
    monkeypatch.setattr(bootstrap, "TRIALS", 80)
    monkeypatch.setattr(bootstrap, "FLIPPED", 32)
    found = whole_numbers(kind)
    pairs = list(pairwise(found))
    generator = np.random.default_rng(bootstrap.SEED)
    swaps = [row for size in (32, 32, 16) for row in generator.integers(2, size=(size, 9), dtype=bool).tolist()]
    ours = bootstrap.randomisation(pairs, lambda sums: sums[..., 0])
    columns = [each[:, 0].astype(int).tolist() for each in found]
    wanted = [slow.swapped_more(*pair, swaps) for pair in pairwise(columns)]
    assert ours == [(count + 1) / 81 for count in wanted] and len(set(wanted)) > 5


def test_numbers_that_are_not_whole_are_summed_in_64_bits(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", bootstrap.CHUNK)
    found = [each / 3 for each in whole_numbers(np.float64)]
    drawn = np.random.default_rng(bootstrap.SEED).choice(9, size=(bootstrap.CHUNK, 9))
    ours = bootstrap.resampled(found, lambda sums: sums[..., 0])
    wanted = [[math.fsum(each[row, 0]) for row in drawn] for each in found]
    assert ours == pytest.approx(np.array(wanted), rel=1e-14)  # nine roundings of 2^-53; 32 bits would have 1e-7


def test_one_seeds_interval_is_as_wide_as_sacrebleus(systems, refs):
    _, found = PairedTest(list(systems.items())[:2], {"BLEU": BLEU()}, [refs], test_type="bs", n_samples=4000)()
    for hyps, theirs in zip(systems.values(), found["BLEU"], strict=False):
        ours = bootstrap.contrast([term(1, (1,), [hyps], refs)])
        assert (ours.high - ours.low) / 2 == pytest.approx(theirs.ci, rel=0.06)  # two draws of thousands
        assert (ours.high + ours.low) / 2 == pytest.approx(theirs.mean, abs=0.3)


def test_the_same_outputs_differ_by_nothing_and_are_not_significant(systems, refs):
    hyps = [systems["base"], systems["worse"]]
    same = [term(weight, (1, 2), hyps, refs) for weight in (1, -1)]
    assert bootstrap.contrast(same) == Estimate(value=0, low=0, high=0, p=1)
    base = statistics_of(systems["base"], refs)
    assert bootstrap.randomisation([(base, base)], bleu) == [1]
    assert bootstrap.randomisation([], bleu) == []


def test_swapping_turns_the_interval_round_and_keeps_p(systems, refs):
    better, base = ([systems[name], noisy(systems[name], 0.02, 9)] for name in ("better", "base"))
    there, back = (
        bootstrap.contrast([term(sign, (1, 2), better, refs), term(-sign, (1, 2), base, refs)]) for sign in (1, -1)
    )
    assert there.value > 0
    assert [-back.value, -back.low, -back.high] == pytest.approx([there.value, there.high, there.low])
    assert there.p == back.p
    pair = statistics_of(systems["better"], refs), statistics_of(systems["base"], refs)
    assert bootstrap.randomisation([pair], bleu) == bootstrap.randomisation([pair[::-1]], bleu)


def test_draws_are_the_same_every_time(systems, refs):
    found = [bootstrap.contrast([term(1, (1, 2), [systems["base"], systems["worse"]], refs)]) for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.parametrize("values", [(30.0, 31.0), (30.0, 31.0, 35.0), (30.0, 30.5, 31.0, 29.0, 33.0)])
def test_resampled_means_vary_as_means_of_so_many_seeds_do(values):
    means = bootstrap.seed_weights(tuple(range(len(values)))) @ np.array(values)
    wide = bootstrap.stretch(len(values))
    assert means.mean() == pytest.approx(statistics.fmean(values), abs=0.05 * wide)
    assert means.var() == pytest.approx(wide**2 * statistics.variance(values) / len(values), rel=0.05)  # s² / K


def test_students_t_over_the_normal_distribution():
    assert bootstrap.stretch(3) == pytest.approx(4.303 / 1.960, abs=1e-3)  # from any table of t
    assert bootstrap.stretch(5) == pytest.approx(2.776 / 1.960, abs=1e-3)


@pytest.mark.parametrize("size, at_least", [(3, 0.9), (5, 0.92)])
def test_the_interval_of_a_few_seeds_holds_the_truth_as_often_as_it_says(size, at_least):
    draws = np.random.default_rng(7).normal(size=(size, 1000))
    means = bootstrap.seed_weights(tuple(range(size))) @ draws
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    assert at_least <= ((low <= 0) & (high >= 0)).mean() <= 0.97


def test_equal_seeds_are_drawn_together_and_others_apart():
    first, again, other = (bootstrap.seed_weights(seeds) for seeds in ((1, 2, 3), (1, 2, 3), (4, 5, 6)))
    assert (first == again).all() and first.sum(1) == pytest.approx(1)
    assert abs(np.corrcoef(first[:, 0], other[:, 0])[0, 1]) < 0.05


def test_seeds_widen_the_interval(systems, refs):
    one = bootstrap.contrast([term(1, (1,), [systems["base"]], refs)])
    two = bootstrap.contrast([term(1, (1, 2), [systems["base"], systems["worse"]], refs)])
    assert two.high - two.low > 2 * (one.high - one.low)


def still(weight, scores):
    """A row of seeds whose sentences do not vary."""
    values, seeds = np.array(scores), tuple(range(len(scores)))
    return bootstrap.Term(weight, seeds, values, np.tile(values[:, None], bootstrap.RESAMPLES))


def test_the_pooled_scatter_of_seeds_is_the_textbooks():
    # (1 + 1) + (0.25 + 0 + 0.25) over 1 + 2 degrees; t with 3 degrees is 3.182, and √(1/2 + 1/3) of one seed is left
    rows = [np.array(row) for row in ([31.0, 33.0], [30.0, 30.5, 31.0])]
    spread = bootstrap.pooled(rows)
    assert spread == bootstrap.Spread(pytest.approx((2.5 / 3) ** 0.5), 3)
    found = bootstrap.contrast([still(1, rows[0]), still(-1, rows[1])], spread)
    half = 3.182 * (2.5 / 3) ** 0.5 * (1 / 2 + 1 / 3) ** 0.5
    assert found.value == pytest.approx(1.5)
    assert (found.high - 1.5, 1.5 - found.low) == pytest.approx((half, half), rel=0.08)  # of 10,000 draws
    assert found.p == pytest.approx(ttest_ind(*rows).pvalue, abs=0.01)


def test_intervals_of_pooled_seeds_hold_the_truth_as_often_as_they_say():
    rows = np.random.default_rng(3).normal(30, 0.7, size=(300, 8, 2))
    held = []
    for table in rows:
        found = bootstrap.contrast([still(1, table[0]), still(-1, table[1])], bootstrap.pooled(list(table)))
        held.append(found.low <= 0 <= found.high)
    assert 0.92 <= sum(held) / len(held) <= 0.98


def test_sentences_count_beside_pooled_seeds(systems, refs):
    alone = term(1, (1,), [systems["base"]], refs)
    found = [bootstrap.contrast([alone], bootstrap.Spread(deviation, 30)) for deviation in (0.0, 2.0)]
    without = bootstrap.contrast([alone])
    assert (found[0].low, found[0].high) == (without.low, without.high)
    widths = [each.high - each.low for each in found]
    assert widths[1] == pytest.approx((widths[0] ** 2 + (2 * 2.042 * 2.0) ** 2) ** 0.5, rel=0.05)  # t, 30 degrees


def test_a_rows_own_scatter_is_that_of_paired_and_of_welchs_t():
    rows = {"a": [31.0, 33.0, 32.5, 30.0], "b": [30.0, 30.5, 29.0, 30.2], "c": [30.0, 30.5, 31.0, 29.0, 33.0]}
    one, other = (still(sign, rows[name]) for sign, name in ((1, "a"), (-1, "b")))
    paired = ttest_1samp(np.subtract(rows["a"], rows["b"]), 0)
    found, spread = bootstrap.contrast([one, other]), bootstrap.own([one, other])
    assert (spread.deviation, spread.degrees) == (pytest.approx(found.value / paired.statistic), 3)
    assert found.p == pytest.approx(paired.pvalue, abs=0.01)
    assert found.high - found.value == pytest.approx(3.182 * spread.deviation, rel=0.08)  # t, 3 degrees
    welch = ttest_ind(rows["a"], rows["c"], equal_var=False)
    spread = bootstrap.own([one, still(-1, rows["c"])])
    assert (spread.deviation, spread.degrees) == pytest.approx(
        ((np.mean(rows["a"]) - np.mean(rows["c"])) / welch.statistic, welch.df)
    )


@pytest.mark.parametrize("size", [2, 3])
def test_two_or_three_seeds_have_no_p_value_of_their_own(size):
    terms = [still(1, [30.0, 31.0, 30.5][:size]), still(-1, [28.0, 28.1, 28.3][:size])]
    assert bootstrap.contrast(terms).p is None
    spread = bootstrap.Spread(0.5, 20)
    found, both = bootstrap.contrast(terms, tested=spread), bootstrap.contrast(terms, spread)
    assert found.p == both.p < 0.001
    own = bootstrap.contrast(terms)
    assert (found.low, found.high) == (own.low, own.high)
    assert both.high - both.low < own.high - own.low


def test_four_seeds_and_one_need_no_pool():
    tested = bootstrap.Spread(50.0, 20)
    for size in (4, 1):
        terms = [still(1, [30.0, 31.0, 30.5, 30.2][:size]), still(-1, [28.0, 28.1, 28.3, 28.2][:size])]
        assert bootstrap.contrast(terms).p < 0.05
        assert (bootstrap.contrast(terms, tested=tested).p > 0.5) == (size == 1)  # one seed is fewer than four


@pytest.mark.parametrize("seeds, by_sentences", [(2, 0.0), (3, 0.0), (3, 0.5), (5, 0.0), (5, 0.5)])
def test_a_family_of_rows_without_a_difference_shows_one_in_five_of_a_hundred_tables(seeds, by_sentences):
    # own seeds resampled gave 0.57 (2 seeds), 0.35 (3) and 0.16 (5) where sentences do not vary
    found = family_error(Table(seeds=seeds, by_sentences=by_sentences), 60)
    assert found["error"] <= 0.1 and found["shown"] > 0.9


def test_a_true_difference_is_found_with_two_seeds():
    found = 0
    for number in range(20):
        terms = Table(seeds=2).draw(np.random.default_rng(number))
        shift = terms["row7"]
        terms["row7"] = bootstrap.Term(1, shift.seeds, shift.scores + 8, shift.resampled + 8)
        values = corrected(terms)
        found += values[6] is not None and values[6] < 0.05
    assert found >= 16


def test_rows_that_scatter_more_than_the_others_are_told_from_them():
    draw = np.random.default_rng(5)
    rows = [draw.normal(size=3) for _ in range(10)]
    assert bootstrap.unlike(rows) == []
    assert bootstrap.unlike([*rows, 40 * rows[0], *rows, 60 * rows[1]]) == [21, 10]
    assert bootstrap.unlike([]) == [] and bootstrap.unlike(rows[:1]) == []
    same = np.array([30.0, 30.0])
    assert bootstrap.unlike([same, same]) == [] and bootstrap.unlike([same, same, rows[0]]) == [2]


def test_no_p_value_counts_for_nothing_in_holms_correction():
    assert bootstrap.holm([0.01, None, 0.03]) == [0.02, None, 0.03] and bootstrap.holm([None]) == [None]


def test_holms_correction_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and never falling
    assert bootstrap.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert bootstrap.holm([0.6, 0.7]) == [1, 1] and bootstrap.holm([]) == []
