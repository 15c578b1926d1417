"""Rows longer than the models of a plan take: found before anything is trained.

fairseq leaves such rows out of training in silence, and raises at the first one of validation and of decoding.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.data.prepared import INDEX_HEAD
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.records import Plan, PlannedModel
from lskd_nmt.fairseq_io.known_flags import given

POSITIONS = 1024  # fairseq's default on both sides
MAX_POSITIONS = {side: f"max-{side}-positions" for side in ("source", "target")}


class Takes(NamedTuple):
    """The longest row that is taken, in subwords with its end: on each side, and of both in a batch (0: any)."""

    source: int
    target: int
    batch: int = 0


class Rows(NamedTuple):
    """The lengths of a split's pairs in subwords with their end, 1-D arrays of equal size."""

    split: str
    source: NDArray[np.int32]
    target: NDArray[np.int32]


def takes(command: Sequence[str], batch: str = "max-tokens") -> Takes:
    """What a training or decoding command takes; `batch` is the flag with the tokens of a batch."""
    flags = dict(given(command))
    fewer = 2 if flags.get("arch", "").startswith("fconv") else 0  # it counts from the padding symbol
    source, target = (int(flags.get(flag, POSITIONS)) - fewer for flag in MAX_POSITIONS.values())
    return Takes(source, target, int(flags.get(batch) or flags.get("max-tokens") or 0))


def lengths(index: Path) -> NDArray[np.int32] | None:
    """The lengths that a file of fairseq-preprocess (`.idx`) holds; None if there is none, or it has another form."""
    if not index.is_file():
        return None
    with index.open("rb") as file:
        head = file.read(INDEX_HEAD.size)
        if len(head) < INDEX_HEAD.size or not head.startswith(b"MMIDIDX"):
            return None
        found = np.fromfile(file, dtype=np.int32, count=INDEX_HEAD.unpack(head)[3])
    return found


def rows_of(data: Path, langs: Sequence[str], split: str) -> Rows | None:
    """The lengths of a split; None if they cannot be read."""
    both = [lengths(data / "bin" / f"{split}.{langs[0]}-{langs[1]}.{lang}.idx") for lang in langs]
    if both[0] is None or both[1] is None or len(both[0]) != len(both[1]):
        return None
    return Rows(split, both[0], both[1])


def limits_of(training: Sequence[str], decoding: Sequence[str]) -> list[str]:
    """The flags with a training's positions that its decoding lacks: fairseq-generate has limits of its own."""
    flags, there = dict(given(training)), dict(given(decoding))
    lacking = [flag for flag in MAX_POSITIONS.values() if flag in flags and flag not in there]
    return [word for flag in lacking for word in (f"--{flag}", flags[flag])]


def require_fitting(plan: Plan, data: Path, finished: Collection[str] = ()) -> None:
    """Refuse prepared data with a row that a model of the plan must take and cannot; what is not there is passed.

    Models that are `finished`, by name, have taken all.
    """
    langs = plan.data.langs
    splits = {split: rows_of(data, langs, split) for split in ("train", "valid", "test")}
    models = {model.name: model for model in plan.models}
    for model in (model for name, model in models.items() if name not in finished and not model.origin):
        training = model.train_command
        own = dict(given(training))
        if splits["valid"] is not None and not {"disable-validation", "skip-invalid-size-inputs-valid-test"} & set(own):
            limit = takes(training, "max-tokens-valid")
            if "truncate-source" in own:
                limit = limit._replace(source=2**31)
            require_rows(splits["valid"], limit, model, "max-tokens", data, langs)
        if splits["test"] is not None:
            most = takes(model.decode_command)
            made = takes(training)  # the model and fairseq-generate have positions of their own
            both = Takes(min(most.source, made.source), min(most.target, made.target), most.batch)
            require_rows(splits["test"], both, model, "decode.max_tokens", data, langs)
        if splits["train"] is not None:
            require_teacher(splits["train"], model, models.get(model.teacher or ""), data, langs)


def require_rows(
    rows: Rows, most: Takes, model: PlannedModel, batch_key: str, data: Path, langs: Sequence[str]
) -> None:
    """Refuse rows of a held-out split that are longer than `most`."""
    for side, lang in zip(("source", "target"), langs, strict=True):
        own, limit = getattr(rows, side), getattr(most, side)
        flag, top = MAX_POSITIONS[side], int(own.max(initial=0))
        if top > limit:
            way = f"set train: {{{flag}: {top}}}, for all models alike"
        elif most.batch and top > most.batch:
            limit, way = most.batch, f"set {batch_key} to at least {top}"
        else:
            continue
        raise LskdError(
            f"{told(rows, own, limit, data, lang)}, and {model.name} takes {limit:,}: "
            f"shorten or remove {'it' if int((own > limit).sum()) == 1 else 'them'}, or {way}"
        )


def told(rows: Rows, own: NDArray[np.int32], limit: int, data: Path, lang: str) -> str:
    """The first row that is too long, by file and line, and how many more there are."""
    long = np.flatnonzero(own > limit)
    more = f" (and {len(long) - 1} more lines)" if len(long) > 1 else ""
    return (
        f"{data}/clean/{rows.split}.{lang} line {long[0] + 1} (row {long[0]} of the binarised set) has "
        f"{own[long[0]]:,} subwords with its end{more}"
    )


def trained_on(rows: Rows, command: Sequence[str]) -> NDArray[np.bool_]:
    """Which pairs of train fairseq does not leave out."""
    most = takes(command)
    limits = [min(limit, most.batch or limit) for limit in (most.source, most.target)]
    if "truncate-source" in dict(given(command)):
        limits[0] = 2**31
    kept: NDArray[np.bool_] = (rows.source <= limits[0]) & (rows.target <= limits[1])
    return kept


def require_teacher(
    rows: Rows, model: PlannedModel, teacher: PlannedModel | None, data: Path, langs: Sequence[str]
) -> None:
    """Refuse a training that learns of nothing, or of pairs that are longer than its teacher takes."""
    kept = trained_on(rows, model.train_command)
    if len(kept) and not kept.any():
        shortest = int(np.maximum(rows.source, rows.target).min())
        raise LskdError(
            f"all {len(kept):,} pairs of {data}/bin/train are longer than {model.name} takes: "
            f"set max-tokens, and its positions, to at least {shortest}"
        )
    if (
        teacher is None
        or teacher.origin
        or not {"teacher-path", "teacher-store"} & dict(given(model.train_command)).keys()
    ):
        return
    most = takes(teacher.train_command)
    for side, lang in zip(("source", "target"), langs, strict=True):
        own, limit = np.where(kept, getattr(rows, side), 0), getattr(most, side)
        if int(own.max(initial=0)) > limit:
            raise LskdError(
                f"{told(rows, own, limit, data, lang)}, {model.name} learns of it, and its teacher "
                f"{teacher.name} takes {limit:,}: set {MAX_POSITIONS[side]} under train, for all alike"
            )


def left_out(command: Sequence[str], data: Path, langs: Sequence[str]) -> tuple[int, int]:
    """How many pairs of train a training leaves out because they are too long, and of how many that can be read."""
    rows = rows_of(data, langs, "train")
    if rows is None:
        return 0, 0
    kept = trained_on(rows, command)
    return int(len(kept) - kept.sum()), len(kept)
