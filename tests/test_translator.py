"""The translator in a program: threads that share it, what it looked at, and documents that keep their shape."""

import io
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from test_translate import Echo, echo  # noqa: F401  the stand-ins of test_translate.py

from lskd_nmt import cli, fairseq_io
from lskd_nmt.deploy.attention import Attention
from lskd_nmt.deploy.document import framed
from lskd_nmt.deploy.translate import Translation, Translator
from lskd_nmt.errors import LskdError

LETTERS = "abcdefgh"


def drawn(seed: int, lines: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(LETTERS, k=draw.randrange(7))) for _ in range(lines)]


def test_threads_that_share_a_translator_get_their_own_answers_in_order(model):
    translator, texts = Translator(model, workers=2, batch_tokens=64), [drawn(seed, 60) for seed in range(8)]
    alone = [[best[0].text for best in translator.translations(lines)] for lines in texts]
    with ThreadPoolExecutor(8) as pool:
        for together in (pool.map(translator.translate, texts), pool.map(translator.translate, texts)):
            assert list(together) == alone
    assert len({tuple(lines) for lines in alone}) == 8


def test_scores_fall_from_the_first_to_the_last_of_the_best(model):
    for best in Translator(model, threads=1).translations(drawn(1, 12), beam=6, nbest=6):
        scores = [each.score for each in best]
        assert scores == sorted(scores, reverse=True) and len(best) == 6
        assert best[0].text == "" or len({each.text for each in best}) == 6


def test_attention_is_that_of_fairseqs_own_last_layer(model, checkpoint, pieces):
    (best,) = Translator(model, threads=1).translations(["a b c d"], nbest=3, attention=True)
    fairseq_model = fairseq_io.load_model(str(checkpoint), {"data": str(pieces)}).eval()
    symbols = fairseq_io.read_symbols(str(pieces), ("aa", "bb")).source
    end = symbols.index("</s>")
    for found in best:
        (piece,) = found.attention
        source, target = ([symbols.index(each) for each in side] for side in (piece.source, piece.target))
        net_input, _ = fairseq_io.net_input([(torch.tensor([*source, end]), torch.tensor([*target, end]))], 1, end)
        with torch.no_grad():
            (theirs,) = fairseq_model(**net_input)[1]["attn"]  # (1, T, S), with the ends of both
        torch.testing.assert_close(torch.tensor(piece.weights), theirs[0, :-1, :-1], atol=1e-4, rtol=1e-3)
        assert "".join(piece.target).replace("▁", " ").strip() == found.text


def test_no_attention_unless_it_is_asked_for(model):
    ((best,),) = Translator(model, threads=1).translations(["a b"])
    assert best.attention == () and best.words() == ([], [], [])


def test_a_translation_is_a_pair_of_text_and_score(model):
    """With attention, too: programs take it apart, hand it on to processes, and compare it."""
    ((best,),) = Translator(model, threads=1).translations(["a b"], attention=True)
    text, score = best
    assert (text, score) == (best.text, best.score) == best == Translation(text, score)
    assert pickle.loads(pickle.dumps(best)).attention == best.attention != ()


def test_words_are_aligned_by_what_their_subwords_looked_at_most():
    spm = Attention(
        ["▁The", "▁tea", "cher", "."], ["▁Lehr", "er", "."], [[0, 0.6, 0.4, 0], [0.1, 0.2, 0.7, 0], [0] * 4]
    )
    assert spm.alignment() == [(1, 0), (2, 1), (0, 2)]  # the first of equal ones
    assert spm.words() == (["The", "teacher."], ["Lehrer."], [(0, 0), (1, 0)])
    bpe = Attention(["tea@@", "cher", "."], ["Lehr@@", "er", "."], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert bpe.words() == (["teacher", "."], ["Lehrer", "."], [(0, 0), (1, 1)])
    line = Translation("", 0.0, (bpe, Attention([], [], []), spm))
    assert line.words() == (
        ["teacher", ".", "The", "teacher."],
        ["Lehrer", ".", "Lehrer."],
        [(0, 0), (1, 1), (2, 2), (3, 2)],
    )


class Diagonal(Echo):
    """Each subword of a translation looks at the one of the source in its place; marks look at nothing."""

    def translate_batch(self, batch, num_hypotheses, **settings):
        promises = super().translate_batch(batch, num_hypotheses, **settings)
        for promise, source in zip(promises, batch, strict=True):
            value = promise.value
            rows = [
                [[float(row == column) for column in range(len(source))] for row in range(len(hypothesis))]
                for hypothesis in value.hypotheses
            ]
            promise.value = type("Result", (), {**value._asdict(), "attention": rows})
        return promises


def test_a_line_of_several_sentences_counts_its_words_through(echo):  # noqa: F811
    translator = echo(source_lang="en", target_lang="de")
    translator.model, line = Diagonal(), "One two. Three four five. Six."
    words = next(translator.translations([line], attention=True))[0].words()
    assert words == (line.split(), line.split(), [(at, at) for at in range(6)])


def test_the_symbol_of_a_language_is_no_word_of_the_source(echo):  # noqa: F811
    translator = echo(source_lang="en", target_lang="de")
    translator.model, translator.prefix = Diagonal(), ["__en__"]
    ((best,),) = translator.translations(["One two."], attention=True)
    assert translator.model.seen == [["__en__", "▁One", "▁two."]]
    (piece,) = best.attention
    assert piece.source == ["▁One", "▁two."] and piece.weights == [[0, 0], [1, 0], [0, 1]]  # the echo repeats it


SHAPES = [
    "",
    "\n",
    "\n\n",
    "a b",
    "a b\n",
    "  a b\t\n\n\n\tc d\n",
    "a\r\n\r\n  b c \r\n",
    " \n\t\n",
    "a\n \x0c\nb",
    "A b. C d.\n    E f. G.\n",
    "\u3000好，是\n",
]


@pytest.mark.parametrize("text", SHAPES, ids=ascii)
def test_a_document_keeps_its_shape(text, echo):  # noqa: F811
    assert echo(source_lang="en", target_lang="de").translate_document(text) == text  # of an echo nothing changes


@pytest.mark.parametrize("seed", range(20))
def test_the_text_of_every_line_is_what_translate_makes_of_it(seed, model):
    draw, translator = random.Random(seed), Translator(model, threads=1)
    spaces = ["", "", " ", "\t", "   "]
    lines = ["".join([draw.choice(spaces), line, draw.choice(spaces)]) for line in drawn(seed, 15)]
    found = translator.translate_document("\n".join(lines)).split("\n")
    assert [line.strip() for line in found] == translator.translate([line.strip() for line in lines])
    assert [framed(line)[::2] for line in found if line.strip()] == [
        framed(line)[::2] for line in lines if line.strip()
    ]
    assert [line for line in found if not line.strip()] == [line for line in lines if not line.strip()]


def test_a_document_of_one_sentence_is_its_translation(model):
    translator = Translator(model, threads=1)
    assert translator.translate_document("a b c") == translator.translate(["a b c"])[0]
    with pytest.raises(LskdError, match="translate_document takes one text: join the lines"):
        translator.translate_document(["a b c"])


@pytest.mark.parametrize("line", ["", " ", "a", " a", "a ", "\t a b \r\n", "\n", "\u2003a\u00a0b\u3000\n"], ids=ascii)
def test_the_parts_of_a_line_are_the_line(line):
    parts = framed(line)
    assert "".join(parts) == line and parts.text == line.strip() and not (parts.before + parts.after).strip()


def translated(monkeypatch, capsys, folder, content, *flags):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    code = cli.main(["translate", str(folder), *flags])
    said = capsys.readouterr()
    return code, said.out, said.err.splitlines()


@pytest.mark.parametrize("text", SHAPES, ids=ascii)
def test_the_verb_translates_documents(text, echo, monkeypatch, capsys, tmp_path):  # noqa: F811
    echo(source_lang="en", target_lang="de")
    code, out, errors = translated(monkeypatch, capsys, tmp_path / "m", text.encode(), "--document")
    assert (code, out, errors) == (0, text, [])


def test_a_bad_line_of_a_document_is_a_blank_one(echo, monkeypatch, capsys, tmp_path):  # noqa: F811
    echo(source_lang="en", target_lang="de")
    flags = "--document", "--bad-lines", "empty"
    code, out, _ = translated(monkeypatch, capsys, tmp_path / "m", b" a\n\xe9\n\n b\n", *flags)
    assert (code, out) == (0, " a\n\n\n b\n")


def test_the_verb_prints_alignments(model, monkeypatch, capsys):
    code, out, _ = translated(monkeypatch, capsys, model, b"a b c\n\nd\n", "--alignment", "--threads", "1")
    rows = [line.split(" ||| ") for line in out.splitlines()]
    expected = list(Translator(model, threads=1).translations(["a b c", "", "d"], attention=True))
    assert code == 0 and [row[0] for row in rows] == [best[0].text for best in expected]
    assert rows[1] == ["", ""] and all(pair.split("-") for row in rows for pair in row[1].split())
    pairs = [[tuple(map(int, pair.split("-"))) for pair in row[1].split()] for row in rows]
    assert pairs == [best[0].words().pairs for best in expected]
    code, out, _ = translated(monkeypatch, capsys, model, b"a\nb\n", "--alignment", "--nbest", "2")
    assert code == 0 and [line.split(" ||| ")[0] for line in out.splitlines()] == ["0", "0", "1", "1"]
    assert {line.count(" ||| ") for line in out.splitlines()} == {3}


@pytest.mark.parametrize("flags", [["--nbest", "2"], ["--alignment"]])
def test_a_document_is_one_text(flags, model, monkeypatch, capsys):
    code, out, errors = translated(monkeypatch, capsys, model, b"a\n", "--document", *flags)
    assert code == 2 and out == "" and len(errors) == 1
    assert "--document prints one text: leave --nbest and --alignment out" in errors[0]
