"""What is measured of models' translations, and that it is measured once."""

import dataclasses

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.contrasts import Output, measure, wanted
from lskd_nmt.evaluate.records import Significance
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import read_record

REFS = [
    "Der Hund läuft, weil er Hunger hat.",
    "Zwei Katzen schlafen auf dem Sofa.",
    "Ich weiß es nicht!",
    "Heute scheint die Sonne über der Stadt.",
]
HYPS = {
    "a1": [
        "Der Hund läuft, weil er Hunger hat.",
        "Zwei Katzen schlafen auf dem Bett.",
        "Ich weiß es nicht!",
        "Heute scheint die Sonne.",
    ],
    "a2": [*REFS[:3], "Heute scheint die Sonne."],
    "b1": ["Der Hund läuft.", "Zwei Katzen schlafen.", "Ich weiß es nicht!", "Heute scheint die Sonne."],
    "b2": ["Der Hund.", "Zwei Katzen schlafen auf dem Sofa.", "Ich weiß nicht!", "Heute nicht."],
}


@pytest.fixture
def outputs(tmp_path):
    def write(name, lines):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return tmp_path / name

    reference = write("refs", REFS)
    return {
        name: Output(write(name, lines), reference, "de", "raw", int(name[1]), None) for name, lines in HYPS.items()
    }


CONTRASTS = {
    "score": wanted([(1, ["a1", "a2"])]),
    "a over b": wanted([(1, ["a1", "a2"]), (-1, ["b1", "b2"])], "baseline"),
    "a1 over b1": wanted([(1, ["a1"]), (-1, ["b1"])], "baseline"),
}


def test_values_are_differences_of_sacrebleus_means(outputs, tmp_path):
    from sacrebleu.metrics import BLEU

    found = measure(outputs, CONTRASTS, tmp_path / "s.json", lambda line: None).results
    bleu = {name: BLEU().corpus_score(lines, [REFS]).score for name, lines in HYPS.items()}
    mean = {name: (bleu[f"{name}1"] + bleu[f"{name}2"]) / 2 for name in "ab"}
    assert found["score"].value == pytest.approx(mean["a"])
    assert found["a over b"].value == pytest.approx(mean["a"] - mean["b"]) and found["a over b"].seeds == 2
    assert set(found["a over b"].p_by_seed) == {"1", "2"} and set(found["a1 over b1"].p_by_seed) == {"1"}
    pair = [found[name] for name in ("a over b", "a1 over b1")]
    smaller, larger = sorted(pair, key=lambda each: each.p)
    assert smaller.p_holm == pytest.approx(min(1, 2 * smaller.p)) and larger.p_holm >= larger.p
    assert found["score"].p_by_seed is None


def test_the_order_of_models_changes_nothing(outputs, tmp_path):
    turned = {"a over b": wanted([(1, ["a2", "a1"]), (-1, ["b1", "b2"])], "baseline")}
    found = [
        measure(outputs, contrasts, tmp_path / "s.json", lambda line: None).results["a over b"]
        for contrasts in ({"a over b": CONTRASTS["a over b"]}, turned)
    ]
    assert found[0] == found[1]


def test_it_is_measured_again_only_if_something_changed(outputs, tmp_path):
    file, lines = tmp_path / "s.json", []
    first = measure(outputs, CONTRASTS, file, lines.append)
    assert lines and read_record(file, Significance) == first
    lines.clear()
    assert measure(outputs, CONTRASTS, file, lines.append) == first and not lines
    outputs["b1"].file.write_text("".join(f"{line}\n" for line in REFS), encoding="utf-8")
    changed = measure(outputs, CONTRASTS, file, lines.append)
    assert lines and changed.results["a1 over b1"].value < 0 < first.results["a1 over b1"].value
    lines.clear()
    measure(outputs, {"score": CONTRASTS["score"]}, file, lines.append)
    assert lines


def test_contrasts_of_texts_that_are_not_there_are_left_out(outputs, tmp_path):
    outputs["b2"].file.unlink()
    found = measure(outputs, CONTRASTS, tmp_path / "s.json", lambda line: None)
    assert set(found.results) == {"score", "a1 over b1"} and found.without_text == ("b2",)


def test_text_that_is_not_the_scored_one_is_refused(outputs, tmp_path):
    good = dataclasses.replace(outputs["a1"], scored=sha256(outputs["a1"].file))
    score = {"score": wanted([(1, ["a1"])])}
    measure({"a1": good}, score, tmp_path / "s.json", lambda line: None)
    bad = dataclasses.replace(good, scored="0" * 64)
    with pytest.raises(LskdError, match=r"a1 has changed since it was scored: .*score.sh"):
        measure({"a1": bad}, score, tmp_path / "t.json", lambda line: None)
    outputs["a1"].file.write_text("x\n")
    with pytest.raises(LskdError, match=r"a1 has 1 lines and the test set 4: decode it again"):
        measure(outputs, score, tmp_path / "t.json", lambda line: None)
    assert not (tmp_path / "t.json").exists()
