"""The architectures' sizes, against fairseq's own models and the counts of the literature."""

import re
from argparse import Namespace

import pytest
import torch
from conftest import ROOT

from lskd_nmt.sizes import checkpoint_bytes, transformer_parameters


def build(plugin, arch: str, symbols: int, **flags):
    """fairseq's model and settings of an arch over a joined dictionary, without memory behind its weights."""
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    dictionary = Dictionary()
    for i in range(symbols - len(dictionary)):
        dictionary.add_symbol(f"w{i}")
    args = Namespace(arch=arch, max_source_positions=1024, max_target_positions=1024, **flags)
    ARCH_CONFIG_REGISTRY[arch](args)
    task = Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    with torch.device("meta"):
        return ARCH_MODEL_REGISTRY[arch].build_model(args, task), args


@pytest.mark.parametrize(
    "arch, symbols, millions",
    [  # METHODS: weights, biases, layer norms; no positions
        ("ls_transformer_iwslt", 10152, 36.7),
        ("ls_transformer_iwslt_small", 30000, 11.4),
        ("ls_transformer_iwslt_small", 10000, 6.3),
        ("ls_transformer_iwslt_small6", 10000, 13.6),
        ("ls_transformer_base", 32768, 60.9),
        ("ls_transformer_big", 32768, 209.9),
        # by hand: a layer of the encoder has 4d² + 2df + 9d + f parameters, of the decoder 8d² + 2df + 15d + f
        ("ls_transformer_6x2_tiny", 10000, 6 * 1.052416 + 2 * 1.316096 + 2.56),
        ("ls_transformer_6x4_small", 10000, 6 * 1.774464 + 4 * 2.366592 + 3.84),
        ("ls_transformer_6x2", 10000, 6 * 3.152384 + 2 * 4.204032 + 5.12),
        ("ls_transformer_12x1", 10000, 12 * 3.152384 + 4.204032 + 5.12),
    ],
)
def test_parameter_counts_are_those_of_the_literature(plugin, arch, symbols, millions):
    model, _ = build(plugin, arch, symbols)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"encoder_layers": 4},
        {"share_all_embeddings": False},
        {"share_all_embeddings": False, "share_decoder_input_output_embed": True},
    ],
)
@pytest.mark.parametrize(
    "arch", ["ls_transformer_tiny", "ls_transformer_iwslt_small", "ls_transformer_iwslt", "ls_transformer_6x2_tiny"]
)
def test_forecast_counts_the_parameters_of_the_real_model(plugin, arch, flags):
    model, args = build(plugin, arch, 1000, **flags)
    assert transformer_parameters(args, 1000) == sum(p.numel() for p in model.parameters())


def test_checkpoint_forecast_is_close_to_a_real_file(teacher):
    from lskd_nmt.fairseq_io import read_checkpoint

    state = read_checkpoint(str(teacher), "checkpoint")
    tensors = {t.data_ptr(): t.numel() for t in state["model"].values()}
    predicted = checkpoint_bytes(sum(tensors.values()))
    overhead = 100_000  # settings, meters, symbols, zip directory
    assert predicted <= teacher.stat().st_size <= predicted * 1.1 + overhead


@pytest.mark.parametrize(
    "arch, layers", [("6x2_tiny", (6, 2)), ("6x4_small", (6, 4)), ("6x2", (6, 2)), ("12x1", (12, 1))]
)
def test_a_name_says_the_layers_of_encoder_and_decoder(plugin, arch, layers):
    model, args = build(plugin, f"ls_transformer_{arch}", 100)
    assert (len(model.encoder.layers), len(model.decoder.layers)) == layers
    assert model.decoder.output_projection.weight is model.encoder.embed_tokens.weight
    assert not args.encoder_normalize_before and args.dropout == 0.1


def test_the_page_lists_every_preset_with_its_size(plugin):
    page = (ROOT / "docs" / "criterion.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(ls_transformer_\w+)` \| (\d+)\+(\d+) \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) M \|", page)
    from fairseq.models import ARCH_CONFIG_REGISTRY

    assert {row[0] for row in rows} == {name for name in ARCH_CONFIG_REGISTRY if name.startswith("ls_transformer_")}
    for arch, encoder, decoder, width, ffn, heads, millions in rows:
        model, args = build(plugin, arch, 10_000)
        sizes = (args.encoder_layers, args.decoder_layers, args.encoder_embed_dim, args.encoder_ffn_embed_dim)
        assert (*sizes, args.encoder_attention_heads) == tuple(map(int, (encoder, decoder, width, ffn, heads)))
        assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(float(millions), abs=0.1)


def test_flags_win_over_presets(plugin):
    _, args = build(plugin, "ls_transformer_iwslt_small", 100, decoder_layers=4, dropout=0.3)
    assert (args.encoder_layers, args.decoder_layers, args.dropout) == (2, 4, 0.3)
