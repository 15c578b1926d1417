"""R-Drop: its slow twin, fairseq's own criterion, and that nothing of it happens without dropout or in validation."""

import copy
import json
import math

import pytest
import slow
import torch
from conftest import batch_of, build, gradients, train
from test_chunked import EXACT, Case, Largest
from test_kd_ls import SENTENCES, FakeTask, TableModel, criterion, make_sample, transitions  # noqa: F401
from test_preflight import refuses  # noqa: F401
from torch.nn.functional import linear

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.fused import kd_ls_from_features
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.objective import kd_ls_terms, two_pass_terms
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.r_drop import symmetric_kl, symmetric_kl_and_gradient
from lskd_nmt.losses.signals import Dense, top_k

TOKENS = 7


class TwoPasses(Case):
    """Features of two passes of each token in pairs of rows; teacher and targets of the tokens themselves."""

    def __init__(self, seed=0, n=TOKENS, **extra):
        super().__init__(seed, 2 * n, **extra)
        self.target = self.target[:n]
        self.teacher = TeacherFeatures([each[:n] for each in self.teacher.features], self.teacher.projections)

    def log_q(self):
        return linear(self.h, self.w, self.b).log_softmax(-1)

    def signal(self, options):
        if not options.kd_weight:
            return None
        log_p = linear(self.teacher.features[0], *self.teacher.projections[0]).log_softmax(-1)
        signal = Dense(log_p, 1.0)
        return top_k(signal, options.top_k, options.temperature) if options.top_k else signal

    def slopes(self, loss):
        return torch.autograd.grad(2.5 * loss, self.inputs())


def test_loss_is_its_slow_twin():
    case, options = TwoPasses(), KdOptions(kd_weight=0.0, r_drop=5.0)
    terms = two_pass_terms(case.log_q(), case.target, None, options)
    loss, nll, kd, apart = terms.loss, terms.nll, terms.kd, terms.r_drop
    z = linear(case.h, case.w, case.b).tolist()
    for token, y in enumerate(case.target.tolist()):
        passes = z[2 * token : 2 * token + 2]
        assert loss[token].item() == pytest.approx(slow.r_drop(passes, y, 5.0), rel=1e-9)
        assert nll[token].item() == pytest.approx(slow.r_drop(passes, y, 0.0), rel=1e-9)
        assert apart[token].item() == pytest.approx(slow.r_drop(passes, y, 1.0) - slow.r_drop(passes, y, 0.0), rel=1e-9)
    assert kd is None


def test_hand_values():
    """q₁ = (½, ½), q₂ = (¼, ¾): KL(q₁‖q₂) = ½·log 2 + ½·log ⅔, KL(q₂‖q₁) = ¼·log ½ + ¾·log 3/2."""
    log_q = torch.tensor([[0.5, 0.5], [0.25, 0.75]], dtype=torch.float64).log()
    by_hand = (math.log(2) / 2 + math.log(2 / 3) / 2 + math.log(1 / 2) / 4 + 3 * math.log(3 / 2) / 4) / 2
    assert symmetric_kl(log_q).item() == pytest.approx(by_hand, rel=1e-12)
    assert symmetric_kl_and_gradient(log_q)[0].item() == pytest.approx(by_hand, rel=1e-12)


def test_the_written_out_gradient_is_autograds():
    z = torch.randn(2 * TOKENS, 11, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(symmetric_kl(z.log_softmax(-1)).sum(), z)
    value, slope = symmetric_kl_and_gradient(z.detach().log_softmax(-1))
    torch.testing.assert_close(value, symmetric_kl(z.log_softmax(-1)), **EXACT)
    torch.testing.assert_close(slope, expected, **EXACT)


GRID = [
    KdOptions(kd_weight=0.0, label_smoothing=0.1, r_drop=5.0),
    KdOptions(2.5, 0.4, 0.1, r_drop=2.5),
    KdOptions(2.5, 0.4, 0.1, temper="teacher", r_drop=2.5),
    KdOptions(2.0, 1.0, tail="bucket", top_k=3, r_drop=0.5),
    KdOptions(2.0, 0.4, divergence="reverse", r_drop=5.0),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", GRID)
def test_chunks_change_neither_loss_nor_gradient(options, bias):
    case = TwoPasses(bias=bias)
    dense = two_pass_terms(case.log_q(), case.target, case.signal(options), options)
    expected = case.slopes(dense.loss.sum())
    for chunk in (1, 4, 5, 2 * TOKENS + 1):
        for teacher in (case.teacher, case.signal(options)):
            found = kd_ls_from_features(
                case.h,
                Projection(case.w, case.b),
                case.target,
                teacher,
                options,
                dropout_passes=2,
                chunk=chunk,
                accuracy=True,
            )
            torch.testing.assert_close(found.loss, dense.loss.sum(), **EXACT)
            torch.testing.assert_close(found.nll, dense.nll, **EXACT)
            torch.testing.assert_close(found.r_drop, dense.r_drop, **EXACT)
            assert (found.kd is None) == (dense.kd is None)
            if found.kd is not None:
                torch.testing.assert_close(found.kd, dense.kd, **EXACT)
            for ours, theirs in zip(case.slopes(found.loss), expected, strict=True):
                torch.testing.assert_close(ours, theirs, **EXACT)
            assert found.correct.equal(case.log_q().argmax(-1) == case.target.repeat_interleave(2))


@pytest.mark.parametrize("options", GRID[:2])
def test_gradients_are_slopes(options):
    case = TwoPasses(n=2, v=5, d=2)

    def loss(h, w, b):
        projection = Projection(w, b)
        return kd_ls_from_features(h, projection, case.target, case.teacher, options, dropout_passes=2, chunk=2).loss

    assert torch.autograd.gradcheck(loss, case.inputs())


@pytest.mark.parametrize("options", GRID)
def test_two_equal_passes_are_one(options):
    case = TwoPasses()
    with torch.no_grad():
        case.h[1::2] = case.h[::2]
    once = kd_ls_terms(case.log_q()[::2], case.target, case.signal(options), options)
    found = kd_ls_from_features(
        case.h, Projection(case.w, case.b), case.target, case.teacher, options, dropout_passes=2
    )
    assert found.r_drop.eq(0).all()
    torch.testing.assert_close(found.loss, once.loss.sum(), **EXACT)
    for ours, theirs in zip(case.slopes(found.loss)[1:], case.slopes(once.loss.sum())[1:], strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_the_divergence_is_symmetric_and_never_negative():
    log_q = TwoPasses().log_q().detach()
    exchanged = log_q.view(TOKENS, 2, -1).flip(1).flatten(0, 1)
    assert symmetric_kl(log_q).min() > 0
    torch.testing.assert_close(symmetric_kl(log_q), symmetric_kl(exchanged), **EXACT)


@pytest.mark.parametrize("options", GRID)
def test_no_tensor_has_the_logits_of_all_tokens(options):
    case, chunk = TwoPasses(n=150, v=200, d=4, dtype=torch.float32), 10
    with Largest() as seen:
        kd_ls_from_features(
            case.h, Projection(case.w, case.b), case.target, case.teacher, options, dropout_passes=2, chunk=chunk
        ).loss.backward()
    assert seen.elements == chunk * 200


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_holds_passes_that_are_far_apart(dtype, tolerance):
    """Logits of ±15: the divergence's slopes are of their order, and half precision ends at 65,504."""
    half, wide = TwoPasses(n=32, v=97, dtype=dtype), TwoPasses(n=32, v=97)
    with torch.no_grad():
        half.h.mul_(4)
        for ours, theirs in zip(half.inputs(), wide.inputs(), strict=True):
            theirs.copy_(ours)
    options = KdOptions(kd_weight=0.0, label_smoothing=0.1, r_drop=5.0)
    found, exact = (
        [
            kd_ls_from_features(case.h, Projection(case.w, case.b), case.target, None, options, dropout_passes=2).loss,
            case,
        ]
        for case in (half, wide)
    )
    torch.testing.assert_close(found[0].double(), exact[0], rtol=1e-3, atol=0)
    slopes = torch.autograd.grad(exact[0], wide.inputs())
    for ours, theirs in zip(torch.autograd.grad(found[0], half.inputs()), slopes, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance * float(theirs.abs().max()))


def test_no_tokens_give_a_connected_zero():
    case = TwoPasses(n=0)
    loss = kd_ls_from_features(
        case.h, Projection(case.w, case.b), case.target, case.teacher, GRID[1], dropout_passes=2
    ).loss
    loss.backward()
    assert loss.detach() == 0 and all(tensor.grad.eq(0).all() for tensor in case.inputs())


class Dropped(TableModel):
    """In training, rows of the second pass see another table; `second` says which rows these are."""

    def __init__(self, seed, second=lambda rows: torch.arange(rows) % 2 == 1):
        super().__init__(seed)
        self.other, self.second = TableModel(seed + 10).table, second

    def forward(self, src_tokens, src_lengths, prev_output_tokens):
        assert src_tokens.size(0) == src_lengths.size(0) == prev_output_tokens.size(0)
        logits, extra = super().forward(src_tokens, src_lengths, prev_output_tokens)
        if self.training:
            second = self.second(len(logits)).view(-1, 1, 1)
            logits = torch.where(second, self.other[prev_output_tokens], logits)
        return logits, extra


def both_passes(student, teacher, temperature):
    """½(CE₁ + CE₂), T²·KL from the teacher and A = 1's term of every token of SENTENCES, one sentence after another."""
    found = []
    for before, token in transitions():
        passes = [student.table[before].tolist(), student.other[before].tolist()]
        p = slow.softmax(teacher.table[before].tolist(), temperature)
        kd = sum(slow.kl(p, slow.softmax(z, temperature)) for z in passes) / 2
        nll = slow.r_drop(passes, token, 0.0)
        found.append((nll, kd, slow.r_drop(passes, token, 1.0) - nll))
    return found


@pytest.mark.parametrize("reduce", [True, False])
def test_with_a_teacher_both_passes_learn_of_it(criterion, reduce):  # noqa: F811
    student, teacher = Dropped(1), TableModel(2)
    kd_ls = criterion([teacher], temperature=2.0, kd_weight=0.25, r_drop=3.0)
    loss, _, logs = kd_ls(student, make_sample(*SENTENCES), reduce=reduce)
    nll, kd, apart = (sum(column) for column in zip(*both_passes(student, teacher, 2.0), strict=True))
    assert float(loss.sum().detach()) == pytest.approx(0.75 * nll + 0.25 * 4 * kd + 3 * apart, rel=1e-5)
    for name, value in (("nll_loss", nll), ("kd_loss", kd), ("r_drop_loss", apart)):
        assert float(logs[name]) == pytest.approx(value, rel=1e-5), name
    assert logs["r_drop_ntokens"] == logs["kd_ntokens"] == logs["ntokens"] == 9


def test_ignored_prefixes_are_not_compared(criterion):  # noqa: F811
    student, teacher = Dropped(1), TableModel(2)
    _, _, logs = criterion(r_drop=3.0, ignore_prefix_size=1)(student, make_sample(*SENTENCES))
    each = both_passes(student, teacher, 1.0)
    assert float(logs["r_drop_loss"]) == pytest.approx(sum(each[i][2] for i in (1, 2, 3, 5, 7, 8)), rel=1e-5)


def test_validation_is_one_pass(criterion):  # noqa: F811
    student, sample = Dropped(1).eval(), make_sample(*SENTENCES)
    with_it, without = (criterion(r_drop=strength)(student, sample) for strength in (5.0, 0.0))
    assert with_it[0].equal(without[0]) and with_it[2].keys() == without[2].keys()


@pytest.mark.parametrize("flags", [{}, {"sentence_avg": True}])
def test_half_of_fairseqs_criterion_with_twice_the_weight(criterion, flags):  # noqa: F811
    from fairseq.criterions.label_smoothed_cross_entropy_with_rdrop import RdropLabelSmoothedCrossEntropyCriterion

    ours, theirs = Dropped(1), Dropped(1, lambda rows: torch.arange(rows) >= rows // 2)
    theirs.get_normalized_probs = lambda out, log_probs: out[0].log_softmax(-1) if log_probs else out[0].softmax(-1)
    sample = make_sample(*SENTENCES)
    before = copy.deepcopy(sample["net_input"])
    loss, size, logs = criterion(label_smoothing=0.1, r_drop=2.5, report_accuracy=True, **flags)(ours, sample)
    assert all(sample["net_input"][name].equal(tensor) for name, tensor in before.items())
    reference = RdropLabelSmoothedCrossEntropyCriterion(
        FakeTask(), label_smoothing=0.1, report_accuracy=True, rdrop_alpha=5, **{"sentence_avg": False, **flags}
    )
    their_loss, their_size, their_logs = reference(theirs, sample)
    torch.testing.assert_close(2 * loss, their_loss)
    slopes = torch.autograd.grad(2 * loss, [ours.table, ours.other])
    for mine, other in zip(slopes, torch.autograd.grad(their_loss, [theirs.table, theirs.other]), strict=True):
        torch.testing.assert_close(mine, other)
    assert size == their_size
    assert 2 * float(logs["nll_loss"]) == pytest.approx(float(their_logs["nll_loss"]), rel=1e-5)
    assert float(logs["r_drop_loss"]) == pytest.approx(float(their_logs["rdrop_kl_loss"]), rel=1e-5)
    assert logs["n_correct"] / logs["total"] == pytest.approx(their_logs["n_correct"] / their_logs["total"])


def test_without_dropout_a_transformer_learns_as_in_one_pass(data, teacher):
    flags = "--teacher-path", teacher, "--temperature", 2, "--label-smoothing", 0.1
    results = []
    for extra in ((), ("--r-drop", 5)):
        task, model, kd_ls = build(data, *flags, *extra)
        results.append(gradients(kd_ls, model.train(), batch_of(task)))
    (loss, slopes), (their_loss, their_slopes) = results
    torch.testing.assert_close(loss, their_loss)
    for ours, theirs in zip(slopes, their_slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_passes_of_a_transformer_differ_from_its_encoder_on(data):
    """With dropout in the encoder's own embeddings alone the states that the decoder sees differ."""
    task, model, kd_ls = build(data, "--kd-weight", 0, "--r-drop", 5, "--dropout", 0)
    batch = batch_of(task)
    assert float(kd_ls(model.train(), batch)[2]["r_drop_loss"]) == pytest.approx(0, abs=1e-4)
    model.encoder.dropout_module.p = 0.3
    assert float(kd_ls(model, batch)[2]["r_drop_loss"]) > 0.01


def test_a_training_logs_it_and_a_validation_does_not(data, teacher, tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(
            data,
            tmp_path,
            "--r-drop",
            2.5,
            "--teacher-path",
            teacher,
            "--dropout",
            0.3,
            "--max-epoch",
            1,
            "--no-save",
            "--log-format",
            "json",
        )
    logs = [json.loads(r.getMessage()) for r in caplog.records if '_loss"' in r.getMessage()]
    trained, valid = (next(log for log in logs if f"{name}_loss" in log) for name in ("train", "valid"))
    assert float(trained["train_r_drop_loss"]) > 0 and "valid_r_drop_loss" not in valid
    mixed = 0.5 * float(trained["train_nll_loss"]) + 0.5 * float(trained["train_kd_loss"])
    assert float(trained["train_loss"]) == pytest.approx(mixed + 2.5 * float(trained["train_r_drop_loss"]), abs=0.01)


@pytest.mark.parametrize("strength", [-1.0, math.inf, math.nan])
def test_strengths_out_of_range(strength):
    with pytest.raises(LskdError, match=f"--r-drop is {strength}: give a number above 0, or 0 for one pass"):
        KdOptions(r_drop=strength)


def test_what_it_does_not_go_with(refuses):  # noqa: F811
    line = refuses("--r-drop", 5, "--teacher-path", "t.pt", "--select", "batch:0.5")
    assert "--select is batch:0.5 and --r-drop is 5: its two passes would weigh tokens differently" in line
    line = refuses("--r-drop", 5, "--kd-level", "sequence", "--hypotheses", "h", "--kd-weight", 1)
    assert "--r-drop is 5 and --kd-level is sequence: it is for word" in line
