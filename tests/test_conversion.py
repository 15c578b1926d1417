"""A checkpoint converted for CTranslate2 without fairseq, and its beam search at the length limit."""

import filecmp

import pytest
import torch
from conftest import train

from lskd_nmt import fairseq_io
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.fairseq_io.transformer_parts import transformer_parts
from lskd_nmt.seqkd import engines
from lskd_nmt.seqkd.conversion import write_model

LANGS = ("aa", "bb")


def parts_of(checkpoint):
    return transformer_parts(fairseq_io.read_checkpoint(str(checkpoint), "model", built=False))


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--encoder-normalize-before", "--decoder-normalize-before", "--layernorm-embedding", "--encoder-learned-pos"),
    ],
)
def test_a_model_is_converted_without_fairseq_to_the_same_bytes_as_by_ctranslate2s_converter(
    data, checkpoint, pieces, tmp_path, flags
):
    if flags:
        folder = train(data, tmp_path / "m", "--kd-weight", 0, "--max-epoch", 1, "--activation-fn", "gelu", *flags)
        checkpoint, pieces = folder / "checkpoint_last.pt", data
    write_model(tmp_path / "ours", parts_of(checkpoint))
    engines.convert(tmp_path / "theirs", str(checkpoint), str(pieces), LANGS)
    names = sorted(file.name for file in (tmp_path / "theirs").iterdir())
    assert sorted(file.name for file in (tmp_path / "ours").iterdir()) == names
    assert filecmp.cmpfiles(tmp_path / "ours", tmp_path / "theirs", names, shallow=False) == (names, [], [])


def test_models_of_one_build_have_one_structure_and_others_another(checkpoint, tmp_path):
    state = torch.load(checkpoint, weights_only=False)
    first = parts_of(checkpoint)
    state["model"]["encoder.layers.0.fc1.weight"] += 1
    torch.save(state, tmp_path / "trained.pt")
    assert parts_of(tmp_path / "trained.pt").structure == first.structure
    settings = state["cfg"]["model"]
    change = settings.__setitem__ if isinstance(settings, dict) else lambda key, value: setattr(settings, key, value)
    change("no_scale_embedding", True)
    torch.save(state, tmp_path / "unscaled.pt")
    assert parts_of(tmp_path / "unscaled.pt").structure != first.structure
    state["model"]["encoder.layers.0.more.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "more.pt")
    assert parts_of(tmp_path / "more.pt") is None


def test_a_translation_at_the_length_limit_has_the_score_that_its_end_gives(checkpoint, pieces, tmp_path):
    write_model(tmp_path / "ct2", parts_of(checkpoint))
    ours, theirs = engines.EndingEngine(tmp_path / "ct2"), engines.FairseqEngine([str(checkpoint)], str(pieces), LANGS)
    sources = [[f"▁{letter}" for letter in word] for word in ("abcdef", "ghgh", "bbbbbb")]
    settings = DecodeSettings(max_len_a=0.0, max_len_b=3, beam=3, nbest=3)  # too short for any of them
    for one, other in zip(ours.translate(sources, settings), theirs.translate(sources, settings), strict=True):
        assert one[0].pieces.count(" ") == 2
        assert one[0].pieces == other[0].pieces and one[0].score == pytest.approx(other[0].score, abs=1e-4)  # float32
