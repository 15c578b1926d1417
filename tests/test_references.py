"""What translations are scored against: clean text where there is some, and tokenised text by no other name."""

import shutil

import pytest
import sacrebleu
from conftest import binarise

from lskd_nmt import fairseq_io
from lskd_nmt.data import moses
from lskd_nmt.data.subwords import joined
from lskd_nmt.deploy import benchmark
from lskd_nmt.deploy.benchmark_settings import CompareSettings
from lskd_nmt.deploy.candidates import Candidate
from lskd_nmt.deploy.speed import Timing
from lskd_nmt.evaluate import references
from lskd_nmt.evaluate.benchmark import BenchmarkData, Latency, Spread, comparison_json
from lskd_nmt.report.tables.benchmark import about_scores
from lskd_nmt.storage import files
from lskd_nmt.storage.typed import from_json

LANGS = ("aa", "bb")
RAW = ["It's a state-of-the-art house, isn't it?", 'He said "yes & no", then left.', "Two dogs run, and a cat sleeps."]


@pytest.fixture
def folder(pieces, tmp_path):
    """A data folder as data-prep leaves it: bin, clean text beside it, and prep.json."""
    shutil.copytree(pieces, tmp_path / "bin")
    lines = [joined(line) for line in fairseq_io.piece_lines(str(pieces), LANGS, "test")[1]]
    files.write_text(tmp_path / "clean" / "test.bb", "".join(f"{line}\n" for line in lines))
    files.write_json(tmp_path / "prep.json", {"form": "raw"})
    return tmp_path


def changed(folder, lines):
    files.write_text(folder / "clean" / "test.bb", "".join(f"{line}\n" for line in lines))
    return references.references(folder / "bin", LANGS, "test")


def test_clean_text_is_taken_where_it_is_what_was_binarised(folder):
    lines = files.read_lines(folder / "clean" / "test.bb")
    found = references.references(folder / "bin", LANGS, "test")
    assert found == references.References(lines, "raw", "clean/test.bb", 0)
    for other in (lines[:-1], [*lines, "a"], [lines[1], lines[0], *lines[2:]], [f"{lines[0]} a", *lines[1:]]):
        assert changed(folder, other).source.startswith("binarised test, 0 of 12 lines")
    (folder / "prep.json").unlink()
    assert changed(folder, lines).source.startswith("binarised")


def test_what_the_dictionary_lacks_is_there_again_in_the_clean_text(folder):
    pieces = fairseq_io.piece_lines(str(folder / "bin"), LANGS, "test")[1]
    words = pieces[0].split()
    assert references.same_pieces(["<unk>", *words[1:]], words) and not references.same_pieces(
        words, ["<unk>", *words[1:]]
    )
    assert references.is_text_of(["a <unk> c@@ d"], ["a b cd"], None)
    assert references.is_text_of(["m2 c@@ d"], ["m² cd"], None) and not references.is_text_of(["a b"], ["a c"], None)


def test_references_that_subwords_rewrite_are_counted(folder, pieces):
    import sentencepiece

    lines = files.read_lines(folder / "clean" / "test.bb")
    sentencepiece.SentencePieceTrainer.train(
        input=str(pieces.parent / "plain.txt"),
        model_prefix=str(folder / "bin" / "spm"),
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
        normalization_rule_name="nmt_nfkc",
    )
    wide = [lines[0].translate({ord("a") + i: ord("ａ") + i for i in range(8)}), *lines[1:]]  # full-width letters
    found = changed(folder, wide)
    assert found.lines == wide and found.changed_by_subwords == 1


@pytest.mark.parametrize(
    "lines, said",
    [
        (RAW, False),
        (moses.tokenised(RAW, "en", escape=True), True),
        (moses.tokenised(RAW, "en"), True),
        (["Bonjour !", "Oui : non ?"], False),
        (["我 喜欢 猫 。", "天气 好 。"], True),
        (["我喜欢猫。"], False),
        (["state @-@ of"], True),
        (["a", "b"], False),
        ([], False),
        (["fish &amp; chips"], True),
        (["Der Hund läuft."] * 30 + ["Ein Keks ."], False),  # a raw corpus has a few
    ],
)
def test_tokenised_text_is_known_by_what_tokenisers_leave(lines, said):
    assert references.looks_tokenised(lines) == said


@pytest.fixture
def foreign(plugin, tmp_path):
    """A binarised folder of Moses-tokenised, escaped text without clean text beside it."""
    tokens = moses.tokenised(RAW, "en", escape=True)
    for split in ("train", "valid", "test"):
        for lang in LANGS:
            files.write_text(tmp_path / "text" / f"{split}.{lang}", "".join(f"{line}\n" for line in tokens))
    return binarise(tmp_path / "text", tmp_path / "bin")


def compared(data, monkeypatch, translations, **settings):
    """The scores of a model that translates so."""
    monkeypatch.setattr(
        benchmark, "examine", lambda name, path, *_: Candidate(name, str(path), "fairseq", None, 1, 1.0, 1.0)
    )
    monkeypatch.setattr(benchmark, "load_model", lambda *_: lambda sentences, threads: translations[: len(sentences)])
    timing = Timing((), Latency(*[Spread(1, 1, 1, (1,))] * 2))
    monkeypatch.setattr(benchmark, "measure", lambda models, *_: dict.fromkeys(models, timing))
    return comparison_json(benchmark.compare({"m": data}, data, CompareSettings(**settings), lambda line: None))


def test_foreign_tokenised_text_is_detokenised_and_not_called_raw(foreign, monkeypatch):
    tokens = moses.tokenised(RAW, "en", escape=True)
    assert compared(foreign, monkeypatch, tokens)["models"][0]["bleu"] == 100
    worse = [tokens[0], "He said .", tokens[2].replace("cat", "dog")]
    content = compared(foreign, monkeypatch, worse)
    plain = [moses.detokenised(lines, "bb") for lines in (worse, tokens)]
    assert content["models"][0]["bleu"] == round(sacrebleu.corpus_bleu(plain[0], [plain[1]]).score, 2)
    assert content["data"]["form"] == "tokenised" and "raw" not in content["signatures"]["bleu"]["text"]
    assert "detokenised by sacremoses" in content["signatures"]["bleu"]["text"]
    assert any("look tokenised" in line for line in about_scores(from_json(BenchmarkData, content["data"], "data")))


def test_compare_scores_the_clean_text(folder, monkeypatch):
    """References with signs that binarised text has lost: the one who translates them is right."""
    lines = files.read_lines(folder / "clean" / "test.bb")
    pieces = fairseq_io.piece_lines(str(folder / "bin"), LANGS, "test")[1]
    monkeypatch.setattr(references, "is_text_of", lambda *_: True)
    files.write_text(folder / "clean" / "test.bb", "".join(f"{line} ²\n" for line in lines))
    content = compared(folder / "bin", monkeypatch, [f"{line} ▁²" for line in pieces])
    assert content["models"][0]["bleu"] == 100 and content["data"]["references"] == "clean/test.bb"
    assert compared(folder / "bin", monkeypatch, pieces)["models"][0]["bleu"] < 90
    intl = compared(folder / "bin", monkeypatch, pieces, tokenize="intl")
    assert "tok:intl" in intl["signatures"]["bleu"]["signature"]
