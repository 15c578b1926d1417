"""Filters: planted pairs go, good ones stay but for a stated few, and each rule does what it states."""

import random
import sys
from collections import Counter

import numpy as np
import pytest
from planted import GENERATED, GOOD, LANGS, PLANTED

from lskd_nmt.data.filters import duplicates, language, screen
from lskd_nmt.data.filters.chatter import is_chatter
from lskd_nmt.data.filters.copies import is_copy
from lskd_nmt.data.filters.duplicates import Seen, near_key
from lskd_nmt.data.filters.length import is_far, typical_ratio
from lskd_nmt.data.filters.numbers import loses_numbers
from lskd_nmt.data.filters.repeats import is_loop
from lskd_nmt.data.filters.screen import NAMES, Examples, Screen, ahead, names_of, typical_of
from lskd_nmt.errors import LskdError

LOST = 2  # of the good pairs at most: "nineteen eighty-four" for "1984", which is shorter than a half, and one more


@pytest.fixture(scope="module")
def all_filters() -> Screen:
    return Screen(NAMES, LANGS, typical_of(iter(GOOD + GENERATED), len(GOOD + GENERATED)))


@pytest.mark.parametrize("kind", PLANTED)
def test_all_planted_pairs_go_and_most_for_their_own_reason(all_filters, kind):
    assert len(set(PLANTED[kind])) == 20
    reasons = Counter(all_filters.reasons(PLANTED[kind]))
    assert "" not in reasons and reasons[kind] >= 19, reasons


@pytest.mark.parametrize("kind", PLANTED)
def test_the_planted_pairs_of_a_kind_go_by_its_filter_alone(kind):
    assert set(Screen([kind], LANGS).reasons(PLANTED[kind])) == {kind}


def test_of_several_hundred_good_pairs_two_go_at_most(all_filters):
    pairs = GOOD + GENERATED
    lost = [(pair, reason) for pair, reason in zip(pairs, all_filters.reasons(pairs), strict=True) if reason]
    assert len(pairs) > 450 and len(lost) <= LOST, lost


@pytest.mark.parametrize(
    "source, target, langs, goes",
    [
        ("A man sleeps.", "A man sleeps.", "en de", True),
        ("a man", "a man", "en de", False),  # two words
        ("Robert de Niro", "Robert de Niro", "en de", False),  # no plain word of four letters
        ("THE MAN IS ASLEEP", "the man is asleep", "en de", True),
        ("BBC NEWS ONE", "BBC News One", "en de", False),
        ("他在公园里下棋。", "他在公园里下棋", "zh en", True),
        ("北京大学", "北京大学", "zh ja", False),  # four letters
        ("他昨天在公园里和朋友下棋", "他昨天在公园里和朋友下棋了", "zh ja", True),
        ("он читает старую книгу", "Он читает старую книгу!", "ru de", True),
        ("one two three four five", "one two three four fünf", "en de", True),  # four of five
        ("one two three four five", "one two three vier fünf", "en de", False),
        ("one two three four", "one two three four und noch vieles mehr dazu", "en de", False),  # more than it repeats
    ],
)
def test_copies(source, target, langs, goes):
    assert is_copy(source, target, tuple(langs.split())) == goes


@pytest.mark.parametrize(
    "source, target, langs, goes",
    [
        ("no", "ja ja ja", "en de", False),
        ("no", "ja ja ja ja", "en de", True),
        ("no no", "ja ja ja ja", "en de", False),  # two and three more would be five
        ("no no", "ja, ja, ja, Ja, ja!", "en de", True),
        ("x", "a b a b", "en de", False),
        ("x", "z a b a b a b z", "en de", True),
        ("x", "a b c d a b c d", "en de", False),
        ("x", "a b c d e a b c d e", "en de", True),
        ("x", "a b c d e - a b c d f", "en de", False),
        ("v w x y z v w x y z", "a b c d e a b c d e", "en de", False),
        ("x", "哈哈哈哈哈", "en zh", False),
        ("x", "哈哈哈哈哈哈", "en zh", True),
        ("x", "我们我们我们走", "en zh", False),
        ("x", "我们我们我们我们走", "en zh", True),
        ("x", "我们昨天去了那个公园我们昨天去了那个公园", "en zh", True),
        ("x", "lalalala", "en de", True),
        ("lalalala", "lalalala", "en de", False),
        ("x", "1000000000", "en de", False),
    ],
)
def test_repeats(source, target, langs, goes):
    assert is_loop(source, target, tuple(langs.split())) == goes


def test_the_runs_of_random_words_are_those_of_all_places_and_sizes():
    """Against the definition: every start, every size, counted one after the other."""
    from lskd_nmt.data.filters.repeats import repetitions

    draw = random.Random(4)
    for _ in range(300):
        units = draw.choices("abc", k=draw.randint(0, 14))
        expected: dict[int, int] = {}
        for size in range(1, len(units) // 2 + 1):
            for start in range(len(units)):
                times = 1
                while units[start : start + size] == units[start + times * size : start + (times + 1) * size] != []:
                    times += 1
                if times > 1:
                    expected[size] = max(expected.get(size, 0), times)
        assert dict(repetitions(units)) == expected, units


@pytest.mark.parametrize(
    "source, target, goes",
    [
        ("It costs 350 dollars.", "Es kostet Geld.", True),
        ("It costs 350 dollars.", "Es kostet 530 Dollar.", True),
        ("It costs 350 dollars.", "Es kostet 350 Dollar.", False),
        ("1,000,000.5", "1.000.000,50", False),
        ("3.14", "3,15", True),
        ("He has 7.", "Er hat sieben.", False),
        ("35 years", "fünfunddreißig Jahre", True),  # 32 to 99 that are no tens are not taken for words
        ("5 million", "5000000", False),
        ("10 men", "100 Männer", False),  # both may be words
        ("210 men", "2100 Männer", True),
        ("at 3", "um 15", False),
        ("the '90s", "die 1990er", False),
        ("year 2003", "٢٠٠٣", False),
        ("35 people", "三十五人", False),
        ("nothing", "1984", False),
        ("in 1812", "1812 und 1984", True),
        ("52 cards, as 52 weeks", "52 Karten, so viele wie Wochen", False),  # said once instead of twice
        ("52 cards", "52 Karten und 52 Wochen", False),
        ("52 cards, as 52 weeks", "53 Karten, so viele wie Wochen", True),
        ("12/31/2003", "31.12.2003", False),
        ("wellness", "wellness &#91; wohlsein &#93;", False),
        ("wellness in 45 &#91; days &#93;", "wellness in 46 tagen", True),
        ("5.45 pm, on 45 seats", "17.45 Uhr, auf 45 Plätzen", False),
        ("7.30 pm", "um 19.30", False),
        ("7.30 pm", "um 20.30", True),
        ("up to 2,350 men and 2 of 14", "2 350 Mann und zwei von 14", False),  # a space between thousands
        ("up to 2,350 men and 2 of 14", "2 360 Mann und zwei von 14", True),
        ("see https://example.org/x", "siehe", True),
        ("see https://example.org/x.", "siehe (https://example.org/x)", False),
        ("siehe", "see www.example.org", True),
        ("mail me@example.org", "schreib an me@example.com", True),
    ],
)
def test_numbers(source, target, goes):
    assert loses_numbers(source, target) == goes


def test_lengths_are_relative_to_the_corpus():
    pairs = [("abcd efgh", "abcd"), ("ab" * 10, "a" * 10), ("a", "aaa")]
    assert typical_ratio(pairs) == pytest.approx(0.5) and typical_ratio([("", "x")]) == 1
    source = "x" * 40  # 50 with the ten; 25 to 100 are allowed, of which ten are taken off: 15 to 90
    assert [is_far(source, "y" * length, 1.0) for length in (14, 15, 90, 91)] == [True, False, False, True]
    assert [is_far(source, "语" * length, 0.5) for length in (7, 8, 45, 46)] == [True, False, False, True]
    assert not is_far("Yes", "In der Tat", 1.0)


def test_chatter_is_none_if_the_source_does_the_same():
    assert is_chatter("He sleeps.", "Translation: Er schläft.", LANGS)
    assert not is_chatter("Traduction : Il dort.", "Übersetzung: Er schläft.", ("fr", "de"))
    assert is_chatter("Er schläft.", "Sure! Here's the translation: He sleeps.", ("de", "en"))
    assert not is_chatter("Klar! Er schläft.", "Sure! He's asleep.", ("de", "en"))
    assert is_chatter("He sleeps.", "他在睡觉。（注：口语）", ("en", "zh"))


def test_near_duplicates_differ_in_case_punctuation_and_digits():
    assert near_key(("It is 5 pm.", "a")) == near_key(("it is 17 PM", "A!")) != near_key(("It is late.", "a"))
    assert near_key(("ab", "c")) != near_key(("a", "bc"))


def test_what_was_seen_is_known_in_whichever_run_it_is(monkeypatch):
    monkeypatch.setattr(duplicates, "RUN", 10)
    keys = [int(key) for key in np.random.default_rng(1).integers(0, 1 << 64, 500, np.uint64)]
    seen = Seen()
    for key in keys:
        assert key not in seen
        seen.add(key)
    assert all(key in seen for key in keys) and 1 < len(seen.runs) < 10
    other = seen.copy()
    other.add(1)
    assert 1 in other and 1 not in seen


def test_a_block_is_judged_as_its_pairs_are():
    pairs, one, other = [*PLANTED["language"], *GOOD[:30]], *(Screen(NAMES, LANGS) for _ in range(2))
    passed = [other.reason(pair) for pair in ahead(pairs, other.look, 7)]
    assert passed == [one.reason(pair) for pair in pairs]
    assert list(ahead([], lambda block: None)) == []


def test_both_sides_of_a_bitext_may_be_in_another_language():
    swapped = [(target, source) for source, target in PLANTED["language"]]
    assert set(Screen(["language"], ("de", "en"), both_sides=True).reasons(swapped)) == {"language"}
    assert set(Screen(["language"], ("de", "en")).reasons(swapped)) == {""}


def test_a_language_that_lingua_does_not_know_is_refused_by_its_name():
    with pytest.raises(LskdError, match="--filters has language, and lingua does not know 'fo': leave language out"):
        Screen(["language"], ("en", "fo"))
    for lang in ("zh_CN", "zho_Hans", "deu", "no", "nb", "jpn"):
        Screen(["language"], ("en", lang))


def test_lingua_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "lingua", None)
    with pytest.raises(
        LskdError, match=r"lingua-language-detector is not installed: pip install 'lskd_nmt\[filters\]'"
    ):
        language.package()


def test_the_list_of_filters_is_read_in_the_order_of_the_table():
    assert names_of(" repeats,copies ") == ("copies", "repeats") and names_of("all") == NAMES and names_of("") == ()
    with pytest.raises(LskdError, match="--filters has loops: one of copies, repeats, chatter, numbers, length, "):
        names_of("copies,loops")


def test_examples_are_the_first_of_each_reason(tmp_path):
    examples = Examples(2)
    for row in range(5):
        examples.add("even" if row % 2 == 0 else "odd", row, (f"s{row}", "ü"))
    examples.write(tmp_path / "dropped.jsonl")
    lines = (tmp_path / "dropped.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"reason": "even", "row": 0, "source": "s0", "target": "ü"}'
    assert [screen.json.loads(line)["row"] for line in lines] == [0, 2, 1, 3]
