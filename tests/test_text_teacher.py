"""`lskd seqkd decode --teacher hf:… | ct2:…`: a ledger of text that says who translated, and what is refused."""

import gzip
import json
import pickle
import shutil

import foreign
import pytest

from lskd_nmt import cli
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError
from lskd_nmt.hf_io.folders import Described, describe
from lskd_nmt.hf_io.models import convert
from lskd_nmt.hf_io.tokens import Direction
from lskd_nmt.seqkd import ledger, text_check
from lskd_nmt.seqkd.text_engines import TransformersEngine
from lskd_nmt.seqkd.text_teacher import open_teacher, with_ctranslate2, with_transformers
from lskd_nmt.seqkd.text_tokens import converted_facts
from lskd_nmt.storage.typed import read_record
from lskd_nmt.teacher.source import TextHypothesis

PREFIX = "translate English to German: "
FEW = ["--workers", 1, "--device", "cpu", "--shard-sentences", 25, "--max-len-a", 1, "--max-len-b", 4]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """A folder of a kind, made once."""
    there = {}

    def make(kind: str):
        if kind not in there:
            there[kind] = getattr(foreign, kind)(tmp_path_factory.mktemp(kind) / "model")
        return there[kind]

    return make


@pytest.fixture
def prompt(tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("lodge: {source} son:\n")
    return file


def run(*flags) -> None:
    code = cli.main(["seqkd", "decode", *map(str, flags)])
    if code:
        raise SystemExit(code)


def decode(data, out, teacher, *flags) -> ledger.Ledger | None:
    run("--teacher", teacher, "--data", data, "--out", out, *FEW, *flags)
    return read_record(out / "ledger.json", ledger.Ledger) if (out / "ledger.json").is_file() else None


def test_a_translation_model(teachers, data, tmp_path):
    """T5 through CTranslate2, in two parts: the rows are what transformers' generate says of the same sentences."""
    folder, out = teachers("t5"), tmp_path / "out"
    told = f"hf:{folder}", "--teacher-prefix", PREFIX, "--beam", 2, "--nbest", 2
    assert decode(data, out, *told, "--part", "2/2") is None
    assert (out / "check.json").is_file()
    made = decode(data, out, *told, "--part", "1/2")
    assert sorted(file.name for file in out.iterdir()) == ["check.json", "ledger.json", "plan.json", "rows.jsonl"]
    assert made.rows == 60 and made.hypotheses == 120 and made.teacher[0].arch == "t5"
    assert made.translator.kind == "hf" and not made.translator.language_model and made.stripped is None
    assert made.translator.prefix == PREFIX and set(made.translator.versions) >= {"transformers", "ctranslate2"}
    rows = list(ledger.read_rows(out / "rows.jsonl"))
    settings = DecodeSettings(beam=2, nbest=2, max_len_a=1, max_len_b=4)
    engine = TransformersEngine(folder, describe(folder), Direction(prefix=PREFIX))
    wanted = engine.translate_text([row.source_text for row in rows[:25]], settings)
    assert [list(row.texts) for row in rows[:25]] == [[each.text for each in of_one] for of_one in wanted]
    check = read_record(out / "check.json", text_check.TextCheck)
    assert check.sentences == 60 and check.identical == {"float32": 1.0}
    before = (out / "rows.jsonl").read_bytes()
    decode(data, out, *told)  # is complete
    assert (out / "rows.jsonl").read_bytes() == before
    with pytest.raises(SystemExit):
        decode(data, out, f"hf:{folder}", "--beam", 2, "--nbest", 2)  # with another prefix


def test_text_without_a_target_side(teachers, pieces, tmp_path, capsys):
    """Cleaned as for fairseq's teachers, and translated by T5."""
    new = [f"{word} h h h h h h" for word in "abcdefg"]
    source = tmp_path / "mono.txt.gz"
    source.write_bytes(gzip.compress("".join(f"{line}\n" for line in [*new, "", new[0], "x " * 200]).encode()))
    told = "--source", source, "--teacher-prefix", PREFIX, "--beam", 1
    made = decode(pieces, tmp_path / "out", f"hf:{teachers('t5')}", *told, "--shard-sentences", 4)
    assert made.text.dropped == {"empty": 1, "long": 1, "repeated": 1} and made.text.lines == 10
    rows = list(ledger.read_rows(tmp_path / "out" / "rows.jsonl"))
    assert [row.source_text for row in rows] == new
    engine = TransformersEngine(teachers("t5"), describe(teachers("t5")), Direction(prefix=PREFIX))
    wanted = engine.translate_text(new, DecodeSettings(beam=1, max_len_a=1, max_len_b=4))
    assert [row.texts for row in rows] == [(of_one[0].text,) for of_one in wanted]


def test_what_makes_a_translator_goes_to_other_processes(teachers, tmp_path):
    teacher = open_teacher(f"hf:{teachers('t5')}", None, Direction(prefix=PREFIX), "ctranslate2")
    for make in (with_transformers(teacher), with_ctranslate2(teacher, tmp_path)):
        assert repr(pickle.loads(pickle.dumps(make))) == repr(make)


def test_a_language_model_is_marked_and_what_is_stripped_counted(teachers, data, tmp_path, prompt, monkeypatch, capsys):
    talks = '<think>hm</think>Sure, here it is:\n"Ein Satz."\n\nI hope that helps.'
    monkeypatch.setattr(
        TransformersEngine, "answers", lambda self, group, *_: [[TextHypothesis(talks, -1.0)] for _ in group]
    )
    told = f"hf:{teachers('llama')}", "--prompt", prompt, "--engine", "transformers", "--beam", 1
    made = decode(data, tmp_path / "out", *told)
    assert made.translator.language_model and made.translator.chat_template
    assert made.translator.prompt == "lodge: {source} son:"
    rows = list(ledger.read_rows(tmp_path / "out" / "rows.jsonl"))
    answered = [row for row in rows if row.texts]
    assert answered and {row.texts for row in answered} == {("Ein Satz.",)}
    rules = {"thoughts", "announcement", "explanation", "quotation marks"}
    assert made.stripped == dict.fromkeys(rules, len(answered)) and set(answered[0].stripped) == rules
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["language_model"] and said["stripped"] == made.stripped


def test_a_folder_of_ctranslate2_with_a_tokenizer_elsewhere(teachers, data, tmp_path, prompt):
    folder, converted = teachers("gpt2"), tmp_path / "converted"
    convert(folder, converted, describe(folder))
    told = f"ct2:{converted}", "--prompt", prompt, "--teacher-tokenizer", f"hf:{folder}", "--beam", 1
    made = decode(data, tmp_path / "out", *told)
    assert made.translator.kind == "ct2" and made.translator.language_model and not made.translator.chat_template
    assert made.settings["quantization"] == "default" and made.hypotheses > 0


def test_engines_that_differ_are_refused_and_nothing_is_left(teachers, data, tmp_path, monkeypatch, refused):
    monkeypatch.setattr(
        TransformersEngine, "answers", lambda self, group, *_: [[TextHypothesis("else", 0.0)] for _ in group]
    )
    with refused() as line:
        decode(data, tmp_path / "out", f"hf:{teachers('t5')}", "--beam", 1)
    assert "0.0 % of CTranslate2's translations are those of transformers (at least 85 %)" in line[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind, flags, complaint",
    [
        ("t5", ["--engine", "fairseq"], "--engine is fairseq, and --teacher is hf:"),
        ("t5", ["--prompt", "prompt.txt"], "is a translation model, which takes no --prompt"),
        ("t5", ["--teacher-source-lang", "en"], "has no languages: leave them out, or say it in words"),
        ("t5", ["--teacher-tokenizer", "hf:x"], "--teacher-tokenizer is for ct2"),
        ("gpt2", [], "is a language model: give --prompt FILE with {source}"),
        ("gpt2", ["--prompt", "none.txt"], "none.txt is no file"),
        ("gpt2", ["--prompt", "bare.txt"], "bare.txt has no {source}: write it where the source sentence is to stand"),
        ("marian", [], "translates from en to de, and the languages are aa and bb (-s, -t)"),
    ],
)
def test_what_a_teacher_cannot_do(teachers, data, tmp_path, refused, monkeypatch, prompt, kind, flags, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.txt").write_text("Translate this.")
    with refused() as line:
        decode(data, tmp_path / "out", f"hf:{teachers(kind)}", *flags)
    assert complaint in line[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "teacher, complaint",
    [
        ("marian:x", "--teacher is marian:x: give fairseq:CHECKPOINT, hf:FOLDER-OR-NAME or ct2:FOLDER"),
        ("ct2:none", "--teacher ct2:none is no folder"),
        ("ct2:.", "has no model.bin: give a folder that a converter of CTranslate2"),
        ("hf:.", "has no config.json"),
        ("hf:no/such", "no/such is not a folder and cannot be fetched"),
    ],
)
def test_what_is_no_teacher(data, tmp_path, refused, monkeypatch, teacher, complaint):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with refused() as line:
        decode(data, tmp_path / "out", teacher)
    assert complaint in line[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("engine", ["ctranslate2", "transformers"])
@pytest.mark.parametrize("content", [None, b"{}"])
def test_a_folder_without_weights_that_can_be_read(teachers, data, tmp_path, refused, engine, content):
    folder = tmp_path / "model"
    shutil.copytree(teachers("t5"), folder)
    (folder / "model.safetensors").unlink()
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)
    with refused() as line:
        decode(data, tmp_path / "out", f"hf:{folder}", "--engine", engine)
    assert str(folder) in line[0]
    assert not (tmp_path / "out").exists()


def test_a_converted_model_that_is_none(data, tmp_path, refused):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"nothing")
    (folder / "shared_vocabulary.json").write_text(json.dumps(foreign.pieces()))
    (folder / "spm.model").write_bytes(foreign.sentencepiece_model())
    with refused() as line:
        decode(data, tmp_path / "out", f"ct2:{folder}")
    assert f"CTranslate2 cannot load {folder}" in line[0]
    assert not (tmp_path / "out").exists()


def test_flags_of_one_kind_are_not_for_others(data, tmp_path, refused):
    for flags, complaint in (
        (["--teacher", "fairseq:a.pt", "--teacher-prefix", "x"], "--teacher-prefix is for teachers with a tokenizer"),
        (["--teacher", "fairseq:a.pt", "--teacher-path", "a.pt"], "give --teacher or --teacher-path, not both"),
        (["--teacher-path", "a.pt", "--engine", "transformers"], "--engine is transformers, which runs models of hf"),
        ([], "no teacher is named: give --teacher fairseq:CHECKPOINT"),
    ):
        with refused() as line:
            run("--data", data, "--out", tmp_path / "out", *flags)
        assert complaint in line[0]


def test_a_model_that_ctranslate2_does_not_know(tmp_path):
    with pytest.raises(LskdError, match="a fsmt with two vocabularies: use --engine transformers"):
        convert(tmp_path, tmp_path / "out", Described("fsmt", False, 64, True))
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(LskdError, match="has none of shared_vocabulary"):
        converted_facts(tmp_path)
