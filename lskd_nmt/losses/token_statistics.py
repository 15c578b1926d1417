"""What a selection, a divergence or self-evolution has to know of a batch's tokens before the loss is taken.

It is taken without gradients. From features it costs the output projection of each model that a statistic is about;
`first_look` keeps what it made for the loss, as far as its memory allows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lskd_nmt.losses.divergences import tempered
from lskd_nmt.losses.first_look import KEPT_CHUNKS, FirstLook, Seen, pieces_of, whole_sentences
from lskd_nmt.losses.fused import chunk_size, work_dtype
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, dense_rows, logits
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.products import matrix_products
from lskd_nmt.losses.signals import Signal, TopK
from lskd_nmt.losses.smoothing import negative_log_likelihood
from lskd_nmt.losses.token_selection import TermWeights, TokenStatistics


def difficulty(log_q: Tensor, log_p: Tensor, target: Tensor, options: KdOptions) -> Tensor:
    """What self-evolution calls so, at the temperatures of the divergence, in nats.   (C, V), (C, V), (C,) -> (C,)"""
    assert options.evolution is not None
    log_p, log_q = (
        each if temperature == 1 else tempered(each, temperature)
        for each, temperature in ((log_p, options.temperature), (log_q, options.student_temperature))
    )
    return options.evolution.difficulty(log_p, log_q, target)


@dataclass(frozen=True)
class Statistic:
    """One entry of the table: a number for each token."""

    asks_teacher: bool  # all of its log-probabilities: a top k has none of it
    function: Callable[[Tensor, Tensor, Tensor, KdOptions], Tensor]  # log q, log p at τ = 1, targets -> (C,)
    asks_student: bool = True  # False: its function does not read log q


STATISTICS: dict[str, Statistic] = {
    "student_nll": Statistic(False, lambda log_q, log_p, target, options: negative_log_likelihood(log_q, target)),
    "teacher_nll": Statistic(True, lambda log_q, log_p, target, options: negative_log_likelihood(log_p, target), False),
    "teacher_log_power": Statistic(
        True, lambda log_q, log_p, target, options: log_power(log_p, options.temperature), False
    ),
    "difficulty": Statistic(True, difficulty),
}


def log_power(log_p: Tensor, temperature: float) -> Tensor:
    """log Σ_v p_v^(1/τ), from which `wttm` weighs tokens.   (C, V) -> (C,)"""
    return (log_p / temperature).logsumexp(-1)


@dataclass(frozen=True)
class Models:
    """Student and teacher of N tokens: features (N, D) and a projection, or (N, V) log q and None."""

    student: Tensor
    projection: Projection | None
    teacher: TeacherFeatures | Signal | None

    @property
    def wide(self) -> torch.dtype:
        """What statistics are in: float32 at least."""
        return torch.promote_types(self.student.dtype, torch.float32)

    @property
    def symbols(self) -> int:
        """The size V of the vocabulary."""
        return self.student.size(-1) if self.projection is None else self.projection.weight.size(0)

    def asked(self, names: Sequence[str]) -> "Models":
        """The same in the types that matrices are multiplied in, without a teacher that no statistic asks."""
        asks_teacher = any(STATISTICS[name].asks_teacher for name in names)
        assert not (asks_teacher and (self.teacher is None or isinstance(self.teacher, TopK))), "options refuse this"
        teacher = self.teacher if asks_teacher else None
        if self.projection is None:
            return Models(self.student, None, teacher)
        work, (weight, bias) = work_dtype(self.student), self.projection
        return Models(self.student.to(work), Projection(weight.to(work), bias), teacher)

    def seen(self, where: slice, student: bool) -> Seen:
        """Some of the tokens at τ = 1, in tensors of their own; without the `student` if it is not wanted."""
        log_q = None
        if student and self.projection is not None:
            log_q = logits(self.student[where], *self.projection).log_softmax(-1)
        elif student:
            log_q = self.student[where].to(self.wide)
        assert not isinstance(self.teacher, TopK)
        return Seen(log_q, None if self.teacher is None else dense_rows(self.teacher, where))


def of_chunk(names: Sequence[str], seen: Seen, target: Tensor, options: KdOptions) -> dict[str, Tensor]:
    """The named statistics of C tokens.   (C,) -> (C,) each"""
    log_p = None if seen.signal is None else seen.signal.log_probs
    both = [given for given in (seen.log_q, log_p) if given is not None]
    return {name: STATISTICS[name].function(both[0], both[-1], target, options) for name in names}


def of_pieces(
    names: Sequence[str], models: Models, target: Tensor, options: KdOptions, pieces: Sequence[slice], kept: int
) -> tuple[dict[str, Tensor], dict[int, Seen]]:
    """The named statistics of N tokens, (N,) each, and the first pieces that they are from: `kept` numbers in all."""
    models, student = models.asked(names), any(STATISTICS[name].asks_student for name in names)
    found = {name: torch.zeros(target.numel(), dtype=models.wide, device=target.device) for name in names}
    held = dict[int, Seen]()
    for where in pieces:
        with torch.autocast(target.device.type, enabled=False):  # as the loss is taken
            seen = models.seen(where, student)
            values = of_chunk(names, seen, target[where], options)
        for name in names:
            found[name][where] = values[name]
        if seen.elements <= kept:
            held[where.start], kept = seen, kept - seen.elements
    return found, held


@torch.no_grad()
@matrix_products()
def token_statistics(
    names: Sequence[str],
    student: Tensor,
    projection: Projection | None,
    target: Tensor,
    teacher: TeacherFeatures | Signal | None,
    options: KdOptions,
    chunk: int = 0,
) -> dict[str, Tensor]:
    """The named statistics of N tokens.   (N, D) and a projection, or (N, V) log q without one -> (N,) each"""
    models = Models(student, projection, teacher)
    pieces = pieces_of(target.numel(), chunk or chunk_size(models.symbols, student.device.type))
    return of_pieces(names, models, target, options, pieces, kept=0)[0]


@torch.no_grad()
def first_look(
    student: Tensor,
    projection: Projection | None,
    target: Tensor,
    teacher: TeacherFeatures | Signal,
    options: KdOptions,
    *,
    sentence: Tensor | None = None,
    window: Callable[[Tensor], Tensor] | None = None,
    chunk: int = 0,
    kept_chunks: int = KEPT_CHUNKS,
) -> FirstLook:
    """What the loss has to know of the weights of N tokens; of log q, without a projection, it keeps nothing.

    `sentence` (N,) is the row of each token, for a selection by sentence; `window` makes of the tokens' losses those
    that they are compared with, for one with memory. Log-probabilities of the size of `kept_chunks` may be kept.
    """
    models, names = Models(student, projection, teacher), options.statistics
    device, within = student.device, options.weighed_within
    size = chunk or chunk_size(models.symbols, device.type)
    pieces: list[slice] | None = pieces_of(target.numel(), size)
    if within == "sentence":
        assert sentence is not None, "it selects by sentence"
        pieces = whole_sentences(sentence, size)
    if projection is None or within == "batch" or pieces is None:
        pieces = pieces_of(target.numel(), size)
        kept = 0 if projection is None else kept_chunks * size * models.symbols
        statistics, held = of_pieces(names, models, target, options, pieces, kept)
        weights, selected = weighed(statistics, options, sentence, window)
        return FirstLook(weights, selected, pieces, kept=held)
    weights = TermWeights(*torch.zeros(2, target.numel(), dtype=models.wide, device=device))
    selected = torch.zeros_like(weights.soft)

    def weigh(seen: Seen, where: slice) -> None:
        """Fill in the weights of a piece."""
        found = of_chunk(names, seen, target[where], options)
        of_piece, selected[where] = weighed(found, options, None if sentence is None else sentence[where])
        weights.hard[where], weights.soft[where] = of_piece.hard, of_piece.soft

    return FirstLook(weights, selected, pieces, weigh)


def weighed(
    statistics: dict[str, Tensor],
    options: KdOptions,
    sentence: Tensor | None = None,
    window: Callable[[Tensor], Tensor] | None = None,
) -> tuple[TermWeights, Tensor]:
    """`term_weights` of statistics, with the row of each token beside them and the losses to compare with."""
    if sentence is not None:
        statistics["sentence"] = sentence
    if window is not None:
        statistics["window"] = window(statistics["student_nll"])
    return term_weights(statistics, options)


def term_weights(statistics: TokenStatistics, options: KdOptions) -> tuple[TermWeights, Tensor]:
    """The weights of the objective's terms, and how much of each token is selected, from 0 to 1.   -> (N,) each"""
    weights = options.selection.weights(statistics, options.kd_weight)
    selected = weights.soft / options.kd_weight
    weights = options.named_divergence.reweighted(weights, statistics)
    if options.evolution is not None:
        weights = weights._replace(prior=options.evolution.mix(statistics["difficulty"]))
    return weights, selected
