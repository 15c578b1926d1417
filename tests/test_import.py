"""Translations made elsewhere: every source line once and in order, whatever the file is packed with, or refused."""

import gzip
import io
import json
import os
import sys
from pathlib import Path

import pytest
import zstandard

from lskd_nmt import cli
from lskd_nmt.data.text_files import TextFile
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import imported, ledger
from lskd_nmt.seqkd.imported import ImportSettings, import_translations
from lskd_nmt.storage.files import sha256

SOURCE = ["Zwei Hunde.", "Ein Haus am See.", "Sie singt.", "Der Zug fährt ab.", "Gut."]
TARGET = ["Two dogs.", "A house by the lake.", "She sings.", "The train leaves.", "Good."]
PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def text_of(lines) -> str:
    return "".join(line + "\n" for line in lines)


def jsonl(pairs, **more) -> str:
    return text_of(json.dumps({"source": source, "translation": target, **more}) for source, target in pairs)


def put(file: Path, text: str | bytes) -> str:
    """Write a text, packed as the file's name says; the file's name."""
    content = text.encode() if isinstance(text, str) else text
    file.write_bytes(PACKERS.get(file.suffix, bytes)(content))
    return str(file)


def take(folder: Path, translations: str | bytes, name="out.de", out="d", source=None, **settings):
    """Import into a folder; the ledger and its rows."""
    files = put(folder / "mono.en", text_of(SOURCE if source is None else source)), put(folder / name, translations)
    made = import_translations(folder / out, *files, ImportSettings(**settings), lambda line: None)
    return made, list(ledger.read_rows(folder / out / "rows.jsonl"))


def test_plain_text_becomes_rows_that_say_where_they_are_from(tmp_path):
    made, rows = take(tmp_path, text_of(TARGET), system="ours")
    assert [row.source_text for row in rows] == SOURCE and [row.texts for row in rows] == [(line,) for line in TARGET]
    assert [row.number for row in rows] == [0, 1, 2, 3, 4] and len({row.settings for row in rows}) == 1
    assert [row.source for row in rows] == [ledger.text_key(line) for line in SOURCE]
    assert (made.rows, made.hypotheses, made.empty_rows) == (5, 5, 0)
    assert made.text == ledger.TextSource("mono.en", sha256(tmp_path / "mono.en"), 5)
    facts = made.imported
    assert (facts.file, facts.sha256, facts.systems) == ("out.de", sha256(tmp_path / "out.de"), ["ours"])
    assert made == ledger.open_ledger(tmp_path / "d", {}) and str(tmp_path) not in (
        (tmp_path / "d/ledger.json").read_text()
    )


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("name", ["out.de", "out.jsonl"])
def test_a_packed_file_is_the_same_text(name, ending, tmp_path):
    content = jsonl(zip(SOURCE, TARGET, strict=True)) if name == "out.jsonl" else text_of(TARGET)
    plain, rows = take(tmp_path, content, name)
    packed, same = take(tmp_path, content, name + ending, "packed")
    assert (rows, plain.imported.sha256) == (same, packed.imported.sha256)
    assert packed.imported.form == ("jsonl" if name == "out.jsonl" else "plain")


def test_a_zstandard_file_may_have_several_frames(tmp_path):
    text = text_of(f"line {number}" for number in range(40_000)).encode()
    half = len(text) // 2 + 3
    packed = PACKERS[".zst"](text[:half]) + PACKERS[".zst"](b"") + PACKERS[".zst"](text[half:])
    (tmp_path / "a.zst").write_bytes(packed)
    assert text_of(TextFile(str(tmp_path / "a.zst")).lines()).encode() == text


def test_standard_input_is_read_and_unpacked(tmp_path, monkeypatch, capsys):
    source = put(tmp_path / "mono.en", text_of(SOURCE))
    for number, content in enumerate((text_of(TARGET).encode(), gzip.compress(text_of(TARGET).encode()))):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        words = ["seqkd", "import", "--source", source, "--translations", "-", "--out", tmp_path / f"d{number}"]
        assert cli.main(list(map(str, words))) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["rows"] == said["hypotheses"] == 5 and said["complete"]
    assert (tmp_path / "d0/rows.jsonl").read_bytes() == (tmp_path / "d1/rows.jsonl").read_bytes()
    assert json.loads((tmp_path / "d1/ledger.json").read_text())["imported"]["file"] == "standard input"


def test_json_lines_have_several_translations_scores_systems_and_prompts(tmp_path):
    more = [
        {"translations": ["a", "b"], "scores": [-0.5, None], "system": "one", "prompt": "Translate: {}"},
        {"translations": []},
        {"translation": "c", "score": -2, "system": "two"},
        {"translation": "d", "system": "one"},
        {"translations": ["e\nf"], "score": None},
    ]
    lines = (json.dumps({"source": line} | each) for line, each in zip(SOURCE, more, strict=True))
    made, rows = take(tmp_path, text_of(lines), "out.jsonl")
    assert [row.texts for row in rows] == [("a", "b"), (), ("c",), ("d",), ("e f",)]
    scores = [[None if h.score != h.score else h.score for h in row.hypotheses] for row in rows]
    assert scores == [[-0.5, None], [], [-2.0], [None], [None]]
    assert made.imported.systems == ["one", "two"] and made.imported.prompts == ["Translate: {}"]
    assert (made.hypotheses, made.empty_rows, made.imported.scored) == (5, 1, 2)


def test_empty_and_runaway_translations_are_counted_by_the_rule(tmp_path):
    """Of ten characters, so that 20 are twice as many and 21 more."""
    made, _ = take(tmp_path, text_of(["", "x" * 20, "x" * 21, " ", "good"]), source=["a" * 10] * 5, runaway=2)
    assert (made.imported.empty, made.imported.runaway, made.imported.runaway_ratio) == (2, 1, 2)


PAIRS = list(zip(SOURCE, TARGET, strict=True))
WRONG = {
    "missing": ([*PAIRS[:2], *PAIRS[3:]], 3, "the translation of line 3 is missing"),
    "last missing": (PAIRS[:4], None, "mono.en has 5 lines and"),
    "swapped": ([PAIRS[0], PAIRS[2], PAIRS[1], *PAIRS[3:]], 2, "it and the next are swapped"),
    "doubled": ([*PAIRS[:3], *PAIRS[2:]], 4, "that of line 3 stands twice"),
    "edited": ([*PAIRS[:3], ("Der Zug fährt an.", TARGET[3]), PAIRS[4]], 4, "it was edited, or is of another text"),
    "of another text": ([("Etwas anderes.", "Something else.")], 1, "it was edited, or is of another text"),
    "too many": ([*PAIRS, PAIRS[0]], None, "mono.en has 5 lines and"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_row_in_the_wrong_place_is_named_and_nothing_written(wrong, tmp_path):
    pairs, line, part = WRONG[wrong]
    with pytest.raises(LskdError) as error:
        take(tmp_path, jsonl(pairs), "out.jsonl")
    assert part in str(error.value) and (line is None or f"out.jsonl line {line} translates" in str(error.value))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mono.en", "out.jsonl"]


BAD = {
    "no JSON": ("{", "line 2 is no translation (line 1, column 2"),
    "no object": ("[1]", "(it is no object)"),
    "no source": ('{"translation": "x"}', "(it lacks 'source')"),
    "a number": ('{"source": 3, "translation": "x"}', "('source' is not text)"),
    "no translation": ('{"source": "x"}', "(it needs either 'translation' or 'translations')"),
    "both": ('{"source": "x", "translation": "x", "translations": []}', "(it needs either"),
    "a list of numbers": ('{"source": "x", "translations": [1]}', "('translations' is no list of text)"),
    "text for a list": ('{"source": "x", "translations": "x"}', "('translations' is no list of text)"),
    "other scores": ('{"source": "x", "translations": ["a", "b"], "scores": [1]}', "one finite 'score'"),
    "NaN": ('{"source": "x", "translation": "a", "score": NaN}', "one finite 'score'"),
    "true": ('{"source": "x", "translation": "a", "score": true}', "one finite 'score'"),
    "a system": ('{"source": "x", "translation": "a", "system": 1}', "('system' is not text)"),
    "nested": ("[" * 100_000, "line 2 is no translation (nested too deeply)"),
    "blank": ("", "line 2 is no translation"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_line_that_is_no_translation_is_one_line(bad, tmp_path):
    line, part = BAD[bad]
    with pytest.raises(LskdError) as error:
        take(tmp_path, jsonl(PAIRS[:1]) + line + "\n" + jsonl(PAIRS[2:]), "out.jsonl")
    assert part in str(error.value) and "\n" not in str(error.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mono.en", "out.jsonl"]


PACKED = {ending: PACKERS[ending](text_of(TARGET).encode()) for ending in (".gz", ".zst")}
DAMAGED = {
    "fewer lines": ("out.de", text_of(TARGET[:4]), "mono.en has 5 lines and"),
    "bytes": ("out.de", text_of(TARGET).encode() + b"\xff\xfe\n", "line 6 is not UTF-8 (byte 1)"),
    "empty": ("out.de", "", "out.de is empty: give a file with one sentence a line"),
    "blank": ("out.de", "\n" * 5, "out.de is empty"),
    "cut .gz": ("cut.gz.part", PACKED[".gz"][:-9], "is no readable text (Compressed file ended"),
    "cut .zst": ("cut.zst.part", PACKED[".zst"][:-3], "is no readable text (it ends too early)"),
    "other .zst": ("bad.zst.part", PACKED[".zst"][:4] + b"\xff" * 40, "is no readable text (ZstdError"),
}


@pytest.mark.parametrize("bad", DAMAGED)
def test_a_damaged_file_is_one_line_and_nothing_is_left(bad, tmp_path, capsys):
    name, content, part = DAMAGED[bad]
    source, file = put(tmp_path / "mono.en", text_of(SOURCE)), tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    if name.endswith(".part"):
        file = file.rename(tmp_path / name.removesuffix(".part"))
    words = ["seqkd", "import", "--source", source, "--translations", str(file), "--out", str(tmp_path / "d")]
    assert cli.main(words) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "error" in each]
    assert line.startswith("lskd seqkd: error: ") and part in line
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["mono.en", file.name])


def test_the_same_import_is_left_alone_and_another_one_refused(tmp_path):
    made, _ = take(tmp_path, text_of(TARGET), system="ours")
    before = {file.name: file.read_bytes() for file in (tmp_path / "d").iterdir()}
    for name in ("out.de", "again.de.gz"):
        assert take(tmp_path, text_of(TARGET), name, system="ours")[0] == made
    with pytest.raises(LskdError, match="holds other translations: give another folder"):
        take(tmp_path, text_of([*TARGET[:4], "Fine."]), system="ours")
    with pytest.raises(LskdError, match="holds other text: give another folder"):
        take(tmp_path, text_of(TARGET), source=[*SOURCE[:4], "Fein."], system="ours")
    with pytest.raises(LskdError, match="holds other translations"):
        take(tmp_path, text_of(TARGET), system="theirs")
    assert before == {file.name: file.read_bytes() for file in (tmp_path / "d").iterdir()}
    (tmp_path / "d/rows.jsonl").write_bytes(before["rows.jsonl"].replace(b"Two", b"Six"))
    with pytest.raises(LskdError, match=r"rows\.jsonl was edited"):
        take(tmp_path, text_of(TARGET), system="ours")


def test_an_import_that_is_stopped_leaves_nothing_and_folders_of_others_stay(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(imported, "write_record", stop)
        take(tmp_path, text_of(TARGET))
    assert sorted(os.listdir(tmp_path)) == ["mono.en", "out.de"]
    (tmp_path / "d").mkdir()
    (tmp_path / "d/notes").touch()
    with pytest.raises(LskdError, match="is there already and holds no import: give a new folder"):
        take(tmp_path, text_of(TARGET))
    assert os.listdir(tmp_path / "d") == ["notes"]


@pytest.mark.parametrize(
    "words, part",
    [
        (["--translations", "-", "--source", "-"], "are both -"),
        (["--format", "xml"], "--format is xml: one of auto, plain, jsonl"),
        (["--runaway", "0"], "--runaway is 0: give a number above 0"),
        (["--runaway", "nan"], "--runaway is nan: give a number above 0"),
        (["--source", "nowhere.en"], "nowhere.en does not exist"),
        (["--source", "."], ". is a folder where a file is meant"),
    ],
)
def test_calls_that_cannot_be_are_one_line(words, part, tmp_path, capsys):
    files = put(tmp_path / "a.en", text_of(SOURCE)), put(tmp_path / "a.de", text_of(TARGET))
    call = ["seqkd", "import", "--source", files[0], "--translations", files[1], "--out", str(tmp_path / "d"), *words]
    assert cli.main(call) == 2
    assert part in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "d").exists()
