"""Any translator of text through shards and ledger: resumed to the same bytes, in parts, whole or refused."""

import json
import os
from pathlib import Path

import pytest

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import ledger, workers
from lskd_nmt.seqkd.decode import Place, decode_text
from lskd_nmt.seqkd.ledger import DecodingPlan, TextSource, text_key
from lskd_nmt.seqkd.text import TextLines, all_lines
from lskd_nmt.storage.header import Origin
from lskd_nmt.teacher.source import TextHypothesis

LINES = [f"line {number} says «{'ä' * (number % 4)}»" for number in range(20)] + [""]
SETTINGS = DecodeSettings(shard_sentences=4, beam=2, nbest=2)


class Backwards:
    """A `TextTranslationSource` whose translations can be told."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def reseed(self, seed: int) -> None:
        pass

    def translate_text(self, lines, settings):
        self.asked += lines
        return [[TextHypothesis(line[::-1], -0.5), TextHypothesis(line.upper(), None)] for line in lines]


def decode(out: Path, lines=LINES, part=(1, 1), engine=None, write=None, name="mono.en"):
    text = TextSource(name, text_key("".join(lines)), len(lines))
    plan = DecodingPlan([Origin("t", "00")], [], {}, SETTINGS.content(), text)
    make = [lambda: engine or Backwards()]
    place = Place(1, 1, "cpu", part)
    return decode_text(out, plan, write or all_lines(lines), lambda _: (make, True), SETTINGS, place, lambda line: None)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_every_line_has_its_translations_and_nothing_else_is_left(tmp_path):
    made = decode(tmp_path / "d")
    rows = list(ledger.read_rows(tmp_path / "d" / "rows.jsonl"))
    assert [row.source_text for row in rows] == LINES and [row.number for row in rows] == list(range(21))
    assert [row.texts for row in rows] == [*((line[::-1], line.upper()) for line in LINES[:20]), ()]
    assert (made.rows, made.hypotheses, made.empty_rows, made.format) == (21, 40, 1, 2)
    assert (
        made.text == TextSource("mono.en", text_key("".join(LINES)), 21, {})
        and ledger.open_ledger(tmp_path / "d", {}) == made
    )
    assert sorted(os.listdir(tmp_path / "d")) == ["ledger.json", "plan.json", "rows.jsonl"]
    assert json.loads((tmp_path / "d/rows.jsonl").read_text().splitlines()[0])["hyps"] == [["", -0.5], ["", None]]


@pytest.mark.parametrize("shards", range(6))
def test_a_decoding_that_is_killed_goes_on_to_the_same_bytes(shards, tmp_path, monkeypatch):
    decode(tmp_path / "whole")
    real, count = workers.write_shard, iter(range(shards))

    def killed(*what):
        if next(count, None) is None:
            raise KeyboardInterrupt
        real(*what)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(workers, "write_shard", killed)
        decode(tmp_path / "d")
    engine = Backwards()
    decode(tmp_path / "d", engine=engine)
    assert engine.asked == LINES[4 * shards : 20]
    assert files_of(tmp_path / "d") == files_of(tmp_path / "whole")


def test_parts_on_several_machines_make_one_whole(tmp_path):
    decode(tmp_path / "whole")
    assert [decode(tmp_path / "d", part=(number, 3)) for number in (2, 3)] == [None, None]
    assert decode(tmp_path / "d", part=(1, 3), name="packed.en.zst").rows == 21  # whatever the same text is called
    assert files_of(tmp_path / "d") == files_of(tmp_path / "whole")


def test_a_finished_decoding_is_left_alone_and_another_text_refused(tmp_path):
    decode(tmp_path / "d")
    before, engine = files_of(tmp_path / "d"), Backwards()
    decode(tmp_path / "d", engine=engine)
    assert engine.asked == []
    with pytest.raises(LskdError, match="holds a decoding with other text: give another folder"):
        decode(tmp_path / "d", LINES[:9])
    assert files_of(tmp_path / "d") == before


def test_lines_of_a_decoding_that_never_began_are_not_taken_for_those_of_another(tmp_path, monkeypatch):
    """Killed between the writing of the lines and the plan."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(workers, "write_shard", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        decode(tmp_path / "d")
    (tmp_path / "d/plan.json").unlink()
    decode(tmp_path / "d", LINES[3:9])
    assert [row.source_text for row in ledger.read_rows(tmp_path / "d/rows.jsonl")] == LINES[3:9]


def test_what_cannot_begin_leaves_nothing(tmp_path):
    def bad(file):
        raise LskdError("bad text")

    with pytest.raises(LskdError, match="bad text"):
        decode(tmp_path / "new" / "d", write=bad)
    with pytest.raises(LskdError, match="no line is left to translate"):
        decode(tmp_path / "d", [])

    def refuse(lines):
        raise LskdError(f"no model for {len(lines)} lines")

    plan = DecodingPlan([], [], {}, {}, TextSource("mono.en", "hash", 1))
    with pytest.raises(LskdError, match="no model for 21 lines"):
        decode_text(tmp_path / "d", plan, all_lines(LINES), refuse, SETTINGS, Place(), lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_another_text_is_never_merged(tmp_path):
    decode(tmp_path / "other", [line + "!" for line in LINES])
    decode(tmp_path / "d", part=(2, 2))
    rows = list(ledger.read_rows(tmp_path / "other/rows.jsonl"))[:4]
    ledger.write_shard(tmp_path / "d", 0, rows)
    with pytest.raises(LskdError, match=r"sentence: 4 rows \(0, 1, 2, 3\)\): remove shards/ 00000\.jsonl"):
        decode(tmp_path / "d")


def test_lines_are_read_from_disk_wherever_they_end(tmp_path, monkeypatch):
    from lskd_nmt.seqkd import text

    monkeypatch.setattr(text, "SCANNED", 7)
    all_lines(LINES)(tmp_path / "lines")
    found = TextLines(tmp_path / "lines")
    assert len(found) == 21 and found.lines(range(21)) == LINES
    assert found.keys[5] == ledger.text_key(LINES[5])
