"""Test sets beside the data's own: read, refused, decoded and scored like the main one, which they leave as it is."""

import itertools
import json
import os
import shutil

import numpy as np
import pytest
import test_decode_engine
import test_given_teachers
from bench import TEXT
from test_adopt import config

from lskd_nmt import fairseq_io
from lskd_nmt.cli import main
from lskd_nmt.data import language_check
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import set_steps, steps, test_sets
from lskd_nmt.experiment.adopt import adopt
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results.signature import expansion
from lskd_nmt.storage.files import read_json, read_lines, sha256

NAME = test_decode_engine.NAME
trained = test_decode_engine.run  # a run with one trained model that is not decoded, aa to bb


def texts(folder, name, source, *references, langs=("aa", "bb")):
    """Files of a test set; the path before their languages."""
    folder.mkdir(exist_ok=True)
    more = [""] if len(references) == 1 else [f".{number}" for number in range(len(references))]
    for ending, lines in [
        (langs[0], source),
        *((langs[1] + n, each) for n, each in zip(more, references, strict=True)),
    ]:
        (folder / f"{name}.{ending}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder / name


def evaluate(run, *sets):
    machine, said = steps.Machine("cpu", 1, ("--cpu",)), []
    assert set_steps.run_on_sets(Run(run), NAME, "evaluate", machine, said.append, said.append, sets) == 0
    return said


def reversed_words(lines):
    return [" ".join(reversed(line.split())) for line in lines]


def test_a_set_of_the_main_sets_source_is_binarised_and_translated_as_that_is(trained, tmp_path):
    evaluate(trained)
    folder = trained / "models" / NAME
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}
    source = read_lines(Run(trained).text("test", "source"))
    own = texts(tmp_path / "more", "own", source, reversed_words(source))
    words = ["score-set", trained, "--name", "own", "--source", f"{own}.aa", "--reference", f"{own}.bb"]
    assert main([*map(str, words), "--device", "cpu"]) == 0
    for ending in ("idx", "bin"):  # the references are other words; sources are to the byte what preprocess wrote
        name = f"bin/test.aa-bb.aa.{ending}"
        assert (trained / "tests/own" / name).read_bytes() == (trained / "data" / name).read_bytes()
    ids = [
        fairseq_io.split_ids(str(trained / each / "bin"), "test", ("aa", "bb"), (99, 99))[1]
        for each in ("data", "tests/own")
    ]
    assert all(np.array_equal(a[:-1][::-1], b[:-1]) for a, b in zip(*ids, strict=True))
    results = folder / "sets" / "own"
    assert (results / "test.hyp").read_bytes() == (folder / "test.hyp").read_bytes()
    mine, main_ = read_json(results / "metrics.json"), read_json(folder / "metrics.json")
    assert mine["decode"] == main_["decode"] and mine["hyp_sha256"] == main_["hyp_sha256"]
    assert mine["ref_sha256"] == sha256(trained / "tests/own/clean/test.bb") != main_["ref_sha256"]
    assert read_json(results / "decode.json")["command"] == [
        *("lskd", "decode-model", "--run", ".", "--model", NAME, "--set", "own", "--", "--cpu")
    ]
    # the main set's files are untouched
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in before} == before

    made = {file: file.stat().st_mtime_ns for file in trained.rglob("*") if file.is_file()}
    assert main([*map(str, words), "--device", "cpu"]) == 0  # again: nothing is to be done
    changed = {file for file in made if file.stat().st_mtime_ns != made[file]}
    assert {file.name for file in changed} <= {".lock"}


def test_a_set_that_comes_later_has_the_scores_of_one_that_was_planned(trained, tmp_path):
    planned = tmp_path / "planned"
    shutil.copytree(trained, planned, ignore=shutil.ignore_patterns("planned"))
    source = ["a b c", "d e", "f g h a"]
    more = texts(tmp_path / "more", "late", source, reversed_words(source))
    set_steps.add_set(Run(planned), "late", more.with_suffix(".aa"), [more.with_suffix(".bb")])
    evaluate(planned)  # all sets in one process
    evaluate(trained)
    set_steps.add_set(Run(trained), "late", more.with_suffix(".aa"), [more.with_suffix(".bb")])
    assert [line for line in evaluate(trained) if "skipped" in line] == [f"evaluate {NAME}: done, skipped"]
    for name in ("test.hyp", "generate.log", "metrics.json", "sets/late/test.hyp", "sets/late/metrics.json"):
        assert (planned / "models" / NAME / name).read_bytes() == (trained / "models" / NAME / name).read_bytes()


def test_a_set_whose_call_was_killed_goes_on_with_what_is_left(trained, tmp_path, monkeypatch):
    more = texts(tmp_path / "more", "late", ["a b c", "d e"], ["c b a", "e d"])
    view = set_steps.add_set(Run(trained), "late", more.with_suffix(".aa"), [more.with_suffix(".bb")])

    def killed(*what):
        raise KeyboardInterrupt

    for name in ("extract_text", "score"):  # after the search; and before the scores
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(steps, name, killed)
            evaluate(trained, "late")
    translated = view.results(NAME) / "test.hyp"
    before = translated.stat().st_mtime_ns
    assert not (view.results(NAME) / "metrics.json").exists()
    evaluate(trained, "late")
    assert translated.stat().st_mtime_ns == before and (view.results(NAME) / "metrics.json").exists()
    whole = {name: (view.results(NAME) / name).read_bytes() for name in ("test.hyp", "generate.log", "metrics.json")}
    shutil.rmtree(view.results(NAME))
    evaluate(trained, "late")
    assert {name: (view.results(NAME) / name).read_bytes() for name in whole} == whole


def test_fairseq_decodes_the_sets_folder_where_ctranslate2_does_not(trained, tmp_path, monkeypatch):
    calls = []

    def watch(command, folder, log, progress, show):
        calls.append((command[1], log))
        log.write_text("H-1\t-0.5\t▁c\nH-0\t-0.5\t▁a ▁b ▁c ▁d\n")
        return 0

    monkeypatch.setattr(steps, "watch", watch)
    test_decode_engine.planned(trained, "fairseq")
    more = texts(tmp_path / "more", "late", ["d c b a", "b"], ["a b c d", "c"])
    view = set_steps.add_set(Run(trained), "late", more.with_suffix(".aa"), [more.with_suffix(".bb")])
    evaluate(trained, "late")
    assert calls == [("tests/late/bin", view.results(NAME) / "generate.log")]
    assert read_lines(view.results(NAME) / "test.hyp") == ["a b c d", "c"]
    assert read_json(view.results(NAME) / "metrics.json")["bleu"]["score"] == 100
    assert not (trained / "models" / NAME / "test.hyp").exists()


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ((["a b", "c"], ["b a"]), "more/x.aa has 2 lines and .*more/x.bb 1: line i of each reference"),
        ((["a b", "c"], ["b a", "c d"], ["b a"]), "has 2 lines and .*more/x.bb.1 1: line i of each reference"),
        ((["a b", ""], ["b a", "c"]), "x.aa has 1 empty lines .line 2.: fill or remove them"),
        (([], ["b a", "c"]), "x.aa is empty: give a file with one sentence a line"),
        ((["a b", "c"], ["a b", "c"]), "x.aa and .*x.bb are the same text: give different files"),
        ((["a", "c"], ["b", "d"], ["b", "d"]), "x.bb.0 and .*x.bb.1 are the same text: give different files"),
    ],
)
def test_text_that_is_no_test_set_is_refused_and_nothing_is_left(trained, tmp_path, lines, part):
    prefix = texts(tmp_path / "more", "x", *lines)
    with pytest.raises(LskdError, match=part):
        set_steps.add_set(Run(trained), "x", *test_sets.files_of(str(prefix), ("aa", "bb")))
    assert not (trained / "tests").exists() and "tests" not in read_json(trained / "plan.json")


@pytest.mark.parametrize(
    ("name", "files", "part"),
    [
        ("a b", ("x.aa", "x.bb"), "--name is 'a b', it must be a name of letters"),
        ("test", ("x.aa", "x.bb"), "--name is test, which is the run's main test set"),
        ("all", ("x.aa", "x.bb"), "--name is all, which means the mean over all test sets"),
        ("x", ("x.bb", "x.aa"), "x.bb is of bb by its name, and aa is meant: swap the files"),
        ("x", ("none.aa", "x.bb"), "none.aa does not exist: give a text with a sentence a line as --source"),
    ],
)
def test_a_wrong_call_is_one_line(trained, tmp_path, capsys, name, files, part):
    texts(tmp_path / "more", "x", ["a b", "c"], ["b a", "d"])
    words = ["score-set", trained, "--name", name, *zip_flags(tmp_path / "more", files)]
    assert main([*map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lskd score-set: error: ") and part in line
    assert not (trained / "tests").exists()


def test_no_lock_is_left_where_there_is_no_run(tmp_path, capsys):
    prefix = texts(tmp_path / "more", "x", ["a b", "c"], ["b a", "d"])
    words = ["score-set", tmp_path / "none", "--name", "x", "--source", f"{prefix}.aa", "--reference", f"{prefix}.bb"]
    assert main([*map(str, words)]) == 2
    assert "none/plan.json does not exist" in capsys.readouterr().err and not (tmp_path / "none").exists()


def zip_flags(folder, files):
    return [
        word for pair in zip(("--source", "--reference"), files, strict=True) for word in (pair[0], folder / pair[1])
    ]


def test_a_name_that_models_translated_is_not_given_other_text(trained, tmp_path):
    first = texts(tmp_path / "more", "x", ["a b", "c"], ["b a", "d"])
    second = texts(tmp_path / "more", "y", ["a b", "c"], ["b a", "e"])
    set_steps.add_set(Run(trained), "x", *test_sets.files_of(str(first), ("aa", "bb")))
    # nobody translated it: it may be corrected
    set_steps.add_set(Run(trained), "x", *test_sets.files_of(str(second), ("aa", "bb")))
    assert read_lines(trained / "tests/x/clean/test.bb") == ["b a", "e"]
    evaluate(trained, "x")
    with pytest.raises(LskdError, match=f"the test set x has other text in .*, which {NAME} translated: give the new"):
        set_steps.add_set(Run(trained), "x", *test_sets.files_of(str(first), ("aa", "bb")))


def test_a_row_that_a_model_does_not_take_is_named(trained, tmp_path):
    long = texts(tmp_path / "more", "long", ["a b", " ".join("abcdefgh" * 200)], ["b a", "c"])
    set_steps.add_set(Run(trained), "long", *test_sets.files_of(str(long), ("aa", "bb")))
    part = r"tests/long/clean/test.aa line 2 .* has 1,601 subwords with its end, and .* takes 1,024: shorten or remove"
    with pytest.raises(LskdError, match=part):
        evaluate(trained, "long")
    assert not list(trained.glob("models/*/sets/*/*"))


def test_plain_text_of_another_language_is_told_and_what_may_be_is_not(capsys):
    german = ["Der Hund läuft über die Straße und die Frau ruft ihn.", "Niemand weiß, wohin er gegangen ist."] * 20
    english = ["The dog runs across the street and the woman calls it.", "Nobody knows where it has gone."] * 20
    assert language_check.complaint(german, "de") is language_check.complaint(english, "en") is None
    assert language_check.complaint(german, "fr") == "reads like de, and not like fr"
    told = "reads like en, and not like de (are source and reference swapped?)"
    assert language_check.complaint(english, "de", ("en", "de")) == told
    assert language_check.complaint(german[:2], "fr") is None  # too little
    assert language_check.complaint(german, "xx") is None  # nobody knows it


def test_a_plan_grows_by_sets_and_keeps_those_that_were_added(bench, prepared, tmp_path):
    run, more = bench.folder / "run", tmp_path / "more"
    source = [f"line {number} of the text" for number in range(3)]
    first, second = (
        texts(more, name, source, [f"{name} {line}" for line in source], langs=("en", "de")) for name in ("one", "two")
    )

    def planned(**tests):
        data = {"dir": str(prepared), **({"tests": {k: str(v) for k, v in tests.items()}} if tests else {})}
        return plan(config(prepared, data=data), "text", run)

    assert planned().tests is None and "tests" not in read_json(run / "plan.json")
    grown = planned(one=first)
    assert grown.set_names == ("test", "one") and read_lines(run / "tests/one/clean/test.en") == source
    set_steps.add_set(Run(run), "two", *test_sets.files_of(str(second), ("en", "de")))
    assert planned(one=first).set_names == ("test", "one", "two") == Run(run).plan.set_names
    for file in more.iterdir():
        file.unlink()
    assert planned(one=first).set_names == ("test", "one", "two")  # the run has its own copy
    with pytest.raises(LskdError, match=r"data\.tests names 'test', as the data's own test set is called"):
        planned(test=first)
    with pytest.raises(LskdError, match=r"data\.tests is .*, and the name '\.b' a name of letters"):
        planned(**{".b": first})


def test_the_first_set_of_files_is_the_main_one(bench, tmp_path, monkeypatch):
    source = [f"line {number} of the text" for number in range(3)]
    made = texts(
        tmp_path / "more", "one", source, *([f"{n} {line}" for line in source] for n in "xy"), langs=("en", "de")
    )
    other = texts(tmp_path / "more", "two", source, [f"z {line}" for line in source], langs=("en", "de"))
    data = {"corpus": "files", "source_lang": "en", "target_lang": "de", "train": str(made), "valid": str(made)}
    monkeypatch.setenv("MORE", str(tmp_path / "more"))
    tests = {"one": "${MORE}/one", "two": str(other)}
    found = plan(config(None, data={**data, "tests": tests}), "text", bench.folder / "run")
    assert found.set_names == ("one", "two") and found.data.options["test"] == str(made)
    assert "tests" not in found.data.options
    assert found.data == plan(config(None, data={**data, "test": str(made)}), "text", bench.folder / "other").data
    view = Run(bench.folder / "run")  # of the main set the references after the first are in the run folder
    assert [str(file.relative_to(view.folder)) for file in view.references()] == [
        "data/clean/test.de",
        "tests/one/clean/test.de.1",
    ]
    assert view.on("one").results("m") == view.model_folder("m") != view.on("two").results("m")
    with pytest.raises(LskdError, match="has no test set 'three': one of one, two"):
        view.on("three")


def test_a_teacher_of_text_translates_each_set_and_what_is_text_already_is_left_out(
    bench, prepared, monkeypatch, capsys
):
    model, theirs = bench.folder / "opus", bench.folder / "theirs.de"
    model.mkdir()
    (model / "config.json").touch()
    theirs.write_text("".join(f"{line}\n" for line in TEXT), encoding="utf-8")
    sequence = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 2}, "kd_level": "sequence", "plain": False}
    run = test_given_teachers.planned(bench.folder, prepared, f"hf:{model}", sequence)
    adopt(run, "elsewhere", None, theirs)
    run = Run(run.folder)
    for name, value in {**bench.environment, "PATH": f"{bench.folder / 'bin'}:{os.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAKE_TEXT", str(prepared / "clean" / "test.de"))
    assert steps.run_step(run, "teacher-hf", "train", steps.Machine("cpu"), print, print) == 0
    more = texts(bench.folder / "more", "late", [f"{line} again" for line in TEXT], TEXT, langs=("en", "de"))
    words = ["score-set", run.folder, "--name", "late", "--source", f"{more}.en", "--reference", f"{more}.de"]
    assert main([*map(str, words), "--device", "cpu"]) == 0
    assert '"bleu": {"teacher-hf": 100.0}' in capsys.readouterr().out
    (call,) = [each for each in map(json.loads, (bench.folder / "calls").read_text().splitlines()) if each[0] == "lskd"]
    flags = dict(itertools.pairwise(call[3:]))
    assert (flags["--data"], flags["--out"]) == ("tests/late/bin", "models/teacher-hf/sets/late/decoded-test")
    view = Run(run.folder).on("late")
    assert read_json(view.results("teacher-hf") / "decode.json")["engine"].startswith("ctranslate2")
    assert expansion(view, view.model("teacher-hf")).given == {"hf opus": "a1"}
    assert not view.results("elsewhere").exists()
