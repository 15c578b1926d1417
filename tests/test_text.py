"""Bitext cleaning and subwords: what is refused, what is dropped, what survives."""

import errno
import os
import random
import unicodedata
from collections import Counter

import pytest
import sentencepiece

from lskd_nmt.data import bitext as data_bitext
from lskd_nmt.data import cleaning, subwords
from lskd_nmt.errors import LskdError, explain

LANGS = ("aa", "bb")


@pytest.fixture
def bitext(tmp_path):
    """`bitext(source_bytes, target_bytes)` writes two files and returns their prefix."""

    def write(source: bytes, target: bytes) -> str:
        (tmp_path / "x.aa").write_bytes(source)
        (tmp_path / "x.bb").write_bytes(target)
        return str(tmp_path / "x")

    return write


def test_lines_are_pairs_in_order(bitext):
    assert data_bitext.read_bitext(bitext(b"a\nb\n", b"1\r\n2"), LANGS) == [("a", "1"), ("b", "2")]


def test_only_line_feeds_end_lines(bitext):
    """Other tools see a line break in these; a parallel text must not fall apart over them."""
    prefix = bitext("a\u2028b\x0bc\x85d\n".encode(), b"1\n")
    assert data_bitext.read_bitext(prefix, LANGS) == [("a b c d", "1")]


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("  two  words\t", "two words"),
        ("no\u00a0break", "no break"),
        ("e\u0301", "é"),
        ("\ufeffmark", "mark"),
        ("zero\u200bwidth", "zerowidth"),
        ("soft\u00adhyphen", "softhyphen"),
        ("bell\x07", "bell"),
        ("\u0646\u200c\u0645", "\u0646\u200c\u0645"),  # Persian needs its non-joiner
        ("u\u00ad\u0308ber", "über"),  # what stands between a letter and its accent goes first
        ("\u1100\ufeff\u1161", "가"),
        ("q\u0307\u200b\u0323", "q\u0323\u0307"),  # dot below before dot above, in Unicode's order
    ],
)
def test_normalised(raw, expected):
    assert data_bitext.normalised(raw) == expected
    assert data_bitext.normalised(expected) == expected


def test_printable_text_needs_no_second_look():
    """Of these characters `normalised` keeps all."""
    printable = [c for c in map(chr, range(0x110000)) if c.isprintable()]
    assert not any(c.isspace() and c != " " for c in printable)
    assert not {"Cc", "Cf", "Cs"} & {unicodedata.category(c) for c in printable}


def test_text_is_read_line_by_line_whatever_is_in_it(tmp_path):
    """A carriage return within a line, a line separator and NUL end no line; they are spaces, and nothing."""
    (tmp_path / "x.aa").write_bytes("a\rb\r\nc\u2028d\0e".encode())
    (tmp_path / "x.bb").write_bytes(b"1\n2\n")
    assert data_bitext.read_bitext(str(tmp_path / "x"), LANGS) == [("a b", "1"), ("c de", "2")]
    assert data_bitext.count_lines(tmp_path / "x.aa") == data_bitext.count_lines(tmp_path / "x.bb") == 2


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place, message in (
        (tmp_path, r"is a folder where a file is meant: give"),
        (tmp_path / "pipe", r"pipe is a pipe \(FIFO\)"),
    ):
        with pytest.raises(LskdError, match=message):
            data_bitext.read_lines(place)
    (tmp_path / "wide").write_bytes("Größe\n".encode("utf-16"))
    with pytest.raises(LskdError, match=r"wide line 1 is not UTF-8 \(byte 1\): convert it, \S+ \S+ iconv -f utf-16"):
        data_bitext.read_lines(tmp_path / "wide")


def test_an_error_of_writing_names_the_file_and_leaves_nothing(tmp_path):
    def pairs():
        yield "a", "1"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError) as caught:
        data_bitext.write_bitext(tmp_path / "x", LANGS, pairs())
    assert explain(caught.value) == f"{tmp_path}/x.bb: No space left on device: free some and run again"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source, target, message",
    [
        (b"a\nb\n", b"1\n", r"x.aa has 2 lines and \S+x.bb has 1: line i"),
        (b"", b"1\n", r"x.aa is empty: give"),
        (b"\n\n", b"1\n2\n", r"x.aa is empty: give"),
        (b"a\n\xff\xfe\n", b"1\n2\n", r"x.aa line 2 is not UTF-8 \(byte 1\): convert"),
        (b"a\nb\nc\n", b"1\n\n \n", r"x.bb has 2 empty lines \(line 2, 3\): fill"),
    ],
)
def test_bad_files_are_refused_with_the_place(bitext, source, target, message):
    with pytest.raises(LskdError, match=message) as caught:
        data_bitext.read_bitext(bitext(source, target), LANGS)
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(LskdError, match=r"nope.aa does not exist"):
        data_bitext.read_bitext(str(tmp_path / "nope"), LANGS)


@pytest.fixture
def clean(tmp_path):
    """`clean(pairs, ...)` through files: the pairs that are kept, and what was dropped."""

    def run(pairs, max_words, max_ratio=0, held_out=(), distinct=True, langs=LANGS):
        data_bitext.write_bitext(tmp_path / "raw", langs, pairs)
        limits = cleaning.Limits(max_words, max_ratio)
        count, dropped = cleaning.clean(str(tmp_path / "raw"), tmp_path / "x", langs, limits, held_out, distinct)
        sides = [(tmp_path / f"x.{lang}").read_text(encoding="utf-8").splitlines() for lang in langs]
        assert count == len(sides[0]) and not list(tmp_path.glob("*.part"))
        return list(zip(*sides, strict=True)), dropped

    return run


def test_every_pair_is_kept_or_counted_under_one_reason(clean):
    pairs = [("a b", "1 2"), ("a b", "1 2"), ("", "1"), ("a " * 4, "1"), ("a", "1 2 3"), ("t", "t"), ("a b", "1 3")]
    kept, dropped = clean(pairs, max_words=3, max_ratio=2, held_out=[("t", "t")])
    assert kept == [("a b", "1 2"), ("a b", "1 3")]
    assert dropped == {"repeated": 1, "empty": 1, "long": 1, "ratio": 1, "in valid or test": 1}
    assert len(kept) + sum(dropped.values()) == len(pairs)


def test_nothing_but_empty_pairs_is_dropped_without_limits(clean):
    pairs = [("a" + " a" * 499, "1"), ("a", "1"), ("a", "1")]
    assert clean(pairs, max_words=1000, distinct=False) == (pairs, {})


def test_cleaning_twice_is_cleaning_once(clean):
    once, _ = clean([("a b", "1"), ("a b", "1"), ("c", "2 2 2")], 5, 2)
    assert clean(once, 5, 2) == (once, {})


def test_of_many_repeated_pairs_the_first_stays_in_its_place(clean):
    """As a set of all pairs would have it, which takes a hundred times the memory."""
    draw = random.Random(1)
    pairs = [(f"{draw.randrange(300)}", f"{draw.randrange(3)}") for _ in range(2000)]
    kept, dropped = clean(pairs, 5)
    assert kept == list(dict.fromkeys(pairs))
    assert dropped == {"repeated": 2000 - len(kept)} and len(kept) < 900


def test_sides_of_a_pair_do_not_run_together(clean):
    pairs = [("a b", "c"), ("a", "b c"), ("ab", "c"), ("a", "bc")]
    assert clean(pairs, 5) == (pairs, {})


@pytest.mark.parametrize(
    "line, lang, words",
    [
        ("two words", "de", 2),
        ("我们昨天在学校里见过他。", "zh", 6),  # 12 characters
        ("我们昨天在学校里见过他。", "zh-Hant", 6),
        ("我们昨天在学校里见过他。", "de", 1),
        ("我们 昨天 在 学校 里 见过 他 。", "zh", 8),  # somebody has separated the words already
        ("https://www.example.org/a/b/c", "zh", 1),
        ("是", "zh", 1),
        ("ฉันกินข้าว", "th", 2),  # 10 characters
    ],
)
def test_words_are_estimated_where_no_spaces_separate_them(line, lang, words):
    assert data_bitext.words(line, lang) == words


def test_a_ratio_of_words_keeps_translations_into_a_language_without_spaces(clean):
    good = [
        ("we met him at school yesterday", "我们昨天在学校里见过他。"),
        ("yes", "是的。"),
        ("he is a doctor and lives in the city", "他是医生，住在城里。"),
    ]
    bad = [("yes", "我们昨天在学校里见过他，他是医生，住在城里。"), ("he is a doctor and lives in the city", "他")]
    assert clean(good + bad, 175, 2.5, langs=("en", "zh_CN")) == (good, {"ratio": 2})
    assert clean([("a", "字" * 351), ("b", "字" * 350)], 175, langs=("en", "zh"))[1] == {"long": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Forty subwords of two small languages."""
    folder = tmp_path_factory.mktemp("spm")
    german, russian = "der große Hund läuft laut der Hund ruft", "большая собака бежит собаке большое"
    for lang, words in (("aa", german.split()), ("bb", russian.split())):
        lines = (" ".join(words[i:] + words[:i]) + "\n" for i in range(len(words)))
        (folder / f"train.{lang}").write_text("".join(lines) * 5, encoding="utf-8")
    files = [folder / f"train.{lang}" for lang in LANGS]
    subwords.learn(files, folder / "spm", 40)
    subwords.learn(files, folder / "elsewhere" / "spm", 40)
    return folder


def test_subwords_decode_to_the_text(model):
    processor = subwords.Subwords(model / "spm.model")
    lines = ["der große Hund", "собака бежит", "Hund собака"]
    assert processor.decode(processor.encode(lines)) == lines
    assert processor.first_loss(lines) is None


def test_unseen_characters_survive_as_text(model):
    assert subwords.Subwords(model / "spm.model").first_loss(["der Hund", "der 犬 ½ ™"]) is None


SIGNS = "m² 2½ ™ … № ﬁ Ａ １２ ①"
CHINESE = "你好，世界！（真的？）：“是”；"


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_model_leaves_signs_as_they_are(tmp_path, kind):
    """Sentencepiece's own default writes m2, 21⁄2, TM, ... and half-width punctuation, which the reference has not."""
    lines = [data_bitext.normalised(line) for line in (SIGNS, CHINESE, "der Hund")] * 3
    (tmp_path / "x").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    subwords.learn([tmp_path / "x"], tmp_path / "spm", 39, kind)
    model = subwords.Subwords(tmp_path / "spm.model")
    assert model.decode(model.encode(lines)) == lines and model.normalises(lines) == 0
    assert model.first_loss([*lines, "new: ㎏ ㍿ ﷺ ＊"]) is None


def test_a_model_with_rules_of_its_own_is_found_out(tmp_path):
    lines = ["der Hund", f"{SIGNS} here", "die Katze", CHINESE]
    prefix = tmp_path / "other"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_prefix=str(prefix), vocab_size=48, minloglevel=2
    )
    model = subwords.Subwords(tmp_path / "other.model")
    assert model.normalises(lines) == 2 and model.first_loss(lines) == 2
    assert model.rewritten("m² ，") == "m2 ," and model.rewritten("der Hund") == "der Hund"


@pytest.mark.parametrize("line", ["a <s> b", "x<s>y </s>", "<unk><pad>", "<s>"])
def test_words_that_look_like_symbols_are_text(model, line):
    """Sentencepiece takes `<s>` for a symbol and forgets it; to fairseq `<pad>` is no token."""
    processor = subwords.Subwords(model / "spm.model")
    assert not subwords.SYMBOLS & set(processor.pieces(line))
    assert processor.decode(processor.encode([line])) == [line]


def test_signs_of_sentencepieces_own_are_text(tmp_path):
    """It passes over lines with ▅, and writes ▁ for a space."""
    (tmp_path / "x").write_text("ab ▅ cd\n" * 3, encoding="utf-8")
    subwords.learn([tmp_path / "x"], tmp_path / "spm", 8)
    assert "c" in (tmp_path / "spm.vocab").read_text(encoding="utf-8")
    assert data_bitext.normalised("a▁b ▁ c") == "a b c"
    assert subwords.Subwords(tmp_path / "spm.model").first_loss(["ab ▅ cd"]) is None


def test_long_lines_teach_as_short_ones_do(tmp_path):
    signs = "".join(chr(0x5F00 + i % 40) for i in range(1500))  # 4,500 bytes without a space
    for name, content in (("x", f"der Hund\n{signs}\n"), ("y", "der Hund " * 600 + "Ü\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    subwords.learn([tmp_path / "x"], tmp_path / "spm", 50)
    vocab = (tmp_path / "spm.vocab").read_text(encoding="utf-8")
    assert all(chr(0x5F00 + i) in vocab for i in range(40))
    subwords.learn([tmp_path / "y"], tmp_path / "spm", 12)
    assert "Ü" in (tmp_path / "spm.vocab").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", ["kurz", "Ü" * 2096, "Ü" * 5000, "ab " * 3000 + "c", "▅" * 5000, "字" * 3000 + " x"])
def test_portions_are_the_line_and_none_is_too_long(line):
    parts = list(subwords.portions(line))
    assert all(len(part.encode()) <= 4192 for part in parts)
    assert "".join(parts).replace(" ", "") == line.replace(" ", "").replace("▅", "")
    assert parts == [line] or len(line.encode()) > 4192


def test_a_sample_is_of_the_size_in_order_and_of_the_seed(tmp_path):
    lines = [str(i) for i in range(2000)]
    drawn = [list(subwords.sampled(lines, 2000, 500, seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(part)) == 500 and part == sorted(part, key=int) for part in drawn)
    assert list(subwords.sampled(lines, 2000, 2000, 1)) == lines


def test_each_line_is_drawn_as_often_as_any_other():
    counts = Counter(line for seed in range(2000) for line in subwords.sampled("abcdefgh", 8, 3, seed))
    assert all(abs(count - 750) < 5 * (2000 * 3 / 8 * 5 / 8) ** 0.5 for count in counts.values())  # 5 deviations


def test_a_model_of_a_sample_says_so(model, tmp_path, monkeypatch):
    files = [model / f"train.{lang}" for lang in LANGS]
    counts = subwords.learn(files, tmp_path / "all", 40, sentences=10**9)
    assert counts["learned_from"] == counts["lines"] == 65
    assert (tmp_path / "all.model").read_bytes() == (model / "spm.model").read_bytes()
    assert subwords.learn(files, tmp_path / "few", 40, sentences=40)["learned_from"] == 40
    monkeypatch.setattr(subwords, "CHARACTERS", 800)
    bounded = subwords.learn(files, tmp_path / "bounded", 40)["learned_from"]
    characters = sum(len(line) for file in files for line in file.read_text(encoding="utf-8").splitlines())
    assert bounded == 65 * 800 // characters < 65
    assert subwords.learn(files, tmp_path / "bpe", 40, "bpe")["learned_from"] == 65


def test_line_that_does_not_survive_is_named(model, monkeypatch):
    processor = subwords.Subwords(model / "spm.model")
    decode = processor.decode
    monkeypatch.setattr(processor, "decode", lambda lines: [line.replace(" ", "") for line in decode(lines)])
    assert processor.first_loss(["Hund", "der Hund", "der große Hund"]) == 2


def test_same_text_gives_the_same_model(model):
    assert (model / "spm.model").read_bytes() == (model / "elsewhere" / "spm.model").read_bytes()


@pytest.mark.parametrize(
    "size, message",
    [
        (5000, r"--vocab-size is 5000: this text allows at most \d+$"),
        (5, r"--vocab-size is 5: the characters of this text alone need \d+$"),
    ],
)
def test_impossible_vocabulary_sizes_name_the_limit(model, tmp_path, size, message):
    with pytest.raises(LskdError, match=message):
        subwords.learn([model / "train.aa"], tmp_path / "spm", size)
    assert not list(tmp_path.iterdir())


def test_only_complaints_about_the_size_are_blamed_on_it(tmp_path):
    (tmp_path / "x").write_text("▅ ▅\n", encoding="utf-8")
    with pytest.raises(LskdError, match=r"x hold no words to learn subwords from: give text$"):
        subwords.learn([tmp_path / "x"], tmp_path / "spm", 20)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "spm.model").write_bytes(b"PK\x03\x04 no model")
    with pytest.raises(LskdError, match=r"spm\.model is no readable sentencepiece model .*: give"):
        subwords.Subwords(tmp_path / "spm.model")


def test_a_model_that_was_cut_anywhere_is_refused(model, tmp_path):
    """Between two subwords, too, where sentencepiece takes it for a model of fewer."""
    whole = (model / "spm.model").read_bytes()
    assert subwords.has_settings(whole) and len(whole) < 5000
    assert not any(subwords.has_settings(whole[:length]) for length in range(len(whole)))
    some, at = 10, 0  # subwords: sentencepiece takes them for a model
    for _ in range(some):
        assert whole[at] == 0x0A
        at += 2 + whole[at + 1]
    (tmp_path / "cut.model").write_bytes(whole[:at])
    found = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "cut.model"))
    assert found.get_piece_size() == some
    with pytest.raises(LskdError, match=r"cut\.model is no readable sentencepiece model \(it ends too early\): give"):
        subwords.Subwords(tmp_path / "cut.model")


def test_missing_model_is_refused(tmp_path):
    with pytest.raises(LskdError, match="does not exist: run the subwords stage"):
        subwords.Subwords(tmp_path / "spm.model")
