"""Writes a features folder: one pass of a model over a split, streamed in the corpus' order."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.analysis.features.folder import KIND, TOKENS, finish, open_features
from lskd_nmt.analysis.features.own_translations import LENGTH_PENALTY, MAX_LENGTH, Outputs, translated
from lskd_nmt.analysis.features.sample import FeatureSettings, fits, sample, windows
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.losses.fused_chunk import Projection, logits
from lskd_nmt.progress import Progress
from lskd_nmt.sizes import require_space
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import new_array, write_array
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.teacher.batches import Entry, batches
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.layout import NUMBERS, id_type
from lskd_nmt.teacher.online import LiveTeacher

LOGITS = 1 << 24  # logits held at a time
WHAT = "lskd features"
MADE_BEFORE_MARKS = (KIND.file, "state.npy", "state.npy.part")


def write_model_features(
    folder: Path,
    checkpoint: str,
    data: str,
    symbols: Symbols,
    settings: FeatureSettings,
    device: str,
    show: Callable[[str], None],
    teacher_data: str | None = None,
) -> dict[str, Any]:
    """Make the features of one checkpoint in `folder`; the header. A folder of others is refused."""
    with folders.hold(folder, WHAT):
        folders.require_own(folder, WHAT, MADE_BEFORE_MARKS)
        return write_held(folder, checkpoint, data, symbols, settings, device, show, teacher_data)


def write_held(
    folder: Path,
    checkpoint: str,
    data: str,
    symbols: Symbols,
    settings: FeatureSettings,
    device: str,
    show: Callable[[str], None],
    teacher_data: str | None,
) -> dict[str, Any]:
    """The same, while nobody else writes there."""
    model = LiveTeacher.load([checkpoint], symbols, data, teacher_data)
    facts = origin(model, checkpoint, data, symbols, settings)
    if already_there(folder, facts):
        show(f"{folder} is complete: nothing to do")
        return read_json(folder / KIND.file)
    projections = model.projections()
    if projections is None:
        raise LskdError(
            f"--checkpoint {checkpoint} has no plain output projection: its states say nothing "
            "of its probabilities, give a transformer's"
        )
    (dataset,) = fairseq_io.translation_data(data, symbols.langs, settings.split)
    entries = sample(dataset, settings)
    fitting = [entry for entry in entries if fits(entry, model.max_positions())]
    require(bool(fitting), f"data folder {data} has no sentence pair in {settings.split}")
    if len(fitting) < len(entries):
        show(f"{len(entries) - len(fitting)} pairs are longer than the model can take and left out")
    model.to(torch.zeros(0, device=device))
    if settings.beam:
        dataset, fitting = translated(model, dataset, fitting, settings.beam, settings.max_tokens, device, show)
    tokens, width = sum(entry.target_tokens for entry in fitting), projections[0].weight.size(1)
    kinds = token_kinds(len(symbols.target), settings.precision)
    if settings.beam:
        kinds["edit"] = np.dtype(np.uint8)
    needed = tokens * token_bytes(kinds, width) + len(symbols.target) * (4 * width + 12)
    require_space(folder, needed, "--out", "the features need")
    counts = fairseq_io.target_counts(data, symbols.langs, "train")  # may be refused: before anything is written
    folders.mark(folder, WHAT)
    with ExitStack() as stack:
        streams = {
            name: stack.enter_context(new_array(folder / f"{name}.npy", kind, shape(name, tokens, width)))
            for name, kind in kinds.items()
        }
        progress = Progress(tokens, "tokens", show)
        for window in windows(fitting):
            for name, rows in said(model, window, dataset, device, settings.max_tokens).items():
                streams[name](rows)
            progress.add(sum(entry.target_tokens for entry in window))
    hashes = {name: sha256(folder / f"{name}.npy") for name in kinds}
    hashes |= write_model(folder, projections[0], counts)
    sizes = {"tokens": tokens, "sentences": len(fitting), "width": width, "precision": settings.precision}
    return finish(folder, {**facts, **sizes}, hashes)


def origin(
    model: LiveTeacher, checkpoint: str, data: str, symbols: Symbols, settings: FeatureSettings
) -> dict[str, Any]:
    """What the features are of."""
    (fact,) = model.facts
    return {
        "model": {
            "file": Path(checkpoint).name,
            "sha256": sha256(Path(checkpoint)),
            "arch": fact.arch,
            "label_smoothing": fact.label_smoothing,
        },
        "data": {
            "split": settings.split,
            "langs": list(symbols.langs),
            "hashes": data_hashes(data, symbols.langs, (settings.split,))[settings.split],
        },
        "symbols": {"source": symbols.source, "target": symbols.target},
        "sample": {"tokens": settings.tokens, "seed": None if settings.tokens is None else settings.seed},
        "precision": settings.precision,
        "decoding": None
        if not settings.beam
        else {"beam": settings.beam, "length_penalty": LENGTH_PENALTY, "max_length": list(MAX_LENGTH)},
    }


def already_there(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether the folder holds just these features; a folder that holds others is refused."""
    if not (folder / KIND.file).is_file():
        return False
    header = open_features(folder).header
    other = [key for key in facts if header.get(key) != facts[key]]
    require(
        not other, f"--out {folder} holds features of other {', '.join(other)}: give another folder, or remove this one"
    )
    return True


def token_kinds(symbols: int, precision: str) -> dict[str, np.dtype[Any]]:
    """The type of each array of tokens."""
    ids, number = id_type(symbols), np.dtype(np.float32)
    special = {
        "state": NUMBERS[precision],
        "target": ids,
        "top": ids,
        "sentence": np.dtype(np.uint32),
        "position": np.dtype(np.uint16),
    }
    return {name: special.get(name, number) for name in TOKENS}


def shape(name: str, tokens: int, width: int) -> tuple[int, ...]:
    """(N, D) of the states, (N,) of all others."""
    return (tokens, width) if name == "state" else (tokens,)


def token_bytes(kinds: dict[str, np.dtype[Any]], width: int) -> int:
    """Bytes of one target token."""
    return sum(kind.itemsize * (width if name == "state" else 1) for name, kind in kinds.items())


def said(
    model: LiveTeacher, window: Sequence[Entry], dataset: Any, device: str, max_tokens: int
) -> dict[str, NDArray[Any]]:
    """All arrays of a window's tokens, in its order; the model sees pairs of like length together."""
    lengths = np.array([entry.target_tokens for entry in window])
    starts = dict(zip((entry.index for entry in window), np.cumsum(lengths) - lengths, strict=True))
    order: list[NDArray[Any]] = []
    parts: list[dict[str, Tensor]] = []
    for batch in batches(sorted(window, key=lambda pair: (pair.target_tokens, pair.source_tokens)), max_tokens):
        parts.append(batch_said(model, [dataset[entry.index] for entry in batch], dataset.tgt_dict, device))
        order += [starts[entry.index] + np.arange(entry.target_tokens) for entry in batch]
    back = np.argsort(np.concatenate(order))
    rows = {name: torch.cat([part[name] for part in parts]).numpy(force=True)[back] for name in parts[0]}
    rows["sentence"] = np.repeat([entry.index for entry in window], lengths)
    if isinstance(dataset, Outputs):
        rows["edit"] = np.concatenate([dataset.edits[entry.index] for entry in window])
    rows["position"] = np.concatenate([np.arange(length) for length in lengths])
    return rows


def batch_said(model: LiveTeacher, items: Sequence[Any], symbols: Any, device: str) -> dict[str, Tensor]:
    """States and statistics of a batch's N target tokens, pair after pair."""
    net_input, target = fairseq_io.net_input(
        [(item["source"], item["target"]) for item in items], symbols.pad(), symbols.eos()
    )
    net_input = {name: tensor.to(device) for name, tensor in net_input.items()}
    real = target.ne(symbols.pad())
    found = model.features(net_input, real.to(device))
    assert found is not None, "see `write_model_features`"
    ((states,), (projection,)) = found
    return {"state": states, **statistics(states, projection, target[real].to(device))}


def statistics(states: Tensor, projection: Projection, target: Tensor) -> dict[str, Tensor]:
    """What is kept of each token's distribution, chunk by chunk.   (N, D), (N,) -> (N,) each"""
    size = max(1, LOGITS // projection.weight.size(0))
    chunks = [slice(start, start + size) for start in range(0, len(states), size)]
    parts = [chunk_statistics(logits(states[at], *projection).log_softmax(-1), target[at]) for at in chunks]
    return {"target": target} | {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def chunk_statistics(log_p: Tensor, target: Tensor) -> dict[str, Tensor]:
    """log p of the target, the most probable symbol and its log p, H(p) in nats, Σ p².   (C, V), (C,) -> (C,) each"""
    p = log_p.exp()
    top_log_prob, top = log_p.max(-1)
    return {
        "target_log_prob": log_p.gather(-1, target[:, None]).squeeze(-1),
        "top": top,
        "top_log_prob": top_log_prob,
        "entropy": -torch.linalg.vecdot(p, log_p.masked_fill(p == 0, 0)),  # 0 · log 0 = 0, of symbols that are masked
        "sum_squares": torch.linalg.vecdot(p, p),
    }


def write_model(folder: Path, projection: Projection, counts: NDArray[Any] | None) -> dict[str, str]:
    """The output projection and the counts of train; the hashes of their files."""
    arrays = {name: part.float().numpy(force=True) for name, part in projection._asdict().items() if part is not None}
    arrays = {{"weight": "projection"}.get(name, name): array for name, array in arrays.items()}
    if counts is not None:
        arrays["counts"] = counts
    return {name: write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
