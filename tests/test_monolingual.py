"""Text without a target side, translated by a teacher: cleaned, not what the data have, resumed to the same bytes."""

import gzip
import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from conftest import train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.data.cleaning import Limits, clean_lines
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import encoder, ledger, workers
from lskd_nmt.seqkd.decode import Place
from lskd_nmt.seqkd.engines import FairseqEngine
from lskd_nmt.seqkd.monolingual import LONG, decode_source
from lskd_nmt.storage.files import sha256

LANGS = ("aa", "bb")
SETTINGS = DecodeSettings(engine="fairseq", beam=2, nbest=2, shard_sentences=3)


def plain(pieces: str) -> str:
    return pieces.replace(" ", "").replace("▁", " ").strip()


@pytest.fixture(scope="module")
def held(pieces) -> dict[str, str]:
    """A source line of each split."""
    splits = ("train", "valid", "test")
    return {split: plain(fairseq_io.piece_lines(str(pieces), LANGS, split)[0][0]) for split in splits}


NEW = [f"{word} h h h h h h" for word in "abcdefg"]


@pytest.fixture(scope="module")
def lines(held) -> list[str]:
    """Seven lines to translate, and others that are dropped."""
    unwanted = ["", held["train"], f"  {held['valid']}\t", NEW[0], held["test"], "a " * 30, " "]
    return [line for pair in zip(NEW, unwanted, strict=True) for line in pair]


DROPPED = {"empty": 2, "in train": 1, "in valid or test": 2, "repeated": 1, "long": 1}


def put(file: Path, lines) -> str:
    content = "".join(line + "\n" for line in lines).encode()
    packer = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(file.suffix, bytes)
    file.write_bytes(packer(content))
    return str(file)


def decode(out: Path, source: str, data: Path, teacher: Path, settings=SETTINGS, part=(1, 1), words=20):
    symbols, place = fairseq_io.read_symbols(str(data), LANGS), Place(1, 1, "cpu", part)
    return decode_source(
        out, source, [str(teacher)], str(data), symbols, settings, Limits(words), place, lambda line: None
    )


def rows_of(folder: Path):
    return list(ledger.read_rows(folder / ledger.ROWS))


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.fixture(scope="module")
def decoded(lines, pieces, checkpoint, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mono")
    decode(folder / "d", put(folder / "mono.aa.zst", lines), pieces, checkpoint)
    return folder / "d"


def test_what_is_worth_translating_is_translated_as_the_teacher_does(decoded, lines, pieces, checkpoint):
    made, rows = ledger.open_ledger(decoded, {}), rows_of(decoded)
    assert [row.source_text for row in rows] == NEW
    engine = FairseqEngine([str(checkpoint)], str(pieces), LANGS)
    for row in rows:
        found = engine.translate([[f"▁{word}" for word in row.source_text.split()]], SETTINGS)[0]
        assert row.texts == tuple(plain(each.pieces) for each in found)
        assert [h.score for h in row.hypotheses] == pytest.approx([each.score for each in found], abs=1e-4)
    assert (made.rows, made.hypotheses, made.text.lines, made.text.dropped) == (7, 14, len(lines), DROPPED)
    assert made.teacher[0].sha256 == sha256(checkpoint) and made.text.file == "mono.aa.zst"
    assert sorted(os.listdir(decoded)) == ["ledger.json", "plan.json", "rows.jsonl"]


def test_a_killed_decoding_goes_on_to_the_same_bytes_packed_or_not(
    decoded, lines, pieces, checkpoint, tmp_path, monkeypatch
):
    source, real, count = put(tmp_path / "mono.aa.zst", lines), workers.write_shard, iter(range(1))

    def killed(*what):
        if next(count, None) is None:
            raise KeyboardInterrupt
        real(*what)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(workers, "write_shard", killed)
        decode(tmp_path / "d", source, pieces, checkpoint)
    assert decode(tmp_path / "d", source, pieces, checkpoint, part=(2, 2)) is None
    decode(tmp_path / "d", source, pieces, checkpoint)
    assert files_of(tmp_path / "d") == files_of(decoded)
    decode(tmp_path / "plain", put(tmp_path / "mono.aa", lines), pieces, checkpoint)
    assert [row.texts for row in rows_of(tmp_path / "plain")] == [row.texts for row in rows_of(decoded)]
    texts = [ledger.open_ledger(each, {}).text for each in (tmp_path / "plain", decoded)]
    assert texts[0] == replace(texts[1], file="mono.aa")


def test_a_line_of_more_subwords_than_the_teacher_takes_is_dropped(pieces, checkpoint, tmp_path):
    longest = fairseq_io.max_source_positions(str(checkpoint))
    fits, not_any_more = (" ".join("h" * count) for count in (longest - 1, longest))
    source = put(tmp_path / "mono.aa", [fits, not_any_more])
    settings = replace(SETTINGS, max_len_a=0, max_len_b=3)
    made = decode(tmp_path / "d", source, pieces, checkpoint, settings, words=10_000)
    assert made.text.dropped == {LONG: 1} and [row.source_text for row in rows_of(tmp_path / "d")] == [fits]


def test_the_verbs_go_from_text_to_a_student_at_the_level_of_words(lines, pieces, checkpoint, tmp_path, capsys):
    source = put(tmp_path / "mono.aa.gz", lines)
    common = ["--data", pieces, "--out"]
    words = ["seqkd", "decode", "--source", source, "--teacher-path", checkpoint, "--workers", 1, "--max-words", 20]
    assert cli.main([*map(str, [*words, *common, tmp_path / "d"])]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["lines"], said["dropped"]) == (7, 14, DROPPED)
    words = ["seqkd", "select", "--monolingual", tmp_path / "d", *common, tmp_path / "h"]
    assert cli.main([*map(str, words)]) == 0
    assert json.loads(capsys.readouterr().out)["monolingual_sentences"] == 7
    flags = "--hypotheses", tmp_path / "h", "--teacher-path", checkpoint, "--kd-weight", 1, "--max-epoch", 1
    trained = train(tmp_path / "h" / "bin", tmp_path / "m", "--kd-level", "both", *flags, "--no-epoch-checkpoints")
    assert (trained / "checkpoint_last.pt").is_file()


@pytest.mark.parametrize(
    "name, content, part",
    [
        ("cut.gz", gzip.compress(b"a b c\n" * 99, mtime=0)[:-9], "is no readable text (Compressed file ended"),
        ("cut.zst", zstandard.ZstdCompressor().compress(b"a b c\n" * 99)[:-3], "is no readable text (it ends too"),
        ("empty", b"", "is empty: give a file with one sentence a line"),
        ("bytes", b"a\n\xff\n", "line 2 is not UTF-8 (byte 1)"),
        ("known", None, "no line is left to translate (in train: 1): give other text"),
        ("-", b"", "--source is -, and a decoding that goes on reads it again: save it as a file"),
        ("nowhere", None, "does not exist: give a text file"),
    ],
)
def test_a_text_that_cannot_be_is_one_line_and_nothing_is_left(
    name, content, part, held, pieces, checkpoint, tmp_path, capsys
):
    file = tmp_path / "text" / name
    file.parent.mkdir()
    if name != "nowhere":
        file.write_bytes(f"{held['train']}\n".encode() if content is None else content)
    source = name if name == "-" else str(file)
    words = ["seqkd", "decode", "--source", source, "--teacher-path", checkpoint, "--data", pieces, "--workers", 1]
    assert cli.main([*map(str, words), "--out", str(tmp_path / "d")]) == 2
    assert part in capsys.readouterr().err.splitlines()[-1]
    assert os.listdir(tmp_path) == ["text"]


def test_another_text_is_not_taken_for_the_one_that_was_begun(decoded, lines, pieces, checkpoint, tmp_path):
    source, before = put(tmp_path / "mono.aa.zst", lines[1:]), files_of(decoded)
    with pytest.raises(LskdError, match="holds a decoding with other text: give another folder"):
        decode(decoded, source, pieces, checkpoint)
    with pytest.raises(LskdError, match="holds a decoding with other settings"):
        decode(decoded, put(tmp_path / "mono.aa.zst", lines), pieces, checkpoint, words=50)
    assert files_of(decoded) == before


def test_lines_are_cleaned_without_holding_their_text(tmp_path):
    lines = (f"{number % 1500} " + "x" * 5000 for number in range(2000))  # 10 MB, a third of it twice
    tracemalloc.start()
    count, dropped = clean_lines(lines, tmp_path / "out", "aa", Limits(500), lambda line: "odd" * line.startswith("7 "))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, dropped) == (1_499, {"odd": 2, "repeated": 499}) and peak < 1 << 20
    kept = (tmp_path / "out").read_text().splitlines()
    assert [int(line.split()[0]) for line in kept] == [number for number in range(1500) if number != 7]


def test_a_subword_that_is_unknown_to_the_teacher_is_shown_as_such():
    assert encoder.text_of("▁a <unk> b") == "a⁇b" and encoder.text_of("▁a ▁b") == "a b"
