"""A checkpoint as a CTranslate2 folder without importing fairseq, for models that are read by their parts.

Nor are CTranslate2's own converters imported: they bring along all frameworks that are installed.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io.transformer_parts import TransformerParts

if TYPE_CHECKING:
    from ctranslate2.specs.common_spec import LayerNormSpec, LinearSpec
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec

ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_accurate": "GELUTanh", "gelu_fast": "GELUTanh", "swish": "SWISH"}
BLANK = {"<pad>": "<blank>"}  # fairseq's padding, as CTranslate2 calls it


def write_model(out: Path, parts: TransformerParts) -> None:
    """Write the folder `out`, in float32: byte for byte what CTranslate2's converter of fairseq's models writes."""
    from ctranslate2.specs import common_spec, transformer_spec

    require(parts.activation in ACTIVATIONS, f"CTranslate2 has no activation {parts.activation}")
    spec = transformer_spec.TransformerSpec.from_config(
        parts.layers,
        parts.heads,
        pre_norm=parts.pre_norm,
        activation=getattr(common_spec.Activation, ACTIVATIONS[parts.activation]),
        alignment_layer=-1,
        alignment_heads=0,
        layernorm_embedding=parts.layernorm_embedding,
    )
    fill(spec.encoder, parts.encoder)
    fill(spec.decoder, parts.decoder)
    linear(spec.decoder.projection, parts.decoder.output_projection)
    source, target = ([BLANK.get(symbol, symbol) for symbol in side] for side in parts.symbols)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.decoder_start_token = spec.config.eos_token
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize(quantization="float32")
    out.mkdir(parents=True)
    spec.save(str(out))


def fill(spec: "TransformerEncoderSpec | TransformerDecoderSpec", part: SimpleNamespace) -> None:
    """Give CTranslate2's encoder or decoder the weights of ours, but for the output projection."""
    positions = part.embed_positions
    spec.position_encodings.encodings = positions.weights.numpy()[positions.padding_idx + 1 :]
    embeddings = spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings
    embeddings.weight = part.embed_tokens.weight.numpy()
    spec.scale_embeddings = part.embed_scale
    for name in ("layer_norm", "layernorm_embedding"):
        if getattr(part, name) is not None:
            norm(getattr(spec, name), getattr(part, name))
    for to, layer in zip(spec.layer, part.layers, strict=True):
        mine, own = layer.self_attn, to.self_attention
        linear(own.linear[0], mine.q_proj, mine.k_proj, mine.v_proj)
        linear(own.linear[1], mine.out_proj)
        norm(own.layer_norm, layer.self_attn_layer_norm)
        if hasattr(layer, "encoder_attn"):
            linear(to.attention.linear[0], layer.encoder_attn.q_proj)
            linear(to.attention.linear[1], layer.encoder_attn.k_proj, layer.encoder_attn.v_proj)
            linear(to.attention.linear[2], layer.encoder_attn.out_proj)
            norm(to.attention.layer_norm, layer.encoder_attn_layer_norm)
        linear(to.ffn.linear_0, layer.fc1)
        linear(to.ffn.linear_1, layer.fc2)
        norm(to.ffn.layer_norm, layer.final_layer_norm)


def linear(spec: "LinearSpec", *parts: SimpleNamespace) -> None:
    """Weights and biases of projections of one input, which become one projection."""
    spec.weight = np.concatenate([part.weight.numpy() for part in parts])
    if parts[0].bias is not None:
        spec.bias = np.concatenate([part.bias.numpy() for part in parts])


def norm(spec: "LayerNormSpec", part: SimpleNamespace) -> None:
    """A layer normalisation."""
    spec.gamma, spec.beta = part.weight.numpy(), part.bias.numpy()
