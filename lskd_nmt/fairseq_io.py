"""What is read from fairseq's files; the package's only fairseq imports, inside functions."""

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from lskd_nmt.errors import LskdError, require

SYMBOLS_KEY = "lskd_symbols"  # in `task.state`, hence in every checkpoint that kd_ls trains


@dataclass(frozen=True)
class Symbols:
    """The symbols of both dictionaries in index order, special ones included, and their languages."""

    source: list[str]
    target: list[str]
    langs: tuple[str, str]


def allow_safe_unpickling() -> None:
    """Let `torch.load(weights_only=True)` read what fairseq puts into its checkpoints: data, no code."""
    import argparse
    from typing import cast

    import numpy as np
    import torch
    from numpy.dtypes import Float64DType, Int64DType

    # NumPy's own rebuilding functions; their home differs between its major versions, so ask the objects
    rebuild = [value.__reduce__()[0] for value in (np.float64(0), np.zeros(1))]
    allowed = [argparse.Namespace, np.ndarray, np.dtype, Float64DType, Int64DType, *rebuild]
    torch.serialization.add_safe_globals(cast("list[Callable[..., Any] | tuple[Callable[..., Any], str]]", allowed))


def read_checkpoint(path: str, what: str) -> dict[str, Any]:
    """The checkpoint's contents with its tensors left on disk; `what` names it in errors."""
    import torch

    require(Path(path).is_file(), f"{what} {path} does not exist: give the path of a fairseq checkpoint (.pt)")
    allow_safe_unpickling()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (RuntimeError, EOFError, UnpicklingError, KeyError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise LskdError(
            f"{what} {path} cannot be read ({type(error).__name__}: {reason}): "
            "the file is damaged or no fairseq checkpoint; copy or train it again"
        ) from error
    known = isinstance(state, dict) and "model" in state and (state.get("cfg") or state.get("args"))
    require(bool(known), f"{what} {path} holds no fairseq model and settings: give a checkpoint of fairseq-train")
    return dict(state)


def weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint's parameters by their names: no buffers, and a tensor under several names once.

    A checkpoint written on a GPU holds a tied embedding as several tensors that are equal.
    """
    found: dict[int, tuple[str, Any]] = {}
    embeddings: list[Any] = []
    for name, tensor in state["model"].items():
        if name.endswith((".version", "._float_tensor")) or tensor.data_ptr() in found:
            continue
        if name.endswith(("embed_tokens.weight", "output_projection.weight")):
            if any(tensor.shape == other.shape and bool((tensor == other).all()) for other in embeddings):
                continue
            embeddings.append(tensor)
        found[tensor.data_ptr()] = name, tensor
    return dict(found.values())


def parameter_count(state: Mapping[str, Any]) -> int:
    """How many numbers a checkpoint's model has learned, shared ones once."""
    return sum(tensor.numel() for tensor in weights(state).values())


def section(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One section of a checkpoint's settings (`task`, `criterion`, `model`), whichever way fairseq stored it."""
    settings = state.get("cfg")
    part = state["args"] if not settings else settings[name]
    return dict(part) if isinstance(part, Mapping) else dict(vars(part) if part is not None else {})


def read_symbols(folder: str, langs: tuple[str, str]) -> Symbols | None:
    """The symbols of `dict.LANG.txt` of both languages in a data folder, or None where one is missing."""
    from fairseq.data import Dictionary

    files = [Path(folder) / f"dict.{lang}.txt" for lang in langs]
    if not all(file.is_file() for file in files):
        return None
    source, target = (list(Dictionary.load(str(file)).symbols) for file in files)
    return Symbols(source, target, langs)


def max_source_positions(path: str) -> int:
    """The most symbols of a source sentence, its end included, that a checkpoint's model takes."""
    state = read_checkpoint(path, "teacher")
    return int(section(state, "model").get("max_source_positions") or section(state, "task")["max_source_positions"])


def load_model(path: str, overrides: Mapping[str, Any]) -> Any:
    """The checkpoint's model, built by its own task from its own settings, with `overrides` laid over them."""
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    allow_safe_unpickling()
    try:
        models, _, _ = load_model_ensemble_and_task([path], arg_overrides=dict(overrides))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise LskdError(f"teacher {path} does not fit its own settings ({reason}): train it again") from error
    return models[0]


def language_pair(folder: str) -> tuple[str, str]:
    """Source and target language of a binarised folder, from its file names."""
    from fairseq.data import data_utils

    source, target = data_utils.infer_language_pair(folder)
    require(None not in (source, target), f"data folder {folder} holds no train.SRC-TGT.* files: "
                                          "give the output folder of fairseq-preprocess")  # fmt: skip
    return source, target


def dictionaries(folder: str, langs: tuple[str, str]) -> list[Any]:
    """fairseq's dictionaries of a data folder, source and target."""
    from fairseq.data import Dictionary

    return [Dictionary.load(str(Path(folder) / f"dict.{lang}.txt")) for lang in langs]


def generate(
    models: Sequence[Any], symbols: Any, net_input: Mapping[str, Any], *, beam: int, sampling_topk: int | None,
    temperature: float,
    len_penalty: float, max_len_a: float, max_len_b: int,
) -> list[list[tuple[list[int], float]]]:  # fmt: skip
    """Symbol ids without the end, and score, of each sentence's `beam` hypotheses, as fairseq-generate finds them.

    Sorted by their scores; found by beam search, or drawn among the `sampling_topk` most probable symbols (0: all).
    """
    from fairseq.search import Sampling
    from fairseq.sequence_generator import SequenceGenerator

    for model in models:
        model.make_generation_fast_(beamable_mm_beam_size=None, need_attn=False)
    search = None if sampling_topk is None else Sampling(symbols, sampling_topk or -1)
    generator = SequenceGenerator(models, symbols, beam_size=beam, max_len_a=max_len_a, max_len_b=max_len_b,
                                  temperature=temperature, len_penalty=len_penalty, search_strategy=search)  # fmt: skip
    found = generator.generate(models, {"net_input": net_input})
    return [[(hypothesis["tokens"].tolist()[:-1], float(hypothesis["score"])) for hypothesis in best] for best in found]


def write_pairs(
    folder: str, langs: tuple[str, str], split: str, pairs: Sequence[tuple[Any, Any]], symbols: tuple[int, int]
) -> None:
    """Sentence pairs (source ids, target ids, with their ends) as a split of a binarised folder, in their order."""
    import torch
    from fairseq.data import indexed_dataset

    for side, (lang, size) in enumerate(zip(langs, symbols, strict=True)):
        stem = f"{folder}/{split}.{langs[0]}-{langs[1]}.{lang}"
        builder = indexed_dataset.make_builder(f"{stem}.bin", "mmap", size)
        for pair in pairs:
            builder.add_item(torch.as_tensor(pair[side]))
        builder.finalize(f"{stem}.idx")


def is_translation(task: Any) -> bool:
    """Whether the task is fairseq's `translation` itself, whose pairs reach the model as they are on disk."""
    from fairseq.tasks.translation import TranslationTask

    return type(task) is TranslationTask


def translation_data(data: str, langs: tuple[str, str], split: str) -> list[Any]:
    """The sentence pairs of a split as the `translation` task reads them, one dataset for each of the data folders."""
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    settings = {"dataset_impl": None, "train_subset": "train", "required_seq_len_multiple": 1}  # else interpolations
    task = TranslationTask.setup_task(
        TranslationConfig(data=data, source_lang=langs[0], target_lang=langs[1], **settings)
    )
    datasets = []
    for epoch in range(1, len(data.split(":")) + 1):
        second = Path(data.split(":")[epoch - 1], f"{split}1.{langs[0]}-{langs[1]}.{langs[0]}.bin")
        require(not second.exists(), f"{second} is there, a second part of {split}: binarise both as one")
        try:
            task.load_dataset(split, epoch=epoch)
        except FileNotFoundError:
            raise LskdError(f"data folder {data.split(':')[epoch - 1]} has no '{split}' of {langs[0]}-{langs[1]}: "
                            "name what it has with --split or --splits") from None  # fmt: skip
        datasets.append(task.dataset(split))
    return datasets


def net_input(pairs: Sequence[tuple[Any, Any]], pad: int, eos: int) -> tuple[dict[str, Any], Any]:
    """A model's input and the target of (source, target) tensors, in their order.   -> input, (B, T)"""
    import torch
    from fairseq.data.data_utils import collate_tokens

    sources, targets = (list(side) for side in zip(*pairs, strict=True))
    batch = {
        "src_tokens": collate_tokens(sources, pad, eos, left_pad=True),
        "src_lengths": torch.tensor([len(source) for source in sources]),
        "prev_output_tokens": collate_tokens(targets, pad, eos, left_pad=False, move_eos_to_beginning=True),
    }
    return batch, collate_tokens(targets, pad, eos, left_pad=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """fairseq's remarks about itself, unseen, and everybody's below a warning: its import turns on all of them."""
    import logging
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.disable(before)


def plugin_folder() -> Path:
    """Where `user_dir` is, in a checkout and in an installation."""
    return Path(__file__).resolve().parent.parent / "user_dir"


def load_plugin() -> None:
    """Register the archs, as `--user-dir user_dir` does: without them a checkpoint of ours cannot be built."""
    from argparse import Namespace

    from fairseq.utils import import_user_module

    import_user_module(Namespace(user_dir=str(plugin_folder())))


def transformer_settings() -> list[str]:
    """The names of all settings of fairseq's transformer."""
    from argparse import Namespace

    from fairseq.models.transformer.transformer_legacy import base_architecture

    settings = Namespace()
    base_architecture(settings)
    return [*vars(settings), "max_source_positions", "max_target_positions"]


def piece_lines(data: str, langs: tuple[str, str], split: str) -> tuple[list[str], list[str]]:
    """A binarised split as lines of subwords, source and target."""
    (dataset,) = translation_data(data, langs, split)
    sides: tuple[list[str], list[str]] = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        for lines, name, symbols in zip(sides, ("source", "target"), (dataset.src_dict, dataset.tgt_dict), strict=True):
            lines.append(" ".join(symbols[i] for i in item[name].tolist() if i != symbols.eos()))
    return sides


def arch_settings(arch: str) -> Any:
    """The settings of a named architecture."""
    from argparse import Namespace

    from fairseq.models import ARCH_CONFIG_REGISTRY

    load_plugin()
    names = sorted(name for name in ARCH_CONFIG_REGISTRY if name.startswith("ls_transformer"))
    require(arch in ARCH_CONFIG_REGISTRY, f"--arch is {arch}: one of fairseq's, or of {', '.join(names)}")
    settings = Namespace(arch=arch)
    ARCH_CONFIG_REGISTRY[arch](settings)
    return settings


def device(wish: str) -> str:
    """`cuda` or `cpu` for `auto`, `cuda` or `cpu`."""
    import torch

    require(wish != "cuda" or torch.cuda.is_available(), "--device is cuda, and torch sees no GPU: use --device cpu")
    return "cuda" if wish != "cpu" and torch.cuda.is_available() else "cpu"


def gpus(wish: str) -> int:
    """How many GPUs `auto`, `cuda` or `cpu` stands for."""
    import torch

    return torch.cuda.device_count() if device(wish) == "cuda" else 0


def unwrapped(model: Any) -> Any:
    """The model inside of what distributed training wraps around it."""
    from fairseq.distributed import LegacyDistributedDataParallel, ModuleProxyWrapper
    from torch.nn.parallel import DistributedDataParallel

    while isinstance(model, ModuleProxyWrapper | DistributedDataParallel | LegacyDistributedDataParallel):
        model = model.module
    return model


def own_transformer(model: Any) -> Any:
    """The transformer whose encoder and decoder may be called by themselves, or None.

    torch's DistributedDataParallel and fully sharded wrappers have to see whole forward passes.
    """
    from fairseq.distributed import LegacyDistributedDataParallel, ModuleProxyWrapper
    from fairseq.models.transformer import TransformerModelBase

    while isinstance(model, ModuleProxyWrapper | LegacyDistributedDataParallel):
        model = model.module
    own = isinstance(model, TransformerModelBase) and type(model).forward is TransformerModelBase.forward
    return model if own else None


def output_projection(model: Any) -> "tuple[Any, Any] | None":
    """Weight (V, D) and bias that turn a transformer's features into logits, or None where that is not all."""
    from fairseq.models.transformer import TransformerDecoderBase, TransformerModelBase
    from torch.nn import Linear

    model = unwrapped(model)
    decoder = getattr(model, "decoder", None)
    if not isinstance(model, TransformerModelBase) or not isinstance(decoder, TransformerDecoderBase):
        return None
    projection = decoder.output_projection
    own = type(decoder).output_layer is not TransformerDecoderBase.output_layer or decoder.adaptive_softmax is not None
    return (projection.weight, projection.bias) if type(projection) is Linear and not own else None


def tied_output(model: Any) -> bool:
    """Whether the output projection is the decoder's embedding."""
    decoder = unwrapped(model).decoder
    return decoder.output_projection.weight is decoder.embed_tokens.weight
