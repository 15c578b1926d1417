"""Text in, text out: cleaned as the training text was, sentence by sentence, and every line answered."""

import io
import json
from collections import namedtuple

import pytest

from lskd_nmt import cli
from lskd_nmt.data.bitext import normalised
from lskd_nmt.data.sentences import sentences, united
from lskd_nmt.deploy import translate
from lskd_nmt.deploy.translate import Translation, Translator
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import digest

Result = namedtuple("Result", "hypotheses scores")


class Words:
    """Stands in for sentencepiece: one subword for each word, or for each character of a word without ASCII."""

    def encode(self, lines):
        pieces = []
        for line in lines:
            words = [f"▁{word}" if word.isascii() else " ".join(["▁", *word]) for word in line.split()]
            pieces.append(" ".join(words))
        return pieces

    def decode(self, lines):
        return [line.replace(" ", "").replace("▁", " ").strip() for line in lines]


class Promise:
    """A result that is done after so many looks at it."""

    def __init__(self, result, looks=0):
        self.value, self.looks = result, looks

    def done(self):
        self.looks -= 1
        return self.looks < 0

    def result(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Echo:
    """Stands in for CTranslate2: the best translation is the source, the next ones have marks; scores -1, -2, -4, …"""

    num_translators = 2

    def __init__(self):
        self.seen, self.looks = [], iter(lambda: 0, 1)

    def translate_batch(self, batch, num_hypotheses, **settings):
        assert settings["asynchronous"]
        self.seen += batch
        return [
            Promise(
                Result(
                    [[*pieces, *["▁+"] * rank] for rank in range(num_hypotheses)],
                    [-(2.0**rank) * len(pieces) for rank in range(num_hypotheses)],
                ),
                next(self.looks),
            )
            for pieces in batch
        ]


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """A folder whose translations repeat the source, and a call that makes a Translator of it."""
    monkeypatch.setattr(translate, "_open_model", lambda *_: Echo())
    monkeypatch.setattr(translate, "_open_subwords", lambda *_: Words())

    def make(folder=tmp_path / "m", one=False, **facts):
        folder.mkdir(exist_ok=True)
        (folder / "model.bin").write_bytes(b"weights")
        hashes = {"model.bin": sha256(folder / "model.bin")}
        facts = {**facts, "sha256": hashes}
        (folder / "export.json").write_text(json.dumps({**facts, "digest": digest(facts)}))
        return Translator(folder, one_sentence_a_line=one)

    return make


# `|` where a sentence ends
SPLIT = [
    ("en", "The teacher waits.| The friend comes!| Who is it?"),
    ("en", "Dr. J. S. Brown paid 3.14 dollars.| He left."),
    ("en", 'He said: "Stop it."| She did.| (Really!)| Then…'),
    ("en", '"Come here!" he said.| See Fig. 3 at www.foo.com/bar.'),
    ("en", "all is lower-cased.| there is e.g. this.| and that"),
    ("en", "1. One thing. ...| 2. Another"),
    ("en", "1. First item. 2. Second item. 3. Third."),
    ("el", "Τι κάνεις;| Καλά.| Εσύ;| Ναι; όχι."),
    ("en", "tokenised text .| they said : &quot; we are here . &quot;"),
    ("de", "Am 3. Mai kam er, z. B. mit Prof. Dr. Müller.| „Ja!“| Er blieb."),
    (None, "Am 3. Mai kam er.| Dann ging er."),
    ("fr", "« Oui ! »| M. Dupont dort.| Pourquoi ?"),
    ("ru", "А. С. Пушкин писал.| Потом уехал."),
    ("zh", "他来了。|她走了！|价格是3.5元?|“为什么？”|他说：“好。”，是的"),
    ("ja", "彼は来た。|「何？」と彼女は言った。|終わり"),
    ("hi", "वह आया।| वह गया।"),
    ("ar", "هل جاء؟| نعم."),
    ("en", ""),
    ("en", ". . . !"),
]


@pytest.mark.parametrize("lang, marked", SPLIT)
def test_a_line_is_cut_after_its_sentences_and_nowhere_else(lang, marked):
    assert sentences(marked.replace("|", ""), lang) == [part.strip() for part in marked.split("|") if part]


@pytest.mark.parametrize(
    "lang, whole, parts, text",
    [
        ("de", True, ["a.", "", "b."], "a. b."),
        ("zh", True, ["a.", "b."], "a. b."),
        (None, True, ["a.", "b."], "a. b."),
        ("zh", True, ["好。", "是"], "好。是"),
        ("zho_Hans", True, ["好。", "A"], "好。A"),
        ("zh_CN", False, ["好", "是"], "好是"),
        ("ja", True, ["", "はい。", "いいえ"], "はい。いいえ"),
        (None, True, ["好。", "是"], "好。是"),
        (None, False, ["ก", "ข"], "กข"),
        ("th", False, ["ก", "ข"], "กข"),
        ("th", True, ["ก", "ข"], "ก ข"),
        ("ko", False, ["좋", "다"], "좋 다"),
    ],
)
def test_parts_meet_with_a_space_where_the_script_has_one(lang, whole, parts, text):
    assert united(parts, lang, whole) == text


def test_every_sentence_of_a_line_is_translated_by_itself(echo):
    line = "The teacher waits. The friend comes! Who is it?"
    translator = echo(source_lang="en", target_lang="de")
    assert next(translator.translations([line])) == [Translation(line, -3.0)]  # each of three words, -3 each
    assert [len(pieces) for pieces in translator.model.seen] == [3, 3, 3]
    whole = echo(one=True, source_lang="en", target_lang="de")
    assert next(whole.translations([line])) == [Translation(line, -9.0)] and len(whole.model.seen) == 1


def test_the_best_of_a_line_are_the_best_of_all_combinations_of_its_sentences(echo):
    (found,) = echo(source_lang="en", target_lang="de").translations(["One more old man. Done."], beam=4, nbest=4)
    # scores -4, -8, -16 of the first sentence, -1, -2, -4 of the second; of the line their mean
    assert found == [
        Translation("One more old man. Done.", -2.5),
        Translation("One more old man. Done. +", -3.0),
        Translation("One more old man. Done. + +", -4.0),
        Translation("One more old man. + Done.", -4.5),
    ]
    assert next(echo(target_lang="de").translations(["", "x"], beam=2, nbest=2)) == [Translation("", 0.0)] * 2


@pytest.mark.parametrize("lang", ["zh", None])
def test_parts_of_a_long_line_without_spaces_meet_without_one(lang, echo):
    line = "好" * 450 + "，" + "我" * 100
    translator = echo(source_lang="zh", target_lang=lang)
    assert next(translator.translations([line]))[0].text == line
    assert max(map(len, translator.model.seen)) <= translate.LONGEST and len(translator.model.seen) == 3


def test_no_piece_is_longer_than_the_model_takes(echo):
    translator = echo(source_lang="en", target_lang="de", max_source_positions=20, max_target_positions=30)
    line = " ".join(f"w{number}" for number in range(50))
    assert next(translator.translations([line]))[0].text == line
    assert max(map(len, translator.model.seen)) == 19 and translator.most == 30  # the source has an end besides


# what `text.normalised` takes out or folds
DIRT = ["\u00ad", "\ufeff", "\u200b", "\u200e", "\u2060", "\x00", "\x7f"]
SPACES = ["\u00a0", "\u2009", "\t", "\u2028", "\u3000", "\r", "\x0b", "\x1f", "  "]


def test_a_very_long_line_is_no_single_call_which_no_signal_could_end(echo):
    translator, sizes = echo(), []
    translator.batch_tokens, batch = 450, translator.model.translate_batch

    def counted(pieces, **settings):
        sizes.append(sum(map(len, pieces)))
        return batch(pieces, **settings)

    translator.model.translate_batch = counted
    line = " ".join(f"w{number}" for number in range(1500))
    assert [best[0].text for best in translator.translations([line, "short"])] == [line, "short"]
    assert max(sizes) <= 450 and sum(sizes) == 1501


def test_a_closed_standard_output_is_one_line(echo, monkeypatch, capsys, tmp_path):
    echo()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n")))
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["translate", str(tmp_path / "m")]) == 2
    assert "standard output is closed: send" in capsys.readouterr().err


@pytest.mark.parametrize("sign", DIRT + SPACES, ids=ascii)
def test_what_cleaning_takes_out_makes_no_difference(sign, echo):
    dirty = f"The tea{sign}cher waits. He" if sign in DIRT else f"The{sign}teacher waits.{sign}He"
    translator = echo(source_lang="en", target_lang="de")
    (best,) = next(translator.translations([dirty + sign]))
    assert best.text == "The teacher waits. He" == normalised(dirty)
    assert translator.model.seen == [["▁The", "▁teacher", "▁waits."], ["▁He"]]


def test_composed_and_decomposed_letters_are_one(echo):
    one, other = (
        [best.text for best in next(echo(source_lang="de", target_lang="en").translations([line]))]
        for line in ("Mu\u0308ller", "Müller")
    )
    assert one == other == ["Müller"]


def test_a_model_of_tokenised_lower_cased_text_gets_such_text_and_answers_in_plain_text(echo):
    """The form of fairseq's IWSLT14: `can't` is `can &apos;t` there."""
    translator = echo(source_lang="en", target_lang="de", form="fairseq14")
    (best,) = next(translator.translations(["He can't wait, Dr. Brown. Why?"]))
    assert translator.model.seen == [["▁he", "▁can", "▁&apos;t", "▁wait", "▁,", "▁dr.", "▁brown", "▁."], ["▁why", "▁?"]]
    assert best.text == "he can 't wait, dr. brown. why?"
    raw = echo(source_lang="en", target_lang="de", form="raw")
    next(raw.translations(["He can't."]))
    assert raw.model.seen == [["▁He", "▁can't."]]


@pytest.mark.parametrize(
    "facts, part",
    [
        ({"form": "bpe"}, "in the form bpe, this version knows raw and fairseq14"),
        ({"form": 3}, "form is 3, where text is meant"),
        ({"max_source_positions": "x"}, 'max_source_positions is "x", where a whole number is meant'),
        ({"max_target_positions": 0}, "numbers of positions"),
    ],
)
def test_exports_of_another_kind_are_refused(facts, part, echo):
    with pytest.raises(translate.LskdError, match=part):
        echo(**facts)


GOOD, BAD = "The teacher waits.", b"caf\xe9"
BAD_LINES = {
    "latin1": BAD,
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf",
    "cut": "é".encode()[:1],
    "utf16": "Hi".encode("utf-16"),
}


def run(monkeypatch, capsys, folder, content, *flags):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    code = cli.main(["translate", str(folder), *flags])
    said = capsys.readouterr()
    return code, said.out, said.err.splitlines()


@pytest.mark.parametrize("kind", BAD_LINES)
def test_every_good_line_is_answered_and_the_bad_one_named(kind, echo, monkeypatch, capsys, tmp_path):
    echo(source_lang="en", target_lang="de")
    content = b"\n".join([GOOD.encode(), GOOD.encode(), BAD_LINES[kind], GOOD.encode()])
    code, out, errors = run(monkeypatch, capsys, tmp_path / "m", content)
    assert code == 2 and out == f"{GOOD}\n{GOOD}\n\n{GOOD}\n"
    assert errors[0].startswith("line 3 of the input is not UTF-8 (byte ") and len(errors) == 2
    assert "1 of the input's lines not UTF-8, answered by empty lines (3)" in errors[1]


def test_the_user_may_say_what_to_do_with_bad_lines(echo, monkeypatch, capsys, tmp_path):
    echo(source_lang="en", target_lang="de")
    content, folder = f"{GOOD}\n".encode() * 70 + BAD + f"\n{GOOD}\n".encode() * 2, tmp_path / "m"
    code, out, errors = run(monkeypatch, capsys, folder, content, "--bad-lines", "empty")
    assert code == 0 and out == f"{GOOD}\n" * 70 + f"\n{GOOD}\n" + f"\n{GOOD}\n" and len(errors) == 1
    code, out, errors = run(monkeypatch, capsys, folder, content, "--bad-lines", "replace")
    assert code == 0 and out.splitlines()[70] == "caf\ufffd" and len(out.splitlines()) == 74
    code, out, errors = run(monkeypatch, capsys, folder, content, "--bad-lines", "refuse")
    assert code == 2 and out == f"{GOOD}\n" * 70
    assert len(errors) == 1 and "line 71 of the input is not UTF-8 (byte 4), and only the lines before it" in errors[0]


def test_many_bad_lines_are_counted_and_the_first_ones_named(echo, monkeypatch, capsys, tmp_path):
    echo(source_lang="en", target_lang="de")
    code, out, errors = run(monkeypatch, capsys, tmp_path / "m", (BAD + b"\n") * 200)
    assert code == 2 and out == "\n" * 200 and len(errors) == cli.translate.SHOWN + 1
    assert "200 of the input's lines not UTF-8, answered by empty lines (1, 2, 3, 4, 5, …)" in errors[-1]


@pytest.mark.parametrize(
    "content, answers",
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\n", ["a b"]),
        (b"\x00\n", [""]),
        ("a\u2028b\u0085c\nd".encode(), ["a b c", "d"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
    ],
)
def test_only_line_feeds_end_a_line(content, answers, echo, monkeypatch, capsys, tmp_path):
    echo(source_lang="en", target_lang="de")
    code, out, _ = run(monkeypatch, capsys, tmp_path / "m", content)
    assert code == 0 and out == "".join(line + "\n" for line in answers)


def test_answers_are_utf_8_whatever_the_locale(echo, monkeypatch, tmp_path):
    echo(source_lang="de", target_lang="ru")
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Да.\n".encode()), encoding="ascii"))
    assert cli.main(["translate", str(tmp_path / "m")]) == 0
    assert raw.getvalue() == "Да.\n".encode()
