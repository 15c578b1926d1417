"""A teacher's tail, and the sentences that its student gets wrong."""

import math

import numpy as np
import pytest

from lskd_nmt.analysis import lost_translations, teacher_tail
from lskd_nmt.cli.common import numbers_of
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import to_json


def model(draw, tokens=30, vocabulary=23, width=6):
    state, weight = draw.normal(size=(tokens, width)) * 2, draw.normal(size=(vocabulary, width))
    return state.astype(np.float32), weight.astype(np.float32)


def test_the_tail_by_hand():
    """p = (1/2, 1/4, 1/8, 1/8)."""
    logits = np.log([[4.0, 1, 2, 1]])
    found = to_json(teacher_tail.tail(np.eye(1, dtype=np.float32), logits.T, None, [1.0], [1, 2, 4, 9]))["1"]
    assert found["entropy"] == pytest.approx(1.75 * math.log(2))
    assert [found["tail"][k]["mass"] for k in ("1", "2", "4", "9")] == pytest.approx([1 / 2, 1 / 4, 0, 0])
    # outside of the first: (1/2, 1/4, 1/4), of entropy 1.5 log 2; outside of two: even
    assert [found["tail"][k]["evenness"] for k in ("1", "2", "4", "9")] == pytest.approx([2**1.5 / 3, 1, 0, 0])


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_tail_is_the_slow_twins(with_bias, temperature):
    draw = np.random.default_rng(3)
    state, weight = model(draw)
    bias = draw.normal(size=len(weight)).astype(np.float32) if with_bias else None
    found = to_json(teacher_tail.tail(state, weight, bias, [temperature], [1, 4, 22]))[f"{temperature:g}"]
    mass, evenness, entropy = {1: [], 4: [], 22: []}, {1: [], 4: [], 22: []}, []
    for row in state:
        z = [
            float(row @ w) / temperature + (0 if bias is None else float(bias[v]) / temperature)
            for v, w in enumerate(weight)
        ]
        p = sorted((math.exp(x) / sum(map(math.exp, z)) for x in z), reverse=True)
        entropy.append(-sum(x * math.log(x) for x in p))
        for k, of_tokens in mass.items():
            rest = p[k:]
            of_tokens.append(sum(rest))
            evenness[k].append(math.exp(-sum(x / sum(rest) * math.log(x / sum(rest)) for x in rest)) / len(rest))
    assert found["entropy"] == pytest.approx(np.mean(entropy), rel=1e-4)  # logits are float32
    for k, of_tokens in mass.items():
        assert found["tail"][str(k)]["mass"] == pytest.approx(np.mean(of_tokens), rel=1e-4)
        assert found["tail"][str(k)]["evenness"] == pytest.approx(np.mean(evenness[k]), rel=1e-4)


def test_a_tiny_tail_keeps_its_digits():
    weight = np.array([[0.0], [-50], [-50], [-51]], dtype=np.float32)
    found = to_json(teacher_tail.tail(np.ones((3, 1), np.float32), weight, None, [1.0], [1, 2]))["1"]["tail"]
    assert found["1"]["mass"] == pytest.approx(math.exp(-50) * (2 + math.exp(-1)), rel=1e-9)
    assert found["2"]["mass"] == pytest.approx(math.exp(-50) * (1 + math.exp(-1)), rel=1e-9)


def test_laws_of_the_tail():
    """Less lies outside of more symbols, more at higher temperatures; in the end all symbols are equal."""
    state, weight = model(np.random.default_rng(4))
    found = to_json(teacher_tail.tail(state, weight, None, [1.0, 2.0, 64.0, 1e6], [1, 2, 8]))
    masses = np.array([[found[t]["tail"][k]["mass"] for k in ("1", "2", "8")] for t in ("1", "2", "64", "1e+06")])
    assert (np.diff(masses, axis=1) < 0).all() and (np.diff(masses, axis=0) > 0).all()
    assert masses[3] == pytest.approx(1 - np.array([1, 2, 8]) / 23, rel=1e-4)
    assert found["1e+06"]["entropy"] == pytest.approx(math.log(23))
    assert found["1e+06"]["tail"]["2"]["evenness"] == pytest.approx(1)


def test_chunks_and_rotations_change_nothing(monkeypatch):
    state, weight = model(np.random.default_rng(5))
    turn = np.linalg.qr(np.random.default_rng(6).normal(size=(6, 6)))[0]
    told = []
    whole = to_json(teacher_tail.tail(state, weight, None, [2.0], [4], told.append))
    monkeypatch.setattr(teacher_tail, "CHUNK", 7)
    parts = to_json(teacher_tail.tail(state[::-1], weight, None, [2.0], [4], told.append))
    turned = to_json(teacher_tail.tail(state @ turn, weight @ turn, None, [2.0], [4]))
    for other in (parts, turned):
        assert other["2"]["entropy"] == pytest.approx(whole["2"]["entropy"], rel=1e-5)
        assert other["2"]["tail"]["4"] == pytest.approx(whole["2"]["tail"]["4"], rel=1e-5)
    assert told == [30, 7, 7, 7, 7, 2]


# -------------------------------------------------------------------------------------------------------- sentences

REFERENCE = [
    "Anna kauft 25 Äpfel in Berlin.",
    "Der Hund schläft.",
    "Am 3. Mai fährt Herr Krause nach Bonn.",
    "Eine Frau liest ein Buch im Park.",
]
SOURCE = [
    "Anna buys 25 apples in Berlin.",
    "The dog sleeps.",
    "On May 3 Mr Krause goes to Bonn.",
    "A woman reads a book in the park.",
]
STUDENT = ["Jemand will etwas.", "Der Hund schläft.", "Am 3. Mai fährt Herr nach Bonn.", "Ein Zug."]
TEACHER = [REFERENCE[0], "Eine Katze.", REFERENCE[2], REFERENCE[3]]
SEEN = {"Der": 900, "Hund": 80, "schläft": 6, "Anna": 5, "kauft": 70, "Berlin": 8, "in": 999}


def texts(**other):
    given = {"reference": REFERENCE, "teacher": TEACHER, "student": STUDENT, "source": SOURCE} | other
    return lost_translations.Texts(**given)


def test_words_and_capitals():
    found = lost_translations.words('"Der 3,5-Liter-Motor", sagt\'s er (laut)…')
    assert found == ["Der", "3,5-Liter-Motor", "sagt's", "er", "laut"]
    line = 'Heute trifft Anna I. Maier: "Nein." Dann geht Otto. Er lacht! "Ja", ruft Eva-Maria'
    assert lost_translations.capitalised(line) == {"Anna", "Otto", "Eva-Maria"}


def test_special_words_of_each_kind():
    found = lost_translations.special_words(texts(frequency=SEEN), lost_translations.Rules())
    assert found["numbers"] == [{"25"}, set(), {"3"}, set()]
    assert found["names"] == [{"Berlin"}, set(), {"Krause", "Bonn"}, set()], "German nouns are no names"
    assert found["rare words"][:2] == [{"Anna", "Äpfel"}, set()]
    other = lost_translations.special_words(texts(source=None), lost_translations.Rules(copied_names=False))
    assert other["names"][3] == {"Frau", "Buch", "Park"} and "rare words" not in other
    assert "names" not in lost_translations.special_words(texts(source=None), lost_translations.Rules())


def test_scores_are_sacrebleus():
    import sacrebleu

    found = lost_translations.sentence_scores(STUDENT, REFERENCE)
    for row, (line, ref) in enumerate(zip(STUDENT, REFERENCE, strict=True)):
        assert found["chrf"][row] == pytest.approx(sacrebleu.sentence_chrf(line, [ref]).score)
        assert found["bleu"][row] == pytest.approx(sacrebleu.sentence_bleu(line, [ref]).score)


def test_who_is_right_and_who_is_wrong():
    found = to_json(lost_translations.comparison(texts(frequency=SEEN), lost_translations.Rules()))
    whole = found["groups"]["all"]
    assert whole["sentences"] == 4
    assert whole["teacher_right_student_wrong"] == 2 and whole["student_right_teacher_wrong"] == 1
    assert {example["row"] for example in found["examples"]} == {0, 3}
    (first,) = [example for example in found["examples"] if example["row"] == 0]
    assert first["chrf"]["teacher"] == 100 and first["chrf"]["student"] < 40
    assert first["names"] == ["Berlin"] and first["numbers"] == ["25"] and first["rare_words"] == ["Anna", "Äpfel"]
    assert first["source"] == SOURCE[0] and first["student"] == STUDENT[0]
    assert found["words"]["names"] == {"reference": 3, "teacher": 3, "student": 1}
    assert found["words"]["numbers"] == {"reference": 2, "teacher": 2, "student": 1}
    numbered = found["groups"]["with numbers"]
    assert numbered["sentences"] == 2 and numbered["teacher_right_student_wrong"] == 1
    assert found["groups"]["0 to 7 words"]["sentences"] == 3 and "24 words or more" not in found["groups"]


def test_exchanging_the_systems_turns_the_result():
    given = {"reference": REFERENCE * 5, "source": None}
    both = (
        texts(**given, teacher=ours * 5, student=theirs * 5)
        for ours, theirs in ((TEACHER, STUDENT), (STUDENT, TEACHER))
    )
    one, other = (
        to_json(lost_translations.comparison(each, lost_translations.Rules()))["groups"]["all"] for each in both
    )
    assert one["teacher_right_student_wrong"] == other["student_right_teacher_wrong"] == 10
    assert one["difference"]["value"] == pytest.approx(-other["difference"]["value"])
    assert one["difference"]["low"] == pytest.approx(-other["difference"]["high"])


def test_right_and_wrong_lie_on_two_sides_of_a_line_and_apart():
    one, other = np.array([60, 60, 60, 90, 59.9]), np.array([40, 41, 60, 65, 10])
    assert lost_translations.is_worse(one, other, lost_translations.Rules()).tolist() == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_examples_are_ordered_and_limited():
    found = to_json(
        lost_translations.comparison(texts(), lost_translations.Rules(examples=1, right=100.0, margin=0.0))
    )["examples"]
    scores = lost_translations.sentence_scores(STUDENT, REFERENCE)["chrf"]
    worst = min((0, 2, 3), key=scores.__getitem__)  # of those that only the teacher has like the reference
    assert [each["row"] for each in found] == [worst]


def test_the_interval_is_that_of_a_mean():
    """Against ±1.96 σ/√n."""
    values = np.random.default_rng(3).normal(2, 5, 400)
    found = to_json(lost_translations.interval(values))
    assert found["value"] == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert [found["low"], found["high"]] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.05)
    few = to_json(lost_translations.interval(values[:19]))
    assert few == {"value": pytest.approx(values[:19].mean()), "low": None, "high": None}


def test_files_of_other_lengths_are_refused_together():
    with pytest.raises(LskdError, match="reference has 4 lines, teacher 3, source 2: give lines of one test set"):
        to_json(lost_translations.comparison(texts(teacher=TEACHER[1:], source=SOURCE[:2]), lost_translations.Rules()))
    with pytest.raises(LskdError, match="the reference is empty"):
        to_json(lost_translations.comparison(lost_translations.Texts([], [], []), lost_translations.Rules()))


@pytest.mark.parametrize(
    "text, kind, part",
    [
        ("1,1", float, "where 1.0 stands twice"),
        ("1,2,1.0", float, "where 1.0 stands twice"),
        ("8,4,8", int, "where 8 stands twice"),
        ("1,nan", float, "give numbers"),
    ],
)
def test_a_list_of_numbers_has_each_once(text, kind, part):
    with pytest.raises(LskdError, match=part) as refused:
        numbers_of(text, "--temperatures", kind)
    assert str(refused.value).startswith(f"--temperatures is '{text}'") and "\n" not in str(refused.value)
    assert numbers_of("1,2,64", "--temperatures", float) == (1.0, 2.0, 64.0)
