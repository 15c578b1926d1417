"""The sentence pairs that training would use are measured before it starts, and refused where one is too long.

Too long for the student in validation, for the teacher, or for a store, which left it out.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from fairseq import tasks, utils
from fairseq.data import LanguagePairDataset
from fairseq.dataclass.configs import FairseqConfig
from fairseq.tasks import FairseqTask
from numpy.typing import NDArray

from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import quiet, split_files
from lskd_nmt.fairseq_io.binarised import require_whole
from lskd_nmt.storage.pair_keys import positions
from lskd_nmt.teacher.source import pairs_of
from lskd_nmt.teacher.store import TeacherStore

SIDES = ("source", "target")
Limits = tuple[int | None, int | None]  # symbols of a source and of a target, ends included; None: any number


class Split(NamedTuple):
    """A split of a data folder, as training reads it."""

    name: str
    folder: str
    dataset: LanguagePairDataset
    sizes: tuple[NDArray[np.int64], NDArray[np.int64]]  # (N,) symbols of each source and of each target
    used: NDArray[np.bool_]  # (N,) whether training or validation takes the pair

    def longest(self, side: int) -> tuple[int, int]:
        """The row of the longest source (0) or target (1) among the used pairs, and its symbols."""
        row = int(np.argmax(np.where(self.used, self.sizes[side], -1)))
        return row, int(self.sizes[side][row])

    def pair(self, row: int) -> str:
        """A pair's name in errors, counted from 1 as lines are."""
        return f"pair {row + 1} of {self.name} in {self.folder}"


def read_splits(cfg: FairseqConfig) -> list[Split]:
    """The training data of every folder, then the validation sets, with fairseq's own choice of pairs."""
    data, folders = cfg.dataset, utils.split_paths(cfg.task.data)
    by_task, by_model = (
        tuple(getattr(part, f"max_{side}_positions", None) for side in SIDES) for part in (cfg.task, cfg.model)
    )
    limits = utils.resolve_max_positions(by_task, by_model)
    task = task_of(cfg)
    of_batch = utils.resolve_max_positions(limits, data.max_tokens)
    found = list(loaded(task, data.train_subset, folders, of_batch, combine=True))
    require(
        not found or any(split.used.any() for split in found),
        f"data folder {cfg.task.data} has no sentence pair that training takes: raise --max-source-positions, "
        "--max-target-positions or --max-tokens",
    )
    if not data.disable_validation:
        together = bool(data.combine_valid_subsets)
        names = ["valid"] if together else data.valid_subset.split(",")
        held_out = [split for name in names for split in loaded(task, name, folders[:1], limits, together)]
        for split in held_out:
            require_short(split, limits, data.skip_invalid_size_inputs_valid_test)
        found += held_out
    return [split for split in found if split.used.any()]


def task_of(cfg: FairseqConfig) -> FairseqTask:
    """The training's task, as fairseq will set it up; `LskdError` says what the task lacks."""
    buckets = getattr(cfg.task, "num_batch_buckets", 0)
    require(
        not buckets or hasattr(np, "compat"),
        f"--num-batch-buckets is {buckets}, for which fairseq needs a NumPy before 2: leave it out",
    )
    try:
        with quiet():
            return tasks.setup_task(copy.deepcopy(cfg.task))
    except Exception as error:  # a task's own words
        reason = " ".join(str(error).split())[:200]
        raise LskdError(f"--task {cfg.task._name} cannot be set up ({type(error).__name__}: {reason})") from error


def loaded(task: FairseqTask, name: str, folders: Sequence[str], limits: Limits, combine: bool) -> Iterator[Split]:
    """A split of each folder, parts joined where asked; none of a task whose data are no plain sentence pairs."""
    for epoch, folder in enumerate(folders, start=1):
        try:
            with quiet():
                task.load_dataset(name, epoch=epoch, combine=combine)
        except FileNotFoundError:
            raise LskdError(
                f"data folder {folder} has no '{name}' of this language pair: binarise it, or name "
                "what there is with --train-subset or --valid-subset"
            ) from None
        except Exception as error:  # a damaged index, or a task that this fairseq does not get to run
            reason = " ".join(str(error).split())[:200]
            raise LskdError(
                f"data folder {folder}: {type(task).__name__} cannot read its '{name}' ({type(error).__name__}: "
                f"{reason}): binarise it again, or use --task translation"
            ) from error
        dataset = task.dataset(name)
        if not isinstance(dataset, LanguagePairDataset) or dataset.tgt_sizes is None:
            return
        require_parts(task, name, folder, combine)
        sizes = np.asarray(dataset.src_sizes), np.asarray(dataset.tgt_sizes)
        most = [np.inf if limit is None else limit for limit in limits]
        yield Split(name, folder, dataset, sizes, (sizes[0] <= most[0]) & (sizes[1] <= most[1]))


def require_parts(task: FairseqTask, name: str, folder: str, combine: bool) -> None:
    """Refuse a split whose files are cut or hold unknown ids, which fairseq finds at the batch that has them.

    Joined parts are NAME, NAME1, NAME2, …
    """
    langs = task.cfg.source_lang, task.cfg.target_lang
    symbols = len(task.source_dictionary), len(task.target_dictionary)
    require_whole(folder, name, langs, symbols)
    part = 1
    while combine and split_files(folder, langs, f"{name}{part}"):
        require_whole(folder, f"{name}{part}", langs, symbols)
        part += 1


def require_short(split: Split, limits: Limits, skips: bool) -> None:
    """Refuse a held-out pair longer than the student takes, which would stop the training, unless it is skipped."""
    if skips or split.used.all():
        return
    row = int(np.argmin(split.used))
    for side, most, sizes in zip(SIDES, limits, split.sizes, strict=True):
        if most is not None and sizes[row] > most:
            raise LskdError(
                f"{split.pair(row)} has {sizes[row]} {side} symbols and the student takes {most}: raise "
                f"--max-{side}-positions, or skip it with --skip-invalid-size-inputs-valid-test"
            )


def require_targets(splits: Sequence[Split], prefix: int, name: str) -> None:
    """Refuse a prefix that leaves nothing of any target of the training data to learn."""
    longest = max((split.longest(1)[1] for split in splits if split.name == name), default=prefix + 1)
    require(
        prefix < longest,
        f"--ignore-prefix-size is {prefix} and the longest target has {longest} symbols: give less than that",
    )


def require_taken(splits: Sequence[Split], path: str, limits: Limits, sides: Sequence[int] = (0, 1)) -> None:
    """Refuse a teacher that takes fewer source or target symbols than a pair has that it would be asked about."""
    for split in splits:
        for side in sides:
            row, longest = split.longest(side)
            most, what = limits[side], SIDES[side]
            require(
                most is None or longest <= most,
                f"teacher {path} takes {most} {what} symbols and {split.pair(row)} has {longest}: "
                f"{leave_out(split, {what: most})}, or take a teacher with more positions",
            )


def require_stored(splits: Sequence[Split], store: TeacherStore) -> None:
    """Refuse a store that left out pairs which training uses: those its teacher could not take, hence the longest.

    If the pairs with the longest source and the longest target are there, so are all others of the same data.
    """
    limits = store.header.left_out.positions if store.header.left_out else []
    for split in splits:
        for side, what in enumerate(SIDES):
            row, longest = split.longest(side)
            item, pad = split.dataset[row], split.dataset.tgt_dict.pad()
            (pair,) = pairs_of({"src_tokens": item["source"][None]}, item["target"][None], (pad, pad))
            try:
                positions(store, [pair])
            except LskdError:
                taken = dict(zip(SIDES, limits, strict=False)) or {what: longest - 1}
                raise LskdError(
                    f"teacher store {store.folder} lacks {split.pair(row)}, of {len(pair[0])} source and "
                    f"{len(pair[1])} target symbols, as its teacher does not take so many: {leave_out(split, taken)}, "
                    "or store a teacher with more positions"
                ) from None


def leave_out(split: Split, most: dict[str, int | None]) -> str:
    """How a training leaves pairs out that are longer."""
    flags = " ".join(f"--max-{side}-positions {limit}" for side, limit in most.items())
    return f"leave such pairs out with {flags} --skip-invalid-size-inputs-valid-test"
