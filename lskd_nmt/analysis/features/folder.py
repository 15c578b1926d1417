"""A folder of features: what a model says of every real target token when it is given the reference before it.

`header.json`, written last, and an array for each name below, NAME.npy, memory-mapped. N target tokens, the end symbol
of each sentence included, in the corpus' order; D the width of the decoder; V target symbols; logarithms are natural.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import require
from lskd_nmt.storage.arrays import map_array, write_array
from lskd_nmt.storage.header import Kind, read_header, write_header

Array = NDArray[Any]

FORMAT = 1
KIND = Kind(
    "features folder",
    "header.json",
    (FORMAT,),
    finish="give a folder that lskd features finished, or run it again",
    again="run lskd features again",
    make="run lskd features",
)
TOKENS = ("state", "target", "target_log_prob", "top", "top_log_prob", "entropy", "sum_squares", "sentence", "position")
MODEL = ("projection", "bias", "counts")
OPTIONAL = ("bias", "counts", "edit")
REAL = ("state", "target_log_prob", "top_log_prob", "entropy", "sum_squares", "projection", "bias")
ROWS = 1 << 14  # looked at together


@dataclass(frozen=True)
class Features:
    """The arrays of a folder, and its header."""

    header: Mapping[str, Any]
    state: Array  # (N, D) float16 or float32: what the output projection is given
    target: Array  # (N,) ids
    target_log_prob: Array  # (N,) float32
    top: Array  # (N,) ids of the most probable symbol
    top_log_prob: Array  # (N,) float32
    entropy: Array  # (N,) float32, nats
    sum_squares: Array  # (N,) float32: Σ_v p_v²
    sentence: Array  # (N,) uint32, its row in the split
    position: Array  # (N,) uint16, from 0
    projection: Array  # (V, D) float32
    bias: Array | None = None  # (V,) float32, if the model has one
    counts: Array | None = None  # (V,) uint64: how often each symbol is a target of train, if the data have that
    edit: Array | None = None  # (N,) uint8: what TER does with each token, if targets are the model's own translations

    @property
    def symbols(self) -> list[str]:
        """The target symbols by their ids."""
        return list(self.header["symbols"]["target"])

    @property
    def tokens(self) -> int:
        """N."""
        return len(self.target)


def open_features(folder: str | Path, *, verify: bool = True) -> Features:
    """Map a folder; `verify` hashes every byte of it and refuses one that was cut or edited."""
    folder, header = Path(folder), read_header(folder, KIND)
    other = sorted(set(header["arrays"]) - {*TOKENS, *MODEL, *OPTIONAL})
    require(not other, f"{folder / KIND.file}: {other[:1]} is no array of features: {KIND.again}")
    arrays = {
        name: map_array(folder / f"{name}.npy", KIND, digest if verify else None)
        for name, digest in header["arrays"].items()
    }
    complaint = misfit(arrays, header) or (misvalued(arrays) if verify else None)
    require(complaint is None, f"{KIND.name} {folder}: {complaint}: {KIND.again}")
    return Features(header, **arrays)


def write_features(folder: str | Path, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Write arrays that are in memory as a folder; the header.

    `facts` are the header's `model`, `data`, `symbols` and `sample`; the rest is counted here.
    """
    folder = Path(folder)
    hashes = {name: write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
    sizes = {
        "tokens": len(arrays["target"]),
        "sentences": len(np.unique(arrays["sentence"])),
        "width": arrays["state"].shape[1],
        "precision": f"fp{8 * arrays['state'].itemsize}",
    }
    return finish(folder, {**facts, **sizes}, hashes)


def finish(folder: Path, facts: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Write `header.json`, which makes the folder complete."""
    return write_header(folder, KIND, {"format": FORMAT, "decoding": None, **facts, "arrays": dict(hashes)})


def misfit(arrays: Mapping[str, Array], header: Mapping[str, Any]) -> str | None:
    """What is wrong with the arrays' names and shapes, or None."""
    lacking = [name for name in (*TOKENS, *MODEL) if name not in arrays and name not in OPTIONAL]
    if lacking:
        return f"it lacks {', '.join(lacking)}"
    sizes = {"state": (header["tokens"], header["width"]), "bias": (len(header["symbols"]["target"]),)}
    sizes |= {"projection": (*sizes["bias"], header["width"]), "counts": sizes["bias"]}
    wrong = [name for name, array in arrays.items() if array.shape != sizes.get(name, (header["tokens"],))]
    return f"the shape of {', '.join(wrong)} is not the header's" if wrong else None


def misvalued(arrays: Mapping[str, Array]) -> str | None:
    """What is wrong with the arrays' values, or None: nothing that is computed of them would be right."""
    if not len(arrays["target"]):
        return "it has no tokens"
    for name, array in arrays.items():
        kinds = "f" if name in REAL else "iu"
        if array.dtype.kind not in kinds:
            return f"{name} is of type {array.dtype}"
        if kinds == "f" and any(np.isnan(array[at : at + ROWS]).any() for at in range(0, len(array), ROWS)):
            return f"{name} holds NaN"
    beyond = [name for name in ("target", "top") if int(arrays[name].max()) >= len(arrays["projection"])]
    return f"{' and '.join(beyond)} hold symbols that the vocabulary lacks" if beyond else None


def require_comparable(features: Mapping[str, Features]) -> None:
    """Refuse models whose rows are not the same tokens of the same data."""
    own = [name for name, each in features.items() if each.edit is not None]
    require(
        not own,
        f"{', '.join(own)}: features of a model's own output have no tokens in common with others: "
        "run lskd features without --own-output",
    )
    first, *others = features
    one = features[first]
    for name in others:
        other = features[name]
        data = [dict(each.header["data"]) for each in (one, other)]
        if [] in [each.get("hashes") for each in data]:  # of before: nothing was hashed, the tokens below have to do
            data = [{**each, "hashes": None} for each in data]
        parts = {"symbols": [each.header["symbols"] for each in (one, other)], "data": data}
        unlike = [part for part, (ours, theirs) in parts.items() if ours != theirs]
        require(
            not unlike,
            f"{name} and {first} are of other {', '.join(unlike)}: "
            "run lskd features for both on one split of one data folder",
        )
        same = all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("target", "sentence"))
        require(
            same,
            f"{name} and {first} are of other sentences: run lskd features for both with one --tokens and one --seed",
        )


def described(features: Features) -> dict[str, Any]:
    """What an analysis says of the features that it was made of."""
    parts = ("model", "data", "sample", "decoding", "tokens", "sentences", "width", "precision", "digest")
    return {part: features.header.get(part) for part in parts}
