"""Bitext cleaning and subwords: what is refused, what is dropped, what survives."""

import pytest

from lskd_nmt import subwords, text
from lskd_nmt.errors import LskdError

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
    assert text.read_bitext(bitext(b"a\nb\n", b"1\r\n2"), LANGS) == [("a", "1"), ("b", "2")]


def test_only_line_feeds_end_lines(bitext):
    """Other tools see a line break in these; a parallel text must not fall apart over them."""
    prefix = bitext("a\u2028b\x0bc\x85d\n".encode(), b"1\n")
    assert text.read_bitext(prefix, LANGS) == [("a b c d", "1")]


@pytest.mark.parametrize("raw, expected", [
    ("  two  words\t", "two words"),
    ("no\u00a0break", "no break"),
    ("e\u0301", "é"),
    ("\ufeffmark", "mark"),
    ("zero\u200bwidth", "zerowidth"),
    ("soft\u00adhyphen", "softhyphen"),
    ("bell\x07", "bell"),
    ("\u0646\u200c\u0645", "\u0646\u200c\u0645"),  # Persian needs its non-joiner
])  # fmt: skip
def test_normalised(raw, expected):
    assert text.normalised(raw) == expected
    assert text.normalised(expected) == expected


@pytest.mark.parametrize("source, target, message", [
    (b"a\nb\n", b"1\n", r"x.aa has 2 lines and \S+x.bb has 1: line i"),
    (b"", b"1\n", r"x.aa is empty: give"),
    (b"\n\n", b"1\n2\n", r"x.aa is empty: give"),
    (b"a\n\xff\xfe\n", b"1\n2\n", r"x.aa line 2 is not UTF-8 \(byte 1\): convert"),
    (b"a\nb\nc\n", b"1\n\n \n", r"x.bb has 2 empty lines \(line 2, 3\): fill"),
])  # fmt: skip
def test_bad_files_are_refused_with_the_place(bitext, source, target, message):
    with pytest.raises(LskdError, match=message) as caught:
        text.read_bitext(bitext(source, target), LANGS)
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(LskdError, match=r"nope.aa does not exist"):
        text.read_bitext(str(tmp_path / "nope"), LANGS)


def test_every_pair_is_kept_or_counted_under_one_reason():
    pairs = [("a b", "1 2"), ("a b", "1 2"), ("", "1"), ("a " * 4, "1"), ("a", "1 2 3"), ("t", "t"), ("a b", "1 3")]
    kept, dropped = text.clean(pairs, max_words=3, max_ratio=2, held_out=[("t", "t")])
    assert kept == [("a b", "1 2"), ("a b", "1 3")]
    assert dropped == {"repeated": 1, "empty": 1, "long": 1, "ratio": 1, "in valid or test": 1}
    assert len(kept) + sum(dropped.values()) == len(pairs)


def test_nothing_but_empty_pairs_is_dropped_without_limits():
    pairs = [("a " * 500, "1"), ("a", "1"), ("a", "1")]
    assert text.clean(pairs, max_words=1000, max_ratio=0, distinct=False) == (pairs, {})


def test_cleaning_twice_is_cleaning_once():
    pairs = [("a b", "1"), ("a b", "1"), ("c", "2 2 2")]
    once, _ = text.clean(pairs, 5, 2)
    assert text.clean(once, 5, 2) == (once, {})


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
    assert subwords.Subwords(model / "spm.model").first_loss(["der Hund", "der 犬 ½ ▁"]) is None


def test_line_that_does_not_survive_is_named(model, monkeypatch):
    processor = subwords.Subwords(model / "spm.model")
    decode = processor.decode
    monkeypatch.setattr(processor, "decode", lambda lines: [line.replace(" ", "") for line in decode(lines)])
    assert processor.first_loss(["Hund", "der Hund", "der große Hund"]) == 2


def test_same_text_gives_the_same_model(model):
    assert (model / "spm.model").read_bytes() == (model / "elsewhere" / "spm.model").read_bytes()


@pytest.mark.parametrize("size, message", [
    (5000, r"--vocab-size is 5000: this text allows at most \d+$"),
    (5, r"--vocab-size is 5: the characters of this text alone need \d+$"),
])  # fmt: skip
def test_impossible_vocabulary_sizes_name_the_limit(model, tmp_path, size, message):
    with pytest.raises(LskdError, match=message):
        subwords.learn([model / "train.aa"], tmp_path / "spm", size)
    assert not list(tmp_path.iterdir())


def test_missing_model_is_refused(tmp_path):
    with pytest.raises(LskdError, match="does not exist: run the subwords stage"):
        subwords.Subwords(tmp_path / "spm.model")
