"""Binarised splits that were cut, flipped or mixed up are refused before fairseq believes them."""

import contextlib
import os
import shutil
import struct

import numpy as np
import pytest
from conftest import binarise, write_copy_corpus

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError

LANGS = ("aa", "bb")


def edited(file, at, content):
    data = bytearray(file.read_bytes())
    data[at : at + len(content)] = content
    file.write_bytes(bytes(data))


def appended(file):
    file.write_bytes(file.read_bytes() + b"x")


def cut(file):
    file.write_bytes(file.read_bytes()[:-2])


def fifo(file):
    file.unlink()
    os.mkfifo(file)


def folder(file):
    file.unlink()
    file.mkdir()


DAMAGE = {
    "cut .bin": ("bin", cut, "bb.bin is cut, or of another binarisation"),
    "longer .bin": ("bin", appended, "bb.bin is cut, or of another binarisation"),
    "empty .bin": ("bin", lambda file: file.write_bytes(b""), "bb.bin is cut"),
    "symbol beyond the dictionary": (
        "bin",
        lambda file: edited(file, 0, struct.pack("<H", 60_000)),
        "bb.bin holds symbols that its dictionary of 16 lacks",
    ),
    "cut .idx": ("idx", cut, "bb.idx is cut or has been added to"),
    "longer .idx": ("idx", appended, "bb.idx is cut or has been added to"),
    "empty .idx": ("idx", lambda file: file.write_bytes(b""), "bb.idx is no index of fairseq"),
    "short .idx": ("idx", lambda file: file.write_bytes(file.read_bytes()[:12]), "bb.idx is no readable index"),
    "text": ("idx", lambda file: file.write_text("<html>"), "bb.idx is no index of fairseq"),
    "count": ("idx", lambda file: edited(file, 18, struct.pack("<Q", 1 << 60)), "bb.idx is cut or has been added to"),
    "type": ("idx", lambda file: edited(file, 17, b"\x77"), "bb.idx is of another version or type"),
    "version": ("idx", lambda file: edited(file, 9, b"\x07"), "bb.idx is of another version or type"),
    "length": ("idx", lambda file: edited(file, 26, struct.pack("<i", -5)), "bb.idx is damaged"),
    "start": ("idx", lambda file: edited(file, 26 + 4 * 12, struct.pack("<q", 6)), "bb.idx is damaged"),
    "FIFO": ("idx", fifo, "bb.idx is a pipe (FIFO)"),
    "folder": ("bin", folder, "bb.bin is a folder"),
    "gone": ("bin", lambda file: file.unlink(), "bb.bin does not exist: binarise it again"),
}


@pytest.fixture
def copied(data, tmp_path):
    shutil.copytree(data, tmp_path / "bin")
    return tmp_path / "bin"


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_split_is_refused_by_file(name, copied, capfd):
    ending, damage, part = DAMAGE[name]
    damage(copied / f"valid.aa-bb.bb.{ending}")
    with pytest.raises(LskdError) as caught:
        fairseq_io.translation_data(str(copied), LANGS, "valid")
    assert part in str(caught.value) and "binarise it again" in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err  # of a half-made dataset


def test_sides_of_other_splits_are_refused(copied):
    for ending in ("bin", "idx"):
        shutil.copyfile(copied / f"train.aa-bb.bb.{ending}", copied / f"valid.aa-bb.bb.{ending}")
    with pytest.raises(LskdError, match=r"valid\.aa-bb has 12 sentences of aa and 60 of bb"):
        fairseq_io.translation_data(str(copied), LANGS, "valid")


def test_whole_splits_are_read_in_both_directions_and_in_fairseqs_other_formats(data, plugin, tmp_path):
    for langs in (LANGS, LANGS[::-1]):
        (dataset,) = fairseq_io.translation_data(str(data), langs, "valid")
        assert len(dataset) == 12
    write_copy_corpus(tmp_path / "text", "abc")
    other = binarise(tmp_path / "text", tmp_path / "cached", "--dataset-impl", "cached")
    (dataset,) = fairseq_io.translation_data(str(other), LANGS, "valid")
    assert len(dataset) == 12
    with pytest.raises(LskdError, match="has no 'none' of aa-bb"):
        fairseq_io.translation_data(str(data), LANGS, "none")


def test_a_huffman_index_is_left_to_fairseq(copied):
    from fairseq.data.huffman.huffman_mmap_indexed_dataset import HuffmanMMapIndex

    from lskd_nmt.fairseq_io import binarised

    for lang in LANGS:
        (copied / f"valid.aa-bb.{lang}.idx").write_bytes(HuffmanMMapIndex._HDR_MAGIC + bytes(40))
    binarised.require_whole(str(copied), "valid", LANGS, (16, 16))


def test_every_id_is_looked_at_however_many_at_a_time(data, monkeypatch, tmp_path):
    from lskd_nmt.fairseq_io import binarised

    size = int(np.fromfile(data / "valid.aa-bb.aa.idx", "<i4", 12, offset=26).sum())
    shutil.copytree(data, tmp_path / "bin")
    edited(tmp_path / "bin" / "valid.aa-bb.aa.bin", 2 * (size - 1), struct.pack("<H", 99))
    monkeypatch.setattr(binarised, "AT_ONCE", 7)
    with pytest.raises(LskdError, match="holds symbols"):
        fairseq_io.translation_data(str(tmp_path / "bin"), LANGS, "valid")


@pytest.mark.parametrize(
    "verb",
    [
        ["features", "--checkpoint", "T.pt", "--out", "o"],
        ["compare", "--models", "a=T.pt", "b=T.pt", "--out", "o"],
        ["export", "--checkpoint", "T.pt", "--to", "fairseq", "--out", "o"],
        ["doctor"],
        ["teacher-store", "--teacher-path", "T.pt", "--out", "o"],
        ["seqkd", "select", "--decoded", "d", "--out", "o"],
        ["seqkd", "decode", "--teacher-path", "T.pt", "--out", "o"],
    ],
)
def test_a_colon_in_the_path_of_data_is_said_to_separate(verb, data, tmp_path, monkeypatch, capsys):
    from lskd_nmt import cli

    (tmp_path / "T.pt").write_text("x")
    (tmp_path / "run_10:30").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(SystemExit):
        assert cli.main([*verb, "--data", "run_10:30"]) == 2
    assert "--data run_10:30 has a colon, which separates folders here (run_10, 30)" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["T.pt", "run_10:30"]
