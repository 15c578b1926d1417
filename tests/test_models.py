"""The architectures' sizes, against fairseq's own models and the counts of the literature."""

from argparse import Namespace

import pytest
import torch

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
@pytest.mark.parametrize("arch", ["ls_transformer_tiny", "ls_transformer_iwslt_small", "ls_transformer_iwslt"])
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


def test_flags_win_over_presets(plugin):
    _, args = build(plugin, "ls_transformer_iwslt_small", 100, decoder_layers=4, dropout=0.3)
    assert (args.encoder_layers, args.decoder_layers, args.dropout) == (2, 4, 0.3)
