"""Text as words and subwords of data that others prepared: merges by hand, and Moses tokens told by their looks."""

import pytest

from lskd_nmt.data import text_form
from lskd_nmt.data.bpe import Bpe, merges
from lskd_nmt.data.text_form import CODES, SPM, Stated
from lskd_nmt.data.tokenisation import Tokenisation, found_in
from lskd_nmt.deploy.translate import follows_word, segments
from lskd_nmt.errors import LskdError

MERGES = "#version: 0.2\nl o\nlo w</w>\n"  # l+o, then lo+w at the end of a word


@pytest.fixture
def codes(tmp_path):
    def write(text=MERGES):
        file = tmp_path / "codes"
        file.write_text(text, "utf-8")
        return file

    return write


def test_words_are_cut_by_the_merges_in_their_order(codes):
    bpe = Bpe(codes())
    assert bpe.pieces("low  lower slow") == ["low", "lo@@", "w@@", "e@@", "r", "s@@", "low"]
    assert bpe.encode(["low", ""]) == ["low", ""]
    assert bpe.decode(["lo@@ w@@ e@@ r s@@ low", "low lo@@", ""]) == ["lower slow", "low lo", ""]


def test_a_subword_that_the_vocabulary_lacks_is_cut_again(codes):
    assert Bpe(codes(), ["lo@@", "w", "l@@", "o@@"]).pieces("low") == ["lo@@", "w"]
    assert Bpe(codes(), ["lo@@", "low"]).pieces("low") == ["low"]


def test_fast_bpe_s_codes_have_counts(codes):
    assert merges(codes("l o 12\nlo w</w> 7\n")) == MERGES
    assert merges(codes("l o\nlo w</w>\n")) == "l o\nlo w</w>\n"  # the oldest of subword-nmt


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "line 1 is '', and no pair"),
        ("#version: 0.2\nl o\nlo w</w> x\n", "line 3 is 'lo w</w> x', and no pair of symbols"),
        ("l o 3\nlo w</w>\n", "line 2 is 'lo w</w>', and no pair"),
        ("l o three\n", "line 1 is 'l o three'"),
        ("the house is big .\n", "line 1 is 'the house is big .'"),
        ("#version: 0.2\n", "holds no pair"),
    ],
)
def test_what_is_no_file_of_codes_is_refused_by_its_first_wrong_line(text, part, codes):
    with pytest.raises(LskdError, match=r"\A[^\n]*\Z") as refused:
        Bpe(codes(text))
    assert part in str(refused.value) and "learn-bpe" in str(refused.value)


MOSES = {"moses": True}
FOUND = [  # lines of words, and what they tell
    (["he is here .", "it isn &apos;t big ."], Tokenisation(moses=True, escape=True, lowercase=True)),
    (["He is here .", "It isn 't big ."], Tokenisation(moses=True)),
    (["well @-@ known , yes ."], Tokenisation(moses=True, hyphens=True, lowercase=True)),
    (["He is here.", "It isn't big."], Tokenisation()),
    (["he is here.", ""], Tokenisation(lowercase=True)),
    (["他 来 了"], Tokenisation()),  # no capitals in this script
    (
        ["He is <unk> .", "he is here ."],
        Tokenisation(moses=True, lowercase=True),
    ),  # what has an unknown word tells nothing
]


@pytest.mark.parametrize("lines, expected", FOUND)
def test_words_tell_how_they_were_made(lines, expected):
    found = found_in(lines, "en")
    assert found == expected
    known = [line for line in lines if line and "<unk>" not in line]
    assert found.words(found.text(known, "en"), "en") == known


def test_words_of_another_tokeniser_are_refused_unless_the_user_says_how_text_goes_in():
    lines = ["I do n't know .", "( he ca n't )  ."]  # of the Penn treebank
    with pytest.raises(LskdError, match=r"makes 0 of 2 lines of en again .* give --form raw"):
        found_in(lines, "en")
    assert found_in(lines, "en", "raw") == Tokenisation()
    assert found_in(lines, "en", "moses").moses
    with pytest.raises(LskdError, match="--form is spacy: one of raw, moses"):
        Stated(form="spacy")


def test_a_file_is_taken_from_the_folder_or_as_it_is_given_and_never_two(tmp_path):
    with pytest.raises(LskdError, match=r"has no spm\.model: give --spm FILE, or --bpe-codes FILE"):
        Stated().subwords(tmp_path)
    (tmp_path / CODES).write_text(MERGES)
    assert Stated().subwords(tmp_path) == text_form.SubwordFile(tmp_path / CODES, CODES)
    (tmp_path / SPM).touch()
    assert Stated().subwords(tmp_path).name == SPM
    assert Stated(bpe_codes=tmp_path / "x").subwords(tmp_path).file == tmp_path / "x"
    with pytest.raises(LskdError, match="both given"):
        Stated(tmp_path / SPM, tmp_path / CODES)


def test_merges_of_other_data_are_refused(codes):
    cut = text_form.SubwordFile(codes(), CODES)
    assert text_form.require_cut_alike(cut, ["low s@@ low", "l@@ o@@ w"], [], "valid") == 1
    with pytest.raises(LskdError, match="cuts 1 of the 3 lines of valid as they are in the data: it is of other data"):
        text_form.require_cut_alike(cut, ["low", "l@@ o@@ w", "lo@@ w"], [], "valid")


def test_a_long_sentence_is_cut_between_words_and_never_within_one_that_has_room():
    pieces = ["a@@", "b@@", "c", ".", "d@@", "e", "f"]
    assert segments(pieces, 4, follows_word) == [["a@@", "b@@", "c", "."], ["d@@", "e", "f"]]
    assert segments(pieces, 3, follows_word) == [["a@@", "b@@", "c"], ["."], ["d@@", "e", "f"]]
    assert segments(["a@@", "b@@", "c@@", "d"], 3, follows_word) == [["a@@", "b@@", "c@@"], ["d"]]
