"""What `kd_ls` logs: sums over tokens or sentences, and their means in bits."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

from fairseq import utils
from fairseq.logging import metrics
from torch import Tensor

from lskd_nmt.losses.objective import ObjectiveTerms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.settings import Tail

from .batch import Logs

if TYPE_CHECKING:
    from fairseq.logging.meters import MetersDict

Total = Callable[[str], Tensor | float]  # of a log's name, over workers


def divergence_logs(terms: ObjectiveTerms, options: KdOptions) -> Logs:
    """What is logged of a divergence: sums, of how many tokens, and the tail mode in a form that sums.

    With a selection also how many of the tokens are selected. What was not computed is logged as 0.
    """
    none = terms.nll.new_zeros(0)
    kd = none if terms.kd is None else terms.kd.data
    logs: Logs = {"kd_loss": kd.sum(), "kd_ntokens": kd.numel()}
    if not options.virtual_teacher:
        logs[f"tail_{options.tail}"] = kd.numel()
    if options.rank:
        logs["rank_loss"] = (none if terms.rank is None else terms.rank.data).sum()
    if options.select != "all":
        logs["kd_selected"] = (none if terms.selected is None else terms.selected).sum()
    return logs


def r_drop_logs(terms: ObjectiveTerms) -> Logs:
    """How far apart two dropout passes are, where there were two."""
    if terms.r_drop is None:
        return {}
    return {"r_drop_loss": terms.r_drop.data.sum(), "r_drop_ntokens": terms.r_drop.numel()}


def reduce_metrics(logging_outputs: list[Logs]) -> None:
    """The one division and the one unit change: sums in nats -> means in bits."""

    def total(key: str) -> Tensor | float:
        return sum(log.get(key, 0) for log in logging_outputs)

    def log_mean(key: str, count: Tensor | float) -> None:
        if count:
            metrics.log_scalar(key, total(key) / count / math.log(2), count, round=3)

    log_mean("loss", total("sample_size"))
    references = total("ntokens") - total("policy_ntokens")
    if references:
        log_mean("nll_loss", references)
        metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["nll_loss"].avg))
    for name in ("policy", "seq", "r_drop", "kd"):
        if total(f"{name}_ntokens"):
            log_mean(f"{name}_loss", total(f"{name}_ntokens"))
    if total("kd_batches"):
        metrics.log_scalar("kd_weight", total("kd_weight") / total("kd_batches"), weight=0, round=4)
    if total("kd_ntokens"):
        log_of_divergence(logging_outputs, total)
    if total("total") > 0:
        metrics.log_scalar("total", utils.item(total("total")))
        metrics.log_scalar("n_correct", utils.item(total("n_correct")))
        metrics.log_derived("accuracy", accuracy)


def accuracy(meters: "MetersDict") -> float:
    """Correct tokens in per cent; NaN if none was counted since fairseq's last reset of its meters."""
    counted = meters["total"].sum
    return round(100 * meters["n_correct"].sum / counted, 3) if counted else math.nan


def log_of_divergence(logging_outputs: list[Logs], total: Total) -> None:
    """Log what is not in bits: the ranking term, the selected share and the tail mode."""
    count = total("kd_ntokens")
    for name, digits in (("rank_loss", 4), ("kd_selected", 3)):
        if any(name in log for log in logging_outputs):
            metrics.log_scalar(name, total(name) / count, count, round=digits)
    for tail in get_args(Tail):
        if total(f"tail_{tail}"):
            metrics.log_derived("kd_tail", lambda meters, tail=tail: tail)
