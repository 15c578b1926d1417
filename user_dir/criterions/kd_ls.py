"""`--criterion kd_ls`: fetch student and teacher, drop padding, call the losses, log sums."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import SYMBOLS_KEY, DictionaryPair, is_translation
from lskd_nmt.losses.first_look import FirstLook
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.loss_queue import LossQueue
from lskd_nmt.losses.objective import ObjectiveTerms, dense_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Signal
from lskd_nmt.losses.token_statistics import first_look
from lskd_nmt.seqkd.store import HypothesisStore
from lskd_nmt.teacher.source import pairs_of

from .batch import Batch, Logs, NetInput
from .compatible import check_flags
from .flags import KdLsConfig
from .hypotheses import Drawn, hypotheses_of
from .iterated_prefixes import iterated_terms
from .kd_weight import Weight
from .logs import divergence_logs, r_drop_logs, reduce_metrics
from .on_policy import OnPolicy, policy_logs
from .shared_queue import window
from .student import Student
from .task_hooks import Updates
from .teacher import Teacher

if TYPE_CHECKING:
    from fairseq.models import FairseqEncoderDecoderModel
    from fairseq.tasks import FairseqTask
    from torch.nn.modules.module import _IncompatibleKeys

logger = logging.getLogger(__name__)


@register_criterion("kd_ls", dataclass=KdLsConfig)
class KdLsCriterion(FairseqCriterion):
    """(1-λ)·LS-NLL(ε) + λ·T²·KL(p(T)‖q(T)), summed over the real target tokens of a batch.

    With hypotheses h_1 … h_M of the teacher instead (1-λ)·LS-NLL(ε) + (λ/M)·Σ_m Σ_t -log q(h_m,t), to which the level
    `both` adds (λ/M)·Σ_m Σ_t T²·KL(p(T)‖q(T)) on their prefixes. N of them may be drawn: see `Drawn`.
    On translations that the student samples T²·KL(p(T)‖q(T)) alone.
    """

    def __init__(self, cfg: KdLsConfig, task: "FairseqTask") -> None:
        """Check the settings and load the teacher, before the first batch."""
        super().__init__(task)
        self.cfg = cfg
        check_flags(cfg)
        for flag in ("teacher_store", "hypotheses"):
            require(
                not getattr(cfg, flag) or is_translation(task),
                f"--{flag.replace('_', '-')} is for the translation task, not for {type(task).__name__}: "
                "use --teacher-path",
            )
        symbols = symbols_of(task)
        if symbols is not None:
            task.state.merge_state_dict({SYMBOLS_KEY: {"source": symbols.source, "target": symbols.target}})
        self._hypotheses = HypothesisStore.open(cfg.hypotheses, verify=False) if cfg.hypotheses else None
        self._teacher = Teacher(cfg, task, symbols)
        self.options = self._teacher.options
        self.reference_options = replace(self.options, kd_weight=0.0, top_k=0, tail="dense", select="all")
        memory = self.options.selection.memory
        self.queue = LossQueue(memory) if memory else None
        self._updates = Updates(task)
        self._drawn = Drawn(cfg, self._updates)
        self._weight = Weight(cfg, task, self._updates)
        self._on_policy = OnPolicy(cfg, task.target_dictionary, self._updates) if cfg.on_policy else None
        self._dense_reported = False

    @classmethod
    def build_criterion(cls, cfg: KdLsConfig, task: "FairseqTask") -> "KdLsCriterion":
        """fairseq's way in: the configuration arrives whole."""
        return cls(cfg, task)

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor] | None, strict: bool = True, assign: bool = False
    ) -> "_IncompatibleKeys":
        """Take a checkpoint's queue; one of a training without memory, to start from, leaves it empty."""
        return super().load_state_dict(self.state_dict() if state_dict is None else state_dict, strict, assign)

    def forward(
        self, model: "FairseqEncoderDecoderModel", sample: Batch, reduce: bool = True
    ) -> tuple[Tensor, Tensor | float, Logs]:
        """Summed loss in nats, its divisor, and summable logs. With `reduce=False` the loss is per position (B·T,)."""
        device = next(model.parameters()).device.type
        with torch.autocast(device, torch.bfloat16) if self.cfg.bf16 is True else nullcontext():
            options = self._weight.options(self.options, self.reference_options)
            distils_now = model.training and options.kd_weight > 0  # in validation the reference alone counts
            if distils_now and self._on_policy is not None and self._on_policy.turn():
                assert reduce, "a sample has no position of the reference"
                sample = self._on_policy.sampled(model, sample, self._teacher.live.max_positions()[1])
                terms, loss, logs = self.objective(model, sample, replace(options, kd_weight=1.0), reduce)
                if terms.kd is not None:
                    logs = policy_logs(terms.kd)
                return self.logged(sample, terms._replace(correct=None), loss, logs)
            return self.logged(sample, *self.objective(model, sample, options, reduce))

    def objective(
        self, model: "FairseqEncoderDecoderModel", sample: Batch, options: KdOptions, reduce: bool
    ) -> tuple[ObjectiveTerms, Tensor, Logs]:
        """The terms on the references, the whole loss, and what is logged of the teacher."""
        distils_now = model.training and options.kd_weight > 0
        learns_hypotheses = self._hypotheses is not None and distils_now
        iterates = self.cfg.kd_passes > 1 and distils_now
        assert reduce or not (learns_hypotheses or iterates), "there is no loss per position of the reference"
        dropout_passes = 2 if options.r_drop and model.training else 1  # without dropout both would be the same
        projection = self.projection(model) if reduce else None
        student = Student(model, sample["net_input"], projection, learns_hypotheses or iterates, dropout_passes)
        if learns_hypotheses:
            return self.sequence_terms(student, sample, options)
        if iterates:
            of_references = partial(self.terms, student, target=sample["target"])
            prefix, pad = self.cfg.ignore_prefix_size, self.padding_idx
            with self._teacher.live.same_sources():
                terms = iterated_terms(of_references, sample, options, self.cfg.kd_passes, prefix, pad)
            return terms, terms.loss, divergence_logs(terms, options)
        asked = options if self._hypotheses is None else self.reference_options
        terms = self.terms(student, sample["net_input"], sample["target"], asked)
        loss = terms.loss.sum() if reduce else self.per_position(terms.loss, sample["target"])
        return terms, loss, ({} if terms.kd is None else divergence_logs(terms, options)) | r_drop_logs(terms)

    def logged(
        self, sample: Batch, terms: ObjectiveTerms, loss: Tensor, teacher_logs: Logs
    ) -> tuple[Tensor, Tensor | float, Logs]:
        """The loss, its divisor and all logs of a batch."""
        if self.queue is not None:
            loss = loss + 0 * self.queue.anchor.sum()
        sentences = sample["target"].size(0)
        size = sentences if self.cfg.sentence_avg else sample["ntokens"]
        logs: Logs = {
            "loss": loss.data,
            "nll_loss": terms.nll.data.sum(),
            "ntokens": sample["ntokens"],
            "nsentences": sentences,
            "sample_size": size,
            **teacher_logs,
        }
        if self._weight.changes:
            logs["kd_weight"], logs["kd_batches"] = self._weight.now(), 1
        if terms.correct is not None and self.cfg.report_accuracy:
            logs["n_correct"], logs["total"] = terms.correct.sum().item(), terms.correct.numel()
        return loss, size, logs

    def sequence_terms(
        self, student: Student, sample: Batch, options: KdOptions
    ) -> tuple[ObjectiveTerms, Tensor, Logs]:
        """The terms on the references, the whole loss, and what is logged of the hypotheses."""
        assert self._hypotheses is not None
        weight, net_input = options.kd_weight, sample["net_input"]
        pad, eos = self.padding_idx, self.task.target_dictionary.eos()
        pairs = pairs_of(net_input, sample["target"], self._teacher.pads)
        hypotheses = hypotheses_of(self._hypotheses, self._drawn, pairs, sample["target"], pad, eos)
        found = hypotheses.target.numel() > 0
        with torch.set_grad_enabled(weight < 1 or not found):  # its weight is 0, and it is only logged
            terms = self.terms(student, net_input, sample["target"], self.reference_options)
            loss = (1 - weight) * terms.loss.sum()
        logs: Logs = {"seq_loss": loss.new_zeros(()), "seq_ntokens": 0}
        level_both = str(self.cfg.kd_level) == "both"
        if level_both:
            logs |= divergence_logs(terms, options)
            if self.queue is not None and not found:
                # the other workers may have tokens to share
                window(self.queue, student, loss.new_zeros(0), self._updates.ignored)
        if found:
            asked, share = self.reference_options, weight * hypotheses.share
            if level_both:  # NLL + KL is twice their mean
                asked, share = replace(options, kd_weight=0.5), 2 * share
            asked, sources = replace(asked, label_smoothing=0.0), hypotheses.net_input(net_input)
            theirs = self.terms(student, sources, hypotheses.target, asked, hypotheses.row, share)
            loss = loss + theirs.loss.sum()
            logs |= {"seq_loss": theirs.nll.data.sum(), "seq_ntokens": theirs.nll.numel()}
            if theirs.kd is not None:
                logs |= divergence_logs(theirs, options)
        return terms, loss, logs

    def terms(
        self,
        student: Student,
        net_input: NetInput,
        target: Tensor,
        options: KdOptions,
        row: Tensor | None = None,
        sentence_weights: Tensor | None = None,
    ) -> ObjectiveTerms:
        """The objective on these targets; of the dense path its loss is per token, (N,).

        `target` (B, T) may be another one than that of the batch; then `row` (B,) says whose sources they have.
        """
        prefix = self.cfg.ignore_prefix_size
        output, *extra = student.outputs(net_input["prev_output_tokens"], row)  # (B, T, V or D)
        real = target[:, prefix:].ne(self.padding_idx)  # (B, T)  padding dies here: the losses only see real tokens
        output, gold = student.tokens(output, real, prefix), target[:, prefix:][real]  # (N, V or D), (N,)
        each = None if sentence_weights is None else sentence_weights.unsqueeze(-1).expand_as(real)[real]  # (N,)
        signal = self._teacher.signal(student, net_input, target, real, options) if options.kd_weight else None
        projection = student.projection
        log_q = output if projection else fairseq_io.log_probs(student.model, output, extra)
        look = self.look(student, log_q, gold, signal, options, real)
        predicts = self.cfg.report_accuracy or self.cfg.kd_passes > 1
        if projection:
            return kd_ls_from_features(
                output,
                projection,
                gold,
                signal,
                options,
                sentence_weights=each,
                look=look,
                accuracy=predicts,
                dropout_passes=student.dropout_passes,
            )
        assert not isinstance(signal, TeacherFeatures), "of the dense path it is a signal"
        weights, selected = (None, None) if look is None else (look.weights, look.selected)
        terms = dense_terms(log_q, gold, signal, options, weights, each, predicts, student.dropout_passes)
        return terms._replace(selected=selected)

    def look(
        self,
        student: Student,
        output: Tensor,
        gold: Tensor,
        signal: TeacherFeatures | Signal | None,
        options: KdOptions,
        real: Tensor,
    ) -> FirstLook | None:
        """What is known of the weights of N tokens before their loss; None where all are alike."""
        if signal is None or not options.statistics:
            return None
        compared = None if self.queue is None else partial(window, self.queue, student, ignored=self._updates.ignored)
        sentence = real.nonzero()[:, 0]
        return first_look(output, student.projection, gold, signal, options, sentence=sentence, window=compared)

    def per_position(self, loss: Tensor, target: Tensor) -> Tensor:
        """A loss per token (N,) as one per position, 0 at padding.   -> (B·T,)"""
        real = target[:, self.cfg.ignore_prefix_size :].ne(self.padding_idx)
        return torch.zeros_like(real, dtype=loss.dtype).masked_scatter(real, loss).view(-1)

    def projection(self, model: "FairseqEncoderDecoderModel") -> Projection | None:
        """The student's output projection if the loss can be taken from its features; else None, logged once."""
        found, reason = fairseq_io.output_projection(model), None
        if self.cfg.ddp_backend == "fully_sharded":
            reason = "--ddp-backend fully_sharded keeps the output projection in pieces"
        elif found is None:
            reason = "its decoder has no plain output projection"
        elif self.cfg.find_unused_parameters and not fairseq_io.tied_output(model):
            reason = "--find-unused-parameters takes an untied output projection for unused"
        if reason and not self._dense_reported:
            logger.info("the loss is taken from dense logits (%s): slower, and more memory", reason)
            self._dense_reported = True
        return None if reason or found is None else Projection(*found)

    reduce_metrics = staticmethod(reduce_metrics)  # fairseq calls it on the class

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Every log is a sum over tokens or sentences."""
        return True


def symbols_of(task: "FairseqTask") -> DictionaryPair | None:
    """Both dictionaries of a task and its languages, or None if it has no single language pair."""
    settings = task.cfg or task.args  # the latter of tasks that fairseq calls legacy
    langs = getattr(settings, "source_lang", None), getattr(settings, "target_lang", None)
    if None in langs:
        return None
    return DictionaryPair(*(list(words.symbols) for words in (task.source_dictionary, task.target_dictionary)), langs)
