"""What stores and folders are proved by: nothing hashed proves nothing, and nobody's file is taken for another's."""

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, binarise, train, write_copy_corpus
from frames import drawn

from lskd_nmt import cli, doctor, fairseq_io
from lskd_nmt.analysis.features.folder import KIND, described, open_features, require_comparable
from lskd_nmt.analysis.features.sample import FeatureSettings
from lskd_nmt.analysis.features.write import write_model_features
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io.dictionaries import read_dictionary
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd import store as hypotheses
from lskd_nmt.storage import folders, header
from lskd_nmt.storage.files import sha256, write_json, write_text
from lskd_nmt.storage.header import StoredSymbols
from lskd_nmt.teacher import store, writer
from lskd_nmt.teacher.coverage import data_hashes, require_pairs
from lskd_nmt.teacher.layout import TopKLayout
from lskd_nmt.teacher.store import TeacherStore

FORWARD, REVERSED = ("aa", "bb"), ("bb", "aa")


@pytest.fixture(scope="module")
def other(data, tmp_path_factory):
    """The same folder with other sentences in valid."""
    folder = tmp_path_factory.mktemp("other") / "bin"
    shutil.copytree(data, folder)
    for lang in FORWARD:
        for ending in ("bin", "idx"):
            shutil.copyfile(folder / f"test.aa-bb.{lang}.{ending}", folder / f"valid.aa-bb.{lang}.{ending}")
    return folder


def write(out, teacher, data, langs=FORWARD, k=2, splits=("valid",)):
    symbols = fairseq_io.read_symbols(str(data), langs)
    settings = writer.WriterSettings(TopKLayout(k, (1.0,), len(symbols.target)), splits=splits)
    said = []
    writer.write_store(out, [str(teacher)], str(data), symbols, settings, "cpu", said.append)
    return said


def edited(folder, kind, change):
    """Change the header of a store and give it its digest again, as somebody would who wants to be believed."""
    content = json.loads((folder / kind.file).read_text())
    del content["digest"]
    change(content)
    header.write_header(folder, kind, content)


def forget_hashes(folder, *splits):
    """What was written of a folder whose files have the names of the other direction, before they were found."""
    edited(folder, store.KIND, lambda content: content["data"].update({split: [] for split in splits}))
    plan = json.loads((folder / writer.PLAN).read_text())
    plan["data"].update({split: [] for split in splits})
    (folder / writer.PLAN).write_text(json.dumps(plan))


# a folder that is used in the other direction


def test_the_files_of_a_split_are_found_in_both_directions_as_fairseq_does(data, plugin):
    for langs in (FORWARD, REVERSED):
        files = fairseq_io.split_files(str(data), langs, "valid")
        assert files == tuple(data / f"valid.aa-bb.{lang}.bin" for lang in langs)
        assert data_hashes(str(data), langs, ("valid",)) == {"valid": [sha256(file) for file in files]}
        (dataset,) = fairseq_io.translation_data(str(data), langs, "valid")
        sides = [np.fromfile(file, np.uint16) for file in files]  # of a small dictionary
        assert np.array_equal(torch.cat([dataset[row]["source"] for row in range(len(dataset))]).numpy(), sides[0])
        counts = fairseq_io.target_counts(str(data), langs, "valid")
        assert np.array_equal(counts, np.bincount(sides[1], minlength=len(counts)))
    with pytest.raises(LskdError, match="has no 'dev' of bb-aa"):
        data_hashes(str(data), REVERSED, ("valid", "dev"))
    assert fairseq_io.split_files(str(data), FORWARD, "dev") is None
    assert fairseq_io.target_counts(str(data), FORWARD, "dev") is None


def test_a_second_part_of_a_split_is_refused_in_both_directions(data, tmp_path):
    shutil.copytree(data, tmp_path / "bin")
    for lang in FORWARD:
        for ending in ("bin", "idx"):
            shutil.copyfile(data / f"train.aa-bb.{lang}.{ending}", tmp_path / "bin" / f"train1.aa-bb.{lang}.{ending}")
    for langs in (FORWARD, REVERSED):
        with pytest.raises(LskdError, match=r"train1\.aa-bb.*is there, a second part of train"):
            fairseq_io.translation_data(str(tmp_path / "bin"), langs, "train")


@pytest.mark.parametrize("langs", [FORWARD, REVERSED])
def test_other_data_under_the_same_out_are_noticed_by_a_teacher_store(langs, teacher, data, other, tmp_path):
    write(tmp_path / "s", teacher, data, langs)
    assert any("nothing to do" in line for line in write(tmp_path / "s", teacher, data, langs))
    with pytest.raises(LskdError, match="holds a teacher store with other data"):
        write(tmp_path / "s", teacher, other, langs)


@pytest.mark.parametrize("langs", [FORWARD, REVERSED])
def test_other_data_under_the_same_out_are_noticed_by_features(langs, teacher, data, other, tmp_path):
    symbols, settings = fairseq_io.read_symbols(str(data), langs), FeatureSettings("valid")

    def made_of(folder):
        return write_model_features(tmp_path / "f", str(teacher), str(folder), symbols, settings, "cpu", len)

    assert len(made_of(data).data.hashes) == 2 and "counts" in made_of(data).arrays
    with pytest.raises(LskdError, match="holds features of other data"):
        made_of(other)


@pytest.mark.parametrize("langs", [FORWARD, REVERSED])
def test_other_data_under_the_same_out_are_noticed_by_a_decoding(langs, teacher, data, other, tmp_path, capsys):
    symbols = fairseq_io.read_symbols(str(data), langs)
    plan = {"teacher": [], "langs": list(langs), "data": data_hashes(str(data), langs, ("valid",)), "settings": {}}
    assert all(plan["data"].values()) and symbols is not None
    write_json(tmp_path / "d" / ledger.FILE, {"format": 1, **plan})
    words = f"seqkd decode --teacher-path {teacher} --engine fairseq --split valid -s {langs[0]} -t {langs[1]}"
    assert cli.main([*words.split(), "--data", str(other), "--out", str(tmp_path / "d")]) == 2
    assert "holds a decoding with other teacher, data, settings" in capsys.readouterr().err
    proved = {"valid": [sha256(file) for file in fairseq_io.split_files(str(data), langs, "valid")]}
    with pytest.raises(LskdError, match="was decoded from other data"):
        ledger.open_ledger(tmp_path / "d", data_hashes(str(other), langs, ("valid",)))
    with pytest.raises(LskdError, match=r"rows\.jsonl was edited or is missing"):  # the data are the same
        ledger.open_ledger(tmp_path / "d", proved)


# stores of before, and what was lost


@pytest.mark.parametrize("langs", [FORWARD, REVERSED])
def test_a_header_without_hashes_is_asked_for_each_pair(langs, teacher, data, other, tmp_path):
    write(tmp_path / "s", teacher, data, langs)
    forget_hashes(tmp_path / "s", "valid")
    opened = TeacherStore.open(tmp_path / "s")
    require_pairs(opened, str(data), langs, ("valid",))
    assert any("nothing to do" in line for line in write(tmp_path / "s", teacher, data, langs))
    with pytest.raises(LskdError, match="lacks the sentence pair"):
        require_pairs(opened, str(other), langs, ("valid",))
    with pytest.raises(LskdError, match="lacks the sentence pair"):
        write(tmp_path / "s", teacher, other, langs)
    with pytest.raises(LskdError, match="lacks the sentence pair"):
        require_pairs(opened, str(data), langs, ("train",))
    with pytest.raises(LskdError, match="has no 'dev'"):
        require_pairs(opened, str(data), langs, ("dev",))


def test_a_store_whose_plan_was_lost_or_cut_is_not_taken_for_any_other(teacher, data, other, tmp_path):
    write(tmp_path / "s", teacher, data)
    plan = json.loads((tmp_path / "s" / writer.PLAN).read_text())
    (tmp_path / "s" / writer.PLAN).unlink()
    assert any("nothing to do" in line for line in write(tmp_path / "s", teacher, data))
    for change in ({"k": 3}, {"data": other}, {"splits": ("train",)}):
        with pytest.raises(LskdError, match="holds a teacher store with other"):
            write(**{"out": tmp_path / "s", "teacher": teacher, "data": data, **change})
    del plan["max_tokens"]
    write_json(tmp_path / "s" / writer.PLAN, plan)
    with pytest.raises(LskdError, match="holds a teacher store with other max_tokens"):
        write(tmp_path / "s", teacher, data)


def test_a_store_without_pairs_has_none_of_anything(tmp_path, data):
    words = [str(number) for number in range(99)]
    stated = SimpleNamespace(data={}, symbols=StoredSymbols(words, words))
    empty = SimpleNamespace(kind=store.KIND, folder=tmp_path, keys=np.zeros(0, np.uint64), header=stated)
    with pytest.raises(LskdError, match="lacks the sentence pair"):
        require_pairs(empty, str(data), FORWARD, ("valid",))


def test_features_of_before_are_compared_by_their_tokens(tmp_path):
    one, two = drawn(tmp_path / "1", 1), drawn(tmp_path / "2", 2)
    edited(tmp_path / "1", KIND, lambda content: content["data"].update(hashes=[]))
    require_comparable({"one": open_features(tmp_path / "1"), "two": two})
    edited(tmp_path / "2", KIND, lambda content: content["data"].update(hashes=["x"]))
    with pytest.raises(LskdError, match="two and one are of other data"):
        require_comparable({"one": one, "two": open_features(tmp_path / "2")})


def test_nothing_found_is_not_a_finding(data, tmp_path, plugin):
    empty = tmp_path / "bin"
    empty.mkdir()
    for lang in FORWARD:
        shutil.copyfile(data / f"dict.{lang}.txt", empty / f"dict.{lang}.txt")
    size = len(read_dictionary(empty / "dict.aa.txt"))
    fairseq_io.write_pairs(str(empty), FORWARD, "test", [], (size, size))
    with pytest.raises(LskdError, match=r"test in the data folder .* is no readable binarised text"):
        fairseq_io.piece_lines(str(empty), FORWARD, "test")
    symbols = fairseq_io.read_symbols(str(data), REVERSED)
    settings = doctor.DoctorSettings(data=str(empty))
    with pytest.raises(LskdError, match="has neither train nor valid of bb-aa"):
        doctor.check_store_size(settings, symbols, [])
    line = doctor.check_store_size(doctor.DoctorSettings(data=str(data)), symbols, [])
    assert not line.startswith("0 target tokens")


# whose folder it is


def test_a_store_is_not_written_among_the_files_of_others(teacher, data, tmp_path):
    for verb in ("store", "features"):
        folder = tmp_path / verb
        folder.mkdir()
        (folder / "thesis.tex").write_text("mine")
        with pytest.raises(LskdError, match=r"holds files that lskd .* did not make \(first: thesis\.tex\)"):
            if verb == "store":
                write(folder, teacher, data)
            else:
                symbols = fairseq_io.read_symbols(str(data), FORWARD)
                write_model_features(folder, str(teacher), str(data), symbols, FeatureSettings("valid"), "cpu", len)
        assert os.listdir(folder) == ["thesis.tex"]


def test_a_store_of_before_has_no_mark_and_is_completed_and_read(teacher, data, tmp_path):
    write(tmp_path / "s", teacher, data)
    (tmp_path / "s" / folders.MARK).unlink()
    assert any("nothing to do" in line for line in write(tmp_path / "s", teacher, data))
    whole = {name: (tmp_path / "s" / name).read_bytes() for name in (store.KIND.file, "shards/00000.bin")}
    (tmp_path / "s" / store.KIND.file).unlink()
    write(tmp_path / "s", teacher, data)
    assert {name: (tmp_path / "s" / name).read_bytes() for name in whole} == whole


def test_a_page_replaces_its_own_alone(tmp_path, capsys, monkeypatch):
    def write_report(args):
        write_text(args.out / "index.html", "made")
        write_text(args.out / "data" / "table.json", "{}")

    monkeypatch.setattr("lskd_nmt.cli.report.write_report", write_report)
    words = ["report", str(tmp_path / "run"), "--out", str(tmp_path / "page")]
    (tmp_path / "page").mkdir()
    page = tmp_path / "page" / "index.html"
    page.write_text("mine")
    assert cli.main(words) == 2
    assert "has an index.html that lskd report did not make" in capsys.readouterr().err
    assert page.read_text() == "mine" and os.listdir(tmp_path / "page") == ["index.html"]
    page.rename(tmp_path / "page" / "mine.html")
    assert cli.main(words) == cli.main(words) == 0
    (tmp_path / "page" / folders.MARK).unlink()  # as before there were marks
    assert cli.main(words) == 0 and (tmp_path / "page" / "mine.html").read_text() == "mine"


def test_folders_of_decoded_translations_may_have_a_colon(tmp_path, data, capsys):
    (tmp_path / "10:30").mkdir()
    words = ["seqkd", "select", "--data", str(data), "--out", str(tmp_path / "h"), "--decoded", f"{tmp_path}/10:30"]
    assert cli.main(words) == 2
    assert f"{tmp_path}/10:30 has no ledger.json" in capsys.readouterr().err


def test_two_writers_of_one_store(teacher, data, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from lskd_nmt.storage import folders\n"
        "with folders.hold(Path(sys.argv[1]), 'lskd teacher-store'): print('held', flush=True); time.sleep(60)"
    )
    out = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", code, out], stdout=subprocess.PIPE, cwd=ROOT) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(LskdError, match=f"is being written by process {first.pid}"):
            write(out, teacher, data)
        first.kill()
    write(out, teacher, data)
    assert sorted(os.listdir(tmp_path)) == ["s"]


# dictionaries


GOOD = "▁a 5\nb 3\n"
BAD = {
    "a word twice": (GOOD + "b 1\n", "line 3 has the word 'b', which is in there already"),
    "a special symbol": (GOOD + "<pad> 1\n", "line 3 has the word '<pad>'"),
    "no count": (GOOD + "c\n", "line 3 is 'c', and not a word, a space and its count"),
    "a count that is no number": ("a b\n" + GOOD, "line 1 is 'a b'"),
    "a count without end": (f"a {'9' * 5000}\n", "line 1 is 'a 9"),
    "a count alone": ("a 1\n 5\n", "line 2 has a count and no word"),
    "an empty line": ("a 1\n\nb 2\n", "line 2 is ''"),
    "nothing": ("", "is empty"),
    "blanks": ("  \n", "is empty"),
    "a byte order mark": ("\ufeffa 1\n", "begins with a byte order mark"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_dictionary_that_fairseq_would_stop_at_is_refused_by_its_line(what, data, tmp_path, capsys):
    content, part = BAD[what]
    shutil.copytree(data, tmp_path / "bin")
    (tmp_path / "bin" / "dict.aa.txt").write_text(content)
    with pytest.raises(LskdError) as refused:
        fairseq_io.dictionaries(str(tmp_path / "bin"), FORWARD)
    assert f"{tmp_path}/bin/dict.aa.txt" in str(refused.value) and part in str(refused.value)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["doctor", "--data", str(tmp_path / "bin")])
    assert stopped.value.code == 2 and part in capsys.readouterr().err


def test_a_training_stops_at_such_a_dictionary_in_one_line(data, tmp_path, refused):
    shutil.copytree(data, tmp_path / "bin")
    with (tmp_path / "bin" / "dict.bb.txt").open("a") as lines:
        lines.write("a 1\n")
    with refused() as line:
        train(tmp_path / "bin", tmp_path / "m", "--kd-weight", 0)
    assert "dict.bb.txt line" in line[0] and "has the word 'a', which is in there already" in line[0]
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("content", [b"a 1\n\xff 2\n", b"\x00\x80"])
def test_a_dictionary_that_is_no_utf8_is_refused(content, tmp_path):
    (tmp_path / "dict.aa.txt").write_bytes(content)
    with pytest.raises(LskdError, match=r"dict.aa.txt is no readable dictionary \(not UTF-8, byte"):
        read_dictionary(tmp_path / "dict.aa.txt")


def test_what_fairseq_reads_is_read_alike(tmp_path, plugin):
    from fairseq.data import Dictionary

    file = tmp_path / "dict.aa.txt"
    others = ["a b 3\n", "a 5\na 6 #fairseq:overwrite\n", "a -1\r\nb 10000000000000000000\r\n", "\u3000 1\n"]
    for content in (GOOD, *others):
        file.write_bytes(content.encode())
        ours, theirs = read_dictionary(file), Dictionary.load(str(file))
        assert (ours.symbols, ours.count, ours.indices) == (theirs.symbols, theirs.count, theirs.indices)


# arrays and headers of strangers


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A store of three sentences with 0, 1 and 2 hypotheses."""
    folder = tmp_path_factory.mktemp("hypotheses") / "h"
    ids = np.array([5, 6, 2])
    symbols = StoredSymbols(["a"] * 9, ["a"] * 9, ["aa", "bb"])
    facts = hypotheses.HypothesesHeader(symbols=symbols, data={"train": ["x"]})
    hypotheses.write(folder, {1: [], 2: [(ids, -1.0)], 3: [(ids[1:], -2.0), (ids, -3.0)]}, facts)
    return folder


class Calls:
    def __reduce__(self):
        return Path.touch, (Path("CALLED"),)


def npz(file):
    with file.open("wb") as stream:
        np.savez(stream, keys=np.arange(3))


ARRAYS = {
    "a pickle": lambda file: file.write_bytes(pickle.dumps(Calls())),
    "objects": lambda file: file.write_bytes(objects()),
    "an archive": npz,
    "a text": lambda file: file.write_text("1 2 3"),
    "nothing": lambda file: file.write_bytes(b""),
    "a header alone": lambda file: file.write_bytes(file.read_bytes()[:128]),
    "too few": lambda file: file.write_bytes(file.read_bytes()[:-4]),
    "one less": lambda file: save(file, np.load(file)[:-1]),
    "another type": lambda file: save(file, np.load(file).astype(np.float32)),
    "two dimensions": lambda file: save(file, np.asfortranarray(np.stack([np.load(file)] * 2))),
    "one number": lambda file: save(file, np.array(3)),
    "a program as header": lambda file: file.write_bytes(
        b"\x93NUMPY\x01\x00v\x00" + b"__import__('os').mkdir('CALLED')".ljust(117) + b"\n" + bytes(24)
    ),
}


def save(file, array):
    with file.open("wb") as stream:
        np.save(stream, array)


def objects():
    import io

    stream = io.BytesIO()
    np.save(stream, np.array([Calls()]), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("what", ARRAYS)
def test_an_array_of_a_stranger_is_refused_though_its_hash_is_right(what, chosen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("keys", "first", "start"):
        folder = tmp_path / name
        shutil.copytree(chosen, folder)
        ARRAYS[what](folder / f"{name}.npy")
        digest = sha256(folder / f"{name}.npy")
        edited(folder, hypotheses.KIND, lambda content, name=name, new=digest: content["arrays"].update({name: new}))
        with pytest.raises(LskdError, match="select again") as refused:
            hypotheses.HypothesisStore.open(folder)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "CALLED").exists()


def test_offsets_that_lead_out_of_their_arrays_are_refused(chosen, tmp_path):
    for name, at, value in (("first", 1, 7), ("first", 2, -1), ("start", 0, 1), ("start", 2, 0)):
        shutil.copytree(chosen, tmp_path / "h")
        array = np.load(chosen / f"{name}.npy")
        array[at] = value
        save(tmp_path / "h" / f"{name}.npy", array)
        digest = sha256(tmp_path / "h" / f"{name}.npy")
        edited(tmp_path / "h", hypotheses.KIND, lambda content, n=name, new=digest: content["arrays"].update({n: new}))
        with pytest.raises(LskdError, match="sizes of its arrays do not fit"):
            hypotheses.HypothesisStore.open(tmp_path / "h")
        shutil.rmtree(tmp_path / "h")


def places(value, path=()):
    """The path of every value inside of JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


def test_headers_with_any_value_lost_or_of_another_type_are_refused_in_one_line_or_read(
    chosen, teacher, data, tmp_path, monkeypatch
):
    """With their digests made right again; what is no matter to the reader may be anything."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "s", teacher, data)
    drawn(tmp_path / "f", 1)
    symbols = fairseq_io.read_symbols(str(data), FORWARD)
    shutil.copytree(chosen, tmp_path / "h")
    readers = {
        "s": (store.KIND, lambda: store.check("s", symbols, 1.0).lookup([])),
        "h": (hypotheses.KIND, lambda: hypotheses.check("h", symbols).lookup([])),
        "f": (KIND, lambda: described(open_features("f"))),
    }
    draw, refused = random.Random(15), dict.fromkeys(readers, 0)
    for folder, (kind, read) in readers.items():
        before = (tmp_path / folder / kind.file).read_bytes()
        content = json.loads(before)
        wanted = [place for place in places(content) if place[0] != "digest"]
        outer = [place for place in wanted if len(place) == 1]
        for place in [*outer, *draw.sample(wanted, 8)]:
            for new in (..., None, 5, "x", [], {}):
                changed = json.loads(before)
                inside = changed
                for key in place[:-1]:
                    inside = inside[key]
                if new is ...:
                    del inside[place[-1]]
                else:
                    inside[place[-1]] = new
                changed["digest"] = header.digest(changed)
                (tmp_path / folder / kind.file).write_text(json.dumps(changed))
                try:
                    read()
                except LskdError as error:
                    refused[folder] += 1
                    assert "\n" not in str(error)
        (tmp_path / folder / kind.file).write_bytes(before)
    assert min(refused.values()) > 15, refused


def test_binarise_of_the_tests_makes_the_forward_direction_alone(tmp_path, plugin):
    """What the tests above call reversed is: nothing has the other name."""
    write_copy_corpus(tmp_path / "text", "ab", pairs=5)
    made = binarise(tmp_path / "text", tmp_path / "bin")
    assert list(made.glob("*.aa-bb.*")) and not list(made.glob("*.bb-aa.*"))
