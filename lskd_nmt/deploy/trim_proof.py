"""The proof of a trimmed model: its text is cut as before, and its logits are the full model's of the kept symbols."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import isnan
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.deploy.trim_sides import Kept, Side
from lskd_nmt.errors import LskdError, require
from lskd_nmt.progress import Progress

TOLERANCE = 1e-5
PAD, EOS = 1, 2  # in fairseq's dictionaries
PROVED, AT_ONCE = 200, 8  # pairs of lines whose logits are compared
Line = list[str]  # of subwords


def proved_cuts(
    sides: tuple[Side, Side],
    kept: tuple[Kept, Kept],
    folder: Path,
    most: tuple[int | None, int | None],
    show: Callable[[str], None],
) -> list[tuple[Line, Line]]:
    """Refuse subwords that cut a line of the text otherwise; the first pairs of lines that the model knows and takes.

    A line with a symbol that the full model does not know may be cut otherwise.
    """
    firsts: list[list[Line]] = []
    progress = Progress(float("inf"), "lines proved", show)
    for side, one, after, limit in zip(sides, kept, given.of_folder(folder), most, strict=True):
        before, known, names, first = side.subwords, {*side.symbols}, {*one.symbols}, list[Line]()
        for number, line in enumerate(side.lines(), 1):
            was, now = before.pieces(line), after.pieces(line)
            progress.add(1)
            if known.issuperset(was):
                same = was == now and names.issuperset(now)
                require(same, f"line {number} of the text of {side.lang} loses a symbol that it needs: not trimmed")
                if was and len(first) < PROVED and (limit is None or len(was) < limit):
                    first.append(was)
        require(
            bool(first), f"no line of the text of {side.lang} is one that the model knows and takes: give other text"
        )
        firsts.append(first)
    count = max(map(len, firsts))
    return [(firsts[0][at % len(firsts[0])], firsts[1][at % len(firsts[1])]) for at in range(count)]


def proved_logits(
    models: Sequence[Module], sides: tuple[Side, Side], kept: tuple[Kept, Kept], pairs: Sequence[tuple[Line, Line]]
) -> tuple[float, str]:
    """The largest difference between two logits, and in which precision; too large: `LskdError`.

    Where 32 bits round by more than the tolerance, as in large models, 64 bits decide whether it was rounding alone.
    """
    worst = 0.0
    for precision in ("float32", "float64"):
        for model in models:
            model.eval()
            if precision == "float64":
                model.double()
        worst = max(differences(models, sides, kept, pairs))
        if worst <= TOLERANCE:
            return worst, precision
    raise LskdError(f"logits are up to {worst:.1e} from the full model's, and {TOLERANCE:g} is allowed: not trimmed")


def differences(
    models: Sequence[Module], sides: tuple[Side, Side], kept: tuple[Kept, Kept], pairs: Sequence[tuple[Line, Line]]
) -> Iterator[float]:
    """The largest difference in each batch between the trimmed logits and the full model's of the kept symbols."""
    columns = torch.tensor(kept[1].ids)
    vocabularies = [[side.symbols for side in sides], [one.symbols for one in kept]]
    places = [[{word: at for at, word in enumerate(each)} for each in of_model] for of_model in vocabularies]
    rows = iter(pairs)
    while some := list(islice(rows, AT_ONCE)):
        logits = []
        for model, at in zip(models, places, strict=True):
            ids = [(ids_of(at[0], source), ids_of(at[1], target)) for source, target in some]
            net_input, _ = fairseq_io.net_input(ids, PAD, EOS)
            with torch.inference_mode():
                logits.append(model(**net_input)[0])
        apart = float((logits[0][..., columns] - logits[1]).abs().max())
        yield float("inf") if isnan(apart) else apart


def ids_of(places: Mapping[str, int], line: Line) -> Tensor:
    """The ids of a line of subwords, with its end.   -> (T,)"""
    return torch.tensor([*(places[piece] for piece in line), EOS])
