"""The settings of the `kd_ls` objective, each checked by itself and with the others."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

from lskd_nmt.errors import LskdError, require
from lskd_nmt.losses.compatibility import OBJECTIVE, TAIL_AND_TOP_K
from lskd_nmt.losses.divergences import NamedDivergence, divergence_named
from lskd_nmt.losses.rule import complaints as broken
from lskd_nmt.losses.self_evolution import Evolution, evolution_named
from lskd_nmt.losses.settings import DEFAULTS, CpuProducts, Settings, SmoothingOver, Tail, Temper, VirtualTeacher
from lskd_nmt.losses.token_selection import NamedSelection, Within, selection_named

# A teacher's logits of 8 to 16 nats are 1e-6 apart in float32: over 1e-3, one such step changes a probability by a
# thousandth, and below that the order of symbols that nearly tie would be made of rounding.
COLDEST = 1e-3
# log p of 3,000 symbols and more is below -8, and so 1e-6 apart as well: over 1e5, one nat between two logits is ten
# such steps, and above that what the student learns would be made of rounding.
HOTTEST = 1e5
MOST_R_DROP = 1000.0  # R-Drop's authors have up to 5; gradients in half precision are scaled to this


def temperature_fault(temperature: float) -> str:
    """What is wrong with a temperature, and what would do; nothing if it is right."""
    if COLDEST <= temperature <= HOTTEST:
        return ""
    return f"give a finite number above 0, from {COLDEST:g} to {HOTTEST:g}"


@dataclass(frozen=True)
class KdOptions:
    """The objective's settings; all complaints about them are raised at once, as one `LskdError`."""

    temperature: float = DEFAULTS.temperature
    kd_weight: float = DEFAULTS.kd_weight
    label_smoothing: float = DEFAULTS.label_smoothing
    smoothing_over: SmoothingOver = DEFAULTS.smoothing_over
    temper: Temper = DEFAULTS.temper
    temperature_squared: bool = not DEFAULTS.no_temperature_squared
    tail: Tail = DEFAULTS.tail_in_use
    top_k: int = DEFAULTS.top_k
    divergence: str = DEFAULTS.divergence  # NAME or NAME:PARAMETER
    select: str = DEFAULTS.select  # NAME or NAME:PARAMETER…
    rank: int = DEFAULTS.rank
    virtual_teacher: VirtualTeacher | None = DEFAULTS.virtual_teacher
    virtual_share: float | None = DEFAULTS.virtual_share
    r_drop: float = DEFAULTS.r_drop  # of two passes, in training
    self_evolution: str = DEFAULTS.self_evolution or ""  # B:R, or nothing
    cpu_products: CpuProducts = DEFAULTS.cpu_products  # of float32 matrices, in the fused path

    def __post_init__(self) -> None:
        complaints = []
        if fault := temperature_fault(self.temperature):
            complaints.append(f"--temperature is {self.temperature}: {fault}")
        if not 0 <= self.kd_weight <= 1:
            complaints.append(f"--kd-weight is {self.kd_weight}: give a number from 0 (no teacher) to 1 (soft-only)")
        if not 0 <= self.label_smoothing < 1:
            complaints.append(f"--label-smoothing is {self.label_smoothing}: give a number from 0 to below 1")
        if self.smoothing_over not in get_args(SmoothingOver):
            complaints.append(f"--smoothing-over is {self.smoothing_over}: give one of {get_args(SmoothingOver)}")
        if self.temper not in get_args(Temper):
            complaints.append(f"--temper is {self.temper}: give one of {get_args(Temper)}")
        if self.tail not in get_args(Tail):
            complaints.append(f"--tail is {self.tail}: give one of {get_args(Tail)}")
        elif self.top_k < 0:
            complaints.append(f"--top-k is {self.top_k}: give a number of symbols, or 0 for all of them")
        else:
            complaints += broken([TAIL_AND_TOP_K], replace(self.settings, virtual_teacher=None))
        complaints += self.out_of_range()
        for named in ("named_divergence", "selection", "evolution"):
            try:
                getattr(self, named)
            except LskdError as error:
                complaints.append(str(error))
        if not complaints:
            complaints = broken(OBJECTIVE, self.settings)
        if complaints:
            raise LskdError("; ".join(complaints))

    def out_of_range(self) -> list[str]:
        """What is wrong by itself with the settings of single methods."""
        complaints = []
        if self.rank < 0:
            complaints.append(f"--rank is {self.rank}: give a number of symbols, or 0 for no ranking term")
        if self.virtual_teacher not in (None, *get_args(VirtualTeacher)):
            complaints.append(f"--virtual-teacher is {self.virtual_teacher}: give one of {get_args(VirtualTeacher)}")
        if self.virtual_share is not None and not 0 < self.virtual_share < 1:
            complaints.append(f"--virtual-share is {self.virtual_share}: give a number above 0 and below 1")
        if self.cpu_products not in get_args(CpuProducts):
            complaints.append(f"--cpu-products is {self.cpu_products}: give one of {get_args(CpuProducts)}")
        if not 0 <= self.r_drop <= MOST_R_DROP:
            complaints.append(
                f"--r-drop is {self.r_drop}: give a number above 0, or 0 for one pass, and at most {MOST_R_DROP:g}"
            )
        return complaints

    def require_symbols(self, symbols: int) -> None:
        """Refuse more symbols than the dictionary has, of which V is the number."""
        for flag, wanted in (("top-k", self.top_k), ("rank", self.rank)):
            require(wanted <= symbols, f"--{flag} is {wanted}, and the dictionary has {symbols} symbols: give no more")

    @property
    def settings(self) -> Settings:
        """The flags that these options stand for, as the rules of `compatibility` ask them."""
        return Settings(
            temperature=self.temperature,
            kd_weight=self.kd_weight,
            label_smoothing=self.label_smoothing,
            smoothing_over=self.smoothing_over,
            top_k=self.top_k,
            tail=self.tail,
            divergence=self.divergence,
            select=self.select,
            rank=self.rank,
            virtual_teacher=self.virtual_teacher,
            virtual_share=self.virtual_share,
            r_drop=self.r_drop,
            self_evolution=self.self_evolution,
            temper=self.temper,
            no_temperature_squared=not self.temperature_squared,
            cpu_products=self.cpu_products,
        )

    @cached_property
    def named_divergence(self) -> NamedDivergence:
        """The divergence that is named."""
        return divergence_named(self.divergence)

    @cached_property
    def selection(self) -> NamedSelection:
        """The selection of tokens that is named."""
        return selection_named(self.select)

    @cached_property
    def evolution(self) -> Evolution | None:
        """Self-evolution, if it is wanted."""
        return evolution_named(self.self_evolution) if self.self_evolution else None

    @property
    def statistics(self) -> tuple[str, ...]:
        """What has to be known of each token before the loss is taken, by the names of `token_statistics`."""
        found = [*self.selection.entry.statistics, *self.named_divergence.entry.statistics]
        return tuple(dict.fromkeys([*found, "difficulty"] if self.evolution else found))

    @property
    def weighed_within(self) -> Within:
        """Of which tokens the statistics decide about a token's weights: its own, its sentence's or the batch's."""
        alone = self.named_divergence.entry.weight is None and self.evolution is None
        return self.selection.entry.within if alone else "batch"

    @property
    def student_temperature(self) -> float:
        """What the student's logits are divided by in the divergence."""
        if self.virtual_teacher == "reg_prob_as_logit":
            return 1.0
        return self.temperature if (self.named_divergence.entry.temper or self.temper) == "both" else 1.0

    @property
    def balance(self) -> float:
        """What the divergence is multiplied by beside its weight: τ², or what the divergence has in its place.

        ∂KL(p(τ)‖q(τ))/∂z falls as 1/τ², so the square keeps the two terms in balance (Hinton et al. 2015).
        """
        return self.temperature**self.named_divergence.entry.order if self.temperature_squared else 1.0

    @property
    def kd_scale(self) -> float:
        """λ·τ², or λ without the square."""
        return self.kd_weight * self.balance
