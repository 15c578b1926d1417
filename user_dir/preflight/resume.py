"""The checkpoint that a training would resume from: read, and loaded into a model, before anything is written."""

import copy
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from fairseq import checkpoint_utils, tasks
from fairseq.dataclass.configs import FairseqConfig
from fairseq.optim import OPTIMIZER_REGISTRY

from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair, quiet, read_checkpoint, section
from lskd_nmt.fairseq_io.types import CheckpointState, OptimizerEntry
from lskd_nmt.teacher.first_layers import START, misfit
from lskd_nmt.teacher.vocabulary import differences, stored_symbols

from ..patches.building import explaining

LAST = "checkpoint_last.pt"
CRITERION = "KdLsCriterion"


class Resumed(NamedTuple):
    """A checkpoint that training starts from."""

    path: Path
    fresh: bool  # its weights alone: optimizer and data begin anew

    def way_out(self, cfg: FairseqConfig) -> str:
        """What to do if the checkpoint is of another training."""
        if self.path.name == LAST and self.path.parent == Path(cfg.checkpoint.save_dir):
            return "give another --save-dir"
        return "give another checkpoint"


def checkpoint_to_resume(cfg: FairseqConfig) -> Resumed | None:
    """The checkpoint that fairseq would load, if there is one; flags that exclude each other are refused."""
    flags = cfg.checkpoint
    tuned, named = flags.finetune_from_model, flags.restore_file != LAST
    require_one_start(cfg)
    suffix = flags.checkpoint_suffix + ("-shard0" if has_sharded_checkpoints(cfg) else "")
    if named:
        path, fresh = Path(flags.restore_file.replace(".pt", suffix + ".pt")), flags.reset_optimizer
    else:
        path, fresh = Path(flags.save_dir, f"checkpoint_last{suffix}.pt"), flags.reset_optimizer
        once = getattr(flags, "continue_once", None)
        if not path.exists() and once is not None:
            path = Path(once)
        elif not path.exists() and tuned is not None:
            path, fresh = Path(tuned), True
            require(path.is_file(), f"--finetune-from-model {tuned} does not exist: give a checkpoint of fairseq-train")
    require(not path.is_dir(), f"{path} is a folder where a checkpoint belongs: remove it, or give another --save-dir")
    return Resumed(path, bool(fresh)) if path.is_file() else None


def require_one_start(cfg: FairseqConfig) -> None:
    """Refuse flags that name two checkpoints to start from, or reset what is reset already."""
    flags = cfg.checkpoint
    tuned = flags.finetune_from_model
    resets = [name for name in ("optimizer", "lr_scheduler", "meters", "dataloader") if getattr(flags, f"reset_{name}")]
    require(
        tuned is None or not resets,
        f"--finetune-from-model {tuned} resets everything, and --reset-"
        f"{(resets or [''])[0].replace('_', '-')} is given: leave one of them out",
    )
    require(
        tuned is None or flags.restore_file == LAST,
        f"--finetune-from-model {tuned} and --restore-file {flags.restore_file} are both given: give one",
    )


def has_sharded_checkpoints(cfg: FairseqConfig) -> bool:
    """Whether every worker has its own checkpoint."""
    distributed = cfg.distributed_training
    return bool(distributed.ddp_backend == "fully_sharded" and distributed.use_sharded_state)


def check_resume(cfg: FairseqConfig, student: DictionaryPair | None) -> None:
    """Refuse a checkpoint that this training cannot go on from, though fairseq would load it."""
    found = checkpoint_to_resume(cfg)
    if found is None:
        return
    state = readable(found, cfg)
    history = training_state(found, state)
    if START in state:
        require_same_symbols(found, state, student, cfg)
        wrong = misfit(section(state, "model"), vars_of(cfg))
        require(wrong is None, f"checkpoint {found.path} is no start for --arch {cfg.model._name}: {wrong}")
    if not found.fresh:
        require_same_symbols(found, state, student, cfg)
        if history.get("last_optimizer_state") is not None:
            require_same_optimizer(found, history["optimizer_history"][-1], cfg)
    if not has_sharded_checkpoints(cfg):
        require_fitting(found, state, cfg)


def vars_of(cfg: FairseqConfig) -> dict[str, object]:
    """The settings of the model, by their names."""
    model = cfg.model
    return dict(vars(model)) if isinstance(model, Namespace) else {str(name): model[name] for name in model}


def readable(found: Resumed, cfg: FairseqConfig) -> CheckpointState:
    """The checkpoint; of a damaged one the line says which other there is."""
    try:
        return read_checkpoint(str(found.path), "checkpoint", built=False)
    except LskdError as error:
        others = sorted(
            (file for file in Path(cfg.checkpoint.save_dir).glob("checkpoint*.pt") if file != found.path),
            key=lambda file: file.stat().st_mtime,
        )
        instead = f"--restore-file {others[-1]}, or " if others else ""
        raise LskdError(
            f"training would resume from a checkpoint that it cannot read: {error}; go on with {instead}"
            "another --save-dir"
        ) from error


def training_state(found: Resumed, state: CheckpointState) -> CheckpointState:
    """What the checkpoint says of its training, in today's form."""
    parts = {name: value for name, value in state.items() if name not in ("args", "cfg", "model")}
    try:
        upgraded: CheckpointState = checkpoint_utils._upgrade_state_dict(parts)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LskdError(
            f"checkpoint {found.path} holds no state of a training to resume ({error}): give one that "
            "fairseq-train wrote"
        ) from error
    return upgraded


def require_same_symbols(
    found: Resumed, state: CheckpointState, student: DictionaryPair | None, cfg: FairseqConfig
) -> None:
    """Refuse weights of other symbols, where the checkpoint says which it has."""
    stored = None if student is None else stored_symbols(state, student.langs)
    if stored is None or student is None:
        return
    for side in ("source", "target"):
        theirs, ours = getattr(stored, side), getattr(student, side)
        where = differences(theirs, ours)
        require(
            not where,
            f"checkpoint {found.path} was trained with another {side} dictionary ({len(theirs)} symbols, "
            f"the data have {len(ours)}, {len(where)} differ): {found.way_out(cfg)}, or its data",
        )


def require_same_optimizer(found: Resumed, last: OptimizerEntry, cfg: FairseqConfig) -> None:
    """Refuse the optimizer's state of another criterion or optimizer, as fairseq does, before it starts."""
    anew = f"{found.way_out(cfg)}, or go on from its weights alone with --reset-optimizer"
    theirs = last.get("criterion_name")
    require(
        theirs == CRITERION,
        f"checkpoint {found.path} was trained by {theirs}, and --criterion kd_ls would resume it: {anew}",
    )
    theirs, ours = last.get("optimizer_name"), optimizer_name(cfg)
    require(theirs == ours, f"checkpoint {found.path} was trained with {theirs}, and this training has {ours}: {anew}")


def optimizer_name(cfg: FairseqConfig) -> str:
    """The class that fairseq would train with."""
    common = cfg.common
    if cfg.optimization.use_bmuf:
        return "FairseqBMUF"
    if common.fp16 or common.bf16 or common.amp:
        sharded = cfg.distributed_training.ddp_backend == "fully_sharded" and common.fp16
        if sharded or common.memory_efficient_fp16 or common.memory_efficient_bf16:
            return "MemoryEfficientFP16Optimizer"
        return "AMPOptimizer" if common.amp else "FP16Optimizer"
    return str(OPTIMIZER_REGISTRY[cfg.optimizer._name].__name__)


def require_fitting(found: Resumed, state: CheckpointState, cfg: FairseqConfig) -> None:
    """Refuse weights that the model does not take, by loading them into one as fairseq would."""
    settings = copy.deepcopy(cfg.task)
    if hasattr(settings, "eval_bleu"):
        settings.eval_bleu = False  # no generator is needed
    with quiet():
        model = explaining(tasks.setup_task(settings).build_model)(copy.deepcopy(cfg.model))
    try:
        model.load_state_dict(dict(state["model"]), strict=True, model_cfg=cfg.model)
    except Exception as error:  # upgrades of old checkpoints fail in many ways
        reason = " ".join(str(error).split("\n")[-1].split())[:200]
        raise LskdError(
            f"checkpoint {found.path} is of another model than --arch {cfg.model._name} with its flags "
            f"({reason}): {found.way_out(cfg)}, or the flags it was trained with"
        ) from error
