"""Every verb with what older fairseq made: see `old_world`."""

import argparse
import json
import shutil

import numpy as np
import old_world
import pytest
import torch
from conftest import train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.analysis.features.folder import open_features
from lskd_nmt.data.moses import detokenised
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.deploy import export
from lskd_nmt.deploy.translate import Translator
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import DictionaryPair, direction
from lskd_nmt.seqkd.engines import FairseqEngine, best
from lskd_nmt.teacher import online, vocabulary


@pytest.fixture(scope="session")
def world(plugin, tmp_path_factory):
    return old_world.make(tmp_path_factory.mktemp("world"))


@pytest.fixture
def lskd(capsys):
    """A call of `lskd`: what it answers, and its lines on stderr."""

    def call(*words: object) -> tuple[dict, list[str]]:
        capsys.readouterr()
        assert cli.main(list(map(str, words))) == 0
        out, err = capsys.readouterr()
        return json.loads(out.splitlines()[-1]), err.splitlines()

    return call


@pytest.fixture
def in_one_line(capsys):
    """A call of `lskd` that is refused, and the line."""

    def call(*words: object) -> str:
        capsys.readouterr()
        assert cli.main(list(map(str, words))) == 2
        (line,) = [each for each in capsys.readouterr().err.splitlines() if ": error: " in each]
        return line

    return call


def read_in_the_other_direction(lines) -> bool:
    return any("is of de-en: data folder" in line and "read in that direction" in line for line in lines)


def test_features_are_of_the_direction_that_the_model_was_trained_in(world, lskd, tmp_path):
    flags = ["features", "--checkpoint", world.teacher, "--teacher-data", world.data, "--precision", "fp32"]
    _, said = lskd(*flags, "--data", world.data, "--out", tmp_path / "found")
    assert read_in_the_other_direction(said)
    _, said = lskd(*flags, "--data", world.forward, "--out", tmp_path / "named")
    assert not read_in_the_other_direction(said)
    found, named = open_features(tmp_path / "found"), open_features(tmp_path / "named")
    assert found.header.data.langs == named.header.data.langs == ["de", "en"]
    assert np.array_equal(found.target, named.target)
    assert np.allclose(found.target_log_prob, named.target_log_prob, atol=1e-5)  # batches may be others


def test_older_names_of_weights_are_the_same_model(world, lskd, tmp_path):
    found = []
    for checkpoint in (world.teacher, world.directory / "modern" / "checkpoint_last.pt"):
        flags = ["--checkpoint", checkpoint, "--teacher-data", world.data, "--data", world.data, "--precision", "fp32"]
        lskd("features", *flags, "--out", tmp_path / checkpoint.stem)
        found.append(open_features(tmp_path / checkpoint.stem))
    for name in ("state", "entropy", "top_log_prob", "projection"):
        assert np.allclose(getattr(found[0], name), getattr(found[1], name), atol=1e-6)


def test_a_student_learns_from_it_in_its_direction(world, tmp_path, refused):
    kd = ["--teacher-path", world.teacher, "--teacher-data", world.data, "--kd-weight", 0.5, "--max-update", 2]
    kd += ["--arch", "transformer_iwslt_de_en"]
    with refused() as line:
        train(world.data, tmp_path / "wrong", *kd)
    assert "read them the other way, with -s de -t en" in line[0]
    student = train(world.data, tmp_path / "student", *kd, "-s", "de", "-t", "en") / "checkpoint_last.pt"
    symbols = vocabulary.stored_symbols(torch.load(student, weights_only=False), ("de", "en"))
    assert symbols == fairseq_io.read_symbols(str(world.data), ("de", "en"))


def test_calibration_counts_the_words_of_before_the_subwords(world, lskd, tmp_path):
    flags = ["--checkpoint", world.teacher, "--teacher-data", world.data, "--data", world.data]
    lskd("features", *flags, "--out", tmp_path / "f")
    lskd("calibrate", tmp_path / "f", "--out", tmp_path / "c.json")
    lines = (world.tokens / "valid.en").read_text("utf-8").splitlines()
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["word"]["units"] == sum(len(line.split()) + 1 for line in lines)  # each line has an end


def test_what_the_teacher_translates_is_chosen_for_the_same_direction(world, lskd, tmp_path):
    flags = ["--teacher-path", world.teacher, "--teacher-data", world.data, "--data", world.data, "--workers", 1]
    answer, said = lskd("seqkd", "decode", *flags, "--out", tmp_path / "decoded")
    assert read_in_the_other_direction(said) and answer["rows"] == old_world.PAIRS["train"]
    check = json.loads((tmp_path / "decoded" / "check.json").read_text())
    assert check["identical"]["float32"] > 0.95 and check["bleu"]["fairseq"] > 20  # it has learned something
    for more in ([], ["--method", "interpolate", "--max-ratio", 9]):
        out = tmp_path / f"chosen{len(more)}"
        answer, said = lskd(
            "seqkd", "select", "--decoded", tmp_path / "decoded", "--data", world.data, "--out", out, *more
        )
        assert read_in_the_other_direction(said) and answer["sentences_without"] == 0
    lines = [json.loads(line) for line in (tmp_path / "decoded" / "rows.jsonl").read_text("utf-8").splitlines()]
    words = {word for row in lines for word in row["hyps"][0][0].replace("@@ ", "").split()}
    assert words & {"house", "houses", "tree", "trees", "dog", "dogs", "big", "peter", "&apos;s"}


def test_a_teacher_may_call_its_languages_otherwise(world, lskd, tmp_path):
    path = tmp_path / "teacher.pt"
    old_world.make_old(world.directory / "modern" / "checkpoint_last.pt", path, source_lang="ger", target_lang="eng")
    flags = ["--teacher-path", path, "--teacher-data", world.forward, "--data", world.forward, "--engine", "fairseq"]
    answer, _ = lskd("seqkd", "decode", *flags, "--split", "valid", "--workers", 1, "--out", tmp_path / "decoded")
    assert answer["rows"] == old_world.PAIRS["valid"] and answer["empty_rows"] == 0


def test_data_in_the_other_direction_are_named_as_such(world, in_one_line, tmp_path):
    flags = ["--checkpoint", world.teacher, "--teacher-data", world.data, "--data", world.data, "--out", tmp_path / "f"]
    line = in_one_line("features", *flags, "-s", "en", "-t", "de")
    assert "translates de to en, and the data are read as en-de: read them the other way, with -s de -t en" in line
    assert "--source-lang is fr, and data folder" in in_one_line("features", *flags, "-s", "fr")
    assert not (tmp_path / "f").exists()


def test_a_list_of_data_folders_is_quoted_by_its_first(world, in_one_line, tmp_path):
    flags = ["--checkpoint", world.teacher, "--data", world.data, "--out", tmp_path / "f"]
    assert "its settings name data-bin/iwslt14.tokenized.de-en, a relative path" in in_one_line("features", *flags)
    args = argparse.Namespace(data=[str(world.data), "elsewhere"])
    assert vocabulary.recorded_data({"args": args}) == str(world.data)


def test_one_language_is_enough_and_no_wish_is_overruled(world):
    folder, lines = str(world.data), []
    assert direction(folder, ("de", None)) == direction(folder, (None, "en")) == ("de", "en")
    assert direction(folder, (None, None)) == ("en", "de")
    assert direction(folder, ("en", "de"), "m.pt", ("de", "en"), lines.append) == ("en", "de")
    assert lines == ["m.pt is of de-en, and the data are read as en-de"]


def test_one_dictionary_fits_both_directions_and_the_teacher_says_which_it_was(data, teacher, tmp_path):
    state = torch.load(teacher, weights_only=False)
    state["cfg"]["task"].update(source_lang="aa", target_lang="bb")  # as after a training with -s aa -t bb
    torch.save(state, tmp_path / "teacher.pt")
    found = {}
    for langs in (("aa", "bb"), ("bb", "aa")):
        symbols = fairseq_io.read_symbols(str(data), langs)
        found[langs] = str(online.check(str(tmp_path / "teacher.pt"), symbols, None))
    assert found["bb", "aa"] == found["aa", "bb"] + ", trained in the other direction than that of the data"


def test_two_other_dictionaries_are_not_taken_for_the_other_direction():
    with pytest.raises(LskdError, match="source dictionaries differ at 1 indices"):
        vocabulary.require_equal(
            DictionaryPair(["a"], ["b"], ("x", "y")), DictionaryPair(["c"], ["b"], ("x", "y")), "t.pt"
        )


@pytest.fixture(scope="module")
def exported(world, tmp_path_factory):
    """The teacher's CTranslate2 folder, of data that are read in the other direction than their names'."""
    out = tmp_path_factory.mktemp("exported") / "ct2"
    flags = ["--checkpoint", world.teacher, "--data", world.data, "--to", "ctranslate2", "--bpe-codes", world.codes]
    assert cli.main(["export", *map(str, flags), "--out", str(out)]) == 0
    return out


def test_an_export_says_how_text_goes_in_and_comes_out(exported, world):
    content = json.loads((exported / "export.json").read_text())
    how = {"moses": True, "escape": False, "hyphens": False, "lowercase": True}
    lines = old_world.PAIRS["valid"]
    text = {"subwords": "bpe.codes", "source": how, "target": how | {"escape": True}, "lines": lines}
    text |= {"same_subwords": lines, "comes_out": "detokenised by Moses' rules, in lower case"}
    assert content["text"] == text
    assert (content["source_lang"], content["target_lang"], content["identical"]) == ("de", "en", lines)
    assert (exported / "bpe.codes").read_bytes() == world.codes.read_bytes()


def test_text_is_translated_as_fairseq_translates_its_subwords(exported, world):
    """Capitals and full stops at words, as people write; what comes out is the decoder's words as text."""
    words = (world.tokens / "test.de").read_text("utf-8").splitlines()
    written = [line.removesuffix(" .").title() + "." for line in words]
    assert written[0][0].isupper() and " ." not in written[0]
    engine = fairseq_engine(world)
    pieces = (world.text / "test.de").read_text("utf-8").splitlines()
    expected = [best[0].pieces for best in engine.translate([line.split() for line in pieces], DecodeSettings())]
    expected = detokenised([line.replace("@@ ", "") for line in expected], "en")
    found = Translator(exported, threads=1).translate(written)
    assert found == expected and any("peter's" in line for line in found)


def fairseq_engine(world):
    return FairseqEngine([str(world.teacher)], str(world.data), ("de", "en"))


def test_models_of_the_other_direction_are_compared_in_theirs(exported, world, lskd, tmp_path):
    models = [f"teacher={world.teacher}", f"exported={exported}"]
    flags = ["--repeats", 1, "--threads", 1, "--sentences", 2, "--out", tmp_path / "c"]
    answer, said = lskd("benchmark", "--data", world.data, "--models", *models, *flags)
    assert any("'teacher' is of de-en: data folder" in line for line in said)
    assert answer["bleu"][0] == answer["bleu"][1] > 10


def test_a_stock_checkpoint_of_args_is_written_as_one_of_cfg(world, lskd, tmp_path, monkeypatch):
    def translated(checkpoint, data, langs, split, *_):  # in this process, which is twelve seconds quicker
        source, _ = fairseq_io.piece_lines(str(data), langs, split)
        engine = FairseqEngine([str(checkpoint)], str(data), langs)
        return best(engine.translate([line.split() for line in source], DecodeSettings()))

    monkeypatch.setattr(export, "translate_with_fairseq", translated)
    flags = ["--checkpoint", world.teacher, "--data", world.data, "--to", "fairseq", "--out", tmp_path / "stock.pt"]
    answer, _ = lskd("export", *flags)
    assert answer["identical"] == answer["sentences"] == old_world.PAIRS["valid"]
    task = fairseq_io.section(fairseq_io.read_checkpoint(str(tmp_path / "stock.pt"), "x"), "task")
    assert (task["source_lang"], task["target_lang"]) == ("de", "en")


BAD_EXPORTS = [
    ([], "has no spm.model: give --spm FILE, or --bpe-codes FILE"),
    (["--bpe-codes", "nowhere"], "nowhere does not exist: give what subword-nmt"),
    (["--bpe-codes", "TOKENS"], "and no pair of symbols to merge"),
    (["--spm", "CODES"], "is no sentencepiece model"),
    (["--bpe-codes", "CODES", "--spm", "CODES"], "both given"),
    (["--bpe-codes", "CODES", "--form", "spacy"], "--form is spacy: one of raw, moses"),
    (["--bpe-codes", "OTHER"], "cuts 0 of the 12 lines of valid as they are in the data"),
]


@pytest.mark.parametrize("flags, part", BAD_EXPORTS)
def test_an_export_that_cannot_be_is_refused_in_one_line(flags, part, world, in_one_line, tmp_path):
    (tmp_path / "other").write_text("#version: 0.2\nq q\n")
    named = {"CODES": world.codes, "TOKENS": world.tokens / "train.de", "OTHER": tmp_path / "other"}
    flags = [named.get(flag, flag) for flag in flags]
    call = ["export", "--checkpoint", world.teacher, "--data", world.data, "--to", "ctranslate2", *flags]
    assert part in in_one_line(*call, "--out", tmp_path / "m")
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


def test_codes_of_another_kind_in_a_folder_are_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "m")
    (tmp_path / "m" / "bpe.codes").write_text("no codes\n")
    with pytest.raises(LskdError, match=r"bpe\.codes is not the file that was exported"):
        Translator(tmp_path / "m")


def test_text_without_a_target_side_is_translated_by_words_that_the_data_tell(world, lskd, in_one_line, tmp_path):
    """With the codes in the data folder; what is chosen is in the student's `@@` subwords again."""
    shutil.copytree(world.data, tmp_path / "bin")
    (tmp_path / "mono.de").write_text("Häuser groß Hunde Bäume Haus Peters.\nBaum Baum Baum Baum Baum Baum.\n", "utf-8")
    flags = ["--teacher-path", world.teacher, "--teacher-data", world.data, "--data", tmp_path / "bin"]
    flags += ["--source", tmp_path / "mono.de", "--workers", 1, "--engine", "fairseq", "--out", tmp_path / "decoded"]
    assert "or the BPE codes of subword-nmt as bpe.codes" in in_one_line("seqkd", "decode", *flags)
    shutil.copyfile(world.codes, tmp_path / "bin" / "bpe.codes")
    answer, _ = lskd("seqkd", "decode", *flags)
    assert answer["rows"] == 2
    rows = [json.loads(line) for line in (tmp_path / "decoded" / "rows.jsonl").read_text("utf-8").splitlines()]
    words = {word for row in rows for text in row["texts"] for word in text.removesuffix(".").split()}
    assert words <= {"house", "houses", "tree", "trees", "dog", "dogs", "big", "peter's"}
    flags = ["--data", tmp_path / "bin", "--monolingual", tmp_path / "decoded", "--out", tmp_path / "h"]
    answer, _ = lskd("seqkd", "select", *flags)
    assert answer["sentences"] == 2
    source, target = fairseq_io.piece_lines(str(tmp_path / "h" / "bin"), ("de", "en"), "train")
    assert [line.replace("@@ ", "") for line in source][1] == "baum baum baum baum baum baum ."
    assert all("<unk>" not in line and line.endswith(" .") for line in target)
