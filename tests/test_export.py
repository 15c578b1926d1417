"""Students that ship: proved before they are published, and translating in order whatever the lines."""

import io

import pytest
import torch

from lskd_nmt import cli, export
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import read_checkpoint
from lskd_nmt.translate import Translation, Translator, segments

LANGS = ("aa", "bb")


def test_a_stock_checkpoint_translates_alike_without_the_plugin(checkpoint, pieces, tmp_path):
    facts = export.export_fairseq(checkpoint, pieces, LANGS, tmp_path / "stock.pt", lambda line: None)
    assert facts["identical"] == facts["sentences"] == 12
    state, before = (read_checkpoint(str(path), "x") for path in (tmp_path / "stock.pt", checkpoint))
    assert state["cfg"]["model"]["arch"] == state["cfg"]["model"].arch == "transformer"
    assert state["last_optimizer_state"] is None and "criterion" not in state["cfg"]
    assert state["model"].keys() == before["model"].keys()
    assert list(tmp_path.iterdir()) == [tmp_path / "stock.pt"]


def test_a_checkpoint_that_translates_otherwise_is_not_published(checkpoint, pieces, tmp_path, monkeypatch):
    honest = export.stock_state

    def broken(state):
        changed = honest(state)
        changed["model"] = {name: torch.zeros_like(tensor) if "fc2" in name else tensor
                            for name, tensor in changed["model"].items()}  # fmt: skip
        return changed

    monkeypatch.setattr(export, "stock_state", broken)
    with pytest.raises(LskdError, match=r"of 12 translations of valid differ: not exported"):
        export.export_fairseq(checkpoint, pieces, LANGS, tmp_path / "stock.pt", lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_converted_model_that_scores_otherwise_is_not_published(checkpoint, pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "translate_pieces", lambda model, source: ["▁a"] * len(source))
    with pytest.raises(LskdError, match=r"CTranslate2 0\.00: not exported"):
        export.export_ctranslate2(checkpoint, pieces, LANGS, tmp_path / "model", lambda line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra, part", [
    (["--quantization", "int3"], "--quantization is int3"),
    (["--data", "nowhere"], "--data nowhere does not exist"),
    (["--checkpoint", "nothing.pt"], "student nothing.pt does not exist"),
    (["--out", "THERE"], "is there already"),
])  # fmt: skip
def test_exports_that_cannot_be_are_refused(extra, part, checkpoint, pieces, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    call = ["export", "--checkpoint", checkpoint, "--data", pieces, "--out", tmp_path / "m", "--to", "ctranslate2"]
    call += extra
    assert cli.main([str(tmp_path / "there") if word == "THERE" else str(word) for word in call]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


def test_data_without_a_sentencepiece_model_is_refused(checkpoint, data, tmp_path):
    with pytest.raises(LskdError, match=r"has no spm\.model"):
        export.export_ctranslate2(checkpoint, data, LANGS, tmp_path / "model", lambda line: None)


def test_lines_come_back_in_order_and_alone_as_in_a_batch(model):
    translator = Translator(model, threads=1)
    lines = [" ".join("abcdefgh"[(i * k) % 8] for k in range(1, 2 + i % 5)) for i in range(130)]
    lines[3] = lines[64] = lines[129] = ""
    together = list(translator.translate(lines))
    assert len(together) == 130
    assert [together[i] for i in (3, 64, 129)] == [[Translation("", 0.0)]] * 3
    for i in (0, 1, 63, 65, 127):
        (alone,) = translator.translate([lines[i]])
        assert together[i][0].text == alone[0].text != ""


def test_the_best_come_first(model):
    (best,) = Translator(model, threads=1).translate(["a b c"], beam=4, nbest=3)
    scores = [translation.score for translation in best]
    assert len({translation.text for translation in best}) == 3
    assert scores == sorted(scores, reverse=True) and scores[0] < 0


def test_long_lines_are_cut_after_sentences_before_words_or_anywhere():
    line = ["▁A", "▁b", ".", "▁C", "▁d", "e", "▁f"]
    assert segments(line, 7) == [line]
    assert segments(line, 5) == [line[:3], line[3:]]
    assert segments(line[3:], 3) == [["▁C", "▁d", "e"], ["▁f"]]
    assert segments(line[3:], 2) == [["▁C"], ["▁d", "e"], ["▁f"]]
    assert segments(["▁a", "b", "c", "d", "e"], 2) == [["▁a", "b"], ["c", "d"], ["e"]]
    assert segments([]) == []


def test_the_verb_reads_standard_input(model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("a b\n\nc\n"))
    assert cli.main(["translate", str(model), "--threads", "1"]) == 0
    assert [line == "" for line in capsys.readouterr().out.splitlines()] == [False, True, False]
    monkeypatch.setattr("sys.stdin", io.StringIO("a b\n"))
    assert cli.main(["translate", str(model), "--nbest", "2", "--beam", "2"]) == 0
    rich = [line.split(" ||| ") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rich] == ["0", "0"] and float(rich[0][2]) >= float(rich[1][2])


@pytest.mark.parametrize("flags, part", [
    (["--beam", "0"], "--beam is 0"), (["--nbest", "9"], "--nbest is 9 and --beam is 5"),
])  # fmt: skip
def test_beams_that_cannot_be_are_refused(flags, part, model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n"))
    assert cli.main(["translate", str(model), *flags]) == 2
    assert part in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused(tmp_path, capsys):
    assert cli.main(["translate", str(tmp_path)]) == 2
    assert "has no model.bin: give a folder of lskd export" in capsys.readouterr().err
