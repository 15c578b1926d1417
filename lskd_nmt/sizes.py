"""Predicted sizes from settings alone, no model needed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lskd_nmt.errors import require


class TransformerSettings(Protocol):
    """What is asked of fairseq's settings of a transformer; widths are those of embeddings and of the inner layers."""

    encoder_embed_dim: int
    encoder_ffn_embed_dim: int
    encoder_layers: int
    decoder_embed_dim: int
    decoder_ffn_embed_dim: int
    decoder_layers: int
    share_all_embeddings: bool
    share_decoder_input_output_embed: bool


def transformer_parameters(model: TransformerSettings, symbols: int) -> int:
    """Parameters of fairseq's transformer with settings `model`: weights, biases and layer norms.

    An upper estimate for variants that share or drop parts (layer drop, cross-self attention).
    """
    width, out = model.encoder_embed_dim, model.decoder_embed_dim

    def layer(d: int, ffn: int, attentions: int, encoder_width: int) -> int:
        self_attention = 4 * d * d + 4 * d
        cross = 2 * d * d + 2 * d * encoder_width + 4 * d
        feed_forward = 2 * d * ffn + d + ffn
        return self_attention + (attentions - 1) * cross + feed_forward + (attentions + 1) * 2 * d

    tables = 1 if model.share_all_embeddings else 2 + (not model.share_decoder_input_output_embed)
    encoder = model.encoder_layers * layer(width, model.encoder_ffn_embed_dim, 1, 0)
    decoder = model.decoder_layers * layer(out, model.decoder_ffn_embed_dim, 2, width)
    return int(encoder + decoder + tables * symbols * max(width, out))


def checkpoint_bytes(parameters: int) -> int:
    """A training checkpoint in bytes: float32 weights and Adam's two moments."""
    return 3 * 4 * parameters


def activation_bytes(model: TransformerSettings, tokens: int) -> int:
    """The bytes that a transformer keeps of a batch of so many tokens for its gradient, by a measured rule of thumb.

    These are, in float32, 8 widths and 1.5 inner widths a token in an encoder layer, 12 and 1.5 in a decoder layer;
    attention weights, small for sentences, are not counted.
    """
    encoder = model.encoder_layers * (8 * model.encoder_embed_dim + 1.5 * model.encoder_ffn_embed_dim)
    decoder = model.decoder_layers * (12 * model.decoder_embed_dim + 1.5 * model.decoder_ffn_embed_dim)
    return int(4 * tokens * (encoder + decoder))


def chunked_loss_bytes(symbols: int, width: int, tokens: int, chunk: int) -> int:
    """The bytes of the chunked loss: seven (chunk, V) tensors, and the gradients of features and projection."""
    return 4 * (7 * min(chunk, tokens) * symbols + symbols * width + tokens * width)


def dense_loss_bytes(symbols: int, tokens: int) -> int:
    """The bytes of a dense distillation loss: about six (tokens, V) tensors in float32."""
    return 4 * 6 * tokens * symbols


def training_bytes(
    model: TransformerSettings, symbols: int, tokens: int, chunk: int, teacher_parameters: int = 0
) -> dict[str, int]:
    """Predicted memory of a float32 training at its peak, in bytes by part; `tokens` is --max-tokens."""
    return {
        "student, its gradient and Adam": 16 * transformer_parameters(model, symbols),
        "teacher": 4 * teacher_parameters,
        "activations": activation_bytes(model, tokens),
        "loss": chunked_loss_bytes(symbols, model.decoder_embed_dim, tokens, chunk),
    }


def forecast_line(parts: Mapping[str, int]) -> str:
    """`predicted peak memory 1.2 GB: student 0.4, …`."""
    listed = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in parts.items() if size)
    return f"predicted peak memory {sum(parts.values()) / 1e9:.2f} GB: {listed}"


def top_k_bytes(k: int, temperatures: int, symbols: int, number_bytes: int = 2) -> int:
    """The bytes of one target token: ids and log-probabilities of k symbols, a log-sum-exp for each temperature."""
    return k * ((2 if symbols <= 1 << 16 else 4) + number_bytes) + 4 * temperatures


def store_bytes(tokens: int, pairs: int, token_bytes: int, once_bytes: int = 0) -> int:
    """The bytes of a teacher store of so many target tokens and sentence pairs."""
    return tokens * token_bytes + 12 * pairs + once_bytes


def require_space(folder: Path, needed: int, flag: str, what: str) -> None:
    """Refuse a folder, to be made or there already, without `needed` bytes of room."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    stats = os.statvfs(there)
    free = stats.f_bavail * stats.f_frsize
    require(
        free >= needed,
        f"{flag} {folder} has {free / 1e6:.0f} MB free, {what} about {needed / 1e6:.0f} MB: "
        "free some space or choose another folder",
    )
