"""Every verb with what older fairseq made: see `old_world`."""

import argparse
import json

import numpy as np
import old_world
import pytest
import torch

from lskd_nmt import cli, fairseq_io
from lskd_nmt.analysis.features.folder import open_features
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import DictionaryPair, direction
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
