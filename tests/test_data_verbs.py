"""The verbs of data preparation by themselves: what they refuse, and that they replace nothing that is not theirs."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from lskd_nmt import cli
from lskd_nmt.data import prepared
from lskd_nmt.errors import LskdError
from lskd_nmt.storage import folders

LINES = {
    "en": ["a dog sees the house", "the cat hears a dog", "two trees", "one house"],
    "de": ["ein Hund sieht das Haus", "die Katze hört einen Hund", "zwei Bäume", "ein Haus"],
}


def write(folder: Path, **texts: str) -> None:
    """{train,valid,test}.{en,de}; `texts` replace some, by `train_en`."""
    folder.mkdir(parents=True, exist_ok=True)
    for lang, lines in LINES.items():
        for split, part in (("train", lines), ("valid", lines[:1]), ("test", lines[1:2])):
            text = "".join(f"{line} {split}\n" for line in part)
            (folder / f"{split}.{lang}").write_text(texts.get(f"{split}_{lang}", text), encoding="utf-8")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def lskd(capsys):
    """`lskd(verb, …)`: the JSON that it prints, or the line with which it is refused, which must be one."""

    def run(verb: str, *arguments: object):
        capsys.readouterr()
        code = cli.main([verb, "--source-lang", "en", "--target-lang", "de", *map(str, arguments)])
        printed = capsys.readouterr()
        if code == 0:
            return json.loads(printed.out)
        errors = [line for line in printed.err.splitlines() if ": error: " in line]
        assert code == 2 and len(errors) == 1 and not printed.out, printed.err
        return errors[0]

    return run


def test_the_stages_by_hand(lskd, tmp_path):
    write(tmp_path / "raw")
    done = lskd("clean", "--raw", tmp_path / "raw", "--out", tmp_path / "my" / "clean")
    assert done["pairs"] == {"train": 4, "valid": 1, "test": 1} and done["dropped"] == {}
    done = lskd("subwords", "--clean", tmp_path / "my" / "clean", "--out", tmp_path / "my", "--vocab-size", 30)
    assert (done["lines"], done["learned_from"]) == (8, 8)
    pieces = (tmp_path / "my" / "pieces" / "test.de").read_text(encoding="utf-8")
    assert pieces.replace(" ", "").replace("▁", " ").strip() == "die Katze hört einen Hund test"
    before = snapshot(tmp_path)
    for _ in range(2):  # again, over what they have made themselves
        lskd("clean", "--raw", tmp_path / "raw", "--out", tmp_path / "my" / "clean")
        lskd("subwords", "--clean", tmp_path / "my" / "clean", "--out", tmp_path / "my", "--vocab-size", 30)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("verb", ["clean", "subwords", "iwslt", "toy"])
def test_files_of_others_are_not_replaced(lskd, tmp_path, monkeypatch, verb):
    """Each of these verbs writes a train.en, and one's own may stand there."""
    write(tmp_path / "raw")
    write(tmp_path / "my" / "pieces")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as package:
        for lang in ("en", "de"):
            package.writestr(f"TED2020.de-en.{lang}", "".join(f"{lang} {n}\n" for n in range(40)))
    flags = {
        "clean": ["--raw", tmp_path / "raw", "--out", tmp_path / "my" / "pieces"],
        "iwslt": [tmp_path / "a.zip", "--layout", "ted2020", "--out", tmp_path / "my" / "pieces"],
        "toy": ["--out", tmp_path / "my" / "pieces"],
        "subwords": ["--clean", tmp_path / "raw", "--vocab-size", 30, "--out", tmp_path / "my"],
    }[verb]
    before = snapshot(tmp_path / "my")
    line = lskd(verb, *flags)
    assert f"{tmp_path}/my/pieces holds files that lskd {verb} did not make" in line or "is not an empty folder" in line
    assert before.items() <= snapshot(tmp_path / "my").items()
    monkeypatch.chdir(tmp_path / "my" / "pieces")  # a folder that has no name of its own
    assert "error" in lskd(verb, *flags[:-1], "." if verb != "subwords" else "..")
    assert before.items() <= snapshot(tmp_path / "my").items()


def test_a_file_that_was_put_beside_ones_own_is_kept(lskd, tmp_path):
    write(tmp_path / "raw")
    flags = ["--raw", tmp_path / "raw", "--out", tmp_path / "clean"]
    lskd("clean", *flags)
    (tmp_path / "clean" / "notes").write_text("mine")
    assert "holds notes, which lskd clean did not make: move it to another place" in lskd("clean", *flags)
    (tmp_path / "clean" / "notes").rename(tmp_path / "notes")
    (tmp_path / "clean" / "train.en").unlink()
    (tmp_path / "clean" / "train.en").mkdir()
    assert "holds train.en, which lskd clean did not make" in lskd("clean", *flags)
    (tmp_path / "clean" / "train.en").rmdir()
    (tmp_path / "clean" / ".made-by-lskd").unlink()  # of a version without marks
    lskd("clean", *flags)


@pytest.mark.parametrize("verb, name", [("clean", "--raw"), ("subwords", "--clean")])
def test_what_is_read_is_not_replaced(lskd, tmp_path, verb, name):
    given = tmp_path / "my" / ("clean" if verb == "clean" else "pieces")
    write(given)
    (given / "dropped.json").write_text("{}")  # as if it were of `lskd clean`
    before = snapshot(tmp_path)
    more = ["--out", given] if verb == "clean" else ["--out", given.parent, "--vocab-size", 30]
    (tmp_path / "link").symlink_to(given)
    for place in (given, tmp_path / "link"):
        assert f"{name} {place} is in --out {given}, which is replaced" in lskd(verb, name, place, *more)
    (tmp_path / "link").unlink()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("verb", ["clean", "subwords", "toy"])
def test_two_writers_of_a_folder_are_refused(lskd, tmp_path, verb):
    write(tmp_path / "raw")
    flags = {
        "clean": ["--raw", tmp_path / "raw"],
        "subwords": ["--clean", tmp_path / "raw", "--vocab-size", 30],
        "toy": ["--train", 5],
    }[verb]
    with folders.hold(tmp_path / "out", "lskd other"):
        line = lskd(verb, *flags, "--out", tmp_path / "out")
    assert f"is being written by process {os.getpid()} on" in line and "(lskd other): wait for it" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "texts, flags, remedy",
    [
        ({}, ["--max-words", 1], "all 4 training pairs were dropped ({'long': 4}): give a larger --max-words"),
        ({"train_de": "a b c d e f g h i j k\n" * 4}, ["--max-ratio", 1.5], "give a larger --max-ratio"),
        (
            {f"{split}_{lang}": "the same\n" for split in ("train", "valid", "test") for lang in ("en", "de")},
            [],
            "({'in valid or test': 1}): the training text is the held-out text, so give other text, or keep it",
        ),
        (
            {"train_de": "\n \n\n\nx\n", "train_en": "a\nb\nc\nd\n\n"},
            ["--drop-empty"],
            "({'empty': 5}): one side of each is empty, so look at the files",
        ),
    ],
)
def test_a_remedy_is_that_of_the_cause(lskd, tmp_path, texts, flags, remedy):
    write(tmp_path / "raw", **texts)
    assert remedy in lskd("clean", "--raw", tmp_path / "raw", "--out", tmp_path / "clean", *flags)
    assert [file.name for file in tmp_path.iterdir()] == ["raw"]


def test_a_vocabulary_is_not_blamed_for_what_cleaning_dropped(lskd, tmp_path):
    write(tmp_path / "raw", train_de="x\nx\nx\nein Haus hier\n")
    lskd("clean", "--raw", tmp_path / "raw", "--out", tmp_path / "clean", "--max-ratio", 2)
    line = lskd("subwords", "--clean", tmp_path / "clean", "--out", tmp_path, "--vocab-size", 300)
    assert "this text allows at most" in line
    assert "(cleaning dropped 3 of 4 pairs, {'ratio': 3}: give a larger --max-ratio)" in line
    for name in ("spm", "pieces"):
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["clean", "--raw", "raw", "--out", "new", "--max-ratio", "nan"], "--max-ratio is nan: give a number from 0"),
        (["clean", "--raw", "nowhere", "--out", "new"], "nowhere/train.en does not exist"),
        (["clean", "--raw", "raw", "--out", "raw/train.en"], "is there and is no folder"),
        (["clean", "--raw", "raw", "--out", "new", "--target-lang", "en"], "are both en: give two languages"),
        (["clean", "--raw", "raw", "--out", "new", "--target-lang", "a/b"], "'a/b' is no language"),
        (["subwords", "--clean", "raw", "--out", "new", "--vocab-size", "3"], "<unk>, <s> and </s> take three"),
        (
            ["subwords", "--clean", "raw", "--out", "new", "--vocab-size", "9", "--spm-sentences", "0"],
            "give at least 1",
        ),
        (["subwords", "--clean", "empty", "--out", "new", "--vocab-size", "9"], "empty/train.en is empty: give a file"),
        (["subwords", "--clean", "uneven", "--out", "new", "--vocab-size", "30"], "has 4 lines and"),
        (["subwords", "--clean", "short", "--out", "new", "--vocab-size", "30"], "has 1 lines and short/test.de has 2"),
        (["check-data", "--out", "new", "--settings", "raw/train.en"], "says no corpus and no form: give that of"),
        (["toy", "--train", "0", "--out", "new"], "--train is 0: give a whole number from 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(lskd, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "raw")
    write(tmp_path / "empty", train_en="")
    write(tmp_path / "short", test_de="eins\nzwei\n")
    write(tmp_path / "uneven", train_de="".join(f"{line}\n" for line in LINES["de"][:3]))
    assert message in lskd(*flags)
    assert not (tmp_path / "new").exists() and not list(tmp_path.rglob("*.part*"))


@pytest.fixture
def folder(lskd, tmp_path) -> Path:
    """A data folder whose binaries are made up, as far as they are looked at."""
    data = tmp_path / "data"
    write(data / "raw")
    lskd("clean", "--raw", data / "raw", "--out", data / "clean")
    lskd("subwords", "--clean", data / "clean", "--out", data, "--vocab-size", 30)
    (data / "bin").mkdir()
    for lang in ("en", "de"):
        (data / "bin" / f"dict.{lang}.txt").write_text("a 1\n")
        for split, size in (("train", 4), ("valid", 1), ("test", 1)):
            (data / "bin" / f"{split}.en-de.{lang}.idx").write_bytes(
                prepared.INDEX_HEAD.pack(b"MMIDIDX\0\0", 1, 4, size)
            )
    return data


def test_a_folder_with_a_model_that_rewrites_is_checked_and_told_of(folder):
    """Folders of before `identity` go on; what their model changes is said and recorded."""
    import sentencepiece

    for lang in ("en", "de"):
        file = folder / "clean" / f"test.{lang}"
        file.write_text(f"{file.read_text(encoding='utf-8').strip()} m² …\n", encoding="utf-8")
    said: list[str] = []
    texts = [str(folder / "clean" / f"test.{lang}") for lang in ("en", "de")]
    sentencepiece.SentencePieceTrainer.train(
        input=texts, model_prefix=str(folder / "spm" / "spm"), vocab_size=25, minloglevel=2, hard_vocab_limit=False
    )
    content = prepared.check(folder, ("en", "de"), {}, said.append)
    assert content["lines_changed_by_subwords"] == {"test": 2}
    assert any("rewrites 2 lines of test by rules of its own" in line for line in said)


def test_a_good_folder_is_recorded_with_no_file_but_its_own(folder):
    content = prepared.check(folder, ("en", "de"), {})
    assert "lines_changed_by_subwords" not in content
    assert list(content["sha256"]) == [
        f"clean/{split}.{lang}" for split in ("test", "train", "valid") for lang in ("de", "en")
    ] + ["spm/spm.model"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("clean/dropped.json", b"{", r"dropped\.json is no readable JSON"),
        ("clean/dropped.json", None, r"dropped\.json does not exist"),
        ("bin/test.en-de.de.idx", b"MMIDIDX", "is no fairseq index"),
        ("bin/test.en-de.de.idx", b"x" * 99, "is no fairseq index"),
        ("bin/dict.de.txt", None, r"dict\.de\.txt does not exist"),
        ("bin/dict.de.txt", b"b 1\n", "has two dictionaries"),
        ("spm/spm.model", b"\0" * 9, "is no readable sentencepiece model"),
        ("clean/valid.de", b"a\nb\n", "has 1 lines and"),
    ],
)
def test_a_damaged_folder_is_refused(folder, name, content, message):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(LskdError, match=message):
        prepared.check(folder, ("en", "de"), {})
    assert not (folder / "prep.json").exists()


def test_a_full_disk_names_what_was_being_written_and_leaves_nothing(lskd, tmp_path):
    """/dev/full answers as a full disk does."""
    write(tmp_path / "raw")
    real = Path.open

    def full(self, mode="r", *arguments, **named):
        place = Path("/dev/full") if "w" in mode and self.name == "train.de.part" else self
        return real(place, mode, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", full)
        line = lskd("clean", "--raw", tmp_path / "raw", "--out", tmp_path / "clean")
    assert line.endswith("/clean/train.de: No space left on device: free some and run again")
    assert [file.name for file in tmp_path.iterdir()] == ["raw"]
