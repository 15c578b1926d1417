"""TIE-KD's ranking term: against its slow twin, on both paths, in the objective and in the logs."""

import math

import pytest
import torch
from slow import kl, ranking, softmax
from test_chunked import EXACT, Case, D, Largest, N, V
from test_kd_ls import SENTENCES, TableModel, criterion, make_sample, transitions  # noqa: F401

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection
from lskd_nmt.losses.objective import ObjectiveTerms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.tie_ranking import largest, ranking_loss
from lskd_nmt.losses.token_selection import TermWeights


def drawn(n, v):
    generator = torch.Generator().manual_seed(v)
    return [each.log_softmax(-1) for each in torch.randn(2, n, v, generator=generator, dtype=torch.float64) * 3]


@pytest.mark.parametrize("k", [1, 2, 5, 60])
@pytest.mark.parametrize("n, v", [(1, 2), (3, 7), (41, 53)])
def test_ranking_loss_equals_the_loop(n, v, k):
    log_p, log_q = drawn(n, v)
    slow = [ranking(softmax(p), softmax(q), k) for p, q in zip(log_p.tolist(), log_q.tolist(), strict=True)]
    torch.testing.assert_close(ranking_loss(log_p, log_q, k), torch.tensor(slow, dtype=torch.float64), **EXACT)


def test_a_value_worked_out_by_hand():
    """Teacher a b c d, student c a b d with .5 .3 .15 .05; the two best of each are a b and c a.

    First sum: b is not above a. Second: c is above a by .2 and above b by .35, a is above b as it is with the teacher.
    """
    log_p, log_q = (torch.tensor([p]).log() for p in ([0.4, 0.3, 0.2, 0.1], [0.3, 0.15, 0.5, 0.05]))
    assert ranking_loss(log_p, log_q, 2).item() == pytest.approx(0.55)
    swapped = torch.tensor([[0.3, 0.5, 0.15, 0.05]]).log()  # b is above a by .2, and counts in either sum
    assert ranking_loss(log_p, swapped, 2).item() == pytest.approx(0.4)


def test_it_is_zero_exactly_where_the_most_probable_symbols_agree_in_order():
    log_p, log_q = drawn(200, 4)
    log_q = torch.where(torch.arange(200).unsqueeze(-1) < 100, log_q, 0.5 * log_p + 0.1 * log_q).log_softmax(-1)
    agree = (log_p.topk(2).indices == log_q.topk(2).indices).all(-1)
    assert 50 < agree.sum() < 150
    assert ((ranking_loss(log_p, log_q, 2) == 0) == agree).all()


@pytest.mark.parametrize("v", [2560, 2565, 5000])
def test_the_largest_values_of_many_are_those_that_sorting_finds(v):
    values = torch.stack([torch.randperm(v, generator=torch.Generator().manual_seed(seed)) for seed in range(40)])
    values[0] = torch.arange(v)  # all in the last block, or after it
    found, where = largest(values.double(), 5)
    assert found.tolist() == [[v - 1, v - 2, v - 3, v - 4, v - 5]] * 40
    assert values.gather(1, where).tolist() == found.tolist()


def test_its_gradient_is_its_slope():
    log_p, log_q = drawn(5, 7)
    assert torch.autograd.gradcheck(lambda z: ranking_loss(log_p, z.log_softmax(-1), 3), log_q.requires_grad_())


@pytest.mark.parametrize("divergence", ["forward", "jsd:0.3", "ttm"])
def test_chunks_change_neither_loss_nor_gradient(divergence):
    case, options = Case(), KdOptions(2.0, 0.4, 0.1, divergence=divergence, rank=3)
    expected = case.dense(options)
    assert expected.rank.gt(0).any()
    for chunk in (1, 5, N + 1):
        found = case.chunked(options, chunk=chunk)
        torch.testing.assert_close(found.rank, expected.rank, **EXACT)
        torch.testing.assert_close(found.kd, expected.kd, **EXACT)
        sums = found.loss, case.dense(options).loss.sum()
        torch.testing.assert_close(*sums, **EXACT)
        slopes = [torch.autograd.grad(2.5 * loss, case.inputs()) for loss in sums]
        for ours, theirs in zip(*slopes, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


def test_gradcheck_of_the_whole_objective():
    case, options = Case(n=3, v=5, d=2), KdOptions(2.0, 0.5, rank=2)

    def loss(h, w, b):
        return kd_ls_from_features(h, Projection(w, b), case.target, case.teacher, options, chunk=2).loss

    assert torch.autograd.gradcheck(loss, case.inputs())


def test_it_is_added_before_the_weight_and_without_the_square_of_t():
    case = Case()
    without, ranked = (case.dense(KdOptions(4.0, 0.3, rank=k)) for k in (0, 5))
    torch.testing.assert_close(ranked.loss, without.loss + 0.3 * ranked.rank, **EXACT)
    assert ranked.kd.equal(without.kd) and without.rank is None
    some = TermWeights(torch.rand(N, dtype=torch.float64), torch.rand(N, dtype=torch.float64))
    found, plain = (case.chunked(KdOptions(4.0, 0.3, rank=k), chunk=4, term_weights=some).loss for k in (5, 0))
    torch.testing.assert_close(found, plain + (some.soft * ranked.rank).sum(), **EXACT)


def test_it_is_of_the_temperature_1_whatever_that_of_the_divergence():
    case = Case()
    cold, hot = (case.chunked(KdOptions(temperature, 0.5, rank=5)).rank for temperature in (1.0, 64.0))
    torch.testing.assert_close(cold, hot, **EXACT)


def test_a_perfect_student_costs_nothing():
    case = Case(v=D)
    same = case.h.detach().log_softmax(-1)
    assert ranking_loss(same, same, 5).eq(0).all()


def test_no_tensor_has_the_vocabulary_once_for_each_symbol():
    case, chunk = Case(n=60, v=200, d=4, dtype=torch.float32), 10
    with Largest() as seen:
        case.chunked(KdOptions(2.0, 0.5, rank=5), chunk=chunk).loss.backward()
    assert seen.elements == chunk * 200


@pytest.mark.parametrize(
    "flags, match",
    [
        ({"rank": -1}, "--rank is -1: give a number of symbols, or 0"),
        ({"rank": 5, "tail": "bucket", "top_k": 8}, r"--rank is 5 and --tail is bucket: .*leave --top-k out"),
    ],
)
def test_what_makes_no_sense_is_refused(flags, match):
    with pytest.raises(LskdError, match=match):
        KdOptions(**flags)


def test_criterion_adds_it_up_and_logs_it_beside_the_divergence(criterion):  # noqa: F811
    teacher, student, sample = TableModel(1), TableModel(2), make_sample(*SENTENCES)
    kd_ls = criterion([teacher], rank=3, kd_weight=0.25, temperature=2.0)
    loss, _, logs = kd_ls(student, sample)
    expected = ranks = soft = 0.0
    for before, token in transitions():
        s, t = student.table[before].tolist(), teacher.table[before].tolist()
        rank, kd = ranking(softmax(t), softmax(s), 3), kl(softmax(t, 2.0), softmax(s, 2.0))
        ranks, soft = ranks + rank, soft + kd
        expected += -0.75 * math.log(softmax(s)[token]) + 0.25 * (4 * kd + rank)
    for value, hand in ((loss, expected), (logs["rank_loss"], ranks), (logs["kd_loss"], soft)):
        assert float(value.detach()) == pytest.approx(hand, rel=1e-5)
    assert ranks > 0


def test_its_mean_is_printed_as_it_is_and_not_in_bits(criterion):  # noqa: F811
    from fairseq.logging import metrics

    from user_dir.criterions.logs import divergence_logs

    kd_ls = criterion([TableModel(1)], rank=3)
    two = [kd_ls(TableModel(2), make_sample(*part))[2] for part in (SENTENCES[:1], SENTENCES[1:])]
    with metrics.aggregate(new_root=True) as meters:
        kd_ls.reduce_metrics(two)
    mean = sum(float(logs["rank_loss"]) for logs in two) / 9
    assert meters.get_smoothed_values()["rank_loss"] == pytest.approx(mean, abs=1e-4)
    assert mean > 0
    plain = criterion([TableModel(1)])(TableModel(2), make_sample(*SENTENCES))[2]
    assert "rank_loss" not in plain
    no_tokens = ObjectiveTerms(torch.zeros(()), {"nll": torch.zeros(0)})
    nothing = divergence_logs(no_tokens, kd_ls.options)  # a worker without hypotheses logs the same keys
    assert nothing.keys() <= two[0].keys() and nothing["rank_loss"] == 0


@pytest.mark.parametrize("k", [V, V + 5])
def test_more_symbols_than_there_are_rank_all_of_them(k):
    case = Case()
    expected = case.dense(KdOptions(rank=V)).rank
    assert case.chunked(KdOptions(rank=k), chunk=3).rank.allclose(expected)
