"""Checkpoints: read safely, and built into models."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from lskd_nmt.errors import LskdError, require

SYMBOLS_KEY = "lskd_symbols"  # in `task.state`, hence in every checkpoint that kd_ls trains


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
