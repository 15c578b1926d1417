"""The flags of `kd_ls` for fairseq's parser, and the settings and options of the losses that they stand for."""

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Optional, get_args

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from lskd_nmt.losses.compatibility import STORE
from lskd_nmt.losses.divergences import divergence_forms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.rule import require_compatible
from lskd_nmt.losses.schedule import WEIGHT_FORMS
from lskd_nmt.losses.settings import DEFAULTS, CpuProducts, Level, Settings, SmoothingOver, Tail, Temper, VirtualTeacher
from lskd_nmt.losses.token_selection import selection_forms


@dataclass
class KdLsConfig(FairseqDataclass):
    """The flags of `kd_ls`, in fairseq's form; their defaults are those of `losses.settings`."""

    teacher_path: Optional[str] = field(
        default=DEFAULTS.teacher_path,
        metadata={"help": "teacher checkpoint; several, colon-separated, are averaged as an ensemble"},
    )
    teacher_data: Optional[str] = field(
        default=DEFAULTS.teacher_data,
        metadata={"help": "folder with the teacher's dict.LANG.txt files, if its checkpoint does not hold the symbols"},
    )
    teacher_store: Optional[str] = field(
        default=DEFAULTS.teacher_store,
        metadata={"help": "what `lskd teacher-store` wrote, instead of a teacher: none is loaded then"},
    )
    kd_level: ChoiceEnum(get_args(Level)) = field(  # type: ignore[valid-type]
        default=DEFAULTS.kd_level,
        metadata={
            "help": "what is distilled: the teacher's probabilities on the references (word), its translations "
            "(sequence), or its translations and its probabilities on them (both)"
        },
    )
    hypotheses: Optional[str] = field(
        default=DEFAULTS.hypotheses, metadata={"help": "the teacher's translations, which `lskd seqkd select` wrote"}
    )
    hypotheses_drawn: int = field(
        default=DEFAULTS.hypotheses_drawn,
        metadata={"help": "learn N of each sentence's hypotheses at each update, drawn at random; 0: all of them"},
    )
    temperature: float = field(default=DEFAULTS.temperature, metadata={"help": "T of the divergence, above 0"})
    kd_weight: float = field(
        default=DEFAULTS.kd_weight,
        metadata={"help": "share of the divergence, from 0 (plain training, no teacher) to 1 (soft-only)"},
    )
    kd_weight_schedule: str = field(
        default=DEFAULTS.kd_weight_schedule,
        metadata={"help": f"how --kd-weight changes over the updates: {WEIGHT_FORMS}"},
    )
    kd_until_bleu: Optional[float] = field(
        default=DEFAULTS.kd_until_bleu,
        metadata={"help": "plain training while the student's validation BLEU is above this (needs --eval-bleu)"},
    )
    label_smoothing: float = field(
        default=DEFAULTS.label_smoothing, metadata={"help": "epsilon of the student's own hard term, 0 is one-hot"}
    )
    smoothing_over: ChoiceEnum(get_args(SmoothingOver)) = field(  # type: ignore[valid-type]
        default=DEFAULTS.smoothing_over,
        metadata={"help": "who shares epsilon: all other symbols (fairseq >= 0.10) or the whole vocabulary (2019)"},
    )
    top_k: int = field(
        default=DEFAULTS.top_k,
        metadata={"help": "keep the teacher's K most probable symbols of each token, 0 keeps all of them"},
    )
    tail: Optional[ChoiceEnum(get_args(Tail))] = field(  # type: ignore[valid-type]
        default=DEFAULTS.tail,
        metadata={
            "help": "what becomes of symbols outside of the top k: one event (bucket, the default there), spread "
            "evenly (uniform), or nothing (renormalise); dense, the default otherwise, has no such symbols"
        },
    )
    divergence: str = field(
        default=DEFAULTS.divergence,
        metadata={"help": "of the student from the teacher: " + ", ".join(divergence_forms())},
    )
    select: str = field(
        default=DEFAULTS.select, metadata={"help": "which tokens are distilled: " + ", ".join(selection_forms())}
    )
    rank: int = field(
        default=DEFAULTS.rank,
        metadata={"help": "add TIE-KD's ranking term over the K most probable symbols of teacher and student; 0: none"},
    )
    virtual_teacher: Optional[ChoiceEnum(get_args(VirtualTeacher))] = field(  # type: ignore[valid-type]
        default=DEFAULTS.virtual_teacher,
        metadata={
            "help": "no teacher model, but a share for the gold symbol and the rest spread evenly: Tf-KD_reg as its "
            "formula (reg_power) or its code (reg_prob_as_logit) has it, or LSR-OS-TC (correct)"
        },
    )
    virtual_share: Optional[float] = field(
        default=DEFAULTS.virtual_share,
        metadata={"help": "of the gold symbol, before T: 0.99 if not given, for correct 1/V (a uniform teacher)"},
    )
    r_drop: float = field(
        default=DEFAULTS.r_drop,
        metadata={"help": "R-Drop: two passes with different dropout, and this times the divergence between them"},
    )
    self_evolution: Optional[str] = field(
        default=DEFAULTS.self_evolution,
        metadata={
            "help": "B:R: the harder one of the R hardest tokens is, the more of B times the gold symbol and 1-B "
            "times the teacher is mixed into the student before they are compared"
        },
    )
    temper: ChoiceEnum(get_args(Temper)) = field(  # type: ignore[valid-type]
        default=DEFAULTS.temper,
        metadata={"help": "whose logits are divided by T; of ttm and wttm it is always the teacher's"},
    )
    no_temperature_squared: bool = field(
        default=DEFAULTS.no_temperature_squared,
        metadata={"help": "do not multiply the divergence by the square of T, or by T (tvd, ttm and wttm)"},
    )
    kd_passes: int = field(
        default=DEFAULTS.kd_passes,
        metadata={
            "help": "passes over which the divergence is averaged: from the second on, the prefixes are what the "
            "student found most probable in the pass before"
        },
    )
    on_policy: Optional[str] = field(
        default=DEFAULTS.on_policy,
        metadata={
            "help": "share of the updates that distil on translations sampled from the student, without references: "
            "S, or S:E:UPDATES to go from S to E"
        },
    )
    cpu_products: ChoiceEnum(get_args(CpuProducts)) = field(  # type: ignore[valid-type]
        default=DEFAULTS.cpu_products,
        metadata={
            "help": "type of the loss's matrix products on a CPU: with bfloat16 its gradients are rounded, and on a "
            "processor with AMX what makes its logits; elsewhere it has no effect"
        },
    )
    report_accuracy: bool = field(default=False, metadata={"help": "report token accuracy"})
    ignore_prefix_size: int = field(
        default=DEFAULTS.ignore_prefix_size, metadata={"help": "ignore the first N target tokens"}
    )
    sentence_avg: bool = II("optimization.sentence_avg")
    bf16: bool = II("common.bf16")  # to be done by autocast, see `precision`
    seed: int = II("common.seed")
    max_update: int = II("optimization.max_update")
    ddp_backend: str = II("distributed_training.ddp_backend")
    find_unused_parameters: bool = II("distributed_training.find_unused_parameters")


def settings_of(
    cfg: KdLsConfig,
    *,
    stored_top_k: int = 0,
    measures_bleu: bool | None = None,
    best_checkpoint_metric: str | None = None,
) -> Settings:
    """What the flags say, as the rules of `losses.compatibility` ask it; what fairseq has as an enum is text there.

    `cfg` may also be the namespace of fairseq's parser. The other arguments are fields of `Settings` that no flag says.
    """
    names = {each.name for each in fields(Settings)} & {each.name for each in fields(KdLsConfig)}
    values = {name: getattr(cfg, name) for name in names}
    return Settings(
        **{name: str(value) if isinstance(value, Enum) else value for name, value in values.items()},
        stored_top_k=stored_top_k,
        measures_bleu=measures_bleu,
        best_checkpoint_metric=best_checkpoint_metric,
    )


def options_of(cfg: KdLsConfig, stored_top_k: int = 0) -> KdOptions:
    """The options of the losses, checked; `stored_top_k` is how many symbols a teacher store keeps, 0 for all."""
    settings = settings_of(cfg, stored_top_k=stored_top_k)
    require_compatible(STORE, settings)
    return KdOptions(
        temperature=settings.temperature,
        kd_weight=settings.kd_weight or settings.last_kd_weight,  # one that it has at some update
        label_smoothing=settings.label_smoothing,
        smoothing_over=settings.smoothing_over,
        temper=settings.temper,
        temperature_squared=not settings.no_temperature_squared,
        tail=settings.tail_in_use,
        top_k=settings.top_k_in_use,
        divergence=settings.divergence,
        select=settings.select,
        rank=settings.rank,
        virtual_teacher=settings.virtual_teacher,
        virtual_share=settings.virtual_share,
        r_drop=settings.r_drop,
        self_evolution=settings.self_evolution or "",
        cpu_products=settings.cpu_products,
    )


def reads_teacher(cfg: KdLsConfig) -> bool:
    """Whether a teacher, or what stands for one on disk, is read; a virtual one is not."""
    return settings_of(cfg).reads_teacher
