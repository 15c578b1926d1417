"""Statistics beside a model's scores: what a table makes of them is what it makes without, and no old ones are read."""

import json

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from lskd_nmt.evaluate import kept_statistics
from lskd_nmt.evaluate.contrasts import Output, collect, measure, wanted
from lskd_nmt.evaluate.kept_statistics import Reading, packed, place_of
from lskd_nmt.evaluate.metrics import METRICS, EvaluationSet, Metric, SacreBleu, SentenceScorer
from lskd_nmt.evaluate.scoring import scores

REFS = ["Der Hund läuft, weil er Hunger hat.", "Zwei Katzen schlafen auf dem Sofa.", "Ich weiß es nicht!"]
HYPS = ["Der Hund läuft.", "Zwei Katzen schlafen auf dem Bett.", "Ich weiß es nicht!"]
OTHERS = ["Der Hund.", "Zwei Katzen schlafen.", "Ich nicht!"]
CONTRASTS = {"a over b": wanted([(1, ["a"]), (-1, ["b"])], "baseline"), "a": wanted([(1, ["a"])], metric="chrf")}


def write(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


@pytest.fixture
def outputs(tmp_path):
    """Two models that an older version scored: nothing is kept."""
    reference = write(tmp_path / "refs", REFS)
    return {
        name: Output(write(tmp_path / name / "test.hyp", lines), reference, "de", "raw", 1, None)
        for name, lines in (("a", HYPS), ("b", OTHERS))
    }


@pytest.fixture
def counted(monkeypatch):
    """The texts whose n-grams were counted."""
    found, count = [], SacreBleu.statistics

    def statistics(self, translations):
        found.append(list(translations))
        return count(self, translations)

    monkeypatch.setattr(SacreBleu, "statistics", statistics)
    return found


def measured(outputs, tmp_path, name):
    return measure(outputs, CONTRASTS, tmp_path / f"{name}.json", lambda line: None)


def bleu_of(file, refs=REFS):
    """A reading's statistics of one file."""
    return Reading("bleu", EvaluationSet(refs, "de")).statistics(file)


def test_tables_are_the_same_with_kept_statistics_and_without(outputs, tmp_path, counted):
    first = measured(outputs, tmp_path, "first")
    assert counted == [HYPS, OTHERS, HYPS]  # BLEU of both, chrF of one
    counted.clear()
    assert measured(outputs, tmp_path, "again") == first and not counted
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "again.json").read_bytes()


def test_the_score_step_keeps_what_the_table_reads(outputs, tmp_path, counted):
    without = measured(outputs, tmp_path, "without")
    kept = {place.name: place.read_bytes() for place in (tmp_path / "a" / "statistics").iterdir()}
    for name, lines in (("a", HYPS), ("b", OTHERS)):
        (place_of(outputs[name].file, "bleu")).unlink()
        scores(lines, REFS, "de", "raw", file=outputs[name].file)
    assert kept == {name: (tmp_path / "a" / "statistics" / name).read_bytes() for name in kept}
    counted.clear()
    assert measured(outputs, tmp_path, "with") == without and not counted


@pytest.mark.parametrize("what", ["hypothesis", "reference", "tokenizer", "lang", "metric", "version"])
def test_nothing_is_read_of_another_text_or_another_way_to_read_it(outputs, what, monkeypatch):
    file = outputs["a"].file
    name, refs, data = "bleu", list(REFS), {"lang": "de", "tokenizer": "13a"}
    assert len(bleu_of(file)) == 3
    if what == "hypothesis":
        write(file, [*HYPS[:2], "Ich weiß es doch!"])
    elif what == "reference":
        refs[2] = "Ich weiß es doch!"
    elif what == "metric":
        name = "chrf"
        place_of(file, "bleu").rename(place_of(file, "chrf"))
    elif what == "version":
        monkeypatch.setattr(kept_statistics, "VERSION", kept_statistics.VERSION + 1)
    else:
        data[what] = {"tokenizer": "char", "lang": "en"}[what]
    reading = Reading(name, EvaluationSet(refs, **data))
    hyps = file.read_text(encoding="utf-8").splitlines()
    assert kept_statistics.read(place_of(file, name), kept_statistics.key_of(reading.facts, hyps)) is None
    wanted = reading.scorer.statistics(hyps)
    assert (reading.statistics(file) == wanted).all()
    if what in ("hypothesis", "reference"):
        found = float(reading.score(reading.statistics(file).sum(0, dtype=np.float64)))
        assert found == pytest.approx(BLEU().corpus_score(hyps, [refs]).score)


def test_every_byte_that_is_edited_lost_or_added_is_noticed(outputs):
    file = outputs["a"].file
    right, place = bleu_of(file), place_of(file, "bleu")
    content = place.read_bytes()
    assert content.startswith(b'{"key": ')
    damaged = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))]
    damaged += [content[:at] for at in range(0, len(content), 7)] + [content + b"x", b"[" * 100_000, b"\xff\n"]
    wrong = dict(json.loads(content.partition(b"\n")[0]), key="0" * 64)
    damaged.append(json.dumps(wrong).encode() + b"\n" + content.partition(b"\n")[2])
    key = kept_statistics.key_of(Reading("bleu", EvaluationSet(REFS, "de")).facts, HYPS)
    for each in damaged:
        place.write_bytes(each)
        assert kept_statistics.read(place, key) is None
    assert (bleu_of(file) == right).all() and place.read_bytes() == content  # computed again, and kept again


def test_a_run_folder_where_nothing_can_be_written_is_read_all_the_same(outputs, tmp_path):
    (tmp_path / "a" / "statistics").write_text("a file is in the way of the folder")
    assert measured(outputs, tmp_path, "in-the-way").results["a over b"].value > 0
    assert not list(tmp_path.rglob("*.part"))


def test_whole_numbers_are_packed_and_come_back_as_they_were():
    for largest, kind in ((255.0, np.uint8), (256.0, np.uint16), (2.0**31, np.uint32)):
        small = packed(np.array([[0.0, largest]]))
        assert small.dtype == kind and (small.astype(np.float64) == [[0, largest]]).all()
    for numbers in ([[0.5, 1.0]], [[-1.0, 1.0]], [[2.0**40, 1.0]], [[np.inf, 1.0]], [[np.nan, 1.0]]):
        assert packed(np.array(numbers)).dtype == np.float64
    assert packed(np.zeros((0, 10))).shape == (0, 10)


def test_a_metric_of_sentences_is_kept_to_the_last_bit(outputs, monkeypatch):
    calls = []

    def thirds(lines):
        calls.append(len(lines))
        return [len(line) / 3 for line in lines]

    entry = Metric("thirds", "thirds", lambda data: SentenceScorer(thirds, f"thirds of {data.lang}", "raw"))
    monkeypatch.setitem(METRICS, "thirds", entry)
    one, again = (collect("thirds", outputs, lambda line: None)[0] for _ in range(2))
    assert calls == [3, 3] and all((one[name] == again[name]).all() for name in "ab")
    assert (one["a"][:, 0] == [len(line) / 3 for line in HYPS]).all()
