"""Writes a features folder: one pass of a model over a split, streamed in the corpus' order.

N target tokens, D the width of the model's states, V symbols, C tokens of a chunk.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.analysis.features.folder import (
    KIND,
    TOKENS,
    FeaturesData,
    FeaturesHeader,
    OwnDecoding,
    Sample,
    open_features,
)
from lskd_nmt.analysis.features.own_translations import LENGTH_PENALTY, MAX_LENGTH, Outputs, translated
from lskd_nmt.analysis.features.sample import FeatureSettings, fits, sample, windows
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, logits
from lskd_nmt.progress import Progress
from lskd_nmt.sizes import require_space
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import AnyArray, DType, Ids, new_array, write_array
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import StoredSymbols, write_header
from lskd_nmt.teacher.batches import Dictionary, Entry, PairDataset, PairItem, batches
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.layout import NUMBERS, id_type
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.source import OnlineSource, TeacherBatch, Wish

LOGITS = 1 << 24  # logits held at a time
WHAT = "lskd features"
MADE_BEFORE_MARKS = (KIND.file, "state.npy", "state.npy.part")


def write_model_features(
    folder: Path,
    checkpoint: str,
    data: str,
    symbols: DictionaryPair,
    settings: FeatureSettings,
    device: str,
    show: Callable[[str], None],
    teacher_data: str | None = None,
) -> FeaturesHeader:
    """Make the features of one checkpoint in `folder`; the header. A folder of others is refused."""
    with folders.hold(folder, WHAT):
        folders.require_own(folder, WHAT, MADE_BEFORE_MARKS)
        model = LiveTeacher.load([checkpoint], symbols, data, teacher_data)
        return FeaturesWriter(folder, model, checkpoint, data, symbols, settings, device, show).write()


@dataclass
class FeaturesWriter:
    """Writes the features of one model into a folder that nobody else writes to."""

    folder: Path
    model: LiveTeacher
    checkpoint: str
    data: str
    symbols: DictionaryPair
    settings: FeatureSettings
    device: str
    show: Callable[[str], None]

    def write(self) -> FeaturesHeader:
        """Make the features, unless they are there; the header."""
        facts, settings = self.origin(), self.settings
        there = already_there(self.folder, facts)
        if there is not None:
            self.show(f"{self.folder} is complete: nothing to do")
            return there
        projections = self.model.projections()
        if projections is None:
            raise LskdError(
                f"--checkpoint {self.checkpoint} has no plain output projection: its states say nothing "
                "of its probabilities, give a transformer's"
            )
        dataset, entries = self.sentences()
        tokens, width = sum(entry.target_tokens for entry in entries), projections[0].weight.size(1)
        kinds = token_kinds(len(self.symbols.target), settings.precision, own_output=settings.beam > 0)
        needed = tokens * token_bytes(kinds, width) + len(self.symbols.target) * (4 * width + 12)
        require_space(self.folder, needed, "--out", "the features need")
        counts = fairseq_io.target_counts(
            self.data, self.symbols.langs, "train"
        )  # may be refused: before all is written
        folders.mark(self.folder, WHAT)
        self.write_tokens(dataset, entries, kinds, width)
        hashes = {name: sha256(self.folder / f"{name}.npy") for name in kinds}
        hashes |= write_model(self.folder, projections[0], counts)
        header = replace(facts, tokens=tokens, sentences=len(entries), width=width, arrays=hashes)
        return write_header(self.folder, KIND, header)

    def origin(self) -> FeaturesHeader:
        """What the features are of; nothing is counted yet."""
        (fact,), settings, langs = self.model.facts, self.settings, self.symbols.langs
        hashes = data_hashes(self.data, langs, (settings.split,))[settings.split]
        return FeaturesHeader(
            decoding=OwnDecoding(settings.beam, LENGTH_PENALTY, list(MAX_LENGTH)) if settings.beam else None,
            model=fact.origin(),
            data=FeaturesData(settings.split, list(langs), hashes),
            symbols=StoredSymbols(self.symbols.source, self.symbols.target),
            sample=Sample(settings.tokens, None if settings.tokens is None else settings.seed),
            precision=settings.precision,
        )

    def sentences(self) -> tuple[PairDataset | Outputs, list[Entry]]:
        """The data and the sentences that are asked for, with the model's own translations as targets if it says so."""
        settings, model = self.settings, self.model
        (dataset,) = fairseq_io.translation_data(self.data, self.symbols.langs, settings.split)
        entries = sample(dataset, settings)
        fitting = [entry for entry in entries if fits(entry, model.max_positions())]
        require(bool(fitting), f"data folder {self.data} has no sentence pair in {settings.split}")
        if len(fitting) < len(entries):
            self.show(f"{len(entries) - len(fitting)} pairs are longer than the model can take and left out")
        model.to(torch.zeros(0, device=self.device))
        if not settings.beam:
            return dataset, fitting
        return translated(model, dataset, fitting, settings.beam, settings.max_tokens, self.device, self.show)

    def write_tokens(
        self, dataset: PairDataset | Outputs, entries: Sequence[Entry], kinds: dict[str, DType], width: int
    ) -> None:
        """Write the arrays of all tokens, some thousand tokens at a time."""
        tokens = sum(entry.target_tokens for entry in entries)
        with ExitStack() as stack:
            streams = {
                name: stack.enter_context(new_array(self.folder / f"{name}.npy", kind, shape(name, tokens, width)))
                for name, kind in kinds.items()
            }
            progress = Progress(tokens, "tokens", self.show)
            for window in windows(entries):
                found = window_arrays(self.model, window, dataset, self.device, self.settings.max_tokens)
                for name, rows in found.items():
                    streams[name](rows)
                progress.add(sum(entry.target_tokens for entry in window))


def already_there(folder: Path, facts: FeaturesHeader) -> FeaturesHeader | None:
    """The header of a folder that holds just these features; a folder that holds others is refused."""
    if not (folder / KIND.file).is_file():
        return None
    header = open_features(folder).header
    names = ("model", "data", "symbols", "sample", "precision", "decoding")
    other = [name for name in names if getattr(header, name) != getattr(facts, name)]
    require(
        not other, f"--out {folder} holds features of other {', '.join(other)}: give another folder, or remove this one"
    )
    return header


def token_kinds(symbols: int, precision: str, own_output: bool) -> dict[str, DType]:
    """The type of each array of tokens; those of the model's own output have TER's edits, too."""
    ids, number = id_type(symbols), np.dtype(np.float32)
    special: dict[str, DType] = {
        "state": NUMBERS[precision],
        "target": ids,
        "top": ids,
        "sentence": np.dtype(np.uint32),
        "position": np.dtype(np.uint16),
    }
    kinds = {name: special.get(name, number) for name in TOKENS}
    return {**kinds, "edit": np.dtype(np.uint8)} if own_output else kinds


def shape(name: str, tokens: int, width: int) -> tuple[int, ...]:
    """(N, D) of the states, (N,) of all others."""
    return (tokens, width) if name == "state" else (tokens,)


def token_bytes(kinds: dict[str, DType], width: int) -> int:
    """Bytes of one target token."""
    return sum(kind.itemsize * (width if name == "state" else 1) for name, kind in kinds.items())


def window_arrays(
    model: OnlineSource, window: Sequence[Entry], dataset: PairDataset | Outputs, device: str, max_tokens: int
) -> dict[str, AnyArray]:
    """All arrays of a window's tokens, in its order; the model sees pairs of like length together."""
    lengths = np.array([entry.target_tokens for entry in window])
    starts = dict(zip((entry.index for entry in window), np.cumsum(lengths) - lengths, strict=True))
    order: list[Ids] = []
    parts: list[dict[str, Tensor]] = []
    for batch in batches(sorted(window, key=lambda pair: (pair.target_tokens, pair.source_tokens)), max_tokens):
        parts.append(batch_arrays(model, [dataset[entry.index] for entry in batch], dataset.tgt_dict, device))
        order += [starts[entry.index] + np.arange(entry.target_tokens) for entry in batch]
    back = np.argsort(np.concatenate(order))
    rows = {name: torch.cat([part[name] for part in parts]).numpy(force=True)[back] for name in parts[0]}
    rows["sentence"] = np.repeat([entry.index for entry in window], lengths)
    if isinstance(dataset, Outputs):
        rows["edit"] = np.concatenate([dataset.edits[entry.index] for entry in window])
    rows["position"] = np.concatenate([np.arange(length) for length in lengths])
    return rows


def batch_arrays(model: OnlineSource, items: Sequence[PairItem], symbols: Dictionary, device: str) -> dict[str, Tensor]:
    """States and statistics of a batch's N target tokens, pair after pair."""
    pad = symbols.pad()
    net_input, target = fairseq_io.net_input([(item["source"], item["target"]) for item in items], pad, symbols.eos())
    net_input = {name: tensor.to(device) for name, tensor in net_input.items()}
    real = target.ne(pad)
    batch = TeacherBatch(net_input, target, real.to(device), (pad, pad))
    found = model.signal(batch, Wish(features=True), torch.zeros(0, device=device))
    assert isinstance(found, TeacherFeatures), "see `FeaturesWriter.write`"
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


def write_model(folder: Path, projection: Projection, counts: Ids | None) -> dict[str, str]:
    """The output projection and the counts of train; the hashes of their files."""
    arrays: dict[str, AnyArray] = {
        name: part.float().numpy(force=True) for name, part in projection._asdict().items() if part is not None
    }
    arrays = {{"weight": "projection"}.get(name, name): array for name, array in arrays.items()}
    if counts is not None:
        arrays["counts"] = counts
    return {name: write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
