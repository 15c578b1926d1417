"""`--criterion kd_ls`: fetch student and teacher, drop padding, call the losses, log sums."""

import logging
import math
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from fairseq import utils
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import Tensor

from lskd_nmt.fairseq_io import SYMBOLS_KEY, Symbols
from lskd_nmt.losses.objective import KdOptions, kd_ls_terms
from lskd_nmt.losses.smoothing import argmax_is_target
from lskd_nmt.teacher.live import LiveTeacher, split_paths

logger = logging.getLogger(__name__)


@dataclass
class KdLsConfig(FairseqDataclass):
    """The flags of `kd_ls`."""

    teacher_path: Optional[str] = field(
        default=None, metadata={"help": "teacher checkpoint; several, colon-separated, are averaged as an ensemble"}
    )
    teacher_data: Optional[str] = field(
        default=None,
        metadata={"help": "folder with the teacher's dict.LANG.txt files, if its checkpoint does not hold the symbols"},
    )
    temperature: float = field(default=1.0, metadata={"help": "T of the divergence, above 0"})
    kd_weight: float = field(
        default=0.5, metadata={"help": "share of the divergence, from 0 (plain training, no teacher) to 1 (soft-only)"}
    )
    label_smoothing: float = field(
        default=0.0, metadata={"help": "epsilon of the student's own hard term, 0 is one-hot"}
    )
    smoothing_over: ChoiceEnum(["others", "vocabulary"]) = field(  # type: ignore[valid-type]
        default="others",
        metadata={"help": "who shares epsilon: all other symbols (fairseq >= 0.10) or the whole vocabulary (2019)"},
    )
    temper: ChoiceEnum(["both", "teacher"]) = field(  # type: ignore[valid-type]
        default="both", metadata={"help": "whose logits are divided by T"}
    )
    no_temperature_squared: bool = field(
        default=False, metadata={"help": "do not multiply the divergence by the square of T"}
    )
    report_accuracy: bool = field(default=False, metadata={"help": "report token accuracy"})
    ignore_prefix_size: int = field(default=0, metadata={"help": "ignore the first N target tokens"})
    sentence_avg: bool = II("optimization.sentence_avg")


def options_of(cfg: KdLsConfig) -> KdOptions:
    """The objective's settings, checked."""
    return KdOptions(
        temperature=cfg.temperature,
        kd_weight=cfg.kd_weight,
        label_smoothing=cfg.label_smoothing,
        smoothing_over=str(cfg.smoothing_over),  # type: ignore[arg-type]
        temper=str(cfg.temper),  # type: ignore[arg-type]
        temperature_squared=not cfg.no_temperature_squared,
    )


@register_criterion("kd_ls", dataclass=KdLsConfig)
class KdLsCriterion(FairseqCriterion):
    """(1-λ)·LS-NLL(ε) + λ·T²·KL(p(T)‖q(T)), summed over the real target tokens of a batch."""

    def __init__(self, cfg: KdLsConfig, task: Any) -> None:
        """Check the settings and load the teacher, before the first batch."""
        super().__init__(task)
        self.cfg = cfg
        self.options = options_of(cfg)
        both = task.source_dictionary, task.target_dictionary
        source, target = (list(dictionary.symbols) for dictionary in both)
        task.state.merge_state_dict({SYMBOLS_KEY: {"source": source, "target": target}})
        # A tuple, so that nn.Module does not adopt the teacher: as an attribute the trainer would save it with
        # the student, wrap it in DDP and call .train() on it at every step.
        self._teacher: tuple[LiveTeacher, ...] = ()
        if self.options.kd_weight > 0:
            paths = split_paths(cfg.teacher_path)
            symbols = Symbols(source, target, (task.cfg.source_lang, task.cfg.target_lang))
            self._teacher = (LiveTeacher.load(paths, symbols, task.cfg.data, cfg.teacher_data),)
            for facts in self._teacher[0].facts:
                logger.info(facts)

    @classmethod
    def build_criterion(cls, cfg: KdLsConfig, task: Any) -> "KdLsCriterion":
        """fairseq's way in: the configuration arrives whole."""
        return cls(cfg, task)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, Any, dict[str, Any]]:
        """Summed loss in nats, its divisor, and summable logs. With `reduce=False` the loss is per position (B·T,)."""
        prefix = self.cfg.ignore_prefix_size
        logits, *extra = model(**sample["net_input"])  # (B, T, V)
        target = model.get_targets(sample, (logits, *extra))[:, prefix:]  # (B, T)
        real = target.ne(self.padding_idx)  # (B, T)  padding dies here: the losses only see real tokens
        log_q = model.get_normalized_probs((logits[:, prefix:][real], *extra), log_probs=True)  # (N, V)
        log_p = self.teacher_log_probs(model, sample, real)
        terms = kd_ls_terms(log_q, target[real], log_p, self.options)

        if reduce:
            loss = terms.loss.sum()
        else:
            loss = torch.zeros_like(target, dtype=log_q.dtype).masked_scatter(real, terms.loss).view(-1)  # (B·T,)
        sample_size = target.size(0) if self.cfg.sentence_avg else sample["ntokens"]
        logs = {
            "loss": loss.data,
            "nll_loss": terms.nll.data.sum(),
            "ntokens": sample["ntokens"],
            "nsentences": target.size(0),
            "sample_size": sample_size,
        }
        if terms.kd is not None:
            logs["kd_loss"] = terms.kd.data.sum()
        if self.cfg.report_accuracy:
            logs["n_correct"] = argmax_is_target(log_q, target[real]).sum().item()
            logs["total"] = real.sum().item()
        return loss, sample_size, logs

    def teacher_log_probs(self, model: Any, sample: dict[str, Any], real: Tensor) -> Tensor | None:
        """The teacher's opinion on the same positions, or None without a teacher.   -> (N, V)"""
        if not self._teacher:
            return None
        teacher = self._teacher[0]
        like = next((p for p in model.parameters()), None)
        if like is not None:
            teacher.to(like)  # hidden from the trainer's own .to() and .half()
        return teacher.log_probs(sample["net_input"], real, self.cfg.ignore_prefix_size)

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """The one division and the one unit change: sums in nats -> means in bits."""

        def total(key: str) -> Any:
            return sum(log.get(key, 0) for log in logging_outputs)

        def log_mean(key: str, count: Any) -> None:
            metrics.log_scalar(key, total(key) / count / math.log(2), count, round=3)

        log_mean("loss", total("sample_size"))
        log_mean("nll_loss", total("ntokens"))
        if any("kd_loss" in log for log in logging_outputs):
            log_mean("kd_loss", total("ntokens"))
        metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["nll_loss"].avg))
        if total("total") > 0:
            metrics.log_scalar("total", utils.item(total("total")))
            metrics.log_scalar("n_correct", utils.item(total("n_correct")))
            metrics.log_derived(
                "accuracy", lambda meters: round(100 * meters["n_correct"].sum / meters["total"].sum, 3)
            )

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Every log is a sum over tokens or sentences."""
        return True
