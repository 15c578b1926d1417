"""A folder of features: what a model says of every real target token when it is given the reference before it.

`header.json`, written last, and an array for each name below, NAME.npy, memory-mapped. N target tokens, the end symbol
of each sentence included, in the corpus' order; D the width of the decoder; V target symbols; logarithms are natural.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import require
from lskd_nmt.storage.arrays import AnyArray, Float32s, Floats, Ids, map_array, write_array
from lskd_nmt.storage.header import Kind, Origin, StoredSymbols, read_header, write_header
from lskd_nmt.storage.typed import absent, record

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


@record
class FeaturesData:
    """The split that features are of; `hashes` are those of its binarised files, empty in folders of before."""

    split: str
    langs: list[str]
    hashes: list[str] | None = None


@record
class Sample:
    """How the sentences were drawn: whole ones until there are so many tokens; None: all of the split."""

    tokens: int | None
    seed: int | None


@record
class OwnDecoding:
    """How the model's own translations were found, where features are of these."""

    beam: int
    length_penalty: float
    max_length: list[int | float]  # a and b: at most a · source length + b symbols


@record
class FeaturesHeader:
    """`header.json` of a features folder."""

    format: int = FORMAT
    decoding: OwnDecoding | None = None
    _: KW_ONLY
    model: Origin
    data: FeaturesData
    symbols: StoredSymbols
    sample: Sample
    precision: str = ""  # of the states, fp16 or fp32
    tokens: int = 0
    sentences: int = 0
    width: int = 0  # of the states
    arrays: dict[str, str] = field(default_factory=dict)  # the hash of each file
    digest: str | None = absent()


@record
class Described:
    """What an analysis says of the features that it was made of, see `FeaturesHeader`."""

    model: Origin
    data: FeaturesData
    sample: Sample
    decoding: OwnDecoding | None
    tokens: int
    sentences: int
    width: int
    precision: str
    digest: str | None


@dataclass(frozen=True)
class Features:
    """The arrays of a folder, and its header."""

    header: FeaturesHeader
    state: Floats  # (N, D) float16 or float32: what the output projection is given
    target: Ids  # (N,) ids
    target_log_prob: Float32s  # (N,)
    top: Ids  # (N,) ids of the most probable symbol
    top_log_prob: Float32s  # (N,)
    entropy: Float32s  # (N,) nats
    sum_squares: Float32s  # (N,) Σ_v p_v²
    sentence: Ids  # (N,) uint32, its row in the split
    position: Ids  # (N,) uint16, from 0
    projection: Float32s  # (V, D)
    bias: Float32s | None = None  # (V,) if the model has one
    counts: Ids | None = None  # (V,) uint64: how often each symbol is a target of train, if the data have that
    edit: NDArray[np.uint8] | None = None  # (N,) what TER does with each token, of the model's own translations

    @property
    def symbols(self) -> list[str]:
        """The target symbols by their ids."""
        return self.header.symbols.target

    @property
    def tokens(self) -> int:
        """How many target tokens there are, N."""
        return len(self.target)


def open_features(folder: str | Path, *, verify: bool = True) -> Features:
    """Map a folder; `verify` hashes every byte of it and refuses one that was cut or edited."""
    folder, header = Path(folder), read_header(folder, KIND, FeaturesHeader)
    other = sorted(set(header.arrays) - {*TOKENS, *MODEL, *OPTIONAL})
    require(not other, f"{folder / KIND.file}: {other[:1]} is no array of features: {KIND.again}")
    arrays = {
        name: map_array(folder / f"{name}.npy", KIND, digest if verify else None)
        for name, digest in header.arrays.items()
    }
    complaint = misfit(arrays, header) or (misvalued(arrays) if verify else None)
    require(complaint is None, f"{KIND.name} {folder}: {complaint}: {KIND.again}")
    return Features(header, **arrays)


def write_features(folder: str | Path, facts: FeaturesHeader, arrays: Mapping[str, AnyArray]) -> FeaturesHeader:
    """Write arrays that are in memory as a folder; the header, which is `facts` with what is counted here."""
    folder = Path(folder)
    hashes = {name: write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
    header = replace(
        facts,
        tokens=len(arrays["target"]),
        sentences=len(np.unique(arrays["sentence"])),
        width=arrays["state"].shape[1],
        precision=f"fp{8 * arrays['state'].itemsize}",
        arrays=hashes,
    )
    return write_header(folder, KIND, header)


def misfit(arrays: Mapping[str, AnyArray], header: FeaturesHeader) -> str | None:
    """What is wrong with the arrays' names and shapes, or None."""
    lacking = [name for name in (*TOKENS, *MODEL) if name not in arrays and name not in OPTIONAL]
    if lacking:
        return f"it lacks {', '.join(lacking)}"
    symbols, tokens, width = len(header.symbols.target), header.tokens, header.width
    sizes = {"state": (tokens, width), "projection": (symbols, width), "bias": (symbols,), "counts": (symbols,)}
    wrong = [name for name, array in arrays.items() if array.shape != sizes.get(name, (tokens,))]
    return f"the shape of {', '.join(wrong)} is not the header's" if wrong else None


def misvalued(arrays: Mapping[str, AnyArray]) -> str | None:
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
        data = [each.header.data for each in (one, other)]
        if [] in [each.hashes for each in data]:  # of before: nothing was hashed, the tokens below have to do
            data = [replace(each, hashes=None) for each in data]
        unlike = ["symbols"] if one.header.symbols != other.header.symbols else []
        unlike += ["data"] if data[0] != data[1] else []
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


def described(features: Features) -> Described:
    """What an analysis says of the features that it was made of."""
    return Described(**{each.name: getattr(features.header, each.name) for each in fields(Described)})
