"""The flags of `kd_ls` with their defaults, each stated here alone, and what follows from several of them.

The criterion's flags, the experiment's YAML and the objective's options read the defaults here. Torch is imported only
where a named option is read, so that a plan of an experiment is made without it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from lskd_nmt.losses.schedule import weight_schedule

if TYPE_CHECKING:
    from lskd_nmt.losses.divergences import NamedDivergence
    from lskd_nmt.losses.token_selection import NamedSelection

Tail = Literal["dense", "bucket", "uniform", "renormalise"]
SmoothingOver = Literal["others", "vocabulary"]
Temper = Literal["both", "teacher"]
VirtualTeacher = Literal["reg_power", "reg_prob_as_logit", "correct"]
Level = Literal["word", "sequence", "both"]
CpuProducts = Literal["float32", "bfloat16"]

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
# flags that are about a real teacher
REAL_TEACHER_FLAGS = ("teacher_path", "teacher_data", "teacher_store", "top_k", "tail", "temper", "hypotheses")


def default_tail(top_k: int, virtual: bool = False) -> Tail:
    """What becomes of the symbols outside of the top k where `--tail` is not given; with no top k there are none."""
    if virtual:
        return "uniform"
    return "bucket" if top_k else "dense"


@dataclass(frozen=True)
class Settings:
    """What a training's flags say, by their names; `docs/criterion.md` describes each.

    The last fields are of the training around the criterion; `None` where that is not known.
    """

    teacher_path: str | None = None
    teacher_data: str | None = None
    teacher_store: str | None = None
    kd_level: Level = "word"
    hypotheses: str | None = None
    hypotheses_drawn: int = 0  # of each sentence's at an update; 0: all
    temperature: float = 1.0
    kd_weight: float = 0.5
    kd_weight_schedule: str = "constant"
    kd_until_bleu: float | None = None
    label_smoothing: float = 0.0
    smoothing_over: SmoothingOver = "others"
    top_k: int = 0
    tail: Tail | None = None  # `default_tail` if not given
    divergence: str = "forward"
    select: str = "all"
    rank: int = 0
    virtual_teacher: VirtualTeacher | None = None
    virtual_share: float | None = None
    r_drop: float = 0.0
    self_evolution: str | None = None
    temper: Temper = "both"
    no_temperature_squared: bool = False
    kd_passes: int = 1
    on_policy: str | None = None
    cpu_products: CpuProducts = "float32"
    ignore_prefix_size: int = 0
    stored_top_k: int = 0  # the symbols that the teacher store keeps of each token, 0 for all of them
    max_update: int | None = None  # 0: unlimited
    ddp_backend: str | None = None
    measures_bleu: bool | None = None  # whether validation does
    best_checkpoint_metric: str | None = None  # empty if no checkpoint is chosen by validation

    @property
    def top_k_in_use(self) -> int:
        """How many symbols of each token are known of the teacher; of a virtual one it is the gold symbol, 0: all."""
        return 1 if self.virtual_teacher else self.top_k or self.stored_top_k

    @property
    def tail_in_use(self) -> Tail:
        """`--tail`, or its default."""
        return self.tail or default_tail(self.top_k_in_use, bool(self.virtual_teacher))

    @property
    def last_kd_weight(self) -> float:
        """Where the weight of the divergence ends; how many updates that takes has no say."""
        return weight_schedule(self.kd_weight_schedule, self.kd_weight, 1).end

    @property
    def distils(self) -> bool:
        """Whether the divergence has a weight above 0 at any update."""
        return self.kd_weight > 0 or self.last_kd_weight > 0

    @property
    def reads_teacher(self) -> bool:
        """Whether a teacher's probabilities are read, from a model or a store; a virtual one's are not."""
        return self.distils and self.kd_level != "sequence" and not self.virtual_teacher

    @cached_property
    def selection(self) -> "NamedSelection":
        """The selection that `--select` names."""
        from lskd_nmt.losses.token_selection import selection_named  # noqa: PLC0415

        return selection_named(self.select)

    @cached_property
    def named_divergence(self) -> "NamedDivergence":
        """The divergence that `--divergence` names."""
        from lskd_nmt.losses.divergences import divergence_named  # noqa: PLC0415

        return divergence_named(self.divergence)

    @property
    def own_output(self) -> str:
        """The flag that makes the student learn from its own output, as messages have it; empty without one."""
        flags = [f"--kd-passes is {self.kd_passes}"] if self.kd_passes > 1 else []
        flags += [f"--on-policy is {self.on_policy}"] if self.on_policy is not None else []
        return " and ".join(flags)

    @property
    def changing_weight(self) -> str:
        """The flag that changes the weight of the divergence during training, as messages have it; empty without."""
        if self.kd_weight_schedule != DEFAULTS.kd_weight_schedule:
            return f"--kd-weight-schedule is {self.kd_weight_schedule}"
        return "" if self.kd_until_bleu is None else f"--kd-until-bleu is {self.kd_until_bleu}"

    @property
    def unread_by_virtual(self) -> str:
        """The given flags that a virtual teacher would not read."""
        return given(self, REAL_TEACHER_FLAGS)

    @property
    def unread_by_sequence(self) -> str:
        """The given flags that are about a teacher's probabilities."""
        return given(self, WORD_FLAGS)


DEFAULTS = Settings()


def given(settings: Settings, names: Iterable[str]) -> str:
    """Those of the flags that are not at their defaults."""
    known = {field.name for field in fields(Settings)}
    changed = [name for name in names if name in known and getattr(settings, name) != getattr(DEFAULTS, name)]
    return ", ".join("--" + name.replace("_", "-") for name in changed)
