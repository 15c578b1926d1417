"""The flags of `kd_ls`, and which of them do not go together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II

from lskd_nmt.errors import require
from lskd_nmt.losses.divergences import divergence_forms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.schedule import WEIGHT_FORMS, weight_schedule
from lskd_nmt.losses.token_selection import selection_forms, selection_named


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
    kd_level: ChoiceEnum(["word", "sequence", "both"]) = field(  # type: ignore[valid-type]
        default="word",
        metadata={
            "help": "what is distilled: the teacher's probabilities on the references (word), its translations "
            "(sequence), or its translations and its probabilities on them (both)"
        },
    )
    hypotheses: Optional[str] = field(
        default=None, metadata={"help": "the teacher's translations, which `lskd seqkd select` wrote"}
    )
    temperature: float = field(default=1.0, metadata={"help": "T of the divergence, above 0"})
    kd_weight: float = field(
        default=0.5, metadata={"help": "share of the divergence, from 0 (plain training, no teacher) to 1 (soft-only)"}
    )
    kd_weight_schedule: str = field(
        default="constant", metadata={"help": f"how --kd-weight changes over the updates: {WEIGHT_FORMS}"}
    )
    kd_until_bleu: Optional[float] = field(
        default=None,
        metadata={"help": "plain training while the student's validation BLEU is above this (needs --eval-bleu)"},
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
    divergence: str = field(
        default="forward", metadata={"help": "of the student from the teacher: " + ", ".join(divergence_forms())}
    )
    select: str = field(default="all", metadata={"help": "which tokens are distilled: " + ", ".join(selection_forms())})
    rank: int = field(
        default=0,
        metadata={"help": "add TIE-KD's ranking term over the K most probable symbols of teacher and student; 0: none"},
    )
    virtual_teacher: Optional[ChoiceEnum(["reg_power", "reg_prob_as_logit", "correct"])] = field(  # type: ignore[valid-type]
        default=None,
        metadata={
            "help": "no teacher model, but a share for the gold symbol and the rest spread evenly: Tf-KD_reg as its "
            "formula (reg_power) or its code (reg_prob_as_logit) has it, or LSR-OS-TC (correct)"
        },
    )
    virtual_share: Optional[float] = field(
        default=None,
        metadata={"help": "of the gold symbol, before T: 0.99 if not given, for correct 1/V (a uniform teacher)"},
    )
    r_drop: float = field(
        default=0.0,
        metadata={"help": "R-Drop: two passes with different dropout, and this times the divergence between them"},
    )
    self_evolution: Optional[str] = field(
        default=None,
        metadata={
            "help": "B:R: the harder one of the R hardest tokens is, the more of B times the gold symbol and 1-B "
            "times the teacher is mixed into the student before they are compared"
        },
    )
    temper: ChoiceEnum(["both", "teacher"]) = field(  # type: ignore[valid-type]
        default="both", metadata={"help": "whose logits are divided by T; of ttm and wttm it is always the teacher's"}
    )
    no_temperature_squared: bool = field(
        default=False,
        metadata={"help": "do not multiply the divergence by the square of T, or by T (tvd, ttm and wttm)"},
    )
    kd_passes: int = field(
        default=1,
        metadata={
            "help": "passes over which the divergence is averaged: from the second on, the prefixes are what the "
            "student found most probable in the pass before"
        },
    )
    on_policy: Optional[str] = field(
        default=None,
        metadata={
            "help": "share of the updates that distil on translations sampled from the student, without references: "
            "S, or S:E:UPDATES to go from S to E"
        },
    )
    report_accuracy: bool = field(default=False, metadata={"help": "report token accuracy"})
    ignore_prefix_size: int = field(default=0, metadata={"help": "ignore the first N target tokens"})
    sentence_avg: bool = II("optimization.sentence_avg")
    bf16: bool = II("common.bf16")  # to be done by autocast, see `precision`
    seed: int = II("common.seed")
    max_update: int = II("optimization.max_update")
    ddp_backend: str = II("distributed_training.ddp_backend")
    find_unused_parameters: bool = II("distributed_training.find_unused_parameters")


def options_of(cfg: KdLsConfig, stored: int = 0) -> KdOptions:
    """The objective's settings, checked; `stored` is the number of symbols that a teacher store keeps, 0 for all."""
    virtual = cfg.virtual_teacher and str(cfg.virtual_teacher)
    top_k = 1 if virtual else cfg.top_k or stored
    require(not stored or top_k <= stored, f"--top-k is {top_k}, and the teacher store keeps {stored}: give no more")
    require(
        str(cfg.ddp_backend) != "fully_sharded" or not selection_named(cfg.select).memory,
        f"--select is {cfg.select} and --ddp-backend is fully_sharded, which cannot hold its queue: "
        "use another backend, or batch:R",
    )
    return KdOptions(
        temperature=cfg.temperature,
        kd_weight=cfg.kd_weight or last_weight(cfg),  # one that it has at some update
        label_smoothing=cfg.label_smoothing,
        smoothing_over=str(cfg.smoothing_over),  # type: ignore[arg-type]
        temper=str(cfg.temper),  # type: ignore[arg-type]
        temperature_squared=not cfg.no_temperature_squared,
        tail=str(cfg.tail or ("uniform" if virtual else "bucket" if top_k else "dense")),  # type: ignore[arg-type]
        top_k=top_k,
        divergence=cfg.divergence,
        select=cfg.select,
        rank=cfg.rank,
        virtual_teacher=virtual,  # type: ignore[arg-type]
        virtual_share=cfg.virtual_share,
        r_drop=cfg.r_drop,
        self_evolution=cfg.self_evolution or "",
    )


def reads_teacher(cfg: KdLsConfig) -> bool:
    """Whether a teacher, or what stands for one on disk, is read; a virtual one is not."""
    return options_of(cfg).kd_weight > 0 and str(cfg.kd_level) != "sequence" and not cfg.virtual_teacher


def distils(cfg: KdLsConfig) -> bool:
    """Whether the divergence has a weight above 0 at any update."""
    return cfg.kd_weight > 0 or last_weight(cfg) > 0


def last_weight(cfg: KdLsConfig) -> float:
    """Where the weight of the divergence ends."""
    return weight_schedule(cfg.kd_weight_schedule, cfg.kd_weight, 1).end


# flags that say how a teacher's probabilities are distilled
WORD_FLAGS = (
    "teacher_path",
    "teacher_data",
    "teacher_store",
    "temperature",
    "top_k",
    "tail",
    "temper",
    "no_temperature_squared",
    "divergence",
    "select",
    "rank",
    "virtual_teacher",
    "virtual_share",
    "self_evolution",
    "kd_passes",
    "on_policy",
)
NOT_VIRTUAL = ("teacher_path", "teacher_data", "teacher_store", "top_k", "tail", "temper", "hypotheses")


def given(cfg: KdLsConfig, names: Iterable[str]) -> str:
    """Those of the flags that are not at their defaults."""
    defaults = KdLsConfig()
    changed = [name for name in names if str(getattr(cfg, name)) != str(getattr(defaults, name))]
    return ", ".join("--" + name.replace("_", "-") for name in changed)


def check_virtual(cfg: KdLsConfig) -> None:
    """Refuse flags that a virtual teacher would not read."""
    kind, level = cfg.virtual_teacher, str(cfg.kd_level)
    share = cfg.virtual_share
    require(
        bool(kind) or share is None,
        f"--virtual-share is {share} and --virtual-teacher is not given: name one, or leave it out",
    )
    if not kind:
        return
    unread = given(cfg, NOT_VIRTUAL)
    require(not unread, f"--virtual-teacher {kind} does not read {unread}: leave one of them out")
    require(level == "word", f"--virtual-teacher {kind} is for --kd-level word, not {level}: leave one of them out")
    require(distils(cfg), f"--virtual-teacher is {kind} and --kd-weight is 0: give a weight, or leave it out")


def check_level(cfg: KdLsConfig) -> None:
    """Refuse flags that the level of distillation would not read."""
    prefix = cfg.ignore_prefix_size
    require(prefix >= 0, f"--ignore-prefix-size is {prefix}: give 0 (all target tokens count) or more")
    check_virtual(cfg)
    level = str(cfg.kd_level)
    evolution = cfg.self_evolution
    require(
        not evolution or distils(cfg),
        f"--self-evolution is {evolution} and --kd-weight is 0: give a weight, or leave it out",
    )
    require(
        not cfg.r_drop or level == "word",
        f"--r-drop is {cfg.r_drop:g} and --kd-level is {level}: it is for word, leave one of them out",
    )
    if level == "word":
        require(
            not cfg.hypotheses,
            f"--hypotheses {cfg.hypotheses} is given and --kd-level is word: use --kd-level sequence or both",
        )
        return
    require(
        bool(cfg.hypotheses),
        f"--kd-level is {level} and --hypotheses is not given: name a folder that lskd seqkd select wrote",
    )
    require(
        level == "sequence" or not selection_named(cfg.select).entry.hard_alone,
        f"--select is {cfg.select}, which chooses between the reference and the teacher at each token, and "
        "--kd-level is both: use --kd-level word, batch:R or global:R:Q",
    )
    require(distils(cfg), f"--kd-level is {level} and --kd-weight is 0: give a weight, or leave the level out")
    unread = given(cfg, WORD_FLAGS)
    require(
        level == "both" or not unread,
        f"--kd-level is sequence and does not read {unread}: remove it, or "
        "use --kd-level both (lskd seqkd decode --sampling has a temperature)",
    )
