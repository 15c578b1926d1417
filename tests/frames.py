"""Features folders of made-up models, with numpy alone."""

from pathlib import Path

import numpy as np

from lskd_nmt.analysis.features.folder import (
    Features,
    FeaturesData,
    FeaturesHeader,
    Sample,
    open_features,
    write_features,
)
from lskd_nmt.storage.header import Origin, StoredSymbols


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def header_facts(symbols: list[str]) -> FeaturesHeader:
    return FeaturesHeader(
        model=Origin("model.pt", "0", "none", 0.0),
        data=FeaturesData("valid", ["aa", "bb"], ["1", "2"]),
        symbols=StoredSymbols(symbols, symbols),
        sample=Sample(None, None),
    )


def arrays_of(state, projection, target, lengths, bias=None, counts=None) -> dict[str, np.ndarray]:
    """All arrays of a model whose states and projection are these; sentences are of `lengths` tokens."""
    log_p = log_softmax(state.astype(np.float64) @ projection.T + (0 if bias is None else bias))
    rows = np.arange(len(target))
    arrays = {
        "state": state,
        "target": np.asarray(target, dtype=np.uint16),
        "target_log_prob": log_p[rows, target].astype(np.float32),
        "top": log_p.argmax(-1).astype(np.uint16),
        "top_log_prob": log_p.max(-1).astype(np.float32),
        "entropy": -(np.exp(log_p) * log_p).sum(-1).astype(np.float32),
        "sum_squares": np.exp(2 * log_p).sum(-1).astype(np.float32),
        "sentence": np.repeat(np.arange(len(lengths)), lengths).astype(np.uint32),
        "position": np.concatenate([np.arange(length) for length in lengths]).astype(np.uint16),
        "projection": projection.astype(np.float32),
    }
    return arrays | {name: part for name, part in (("bias", bias), ("counts", counts)) if part is not None}


def drawn(
    folder: Path,
    seed: int,
    sentences: int = 40,
    symbols: int = 12,
    width: int = 5,
    scale: float = 1.0,
    temperature: float = 1.0,
) -> Features:
    """A random model on targets that seed 0 draws, the same for every model.

    Target n is drawn from the model of seed 0 at `temperature`: with 1 that model is calibrated.
    """
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 9, size=sentences)
    state, projection = draw.normal(size=(lengths.sum(), width)), draw.normal(size=(symbols, width))
    p = np.exp(log_softmax(scale * state @ projection.T / temperature))
    target = (p.cumsum(-1) > draw.random((len(p), 1))).argmax(-1)
    if seed:
        own = np.random.default_rng(seed)
        state, projection = own.normal(size=state.shape), own.normal(size=projection.shape)
    arrays = arrays_of(
        (scale * state).astype(np.float32),
        projection.astype(np.float32),
        target,
        lengths,
        counts=draw.integers(1, 20_000, symbols).astype(np.uint64),
    )
    write_features(folder, header_facts([f"▁{n}" if n % 2 else str(n) for n in range(symbols)]), arrays)
    return open_features(folder)
