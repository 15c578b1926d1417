"""A look at a batch before its loss: what is kept of it changes no number, and no more is kept than is allowed."""

import pytest
import torch
from conftest import peak_bytes
from test_chunked import D_TEACHER, EXACT, Case, D, N, V
from test_selection import ROWS
from torch.utils._python_dispatch import TorchDispatchMode

from lskd_nmt.losses.first_look import whole_sentences
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.token_statistics import first_look, term_weights, token_statistics

AHEAD = {
    "batch": KdOptions(2.5, 0.4, 0.1, select="batch:0.4"),
    "batch, reverse": KdOptions(2.5, 0.4, select="batch:0.4", divergence="reverse"),
    "global": KdOptions(1.0, 0.5, 0.1, select="global:0.4:20"),
    "wttm": KdOptions(1.25, 0.56, divergence="wttm"),
    "gap, wttm": KdOptions(1.25, 0.56, divergence="wttm", select="gap:0.8"),
    "rank": KdOptions(2.0, 0.5, rank=3, select="batch:0.4"),
    "self-evolution": KdOptions(1.0, 0.5, self_evolution="0.5:0.5"),
    "self-evolution, tempered": KdOptions(2.5, 0.4, 0.1, select="hard-gate", self_evolution="0.3:0.4"),
}
WITHIN = {
    "hard-gate": KdOptions(1.5, 1.0, select="hard-gate", temper="teacher", temperature_squared=False),
    "hard-gate, jsd": KdOptions(1.5, 0.7, select="hard-gate", divergence="jsd:0.5"),
    "hard-gate-sentence": KdOptions(1.5, 1.0, 0.1, select="hard-gate-sentence"),
    "gap": KdOptions(1.0, 1.0, select="gap:0.8"),
    "rank": KdOptions(2.0, 0.5, rank=3, select="gap:0.8"),
}
ALL = [*AHEAD.values(), *WITHIN.values()]


def window(losses):
    return torch.cat([2 * losses, losses])


def look_at(case, options, **extra):
    projection = Projection(case.w, case.b)
    compared = window if options.selection.memory else None
    rows = torch.tensor(ROWS) if len(case.target) == N else torch.arange(len(case.target)) // 7
    return first_look(case.h, projection, case.target, case.teacher, options, sentence=rows, window=compared, **extra)


def without_a_look(case, options):
    """The weights of statistics that were taken by themselves, of which the other files' twins are."""
    student = case.h, Projection(case.w, case.b)
    statistics = token_statistics(options.statistics, *student, case.target, case.teacher, options, chunk=4)
    statistics["sentence"] = torch.tensor(ROWS)
    if options.selection.memory:
        statistics["window"] = window(statistics["student_nll"])
    return term_weights(statistics, options)


@pytest.mark.parametrize("kept", [0, 1, 3, 100])
@pytest.mark.parametrize("options", ALL, ids=[*AHEAD, *WITHIN])
def test_what_is_kept_changes_neither_loss_nor_gradient(options, kept):
    """All chunks differ: log-probabilities of another one would be another loss."""
    case = Case(3)
    weights, selected = without_a_look(case, options)
    expected = case.chunked(options, term_weights=weights, accuracy=True, chunk=N)
    slopes = torch.autograd.grad(2.5 * expected.loss, case.inputs())
    for chunk in (1, 5, N + 1):
        look = look_at(case, options, chunk=chunk, kept_chunks=kept)
        found = case.chunked(options, look=look, accuracy=True)
        torch.testing.assert_close(found.loss, expected.loss, **EXACT)
        torch.testing.assert_close(found.kd, expected.kd, **EXACT)
        torch.testing.assert_close(found.nll, expected.nll, **EXACT)
        torch.testing.assert_close(found.selected, selected, **EXACT)
        assert found.predicted.equal(expected.predicted)
        for ours, theirs in zip(torch.autograd.grad(2.5 * found.loss, case.inputs()), slopes, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


def test_the_kept_log_probabilities_are_used_and_those_of_another_chunk_would_be_seen():
    case = Case(3)
    for options in AHEAD.values():
        losses = []
        for swapped in (False, True):
            look = look_at(case, options, chunk=5)
            if swapped:
                look.kept[0], look.kept[5] = look.kept[5], look.kept[0]
            losses.append(float(case.chunked(options, look=look).loss.detach()))
            assert not look.kept, "each is given away once"
        assert losses[0] != pytest.approx(losses[1], rel=1e-6)


class Projected(TorchDispatchMode):
    """How many rows of features each output projection was multiplied with."""

    def __init__(self):
        super().__init__()
        self.rows = {D: 0, D_TEACHER: 0}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default) and result.size(-1) == V:
            self.rows[args[-2].size(-1)] += args[-2].size(0)
        return result


@pytest.mark.parametrize("options", ALL, ids=[*AHEAD, *WITHIN])
def test_each_model_projects_each_token_once(options):
    case, chunk = Case(3), 5
    with Projected() as once, torch.no_grad():
        case.chunked(options, look=look_at(case, options, chunk=chunk))
    assert once.rows == {D: N, D_TEACHER: N}
    if options in AHEAD.values():
        with Projected() as twice, torch.no_grad():
            case.chunked(options, look=look_at(case, options, chunk=chunk, kept_chunks=0))
        assert sum(twice.rows.values()) > 2 * N


@pytest.mark.parametrize("options", ALL, ids=[*AHEAD, *WITHIN])
def test_no_more_is_kept_than_is_allowed(options):
    case, chunk = Case(n=210, v=50, d=4), 21
    look = look_at(case, options, chunk=chunk, kept_chunks=3)
    kept = sum(seen.elements for seen in look.kept.values())
    assert kept <= 3 * chunk * 50 and (kept > 0) == (options in AHEAD.values())
    if options in WITHIN.values():
        assert look.weigh is not None


@pytest.mark.parametrize("name", ["batch", "wttm", "self-evolution", "hard-gate-sentence"])
def test_memory_does_not_grow_with_the_batch(name):
    """Beyond 4 chunks of 100 kB at most the features' own gradients, 8 bytes · 4 a token, and some vectors (N,)."""
    options, peaks = (AHEAD | WITHIN)[name], []
    for n in (560, 1120):
        case = Case(n=n, v=450, d=4)

        def run(case=case):
            case.chunked(options, look=look_at(case, options, chunk=28, kept_chunks=4)).loss.backward()

        peaks.append(peak_bytes(run))
    assert peaks[1] - peaks[0] < 560 * 8 * 40 < 560 * 450 * 8 / 10


def test_sentences_are_not_divided():
    rows = torch.tensor([0, 0, 0, 2, 2, 3, 3, 3, 3, 7])
    assert whole_sentences(rows, 5) == [slice(0, 5), slice(5, 10)]
    assert whole_sentences(rows, 4) == [slice(0, 3), slice(3, 5), slice(5, 9), slice(9, 10)]
    assert whole_sentences(rows, 3) is None, "one has four tokens"
    assert whole_sentences(rows[:0], 3) == []


def test_a_sentence_longer_than_a_chunk_is_looked_at_before():
    case, options = Case(3), WITHIN["hard-gate-sentence"]
    assert look_at(case, options, chunk=3).weigh is None
    assert look_at(case, options, chunk=4).weigh is not None


@pytest.mark.parametrize("options", ALL, ids=[*AHEAD, *WITHIN])
def test_no_tokens_give_a_connected_zero(options):
    case = Case(n=0)
    case.chunked(options, look=look_at(case, options)).loss.backward()
    assert all(tensor.grad.eq(0).all() for tensor in case.inputs())


def test_under_autocast_the_look_and_the_loss_are_of_the_same_numbers():
    case, options = Case(n=32, v=41, dtype=torch.float32), AHEAD["self-evolution"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [
            kd_ls_from_features(
                case.h,
                Projection(case.w, case.b),
                case.target,
                case.teacher,
                options,
                look=look_at(case, options, chunk=8, kept_chunks=kept),
            ).loss
            for kept in (0, 100)
        ]
    assert losses[0].dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)  # bfloat16 products of the same shape, sums in float32
