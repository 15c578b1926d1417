"""`--arch ls_transformer_*`: the sizes of teachers and students, as presets of fairseq's own transformer.

All share one embedding between source, target and output, so the data needs a joined dictionary.
A flag on the command line (`--encoder-layers 4`) wins over the preset.

A name with 6x2 has 6 layers in its encoder, which reads a source once, and 2 in its decoder, which runs for every
symbol of a translation and decides how fast it is (Kasai et al. 2021, "Deep Encoder, Shallow Decoder").
"""

from argparse import Namespace

from fairseq.models import register_model_architecture
from fairseq.models.transformer.transformer_legacy import base_architecture


def preset(args: Namespace, layers: tuple[int, int], width: int, ffn: int, heads: int, dropout: float) -> None:
    """Fill what the user left open: layers of encoder and decoder, else equal sides, all embeddings shared."""
    args.share_all_embeddings = getattr(args, "share_all_embeddings", True)
    args.dropout = getattr(args, "dropout", dropout)
    for side, count in zip(("encoder", "decoder"), layers, strict=True):
        sizes = {"layers": count, "embed_dim": width, "ffn_embed_dim": ffn, "attention_heads": heads}
        for name, size in sizes.items():
            setattr(args, f"{side}_{name}", getattr(args, f"{side}_{name}", size))
    base_architecture(args)


@register_model_architecture("transformer", "ls_transformer_tiny")
def ls_transformer_tiny(args: Namespace) -> None:
    """2+2 layers, width 128: laptops and tests."""
    preset(args, layers=(2, 2), width=128, ffn=512, heads=4, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_iwslt_small")
def ls_transformer_iwslt_small(args: Namespace) -> None:
    """2+2 layers, width 256: the small IWSLT transformer of RayeRen/multilingual-kd-pytorch."""
    preset(args, layers=(2, 2), width=256, ffn=1024, heads=4, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_iwslt_small6")
def ls_transformer_iwslt_small6(args: Namespace) -> None:
    """6+6 layers, width 256."""
    preset(args, layers=(6, 6), width=256, ffn=1024, heads=4, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_iwslt")
def ls_transformer_iwslt(args: Namespace) -> None:
    """6+6 layers, width 512, ffn 1024: fairseq's `transformer_iwslt_de_en`."""
    preset(args, layers=(6, 6), width=512, ffn=1024, heads=4, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_base")
def ls_transformer_base(args: Namespace) -> None:
    """6+6 layers, width 512, ffn 2048: "base" of Vaswani et al. 2017."""
    preset(args, layers=(6, 6), width=512, ffn=2048, heads=8, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_big")
def ls_transformer_big(args: Namespace) -> None:
    """6+6 layers, width 1024, ffn 4096: "big" of Vaswani et al. 2017."""
    preset(args, layers=(6, 6), width=1024, ffn=4096, heads=16, dropout=0.3)


@register_model_architecture("transformer", "ls_transformer_6x2_tiny")
def ls_transformer_6x2_tiny(args: Namespace) -> None:
    """6+2 layers, width 256, ffn 1536: browsermt's "tiny" student, with self-attention where that has an SSRU."""
    preset(args, layers=(6, 2), width=256, ffn=1536, heads=8, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_6x4_small")
def ls_transformer_6x4_small(args: Namespace) -> None:
    """6+4 layers, width 384, ffn 1536: the "base-memory" student of Firefox's translations, likewise."""
    preset(args, layers=(6, 4), width=384, ffn=1536, heads=8, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_6x2")
def ls_transformer_6x2(args: Namespace) -> None:
    """6+2 layers, width 512, ffn 2048: "base" with a decoder of two layers."""
    preset(args, layers=(6, 2), width=512, ffn=2048, heads=8, dropout=0.1)


@register_model_architecture("transformer", "ls_transformer_12x1")
def ls_transformer_12x1(args: Namespace) -> None:
    """12+1 layers, width 512, ffn 2048: the deep encoder with a shallow decoder of Kasai et al. 2021."""
    preset(args, layers=(12, 1), width=512, ffn=2048, heads=8, dropout=0.1)
