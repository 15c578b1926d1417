"""BLEU of validation: with the target language's tokeniser, and 0 where a model translates all into nothing.

fairseq takes sacreBLEU's default, 13a, for every language: a perfect translation into Chinese then has 0. And where no
word is translated, as by an early model, it logs no BLEU at all and stops with a KeyError.
"""

import functools
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import sacrebleu
from fairseq.tasks.translation import TranslationTask

from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import bleu_tokenizer
from lskd_nmt.fairseq_io.known_flags import DETOKENISERS, search_misfit

Stats = Callable[..., dict[str, Any]]

logger = logging.getLogger(__name__)


def score_silence() -> None:
    """Count a validation without a single translated word as 0 BLEU, once fairseq's training code is loaded."""
    for name in ("fairseq_cli.train", "__main__"):
        get_valid_stats = getattr(sys.modules.get(name), "get_valid_stats", None)
        if get_valid_stats is not None and not hasattr(get_valid_stats, "__wrapped__"):
            sys.modules[name].get_valid_stats = scored(get_valid_stats)  # type: ignore[attr-defined]


def scored(get_valid_stats: Stats) -> Stats:
    """The same, with a BLEU of 0 where none was logged though asked for."""

    @functools.wraps(get_valid_stats)
    def with_bleu(cfg: Any, trainer: Any, stats: dict[str, Any], *rest: Any) -> dict[str, Any]:
        if getattr(cfg.task, "eval_bleu", False):
            stats.setdefault("bleu", 0.0)
        return get_valid_stats(cfg, trainer, stats, *rest)

    return with_bleu


def validation_tokenizer(task: Any, lang: str) -> str:
    """The tokeniser of BLEU in validation: `tokenize` in --eval-bleu-args, or that of the target language."""
    return bleu_tokenizer(lang, json.loads(task.eval_bleu_args or "{}").get("tokenize"))


def check_validation(task: Any, lang: str) -> None:
    """Refuse a validation BLEU that could not be measured: fairseq would train an epoch first."""
    wrong = search_misfit(task.eval_bleu_args or "{}", known_only=False)  # else what was begun could not go on
    require(wrong is None, f"--eval-bleu-args: {wrong}")
    detok = task.eval_bleu_detok
    names = ", ".join(DETOKENISERS)
    require(not detok or detok in DETOKENISERS, f"--eval-bleu-detok is {detok}: one of {names}")
    if not task.eval_tokenized_bleu:
        validation_tokenizer(task, lang)


def tokenise_by_language() -> None:
    """Let fairseq's translation tasks score validation with the target language's tokeniser."""
    if not hasattr(TranslationTask._inference_with_bleu, "__wrapped__"):
        TranslationTask._inference_with_bleu = tokenised(TranslationTask._inference_with_bleu)


def tokenised(inference_with_bleu: Callable[..., Any]) -> Callable[..., Any]:
    """The same with a tokeniser, unless tokens are scored as they are (--eval-tokenized-bleu)."""

    @functools.wraps(inference_with_bleu)
    def with_tokenizer(task: Any, *arguments: Any) -> Any:
        if task.cfg.eval_tokenized_bleu:
            return inference_with_bleu(task, *arguments)
        if not hasattr(task, "lskd_tokenizer"):
            task.lskd_tokenizer = validation_tokenizer(task.cfg, task.cfg.target_lang)
            if task.lskd_tokenizer != USUAL:
                logger.info(f"BLEU of validation: sacreBLEU's tokeniser {task.lskd_tokenizer}")
        corpus_bleu = sacrebleu.corpus_bleu
        # fairseq looks the function up in the module, and names no tokeniser
        sacrebleu.corpus_bleu = functools.partial(corpus_bleu, tokenize=task.lskd_tokenizer)
        try:
            return inference_with_bleu(task, *arguments)
        finally:
            sacrebleu.corpus_bleu = corpus_bleu

    return with_tokenizer
