"""What prepare.sh may remove: files of its own, in folders of its own, while nobody else is at work in them."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_data_prep import files, flags_of, prepare  # noqa: F401

STAGE_1 = ("--stop-stage", 1)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file with its content, every folder with None."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@pytest.fixture
def mine(files, tmp_path) -> Path:  # noqa: F811
    """A copy of the corpus that may be changed."""
    return Path(shutil.copytree(files, tmp_path / "mine"))


@pytest.fixture
def out(mine, tmp_path) -> Path:
    """A data folder after its first stage."""
    prepare(*flags_of(mine, tmp_path / "out", *STAGE_1))
    return tmp_path / "out"


@pytest.mark.parametrize(
    "names",
    [
        ["bin/tool", "README"],
        ["raw/train.en"],
        ["settings"],
        ["prep.json"],
        [".git/HEAD"],
        ["clean/train.en", "download/x.tgz"],
        [".made-by-lskd"],
    ],
)
def test_a_folder_of_others_is_refused_and_left_as_it_was(mine, tmp_path, names):
    out = tmp_path / "project"
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("lskd table\n")
    before = snapshot(out)
    result = prepare(*flags_of(mine, out), expect=2)
    assert f"--out {out} " in result.stderr and ("has not made" in result.stderr or "is of lskd table" in result.stderr)
    assert snapshot(out) == before


@pytest.mark.parametrize("is_good", [True, False])
def test_text_within_out_is_refused_and_kept(mine, tmp_path, is_good):
    """The only copy of a corpus was in OUT/raw, and was removed with it."""
    out = tmp_path / "my"
    shutil.copytree(mine, out / "raw")
    if not is_good:
        (out / "raw" / "train.de").write_text("one line\n")
    before = snapshot(out)
    flags = [
        "--corpus",
        "files",
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--valid",
        mine / "valid",
        "--test",
        mine / "test",
        "--out",
        out,
    ]
    (tmp_path / "link").symlink_to(out / "raw")
    for train in (out / "raw" / "train", tmp_path / "link" / "train"):
        assert f"--train is {train}.en, in {out}/raw, which" in prepare(*flags, "--train", train, expect=2).stderr
    assert "--raw-dir is" in prepare(*flags, "--train", mine / "train", "--raw-dir", out / "raw", expect=2).stderr
    assert snapshot(out) == before


def test_text_in_a_folder_of_ones_own_is_refused_too(mine, out):
    flags = flags_of(mine, out)
    flags[flags.index("--train") + 1] = out / "raw" / "train"
    before = snapshot(out)
    assert "which prepare.sh writes itself: give another --out" in prepare(*flags, expect=2).stderr
    assert snapshot(out) == before


@pytest.mark.parametrize("name", ["raw/notes.txt", "raw/train.fr", "raw.part/x", "raw/more/train.en"])
def test_a_file_of_ones_own_among_the_results_is_never_removed(mine, out, name):
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    prepare(*flags_of(mine, out, *STAGE_1))  # nothing is to be made, and nothing is refused
    (out / ".done" / "fetch_stage").unlink()
    result = prepare(*flags_of(mine, out, *STAGE_1), expect=2)
    folder, file = name.split("/")[:2]
    assert f"{out}/{folder} holds {file}, which prepare.sh has not made: move it" in result.stderr
    assert (out / name).read_text() == "mine"


def test_a_later_stage_is_refused_before_the_first_is_run(mine, out):
    (out / "bin").mkdir()
    (out / "bin" / "tool").write_text("mine")
    result = prepare(*flags_of(mine, out), expect=2)
    assert "bin holds tool" in result.stderr and "clean_stage" not in result.stderr
    assert (out / "bin" / "tool").read_text() == "mine"
    shutil.rmtree(out / "bin")
    assert "(fetch_stage): done, skipped" in prepare(*flags_of(mine, out, *STAGE_1)).stderr


def test_a_refusal_removes_what_its_own_call_made(mine, tmp_path):
    """What an earlier call made stays, and all is read again once it is mended."""
    out, flags = tmp_path / "new", flags_of(mine, tmp_path / "new", "--max-words", 1)
    prepare(*flags, expect=2)
    assert not out.exists()
    prepare(*flags, *STAGE_1)
    before = snapshot(out / "raw")
    message = prepare(*flags, expect=2).stderr
    assert "all 300 training pairs were dropped ({'long': 300}): give a larger --max-words" in message
    assert snapshot(out / "raw") == before and sorted(os.listdir(out)) == [".made-by-lskd", "raw"]
    log = prepare(*flags_of(mine, out, *STAGE_1)).stderr
    assert "skipped" not in log and snapshot(out / "raw") == before


def test_a_folder_of_before_there_were_marks_is_continued(mine, out):
    for kept in ("settings", "prep.json"):
        (out / ".made-by-lskd").unlink()
        (out / "prep.json").write_text('{"lskd_nmt": "0.1"}')
        if kept == "prep.json":
            (out / "settings").unlink()
            shutil.rmtree(out / ".done")
        log = prepare(*flags_of(mine, out, *STAGE_1)).stderr
        assert ("(fetch_stage): done, skipped" in log) == (kept == "settings")
        assert (out / ".made-by-lskd").read_text() == "prepare.sh\n"


def test_what_was_downloaded_is_kept_for_the_next_call(tmp_path):
    (tmp_path / "out" / "download").mkdir(parents=True)
    (tmp_path / "out" / "download" / "de-en.tgz").write_text("no archive")
    prepare("--corpus", "iwslt14_en_de", "--out", tmp_path / "out", expect=2)
    assert (tmp_path / "out" / "download" / "de-en.tgz").read_text() == "no archive"
    (tmp_path / "out" / "download" / "de-en.tgz").unlink()
    assert list((tmp_path / "out").rglob("*.part")) == []


def test_two_at_a_time_are_refused_and_the_first_goes_on(mine, out):
    before = snapshot(out)
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = prepare(*flags_of(mine, out), expect=2)
        assert f"{out} is at work already: wait for it, or end it with: kill {os.getpid()}" in result.stderr
        (out / ".lock").unlink()
    assert snapshot(out) == before
    prepare(*flags_of(mine, out, *STAGE_1))
    assert not (out / ".lock").exists()


def test_gone_text_is_taken_for_unchanged_again_and_again_but_edited_text_is_not(mine, out):
    """Its hashes were lost with the first call that could not read it, and any text was the right one after."""
    for file in mine.iterdir():
        file.rename(file.with_suffix(file.suffix + ".away"))
    for _ in range(2):
        prepare(*flags_of(mine, out, *STAGE_1))
    for file in mine.iterdir():
        file.rename(file.with_suffix(""))
    prepare(*flags_of(mine, out, *STAGE_1))
    (mine / "valid.de").unlink()  # one that has gone hides no change of another
    (mine / "train.en").write_text("edited\n")
    assert "other settings (now and then: sha256 of train.en=" in prepare(*flags_of(mine, out), expect=2).stderr


def test_the_hash_of_an_older_version_is_compared_too(mine, out):
    import hashlib

    texts = (mine / f"{split}.{lang}" for split in ("train", "valid", "test") for lang in ("en", "de"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in texts)).hexdigest()
    lines = [line for line in (out / "settings").read_text().splitlines() if not line.startswith("sha256")]
    (out / "settings").write_text("\n".join([*lines, f"text_sha256={digest}"]) + "\n")
    prepare(*flags_of(mine, out, *STAGE_1))
    (mine / "test.de").rename(mine / "away")
    prepare(*flags_of(mine, out, *STAGE_1))
    assert f"text_sha256={digest}" in (out / "settings").read_text()
    (mine / "test.de").write_text("edited\n")
    assert "now and then: text_sha256=" in prepare(*flags_of(mine, out), expect=2).stderr


def test_a_full_disk_is_said_of_the_file_that_was_being_written(mine, tmp_path):
    """A limit of 4 kB a file stands for the disk; train.en has more."""
    flags = ["bash", ROOT / "data-prep" / "prepare.sh", *flags_of(mine, tmp_path / "out")]
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "-", *map(str, flags)]
    environment = {**os.environ, "LSKD_PYTHON": sys.executable}
    result = subprocess.run(limited, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 2
    assert f"{tmp_path}/out/raw.part/train.en cannot be written: free some space and run again" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--workers", "0"], "--workers is 0: give at least 1"),
        (["--pairs", "0"], "--pairs is 0: give at least 1"),
        (["--vocab-size", "0"], "--vocab-size is 0: give at least 1"),
        (["--max-words", "0"], "--max-words is 0: give at least 1"),
        (["--spm-sentences", "0"], "--spm-sentences is 0: give at least 1"),
        (["--spm-sentences", "all"], "--spm-sentences is 'all': a whole number"),
        (["--stage", "9"], "--stage is 9 and --stop-stage 5: the stages are 1 to 5"),
        (["--stop-stage", "0"], "--stop-stage is 0: give at least 1"),
        (["--stop-stage", "6"], "--stop-stage 6: the stages are 1 to 5"),
        (["--stage", "3", "--stop-stage", "2"], "the last cannot come before the first"),
        (["--stage", "08"], "--stage is 8 and"),
        (["--seed", "-1"], "--seed is '-1': a whole number"),
        (["--seed", "9" * 30], "a whole number"),
        (["--stage", "3"], "--stage is 3, and out has no clean: start with --stage 2"),
        (["--target-lang", "en"], "--source-lang and --target-lang are both en: give two languages"),
        (["--target-lang", "../de"], "--target-lang is '../de': a code such as en"),
        (["--out", "file/out"], "--out file/out cannot be made"),
        (["--out", "file"], "--out file cannot be made"),
        (["--train", "folder/train"], "folder/train.en is a folder, a pipe or a device: --train needs files"),
        (["--train", "pipe"], "pipe.en is a folder, a pipe or a device: --train needs files"),
        (["--train", ""], "--train is needed with --corpus files"),
    ],
)
def test_options_that_make_no_sense_are_refused_and_nothing_is_left(mine, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "train.en").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe.en")
    before = sorted(tmp_path.rglob("*"))
    assert message in prepare(*flags_of(mine, "out", *flags), expect=2).stderr
    assert sorted(tmp_path.rglob("*")) == before
