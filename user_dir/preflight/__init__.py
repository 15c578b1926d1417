"""Everything that can be refused before the first batch is refused here: one line on stderr, exit code 2.

Raised deep inside fairseq the same mistakes would be tracebacks with exit code 1, or 134 from spawned processes.
"""

import logging
from pathlib import Path

from fairseq.data import data_utils
from fairseq.dataclass.configs import FairseqConfig

from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment import tracking
from lskd_nmt.fairseq_io import DictionaryPair, not_left_to_right, read_symbols
from lskd_nmt.fairseq_io.known_flags import DETOKENISERS, search_misfit
from lskd_nmt.losses.compatibility import TEACHER
from lskd_nmt.losses.fused import chunk_size
from lskd_nmt.losses.rule import require_compatible
from lskd_nmt.sizes import forecast_line, training_bytes
from lskd_nmt.teacher.vocabulary import TWO_DICTIONARIES

from ..criterions.compatible import check_flags
from ..criterions.flags import options_of, reads_teacher, settings_of
from ..patches.validation import validation_tokenizer
from .disk import check_save_dir, check_space
from .lengths import read_splits, require_targets
from .precision import check_recurrent, settle_precision
from .resume import check_resume
from .teachers import check_hypotheses, check_store, check_teachers

logger = logging.getLogger(__name__)


def check_training(cfg: FairseqConfig) -> None:
    """Refuse a resolved fairseq configuration that kd_ls could not train with."""
    check_save_dir(cfg)
    wishes = {tracking.TENSORBOARD: cfg.common.tensorboard_logdir, tracking.WANDB: cfg.common.wandb_project}
    tracking.require_packages({flag: value for flag, value in wishes.items() if value})
    data = str(getattr(cfg.task, "data", None)).split(":")[0]
    require(Path(data).is_dir(), f"data folder {data} does not exist: give the output folder of fairseq-preprocess")
    arch = getattr(cfg.model, "arch", None) or cfg.model._name
    reason = not_left_to_right(arch)
    require(not reason, f"--arch {arch} {reason}: give an encoder-decoder, or train it with the criterion made for it")
    settle_precision(cfg)
    check_recurrent(cfg, [arch])
    student = student_symbols(cfg, data)
    check_criterion(cfg)
    if student is not None:
        check_validation(cfg, student.langs[1])
        options_of(cfg.criterion).require_symbols(len(student.target))
        check_embeddings(cfg, student, data)
        teacher_parameters, tokens = check_data(cfg, student)
        log_forecast(cfg, len(student.target), teacher_parameters, tokens)
        check_space(cfg, len(student.target))
    else:
        require(
            not settings_of(cfg.criterion).distils,
            f"--task {cfg.task._name} has no single language pair, for which a teacher "
            "could be asked: use --task translation, or train without a teacher with --kd-weight 0",
        )
    check_resume(cfg, student)


def check_criterion(cfg: FairseqConfig) -> None:
    """Refuse flags of kd_ls that contradict each other, or how this training validates and keeps checkpoints."""
    validates = not cfg.dataset.disable_validation
    chooses = validates and not cfg.checkpoint.no_save
    check_flags(
        cfg.criterion,
        measures_bleu=bool(getattr(cfg.task, "eval_bleu", False)) and validates,
        best_checkpoint_metric=cfg.checkpoint.best_checkpoint_metric if chooses else "",
    )


def check_validation(cfg: FairseqConfig, lang: str) -> None:
    """Refuse a validation BLEU that could not be measured: fairseq would train an epoch first."""
    task = cfg.task
    if cfg.dataset.disable_validation or not getattr(task, "eval_bleu", False):
        return
    wrong = search_misfit(task.eval_bleu_args or "{}", known_only=False)  # else what was begun could not go on
    require(wrong is None, f"--eval-bleu-args: {wrong}")
    detok = task.eval_bleu_detok
    names = ", ".join(DETOKENISERS)
    require(not detok or detok in DETOKENISERS, f"--eval-bleu-detok is {detok}: one of {names}")
    if not task.eval_tokenized_bleu:
        validation_tokenizer(task, lang)


def student_symbols(cfg: FairseqConfig, data: str) -> DictionaryPair | None:
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


def check_embeddings(cfg: FairseqConfig, student: DictionaryPair, data: str) -> None:
    """Refuse one embedding for two dictionaries."""
    shares = getattr(cfg.model, "share_all_embeddings", False)
    require(
        not shares or student.source == student.target,
        f"data folder {data} has two dictionaries, and --arch {cfg.model._name} shares one embedding: binarise "
        f"with --joined-dictionary, or, for a teacher with two, use {TWO_DICTIONARIES}",
    )


def check_data(cfg: FairseqConfig, student: DictionaryPair) -> tuple[int, int]:
    """Refuse data, hypotheses and teachers that do not fit; the teachers' parameters, and the most tokens of a batch.

    A batch of --max-tokens grows by hypotheses, by R-Drop, which has every sentence twice, and by passes of the student
    over its own output. 0 tokens: --max-tokens is not given.
    """
    criterion, tokens, longest = cfg.criterion, cfg.dataset.max_tokens or 0, None
    if criterion.hypotheses:
        per_sentence, longest = check_hypotheses(cfg, student)
        tokens = int(tokens * (1 + per_sentence))
    splits = read_splits(cfg)
    if criterion.ignore_prefix_size:
        require_targets(splits, criterion.ignore_prefix_size, cfg.dataset.train_subset)
    require_compatible(TEACHER, settings_of(criterion))
    teacher_parameters = 0
    if criterion.teacher_store:
        check_store(cfg, student, splits)
    elif reads_teacher(criterion):
        teacher_parameters = check_teachers(cfg, student, splits, longest)
    return teacher_parameters, tokens * (2 if criterion.r_drop else 1) * criterion.kd_passes


def log_forecast(cfg: FairseqConfig, symbols: int, teacher_parameters: int, tokens: int) -> None:
    """Log how much memory a transformer's training will take with batches of so many tokens, if that is known."""
    if tokens and hasattr(cfg.model, "encoder_ffn_embed_dim"):
        parts = training_bytes(cfg.model, symbols, tokens, chunk_size(symbols), teacher_parameters)
        logger.info(forecast_line(parts))
