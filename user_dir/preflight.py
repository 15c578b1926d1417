"""Everything that can be refused before the first batch is refused here: one line on stderr, exit code 2.

Raised deep inside fairseq the same mistakes would be tracebacks with exit code 1, or 134 from spawned processes.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fairseq.data import data_utils
from fairseq.distributed import utils as distributed_utils

from lskd_nmt.errors import LskdError, explain, require
from lskd_nmt.fairseq_io import DictionaryPair, not_left_to_right, read_symbols
from lskd_nmt.losses.fused import chunk_size
from lskd_nmt.seqkd import store as hypotheses
from lskd_nmt.sizes import checkpoint_bytes, forecast_line, require_space, training_bytes, transformer_parameters
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import read_header
from lskd_nmt.teacher import online, store
from lskd_nmt.teacher.coverage import require_pairs
from lskd_nmt.teacher.vocabulary import TWO_DICTIONARIES

from .criterions.compatible import check_own_output
from .criterions.flags import check_level, distils, options_of, reads_teacher
from .criterions.kd_weight import check_weight
from .lengths import Split, read_splits, require_stored, require_taken, require_targets
from .patches.precision import check_recurrent, settle_precision
from .patches.resume import check_resume
from .patches.validation import check_validation, score_silence

logger = logging.getLogger(__name__)


def check_training(cfg: Any) -> None:
    """Refuse a resolved fairseq configuration that kd_ls could not train with."""
    check_save_dir(cfg)
    data = str(getattr(cfg.task, "data", None)).split(":")[0]
    require(Path(data).is_dir(), f"data folder {data} does not exist: give the output folder of fairseq-preprocess")
    arch = getattr(cfg.model, "arch", None) or cfg.model._name
    reason = not_left_to_right(arch)
    require(not reason, f"--arch {arch} {reason}: give an encoder-decoder, or train it with the criterion made for it")
    settle_precision(cfg)
    check_recurrent(cfg, [arch])
    student = student_symbols(cfg, data)
    check_level(cfg.criterion)
    check_own_output(cfg.criterion)
    validates = not cfg.dataset.disable_validation
    check_weight(
        cfg.criterion,
        bool(getattr(cfg.task, "eval_bleu", False)) and validates,
        cfg.checkpoint.best_checkpoint_metric if validates and not cfg.checkpoint.no_save else "",
    )
    if validates and student is not None and getattr(cfg.task, "eval_bleu", False):
        check_validation(cfg.task, student.langs[1])
    if student is None:
        require(
            not distils(cfg.criterion),
            f"--task {cfg.task._name} has no single language pair, for which a teacher "
            "could be asked: use --task translation, or train without a teacher with --kd-weight 0",
        )
        check_resume(cfg, None)
        return
    options_of(cfg.criterion).require_symbols(len(student.target))
    check_embeddings(cfg, student, data)
    tokens, teacher_parameters = cfg.dataset.max_tokens, 0
    longest = None
    if cfg.criterion.hypotheses:
        per_sentence, longest = check_hypotheses(cfg, student)
        tokens = tokens and int(tokens * (1 + per_sentence))
    splits = read_splits(cfg)
    if cfg.criterion.ignore_prefix_size:
        require_targets(splits, cfg.criterion.ignore_prefix_size, cfg.dataset.train_subset)
    if cfg.criterion.r_drop:
        tokens = tokens and 2 * tokens  # every sentence twice
    tokens = tokens and tokens * cfg.criterion.kd_passes
    if cfg.criterion.teacher_store:
        check_store(cfg, student, splits)
    elif reads_teacher(cfg.criterion):
        teacher_parameters = check_teachers(cfg, student, splits, longest)
    if tokens and hasattr(cfg.model, "encoder_ffn_embed_dim"):
        symbols = len(student.target)
        parts = training_bytes(cfg.model, symbols, tokens, chunk_size(symbols), teacher_parameters)
        logger.info(forecast_line(parts))
    check_space(cfg, len(student.target))
    check_resume(cfg, student)


def student_symbols(cfg: Any, data: str) -> DictionaryPair | None:
    """The dictionaries that the task takes from its data; None if it has no single language pair."""
    if not hasattr(cfg.task, "source_lang") or getattr(cfg.task, "lang_pairs", None):
        return None
    langs = cfg.task.source_lang, cfg.task.target_lang
    if None in langs:
        langs = data_utils.infer_language_pair(data)
    student = read_symbols(data, langs)
    if student is None:
        raise LskdError(
            f"data folder {data} lacks train.SRC-TGT.SRC.bin or dict.LANG.txt files (languages {langs}): "
            "give the output folder of fairseq-preprocess"
        )
    return student


def check_embeddings(cfg: Any, student: DictionaryPair, data: str) -> None:
    """Refuse one embedding for two dictionaries."""
    shares = getattr(cfg.model, "share_all_embeddings", False)
    require(
        not shares or student.source == student.target,
        f"data folder {data} has two dictionaries, and --arch {cfg.model._name} shares one embedding: binarise "
        f"with --joined-dictionary, or, for a teacher with two, use {TWO_DICTIONARIES}",
    )


def check_teachers(cfg: Any, student: DictionaryPair, splits: Sequence[Split], longest: int | None) -> int:
    """Refuse teachers that could not be asked; their parameters. `longest`: target symbols of a hypothesis."""
    paths = online.split_paths(cfg.criterion.teacher_path)
    require(
        bool(paths),
        f"--kd-weight is {cfg.criterion.kd_weight} and neither --teacher-path nor --teacher-store is given: "
        "name a teacher, or train without one with --kd-weight 0",
    )
    facts = [online.check(path, student, cfg.criterion.teacher_data) for path in paths]
    check_recurrent(cfg, [teacher.arch for teacher in facts])
    for teacher in facts:
        if longest is None:
            require_taken(splits, teacher.path, teacher.positions)
            continue
        train = [split for split in splits if split.name == cfg.dataset.train_subset]
        require_taken(train, teacher.path, teacher.positions, sides=[0])
        most = teacher.positions[1]
        require(
            most is None or longest <= most,
            f"teacher {teacher.path} takes {most} target symbols and --hypotheses "
            f"{cfg.criterion.hypotheses} have up to {longest}: decode shorter ones",
        )
    return sum(teacher.parameters for teacher in facts)


def check_store(cfg: Any, student: DictionaryPair, splits: Sequence[Split]) -> None:
    """Refuse a store that cannot stand for the teacher of this training."""
    folder, task = cfg.criterion.teacher_store, cfg.task._name
    require(not cfg.criterion.teacher_path, f"--teacher-store {folder} and --teacher-path are both given: give one")
    require(task == "translation", f"--teacher-store is for the translation task, this is {task}: use --teacher-path")
    opened = store.check(folder, student, cfg.criterion.temperature)
    require(
        options_of(cfg.criterion, opened.layout.kept).kd_weight > 0,
        f"--teacher-store {folder} is given and --kd-weight is 0: leave one of them out",
    )
    data, names = cfg.task.data, [cfg.dataset.train_subset, *cfg.dataset.valid_subset.split(",")]
    if cfg.criterion.hypotheses:  # the teacher is asked about its own translations
        data, names = f"{cfg.criterion.hypotheses}/{hypotheses.BIN}", [cfg.dataset.train_subset]
    require_pairs(opened, data, student.langs, names)
    if not cfg.criterion.hypotheses:
        require_stored(splits, opened)


def check_hypotheses(cfg: Any, student: DictionaryPair) -> tuple[float, int]:
    """Refuse hypotheses not of this training's data; how many there are for a sentence, and the longest's symbols."""
    task = cfg.task._name
    require(task == "translation", f"--hypotheses is for the translation task, this is {task}: train on its bin folder")
    require(not cfg.task.truncate_source, "--hypotheses are of whole sentences: leave out --truncate-source")
    require(
        not cfg.distributed_training.broadcast_buffers or cfg.distributed_training.distributed_world_size == 1,
        "--hypotheses with --broadcast-buffers leaves workers waiting for each other: leave it out",
    )
    opened = hypotheses.check(cfg.criterion.hypotheses, student)
    longest, most = opened.header.longest, cfg.task.max_target_positions
    require(
        longest <= most,
        f"--hypotheses {cfg.criterion.hypotheses} have up to {longest} subwords and "
        f"--max-target-positions is {most}: raise it",
    )
    if str(cfg.criterion.kd_level) == "both":
        check_own_prefixes(cfg, opened)
    require_pairs(opened, cfg.task.data, student.langs, [cfg.dataset.train_subset])
    return float((len(opened.start) - 1) / max(len(opened.keys), 1)), longest


def check_own_prefixes(cfg: Any, opened: hypotheses.HypothesisStore) -> None:
    """Refuse a teacher that did not decode the hypotheses."""
    flags = cfg.criterion
    if flags.teacher_store:
        given = {entry.sha256 for entry in read_header(flags.teacher_store, store.KIND, store.StoreHeader).teacher}
    else:
        given = {sha256(Path(path)) for path in online.split_paths(flags.teacher_path) if Path(path).is_file()}
    decoders = [decoding.teacher for decoding in opened.header.decoded or []]
    names = ", ".join(sorted({entry.file for teacher in decoders for entry in teacher}))
    unread = not given and not flags.teacher_store  # a teacher that is not there is refused by its own line
    require(
        unread or any(given and given == {entry.sha256 for entry in teacher} for teacher in decoders),
        f"--hypotheses {flags.hypotheses} are of another teacher ({names}) than "
        f"{flags.teacher_store or flags.teacher_path}: decode with this one, or use "
        "--kd-level sequence",
    )


def check_save_dir(cfg: Any) -> None:
    """Refuse a save dir that cannot be made or written to; fairseq makes it even where nothing is saved."""
    folder = there = Path(cfg.checkpoint.save_dir).absolute()
    while not there.exists() and not there.is_symlink():
        there = there.parent
    name = folder if there == folder else f"{folder}: {there}"
    require(there.is_dir(), f"--save-dir {name} is no folder: give another --save-dir")
    require(
        os.access(there, os.W_OK | os.X_OK),
        f"--save-dir {name} cannot be written to: give another --save-dir, or change its permissions",
    )


def check_space(cfg: Any, symbols: int) -> None:
    """Refuse a save dir without room for two checkpoints: fairseq writes the new one before it drops the old."""
    if cfg.checkpoint.no_save or not hasattr(cfg.model, "encoder_ffn_embed_dim"):  # only transformers are counted
        return
    needed = 2 * checkpoint_bytes(transformer_parameters(cfg.model, symbols))
    require_space(Path(cfg.checkpoint.save_dir), needed, "--save-dir", "two checkpoints need")


def guard_training() -> None:
    """Wrap the call that starts training, once."""
    call_main: Callable[..., Any] = distributed_utils.call_main

    @functools.wraps(call_main)
    def guarded(cfg: Any, main: Any, **kwargs: Any) -> Any:
        name = getattr(getattr(cfg, "criterion", None), "_name", None)
        try:
            if name == "kd_ls":
                check_training(cfg)
                score_silence()
            return call_main(cfg, main, **kwargs)
        except Exception as error:
            line = explain(error, cfg.checkpoint.save_dir)
            if line is None:
                raise
            refuse(line)

    distributed_utils.call_main = guarded


def refuse(message: str) -> None:
    """One line and exit code 2."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)
