"""Predicted sizes from settings alone, no model needed."""

from typing import Any


def transformer_parameters(model: Any, symbols: int) -> int:
    """Parameters of fairseq's transformer with settings `model`: weights, biases and layer norms.

    An upper estimate for variants that share or drop parts (layer drop, cross-self attention).
    """
    width, out = model.encoder_embed_dim, model.decoder_embed_dim

    def layer(d: int, ffn: int, attentions: int, memory: int) -> int:
        self_attention = 4 * d * d + 4 * d
        cross = 2 * d * d + 2 * d * memory + 4 * d
        feed_forward = 2 * d * ffn + d + ffn
        return self_attention + (attentions - 1) * cross + feed_forward + (attentions + 1) * 2 * d

    tables = 1 if model.share_all_embeddings else 2 + (not model.share_decoder_input_output_embed)
    encoder = model.encoder_layers * layer(width, model.encoder_ffn_embed_dim, 1, 0)
    decoder = model.decoder_layers * layer(out, model.decoder_ffn_embed_dim, 2, width)
    return int(encoder + decoder + tables * symbols * max(width, out))


def checkpoint_bytes(parameters: int) -> int:
    """A training checkpoint in bytes: float32 weights and Adam's two moments."""
    return 3 * 4 * parameters
