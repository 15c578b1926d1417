"""Robustness: every measure counts planted defects exactly, and changed sources are decoded once."""

import hashlib
import json
import math
import random
import shutil
from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy.stats import binomtest

from lskd_nmt.analysis.model_groups import over_seeds as seeds_together
from lskd_nmt.analysis.robustness import estimates
from lskd_nmt.analysis.robustness.asked import Sample, Settings
from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate import sensitivity
from lskd_nmt.evaluate.defects import DEFECTS, Translations
from lskd_nmt.evaluate.hallucination import adjusted_bleu, echoes, is_hallucination, is_said_twice, top_count
from lskd_nmt.evaluate.memorised import Queries, distance, read_training
from lskd_nmt.evaluate.perturbations import PERTURBATIONS, letters, perturbed, prefix, short_input
from lskd_nmt.evaluate.words import numbers, units
from lskd_nmt.experiment.line_decoding import opened, require_decodable
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run


def parts(text):
    return text.split("|")


WHO = parts("The dog|The old cat|My sister|A tall farmer|Our teacher|The small bird|Their uncle|A painter")
WER = parts("Der Hund|Die alte Katze|Meine Schwester|Großer Hans|Unser Lehrer|Der kleine Vogel|Ihr Onkel|Ein Maler")
WHAT = parts("sees the red house|loves the blue river|paints a yellow door|buys nine green apples|hears loud music")
WAS = parts("sieht das rote Haus|liebt den blauen Fluss|malt eine gelbe Tür|kauft neun grüne Äpfel|hört laute Musik")
WHEN, WANN = parts("today|in spring|every single day"), parts("heute|im Frühling|jeden einzelnen Tag")
PAIRS = [
    (f"{who} {what} {when}.", f"{wer} {was} {wann}.")
    for who, wer in zip(WHO, WER, strict=True)
    for what, was in zip(WHAT, WAS, strict=True)
    for when, wann in zip(WHEN, WANN, strict=True)
]
TEST, TRAIN = PAIRS[::4], PAIRS  # the test set's own pairs, too: what they have is no outlier


def examined(lines, test=TEST, train=TRAIN, langs=("en", "de")):
    """Translations of a test set, with what a training corpus says of them."""
    queries = Queries()
    for (source, _), line in zip(test, lines, strict=True):
        queries.add(units(line, langs[1]), units(source, langs[0]))
    sources, references = zip(*test, strict=True)
    return Translations(sources, references, lines, langs, read_training(iter(train), langs, queries), queries)


def count(name, lines, **more):
    return tuple(DEFECTS[name].counts(examined(lines, **more)).sum(0).tolist())


def planted(how, places=(1, 4, 9)):
    """The references, with a defect in some."""
    return [how(ref, src) if at in places else ref for at, (src, ref) in enumerate(TEST)]


@pytest.mark.parametrize("places", [(), (0,), (1, 4, 9), tuple(range(30))])
@pytest.mark.parametrize(
    "name, how",
    [
        ("loops", lambda ref, src: f"{ref} {' '.join(['und dann noch einmal'] * 3)}"),
        ("echoes", lambda ref, src: ref.replace(" ", " sehr sehr ", 1)),
        ("copies", lambda ref, src: src.upper()),
        ("too_short", lambda ref, src: ref[:3]),
        ("too_short", lambda ref, src: ""),
        ("too_long", lambda ref, src: ref + " Und das ist noch lange nicht alles, was dazu zu sagen ist."),
        ("memorised", lambda ref, src: next(target for source, target in TRAIN if source[:5] != src[:5])),
    ],
)
def test_so_many_planted_defects_so_many_are_counted(name, how, places):
    assert count(name, planted(how, places)) == (len(places), len(TEST))


def test_good_translations_have_no_defect():
    for name, defect in DEFECTS.items():
        numerator, denominator = count(name, [reference for _, reference in TEST])
        assert numerator == (denominator if defect.higher_is_better else 0), name


def test_words_that_no_training_target_has_are_counted_one_by_one():
    lines = planted(lambda ref, src: f"{ref[:-1]} mit Quasten und Quasten 77.", places=(2, 3))
    total = sum(len(ref.split()) for _, ref in TEST)
    assert count("new_words", lines) == (2 * 4, total + 2 * 4)  # mit, Quasten, und, Quasten; the number is not a word


def test_numbers_and_names_are_kept_or_lost():
    test = [
        ("In 1987 Otto met Anna in Berlin, 3,500 km away.", "1987 traf Otto Anna in Berlin, 3.500 km entfernt."),
        ("Then Maria sold 12 of 12 cars.", "Dann verkaufte Maria 12 von 12 Autos."),
        ("It rained in Cologne.", "Es regnete in Köln."),  # not a name that the reference keeps
    ]
    lines = ["1978 traf Otto Anne in Berlin, 3.500 km entfernt.", "Dann verkaufte Maria 12 Autos.", "Es regnete."]
    assert count("numbers_kept", lines, test=test) == (2 + 1, 3 + 2)  # 1987 and the second 12 are lost
    assert count("names_kept", lines, test=test) == (2 + 1, 3 + 1)  # Anna is lost
    assert numbers("١٢ and 3,14") == Counter(["12", "3", "14"])  # Arabic digits are digits


def test_a_loop_of_the_reference_is_none():
    again = "immer weiter und weiter, immer weiter und weiter, immer weiter und weiter"
    test = [("On and on and on.", again), ("On.", "Weiter.")]
    assert count("loops", [again, again], test=test) == (1, 2)
    assert count("echoes", [again, again], test=test) == (1, 2)


def test_repeated_words_are_counted_by_hand():
    assert top_count(tuple("abcdabcdabcd")) == 3  # abcd, and bcda and the like twice
    assert top_count(tuple("abc")) == 0
    assert echoes(tuple("aabb")) == 2 and echoes(tuple("abab")) == 1 and echoes(tuple("abcd")) == 0
    assert is_said_twice(("ja", "ja")) and is_said_twice(tuple("abcabcabc"))
    assert not is_said_twice(("ja",)) and not is_said_twice(()) and not is_said_twice(tuple("abcab"))


def test_a_training_target_of_the_same_source_is_not_memorised():
    source, target = TRAIN[0]
    assert count("memorised", [target], test=[(source, "Anderes.")]) == (0, 1)
    other = [(source, target), ("Something else entirely.", target)]
    assert count("memorised", [target], test=[(source, "x")], train=other) == (0, 1)  # one of its sources is the source
    assert count("memorised", [target], test=[("Nothing of it at all.", "x")], train=other) == (1, 1)
    assert count("memorised", ["Ja, gewiss doch."], test=[("No.", "x")], train=[("Yes.", "Ja, gewiss doch.")]) == (0, 1)


def test_a_translation_within_a_word_of_a_training_target_is_nearly_memorised():
    train = [("A man in a red coat walks home.", "Ein Mann in rotem Mantel geht heim.")]
    near = [
        "Ein Mann in rotem Mantel ging heim.",
        "Ein Mann in rotem Mantel geht.",
        "Da: ein Mann in rotem Mantel geht heim",
    ]
    far = ["Ein Mann in blauem Mantel ging heim.", "Ein Mann geht heim."]
    asked = [("The children are asleep by now.", "x")]
    for line in (*near, train[0][1]):
        assert count("nearly_memorised", [line], test=asked, train=train) == (1, 1), line
    for line in far:
        assert count("nearly_memorised", [line], test=asked, train=train) == (0, 1), line
    alike = [("A man in a blue coat walked home.", "x")]  # two words from the training source: it explains the words
    assert count("nearly_memorised", near[:1], test=alike, train=train) == (0, 1)


def test_the_search_among_training_targets_finds_what_comparing_all_finds():
    draw = random.Random(4)
    texts = [tuple(draw.choices("abc", k=draw.randint(3, 8))) for _ in range(300)]
    queries, asked = Queries(), texts[:60]
    for text in asked:
        queries.add(text, ("source",))
    for target in texts:
        assert queries.near(target) == {q for q in asked if len(q) >= 5 and slow_distance(q, target) <= 1}


@cache
def slow_distance(one, other):
    """Levenshtein's distance by its recursion."""
    if not one or not other:
        return len(one) + len(other)
    return (
        min(
            slow_distance(one[1:], other) + 1,
            slow_distance(one, other[1:]) + 1,
            slow_distance(one[1:], other[1:]) + (one[0] != other[0]),
        )
        if one[0] != other[0]
        else slow_distance(one[1:], other[1:])
    )


def test_distances_are_exact_up_to_the_bound():
    draw = random.Random(5)
    for _ in range(200):
        one, other = ("".join(draw.choices("ab", k=draw.randint(0, 6))) for _ in range(2))
        true = slow_distance(one, other)
        assert distance(one, other, 2) == true if true <= 2 else distance(one, other, 2) > 2


def test_adjusted_bleu_has_values_by_hand():
    ref = ["a", "b", "c", "d"]
    assert adjusted_bleu(ref, ref) == 1
    assert adjusted_bleu(["a", "b", "x", "y"], ref) == pytest.approx(1 / 2 * (1 / 3) ** 0.8)
    assert adjusted_bleu(["a", "b"], ref) == pytest.approx(math.exp(1 - 4 / 2))  # too short by half
    assert adjusted_bleu(["d", "c", "b", "a"], ref) == 0 == adjusted_bleu([], ref)  # no pair of words in common
    assert adjusted_bleu(["a"], ["a"]) == 1 and adjusted_bleu(["a"], ["b"]) == 0


def test_a_hallucination_has_nothing_of_a_translation_that_was_good():
    good, other = ["der", "hund", "schläft", "im", "garten"], ["vielen", "dank", "für", "ihre", "hilfe"]
    assert is_hallucination(good, other, good) is True
    assert is_hallucination(good, [*good[:3], *other], good) is False
    assert is_hallucination(other, good, good) is None  # it was bad before


@pytest.mark.parametrize("places", [(), (3,), (1, 2, 8)])
def test_planted_hallucinations_are_counted(places):
    references = [reference for _, reference in TEST]
    changed = ["Vielen Dank fürs Zuhören!" if at in places else line.upper() for at, line in enumerate(references)]
    clean = ["Quark." if at == 0 else line for at, line in enumerate(references)]  # bad before, and so no hallucination
    target = sensitivity.Target("de", "raw", "13a")
    found = sensitivity.under(PERTURBATIONS["upper"], clean, changed, references, target)
    assert found["hallucinations"].rows.sum(0).tolist() == [len(places), len(TEST) - 1]
    with_case = sensitivity.under(PERTURBATIONS["typo"], references, references, references, target)
    for name in ("chrf_to_clean", "bleu", "chrf"):
        assert with_case[name].score(with_case[name].rows.sum(0)) == pytest.approx(100)
    without = sensitivity.under(PERTURBATIONS["upper"], references, [r.upper() for r in references], references, target)
    assert without["chrf_to_clean"].score(without["chrf_to_clean"].rows.sum(0)) == pytest.approx(100)


def test_a_sentence_twice_is_expected_to_be_translated_twice():
    references, target = [reference for _, reference in TEST], sensitivity.Target("de", "raw", "13a")
    twice = [f"{line} {line}" for line in references]
    found = sensitivity.under(PERTURBATIONS["doubled"], references, twice, references, target)
    assert found["bleu"].score(found["bleu"].rows.sum(0)) == pytest.approx(100)


def test_sentences_that_a_model_cannot_take_do_not_count():
    references, target = [reference for _, reference in TEST], sensitivity.Target("de", "raw", "13a")
    answers = [None if at in (0, 5) else line for at, line in enumerate(references)]
    found = sensitivity.under(PERTURBATIONS["typo"], references, answers, references, target)
    assert found["hallucinations"].rows.sum(0).tolist() == [0, len(TEST) - 2]
    assert found["chrf"].score(found["chrf"].rows.sum(0)) == pytest.approx(100)


def test_short_answers_and_training_sources_are_counted():
    inputs = ["yes", "no", "bye bye", "dog"]
    answers = ["Ja. Ja.", "Nein", "Tschüss tschüss", "Der Hund sieht das rote Haus im Frühling, und die Katze auch."]
    found = sensitivity.short_answers(inputs, answers, ("en", "de"))
    assert found["said_twice"].rows.sum(0).tolist() == [1, 4]  # the third is said twice in the source, too
    assert found["too_long"].rows.sum(0).tolist() == [1, 4]
    heart = sensitivity.by_heart(["Ja, so ist es.", "Nein"], ["ja so ist es", None], ["Ja, so ist es!", "Doch"], "de")
    assert heart["replicated"].rows.sum(0).tolist() == [1, 2] == heart["extracted"].rows.sum(0).tolist()


SENTENCES = {
    "en": "The old farmers don't sing songs today.",
    "de": "Größere Äpfel wachsen überall im Garten!",
    "ru": "Старый учитель ждёт друга в саду.",
    "hi": "बूढ़ा किसान विद्यालय में खड़ा है।",
    "zh": "这个老师在花园里等他的朋友。",
}


def test_changes_are_what_they_say():
    en, zh = SENTENCES["en"], SENTENCES["zh"]
    assert perturbed("upper", en, "en") == "THE OLD FARMERS DON'T SING SONGS TODAY."
    assert perturbed("lower", SENTENCES["de"], "de") == "größere äpfel wachsen überall im garten!"
    assert perturbed("first_letter", SENTENCES["ru"], "ru") == "старый учитель ждёт друга в саду."
    assert perturbed("no_stop", SENTENCES["hi"], "hi") == "बूढ़ा किसान विद्यालय में खड़ा है"
    assert perturbed("no_stop", "Really?!", "en") == "Really"
    assert perturbed("doubled", zh, "zh") == zh + zh and perturbed("doubled", en, "en") == f"{en} {en}"
    for name in ("upper", "lower", "first_letter"):
        assert perturbed(name, zh, "zh") is None  # a script without case
    assert perturbed("upper", "all lower", "en", lowercased=True) is None  # data of lower case
    assert perturbed("no_stop", "?!", "en") is None and perturbed("typo", "I am 1000 g.", "en") is None


@pytest.mark.parametrize("lang", SENTENCES)
def test_a_typo_changes_one_word_by_one_letter_and_always_the_same(lang):
    line = SENTENCES[lang]
    changed = perturbed("typo", line, lang)
    assert changed == perturbed("typo", line, lang) != line
    pairs = [pair for pair in zip(line.split(" "), changed.split(" "), strict=True) if pair[0] != pair[1]]
    assert len(pairs) == 1
    before, after = map(letters, pairs[0])
    assert before[0] == after[0]  # the first letter stays
    swapped = len(before) == len(after) and Counter(before) == Counter(after)
    dropped = len(before) == len(after) + 1 and not Counter(after) - Counter(before)
    assert swapped or dropped


def test_letters_keep_their_marks():
    assert letters("किसान") == ["कि", "सा", "न"] and "".join(letters("naïve")) == "naïve"


def test_short_inputs_and_beginnings():
    assert short_input(SENTENCES["en"], "en") in ("farmers", "old farmers")
    assert short_input(SENTENCES["zh"], "zh") in ("这", "这个")
    assert short_input("42 + 7 = 49", "en") is None
    assert prefix("a b c d e f g h", "en") == "a b c d e f"  # three quarters of eight
    assert prefix("a b c d e", "en") == "a b c" and prefix("a", "en") is None
    assert prefix("一二三四", "zh") == "一二三"


def test_the_same_training_pairs_are_drawn_in_any_order():
    def drawn(pairs):
        sample = Sample(7, "en")
        assert list(sample.watching(iter(pairs))) == list(pairs)
        return sample.pairs

    shuffled = random.Random(1).sample(TRAIN, len(TRAIN))
    assert drawn(TRAIN) == drawn(shuffled) and len(set(drawn(TRAIN))) == 7
    assert drawn(TRAIN[:3]) == drawn([*TRAIN[:3], *TRAIN[:3]])  # a source once


def test_intervals_hold_for_shares_over_seeds_and_at_the_edge():
    rows = np.array([[1, 1]] * 30 + [[0, 1]] * 70)
    numbers = sensitivity.share_of(rows)
    one = estimates.drawn({"x": numbers})["x"]

    def alone(rows):
        return estimates.OverSeeds((1,), (estimates.drawn({"x": sensitivity.share_of(rows)})["x"],))

    found = estimates.measured(alone(rows))
    assert (found.value, found.count, found.of) == (30, 30, 100)
    assert found.low == pytest.approx(30 - 1.96 * 4.58, abs=1.5) and found.high == pytest.approx(
        30 + 1.96 * 4.58, abs=1.5
    )
    assert found.low <= 21.9 and found.high >= 39.58  # Wilson's
    for count, size in ((30, 100), (0, 7), (7, 7), (1, 2000)):
        theirs = binomtest(count, size).proportion_ci(method="wilson")
        ours = estimates.wilson(100 * count / size, size)
        assert ours == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-9)
    none = estimates.measured(alone(rows * [0, 1]))
    assert none.low == 0 and none.high == pytest.approx(100 * 1.959964**2 / (100 + 1.959964**2), abs=1e-4)
    once = estimates.measured(alone(np.array([[1, 1]] + [[0, 1]] * 99)))
    assert once.low == 0 and once.high > none.high  # of no resample's width alone
    same = estimates.measured(alone(rows), alone(rows)).difference
    assert same.value == 0 and same.low is None  # nothing differs in any resample
    less = np.array([[1, 1]] * 26 + [[0, 1]] * 74)
    other = estimates.drawn({"x": sensitivity.share_of(less)})["x"]
    both = estimates.measured(estimates.OverSeeds((1, 2), (one, other)))
    assert (both.value, both.count, both.of) == (28, 56, 200)
    t_of_one = 12.706 * np.std([30, 26], ddof=1) / math.sqrt(2)  # Student's t with one degree of freedom: 25.4
    assert both.high - 28 == pytest.approx(t_of_one, rel=0.2)  # of 10,000 draws, whose quantile has an error of 6 %
    far = estimates.OverSeeds((1, 2), (one, estimates.drawn({"x": sensitivity.share_of(rows * [0, 1])})["x"]))
    assert (estimates.measured(far).low, estimates.measured(far).high) == (0, 100)  # a share stays one
    assert estimates.drawn({"x": sensitivity.share_of(rows * 0)}) == {}  # nothing to divide by


def test_models_that_differ_in_their_seed_alone_go_together():
    grid = [
        PlannedModel(
            f"student-ls0.1-t{t}-s{s}", "student", s, teacher=f"teacher-s{s}", label_smoothing=0.1, temperature=t
        )
        for t in (1.0, 2.0)
        for s in (1, 2)
    ]
    models = [PlannedModel("teacher-s1", "teacher", 1), PlannedModel("student-plain-s1", "student", 1), *grid]
    assert {name: len(group) for name, group in seeds_together(models).items()} == {
        "teacher": 1,
        "student-plain": 1,
        "student-ls0.1-t1.0": 2,
        "student-ls0.1-t2.0": 2,
    }


def test_an_unknown_change_names_the_known_ones():
    with pytest.raises(LskdError, match=r"--perturbations has shout: choose of upper, lower"):
        Settings(perturbations=("shout",))


@pytest.mark.parametrize("origin", ["hf:opus-mt-en-de", "ct2:/models/x", "translations:/x.de", "adopted-text:/x.de"])
def test_models_that_give_text_alone_say_why_they_are_not_asked(origin):
    with pytest.raises(LskdError, match=r"made elsewhere|translator of others"):
        require_decodable(PlannedModel("x", "teacher", 1, origin=origin, decode_command=("lskd",)))


# a run of one trained model, and of translations that were made elsewhere


@pytest.fixture(scope="module")
def run(checkpoint, pieces, tmp_path_factory):
    """A run folder with a model that copies words, and translations with planted defects."""
    folder = tmp_path_factory.mktemp("run")
    for split in ("train", "test"):
        for lang in ("aa", "bb"):
            text = (pieces.parent / "text" / f"{split}.{lang}").read_text(encoding="utf-8")
            file = folder / "data" / "clean" / f"{split}.{lang}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace(" ", "").replace("▁", " ").replace("\n ", "\n").lstrip(" "), encoding="utf-8")
    (folder / "data" / "spm").mkdir()
    shutil.copyfile(pieces / "spm.model", folder / "data" / "spm" / "spm.model")
    (folder / "data" / "bin").symlink_to(pieces)
    decode = "fairseq-generate data/bin --path x --gen-subset test --required-batch-size-multiple 1 --beam 2 --lenpen 1"
    decode += " --max-len-a 1.5 --max-len-b 20 --max-tokens 4000"
    models = [
        {"name": "teacher-s1", "role": "teacher", "seed": 1, "decode_command": decode.split()},
        {"name": "other", "role": "student", "seed": 1, "method": "other", "origin": "adopted-text:/x"},
    ]
    plan = {
        "name": "x",
        "data": {"folder": "data", "source_lang": "aa", "target_lang": "bb"},
        "decode": {"beam": 2},
        "models": models,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    reference = (folder / "data" / "clean" / "test.bb").read_text(encoding="utf-8").splitlines()
    for model in models:
        (folder / "models" / model["name"]).mkdir(parents=True)
        lines = (
            [*reference[:-2], "a a a a a a a a a a", "h h h h h h h h h h h"] if model["name"] == "other" else reference
        )
        (folder / "models" / model["name"] / "test.hyp").write_text("".join(f"{line}\n" for line in lines))
    (folder / "models" / "teacher-s1" / "model.pt").symlink_to(checkpoint)
    return folder


def test_a_run_is_measured_and_decoded_once(run, tmp_path, capsys, monkeypatch):
    words = ["robustness", str(run), "--perturbations", "upper", "doubled", "short", "training", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0, capsys.readouterr().err
    said = json.loads(capsys.readouterr().out)
    assert said["models"] == 2 and "made elsewhere" in said["not_decoded"]["other"]
    found = json.loads((tmp_path / "one" / "robustness.json").read_text())
    reference, teacher, other = found["models"]
    assert (reference["role"], teacher["role"], other["beside"]) == ("reference", "teacher", "teacher")
    assert teacher["texts"]["loops"]["count"] == 0 and other["texts"]["loops"]["count"] == 2
    assert other["texts"]["loops"]["difference"]["value"] == pytest.approx(100 * 2 / 12)
    assert list(teacher["perturbed"]) == ["clean", "upper", "doubled", "short", "training"] and not other["perturbed"]
    assert teacher["engines"][0].startswith("ctranslate2")
    hyp = run / "models" / "other" / "test.hyp"
    assert found["sha256"]["other"] == hashlib.sha256(hyp.read_bytes()).hexdigest()
    assert {each["model"] for each in found["sentences"]["examples"] if each["defect"] == "loops"} == {"other"}
    text = (tmp_path / "one" / "robustness.md").read_text()
    assert "| other" in text and "not decoded anew" in text
    assert (tmp_path / "one" / "robustness-changes.png").is_file()
    from lskd_nmt.analysis.robustness import decodings

    monkeypatch.setattr(decodings, "opened", None)  # nothing is opened again
    assert main([*words, "--out", str(tmp_path / "two")]) == 0, capsys.readouterr().err
    again = json.loads((tmp_path / "two" / "robustness.json").read_text())
    assert {**again, "command": None} == {**found, "command": None}


def test_a_further_test_set_is_measured_beside_the_main_one(tmp_path, capsys):
    folder, results = tmp_path / "run", tmp_path / "run" / "models" / "other" / "sets" / "second"
    results.mkdir(parents=True)
    model = {"name": "other", "role": "student", "seed": 1, "method": "other", "origin": "adopted-text:/x"}
    data = {"folder": "data", "source_lang": "aa", "target_lang": "bb"}
    plan = {"name": "x", "data": data, "models": [model], "tests": ["test", "second"]}
    (folder / "plan.json").write_text(json.dumps(plan))
    main_set = [f"{word} b c" for word in "abcdefghijkl"]
    for place, lines in (("data", main_set), ("tests/second", ["a b c", "d e f", "g h a"])):
        (folder / place / "clean").mkdir(parents=True)
        for name in ("test.aa", "test.bb", "train.aa", "train.bb"):
            (folder / place / "clean" / name).write_text("".join(f"{line}\n" for line in lines))
    (results.parents[1] / "test.hyp").write_text("".join(f"{line}\n" for line in [*main_set[:10], *["a " * 9] * 2]))
    (results / "test.hyp").write_text("a b c\nd d d d d d d d\ng h a\n")
    words = ["robustness", str(folder), "--perturbations"]
    assert main(words) == 0, capsys.readouterr().err
    assert main([*words, "--set", "second"]) == 0, capsys.readouterr().err
    both = [json.loads((folder / "analysis" / each / "robustness.json").read_text()) for each in ("", "sets/second")]
    assert [each.get("set") for each in both] == [None, "second"]
    assert [each["test_sentences"] for each in both] == [12, 3]
    loops = [each["models"][-1]["texts"]["loops"] for each in both]
    assert [each["count"] for each in loops] == [2, 1] and [each["of"] for each in loops] == [12, 3]
    assert both[1]["sha256"]["other"] == hashlib.sha256((results / "test.hyp").read_bytes()).hexdigest()
    from lskd_nmt.report.page.analysed import sections
    from lskd_nmt.report.page.sources import analyses

    (section,) = sections(analyses({"x": folder}))
    mine = [part for part in section.parts if part.kind in ("table", "drawing") and "second" in part.id]
    assert [part.kind for part in mine] == ["table"]  # its defects alone
    assert main([*words, "--set", "third"]) == 2
    assert "has no test set 'third': one of test, second" in capsys.readouterr().err


def test_a_kill_leaves_what_is_decoded_and_the_rest_is_done_later(run, tmp_path, capsys, monkeypatch):
    from lskd_nmt.experiment.line_decoding import LineTranslator

    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True, ignore=shutil.ignore_patterns("robustness"))
    words = ["robustness", str(folder), "--perturbations", "typo", "no_stop", "doubled", "upper", "--device", "cpu"]
    asked, translate = [], LineTranslator.translate

    def dying(self, lines, done):
        asked.append(len(lines))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return translate(self, lines, done)

    monkeypatch.setattr(LineTranslator, "translate", dying)
    assert main(words) == 130
    kept = sorted(file.name for file in (folder / "robustness" / "teacher-s1").iterdir())  # and no converted model
    assert kept == ["upper.json"] and not (folder / "analysis").exists()
    monkeypatch.setattr(LineTranslator, "translate", translate)
    assert main(words) == 0, capsys.readouterr().err
    assert (folder / "analysis" / "robustness.json").is_file()


def test_what_is_wrong_with_a_run_is_told_in_a_line(run, tmp_path, capsys):
    def told(*words):
        assert main(["robustness", *map(str, words), "--out", str(tmp_path / "none")]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert not (tmp_path / "none").exists()
        return line

    assert "--models has nobody: choose of teacher-s1, other, teacher" in told(run, "--models", "nobody")
    assert "--perturbations has shout: choose of upper" in told(run, "--perturbations", "shout")
    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    hyp = folder / "models" / "other" / "test.hyp"
    hyp.write_text("a\n")
    assert f"{hyp} has 1 lines, and the test set 12: decode the test set again" in told(folder)
    for name in ("other", "teacher-s1"):
        (folder / "models" / name / "test.hyp").unlink()
    assert "has no model with translations of the test set: decode it first" in told(folder)
    shutil.copyfile(run / "models" / "other" / "test.hyp", hyp)
    (folder / "data" / "clean" / "train.aa").write_text("a\n")
    assert "train.bb 60: the text of train is needed, line by line" in told(folder)
    assert "--sentences is -1: give a whole number from 0" in told(folder, "--sentences", "-1")


def test_the_page_has_a_section(run, tmp_path, capsys):
    from lskd_nmt.report.page.analysed import sections
    from lskd_nmt.report.page.sources import analyses

    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    assert main(["robustness", str(folder), "--perturbations"]) == 0, capsys.readouterr().err
    (section,) = sections(analyses({"x": folder}))
    assert section.title == "Robustness" and [part.kind for part in section.parts][:2] == ["drawing", "table"]
    shown = " ".join(cell.text for part in section.parts if part.kind == "table" for row in part.rows for cell in row)
    assert "other" in shown and "a a a a a" in shown
    (hidden,) = sections(analyses({"x": folder}, with_text=False))
    shown = " ".join(cell.text for part in hidden.parts if part.kind == "table" for row in part.rows for cell in row)
    assert "other" in shown and "a a a a a" not in shown


def test_lines_are_translated_alike_by_both_engines_and_long_ones_by_none(run, tmp_path):
    lines = ["a b c", "h", "a " * 1100, "d d e f", " "]
    found = {}
    for engine in ("fairseq", "ctranslate2"):
        folder = tmp_path / engine
        shutil.copytree(run, folder, symlinks=True)
        plan = json.loads((folder / "plan.json").read_text())
        (folder / "plan.json").write_text(json.dumps({**plan, "decode": {"beam": 2, "engine": engine}}))
        made, shown = Run(folder), []
        with opened(made, made.model("teacher-s1"), folder / "converted", "cpu", 1, shown.append) as translator:
            done = []
            found[engine] = translator.translate(lines, done.append)
            assert translator.engine.startswith(engine) and sum(done) == 3
        assert not (folder / "converted").exists()
    assert found["fairseq"] == found["ctranslate2"]
    assert [line is None for line in found["fairseq"]] == [False, False, True, False, True]


def test_data_that_the_subwords_do_not_cut_are_refused(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    test = folder / "data" / "clean" / "test.aa"
    test.write_text(test.read_text().replace("a", "b", 1))
    made = Run(folder)
    with (
        pytest.raises(
            LskdError, match=r"spm\.model does not cut the test set as it is cut in .*: prepare the data again"
        ),
        opened(made, made.model("teacher-s1"), folder / "converted", "cpu", 1, print),
    ):
        pass
    (folder / "data" / "spm" / "spm.model").unlink()
    with (
        pytest.raises(LskdError, match="has no sentencepiece model, by which other text would become subwords"),
        opened(made, made.model("teacher-s1"), folder / "converted", "cpu", 1, print),
    ):
        pass
