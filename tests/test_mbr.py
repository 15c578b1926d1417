"""Minimum Bayes risk: the quadratic definition with sacreBLEU's scores, ties, repeated texts, and processes."""

import json
import os
import random
from collections import Counter

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt import cli
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import in_order, mbr
from lskd_nmt.seqkd.chooser import Chooser, SelectSettings
from lskd_nmt.seqkd.mbr import TIE, Utility, best, utilities, with_utilities
from lskd_nmt.teacher.source import Hypothesis

LETTERS = "aabbc äß 中文 😀 e\u0301 \t \u00a0 \u2003 \x1c \x85 \u200b .-"  # kinds of spaces, signs of several units
WORDS = ["the", "cat", "sat", "on", "a", "mat", ".", "Katze", "saß", "猫"]
WITHIN = 1e-9  # percent; sacreBLEU and fastchrf differ in nothing but the order of a sum


def texts_of(draw: random.Random) -> list[str]:
    """Candidates of one sentence: none is there in some places, and some are there twice."""
    letters = ["".join(draw.choices(LETTERS, k=draw.choice([0, 1, 2, 5, 30]))) for _ in range(draw.randint(0, 4))]
    words = [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(draw.randint(0, 4))]
    found = [*letters, *words, *draw.choices(words or [""], k=draw.randint(0, 3))]
    return found or ["a"]


def by_definition(texts: list[str], metric: CHRF | BLEU) -> list[float]:
    """The mean of sacreBLEU's score of each candidate with every candidate as the reference."""
    scores = [[metric.sentence_score(text, [other]).score for other in texts] for text in texts]
    return [sum(row) / len(row) for row in scores]


@pytest.mark.parametrize("name, metric", [("chrf", CHRF()), ("bleu", BLEU(effective_order=True))])
def test_utilities_are_the_quadratic_definition_with_sacrebleu_s_score(name, metric):
    draw = random.Random(7)
    sentences = [texts_of(draw) for _ in range(300)]
    found = utilities(sentences, Utility(name))
    for texts, values in zip(sentences, found, strict=True):
        if len(set(texts)) == 1:
            assert values == [0.0] * len(texts)  # there is nothing to compare
            continue
        expected = by_definition(texts, metric)
        assert values == pytest.approx(expected, abs=WITHIN)
        first = next(at for at, value in enumerate(expected) if value >= max(expected) - TIE)
        assert best(values, texts, 1, TIE) == [texts.index(texts[first])]


def n_grams(text: str, n: int) -> Counter[str]:
    plain = "".join(text.split())
    return Counter(plain[at : at + n] for at in range(len(plain) - n + 1))


def aggregated(text: str, texts: list[str]) -> float:
    """chrF2 of a text with the mean of all n-gram counts as its reference (Vamvas & Sennrich 2024, equation 4)."""
    precisions, recalls = [], []
    for n in range(1, 7):
        own, mean = n_grams(text, n), Counter()
        for other in texts:
            mean.update({gram: count / len(texts) for gram, count in n_grams(other, n).items()})
        same = sum(min(count, mean[gram]) for gram, count in own.items())
        if own and mean:
            precisions.append(same / own.total())
            recalls.append(same / mean.total())
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 100 * 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def test_aggregated_utilities_compare_with_mean_counts():
    draw = random.Random(8)
    sentences = [texts_of(draw) for _ in range(200)]
    for texts, values in zip(sentences, utilities(sentences, Utility(aggregate=True)), strict=True):
        if len(set(texts)) > 1:
            assert values == pytest.approx([aggregated(text, texts) for text in texts], abs=WITHIN)


def test_a_text_that_is_there_twice_weighs_twice():
    """chrF of "ab" and "ac" is 50 in one order of n-grams of two: 1/2 of the letters, none of the pairs -> 25."""
    once, twice = utilities([["ab", "ac"], ["ab", "ac", "ac"]], Utility())
    assert once == pytest.approx([(100 + 25) / 2] * 2)
    assert twice == pytest.approx([(100 + 25 + 25) / 3, (25 + 100 + 100) / 3, (25 + 100 + 100) / 3])


def test_the_first_of_equals_wins_and_no_text_is_chosen_twice():
    texts = ["b", "a", "b", "c", "a"]
    assert best([1.0, 2.0, 1.0, 2.0, 2.0], texts, 9) == [1, 3, 0]
    assert best([1.0, 2.0 - 1e-12, 1.0, 2.0, 2.0 - 1e-12], texts, 2, TIE) == [1, 3]
    assert best([1.0, 2.0 - 1e-6, 1.0, 2.0, 2.0 - 1e-6], texts, 2, TIE) == [3, 1]
    assert best([], [], 3) == []


def choose(texts: list[str], **settings) -> list[int]:
    """Of text in sentencepiece's pieces, one a word."""
    hypotheses = [
        Hypothesis(" ".join(f"▁{word}" for word in text.split()), -float(at)) for at, text in enumerate(texts)
    ]
    return Chooser(SelectSettings(method="mbr", **settings)).choose(0, hypotheses, ["▁x"], "▁y")


TEXTS = ["ein Haus am See", "der Hund schläft", "der Hund schläft", "der Hund schlief", "", "der Hund schlief nie"]


def test_the_candidates_closest_to_all_are_chosen_and_an_empty_one_is_none():
    kept = [text for text in TEXTS if text]
    for settings, metric in (({}, CHRF()), ({"utility": "bleu"}, BLEU(effective_order=True))):
        of_text = dict(zip(kept, by_definition(kept, metric), strict=True))
        ranked = [TEXTS.index(text) for text in sorted(of_text, key=lambda text: -of_text[text])]
        assert choose(TEXTS, **settings) == ranked[:1]
        assert choose(TEXTS, hypotheses=3, **settings) == ranked[:3]
        assert choose(TEXTS, hypotheses=9, **settings) == ranked and len(ranked) == 4  # different ones
    assert choose(TEXTS, aggregate=True) == [TEXTS.index(max(kept, key=lambda text: aggregated(text, kept)))]
    assert choose(["nur eine"]) == choose(["nur eine"] * 3) == [0] and choose([""]) == []


def test_a_text_that_a_filter_drops_is_no_reference_either():
    """Twice there, the long one is the closest to all; without it, "kurze" is, whose letters "kurz" has but one."""
    long = " ".join(["lang"] * 9)
    texts = ["kurz", long, long, "kurze"]
    assert choose(texts) == [1] and choose(texts, max_ratio=2) == [3]


def test_processes_change_nothing(monkeypatch):
    monkeypatch.setattr(mbr, "PAIRS", 60)
    draw = random.Random(9)
    sentences = [(number, texts_of(draw)) for number in range(60)]
    one = list(with_utilities(sentences, Utility(), 1))
    assert [number for number, _ in one] == list(range(60))
    assert list(with_utilities(sentences, Utility(), 2)) == one


def test_what_a_process_cannot_do_is_raised_and_one_that_dies_is_one_line():
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_order.in_order(int, ["1", "x", "2"], 2))
    with pytest.raises(LskdError, match="one of 2 worker processes ended, perhaps for want of memory"):
        list(in_order.in_order(os._exit, [1, 1, 1], 2))


def test_no_more_than_a_few_jobs_are_made_at_a_time():
    made = []
    jobs = (made.append(number) or str(number) for number in range(100))
    found = in_order.in_order(int, jobs, 2)
    assert next(found) == 0 and len(made) < 10
    assert [*found] == list(range(1, 100))


@pytest.mark.parametrize(
    "words, part",
    [
        (["--method", "mbr", "--utility", "comet"], "--utility is comet: one of chrf, bleu"),
        (["--method", "mbr", "--utility", "bleu", "--aggregate"], "--aggregate is given, and --utility is bleu"),
        (["--method", "multi", "--aggregate"], "--aggregate is given and --method is multi: it is of mbr"),
        (["--method", "mbr", "--hypotheses", "-1"], "--hypotheses is -1"),
        (["--method", "beam", "--hypotheses", "2"], "--hypotheses is 2 and --method is beam: it is of multi, mbr"),
        (["--method", "mbr", "--workers", "-1"], "--workers is -1: give a number above 0"),
    ],
)
def test_what_cannot_be_is_one_line(words, part, data, tmp_path, capsys):
    call = ["seqkd", "select", "--decoded", str(tmp_path / "d"), "--data", str(data), "--out", str(tmp_path / "h")]
    assert cli.main([*call, *words]) == 2
    assert part in capsys.readouterr().err.splitlines()[-1] and not list(tmp_path.iterdir())


def test_a_missing_package_is_one_line(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mbr, "find_spec", lambda name: None)
    call = ["seqkd", "select", "--decoded", str(tmp_path / "d"), "--data", str(data), "--out", str(tmp_path / "h")]
    assert cli.main([*call, "--method", "mbr"]) == 2
    assert "pip install 'lskd_nmt[filters]', or take --utility bleu" in capsys.readouterr().err.splitlines()[-1]


def test_the_header_says_what_was_compared_and_old_ones_are_as_they_were():
    mine = SelectSettings(method="mbr", aggregate=True).content("de")
    assert (mine.method, mine.hypotheses, mine.utility, mine.tokenizer) == ("mbr", 1, "chrf, aggregated", None)
    assert SelectSettings(method="mbr", utility="bleu", tokenize="char").content("de").tokenizer == "char"
    from lskd_nmt.storage.typed import to_json

    keys = ["method", "hypotheses", "similarity", "max_ratio", "drop_copies"]
    for method in ("beam", "interpolate", "multi"):
        assert list(to_json(SelectSettings(method=method).content("de"))) == keys, json.dumps(keys)


def test_decodings_are_united_and_text_without_a_target_side_is_chosen_from(pieces, tmp_path):
    """Of a bitext with two decodings, where what both have weighs twice, and of a share of monolingual lines."""
    from test_mixing import chosen, corpus_of, plain, take

    from lskd_nmt import fairseq_io

    source = list(map(plain, fairseq_io.piece_lines(str(pieces), ("aa", "bb"), "train")[0]))
    one = take(tmp_path / "one", source, [{"translations": ["a b c d", "e f g h"]}] * len(source))
    two = take(tmp_path / "two", source, [{"translations": ["h h", "e f g h"]}] * len(source))
    lines = ["a b c d e", "h g f e d"]
    mono = take(tmp_path / "mono", lines, [{"translations": ["h", "a b c", "a b d"]}] * 2)
    united = ["a b c d", "e f g h", "h h", "e f g h"]
    for count in (1, 2):
        out = tmp_path / f"h{count}"
        header = chosen(out, pieces, [one, two], [mono], method="mbr", hypotheses=count)
        by_value = dict(zip(united, by_definition(united, CHRF()), strict=True))
        best_united = sorted(by_value, key=lambda text: -by_value[text])[:count]
        assert best_united[0] == "e f g h"
        texts = ["h", "a b c", "a b d"]
        of_mono = dict(zip(texts, by_definition(texts, CHRF()), strict=True))
        best_mono = sorted(of_mono, key=lambda text: -of_mono[text])[:count]
        expected = [(line, text) for line in source for text in best_united]
        assert corpus_of(out) == expected + [(line, text) for line in lines for text in best_mono]
        assert header.selection.utility == "chrf" and header.mixture.monolingual == 2
    chosen(tmp_path / "share", pieces, [one], [mono], 1 / 61, method="mbr")
    assert len(corpus_of(tmp_path / "share")) == len(source) + 1
