"""`--criterion kd_ls`: fetch student and teacher, drop padding, call the losses, log sums."""

import logging
import math
from dataclasses import dataclass, field
from typing import Any, Optional, get_args

import torch
from fairseq import utils
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import SYMBOLS_KEY, Symbols, is_translation
from lskd_nmt.losses.chunked import Projection, TeacherFeatures, kd_ls_from_features
from lskd_nmt.losses.objective import KdOptions, kd_ls_terms
from lskd_nmt.losses.signals import Record, Signal, Tail, TopK, at_temperature, top_k
from lskd_nmt.losses.smoothing import argmax_is_target
from lskd_nmt.teacher.live import LiveTeacher, split_paths
from lskd_nmt.teacher.store import TeacherStore

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
    teacher_store: Optional[str] = field(
        default=None, metadata={"help": "what `lskd teacher-store` wrote, instead of a teacher: none is loaded then"}
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
    top_k: int = field(
        default=0, metadata={"help": "keep the teacher's K most probable symbols of each token, 0 keeps all of them"}
    )
    tail: Optional[ChoiceEnum(["dense", "bucket", "uniform", "renormalise"])] = field(  # type: ignore[valid-type]
        default=None,
        metadata={
            "help": "what becomes of symbols outside of the top k: one event (bucket, the default there), spread "
            "evenly (uniform), or nothing (renormalise); dense, the default otherwise, has no such symbols"
        },
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
    ddp_backend: str = II("distributed_training.ddp_backend")
    find_unused_parameters: bool = II("distributed_training.find_unused_parameters")


def options_of(cfg: KdLsConfig, stored: int = 0) -> KdOptions:
    """The objective's settings, checked; `stored` is the number of symbols that a teacher store keeps."""
    top_k = cfg.top_k or stored
    require(not stored or top_k <= stored, f"--top-k is {top_k}, and the teacher store keeps {stored}: give no more")
    return KdOptions(
        temperature=cfg.temperature,
        kd_weight=cfg.kd_weight,
        label_smoothing=cfg.label_smoothing,
        smoothing_over=str(cfg.smoothing_over),  # type: ignore[arg-type]
        temper=str(cfg.temper),  # type: ignore[arg-type]
        temperature_squared=not cfg.no_temperature_squared,
        tail=str(cfg.tail or ("bucket" if top_k else "dense")),  # type: ignore[arg-type]
        top_k=top_k,
    )


@register_criterion("kd_ls", dataclass=KdLsConfig)
class KdLsCriterion(FairseqCriterion):
    """(1-λ)·LS-NLL(ε) + λ·T²·KL(p(T)‖q(T)), summed over the real target tokens of a batch."""

    def __init__(self, cfg: KdLsConfig, task: Any) -> None:
        """Check the settings and load the teacher, before the first batch."""
        super().__init__(task)
        self.cfg = cfg
        self._store = TeacherStore.open(cfg.teacher_store, verify=False) if cfg.teacher_store else None
        self.options = options_of(cfg, self._store.layout.k if self._store else 0)
        both = task.source_dictionary, task.target_dictionary
        source, target = (list(dictionary.symbols) for dictionary in both)
        task.state.merge_state_dict({SYMBOLS_KEY: {"source": source, "target": target}})
        # A tuple, so that nn.Module does not adopt the teacher: as an attribute the trainer would save it with
        # the student, wrap it in DDP and call .train() on it at every step.
        self._teacher: tuple[LiveTeacher, ...] = ()
        self._dense_said = False
        if self._store:
            require(is_translation(task), f"--teacher-store is for the translation task, not for "
                                          f"{type(task).__name__}: use --teacher-path")  # fmt: skip
            self.column = self._store.layout.column(self.options.temperature)
        elif self.options.kd_weight > 0:
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
        projection = self.projection(model) if reduce else None
        dense = projection is None
        output, *extra = model(**sample["net_input"], **({} if dense else {"features_only": True}))  # (B, T, V or D)
        target = model.get_targets(sample, (output, *extra))[:, prefix:]  # (B, T)
        real = target.ne(self.padding_idx)  # (B, T)  padding dies here: the losses only see real tokens
        output, gold = output[:, prefix:][real], target[real]  # (N, V or D), (N,)
        signal = self.teacher_signal(model, sample, real, dense)
        if projection is not None:
            terms = kd_ls_from_features(
                output, Projection(*projection), gold, signal, self.options, accuracy=self.cfg.report_accuracy
            )
            loss, correct = terms.loss, terms.correct
        else:
            log_q = model.get_normalized_probs((output, *extra), log_probs=True)  # (N, V)
            terms = kd_ls_terms(log_q, gold, signal, self.options)
            loss, correct = terms.loss.sum(), argmax_is_target(log_q, gold) if self.cfg.report_accuracy else None
            if not reduce:
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
            logs[f"tail_{self.options.tail}"] = sample["ntokens"]  # the mode, in a form that sums
        if correct is not None:
            logs["n_correct"], logs["total"] = correct.sum().item(), real.sum().item()
        return loss, sample_size, logs

    def projection(self, model: Any) -> tuple[Tensor, Tensor | None] | None:
        """The student's output projection if the loss can be taken from its features, else None, said once."""
        projection, reason = fairseq_io.output_projection(model), None
        if self.cfg.ddp_backend == "fully_sharded":
            reason = "--ddp-backend fully_sharded keeps the output projection in pieces"
        elif projection is None:
            reason = "its decoder has no plain output projection"
        elif self.cfg.find_unused_parameters and not fairseq_io.tied_output(model):
            reason = "--find-unused-parameters takes an untied output projection for unused"
        if reason and not self._dense_said:
            logger.info("the loss is taken from dense logits (%s): slower, and more memory", reason)
            self._dense_said = True
        return None if reason else projection

    def teacher_signal(
        self, model: Any, sample: dict[str, Any], real: Tensor, dense: bool
    ) -> TeacherFeatures | Signal | None:
        """The teacher's opinion on the same positions; for the dense path as a signal.   -> of N tokens"""
        if self.options.kd_weight == 0:
            return None
        if self._store:
            return self.stored_signal(self._store, sample, real.device)
        teacher, prefix = self._teacher[0], self.cfg.ignore_prefix_size
        like = next((p for p in model.parameters()), None)
        if like is not None:
            teacher.to(like)  # hidden from the trainer's own .to() and .half()
        features = None if dense else teacher.features(sample["net_input"], real, prefix)
        if features is not None:
            return features
        log_p = teacher.log_probs(sample["net_input"], real, prefix)  # (N, V)
        return top_k(log_p, self.options.top_k, self.options.temperature) if self.options.top_k else log_p

    def stored_signal(self, store: TeacherStore, sample: dict[str, Any], device: torch.device) -> Signal:
        """The same from the store.   -> top k of N tokens"""
        source, target = (ids.cpu().numpy() for ids in (sample["net_input"]["src_tokens"], sample["target"]))
        pads = self.task.source_dictionary.pad(), self.padding_idx
        pairs = [(s[s != pads[0]], t[t != pads[1]]) for s, t in zip(source, target, strict=True)]
        record = store.lookup(pairs, self.cfg.ignore_prefix_size)
        ids, log_probs = (kept[:, : self.options.top_k] for kept in (record.ids, record.log_probs))
        signal = at_temperature(Record(ids, log_probs, record.log_sum_exps), self.options.temperature, self.column)
        return TopK(*(part.to(device) for part in signal))

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
            for tail in get_args(Tail):
                if total(f"tail_{tail}"):
                    metrics.log_derived("kd_tail", lambda meters, tail=tail: tail)
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
