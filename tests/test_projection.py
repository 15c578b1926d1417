"""Classes, confusions, and the plane of three words."""

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.decomposition import PCA

from lskd_nmt.analysis.geometry import confusions, projection, word_classes
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import to_json

SYMBOLS = ["<s>", "<pad>", "</s>", "<unk>", "▁der", "n", "▁Hund", "▁die", ".", "▁", "▁7"]


def test_classes_are_frequent_beginnings_of_words():
    target = np.repeat(np.arange(11), [9, 9, 9, 9, 5, 9, 3, 7, 9, 9, 9]).astype(np.uint16)
    assert word_classes.frequent_words(target, SYMBOLS, 9, 3) == [7, 4, 6]
    assert word_classes.frequent_words(target, SYMBOLS, 9, 4) == [7, 4]
    assert word_classes.frequent_words(target, SYMBOLS, 1, 4) == [7]
    unmarked = ["<unk>", "Hund", "die", "."]
    assert word_classes.frequent_words(np.array([1, 1, 2, 3, 0]), unmarked, 9, 1) == [1, 2]


def test_unknown_tokens_are_named():
    assert word_classes.ids_of(["▁die", "n"], SYMBOLS) == [7, 5]
    with pytest.raises(LskdError, match="has no ▁das, die: give symbols"):
        word_classes.ids_of(["▁das", "die", "▁der"], SYMBOLS)


def test_occurrences_are_the_classes_own_and_drawn_once():
    target = np.random.default_rng(1).integers(0, 4, 400)
    few, many = (word_classes.occurrences(target, [2, 3], size, 7) for size in (20, 400))
    assert [len(rows) for rows in few] == [20, 20]
    for class_id, drawn, rows in zip((2, 3), few, many, strict=True):
        assert (target[rows] == class_id).all() and len(rows) == (target == class_id).sum()
        assert set(drawn) <= set(rows) and len(set(drawn)) == 20 and (np.diff(drawn) > 0).all()
    assert (word_classes.occurrences(target, [3], 20, 7)[0] == few[1]).all(), "other classes change nothing"
    assert (word_classes.occurrences(target, [3], 20, 8)[0] != few[1]).any()


def test_rows_are_taken_from_mapped_files_again_and_again(tmp_path):
    given = np.arange(60000.0).reshape(-1, 3)
    np.save(tmp_path / "a.npy", given)
    mapped, rows = np.asarray(np.load(tmp_path / "a.npy", mmap_mode="r")), [np.array([7, 19999]), np.array([0])]
    for _ in range(2):
        for found, mine in zip(word_classes.taken(mapped, rows), rows, strict=True):
            assert (found == given[mine]).all()
    assert (mapped == given).all() and (word_classes.taken(given, rows)[1] == given[:1]).all()


@pytest.mark.parametrize("with_bias", [False, True])
def test_mean_probabilities_are_those_of_the_whole_softmax(with_bias):
    draw = np.random.default_rng(3)
    state, weight = draw.normal(size=(90, 7)).astype(np.float32), draw.normal(size=(11, 7)).astype(np.float32)
    bias = draw.normal(size=11).astype(np.float32) if with_bias else None
    target = draw.integers(0, 11, 90)
    logits = state @ weight.T + (0 if bias is None else bias)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = [4, 9, 2]
    rows = word_classes.occurrences(target, wanted, 90, 1)
    found = confusions.mean_probabilities(state, np.log(probs[range(90), target]), weight, bias, wanted, rows)
    for i, target_id in enumerate(wanted):
        for j, other in enumerate(wanted):
            assert found[i, j] == pytest.approx(probs[target == target_id, other].mean(), rel=1e-4)  # float32


def test_top_rates_are_counted():
    target, top = np.array([4, 4, 4, 4, 7, 7]), np.array([4, 7, 7, 5, 7, 4])
    rates = confusions.top_rates(top, [4, 7], word_classes.occurrences(target, [4, 7], 9, 1))
    assert rates.tolist() == [[0.25, 0.5], [0.5, 0.5]]


def test_triples_are_the_most_confused_pairs_with_the_least_confused_third():
    given = np.array(
        [
            [0.9, 0.30, 0.02, 0.01, 0.05],
            [0.1, 0.80, 0.00, 0.08, 0.01],
            [0.0, 0.02, 0.70, 0.10, 0.25],
            [0.0, 0.00, 0.06, 0.80, 0.00],
            [0.0, 0.00, 0.05, 0.00, 0.90],
        ]
    )
    confusion = confusions.mutual(given)
    assert confusion[0, 1] == confusion[1, 0] == pytest.approx(0.2)
    # pairs: 0 1 has 0.2, 2 4 has 0.15
    # at most with 0 and 1: 2 0.01, 3 0.04, 4 0.025; at most with 2 and 4: 0 0.025, 1 0.01, 3 0.08
    assert confusions.triples(confusion, 2) == [(0, 1, 2), (2, 4, 1)]
    assert confusions.triples(confusion, 9) == [(0, 1, 2), (2, 4, 1)], "3 has no partner left"
    with pytest.raises(LskdError, match="three classes make a plane, there are 2"):
        confusions.triples(confusion[:2, :2], 1)


WIDTH, VOCABULARY = 12, 9


@pytest.fixture
def cloud():
    """Rows of nine words, and 40, 30 and 20 states of words 3, 8 and 5."""
    draw = np.random.default_rng(5)
    weight = draw.normal(size=(VOCABULARY, WIDTH))
    return weight, [weight[word] * 2 + draw.normal(size=(size, WIDTH)) for word, size in ((3, 40), (8, 30), (5, 20))]


def test_points_on_hand_placed_words():
    """Words along the axes: Q is their span, and points keep their distances in the plane of their differences."""
    weight = np.zeros((4, 5))
    weight[1, 2], weight[2, 0], weight[3, 4] = 3, 1, 2
    found = projection.basis(weight, None, [1, 2, 3])
    assert found == pytest.approx(np.eye(5)[:, [2, 0, 4]])
    clouds = [
        np.array([[0, 9, 1, 9, 0], [0, 0, 3, 0, 0]]),
        np.array([[2, 0, 0, 0, 0.0]]),
        np.array([[0, 0, 0, 7, 9.0]]),
    ]
    assert projection.coordinates(clouds[0], found).tolist() == [[1, 0, 0], [3, 0, 0]]
    drawn = to_json(projection.picture(weight, None, [1, 2, 3], {"train": clouds}))["splits"]["train"]
    # centroids (2, 0, 0), (0, 2, 0), (0, 0, 9): the plane through them holds all but the points' own scatter
    assert drawn["distances"][0] == pytest.approx(8**0.5, abs=0.02)
    assert drawn["distances"][1] == pytest.approx(85**0.5, abs=0.02)
    (_, up), (_, down), (right, _) = drawn["centroids"]
    assert up > down and right > max(x for x, _ in drawn["centroids"][:2])


def test_the_basis_spans_the_three_words_rows(cloud):
    weight, _ = cloud
    q = projection.basis(weight, None, [3, 8, 5])
    assert q.T @ q == pytest.approx(np.eye(3), abs=1e-12)
    assert q @ (q.T @ weight[[3, 8, 5]].T) == pytest.approx(weight[[3, 8, 5]].T)


def test_the_bias_goes_with_its_word(cloud):
    """The released script takes biases by position; ours must be those of words 3, 8 and 5, against a state's 1."""
    weight, states = cloud
    bias = np.arange(VOCABULARY) * 10.0
    q = projection.basis(weight, bias, [3, 8, 5])
    assert q.shape == (WIDTH + 1, 3)
    logits = states[0] @ weight[[3, 8, 5]].T + bias[[3, 8, 5]]
    rows = np.column_stack((weight[[3, 8, 5]], bias[[3, 8, 5]]))
    assert projection.coordinates(states[0], q) @ (q.T @ rows.T) == pytest.approx(logits)


def test_words_without_a_space_of_their_own_are_refused(cloud):
    weight, _ = cloud
    weight[5] = weight[3] + weight[8]
    with pytest.raises(LskdError, match="span no space of three dimensions: give other --tokens"):
        projection.basis(weight, None, [3, 8, 5])


def test_the_axes_are_sklearns(cloud):
    """Another program's PCA, on the states' projections and their three centroids."""
    weight, states = cloud
    plane = projection.fit(states, projection.basis(weight, None, [3, 8, 5]))
    spaces = [each @ plane.basis for each in states]
    other = PCA(2).fit(np.concatenate((*spaces, [space.mean(0) for space in spaces])))
    theirs = other.transform(np.concatenate(spaces))
    ours = projection.place(np.concatenate(states), plane)
    assert np.abs(ours) == pytest.approx(np.abs(theirs))
    assert plane.explained == pytest.approx(other.explained_variance_ratio_)


def test_turning_states_and_projection_together_changes_nothing(cloud):
    weight, states = cloud
    turn = ortho_group.rvs(WIDTH, random_state=2)
    plain, turned = (
        to_json(projection.picture(weight @ by, None, [3, 8, 5], {"train": [each @ by for each in states]}))
        for by in (np.eye(WIDTH), turn)
    )
    for key in ("points", "centroids"):
        for one, other in zip(plain["splits"]["train"][key], turned["splits"]["train"][key], strict=True):
            assert np.array(one) == pytest.approx(np.array(other), abs=2e-5)  # rounded


def test_the_order_of_tokens_changes_nothing(cloud):
    weight, states = cloud
    pictures = [
        to_json(projection.picture(weight, None, [3, 8, 5], {"train": given}))["splits"]["train"]
        for given in (states, [each[::-1] for each in states])
    ]
    assert np.array(pictures[0]["centroids"]) == pytest.approx(np.array(pictures[1]["centroids"]), abs=2e-5)  # rounded
    assert pictures[0]["spreads"] == pytest.approx(pictures[1]["spreads"])


def test_centroids_are_means_of_their_points(cloud):
    weight, states = cloud
    plane = projection.fit(states, projection.basis(weight, None, [3, 8, 5]))
    drawn = to_json(projection.picture(weight, None, [3, 8, 5], {"train": states}))["splits"]["train"]
    for points, centre, spread, each in zip(drawn["points"], drawn["centroids"], drawn["spreads"], states, strict=True):
        assert np.mean(points, axis=0) == pytest.approx(centre, abs=2e-5)
        assert projection.place(each.mean(0, keepdims=True), plane)[0] == pytest.approx(centre, abs=2e-5)
        assert spread**2 == pytest.approx(np.var(points, axis=0).sum(), rel=1e-3)


def test_validation_uses_the_plane_of_training(cloud):
    weight, states = cloud
    moved = [each[:5] + 3 for each in states]
    found = to_json(projection.picture(weight, None, [3, 8, 5], {"train": states, "valid": moved}))["splits"]
    alone = to_json(projection.picture(weight, None, [3, 8, 5], {"train": states}))["splits"]
    assert found["train"] == alone["train"]
    plane = projection.fit(states, projection.basis(weight, None, [3, 8, 5]))
    assert np.array(found["valid"]["points"][1]) == pytest.approx(projection.place(moved[1], plane), abs=1e-5)
