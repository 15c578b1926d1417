"""The diffusion index: its equation by hand, what must not change it, and its sign."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from lskd_nmt.analysis.geometry import diffusion_index, word_classes
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import to_json

K, D = 5, 6
NEAREST = np.zeros((K, K), dtype=bool)
NEAREST[[0, 1, 2, 3, 4], [1, 0, 1, 4, 3]] = True


def eta(first, other, mask=NEAREST):
    return diffusion_index.index(
        diffusion_index.relative_distances(first), diffusion_index.relative_distances(other), mask
    )


@pytest.fixture
def centres():
    return np.random.default_rng(2).normal(size=(K, D))


def test_distances_by_hand():
    """On a line at 0, 1, 3: distances 1 and 3 of the first, mean 2."""
    found = diffusion_index.relative_distances(np.array([[0.0, 5], [1, 5], [3, 5]]))
    assert found == pytest.approx(np.array([[0, 1 / 2, 3 / 2], [2 / 3, 0, 4 / 3], [6 / 5, 4 / 5, 0]]))


def test_the_index_by_hand():
    """The second of 0, 1, 3 moves to 0.5: d(0, ·) from (1/2, 3/2) to (0.5, 3)/1.75, so η is 3/7 and −1/7."""
    first, other = np.array([[0.0], [1], [3]]), np.array([[0.0], [0.5], [3]])
    masks = [np.array([[0, one, not one], [1, 0, 1], [1, 1, 0]], dtype=bool) for one in (1, 0)]
    assert [eta(first, other, mask)[0] for mask in masks] == pytest.approx([3 / 7, -1 / 7])


def test_it_is_the_slow_twins(centres):
    other = centres + np.random.default_rng(3).normal(size=(K, D)) / 3

    def d(c, i, j):
        return np.linalg.norm(c[i] - c[j]) / np.mean([np.linalg.norm(c[i] - c[m]) for m in range(K) if m != i])

    mask = np.random.default_rng(4).random((K, K)) < 0.5
    mask[range(K), range(K)], mask[range(K), (np.arange(K) + 1) % K] = False, True
    slow = [
        np.mean([(d(centres, i, j) - d(other, i, j)) / d(centres, i, j) for j in range(K) if mask[i, j]])
        for i in range(K)
    ]
    assert eta(centres, other, mask) == pytest.approx(slow)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c * 0.3,
        lambda c: c + 7,
        lambda c: c @ ortho_group.rvs(D, random_state=1),
        lambda c: (c - c.mean(0)) * 1e-3,
    ],
    ids=["scale", "shift", "rotation", "collapse"],
)
def test_what_moves_all_classes_alike_is_no_diffusion(centres, change):
    assert eta(centres, change(centres)) == pytest.approx(np.zeros(K), abs=1e-9)


def test_its_sign_is_that_of_the_move(centres):
    """Class 0 moves towards class 1, its similar one, or away from it."""
    for step, sign in ((0.3, 1), (-0.3, -1)):
        moved = centres.copy()
        moved[0] += step * (centres[1] - centres[0])
        assert np.sign(eta(centres, moved)[0]) == sign
        assert np.sign(eta(centres, moved, ~NEAREST & ~np.eye(K, dtype=bool))[0]) == -sign


def test_the_order_of_classes_changes_nothing(centres):
    other = centres + np.random.default_rng(3).normal(size=(K, D))
    order = np.random.default_rng(5).permutation(K)
    turned = eta(centres[order], other[order], NEAREST[np.ix_(order, order)])
    assert turned == pytest.approx(eta(centres, other)[order])


def test_similar_classes_are_those_most_probable_in_its_place():
    given = np.array([[0.9, 0.02, 0.05, 0.01], [0.1, 0.2, 0.3, 0.2], [0.0, 0.0, 1.0, 0.0], [0.1, 0.3, 0.2, 0.1]])
    assert diffusion_index.similar(given, 1).nonzero()[1].tolist() == [2, 2, 0, 1]
    assert diffusion_index.similar(given, 2).sum(1).tolist() == [2, 2, 2, 2]
    for count in (0, 3):
        with pytest.raises(LskdError, match=f"--similar is {count}: of 4 classes, 1 to 2 can be"):
            diffusion_index.similar(given, count)


# ------------------------------------------------------------------------------------------------- from single tokens

SENTENCES, LENGTH = 60, 12


@pytest.fixture
def corpus():
    """Targets of sentences, and the states of a student at T = 1: a class's centre and noise."""
    draw = np.random.default_rng(8)
    sentence = np.repeat(np.arange(0, 3 * SENTENCES, 3), LENGTH)  # rows of a split, not all there
    target = draw.integers(0, K, SENTENCES * LENGTH)
    centre, noise = draw.normal(size=(K, D)) * 3, draw.normal(size=(len(target), D))
    return target, sentence, centre, noise


def arms(teachers, rows, sentence, resamples, seed):
    there, places = np.unique(sentence, return_inverse=True)
    states = [{t: word_classes.taken(state, rows) for t, state in students.items()} for students in teachers]
    return diffusion_index.arms(states, word_classes.taken(places, rows), len(there), NEAREST, resamples, seed)


def measured(corpus, moved_by, seeds=3, **settings):
    """An arm and its summary where at T = 2 the centres have moved by so much, alike in each seed."""
    target, sentence, centre, noise = corpus
    states = {
        1.0: (centre[target] + noise).astype(np.float32),
        2.0: ((centre + moved_by)[target] + noise).astype(np.float32),
    }
    rows = word_classes.occurrences(target, range(K), 10**6, 1)
    chosen = {"resamples": 150, "seed": 1} | settings
    arm = diffusion_index.united(arms([states] * seeds, rows, sentence, **chosen))
    return arm, to_json(diffusion_index.summary(arm))["2"]


def towards_nearest(centre):
    """Classes 0 and 1, and 3 and 4, move to each other."""
    partner = [1, 0, 2, 4, 3]
    return 0.3 * (centre[partner] - centre)


def test_centroids_are_means(corpus):
    target, _, centre, noise = corpus
    states = centre[target] + noise
    found = diffusion_index.centroids([states[target == 3], states[target == 0]])
    assert found == pytest.approx(np.array([states[target == 3].mean(0), states[target == 0].mean(0)]))


def test_resampled_centroids_count_a_sentence_as_often_as_it_is_drawn(corpus):
    target, sentence, centre, noise = corpus
    states, rows = centre[target] + noise, word_classes.occurrences(target, range(K), 10**6, 1)
    weights = np.random.default_rng(1).integers(0, 4, (3, SENTENCES))
    taken = (word_classes.taken(array, rows) for array in (states, sentence // 3))
    found = diffusion_index.resampled_centroids(*taken, weights.astype(np.float32))
    for resample, drawn in enumerate(weights):
        repeated = np.repeat(np.arange(len(target)), drawn[sentence // 3])
        for k in range(K):
            again = states[repeated[target[repeated] == k]].mean(0)
            assert found[resample, k] == pytest.approx(again, rel=1e-4, abs=1e-5)  # float32


def test_moves_towards_similar_classes_are_systematic_and_back_they_are_not(corpus):
    step = towards_nearest(corpus[2])
    _, there = measured(corpus, step)
    _, back = measured(corpus, -step)
    assert there["verdict"] == "systematic" and there["similar"]["value"] > 0 > there["others"]["value"]
    assert back["verdict"] == "not systematic" and back["similar"]["high"] < 0
    for found in (there, back):
        for part in ("similar", "others", "margin"):
            assert found[part]["low"] < found[part]["value"] < found[part]["high"]
        assert found["margin"]["value"] == pytest.approx(found["similar"]["value"] - found["others"]["value"])


def test_students_that_differ_by_noise_alone_are_undecided(corpus):
    target, sentence, centre, noise = corpus
    other = np.random.default_rng(77).normal(size=noise.shape)
    rows = word_classes.occurrences(target, range(K), 10**6, 1)
    states = {1.0: centre[target] + noise, 2.0: centre[target] + other}
    arm = diffusion_index.united(arms([states] * 3, rows, sentence, 150, 1))
    assert to_json(diffusion_index.summary(arm))["2"]["verdict"] == "undecided"


def test_identical_students_have_no_index(corpus):
    arm, found = measured(corpus, 0)
    assert (arm.by_class[2.0] == 0).all() and (arm.resampled[2.0] == 0).all()
    assert found["verdict"] == "undecided"


def test_the_seeds_mean_and_that_they_differ_by_hand():
    """Trainings of one, two and three: half of Student's interval of the mean of 1, 2 and 3 is 4.303 · 1/√3."""
    seeds = [
        diffusion_index.Arm({2.0: np.full((2, K), value)}, {2.0: np.full((4000, 2), value)}) for value in (1.0, 2, 3)
    ]
    arm = diffusion_index.united(seeds)
    found = to_json(diffusion_index.summary(arm))["2"]
    assert (arm.by_class[2.0] == 2).all() and found["seeds"] == 3
    assert found["similar"]["uncorrected"] == 2 and found["similar"]["value"] == pytest.approx(2, abs=0.05)
    half = 4.303 / 3**0.5
    assert found["similar"]["high"] - 2 == pytest.approx(half, rel=0.15)  # two draws of three: few distinct means
    one = diffusion_index.united(seeds[2:])
    assert (one.resampled[2.0] == 3).all() and one.seeds == 1


def test_few_seeds_decide_nothing(corpus):
    step = towards_nearest(corpus[2])
    verdicts = [measured(corpus, step, seeds)[1]["verdict"] for seeds in (1, 2, 3)]
    assert verdicts == ["undecided (one seed)", "undecided (2 seeds)", "systematic"]
    three, one = (measured(corpus, step, seeds)[0] for seeds in (3, 1))
    assert to_json(diffusion_index.control(three, one))["2"]["verdict"] == "undecided (one seed)"


def test_progress_counts_the_resamples(corpus):
    target, sentence, centre, noise = corpus
    told = []
    states = word_classes.taken(centre[target] + noise, [np.flatnonzero(target == k) for k in range(K)])
    places = word_classes.taken(sentence // 3, [np.flatnonzero(target == k) for k in range(K)])
    diffusion_index.arms([{1.0: states, 2.0: states}], places, SENTENCES, NEAREST, 250, 1, told.append)
    assert sum(told) == 250 and len(told) > 1


def test_resamples_depend_on_the_seed_alone(corpus):
    step = towards_nearest(corpus[2])
    assert measured(corpus, step)[1] == measured(corpus, step)[1]
    assert measured(corpus, step)[1]["similar"] != measured(corpus, step, seed=2)[1]["similar"]


def test_intervals_hold_the_truth_though_few_tokens_make_noisy_means():
    """40 corpora drawn anew around known centres, in 64 dimensions: half of the means' distances is noise."""
    draw, width = np.random.default_rng(10), 64
    centre = draw.normal(size=(K, width))
    step = towards_nearest(centre)
    truth = eta(centre, centre + step).mean()
    found, widths = [], []
    for _ in range(40):
        sentence, target = np.repeat(np.arange(SENTENCES), LENGTH), draw.integers(0, K, SENTENCES * LENGTH)
        of_sentence = draw.normal(size=(SENTENCES, width))[sentence]  # tokens of a sentence are alike
        states = {
            1.0: centre[target] + of_sentence + draw.normal(size=(len(target), width)),
            2.0: (centre + step)[target] + of_sentence + draw.normal(size=(len(target), width)),
        }
        (arm,) = arms([states], word_classes.occurrences(target, range(K), 10**6, 1), sentence, 100, 1)
        found.append(to_json(diffusion_index.summary(arm))["2"]["similar"])
        widths.append(arm.resampled[2.0][:, 0].std())
    values = np.array([each["value"] for each in found])
    assert (
        sum(each["low"] < truth < each["high"] for each in found) >= 34
    )  # of 40; 38 are expected, less than 34 at 2 %
    assert np.mean(widths) == pytest.approx(values.std(), rel=0.35)  # a deviation from 40 draws is known to 11 %
    plain = np.mean([each["uncorrected"] for each in found])
    assert abs(values.mean() - truth) < 0.2 * abs(plain - truth)


def test_the_control_subtracts_the_index_without_smoothing(corpus):
    step = towards_nearest(corpus[2])
    (smoothed, _), (plain, _) = measured(corpus, step), measured(corpus, step / 3)
    found = to_json(diffusion_index.control(smoothed, plain))["2"]
    values = [to_json(diffusion_index.summary(arm))["2"]["similar"]["value"] for arm in (smoothed, plain)]
    assert found["similar"]["value"] == pytest.approx(values[0] - values[1])
    assert found["similar"]["low"] > 0
    own = to_json(diffusion_index.control(smoothed, smoothed))["2"]["similar"]
    assert set(own.values()) == {0}, "the same sentences are drawn for both"
    assert to_json(diffusion_index.control(smoothed, diffusion_index.Arm({}, {}))) == {}
