"""How many seeds would decide: published sample sizes, SciPy's noncentral t, simulations, and laws."""

import numpy as np
import pytest
from scipy import stats

from lskd_nmt.evaluate import bootstrap, power
from lskd_nmt.evaluate.records import Estimate, Needed, Uncertainty
from lskd_nmt.report.results import deciding
from lskd_nmt.report.results.records import Effect, Setting
from lskd_nmt.report.tables import texts

R = 4000  # resamples of the rows below


def paired(scatter=1.0, sentences=0.0):
    return Uncertainty(sentences, scatter)


# Paired t-test, two-sided α 0.05, power 0.8: the n of G*Power (Faul et al. 2007) and of Cohen's tables for each d
@pytest.mark.parametrize(
    "effect, seeds", [(0.2, 199), (0.3, 90), (0.4, 52), (0.5, 34), (0.6, 24), (0.8, 15), (1.0, 10)]
)
def test_sample_sizes_are_those_of_published_tables(effect, seeds):
    assert power.seeds_needed(paired(), effect) == seeds
    assert power.seeds_needed(paired(2.5), 2.5 * effect) == seeds  # in any unit


@pytest.mark.parametrize("effect", [0.15, 0.35, 0.7, 0.9, 1.3, 1.7, 2.5])
@pytest.mark.parametrize("wanted", [0.8, 0.9])
def test_the_power_is_that_of_scipys_noncentral_t(effect, wanted):
    seeds = power.seeds_needed(paired(), effect, power=wanted)

    def of_t_test(n):
        limit, shift = stats.t.ppf(0.975, n - 1), effect * np.sqrt(n)
        return stats.nct.sf(limit, n - 1, shift) + stats.nct.cdf(-limit, n - 1, shift)

    assert of_t_test(seeds) > wanted - 0.01  # the iterated formula is within one seed of the noncentral t
    assert seeds == 2 or of_t_test(seeds - 2) < wanted


def test_unpaired_seeds_are_those_of_two_samples():
    """d 0.5 takes 64 in each of two groups, d 1 takes 17 (Cohen 1988, table 2.4.1)."""
    scatter = Uncertainty(0.0, np.sqrt(2), groups=2)
    assert [power.seeds_needed(scatter, effect) for effect in (0.5, 1.0)] == [64, 17]


def test_more_scatter_sentences_or_nearness_need_more():
    def needed(scatter, sentences, distance):
        return power.seeds_needed(paired(scatter, sentences), distance)

    assert needed(1, 0, 1) < needed(1.5, 0, 1) < needed(2, 0, 1) < needed(2, 0.2, 1) < needed(2, 0.3, 1)
    assert needed(1, 0.1, 1) < needed(1, 0.1, 0.7) < needed(1, 0.1, 0.4)


def test_a_pooled_scatter_of_intervals_keeps_its_degrees():
    few, many = (power.seeds_needed(Uncertainty(0, 1, 2, degrees), 2) for degrees in (3, 1000))
    assert few > many == 2  # (1.96 + 0.84)² / 2² = 1.96


def test_no_number_of_seeds_makes_up_for_sentences():
    """(1.960 + 0.842) standard errors of 0.5 are 1.401: what is nearer takes (1.401 / δ)² times the sentences."""
    scatter = paired(1, 0.5)
    assert power.seeds_needed(scatter, 1.5) is not None and power.sentences_needed(scatter, 1.5) is None
    assert power.seeds_needed(scatter, 1.39) is None
    assert power.sentences_needed(scatter, 0.7) == pytest.approx((1.4008 / 0.7) ** 2, rel=1e-3)


def test_what_is_not_known_is_not_said():
    assert power.seeds_needed(Uncertainty(0.1, None), 1) is None
    assert power.seeds_needed(paired(0), 1, more_than=4) == 5  # without any scatter each is enough
    assert power.seeds_needed(paired(1), 0) is None and power.sentences_needed(paired(1, 1), 0) is None


def row(weight, scores, seeds=None, common=0.0, own=0.0, draws=0):
    """Seeds' scores, with an error of the sentences that all have in common, and one of each for itself."""
    scores = np.array(scores, dtype=float)
    noise = np.random.default_rng(draws)
    resampled = scores[:, None] + common * noise.normal(size=R) + own * noise.normal(size=(len(scores), R))
    return bootstrap.Term(weight, tuple(seeds or range(1, len(scores) + 1)), scores, resampled)


def test_equal_seeds_scatter_by_their_differences_and_others_by_both():
    better, base = [31.0, 33.0, 32.0], [30.0, 31.0, 30.5]  # differences 1, 2, 1.5: deviation 0.5; rows 1 and 0.5
    of_pairs = power.uncertainty([row(1, better), row(-1, base)])
    assert (of_pairs.sentences, of_pairs.seeds, of_pairs.groups) == pytest.approx((0, 0.5, 1), abs=1e-6)
    apart = power.uncertainty([row(1, better), row(-1, base, seeds=(7, 8, 9))])
    # Welch: (1 + 1/4)² / (1 + 1/16) times n - 1
    assert (apart.seeds, apart.groups) == pytest.approx((np.sqrt(1.25), 1.25**2 / (1 + 1 / 16)))
    halved = power.uncertainty([row(1, better), row(-0.5, base, seeds=(7, 8, 9))])
    assert halved.seeds == pytest.approx(np.sqrt(1 + 0.25 / 4))
    pooled = power.uncertainty([row(1, better), row(-1, base)], bootstrap.Spread(0.8, 6))
    assert (pooled.seeds, pooled.degrees) == (pytest.approx(0.8 * np.sqrt(2)), None)
    assert power.uncertainty([row(1, better)], bootstrap.Spread(0.8, 6), always=True).degrees == 6
    assert power.uncertainty([row(1, [3.0]), row(-1, base)]).seeds is None


def test_the_part_of_the_sentences_that_seeds_share_is_told_from_their_own():
    found = power.uncertainty([row(1, [30, 30, 30, 30, 30, 30], common=0.4, own=0.9)])
    assert found.sentences == pytest.approx(0.4, rel=0.1)
    assert found.seeds == pytest.approx(0.9, rel=0.05)  # scores are equal, so that it is the sentences' alone


@pytest.mark.parametrize("scatter, common, distance", [(1.0, 0.0, 1.0), (1.0, 0.2, 1.0), (0.6, 0.15, 0.7)])
def test_so_many_seeds_do_decide_four_times_of_five(scatter, common, distance):
    """Seeds and sentences drawn anew 400 times, each with the interval that the table would print."""
    seeds = power.seeds_needed(paired(scatter, common), distance)
    generator, decided = np.random.default_rng(5), 0
    for each in range(400):
        scores = generator.normal(distance + common * generator.normal(), scatter, seeds)
        decided += bootstrap.contrast([row(1, scores, common=common, draws=each)]).low > 0
    assert decided / 400 == pytest.approx(0.8, abs=0.06)  # three standard errors of 400 draws


def estimate(value, half, seeds=3, scatter=1.0, sentences=0.0):
    return Estimate(value, value - half, value + half, None, seeds, uncertainty=Uncertainty(sentences, scatter))


def effect(found, published, verdict, teachers=3, name="order: T = 1 over 2"):
    setting = Setting("student", 0.1, "word", None, "dense", 0, 1, 1.0)
    return Effect(
        name,
        "",
        setting,
        ((1, "a"), (-1, "b")),
        teachers=teachers,
        published=published,
        difference=found,
        verdict=verdict,
    )


def test_only_open_questions_are_answered():
    wide, narrow = estimate(1, 2.5), estimate(1, 0.4)
    assert deciding.for_effect(effect(narrow, 1.6, "reproduced")) is None
    assert deciding.for_effect(effect(narrow, None, None)) is None
    assert deciding.for_effect(effect(None, None, None)) is None
    found = deciding.for_effect(effect(wide, 1.6, "undecided"))
    assert found == Needed(10, None, 3.5) and texts.with_bounds(found) == "10 seeds; within ±3.50"
    assert deciding.for_effect(effect(wide, None, None)) == found
    decided_but_for_seeds = estimate(9, 4, seeds=2, scatter=0.1)
    assert deciding.for_effect(effect(decided_but_for_seeds, 1.6, "undecided (2 seeds)")).seeds == 3


def test_a_published_difference_without_a_sign_asks_for_an_interval_within_a_tenth():
    inside = deciding.for_effect(effect(estimate(0.02, 0.3, scatter=0.1), 0.05, "undecided"))
    outside = deciding.for_effect(effect(estimate(0.18, 0.3, scatter=0.1), 0.05, "undecided"))
    assert inside.seeds == power.seeds_needed(paired(0.1), 0.08, power=0.9)
    assert outside.seeds == power.seeds_needed(paired(0.1), 0.08) < inside.seeds


def test_students_of_one_teacher_need_teachers():
    gain = effect(estimate(1, 2.5), 1.6, "undecided (one teacher)", teachers=1, name="LS gain: α = 0.1 over 0")
    assert texts.with_bounds(deciding.for_effect(gain)) == "≥ 3 teachers, 10 seeds; within ±3.50"


@pytest.mark.parametrize(
    "found, text",
    [
        (estimate(1, 2, seeds=1, scatter=None), "–"),
        (estimate(0.2, 0.9), "> 100 seeds; within ±1.10"),  # 199 of a d of 0.2
        (estimate(0.5, 1.2, sentences=0.5), "larger test set (> 7.8 ×); within ±1.70"),  # (1.401 / 0.5)²
        (estimate(0, 1.0), "> 100 seeds; within ±1.00"),
        (estimate(0, 0, scatter=0), "within ±0.00"),
        (estimate(1, 2, seeds=1), "10 seeds"),  # the interval of one seed bounds nothing
    ],
)
def test_words_of_what_would_decide(found, text):
    assert texts.with_bounds(deciding.for_effect(effect(found, None, None))) == text
    assert texts.would_decide(None) == texts.with_bounds(None) == ""
