"""Checkpoints: read safely, and built into models."""

import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from lskd_nmt.errors import LskdError, one_line, reason, require, require_file
from lskd_nmt.fairseq_io import settings
from lskd_nmt.fairseq_io.models import take_any_order
from lskd_nmt.fairseq_io.plugin import load_plugin
from lskd_nmt.fairseq_io.types import CheckpointState, OptimizerEntry

if TYPE_CHECKING:
    from fairseq.models import FairseqEncoderDecoderModel
    from torch import Tensor

SYMBOLS_KEY = "lskd_symbols"  # in `task.state`, hence in every checkpoint that kd_ls trains
REMEDY = "the file is damaged or no fairseq checkpoint; copy or train it again"
OBJECT = re.compile(r"GLOBAL ([\w.]+)")  # in torch's refusal
UNPICKLER = "Weights only load failed"  # begins torch's answer to all that is no pickle of data
CONVERTED = ("fairseq.", "omegaconf.", "numpy.", "pathlib.", "torch.")  # objects that older fairseq's checkpoints hold


def allow_safe_unpickling() -> None:
    """Let `torch.load(weights_only=True)` read what fairseq puts into its checkpoints: data, no code."""
    from lskd_nmt.fairseq_io.unpickling import allow

    allow()


def read_checkpoint(path: str, what: str, *, built: bool = True) -> CheckpointState:
    """The checkpoint's contents with its tensors left on disk; `what` names it in errors.

    Whatever builds a model comes through here first, as CTranslate2 does, too, by way of fairseq: it evaluates some
    settings, and these can do no harm. What is not to be `built` may be any model of fairseq's.
    """
    import torch

    try:
        require_file(path, "give the path of a fairseq checkpoint (.pt); a colon separates two paths")
    except LskdError as error:
        raise LskdError(f"{what} {error}") from None
    allow_safe_unpickling()
    try:
        require_stored(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise LskdError(f"{what} {path} cannot be read ({refused(error)}") from error
    require_form(state, f"{what} {path}")
    if built:
        load_plugin()
        wrong = settings.complaint(state)
        require(wrong is None, f"{what} {path} cannot be built ({wrong}): give a translation model of fairseq-train")
    return cast("CheckpointState", dict(state))


def require_stored(path: str) -> None:
    """ValueError for a zip archive whose content is packed, as torch never writes it: it could unpack to anything."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            sizes = [(entry.compress_type, entry.file_size - entry.compress_size) for entry in archive.infolist()]
        if any(size != (zipfile.ZIP_STORED, 0) for size in sizes):
            raise ValueError("its content is compressed")


def refused(error: Exception) -> str:
    """Why torch does not read a file, and what would do; torch's own words advise to switch its safety off."""
    found = OBJECT.search(str(error))
    if found is None:
        return f"{'it is nothing that torch.save writes' if UNPICKLER in str(error) else reason(error)}): {REMEDY}"
    held = f"it holds {found[1]}, an object that is not unpickled, since that can run code): "
    if not found[1].startswith(CONVERTED):
        return f"{held}a checkpoint of fairseq-train holds none, get it from its source again"
    return (
        f"{held}if you trust who made it, load it once with the fairseq that wrote it, and save its parts model "
        "and args (or OmegaConf.to_container(cfg) as cfg) alone with torch.save"
    )


def require_form(state: object, name: str) -> None:
    """Refuse what lacks a model, settings or their form; what other programs say of them is up to `complaint`."""
    import torch
    from torch import Tensor

    if not isinstance(state, Mapping) or "model" not in state or not (state.get("cfg") or state.get("args")):
        raise LskdError(f"{name} holds no fairseq model and settings: give a checkpoint of fairseq-train")
    model, symbols = state["model"], state.get("task_state") or {}
    require(isinstance(model, Mapping) and bool(model), f"{name} holds no weights by name: train it again")
    for key, tensor in model.items():
        whole = isinstance(key, str) and isinstance(tensor, Tensor) and tensor.layout is torch.strided
        whole = whole and tensor.device.type == "cpu"
        whole = whole and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
        whole = whole and (key != "decoder.output_projection.weight" or tensor.dim() == 2)
        require(whole, f"{name}: its weight {one_line(str(key), 60)} is no tensor, or not whole: {REMEDY}")
    require(isinstance(symbols, Mapping), f"{name}: its task_state is no mapping: {REMEDY}")
    symbols = symbols.get(SYMBOLS_KEY) or {"source": [], "target": []}
    sides = [symbols.get(side) if isinstance(symbols, Mapping) else None for side in ("source", "target")]
    known = all(isinstance(side, list) and all(isinstance(word, str) for word in side) for side in sides)
    require(known, f"{name}: its symbols ({SYMBOLS_KEY}) are no two lists of words: {REMEDY}")


def weights(state: CheckpointState) -> dict[str, "Tensor"]:
    """The checkpoint's parameters by their names: no buffers, and a tensor under several names once.

    A checkpoint written on a GPU holds a tied embedding as several tensors that are equal.
    """
    found: dict[int, tuple[str, Tensor]] = {}
    embeddings: list[Tensor] = []
    for name, tensor in state["model"].items():
        if name.endswith((".version", "._float_tensor")) or tensor.data_ptr() in found:
            continue
        if name.endswith(("embed_tokens.weight", "output_projection.weight")):
            if any(tensor.shape == other.shape and bool((tensor == other).all()) for other in embeddings):
                continue
            embeddings.append(tensor)
        found[tensor.data_ptr()] = name, tensor
    return dict(found.values())


def parameter_count(state: CheckpointState) -> int:
    """How many numbers a checkpoint's model has learned, shared ones once."""
    return sum(tensor.numel() for tensor in weights(state).values())


def section(state: Mapping[str, object], name: str) -> dict[str, Any]:
    """One section of a checkpoint's settings (`task`, `criterion`, `model`), whichever way fairseq stored it.

    As fairseq does, an older one's `args` come before `cfg`; a section that is not there is empty.
    """
    settings = state.get("args") or state["cfg"]
    part = settings.get(name) if isinstance(settings, Mapping) else settings
    part = part if isinstance(part, Mapping) else getattr(part, "__dict__", {})
    return {str(key): value for key, value in part.items()}


def max_source_positions(path: str) -> int:
    """The most symbols of a source sentence, its end included, that a checkpoint's model takes."""
    state = read_checkpoint(path, "teacher")
    found = section(state, "model").get("max_source_positions") or section(state, "task").get("max_source_positions")
    if not isinstance(found, int | float):  # an LSTM's is 1e5
        raise LskdError(f"teacher {path} does not say its max_source_positions: train it again")
    return int(found)


def positions(state: CheckpointState) -> tuple[int | None, int | None]:
    """The most symbols of a source and of a target, ends included, that a checkpoint's model takes; None: any.

    Positions that are computed (sinusoidal ones) go on beyond the number that the training declared.
    """
    settings = section(state, "model")
    sides = (("encoder", "source"), ("decoder", "target"))
    computed = [settings.get(f"{part}_learned_pos") is False for part, _ in sides]
    source, target = (
        None if goes_on else settings.get(f"max_{side}_positions")
        for goes_on, (_, side) in zip(computed, sides, strict=True)
    )
    return source, target


def of_data(data: str, langs: tuple[str, str]) -> dict[str, object]:
    """Settings for `load_model` by which a task takes its dictionaries from this folder, whatever it was trained on.

    The languages name the files: a checkpoint may call its own otherwise.
    """
    return {"data": data, "source_lang": langs[0], "target_lang": langs[1], "eval_bleu": False}


def load_model(path: str, overrides: Mapping[str, object]) -> "FairseqEncoderDecoderModel":
    """The checkpoint's model, built by its own task from its own settings, with `overrides` laid over them.

    The files of embeddings that it may have begun with are not read again: its weights have replaced them.
    """
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    state = read_checkpoint(path, "teacher")
    embeddings = {"encoder_embed_path": None, "decoder_embed_path": None}
    try:
        models, _, _ = load_model_ensemble_and_task([path], state=upgraded(state, embeddings | dict(overrides)))
    except Exception as error:
        raise LskdError(f"teacher {path} does not fit its own settings ({reason(error)}): train it again") from error
    take_any_order(models[0])
    return models[0]


def upgraded(state: CheckpointState, overrides: Mapping[str, object]) -> CheckpointState:
    """What fairseq makes of a checkpoint that it has read, with its own functions; it would read the file again."""
    from fairseq.checkpoint_utils import _upgrade_state_dict
    from fairseq.dataclass.utils import overwrite_args_by_name
    from omegaconf import OmegaConf

    whole: dict[str, object] = {**state}
    if "best_loss" not in whole:  # else of before there was a history
        nothing: OptimizerEntry = {"optimizer_name": "none", "lr_scheduler_state": {}, "num_updates": 0}
        whole["optimizer_history"] = state.get("optimizer_history") or [nothing]
    whole["extra_state"] = state.get("extra_state") or {}
    if state.get("args"):
        for name, value in overrides.items():
            setattr(state["args"], name, value)
    if state.get("cfg"):
        whole["cfg"] = OmegaConf.create(state["cfg"], flags={"allow_objects": True})
        overwrite_args_by_name(whole["cfg"], overrides)
    return cast("CheckpointState", _upgrade_state_dict(whole))
