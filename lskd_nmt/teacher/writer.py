"""Writes a teacher store: one pass of the teacher over train and valid, shard by shard, resumable to the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.losses.options import temperature_fault
from lskd_nmt.losses.signals import record
from lskd_nmt.progress import Progress
from lskd_nmt.sizes import require_space, store_bytes
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import write_array
from lskd_nmt.storage.files import read_json, sha256, write_json
from lskd_nmt.storage.header import read_header, require_same_plan, write_header
from lskd_nmt.teacher.batches import Entry, batches, distinct_pairs, shard_slices
from lskd_nmt.teacher.coverage import data_hashes, require_pairs
from lskd_nmt.teacher.layout import Columns, FeatureLayout, Layout, TopKLayout, layout_content
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.shards import ShardBuffer, complete_shard
from lskd_nmt.teacher.store import KIND, PROJECTIONS, TeacherStore

PLAN = "plan.json"
WHAT = "lskd teacher-store"


@dataclass(frozen=True)
class WriterSettings:
    """How a store is written; all of it decides the bytes."""

    layout: Layout  # the widths of features are the teacher's
    splits: tuple[str, ...] = ("train", "valid")
    max_tokens: int = 4096  # padded target tokens in a batch of the teacher
    shard_pairs: int = 8192

    def __post_init__(self) -> None:
        require(self.max_tokens > 0, f"--max-tokens is {self.max_tokens}: give a number above 0")
        require(self.shard_pairs > 0, f"--shard-pairs is {self.shard_pairs}: give a number above 0")
        bad = [t for t in self.layout.temperatures if temperature_fault(t)]
        require(not bad, f"--temperatures holds {bad}: {temperature_fault(bad[0]) if bad else ''}")
        require(bool(self.splits), "--splits is empty: give train,valid")


def write_store(
    folder: Path,
    teacher_path: Sequence[str],
    data: str,
    symbols: Symbols,
    settings: WriterSettings,
    device: str,
    show: Callable[[str], None],
    teacher_data: str | None = None,
) -> dict[str, Any]:
    """Make or complete the store in `folder`; its header. A store of other settings there is refused."""
    with folders.hold(folder, WHAT):
        folders.require_own(folder, WHAT, (KIND.file, PLAN))
        return write_held(folder, teacher_path, data, symbols, settings, device, show, teacher_data)


def write_held(
    folder: Path,
    teacher_path: Sequence[str],
    data: str,
    symbols: Symbols,
    settings: WriterSettings,
    device: str,
    show: Callable[[str], None],
    teacher_data: str | None,
) -> dict[str, Any]:
    """The same, while nobody else writes there."""
    teacher = LiveTeacher.load(list(teacher_path), symbols, data.split(":", maxsplit=1)[0], teacher_data)
    layout, langs = fitted(settings.layout, teacher), symbols.langs
    facts: dict[str, Any] = {
        "teacher": [
            {
                "file": Path(fact.path).name,
                "sha256": sha256(Path(fact.path)),
                "arch": fact.arch,
                "label_smoothing": fact.label_smoothing,
            }
            for fact in teacher.facts
        ],
        "symbols": {"source": symbols.source, "target": symbols.target, "langs": list(langs)},
        "data": data_hashes(data, langs, settings.splits),
    }
    plan = {
        **facts,
        "layout": layout_content(layout),
        "max_tokens": settings.max_tokens,
        "shard_pairs": settings.shard_pairs,
        "splits": list(settings.splits),
    }
    if (folder / KIND.file).is_file():
        header = read_header(folder, KIND)
        require_same_store(folder, header, plan, data, langs)
        show(f"{folder} is complete: nothing to do")
        return header
    require_same_plan(folder / PLAN, plan, "a teacher store")

    datasets = [dataset for split in settings.splits for dataset in fairseq_io.translation_data(data, langs, split)]
    limits = teacher.max_positions()
    pairs, too_long = distinct_pairs(datasets, limits)
    require(bool(pairs), f"data folder {data} has no sentence pair in {', '.join(settings.splits)}")
    facts["left_out"] = {"pairs": too_long, "positions": [int(limit) for limit in limits]}
    if too_long:
        show(f"{too_long} pairs are longer than the teacher can take and left out")
    tokens = sum(pair.target_tokens for pair in pairs)
    needed = store_bytes(tokens, len(pairs), layout.token_bytes, layout.once_bytes)
    require_space(folder, needed, "--out", "the teacher store needs")
    folders.mark(folder, WHAT)
    write_json(folder / PLAN, plan)
    if isinstance(layout, FeatureLayout):
        facts["projections"] = write_projections(folder / PROJECTIONS, teacher)
    teacher.to(torch.zeros(0, device=device))
    progress = Progress(tokens, "tokens", show)
    shards = write_shards(folder / "shards", layout, settings, pairs, datasets, teacher, device, progress)
    return finish(folder, layout, facts, shards)


def require_same_store(
    folder: Path, header: Mapping[str, Any], plan: Mapping[str, Any], data: str, langs: tuple[str, str]
) -> None:
    """Refuse a finished store of another plan; one whose header lacks hashes is asked for each pair of the data."""
    unproved = [split for split in plan["data"] if header["data"].get(split) == []]
    hashes = {**plan["data"], **{split: [] for split in unproved}}
    require_same_plan(folder / PLAN, {**plan, "data": hashes}, "a teacher store", header)
    if unproved:
        require_pairs(TeacherStore.open(folder), data, langs, unproved)


def write_shards(
    folder: Path,
    layout: Layout,
    settings: WriterSettings,
    pairs: Sequence[Entry],
    datasets: Sequence[Any],
    teacher: LiveTeacher,
    device: str,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Write the shards that are not there yet; the facts of all."""
    shards = []
    for number, chunk in enumerate(shard_slices(pairs, settings.shard_pairs)):
        name = f"{number:05d}"
        ready = complete_shard(folder, name, layout)
        if ready is None:
            buffer = ShardBuffer(layout)
            for batch in batches(chunk, settings.max_tokens):
                fill(buffer, batch, datasets, teacher, device)
                progress.add(sum(pair.target_tokens for pair in batch))
            buffer.write(folder, name)
            ready = read_json(folder / f"{name}.json")
        else:
            progress.skip(ready["tokens"])
        shards.append(ready)
    return shards


def fitted(layout: Layout, teacher: LiveTeacher) -> Layout:
    """The layout with the teacher's widths, if it is one of features."""
    if isinstance(layout, TopKLayout):
        return layout
    projections = teacher.projections()
    require(projections is not None, "--keep features needs teachers with a plain output projection: use --keep top-k")
    return replace(layout, widths=tuple(projection.weight.size(1) for projection in projections or ()))


def write_projections(folder: Path, teacher: LiveTeacher) -> list[dict[str, str]]:
    """Each model's output projection in float32; the hashes of its files."""
    return [
        {
            name: write_array(folder / f"{number}.{name}.npy", part.float().numpy(force=True))
            for name, part in projection._asdict().items()
            if part is not None
        }
        for number, projection in enumerate(teacher.projections() or ())
    ]


def fill(
    buffer: ShardBuffer, batch: Sequence[Entry], datasets: Sequence[Any], teacher: LiveTeacher, device: str
) -> None:
    """Run the teacher over one batch and keep its records, in the batch's order."""
    items = [datasets[pair.dataset][pair.index] for pair in batch]
    symbols, layout = datasets[0].tgt_dict, buffer.layout
    net_input, target = fairseq_io.net_input(
        [(item["source"], item["target"]) for item in items], symbols.pad(), symbols.eos()
    )
    net_input = {name: tensor.to(device) for name, tensor in net_input.items()}
    columns = said(teacher, layout, net_input, target.ne(symbols.pad()).to(device))
    buffer.add([pair.key for pair in batch], [pair.target_tokens for pair in batch], columns)


def said(teacher: LiveTeacher, layout: Layout, net_input: Mapping[str, Any], real: torch.Tensor) -> Columns:
    """What the teacher says of a batch's N tokens, as it is stored."""
    if isinstance(layout, TopKLayout):
        log_p = teacher.log_probs(net_input, real).float()  # (N, V)
        return layout.encode(record(log_p, layout.k, layout.temperatures))
    features = teacher.features(net_input, real)
    assert features is not None, "see `fitted`"
    return layout.encode(features.features)


def finish(
    folder: Path, layout: Layout, facts: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write `store.json`, which makes the store complete; the mean mass outside the top k is in it."""
    tokens = sum(shard["tokens"] for shard in shards)
    means = np.sum([shard["tail_mass"] for shard in shards], axis=0) / max(tokens, 1)
    content = {
        "format": layout.format,
        "layout": layout_content(layout),
        "sentences": sum(shard["sentences"] for shard in shards),
        "tokens": tokens,
        "tail_mass": {f"{t:g}": round(float(mean), 6) for t, mean in zip(layout.temperatures, means, strict=True)},
        **facts,
        "shards": list(shards),
    }
    return write_header(folder, KIND, content)
