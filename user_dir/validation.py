"""An early model may translate everything into nothing; fairseq then logs no BLEU at all and stops with a KeyError."""

import functools
import sys
from collections.abc import Callable
from typing import Any

Stats = Callable[..., dict[str, Any]]


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
