"""Which tokens are distilled, and the table of selections that `--select` knows.

A selection is a function of statistics of the batch's tokens (see `token_statistics`), of its parameters and, where it
remembers earlier batches, of a queue of losses. It says for each token how much of it is selected, from 0 to 1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lskd_nmt.losses import named_options
from lskd_nmt.losses.named_options import Parameter

# (N,) each, by the names in `token_statistics.STATISTICS`; `sentence`: the row of each; `window`: (M,) losses
TokenStatistics = Mapping[str, Tensor]


Within = Literal["token", "sentence", "batch"]  # of which tokens the statistics decide about a token


class TermWeights(NamedTuple):
    """The weights of the objective's two terms where they differ from token to token."""

    hard: Tensor  # (N,) in the place of 1-λ
    soft: Tensor  # (N,) in the place of λ
    prior: Tensor | None = None  # (N,) λ_t of self-evolution

    def rows(self, where: slice) -> "TermWeights":
        """Those of some tokens."""
        return TermWeights(self.hard[where], self.soft[where], None if self.prior is None else self.prior[where])


def hardest(losses: Tensor, share: float) -> Tensor:
    """The value that the largest `share` of the losses reach; above all of them where there is none.   (N,) -> ()"""
    count = math.ceil(share * losses.numel() - 1e-9)  # 0.07 · 100 is a little more than 7
    return losses.topk(count).values[-1] if count else losses.new_tensor(math.inf)


def batch(statistics: TokenStatistics, share: float) -> Tensor:
    """The tokens of the batch that the student finds hardest (Wang et al. 2021, batch level).   -> (N,) 0 or 1"""
    losses = statistics["student_nll"]
    return (losses >= hardest(losses, share)).to(losses.dtype)


def remembered(statistics: TokenStatistics, share: float, size: float) -> Tensor:
    """The tokens whose loss is among the largest of the last Q (Wang et al. 2021, global level).   -> (N,) 0 or 1

    The queue (`window`, of at most `size` losses or as many as the batch has) holds the batch's own losses already.
    """
    losses = statistics["student_nll"]
    return (losses >= hardest(statistics["window"], share)).to(losses.dtype)


def surplus(statistics: TokenStatistics) -> Tensor:
    """NLL_q - NLL_p, and 0 where both are infinite, as at a gold symbol that both models mask.   -> (N,)"""
    student, teacher = statistics["student_nll"], statistics["teacher_nll"]
    return torch.where(student == teacher, torch.zeros_like(student), student - teacher)


def hard_gate(statistics: TokenStatistics) -> Tensor:
    """1 where q[y] > p[y], else 0: where the student is surer than the teacher it is over-confident.   -> (N,)

    Lee et al. 2022, HKD-T; that confidence is the probability of the gold symbol, and at τ = 1, is our reading.
    """
    return (statistics["student_nll"] < statistics["teacher_nll"]).to(statistics["student_nll"].dtype)


def hard_gate_sentence(statistics: TokenStatistics) -> Tensor:
    """1 for all tokens of a sentence where Π q[y] > Π p[y], else 0.   -> (N,)

    Lee et al. 2022, HKD-S; that a sentence's confidence is its probability is our reading.
    """
    margin, row = -surplus(statistics), statistics["sentence"]
    rows = torch.zeros(int(row.max()) + 1 if row.numel() else 0, dtype=margin.dtype, device=margin.device)
    return (rows.index_add(0, row, margin) > 0).to(margin.dtype)[row]


def gap(statistics: TokenStatistics, sharpness: float) -> Tensor:
    """max(0, tanh(B·(NLL_q - NLL_p))): the more, the better the teacher is on the gold symbol.   -> (N,) 0 to 1

    The example of an unmerged pull request of fairseq (no. 4752) has the opposite sign: it distils where the student is
    the better one.
    """
    return (sharpness * surplus(statistics)).tanh().clamp(min=0)


@dataclass(frozen=True)
class Selection:
    """One entry of the table."""

    function: Callable[..., Tensor]  # (statistics, parameters…) -> (N,) from 0 to 1
    statistics: tuple[str, ...]  # what it has to know of each token
    parameters: tuple[Parameter, ...]
    hard_alone: bool  # tokens that are not selected learn the hard term alone, with weight 1; else it is 1-λ for all
    memory: bool = False  # its last parameter is how many losses its queue holds, which is the statistic `window`
    within: Within = "batch"  # what decides about a token: its own statistics, its sentence's or the whole batch's


def everything(statistics: TokenStatistics) -> Tensor:
    """No selection, where statistics were taken for something else.   -> (N,) of 1"""
    return torch.ones_like(next(iter(statistics.values())))


SHARE = Parameter("R", 0, 1, 0.5, high_included=True)
QUEUE = Parameter("Q", 0, 1_000_000, 30_000, high_included=True, whole=True)
SHARPNESS = Parameter("B", 0, 1000, 1, high_included=True)

SELECTIONS: dict[str, Selection] = {
    "all": Selection(everything, (), (), False),
    "batch": Selection(batch, ("student_nll",), (SHARE,), False),
    "global": Selection(remembered, ("student_nll",), (SHARE, QUEUE), False, memory=True),
    "hard-gate": Selection(hard_gate, ("student_nll", "teacher_nll"), (), True, within="token"),
    "hard-gate-sentence": Selection(hard_gate_sentence, ("student_nll", "teacher_nll"), (), True, within="sentence"),
    "gap": Selection(gap, ("student_nll", "teacher_nll"), (SHARPNESS,), True, within="token"),
}


@dataclass(frozen=True)
class NamedSelection:
    """A selection with its parameters, as `--select NAME[:PARAMETER…]` names it."""

    name: str
    entry: Selection
    parameters: tuple[float, ...]

    @property
    def memory(self) -> int:
        """How many losses its queue holds; 0 without one."""
        return int(self.parameters[-1]) if self.entry.memory else 0

    def weights(self, statistics: TokenStatistics, kd_weight: float) -> TermWeights:
        """Selected tokens learn (1-λ)·hard + λ·soft, the others (1-λ)·hard or the whole hard term.   -> (N,) each"""
        soft = kd_weight * self.entry.function(statistics, *self.parameters)
        return TermWeights(1 - soft if self.entry.hard_alone else torch.full_like(soft, 1 - kd_weight), soft)


def selection_table() -> dict[str, tuple[Parameter, ...]]:
    """The parameters of each selection."""
    return {name: entry.parameters for name, entry in SELECTIONS.items()}


def selection_forms() -> list[str]:
    """How each selection is written: `all`, `batch:R`."""
    return named_options.forms(selection_table())


def selection_named(text: str) -> NamedSelection:
    """`all`, `batch:0.5`; an unknown name or parameters out of range are one line."""
    name, parameters = named_options.named("--select", text, selection_table())
    return NamedSelection(name, SELECTIONS[name], parameters)
