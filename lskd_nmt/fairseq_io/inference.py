"""A transformer without gradient: over the real tokens of a batch alone, or symbol by symbol with a cache.

fairseq computes padding, too, averages attention weights that nobody reads, and copies its cache at every symbol. Here
are the same layers, in evaluation mode, for models that are made of fairseq's own layers alone (`plain_transformer`).
B sentences, S source and T target positions, N real tokens, H heads of width d, D the width of a model, V symbols.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import Embedding, Linear, functional
from torch.nn.functional import scaled_dot_product_attention

from lskd_nmt.fairseq_io.models import own_transformer

if TYPE_CHECKING:
    from fairseq.models.transformer import TransformerDecoderBase, TransformerEncoderBase, TransformerModelBase
    from fairseq.modules import LayerNorm, MultiheadAttention
    from fairseq.modules.transformer_layer import TransformerDecoderLayerBase, TransformerEncoderLayerBase

    Side: TypeAlias = TransformerEncoderBase | TransformerDecoderBase
    Layer: TypeAlias = TransformerEncoderLayerBase | TransformerDecoderLayerBase

# what a plain model has not, or has switched off
PARTS = ("quant_noise", "adaptive_softmax", "c_attn", "attn_ln", "ffn_layernorm", "w_resid", "bias_k")
WAYS = ("cross_self_attention", "add_zero_attn", "use_xformers", "skip_embed_dim_check", "onnx_trace")


def plain_transformer(model: object) -> "PlainTransformer | None":
    """The model's passes without gradient, or None if it is not made of fairseq's own layers alone."""
    inner = own_transformer(model)
    return PlainTransformer(inner) if inner is not None and is_plain(inner) else None


def is_plain(model: "TransformerModelBase") -> bool:
    """Whether all that its encoder and decoder compute is known here."""
    from fairseq.models.transformer import TransformerDecoderBase, TransformerEncoderBase
    from fairseq.modules import MultiheadAttention
    from fairseq.modules.transformer_layer import TransformerDecoderLayerBase, TransformerEncoderLayerBase

    encoder, decoder = model.encoder, model.decoder
    if not (
        is_own(encoder, TransformerEncoderBase, "forward", "forward_scriptable", "forward_embedding")
        and is_own(decoder, TransformerDecoderBase, "forward", "extract_features", "output_layer")
    ):
        return False
    attentions = [getattr(layer, "self_attn", None) for layer in (*encoder.layers, *decoder.layers)]
    attentions += [getattr(layer, "encoder_attn", None) for layer in decoder.layers]
    return (
        all(is_own(layer, TransformerEncoderLayerBase, "forward", "residual_connection") for layer in encoder.layers)
        and all(
            is_own(layer, TransformerDecoderLayerBase, "forward", "residual_connection") for layer in decoder.layers
        )
        and all(is_own(attention, MultiheadAttention, "forward") for attention in attentions)
        and not any(
            has(part, name)
            for part in (encoder, decoder, *encoder.layers, *decoder.layers, *attentions)
            for name in (*PARTS, *WAYS)
        )
        and all(type(side.embed_tokens) is Embedding for side in (encoder, decoder))
        and type(decoder.output_projection) is Linear
    )


def is_own(part: object, base: type, *methods: str) -> bool:
    """Whether it is of a class of fairseq, or of one that inherits these methods from that."""
    return isinstance(part, base) and all(getattr(type(part), name) is getattr(base, name) for name in methods)


def has(part: object, name: str) -> bool:
    """Whether it has something of this name, other than None, 0 and false."""
    found = getattr(part, name, None)
    return bool(found) if isinstance(found, int | float) else found is not None


class Packed:
    """Which tokens of a batch are real, and where each stands once there is no padding before it."""

    def __init__(self, tokens: Tensor, pad: int) -> None:
        """`tokens` (B, L), padded on any side."""
        self.real = tokens.ne(pad)
        lengths = self.real.sum(1)
        self.longest = int(lengths.max())
        self.sentences = tokens.size(0)
        self.place = self.real.cumsum(1)[self.real] - 1  # (N,)
        self.index = self.real.nonzero()[:, 0] * self.longest + self.place  # (N,)
        uneven = bool((lengths < self.longest).any())
        positions = torch.arange(self.longest, device=tokens.device)
        self.mask = (positions < lengths.unsqueeze(1))[:, None, None] if uneven else None  # (B, 1, 1, longest)

    def embedded(self, side: "Side", tokens: Tensor) -> Tensor:
        """What the first layer of an encoder or decoder is given.   (B, L) -> (N, D)"""
        known = places(side, self.longest, tokens)
        return embedded(side, tokens[self.real], None if known is None else known[self.place])

    def heads(self, x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
        """Tokens (N, parts·D) as sentences, for attention.   -> parts × (B, H, longest, d)"""
        whole = x.new_zeros(self.sentences * self.longest, x.size(-1)).index_copy_(0, self.index, x)
        return whole.view(self.sentences, self.longest, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def tokens(self, attended: Tensor) -> Tensor:
        """What attention gives for them.   (B, H, longest, d) -> (N, D)"""
        return attended.transpose(1, 2).reshape(self.sentences * self.longest, -1).index_select(0, self.index)


class Sources(NamedTuple):
    """Encoded sources as the decoder's layers attend to them."""

    keys: list[tuple[Tensor, Tensor]]  # of each layer its keys and values, (B, H, S, d)
    mask: Tensor | None  # (B, 1, 1, S), true where a source has a token; None if all are equally long


class PlainTransformer:
    """The two sides of a model in evaluation mode; its weights are read when they are needed."""

    def __init__(self, model: "TransformerModelBase") -> None:
        self.encoder, self.decoder = model.encoder, model.decoder

    @torch.no_grad()
    def encode(self, src_tokens: Tensor) -> Sources:
        """Sources (B, S), padded on any side."""
        encoder = self.encoder
        packed = Packed(src_tokens, encoder.padding_idx)
        x = packed.embedded(encoder, src_tokens)
        for layer in encoder.layers:
            x = residual(layer, layer.self_attn_layer_norm, x, attend, layer.self_attn, packed, False)
            x = residual(layer, layer.final_layer_norm, x, feed_forward, layer)
        x = x if encoder.layer_norm is None else encoder.layer_norm(x)
        keys = []
        for layer in self.decoder.layers:
            found = functional.linear(x, *joined(layer.encoder_attn, "kv"))
            key, value = packed.heads(found, 2, layer.encoder_attn.num_heads)
            keys.append((key, value))
        return Sources(keys, packed.mask)

    @torch.no_grad()
    def features(self, prev_output_tokens: Tensor, sources: Sources) -> Tensor:
        """What the output projection is given, 0 at padding.   (B, T) -> (B, T, D)"""
        decoder = self.decoder
        packed = Packed(prev_output_tokens, decoder.padding_idx)
        x = packed.embedded(decoder, prev_output_tokens)
        for layer, keys in zip(decoder.layers, sources.keys, strict=True):
            x = residual(layer, layer.self_attn_layer_norm, x, attend, layer.self_attn, packed, True)
            x = residual(
                layer, layer.encoder_attn_layer_norm, x, look_up, layer.encoder_attn, packed, keys, sources.mask
            )
            x = residual(layer, layer.final_layer_norm, x, feed_forward, layer)
        x = final(decoder, x)
        return x.new_zeros(*packed.real.shape, x.size(-1)).masked_scatter_(packed.real.unsqueeze(-1), x)


class CachedSteps:
    """Decoding of B sentences in parallel, one symbol each a step, by a plain transformer."""

    def __init__(self, model: PlainTransformer, src_tokens: Tensor, longest: int) -> None:
        """Encode the sources, (B, S), for up to `longest` steps."""
        self.decoder, (self.keys, self.mask) = model.decoder, model.encode(src_tokens)
        self.weights = [joined(layer.self_attn, "qkv") for layer in self.decoder.layers]
        self.caches = [
            key.new_empty(2, key.size(0), layer.self_attn.num_heads, longest, layer.self_attn.head_dim)
            for layer, (key, _) in zip(self.decoder.layers, self.keys, strict=True)
        ]
        self.places = places(self.decoder, longest, src_tokens)
        self.made = 0

    @torch.no_grad()
    def after(self, symbols: Tensor) -> Tensor:
        """Logits of what follows, after one more symbol of each sentence.   (B,) -> (B, V)"""
        decoder = self.decoder
        x = embedded(decoder, symbols, None if self.places is None else self.places[self.made])
        self.made += 1
        for number, layer in enumerate(decoder.layers):
            x = residual(layer, layer.self_attn_layer_norm, x, self.own, number)
            x = residual(layer, layer.encoder_attn_layer_norm, x, self.cross, number)
            x = residual(layer, layer.final_layer_norm, x, feed_forward, layer)
        logits: Tensor = decoder.output_projection(final(decoder, x))
        return logits

    def own(self, x: Tensor, number: int) -> Tensor:
        """Attention of a layer to the symbols so far.   (B, D) -> (B, D)"""
        attention, cache = self.decoder.layers[number].self_attn, self.caches[number][:, : x.size(0)]
        query, *new = functional.linear(x, *self.weights[number]).view(x.size(0), 3, attention.num_heads, -1).unbind(1)
        for part, each in zip(cache, new, strict=True):
            part[:, :, self.made - 1] = each
        key, value = cache[:, :, :, : self.made].unbind(0)
        found = scaled_dot_product_attention(query.unsqueeze(2), key, value)
        return projected(attention, found.flatten(1))

    def cross(self, x: Tensor, number: int) -> Tensor:
        """Attention of a layer to the sources.   (B, D) -> (B, D)"""
        attention = self.decoder.layers[number].encoder_attn
        query = attention.q_proj(x).view(x.size(0), attention.num_heads, 1, -1)
        found = scaled_dot_product_attention(query, *self.keys[number], attn_mask=self.mask)
        return projected(attention, found.flatten(1))

    def keep(self, rows: Tensor) -> None:
        """Go on with these sentences alone, in ascending order.   (b,)"""
        for cache in self.caches:
            cache[:, : rows.size(0), :, : self.made] = cache[:, rows, :, : self.made]
        self.keys = [(key[rows], value[rows]) for key, value in self.keys]
        self.mask = None if self.mask is None else self.mask[rows]


def places(side: "Side", longest: int, like: Tensor) -> Tensor | None:
    """What stands for the place of each symbol of a sentence, if anything does.   -> (longest, D)"""
    if side.embed_positions is None:
        return None
    found: Tensor = side.embed_positions(like.new_full((1, longest), side.padding_idx + 1))[0]  # not padding
    return found


def embedded(side: "Side", symbols: Tensor, place: Tensor | None) -> Tensor:
    """What the first layer is given, of symbols and what stands for their places.   (N,) -> (N, D)"""
    x = side.embed_scale * side.embed_tokens(symbols)
    if getattr(side, "project_in_dim", None) is not None:
        x = side.project_in_dim(x)
    x = x if place is None else x + place
    found: Tensor = x if side.layernorm_embedding is None else side.layernorm_embedding(x)
    return found


def residual(layer: "Layer", norm: "LayerNorm", x: Tensor, part: Callable[..., Tensor], *more: object) -> Tensor:
    """x and what a part of the layer adds to it, normalised before that part or after the sum.   (N, D) -> (N, D)"""
    if layer.normalize_before:
        return x + part(norm(x), *more)
    found: Tensor = norm(x + part(x, *more))
    return found


def feed_forward(x: Tensor, layer: "Layer") -> Tensor:
    """The two linear maps of a layer.   (N, D) -> (N, D)"""
    found: Tensor = layer.fc2(layer.activation_fn(layer.fc1(x)))
    return found


def final(decoder: "TransformerDecoderBase", x: Tensor) -> Tensor:
    """What comes after the last layer.   (N, D) -> (N, D)"""
    for part in (decoder.layer_norm, decoder.project_out_dim):
        x = x if part is None else part(x)
    return x


def joined(attention: "MultiheadAttention", names: str) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of several of its projections, one under the other, so that one product gives them all."""
    parts = [getattr(attention, f"{name}_proj") for name in names]
    bias = None if parts[0].bias is None else torch.cat([part.bias for part in parts])
    return torch.cat([part.weight for part in parts]), bias


def projected(attention: "MultiheadAttention", x: Tensor) -> Tensor:
    """All heads' outputs as the output of the layer.   (N, D) -> (N, D)"""
    found: Tensor = attention.out_proj(x)
    return found


def attend(x: Tensor, attention: "MultiheadAttention", packed: Packed, causal: bool) -> Tensor:
    """Self-attention inside of each sentence; `causal`: to no later symbol, and so to no padding.   (N, D) -> (N, D)"""
    query, key, value = packed.heads(functional.linear(x, *joined(attention, "qkv")), 3, attention.num_heads)
    mask = None if causal else packed.mask
    found = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    return projected(attention, packed.tokens(found))


def look_up(
    x: Tensor, attention: "MultiheadAttention", packed: Packed, keys: tuple[Tensor, Tensor], mask: Tensor | None
) -> Tensor:
    """Attention of a layer to the sources.   (N, D) -> (N, D)"""
    (query,) = packed.heads(attention.q_proj(x), 1, attention.num_heads)
    return projected(attention, packed.tokens(scaled_dot_product_attention(query, *keys, attn_mask=mask)))
