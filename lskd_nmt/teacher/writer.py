"""Writes a teacher store: one pass of the teacher over train and valid, shard by shard, resumable to the same bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.losses import signals
from lskd_nmt.losses.fused_chunk import TeacherFeatures
from lskd_nmt.losses.options import temperature_fault
from lskd_nmt.losses.signals import Dense
from lskd_nmt.progress import Progress
from lskd_nmt.sizes import require_space, store_bytes
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import write_array
from lskd_nmt.storage.header import Origin, StoredSymbols, read_header, require_same_plan, write_header
from lskd_nmt.storage.typed import read_record, record, to_json, write_record
from lskd_nmt.teacher.batches import Entries, Entry, PairDataset, batches, distinct_pairs, shard_slices
from lskd_nmt.teacher.coverage import data_hashes, require_pairs
from lskd_nmt.teacher.layout import Columns, FeatureLayout, Layout, TopKLayout
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.shards import ShardBuffer, ShardFacts, complete_shard
from lskd_nmt.teacher.source import OnlineSource, TeacherBatch, Wish
from lskd_nmt.teacher.store import KIND, PROJECTIONS, LeftOut, StoreHeader, TeacherStore
from lskd_nmt.teacher.vocabulary import stored_as

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


@record
class StorePlan:
    """`plan.json`: all that decides a store's bytes. A folder that was begun is only finished with the same plan."""

    teacher: list[Origin]
    symbols: StoredSymbols
    data: dict[str, list[str]]  # hashes of each split's binarised files
    layout: dict[str, object]
    max_tokens: int
    shard_pairs: int
    splits: list[str]


def write_store(
    folder: Path,
    teacher_path: Sequence[str],
    data: str,
    symbols: DictionaryPair,
    settings: WriterSettings,
    device: str,
    show: Callable[[str], None],
    teacher_data: str | None = None,
) -> StoreHeader:
    """Make or complete a store of fairseq checkpoints in `folder`; its header. Other settings there are refused."""
    with folders.hold(folder, WHAT):
        folders.require_own(folder, WHAT, (KIND.file, PLAN))
        teacher = LiveTeacher.load(list(teacher_path), symbols, data.split(":", maxsplit=1)[0], teacher_data)
        origins = [facts.origin() for facts in teacher.facts]
        return StoreWriter(folder, teacher, origins, data, symbols, settings, device, show).write()


@dataclass
class StoreWriter:
    """Writes the store of one teacher, of any framework, into a folder that nobody else writes to."""

    folder: Path
    teacher: OnlineSource
    origins: Sequence[Origin]  # what the teacher was loaded from, for the header
    data: str  # folders of binarised sentence pairs, with ":" between them
    symbols: DictionaryPair  # of the data, which the teacher shares
    settings: WriterSettings
    device: str
    show: Callable[[str], None]

    def write(self) -> StoreHeader:
        """Make or complete the store; its header."""
        layout = fitted(self.settings.layout, self.teacher)
        plan = self.plan(layout)
        if (self.folder / KIND.file).is_file():
            header = read_header(self.folder, KIND, StoreHeader)
            self.require_same_store(header, plan)
            self.show(f"{self.folder} is complete: nothing to do")
            return header
        require_same_plan(self.folder / PLAN, plan, "a teacher store")
        datasets = self.datasets()
        pairs, left_out = self.pairs(datasets)
        tokens = sum(pair.target_tokens for pair in pairs)
        needed = store_bytes(tokens, len(pairs), layout.token_bytes, layout.once_bytes)
        require_space(self.folder, needed, "--out", "the teacher store needs")
        folders.mark(self.folder, WHAT)
        write_record(self.folder / PLAN, plan)
        is_top_k = isinstance(layout, TopKLayout)
        projections = None if is_top_k else write_projections(self.folder / PROJECTIONS, self.teacher)
        self.teacher.to(torch.zeros(0, device=self.device))
        shards = self.write_shards(layout, pairs, datasets, Progress(tokens, "tokens", self.show))
        return finish(self.folder, layout, plan, left_out, projections, shards)

    def plan(self, layout: Layout) -> StorePlan:
        """What decides the bytes."""
        return StorePlan(
            list(self.origins),
            stored_as(self.symbols),
            data_hashes(self.data, self.symbols.langs, self.settings.splits),
            to_json(layout),
            self.settings.max_tokens,
            self.settings.shard_pairs,
            list(self.settings.splits),
        )

    def require_same_store(self, header: StoreHeader, plan: StorePlan) -> None:
        """Refuse a finished store of another plan; one whose header lacks hashes is asked for each pair of the data."""
        unproved = [split for split in plan.data if header.data.get(split) == []]
        hashes = {**plan.data, **{split: [] for split in unproved}}
        require_same_plan(self.folder / PLAN, replace(plan, data=hashes), "a teacher store", header)
        if unproved:
            require_pairs(TeacherStore.open(self.folder), self.data, self.symbols.langs, unproved)

    def datasets(self) -> list[PairDataset]:
        """The data sets of all splits."""
        splits, langs = self.settings.splits, self.symbols.langs
        return [dataset for split in splits for dataset in fairseq_io.translation_data(self.data, langs, split)]

    def pairs(self, datasets: Sequence[PairDataset]) -> tuple[Entries, LeftOut]:
        """The distinct pairs that the teacher can take, and those that it cannot."""
        limits = self.teacher.max_positions()
        pairs, too_long = distinct_pairs(datasets, limits)
        splits = ", ".join(self.settings.splits)
        require(bool(pairs), f"data folder {self.data} has no sentence pair in {splits}")
        if too_long:
            self.show(f"{too_long} pairs are longer than the teacher can take and left out")
        return pairs, LeftOut(too_long, [int(limit) for limit in limits])

    def write_shards(
        self, layout: Layout, pairs: Sequence[Entry], datasets: Sequence[PairDataset], progress: Progress
    ) -> list[ShardFacts]:
        """Write the shards that are not there yet; the facts of all."""
        folder, shards = self.folder / "shards", []
        for number, chunk in enumerate(shard_slices(pairs, self.settings.shard_pairs)):
            name = f"{number:05d}"
            ready = complete_shard(folder, name, layout)
            if ready is None:
                buffer = ShardBuffer(layout)
                for batch in batches(chunk, self.settings.max_tokens):
                    fill(buffer, batch, datasets, self.teacher, self.device)
                    progress.add(sum(pair.target_tokens for pair in batch))
                buffer.write(folder, name)
                ready = read_record(folder / f"{name}.json", ShardFacts)
            else:
                progress.skip(ready.tokens)
            shards.append(ready)
        return shards


def fitted(layout: Layout, teacher: OnlineSource) -> Layout:
    """The layout with the teacher's widths, if it is one of features."""
    if isinstance(layout, TopKLayout):
        return layout
    projections = teacher.projections()
    require(projections is not None, "--keep features needs teachers with a plain output projection: use --keep top-k")
    return replace(layout, widths=tuple(projection.weight.size(1) for projection in projections or ()))


def write_projections(folder: Path, teacher: OnlineSource) -> list[dict[str, str]]:
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
    buffer: ShardBuffer, batch: Sequence[Entry], datasets: Sequence[PairDataset], teacher: OnlineSource, device: str
) -> None:
    """Run the teacher over one batch and keep its records, in the batch's order."""
    items = [datasets[pair.dataset][pair.index] for pair in batch]
    symbols, pad = datasets[0].tgt_dict, datasets[0].tgt_dict.pad()  # fairseq's dictionaries pad alike
    net_input, target = fairseq_io.net_input([(item["source"], item["target"]) for item in items], pad, symbols.eos())
    net_input = {name: tensor.to(device) for name, tensor in net_input.items()}
    asked = TeacherBatch(net_input, target, target.ne(pad).to(device), (pad, pad))
    columns = encode_teacher_output(teacher, buffer.layout, asked, torch.zeros(0, device=device))
    buffer.add([pair.key for pair in batch], [pair.target_tokens for pair in batch], columns)


def encode_teacher_output(teacher: OnlineSource, layout: Layout, batch: TeacherBatch, like: torch.Tensor) -> Columns:
    """The teacher's signal of a batch's N tokens, as it is stored."""
    said = teacher.signal(batch, Wish(features=isinstance(layout, FeatureLayout)), like)
    if isinstance(layout, TopKLayout):
        assert isinstance(said, Dense), "log-probabilities were wished for"
        whole = Dense(said.log_probs.float(), said.temperature)
        return layout.encode(signals.record(whole, layout.k, layout.temperatures))
    assert isinstance(said, TeacherFeatures), "see `fitted`"
    return layout.encode(said.features)


def finish(
    folder: Path,
    layout: Layout,
    plan: StorePlan,
    left_out: LeftOut,
    projections: list[dict[str, str]] | None,
    shards: list[ShardFacts],
) -> StoreHeader:
    """Write `store.json`, which makes the store complete; the mean mass outside the top k is in it."""
    tokens = sum(shard.tokens for shard in shards)
    means = np.sum([shard.tail_mass for shard in shards], axis=0) / max(tokens, 1)
    header = StoreHeader(
        layout.format,
        to_json(layout),
        sum(shard.sentences for shard in shards),
        tokens,
        {f"{t:g}": round(float(mean), 6) for t, mean in zip(layout.temperatures, means, strict=True)},
        plan.teacher,
        plan.symbols,
        plan.data,
        left_out,
        projections,
        shards,
    )
    return write_header(folder, KIND, header)
