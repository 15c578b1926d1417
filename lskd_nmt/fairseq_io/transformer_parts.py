"""A transformer as a tree of its parts, read from the checkpoint alone: building it would import all of fairseq.

Only fairseq's plain encoder-decoder is read this way. Whatever else a checkpoint holds is None here, and is left to
fairseq's own way of building it.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from lskd_nmt.fairseq_io.checkpoints import SYMBOLS_KEY, section
from lskd_nmt.fairseq_io.types import CheckpointState

if TYPE_CHECKING:
    from torch import Tensor

PAD = 1  # the padding symbol's id, after which positions are counted
NEWEST_VERSION = (
    2.0  # of a transformer's buffers `version`, from which on the last normalisation is as the settings say
)
# settings that change what is computed, or how, beyond the parts that are read here
UNUSUAL = (
    *("no_cross_attention", "cross_self_attention", "adaptive_softmax_cutoff", "no_token_positional_embeddings"),
    *("base_layers", "quant_noise_pq", "quant_noise_scalar", "encoder_layers_to_keep", "decoder_layers_to_keep"),
    *("no_decoder_final_norm", "character_embeddings", "char_inputs", "alignment_heads", "alignment_layer"),
    "adaptive_input",
)
LINEAR = ("weight", "bias")
ATTENTION = tuple(f"{name}_proj.{kind}" for name in ("q", "k", "v", "out") for kind in LINEAR)


@dataclass(frozen=True)
class TransformerParts:
    """A transformer's settings, symbols and parts, whose attributes are named as fairseq's modules are.

    A part without a bias has `bias` None; so are parts that the model lacks.
    """

    layers: tuple[int, int]  # of encoder and decoder
    heads: int
    pre_norm: bool
    activation: str
    layernorm_embedding: bool
    max_positions: tuple[int, int]  # the longest source and target, in symbols with their ends
    symbols: tuple[Sequence[str], Sequence[str]]  # of source and target in index order
    encoder: SimpleNamespace
    decoder: SimpleNamespace
    structure: str  # a hash of all settings above and of every weight's name, shape and type: equal for equal builds


def transformer_parts(state: CheckpointState) -> TransformerParts | None:
    """The parts of a checkpoint's transformer; None if it is another model, or has parts that are not known here."""
    settings = section(state, "model")
    found = dict(state.get("task_state") or {}).get(SYMBOLS_KEY)
    symbols = cast("dict[str, list[str]] | None", found)
    if not symbols or not str(settings.get("arch")).startswith(("ls_transformer_", "transformer")):
        return None
    if any(settings.get(name) for name in UNUSUAL):
        return None
    weights = {
        name: tensor.float()
        for name, tensor in state["model"].items()
        if not name.endswith((".version", "._float_tensor"))
    }
    try:
        layers = int(settings["encoder_layers"]), int(settings["decoder_layers"])
        heads = {int(settings[f"{side}_attention_heads"]) for side in ("encoder", "decoder")}
        norms = {bool(settings[f"{side}_normalize_before"]) for side in ("encoder", "decoder")}
        positions = int(settings["max_source_positions"]), int(settings["max_target_positions"])
    except (KeyError, TypeError, ValueError):
        return None
    known = {*names("encoder", layers[0], settings), *names("decoder", layers[1], settings)}
    versions = [float(state["model"].get(f"{side}.version", [3])[0]) for side in ("encoder", "decoder")]
    if weights.keys() != known or len(heads) > 1 or len(norms) > 1 or min(versions) < NEWEST_VERSION:
        return None
    (heads_of_all,), (pre_norm,) = heads, norms
    activation, normed = str(settings.get("activation_fn", "relu")), bool(settings.get("layernorm_embedding"))
    facts = (layers, heads_of_all, pre_norm, activation, normed, positions, bool(settings.get("no_scale_embedding")))
    shapes = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in sorted(state["model"].items())]
    return TransformerParts(
        layers,
        heads_of_all,
        pre_norm,
        activation,
        normed,
        positions,
        (symbols["source"], symbols["target"]),
        part("encoder", weights, settings, positions[0]),
        part("decoder", weights, settings, positions[1]),
        hashlib.sha256(repr((facts, symbols, shapes)).encode()).hexdigest(),
    )


def names(side: str, layers: int, settings: Mapping[str, object]) -> list[str]:
    """The names of all weights of an encoder or a decoder."""
    attentions = ["self_attn", *(["encoder_attn"] if side == "decoder" else [])]
    of_layer = [f"{each}.{weight}" for each in attentions for weight in ATTENTION]
    normed = [*(f"{each}_layer_norm" for each in attentions), "final_layer_norm", "fc1", "fc2"]
    of_layer += [f"{each}.{kind}" for each in normed for kind in LINEAR]
    found = [f"layers.{number}.{name}" for number in range(layers) for name in of_layer]
    found += ["embed_tokens.weight"] + ["output_projection.weight"] * (side == "decoder")
    for given, name in ((f"{side}_normalize_before", "layer_norm"), ("layernorm_embedding", "layernorm_embedding")):
        found += [f"{name}.{kind}" for kind in LINEAR if settings.get(given)]
    found += ["embed_positions.weight"] if settings.get(f"{side}_learned_pos") else []
    return [f"{side}.{name}" for name in found]


def part(side: str, weights: "Mapping[str, Tensor]", settings: Mapping[str, object], positions: int) -> SimpleNamespace:
    """An encoder or a decoder: its weights as attributes of attributes, its layers as a list."""
    root = SimpleNamespace()
    for name, tensor in weights.items():
        first, *path, last = name.split(".")
        if first == side:
            node = root
            for key in path:
                node = vars(node).setdefault(key, SimpleNamespace(bias=None))
            setattr(node, last, tensor)
    for name in ("layer_norm", "layernorm_embedding"):
        vars(root).setdefault(name, None)
    del root.layers.bias
    root.layers = [each for _, each in sorted(vars(root.layers).items(), key=lambda item: int(item[0]))]
    width = root.embed_tokens.weight.shape[1]
    root.embed_scale = 1.0 if settings.get("no_scale_embedding") else math.sqrt(width)
    learned = settings.get(f"{side}_learned_pos")
    encodings = root.embed_positions.weight if learned else sinusoids(positions + PAD + 1, width)
    root.embed_positions = SimpleNamespace(weights=encodings, padding_idx=PAD)
    return root


def sinusoids(rows: int, width: int) -> "Tensor":
    """Encodings of positions as fairseq has them, sines before cosines (Vaswani et al. 2017).   -> (rows, width)

    Frequency i is 10000^(-i / (width / 2 - 1)).
    """
    import torch

    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float) * -(math.log(10000) / (half - 1)))
    angles = torch.arange(rows, dtype=torch.float)[:, None] * frequencies
    found = torch.zeros(rows, width)
    found[:, : 2 * half] = torch.cat([angles.sin(), angles.cos()], dim=1)
    return found
