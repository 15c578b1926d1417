"""Several checkpoints of one model as one: its weights are their mean, all else is the newest's."""

import copy
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io.types import CheckpointState
from lskd_nmt.storage import folders

WHAT = "lskd average"
Model = tuple[Path, dict[str, Tensor]]  # a checkpoint's file and weights
Memory = tuple[int, int | torch.SymInt, torch.Size, tuple[int, ...], torch.dtype]  # with its address first
EPOCH = re.compile(r"checkpoint(\d+)\.pt")
BEST = re.compile(r"checkpoint\.best_(.+)_(-?\d+(?:\.\d+)?)\.pt")  # the last digits are fairseq's, to tell ties apart


def average(files: Sequence[Path], out: Path) -> list[Path]:
    """Write the mean of the checkpoints to `out`, whole or not at all; the files it is of, the newest last."""
    read = [(file, fairseq_io.read_checkpoint(str(file), "checkpoint", built=False)) for file in files]
    read.sort(key=lambda pair: (updates(pair[1]), str(pair[0])))  # sums, too, are the same in every order of `files`
    newest = read[-1][1]
    weights = mean_weights([(file, state["model"]) for file, state in read])
    require(not out.is_dir(), f"--out {out} is a folder: give a file, such as mean.pt")
    with folders.hold(out, WHAT) as held, folders.part_of(out, WHAT, held) as folder:
        part = folder / "model.pt"
        try:
            torch.save({**newest, "model": weights, "last_optimizer_state": None}, part)
        except RuntimeError as error:  # torch's word for a full disk
            reason = str(error).strip().split("\n")[0]
            raise LskdError(f"{out} cannot be written ({reason}): is the disk full?") from error
        part.replace(out)
    return [file for file, _ in read]


def updates(state: CheckpointState) -> int:
    """How many updates the checkpoint has seen; 0 if it does not say."""
    history = state.get("optimizer_history") or [{}]
    return int(history[-1].get("num_updates", 0))


def mean_weights(models: Sequence[Model]) -> dict[str, Tensor]:
    """The mean of each parameter; the last model's shared tensors stay shared where all the others have them equal."""
    *others, last = models
    for other in others:
        require_alike(other, last)
    weights = copy.copy(last[1])
    first: dict[Memory, str] = {}  # the name under which a piece of memory was seen first
    for name, tensor in last[1].items():
        twin = first.setdefault(memory(tensor), name)
        shared = twin != name and all(torch.equal(model[name], model[twin]) for _, model in others)
        weights[name] = weights[twin] if shared else mean([model[name] for _, model in models])
    return weights


def require_alike(one: Model, other: Model) -> None:
    """Refuse two models that have no mean: other parameters, shapes or types, or whole numbers that differ."""
    (file, weights), (newest, expected) = one, other
    for name in sorted(weights.keys() ^ expected.keys()):
        has = "has the" if name in weights else "has no"
        raise LskdError(f"{file} {has} parameter {name}, unlike {newest}: average checkpoints of one model")
    for name, tensor in expected.items():
        found, wanted = (f"{list(each.shape)} of {each.dtype}" for each in (weights[name], tensor))
        require(
            found == wanted,
            f"{file}: parameter {name} is {found}, in {newest} it is {wanted}: average checkpoints of one model",
        )
        has_mean = tensor.is_floating_point() or torch.equal(weights[name], tensor)
        require(
            has_mean,
            f"{file}: parameter {name} is of {tensor.dtype} and differs from {newest}'s: only floats have a mean",
        )


def memory(tensor: Tensor) -> Memory:
    """Where a tensor's numbers are: equal for two names of one tensor."""
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean in the tensors' own type, summed in float64; of whole numbers, which are equal, the first."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = tensors[0].to(torch.float64, copy=True)
    for tensor in tensors[1:]:
        total += tensor
    return (total / len(tensors)).to(tensors[0].dtype)


def last_epochs(folder: Path, count: int) -> list[Path]:
    """fairseq's `checkpointN.pt` of the last `count` epochs in a folder, or as many as are there."""
    found = [(int(match[1]), file) for file in folder.iterdir() if (match := EPOCH.fullmatch(file.name))]
    require(
        bool(found),
        f"{folder} holds no checkpoint of an epoch (checkpointN.pt): "
        "train at least one epoch without --no-epoch-checkpoints",
    )
    return [file for _, file in sorted(found)[-count:]]


def best(folder: Path, count: int) -> list[Path]:
    """fairseq's `checkpoint.best_METRIC_X.pt` of the `count` best X in a folder, or as many as are there."""
    found = [(match[1], float(match[2]), file) for file in folder.iterdir() if (match := BEST.fullmatch(file.name))]
    require(bool(found), f"{folder} holds no checkpoint.best_METRIC_X.pt: train with --keep-best-checkpoints")
    metrics = sorted({metric for metric, _, _ in found})
    require(len(metrics) == 1, f"{folder} holds the best by {' and by '.join(metrics)}: name files with --inputs")
    if len(found) > count:
        state = fairseq_io.read_checkpoint(str(found[0][2]), "checkpoint", built=False)
        more_is_better = fairseq_io.section(state, "checkpoint").get("maximize_best_checkpoint_metric")
        require(
            isinstance(more_is_better, bool),
            f"{found[0][2]} does not say whether more {metrics[0]} is better: name files with --inputs",
        )
        found.sort(reverse=bool(more_is_better))
    return sorted(file for _, _, file in found[:count])
