"""BLEU of validation: with the target language's tokeniser, and 0 where a model translates all into nothing.

fairseq takes sacreBLEU's default, 13a, for every language: a perfect translation into Chinese then has 0. And where no
word is translated, as by an early model, it logs no BLEU at all and stops with a KeyError.
"""

import functools
import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import sacrebleu
from fairseq.dataclass.configs import FairseqConfig
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from fairseq.trainer import Trainer

from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import bleu_tokenizer

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEUScore

    from . import Replace

P = ParamSpec("P")
Stats = dict[str, float]
GetStats = Callable[Concatenate[FairseqConfig, Trainer, Stats, P], Stats]
Score = Callable[Concatenate[TranslationTask, P], "BLEUScore"]

logger = logging.getLogger(__name__)


def apply(replace: "Replace") -> None:
    """Replace what measures BLEU in validation, and what logs it, whichever way fairseq's program was started."""
    replace(TranslationTask, "_inference_with_bleu", by_language(TranslationTask._inference_with_bleu))
    for program in filter(None, map(sys.modules.get, ("fairseq_cli.train", "__main__"))):
        if hasattr(program, "get_valid_stats"):
            replace(program, "get_valid_stats", scoring_silence(program.get_valid_stats))


def scoring_silence(get_stats: GetStats[P]) -> GetStats[P]:
    """The same function; a validation without a single translated word has 0 BLEU, where BLEU was asked for."""

    @functools.wraps(get_stats)
    def with_bleu(cfg: FairseqConfig, trainer: Trainer, stats: Stats, *args: P.args, **kwargs: P.kwargs) -> Stats:
        if getattr(cfg.task, "eval_bleu", False):
            stats.setdefault("bleu", 0.0)
        return get_stats(cfg, trainer, stats, *args, **kwargs)

    return with_bleu


def validation_tokenizer(task: TranslationConfig, lang: str) -> str:
    """sacreBLEU's tokeniser of a validation: `tokenize` in --eval-bleu-args, or that of the target language."""
    return bleu_tokenizer(lang, json.loads(task.eval_bleu_args or "{}").get("tokenize"))


def by_language(score: Score[P]) -> Score[P]:
    """The same method with a tokeniser, unless tokens are scored as they are (--eval-tokenized-bleu)."""

    @functools.wraps(score)
    def with_tokenizer(task: TranslationTask, *args: P.args, **kwargs: P.kwargs) -> "BLEUScore":
        if task.cfg.eval_tokenized_bleu:
            return score(task, *args, **kwargs)
        if not hasattr(task, "lskd_tokenizer"):
            task.lskd_tokenizer = validation_tokenizer(task.cfg, task.cfg.target_lang)
            if task.lskd_tokenizer != USUAL:
                logger.info(f"BLEU of validation: sacreBLEU's tokeniser {task.lskd_tokenizer}")
        corpus_bleu = sacrebleu.corpus_bleu
        # fairseq looks the function up in the module, and names no tokeniser
        sacrebleu.corpus_bleu = functools.partial(corpus_bleu, tokenize=task.lskd_tokenizer)
        try:
            return score(task, *args, **kwargs)
        finally:
            sacrebleu.corpus_bleu = corpus_bleu

    return with_tokenizer
