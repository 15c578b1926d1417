"""A student that starts from chosen layers of its teacher, with its embeddings and output (Sanh et al. 2019).

The start is a checkpoint of its own for `--finetune-from-model`, which fairseq reads as long as the training has none:
an interrupted training continues from its last checkpoint. (fairseq's own `--encoder-layers-to-keep` would choose
among the student's layers again whenever it reads a checkpoint, and so cannot continue.)
"""

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import SYMBOLS_KEY, DictionaryPair
from lskd_nmt.fairseq_io.types import CheckpointState
from lskd_nmt.storage import folders
from lskd_nmt.teacher.vocabulary import require_equal, stored_symbols, teacher_symbols

WHAT = "lskd init-student"
START = "lskd_start"  # a key of checkpoints that are such a start
LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.(.+)")
Settings = Mapping[str, object]  # of a model, by the names that fairseq gives them

# what has to be equal: else weights do not fit, or would compute something else
EQUAL = (
    *(
        f"{side}_{name}"
        for side in ("encoder", "decoder")
        for name in ("embed_dim", "ffn_embed_dim", "attention_heads", "normalize_before", "learned_pos")
    ),
    *("activation_fn", "layernorm_embedding", "no_scale_embedding", "no_token_positional_embeddings"),
    *("decoder_output_dim", "no_cross_attention", "no_decoder_final_norm", "adaptive_softmax_cutoff"),
)


@dataclass(frozen=True)
class Layers:
    """The numbers of the teacher's layers, from 0, in the order that the student has them."""

    encoder: Sequence[int]
    decoder: Sequence[int]

    def of(self, side: str) -> Sequence[int]:
        """Those of `encoder` or `decoder`."""
        return self.encoder if side == "encoder" else self.decoder


def lacking(teacher: Settings, layers: Layers) -> str | None:
    """The first layer that the teacher does not have, in words; None if all are there."""
    for side in ("encoder", "decoder"):
        count = int(str(teacher.get(f"{side}_layers") or 0))
        for layer in layers.of(side):
            if layer >= count:
                return f"{side} layer {layer} does not exist: the teacher has {count}, from 0 to {count - 1}"
    return None


def misfit(teacher: Settings, student: Settings) -> str | None:
    """Why a student of these settings cannot start from a teacher of those, whatever their layers; None if it can."""
    for name in EQUAL:
        theirs, ours = (settings.get(name) or None for settings in (teacher, student))
        if theirs != ours and str(theirs) != str(ours):
            flag = name.replace("_", "-")
            return f"{flag} is {theirs} in the teacher and {ours} in the student: give both the same"
    for side, end in (("encoder", "source"), ("decoder", "target")):
        name = f"max_{end}_positions"
        if teacher.get(f"{side}_learned_pos") and teacher.get(name) != student.get(name):
            return (
                f"{name.replace('_', '-')} is {teacher.get(name)} in the teacher and {student.get(name)} in the student"
            )
    theirs, ours = sharing(teacher), sharing(student)
    known = ("two embeddings and an output", "one target embedding and output", "one embedding for all")
    return f"the student has {known[ours]}, and the teacher {known[theirs]}" if ours > theirs else None


def sharing(settings: Settings) -> int:
    """How much a model shares: nothing, its target embedding and output, or all embeddings."""
    if settings.get("share_all_embeddings"):
        return 2
    return int(bool(settings.get("share_decoder_input_output_embed")))


def wrong_count(layers: Layers, student: Settings) -> str | None:
    """Which side of the student has another number of layers than were chosen, in words."""
    for side in ("encoder", "decoder"):
        count, chosen = student.get(f"{side}_layers"), len(layers.of(side))
        if count != chosen:
            return f"{chosen} {side} layers are chosen, and the student has {count}: choose as many"
    return None


def chosen(weights: Mapping[str, Tensor], layers: Layers) -> dict[str, Tensor]:
    """The teacher's weights with the chosen layers alone, numbered anew."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        match = LAYER.fullmatch(name)
        if match is None:
            found[name] = tensor
            continue
        for new, old in enumerate(layers.of(match[1])):
            if old == int(match[2]):
                found[f"{match[1]}.layers.{new}.{match[3]}"] = tensor
    return found


def started(state: CheckpointState, layers: Layers, symbols: DictionaryPair | None) -> dict[str, object]:
    """A checkpoint that a student starts from: no training is in it, and `symbols` are the teacher's."""
    sizes = {f"{side}_layers": len(layers.of(side)) for side in ("encoder", "decoder")}
    args, cfg = copy(state.get("args")), dict(state.get("cfg") or {})
    if args is not None:
        vars(args).update(sizes)
    if cfg:
        cfg["model"] = {**fairseq_io.section(state, "model"), **sizes}
    history = {"criterion_name": "none", "optimizer_name": "none", "lr_scheduler_state": {}, "num_updates": 0}
    known = {} if symbols is None else {SYMBOLS_KEY: {"source": symbols.source, "target": symbols.target}}
    return {
        "args": args,
        "cfg": cfg or None,
        "model": chosen(state["model"], layers),
        "optimizer_history": [history],
        "task_state": known,
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": None,
        START: {"encoder": list(layers.encoder), "decoder": list(layers.decoder)},
    }


def is_start(file: Path) -> bool:
    """Whether a file is a start, which may be written anew: a teacher may not be."""
    try:
        return START in fairseq_io.read_checkpoint(str(file), "checkpoint", built=False)
    except LskdError:
        return False


def write(
    checkpoint: Path, layers: Layers, out: Path, student: DictionaryPair | None, teacher_data: str | None = None
) -> None:
    """Write the start of a student of the teacher in `checkpoint`, whole or not at all.

    `student`: its dictionaries, which have to be the teacher's; None: they are compared when the training starts.
    """
    state = fairseq_io.read_checkpoint(str(checkpoint), "teacher", built=False)
    settings = fairseq_io.section(state, "model")
    is_transformer = "encoder.layers.0.fc1.weight" in state["model"] and bool(settings.get("encoder_layers"))
    require(is_transformer, f"teacher {checkpoint} is no transformer of fairseq, whose layers could be taken")
    for side in ("encoder", "decoder"):
        require(bool(layers.of(side)), f"--{side} names no layer: give at least one")
    wrong = lacking(settings, layers)
    require(wrong is None, f"teacher {checkpoint}: {wrong}")
    symbols = stored_symbols(state, student.langs if student is not None else ("", ""))
    if student is not None:
        symbols = teacher_symbols(state, str(checkpoint), student.langs, teacher_data)
        require_equal(symbols, student, str(checkpoint))
    require(not out.is_dir(), f"--out {out} is a folder: give a file, such as init.pt")
    require(
        not out.exists() or is_start(out), f"--out {out} is there, and is nothing that {WHAT} wrote: give a new file"
    )
    with folders.hold(out, WHAT) as held, folders.part_of(out, WHAT, held) as folder:
        try:
            torch.save(started(state, layers, symbols), folder / "init.pt")
        except RuntimeError as error:  # torch's word for a full disk
            raise LskdError(
                f"{out} cannot be written ({str(error).strip().splitlines()[0]}): is the disk full?"
            ) from error
        (folder / "init.pt").replace(out)
