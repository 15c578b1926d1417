"""Students that ship: proved before they are published, and translating in order whatever the lines."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import product

import pytest
import torch
from conftest import ROOT

from lskd_nmt import cli, fairseq_io
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.deploy import export
from lskd_nmt.deploy.candidates import examine
from lskd_nmt.deploy.sealed import Export
from lskd_nmt.deploy.translate import Translation, Translator, segments
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import read_checkpoint
from lskd_nmt.hf_io.tokens import Direction
from lskd_nmt.seqkd.text_engines import CTranslate2TextEngine
from lskd_nmt.seqkd.text_teacher import open_teacher
from lskd_nmt.seqkd.text_tokens import converted_facts, tokens_of
from lskd_nmt.storage import folders

LANGS = ("aa", "bb")


def typed(text: str) -> io.TextIOWrapper:
    """Standard input."""
    return io.TextIOWrapper(io.BytesIO(text.encode()))


def test_a_stock_checkpoint_translates_alike_without_the_plugin(checkpoint, pieces, tmp_path):
    facts = export.export_fairseq(checkpoint, pieces, LANGS, tmp_path / "stock.pt", lambda line: None)
    assert facts.identical == facts.sentences == 12
    state, before = (read_checkpoint(str(path), "x") for path in (tmp_path / "stock.pt", checkpoint))
    assert state["cfg"]["model"]["arch"] == state["cfg"]["model"].arch == "transformer"
    assert state["last_optimizer_state"] is None and "criterion" not in state["cfg"]
    assert state["model"].keys() == before["model"].keys()
    assert list(tmp_path.iterdir()) == [tmp_path / "stock.pt"]


def test_a_checkpoint_that_translates_otherwise_is_not_published(checkpoint, pieces, tmp_path, monkeypatch):
    honest = export.stock_state

    def broken(state, langs):
        changed = honest(state, langs)
        changed["model"] = {
            name: torch.zeros_like(tensor) if "fc2" in name else tensor for name, tensor in changed["model"].items()
        }
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


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--quantization", "int3"], "--quantization is int3"),
        (["--data", "nowhere"], "--data nowhere does not exist"),
        (["--checkpoint", "nothing.pt"], "student nothing.pt does not exist"),
        (["--out", "THERE"], "is there already"),
    ],
)
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
    together = list(translator.translations(lines))
    assert len(together) == 130
    assert [together[i] for i in (3, 64, 129)] == [[Translation("", 0.0)]] * 3
    for i in (0, 1, 63, 65, 127):
        (alone,) = translator.translations([lines[i]])
        assert together[i][0].text == alone[0].text != ""


def test_an_export_is_a_teacher_of_text(model):
    """`seqkd decode --teacher ct2:…` reads what `lskd translate` says."""
    lines = [" ".join("abcdefgh"[(i * k) % 8] for k in range(1, 2 + i % 5)) for i in range(20)]
    engine = CTranslate2TextEngine(model, tokens_of(model, None, Direction()), converted_facts(model).positions)
    found = engine.translate_text([*lines, ""], DecodeSettings())
    assert [of_one[0].text for of_one in found[:-1]] == Translator(model, threads=1).translate(lines)
    assert found[-1] == []
    with pytest.raises(LskdError, match="translates from aa to bb, and the languages are bb and aa"):
        open_teacher(f"ct2:{model}", None, Direction(langs=("bb", "aa")), "ctranslate2")
    assert open_teacher(f"ct2:{model}", None, Direction(langs=("aa", "bb")), "ctranslate2").positions == 1023


def test_the_package_offers_a_translator_and_stays_light(model, pieces):
    """As in the documentation: in a fresh process, which torch and fairseq are kept from."""
    lines = ["a b c", "", "d e"]
    code = (
        "import sys; before = set(sys.modules); import lskd_nmt; light = len(set(sys.modules) - before)\n"
        "sys.modules.update(dict.fromkeys(['fairseq', 'torch']))\n"
        "from lskd_nmt import Translator\n"
        f"translator = Translator({str(model)!r}, threads=1)\n"
        f"print([light < 30, translator.translate({lines!r}), translator.translate({lines!r}, beam=1)[1]])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = [best[0].text for best in Translator(model, threads=1).translations(lines)]
    assert done.stdout == f"{[True, expected, '']}\n" and expected[1] == "" and expected[0]
    import lskd_nmt

    assert lskd_nmt.Translator is Translator
    with pytest.raises(AttributeError, match="module 'lskd_nmt' has no attribute 'Translater'"):
        lskd_nmt.Translater  # noqa: B018
    with pytest.raises(LskdError, match="this is one text: put it into a list"):
        Translator(model).translate("a b c")
    with pytest.raises(LskdError, match="the device is 'tpu': one of cpu, cuda, auto"):
        Translator(model, device="tpu")


def test_the_best_come_first(model):
    (best,) = Translator(model, threads=1).translations(["a b c"], beam=4, nbest=3)
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
    monkeypatch.setattr("sys.stdin", typed("a b\n\nc\n"))
    assert cli.main(["translate", str(model), "--threads", "1"]) == 0
    assert [line == "" for line in capsys.readouterr().out.splitlines()] == [False, True, False]
    monkeypatch.setattr("sys.stdin", typed("a b\n"))
    assert cli.main(["translate", str(model), "--nbest", "2", "--beam", "2"]) == 0
    rich = [line.split(" ||| ") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rich] == ["0", "0"] and float(rich[0][2]) >= float(rich[1][2])


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--beam", "0"], "--beam is 0"),
        (["--nbest", "9"], "--nbest is 9 and --beam is 5"),
        (["--beam", "100000"], "--beam is 100000: give 1 to 1000"),
        (["--beam", "9" * 20], f"--beam is {'9' * 20}"),
        (["--threads", "9" * 15], f"--threads is {'9' * 15}: give"),
    ],
)
def test_beams_that_cannot_be_are_refused(flags, part, model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", typed("a\n"))
    assert cli.main(["translate", str(model), *flags]) == 2
    assert part in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused(tmp_path, capsys):
    assert cli.main(["translate", str(tmp_path)]) == 2
    assert "has no model.bin: give a folder of lskd export" in capsys.readouterr().err


def test_an_export_says_how_its_text_was_prepared(checkpoint, pieces, model, tmp_path):
    facts = json.loads((model / "export.json").read_text())
    assert (facts["source_lang"], facts["target_lang"], facts["form"]) == ("aa", "bb", None)  # data of others
    assert facts["max_source_positions"] == facts["max_target_positions"] == 1024
    assert sorted(facts["sha256"]) == ["config.json", "model.bin", "shared_vocabulary.json", "spm.model"]
    state = read_checkpoint(str(checkpoint), "x")
    for form in ("raw", "fairseq14"):
        (tmp_path / "prep.json").write_text(json.dumps({"form": form}))
        assert export.described(Export(), state, tmp_path / "bin", LANGS).form == form


def flipped(content: bytes) -> bytes:
    """The bytes with one bit changed, far from the ends."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = {
    "flipped": flipped,
    "cut": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b" ",
    "empty": lambda content: b"",
    "garbage": lambda content: random.Random(1).randbytes(3000),
    "list": lambda content: b"[1, 2]",
    "object": lambda content: b"{}",
    "number": lambda content: b"3",
    "half": lambda content: b'{"a": ',
}
SAME = {("longer", "export.json"), ("object", "export.json")}  # JSON, and what a folder of an older version may hold
FILES = ["model.bin", "config.json", "shared_vocabulary.json", "spm.model", "export.json"]


@pytest.fixture
def copy(model, tmp_path):
    """An exported folder of one's own."""
    return shutil.copytree(model, tmp_path / "copy")


def refusals(folder, pieces, capsys, monkeypatch) -> list[str]:
    """What `translate` and `compare` say of a folder: each one line."""
    monkeypatch.setattr("sys.stdin", typed("a\n"))
    assert cli.main(["translate", str(folder), "--threads", "1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if "has no hashes" not in line]
    assert len(lines) == 1 and lines[0].startswith("lskd translate: error: "), lines
    return lines


@pytest.mark.parametrize("damage, name", sorted({*product(DAMAGES, FILES)} - SAME))
def test_a_sealed_folder_with_another_byte_is_refused(name, damage, copy, pieces, capsys, monkeypatch):
    file = copy / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    (line,) = refusals(copy, pieces, capsys, monkeypatch)
    assert name in line and "with lskd export" in line
    with pytest.raises(LskdError, match=name):
        examine("int8", copy, fairseq_io.read_symbols(str(pieces), LANGS))


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_sealed_folder_without_one_of_its_files_is_refused(name, copy, capsys, monkeypatch, pieces):
    (copy / name).unlink()
    assert f"has no {name}" in refusals(copy, pieces, capsys, monkeypatch)[0]
    (copy / name).mkdir()
    assert f"has no {name}" in refusals(copy, pieces, capsys, monkeypatch)[0]


def test_a_vocabulary_that_was_added_is_refused(copy, capsys, monkeypatch, pieces):
    (copy / "source_vocabulary.json").write_text("[]")
    assert "holds source_vocabulary.json, which was not exported" in refusals(copy, pieces, capsys, monkeypatch)[0]


@pytest.mark.parametrize("name", FILES[:-1])
@pytest.mark.parametrize("damage", sorted({*DAMAGES} - {"flipped", "longer"}))
def test_an_old_folder_with_garbage_is_one_line(name, damage, copy, pieces, capsys, monkeypatch):
    """There are no hashes: what cannot be loaded is refused, the rest cannot be told."""
    (copy / "export.json").write_text('{"to": "ctranslate2", "quantization": "int8"}')
    file = copy / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    refusals(copy, pieces, capsys, monkeypatch)


@pytest.mark.parametrize("facts", [None, {}, {"to": "ctranslate2", "quantization": "float32"}])
def test_a_folder_of_an_older_version_translates_with_a_remark(facts, model, copy, monkeypatch, capsys, pieces):
    (copy / "export.json").unlink()
    if facts is not None:
        (copy / "export.json").write_text(json.dumps(facts))
    answers = []
    for folder in (model, copy):
        monkeypatch.setattr("sys.stdin", typed("a b c\n"))
        assert cli.main(["translate", str(folder), "--threads", "1"]) == 0
        answers.append(capsys.readouterr())
    assert answers[0].out == answers[1].out and answers[0].err == ""
    assert answers[1].err.count("\n") == 1 and "has no hashes, as older versions made it" in answers[1].err
    assert examine("int8", copy, fairseq_io.read_symbols(str(pieces), LANGS)).kind == "ctranslate2"


def test_a_sentencepiece_model_of_other_text_is_not_exported(checkpoint, pieces, tmp_path):
    from lskd_nmt.data import subwords

    data = shutil.copytree(pieces, tmp_path / "bin")
    (tmp_path / "text").write_text("abcd efgh abcd\n" * 20)
    subwords.learn([tmp_path / "text"], tmp_path / "spm", 13)
    shutil.copyfile(tmp_path / "spm.model", data / "spm.model")
    with pytest.raises(LskdError, match=r"spm.model cuts \d of the 24 lines of valid as they are in the data"):
        export.export_ctranslate2(checkpoint, data, LANGS, tmp_path / "model", lambda line: None)
    (data / "spm.model").write_bytes(b"garbage")
    with pytest.raises(LskdError, match=r"spm.model is no sentencepiece model"):
        export.export_ctranslate2(checkpoint, data, LANGS, tmp_path / "model", lambda line: None)
    assert not list(tmp_path.glob("*model.part*")) and not (tmp_path / "model").exists()


def test_ctranslate2_s_own_converter_reads_the_stock_checkpoint(checkpoint, pieces, model, tmp_path, monkeypatch):
    """Without the plugin and without turning its safety off; it makes what we make of the original."""
    from ctranslate2.converters import FairseqConverter

    monkeypatch.setattr(export, "translate_with_fairseq", lambda *_, **__: [])
    export.export_fairseq(checkpoint, pieces, LANGS, tmp_path / "stock.pt", lambda line: None)
    FairseqConverter(str(tmp_path / "stock.pt"), str(pieces)).convert(str(tmp_path / "ct2"))
    for file in ("model.bin", "config.json", "shared_vocabulary.json"):
        assert (tmp_path / "ct2" / file).read_bytes() == (model / file).read_bytes()


@pytest.mark.parametrize("to", ["fairseq", "ctranslate2"])
def test_what_a_killed_export_left_is_removed_by_the_next(to, checkpoint, pieces, tmp_path, monkeypatch):
    make = {"fairseq": export.export_fairseq, "ctranslate2": export.export_ctranslate2}[to]
    monkeypatch.setattr(export, "translate_with_fairseq", lambda *_, **__: [])
    monkeypatch.setattr(export, "translate_pieces", lambda *_: [])
    monkeypatch.setattr(export, "corpus_bleu", lambda *_: 1.0)
    for name in ("m.part.killed", "m.part.theirs"):
        (tmp_path / name).mkdir()
    folders.mark(tmp_path / "m.part.killed", export.WHAT)
    make(checkpoint, pieces, LANGS, tmp_path / "m", lambda line: None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m", "m.part.theirs"]  # only what it has made itself


def test_an_export_in_progress_is_not_disturbed(checkpoint, pieces, tmp_path):
    with folders.hold(tmp_path / "m", "lskd export"), pytest.raises(LskdError, match="is being written by process"):
        export.export_ctranslate2(checkpoint, pieces, LANGS, tmp_path / "m", lambda line: None)


def test_a_child_ends_with_a_caller_that_is_killed(tmp_path):
    program = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from lskd_nmt.deploy import export
start = export.WITH_CALLER.split("from fairseq_cli")[0]
with export.lifeline() as stdin:
    program = start + "print(os.getpid(), flush=True); threading.Event().wait()"
    subprocess.run([sys.executable, "-c", program], stdin=stdin)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as caller:
        child = int(caller.stdout.readline())
        os.kill(caller.pid, signal.SIGKILL)
        for _ in range(200):
            if not os.path.exists(f"/proc/{child}"):
                break
            time.sleep(0.05)
        assert not os.path.exists(f"/proc/{child}")
