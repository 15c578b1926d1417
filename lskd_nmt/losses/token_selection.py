"""Which tokens are distilled, and the table of selections that `--select` knows.

A selection is a function of what a first look at the batch (`survey`) found, of its parameters, and, where it
remembers earlier batches, of a queue of losses. It says for each token how much of it is selected, from 0 to 1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lskd_nmt.errors import require
from lskd_nmt.losses.gates import Facts, gap, hard_gate, hard_gate_sentence


class TokenWeights(NamedTuple):
    """The weights of the objective's two terms where they differ from token to token."""

    hard: Tensor  # (N,) in the place of 1-λ
    soft: Tensor  # (N,) in the place of λ
    prior: Tensor | None = None  # (N,) λ_t of self-evolution

    def rows(self, where: slice) -> "TokenWeights":
        """Those of some tokens."""
        return TokenWeights(self.hard[where], self.soft[where], None if self.prior is None else self.prior[where])


def hardest(losses: Tensor, share: float) -> Tensor:
    """The value that the largest `share` of the losses reach; above all of them where there is none.   (N,) -> ()"""
    count = math.ceil(share * losses.numel() - 1e-9)  # 0.07 · 100 is a little more than 7
    return losses.topk(count).values[-1] if count else losses.new_tensor(math.inf)


def batch(facts: Facts, share: float) -> Tensor:
    """The tokens of the batch that the student finds hardest (Wang et al. 2021, batch level).   -> (N,) 0 or 1"""
    losses = facts["student_nll"]
    return (losses >= hardest(losses, share)).to(losses.dtype)


def remembered(facts: Facts, share: float, size: float) -> Tensor:
    """The tokens whose loss is among the largest of the last Q (Wang et al. 2021, global level).   -> (N,) 0 or 1

    The queue (`window`, of at most `size` losses or as many as the batch has) holds the batch's own losses already.
    """
    losses = facts["student_nll"]
    return (losses >= hardest(facts["window"], share)).to(losses.dtype)


@dataclass(frozen=True)
class Selection:
    """One entry of the table."""

    function: Callable[..., Tensor]  # (facts, parameters…) -> (N,) from 0 to 1
    facts: tuple[str, ...]  # what it asks of the survey
    parameters: Mapping[str, tuple[float, float]]  # by name, each between two bounds, the upper one included
    hard_alone: bool  # tokens that are not selected learn the hard term alone, with weight 1; else it is 1-λ for all
    memory: bool = False  # its last parameter, a whole number, is the losses in its queue, which is the fact `window`


def everything(facts: Facts) -> Tensor:
    """No selection: a survey was taken for something else.   -> (N,) of 1"""
    return torch.ones_like(next(iter(facts.values())))


SELECTIONS: dict[str, Selection] = {
    "all": Selection(everything, (), {}, False),
    "batch": Selection(batch, ("student_nll",), {"R": (0, 1)}, False),
    "global": Selection(remembered, ("student_nll",), {"R": (0, 1), "Q": (0, 1_000_000)}, False, memory=True),
    "hard-gate": Selection(hard_gate, ("student_nll", "teacher_nll"), {}, True),
    "hard-gate-sentence": Selection(hard_gate_sentence, ("student_nll", "teacher_nll"), {}, True),
    "gap": Selection(gap, ("student_nll", "teacher_nll"), {"B": (0, 1000)}, True),
}


@dataclass(frozen=True)
class ChosenSelection:
    """A selection with its parameters, as `--select NAME[:PARAMETER…]` names it."""

    name: str
    entry: Selection
    parameters: tuple[float, ...]

    @property
    def memory(self) -> int:
        """How many losses its queue holds; 0 without one."""
        return int(self.parameters[-1]) if self.entry.memory else 0

    def weights(self, facts: Facts, kd_weight: float) -> TokenWeights:
        """Selected tokens learn (1-λ)·hard + λ·soft, the others (1-λ)·hard or the whole hard term.   -> (N,) each"""
        soft = kd_weight * self.entry.function(facts, *self.parameters)
        return TokenWeights(1 - soft if self.entry.hard_alone else torch.full_like(soft, 1 - kd_weight), soft)


def form(name: str) -> str:
    """How a selection is written: `batch:R`."""
    return ":".join([name, *SELECTIONS[name].parameters])


def selection_forms() -> list[str]:
    """How each selection is written."""
    return [form(name) for name in SELECTIONS]


def selection_named(text: str) -> ChosenSelection:
    """`all`, `batch:0.5`; an unknown name or parameters out of range are one line."""
    name, *values = text.split(":")
    require(name in SELECTIONS, f"--select is {text}: give one of {', '.join(selection_forms())}")
    bounds = SELECTIONS[name].parameters
    ranges = ", ".join(f"{letter} above {low:g} and at most {high:.9g}" for letter, (low, high) in bounds.items())
    whole = " and whole" if SELECTIONS[name].memory else ""
    advice = f"give {form(name)}" + (f" with {ranges}{whole}" if ranges else "")
    require(len(values) == len(bounds), f"--select is {text}: {advice}")
    parameters = []
    for value, (low, high) in zip(values, bounds.values(), strict=True):
        try:
            parameters.append(float(value))
        except ValueError:
            parameters.append(math.nan)
        require(low < parameters[-1] <= high, f"--select is {text}: {advice}")
    require(not whole or parameters[-1].is_integer(), f"--select is {text}: {advice}")
    return ChosenSelection(name, SELECTIONS[name], tuple(parameters))
