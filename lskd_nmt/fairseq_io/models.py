"""fairseq's models: their settings, their parts, the device they run on, and what they generate."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io.plugin import load_plugin

if TYPE_CHECKING:
    from fairseq.data import Dictionary
    from fairseq.models import BaseFairseqModel, FairseqEncoderDecoderModel
    from fairseq.models.transformer import TransformerModelBase
    from fairseq.modules import AdaptiveSoftmax
    from torch import Tensor
    from torch.nn import Module


def transformer_settings() -> list[str]:
    """The names of all settings of fairseq's transformer."""
    from fairseq.models.transformer.transformer_legacy import base_architecture

    settings = Namespace()
    base_architecture(settings)
    return [*vars(settings), "max_source_positions", "max_target_positions"]


def arch_settings(arch: str) -> Namespace:
    """The settings of a named architecture."""
    from fairseq.models import ARCH_CONFIG_REGISTRY

    load_plugin()
    names = sorted(name for name in ARCH_CONFIG_REGISTRY if name.startswith("ls_transformer"))
    require(arch in ARCH_CONFIG_REGISTRY, f"--arch is {arch}: one of fairseq's, or of {', '.join(names)}")
    settings = Namespace(arch=arch)
    ARCH_CONFIG_REGISTRY[arch](settings)
    return settings


def device(wish: str) -> str:
    """The device that --device names: `cuda` or `cpu`; `auto` takes a GPU if torch sees one."""
    import torch

    require(wish != "cuda" or torch.cuda.is_available(), "--device is cuda, and torch sees no GPU: use --device cpu")
    return "cuda" if wish != "cpu" and torch.cuda.is_available() else "cpu"


def gpus(wish: str) -> int:
    """How many GPUs --device names; 0 for the CPU."""
    import torch

    return torch.cuda.device_count() if device(wish) == "cuda" else 0


def unwrapped(model: object) -> "BaseFairseqModel":
    """The model inside of what distributed training wraps around it."""
    from fairseq.distributed import LegacyDistributedDataParallel, ModuleProxyWrapper
    from torch.nn.parallel import DistributedDataParallel

    while isinstance(model, ModuleProxyWrapper | DistributedDataParallel | LegacyDistributedDataParallel):
        model = model.module
    return model


def own_transformer(model: object) -> "TransformerModelBase | None":
    """The transformer whose encoder and decoder may be called by themselves, or None.

    torch's DistributedDataParallel and fully sharded wrappers have to see whole forward passes.
    """
    from fairseq.distributed import LegacyDistributedDataParallel, ModuleProxyWrapper
    from fairseq.models.transformer import TransformerModelBase

    while isinstance(model, ModuleProxyWrapper | LegacyDistributedDataParallel):
        model = model.module
    own = isinstance(model, TransformerModelBase) and type(model).forward is TransformerModelBase.forward
    return model if own else None


def output_projection(model: object) -> "tuple[Tensor, Tensor | None] | None":
    """Weight (V, D) and bias that turn a transformer's features into logits, or None where that is not all."""
    from inspect import signature

    from fairseq.models.transformer import TransformerDecoderBase, TransformerModelBase
    from torch.nn import Linear

    model = unwrapped(model)
    decoder = getattr(model, "decoder", None)
    if not isinstance(model, TransformerModelBase) or not isinstance(decoder, TransformerDecoderBase):
        return None
    if "features_only" not in signature(type(model).forward).parameters:  # transformer_align gives logits alone
        return None
    projection = decoder.output_projection
    own = type(decoder).output_layer is not TransformerDecoderBase.output_layer or decoder.adaptive_softmax is not None
    return (projection.weight, projection.bias) if type(projection) is Linear and not own else None


def log_probs(model: "BaseFairseqModel", output: "Tensor", extra: Sequence[object]) -> "Tensor":
    """Log q of N tokens, from what the model's decoder gave for them and its other outputs.   (N, V or D) -> (N, V)"""
    softmax = getattr(getattr(unwrapped(model), "decoder", None), "adaptive_softmax", None)
    if softmax is not None:
        return adaptive_log_probs(softmax, output)
    log_q: Tensor = model.get_normalized_probs((output.unsqueeze(0), *extra), log_probs=True)  # it takes (B, T, V)
    return log_q.squeeze(0)


def adaptive_log_probs(softmax: "AdaptiveSoftmax", features: "Tensor") -> "Tensor":
    """Log q of every symbol by an adaptive softmax; fairseq's own way overwrites what the gradient needs.   -> (N, V)

    Its first outputs are frequent symbols, then one for each class of rarer ones, which has outputs of its own.
    """
    import torch
    from fairseq.utils import log_softmax

    head, first = log_softmax(softmax.head(features), dim=-1), softmax.cutoff[0]
    rare = [
        head[:, first + number, None] + log_softmax(tail(features), dim=-1) for number, tail in enumerate(softmax.tail)
    ]
    return torch.cat([head[:, :first], *rare], dim=-1)


def not_left_to_right(arch: str | None) -> str:
    """Why a model of this architecture is no encoder-decoder that predicts a target from left to right, or nothing.

    What it is decides, not its name: its forward has to work with source and prefix alone.
    """
    from inspect import signature

    from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY, FairseqLanguageModel

    model = ARCH_MODEL_REGISTRY.get(arch) or MODEL_REGISTRY.get(arch)
    if model is None:
        return ""
    inputs = signature(model.forward).parameters
    known = ("self", "src_tokens", "src_lengths", "prev_output_tokens")
    needed = [
        name
        for name, each in inputs.items()
        if name not in known and each.kind is each.POSITIONAL_OR_KEYWORD and each.default is each.empty
    ]
    if needed:
        return f"needs {' and '.join(needed)} beside source and prefix: it does not predict from left to right"
    return (
        ""
        if "prev_output_tokens" in inputs and not issubclass(model, FairseqLanguageModel)
        else "is no encoder-decoder"
    )


def is_recurrent(arch: str | None) -> bool:
    """Whether a model of this architecture is an LSTM."""
    from fairseq.models import ARCH_MODEL_REGISTRY
    from fairseq.models.lstm import LSTMModel

    model = ARCH_MODEL_REGISTRY.get(arch)
    return model is not None and issubclass(model, LSTMModel)


def several_pairs(arch: str | None) -> bool:
    """Whether a model of this architecture is one model for each of several language pairs."""
    from fairseq.models import ARCH_MODEL_REGISTRY, FairseqMultiModel

    model = ARCH_MODEL_REGISTRY.get(arch)
    return model is not None and issubclass(model, FairseqMultiModel)


def take_any_order(model: "Module") -> None:
    """Let an LSTM encoder take sources that are not sorted by their lengths; what it says of each stays the same."""
    from functools import partial

    from fairseq.models.lstm import LSTMEncoder

    for module in model.modules():
        if isinstance(module, LSTMEncoder):
            module.forward = partial(module.forward, enforce_sorted=False)


def tied_output(model: "Module") -> bool:
    """Whether the output projection is the decoder's embedding."""
    decoder = unwrapped(model).decoder
    return decoder.output_projection.weight is decoder.embed_tokens.weight


def generate(
    models: "Sequence[FairseqEncoderDecoderModel]",
    symbols: "Dictionary",
    net_input: "Mapping[str, Tensor]",
    *,
    beam: int,
    sampling_topk: int | None,
    temperature: float,
    len_penalty: float,
    max_len_a: float,
    max_len_b: int,
) -> list[list[tuple[list[int], float]]]:
    """Symbol ids without the end, and score, of each sentence's `beam` hypotheses, as fairseq-generate finds them.

    Sorted by their scores; found by beam search, or drawn among the `sampling_topk` most probable symbols (0: all).
    """
    from fairseq.search import Sampling
    from fairseq.sequence_generator import SequenceGenerator

    for model in models:
        model.make_generation_fast_(beamable_mm_beam_size=None, need_attn=False)
    search = None if sampling_topk is None else Sampling(symbols, sampling_topk or -1)
    generator = SequenceGenerator(
        models,
        symbols,
        beam_size=beam,
        max_len_a=max_len_a,
        max_len_b=max_len_b,
        temperature=temperature,
        len_penalty=len_penalty,
        search_strategy=search,
    )
    found = generator.generate(models, {"net_input": net_input})
    return [[(hypothesis["tokens"].tolist()[:-1], float(hypothesis["score"])) for hypothesis in best] for best in found]
