"""A model's own translations: which tokens TER says are right, and whether the model knew."""

import json
import random

import numpy as np
import pytest
import torch
from frames import arrays_of, header_facts
from sacrebleu.metrics.lib_ter import translation_edit_rate
from test_features import write
from test_store import LANGS, pairs_of

from lskd_nmt import cli, fairseq_io
from lskd_nmt.analysis.confidence.calibrate import CalibrationSettings, calibrate
from lskd_nmt.analysis.features.folder import Features, open_features, require_comparable, write_features
from lskd_nmt.analysis.features.ter_alignment import END, RIGHT, SUBSTITUTED, UNALIGNED, ter_edits
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import to_json
from lskd_nmt.teacher.online import LiveTeacher


@pytest.mark.parametrize(
    "output, reference, edits, shifts",
    [
        ("a b c", "a b c", [RIGHT] * 3, 0),
        ("a x c", "a b c", [RIGHT, SUBSTITUTED, RIGHT], 0),
        ("a b x c", "a b c", [RIGHT, RIGHT, UNALIGNED, RIGHT], 0),
        ("a c", "a b c", [RIGHT, RIGHT], 0),
        ("d e a b c", "a b c d e", [RIGHT] * 5, 1),
        ("d x a b c", "a b c d e", [RIGHT, UNALIGNED, RIGHT, RIGHT, RIGHT], 1),  # d moves: a b c stood right
        ("a b", "", [UNALIGNED] * 2, 0),
        ("", "a b", [], 0),
    ],
)
def test_edits_by_hand(output, reference, edits, shifts):
    assert ter_edits(output.split(), reference.split()) == (edits, shifts)


def test_the_edits_are_sacrebleus_ter():
    draw, shifted = random.Random(3), 0
    for _ in range(200):
        output, reference = (draw.choices("abcdef", k=draw.randint(1, 12)) for _ in range(2))
        edits, shifts = ter_edits(output, reference)
        matched = sum(edit in (RIGHT, SUBSTITUTED) for edit in edits)
        wrong = edits.count(SUBSTITUTED) + edits.count(UNALIGNED) + len(reference) - matched
        assert (wrong + shifts, len(reference)) == translation_edit_rate(output, reference)
        assert edits.count(RIGHT) <= sum(min(output.count(each), reference.count(each)) for each in set(output))
        shifted += shifts
    assert shifted > 20


@pytest.fixture(scope="module")
def own(checkpoint, pieces, tmp_path_factory) -> Features:
    return write(tmp_path_factory.mktemp("own") / "f", checkpoint, pieces, split="test", beam=2)


def test_the_tokens_are_those_of_beam_search_with_their_own_probabilities(own, checkpoint, pieces):
    symbols = fairseq_io.read_symbols(str(pieces), LANGS)
    live = LiveTeacher.load([str(checkpoint)], symbols, str(pieces), None)
    (dataset,) = fairseq_io.translation_data(str(pieces), LANGS, "test")
    for row, (source, reference) in enumerate(pairs_of(pieces, "test")):
        alone, _ = fairseq_io.net_input([(torch.from_numpy(source), torch.from_numpy(reference))], 1, 2)
        (((ids, score), _),) = fairseq_io.generate(
            live.models,
            dataset.tgt_dict,
            alone,
            beam=2,
            sampling_topk=None,
            temperature=1.0,
            len_penalty=1.0,
            max_len_a=1.5,
            max_len_b=20,
        )
        at = own.sentence == row
        assert own.target[at].tolist() == [*ids, 2]
        assert own.target_log_prob[at].mean() == pytest.approx(score, abs=1e-4)  # what the search thought of it
        edits, _ = ter_edits(list(map(str, ids)), list(map(str, reference[:-1])))
        assert own.edit[at].tolist() == [*edits, END]
    assert own.header.decoding.beam == 2


def test_confidence_is_that_of_the_output_and_unaligned_tokens_are_left_out_or_wrong(tmp_path):
    odds = np.log(np.array([3.0, 1.0, 3.0, 1.0, 3.0]))  # p of symbol 0: 3/4 or 1/2
    arrays = arrays_of(odds[:, None].astype(np.float32), np.array([[1.0], [0.0]]), [0, 0, 1, 0, 0], [3, 2])
    arrays["edit"] = np.array([RIGHT, SUBSTITUTED, UNALIGNED, RIGHT, END], dtype=np.uint8)
    write_features(tmp_path / "f", header_facts(["a", "b"]), arrays)
    found = to_json(calibrate(open_features(tmp_path / "f"), CalibrationSettings(), lambda line: None))
    aligned, every = (found[level]["numbers"] for level in ("token", "token_all"))
    assert found["token"]["units"] == 3 and found["token_all"]["units"] == 4
    assert aligned["accuracy"]["value"] == pytest.approx(2 / 3) and every["accuracy"]["value"] == 0.5
    assert aligned["confidence"]["value"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    assert every["confidence"]["value"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 4 + 1 / 2) / 4)
    assert found["temperature"] is None and found["decoding"] == "own output"


def test_features_of_own_output_are_not_compared_with_others(own):
    with pytest.raises(LskdError, match="own output have no tokens in common"):
        require_comparable({"one": own, "two": own})


def test_the_verbs_from_checkpoint_to_numbers(checkpoint, pieces, tmp_path, capsys):
    folder, out = tmp_path / "f", tmp_path / "c.json"
    call = ["features", "--checkpoint", str(checkpoint), "--data", str(pieces), "--out", str(folder), "--own-output"]
    assert cli.main([*call, "1"]) == 0
    assert cli.main(["calibrate", str(folder), "--out", str(out)]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < answer["accuracy"] <= 1 and "temperature" not in answer
    assert json.loads(out.read_text())["features"]["decoding"]["beam"] == 1
    assert cli.main([*call, "2"]) == 2
    assert "holds features of other decoding" in capsys.readouterr().err
    assert cli.main([*call, "-1"]) == 2
    assert "--own-output is -1" in capsys.readouterr().err
