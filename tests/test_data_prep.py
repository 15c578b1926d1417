"""data-prep/prepare.sh as a user runs it: every corpus on small archives of the real layout, and every refusal."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from lskd_nmt.data import iwslt
from lskd_nmt.data.prepared import check
from lskd_nmt.errors import LskdError

WORDS = {
    "en": ["the", "a", "dog", "cat", "sees", "hears", "big", "small", "house", "tree", "and", "under"],
    "de": ["der", "ein", "Hund", "Katze", "sieht", "hört", "groß", "klein", "Haus", "Baum", "und", "unter"],
    "ru": ["это", "собака", "кошка", "видит", "слышит", "большой", "малый", "дом", "дерево", "и"],
}


def sentence(lang: str, number: int) -> str:
    """The same words for the same number, as many in every language."""
    draw = random.Random(number)
    return " ".join(draw.choices(WORDS[lang], k=draw.randint(4, 9))).capitalize() + "."


def prepare(*flags: object, path: str = "", expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run prepare.sh with this Python; its exit code must be `expect`, and a refusal one line."""
    environment = {**os.environ, "LSKD_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    environment["PATH"] = path + environment["PATH"]
    command = ["bash", str(ROOT / "data-prep" / "prepare.sh"), *map(str, flags)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == expect, result.stderr
    if expect == 2:
        assert sum(": error: " in line for line in result.stderr.splitlines()) == 1, result.stderr
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A user's own bitext: {train,valid,test}.{en,de}."""
    folder = tmp_path_factory.mktemp("files")
    for split, numbers in (("train", range(300)), ("valid", range(1000, 1020)), ("test", range(2000, 2010))):
        for lang in ("en", "de"):
            text = "".join(sentence(lang, n) + "\n" for n in numbers)
            (folder / f"{split}.{lang}").write_text(text, encoding="utf-8")
    return folder


def flags_of(files: Path, out: Path, *more: object) -> list[object]:
    prefixes = [word for split in ("train", "valid", "test") for word in (f"--{split}", files / split)]
    return [
        "--corpus",
        "files",
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        *prefixes,
        "--vocab-size",
        80,
        "--out",
        out,
        *more,
    ]


@pytest.fixture(scope="module")
def prepared(files, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data") / "mine, a: b"  # fairseq takes a comma's sides for two files
    prepare(*flags_of(files, out))
    return out


def test_own_files_become_a_folder_that_fairseq_reads(prepared, plugin):
    from fairseq.data import Dictionary, data_utils

    record = json.loads((prepared / "prep.json").read_text())
    assert record["pairs"] == {"train": 300, "valid": 20, "test": 10}
    dictionary = Dictionary.load(str(prepared / "bin" / "dict.de.txt"))
    for split, size in record["pairs"].items():
        dataset = data_utils.load_indexed_dataset(str(prepared / "bin" / f"{split}.en-de.de"), dictionary)
        assert len(dataset) == size
    pieces = (prepared / "pieces" / "test.de").read_text(encoding="utf-8").splitlines()
    assert dictionary.string(dataset[3]) == pieces[3]
    assert "".join(pieces[3].split()).replace("▁", " ").strip() == sentence("de", 2003)


def test_second_call_does_nothing(files, prepared):
    before = {file: file.stat().st_mtime_ns for file in prepared.rglob("*") if file.is_file() and file.suffix}
    result = prepare(*flags_of(files, prepared))
    assert result.stderr.count("done, skipped") == 5
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_changed_options_do_not_reuse_a_folder(files, prepared):
    result = prepare(*flags_of(files, prepared, "--max-words", 5), expect=2)
    assert "was made with other settings (now and then: max_words=5 max_words=175)" in result.stderr


@pytest.mark.long
def test_killed_stage_starts_again_from_whole_files(files, prepared, tmp_path):
    """Every state that a kill can leave: a stage's mark missing, parts lying about."""
    out = tmp_path / "mine"
    prepare(*flags_of(files, out, "--stop-stage", 2))
    (out / ".done" / "clean_stage").unlink()
    (out / "clean.part").mkdir()
    (out / "clean" / "train.de").write_text("half a li")
    (out / "bin.part").mkdir()
    prepare(*flags_of(files, out))
    assert (out / "prep.json").read_text() == (prepared / "prep.json").read_text()


@pytest.mark.long
def test_what_was_removed_is_made_again_and_what_comes_after_it(files, prepared, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy)
    before = (copy / "bin" / "train.en-de.de.bin").read_bytes()
    shutil.rmtree(copy / "bin")
    log = prepare(*flags_of(files, copy)).stderr
    assert "stage 3 (subwords_stage): done" in log and "(binarise_stage): done" not in log and "(check" in log
    assert (copy / "bin" / "train.en-de.de.bin").read_bytes() == before
    (copy / "prep.json").unlink()
    log = prepare(*flags_of(files, copy)).stderr
    assert "(binarise_stage): done" in log and (copy / "prep.json").is_file()


def test_check_finds_a_binary_that_lost_lines(prepared, tmp_path):
    with pytest.raises(LskdError, match=r"valid.en-de.en.idx has 10 sentences, clean/valid.en has 20: remove"):
        broken = tmp_path / "broken"
        subprocess.run(["cp", "-r", prepared, broken], check=True)
        for ending in ("idx", "bin"):
            (broken / "bin" / f"valid.en-de.en.{ending}").write_bytes(
                (broken / "bin" / f"test.en-de.en.{ending}").read_bytes()
            )
        check(broken, ("en", "de"), {})


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--corpus", "wmt"], "--corpus is 'wmt': one of files iwslt14_en_de iwslt_en_ru toy"),
        (["--vocab-size", "many"], "--vocab-size is 'many': a whole number"),
        (["--form", "bpe"], "--form is 'bpe': raw or fairseq14"),
        (["--form", "fairseq14"], "--form fairseq14 is the recipe of iwslt14_en_de, not of files"),
        (["--max-ratio", "-1"], "--max-ratio is '-1'"),
        (["--drop-empty", "maybe"], "--drop-empty is 'maybe': yes or no"),
        (["--subwords", "words"], "--subwords is 'words': unigram or bpe"),
        (["--test", "/nowhere/test"], "/nowhere/test.en cannot be read: --test takes the path without .en"),
        (["--source-lang", ""], "--source-lang and --target-lang are needed"),
        (["--size", "3"], "unknown option '--size'"),
        (["--out", "/proc/new"], "--out /proc/new cannot be made"),
        (["--vocab-size", "4000"], "--vocab-size is 4000: this text allows at most"),
    ],
)
def test_bad_options_are_refused(files, tmp_path, flags, message):
    result = prepare(*flags_of(files, tmp_path / "out", *flags), expect=2)
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_every_bad_file_is_named_at_once_and_nothing_is_left(files, tmp_path):
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "train.de").write_bytes((files / "train.de").read_bytes() + b"one more\n")
    (tmp_path / "valid.en").write_bytes(b"")
    (tmp_path / "test.de").write_bytes(b"\xff\n")
    result = prepare(*flags_of(tmp_path, tmp_path / "out"), expect=2)
    for part in ("train.en has 300 lines and", "valid.en is empty", "test.de line 1 is not UTF-8"):
        assert part in result.stderr
    assert not (tmp_path / "out").exists()


def test_mended_text_is_read_again_and_edited_text_is_noticed(files, tmp_path):
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    bad, whole = tmp_path / "train.de", (files / "train.de").read_bytes()
    (tmp_path / "out").mkdir()  # the user's own folder stays
    bad.write_bytes(whole + b"one more\n")
    prepare(*flags_of(tmp_path, tmp_path / "out"), expect=2)
    assert list((tmp_path / "out").iterdir()) == []
    bad.write_bytes(whole)
    prepare(*flags_of(tmp_path, tmp_path / "out", "--stop-stage", 2))
    bad.write_bytes(whole.replace(b"e", b"a"))
    assert "was made with other settings" in prepare(*flags_of(tmp_path, tmp_path / "out"), expect=2).stderr
    for file in tmp_path.glob("*.??"):
        file.unlink()  # gone is not edited
    prepare(*flags_of(tmp_path, tmp_path / "out", "--stop-stage", 2))


def test_empty_training_lines_can_be_dropped(files, tmp_path):
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for lang, extra in (("en", "only here\n"), ("de", "\n")):
        (tmp_path / f"train.{lang}").write_text((files / f"train.{lang}").read_text() + extra)
    flags = flags_of(tmp_path, tmp_path / "out", "--stop-stage", 2)
    result = prepare(*flags, expect=2)
    assert "train.de has 1 empty lines (line 301): fill them" in result.stderr
    prepare(*flags_of(tmp_path, tmp_path / "out2", "--stop-stage", 2, "--drop-empty", "yes"))
    assert json.loads((tmp_path / "out2" / "clean" / "dropped.json").read_text()) == {"empty": 1}


def test_full_disk_is_refused_before_any_work(files, tmp_path):
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text("#!/bin/sh\necho Head; echo disk 10 9 1 90% /\n")
    df.chmod(0o755)
    result = prepare(*flags_of(files, tmp_path / "out"), path=f"{df.parent}:", expect=2)
    assert "has 1 MB free, this needs about 200 MB" in result.stderr
    assert not (tmp_path / "out").exists()


def test_generated_corpus(tmp_path):
    prepare("--corpus", "toy", "--target-lang", "ru", "--pairs", 400, "--out", tmp_path / "toy", "--stop-stage", 2)
    lines = (tmp_path / "toy" / "clean" / "train.ru").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 400
    assert any("а" <= c <= "я" for c in lines[0])


# ---- archives of the real layouts, a few lines long


def add(package: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    package.addfile(entry, io.BytesIO(content))


def tgz(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as package:
        for name, content in members.items():
            add(package, name, content)
    return stream.getvalue()


def wit3_members(pair: str, folder: str = "", talks: int = 4, lines: int = 23) -> dict[str, bytes]:
    """An IWSLT14 archive of `talks` talks: metadata, a title, a description, `lines` lines each."""
    members: dict[str, bytes] = {}
    langs = pair.split("-")
    for lang in langs:
        rows = []
        for talk in range(talks):
            rows += [
                "<url>http://x</url>",
                "<keywords>talks</keywords>",
                f"<talkid>{talk}</talkid>",
                f"<title>{sentence(lang, 500 + talk)}</title>",
                f"<description>{sentence(lang, 600 + talk)}</description>",
            ]
            rows += [f" {sentence(lang, 100 * talk + i)} " for i in range(lines)]
        members[f"{folder}train.tags.{pair}.{lang}"] = "\n".join([*rows, ""]).encode()
        for name in iwslt.TEST_SETS:
            segments = "".join(f'<seg id="{i}"> {sentence(lang, i)} it’s R&amp;D </seg>\n' for i in (1, 2))
            xml = f'<?xml version="1.0"?>\n<mteval><doc docid="1">\n<title>no</title>\n{segments}</doc></mteval>\n'
            members[f"{folder}IWSLT14.{name}.{pair}.{lang}.xml"] = xml.encode()
    return members


TALK_LINES = 4 * (23 + 2)  # title and description are text


def test_iwslt14_raw(tmp_path):
    archive = tmp_path / "de-en.tgz"
    archive.write_bytes(tgz(wit3_members("de-en", "de-en/")))
    splits = iwslt.extract(archive, "wit3", ("en", "de"))
    assert len(splits["valid"]) == TALK_LINES // 23
    assert len(splits["train"]) == TALK_LINES - TALK_LINES // 23
    assert splits["train"][0] == (sentence("en", 500), sentence("de", 500))
    assert splits["valid"][0] == (sentence("en", 20), sentence("de", 20))  # title, description, then lines 0-20
    assert splits["test"][0] == (sentence("en", 1) + " it's R&D", sentence("de", 1) + " it's R&D")
    assert len(splits["test"]) == 10


def test_iwslt14_in_the_fields_recipe(tmp_path):
    members = wit3_members("de-en", "de-en/")
    for lang, line in (("en", "one two three four"), ("de", "eins")):  # ratio 4: not in the recipe's train
        members[f"de-en/train.tags.de-en.{lang}"] += f"{line}\n".encode()
    (tmp_path / "de-en.tgz").write_bytes(tgz(members))
    flags = ["--corpus", "iwslt14_en_de", "--form", "fairseq14", "--raw-dir", tmp_path, "--stop-stage", 2]
    result = prepare(*flags, "--out", tmp_path / "out", expect=2)
    assert "gives 96,4,10 pairs of train,valid,test, not the published 160239,7283,6750" in result.stderr
    assert not (tmp_path / "out").exists()
    result = prepare(*flags, "--out", tmp_path / "out", "--expected-counts", "96,4,10")
    assert "is not 19982877 bytes long" in result.stderr
    assert "differ from the known ones, in content" in result.stderr
    english = (tmp_path / "out" / "clean" / "test.en").read_text().splitlines()[0]
    # Moses splits only a line's last full stop off; the recipe does not undo the XML's own escapes
    assert english == f"{sentence('en', 1).lower()} it &apos;s r &amp; amp ; d"


def test_iwslt_en_ru_out_of_the_collection(tmp_path):
    """2014-01.tgz holds an archive per pair; only this pair's is opened, in either direction."""
    inner = tgz(wit3_members("ru-en"))
    (tmp_path / "2014-01.tgz").write_bytes(
        tgz({"2014-01/texts/ru/en/ru-en.tgz": inner, "2014-01/texts/zh/en/zh-en.tgz": b"not read"})
    )
    prepare("--corpus", "iwslt_en_ru", "--raw-dir", tmp_path, "--out", tmp_path / "out", "--stop-stage", 1)
    raw = tmp_path / "out" / "raw"
    assert (raw / "valid.ru").read_text(encoding="utf-8").splitlines()[0] == sentence("ru", 20)
    assert len((raw / "train.en").read_text().splitlines()) == TALK_LINES - TALK_LINES // 23


def test_ted58_is_detokenised_and_keeps_its_split(tmp_path):
    members = {
        f"datasets/ru_to_en/{lang}.{split}": b"Well , it &apos;s here .\n" * n
        for lang in ("ru", "en")
        for split, n in (("train", 3), ("dev", 2), ("test", 1))
    }
    members |= {f"datasets/az_to_en/en.{split}": b"another pair\n" for split in ("train", "dev", "test")}
    (tmp_path / "qi.tar.gz").write_bytes(tgz(members))
    splits = iwslt.extract(tmp_path / "qi.tar.gz", "ted58", ("en", "ru"))
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 3, "valid": 2, "test": 1}
    assert splits["test"][0][0] == "Well, it's here."


def test_ted2020_holds_out_its_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "en-ru.txt.zip", "w") as package:
        for lang in ("en", "ru"):
            text = "".join(f"{lang} {n}\n" for n in range(40_000))
            package.writestr(f"TED2020.en-ru.{lang}", text)
        package.writestr("README", "x")
    splits = iwslt.extract(tmp_path / "en-ru.txt.zip", "ted2020", ("en", "ru"))
    assert splits["test"][-1] == ("en 39999", "ru 39999")
    assert [len(splits[split]) for split in ("train", "valid", "test")] == [36_000, 2_000, 2_000]
    assert splits["valid"][-1] == ("en 37999", "ru 37999")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"<html>sign in</html>", "is no readable archive"),
        (tgz({"de-en/README": b"x"}), "holds no train.tags.de-en.en"),
        (tgz({**wit3_members("de-en"), "train.tags.de-en.en": b"one line\n"}), "has 1 and 100 lines"),
        (tgz({f"train.tags.de-en.{lang}": b"x\n" for lang in ("en", "de")}), "holds none of the test sets"),
        (tgz({**wit3_members("de-en"), "train.tags.de-en.en": b"\xff\n"}), "train.tags.de-en.en is not UTF-8"),
    ],
)
def test_wrong_archives_are_refused(tmp_path, content, message):
    archive = tmp_path / "de-en.tgz"
    archive.write_bytes(content)
    with pytest.raises(LskdError, match=message):
        iwslt.extract(archive, "wit3", ("en", "de"))


def test_form_that_an_archive_cannot_give(tmp_path):
    (tmp_path / "a.tgz").write_bytes(tgz({"x": b"x"}))
    with pytest.raises(LskdError, match=r"--form fairseq14 needs the IWSLT14 archive itself, not a\.tgz"):
        iwslt.extract(tmp_path / "a.tgz", "ted58", ("en", "ru"), "fairseq14")


@pytest.fixture
def curl(tmp_path):
    """`curl(script)` puts a fake curl first on PATH: it is to write `$file`, and is asked for `$address`."""

    def install(script: str) -> str:
        fake = tmp_path / "bin" / "curl"
        fake.parent.mkdir(exist_ok=True)
        head = 'while [ "$1" != -- ]; do [ "$1" = --output ] && file=$2; shift; done; address=$2\n'
        fake.write_text(f'#!/bin/sh\n{head}echo "$address" >> {tmp_path}/asked\n{script}\n')
        fake.chmod(0o755)
        return f"{fake.parent}:"

    return install


def test_next_mirror_is_asked_when_one_is_dead_or_sends_a_web_page(tmp_path, curl):
    (tmp_path / "good.tgz").write_bytes(tgz({"2014-01/texts/de/en/de-en.tgz": tgz(wit3_members("de-en"))}))
    path = curl(
        f'case $address in *fbaipublicfiles*) echo "<html>" > "$file" ;; *) cp {tmp_path}/good.tgz "$file" ;; esac'
    )
    result = prepare("--corpus", "iwslt14_en_de", "--out", tmp_path / "out", "--stop-stage", 1, path=path)
    assert "nothing usable from http://dl.fbaipublicfiles.com" in result.stderr
    assert (tmp_path / "asked").read_text().count("http") == 2
    assert not list(tmp_path.rglob("*.part"))


def test_unreachable_mirrors_end_in_one_line_that_says_what_to_fetch(tmp_path, curl):
    result = prepare("--corpus", "iwslt_en_ru", "--out", tmp_path / "out", path=curl("exit 6"), expect=2)
    line = next(line for line in result.stderr.splitlines() if "error" in line)
    for part in (
        "2014-01.tgz from https://drive.google.com",
        "qi18naacl-dataset.tar.gz from http://www.phontron.com",
        "en-ru.txt.zip from https://object.pouta.csc.fi",
        "--raw-dir",
    ):
        assert part in line
    assert not (tmp_path / "out").exists()
