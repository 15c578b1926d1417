"""The criterion on a fake model with prescribed probabilities: what it sums, what it logs, what it leaves alone."""

import copy
import math
from argparse import Namespace

import pytest
import torch
from slow import kl, softmax
from torch import nn

from lskd_nmt.teacher.online import LiveTeacher, TeacherFacts

PAD, EOS, SYMBOLS = 1, 2, 9


class TableModel(nn.Module):
    """Logits are a table's row for the previous token: the same wherever the token stands."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(SYMBOLS, SYMBOLS, generator=torch.Generator().manual_seed(seed)) * 2)

    def forward(self, src_tokens, src_lengths, prev_output_tokens):
        return self.table[prev_output_tokens], {}

    def get_normalized_probs(self, net_output, log_probs, sample=None):
        assert log_probs
        return net_output[0].float().log_softmax(-1)

    def get_targets(self, sample, net_output):
        return sample["target"]


class FakeTask:
    """The little of a translation task that a criterion sees."""

    def __init__(self) -> None:
        from fairseq.data import Dictionary
        from fairseq.tasks.fairseq_task import StatefulContainer

        self.source_dictionary = self.target_dictionary = Dictionary()
        for word in "abcde":
            self.target_dictionary.add_symbol(word)
        self.state = StatefulContainer()
        self.cfg = Namespace(data="nowhere", source_lang="aa", target_lang="bb")

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        """The criterion's loss, as fairseq's is but for the gradient."""
        return criterion(model, sample)


def make_sample(*sentences: list[int]) -> dict:
    """A batch of targets, padded on the right, in fairseq's form."""
    longest = max(map(len, sentences))
    target = torch.tensor([[*s, *[PAD] * (longest - len(s))] for s in sentences])
    previous = torch.cat([torch.full((len(sentences), 1), EOS), target[:, :-1]], 1)
    net_input = {"src_tokens": target, "src_lengths": target.ne(PAD).sum(1), "prev_output_tokens": previous}
    return {
        "net_input": net_input,
        "target": target,
        "ntokens": int(target.ne(PAD).sum()),
        "nsentences": len(sentences),
    }


SENTENCES = [4, 5, 6, EOS], [7, EOS], [8, 8, EOS]


def transitions(sentences=SENTENCES):
    """Each token and the one before it, sentence by sentence."""
    return [pair for sentence in sentences for pair in zip([EOS, *sentence], sentence, strict=False)]


@pytest.fixture
def criterion(plugin, monkeypatch):
    """A factory: `criterion(teacher_models, **flags)`."""
    from user_dir.criterions import kd_ls

    def build(teachers=(), **flags):
        loaded = LiveTeacher(list(teachers), [TeacherFacts("fake.pt", "fake", 0.1)]) if teachers else None
        monkeypatch.setattr(LiveTeacher, "load", lambda *arguments: loaded)
        cfg = kd_ls.KdLsConfig(**{"sentence_avg": False, "kd_weight": 0.5 if teachers else 0.0, **flags})
        return kd_ls.KdLsCriterion.build_criterion(cfg, FakeTask())

    return build


def test_loss_is_the_equation_summed_over_real_tokens(criterion):
    student, teacher = TableModel(1), TableModel(2)
    sample = make_sample(*SENTENCES)
    loss, sample_size, logs = criterion([teacher], temperature=2.0, kd_weight=0.25)(student, sample)
    expected = kd = nll = 0.0
    for previous, target in transitions():
        z_student, z_teacher = student.table[previous].tolist(), teacher.table[previous].tolist()
        divergence = kl(softmax(z_teacher, 2.0), softmax(z_student, 2.0))
        hard = -math.log(softmax(z_student)[target])
        kd, nll, expected = kd + divergence, nll + hard, expected + 0.75 * hard + 0.25 * 4 * divergence
    assert sample_size == logs["ntokens"] == 9
    assert logs["nsentences"] == 3
    for value, hand in ((loss, expected), (logs["loss"], expected), (logs["kd_loss"], kd), (logs["nll_loss"], nll)):
        assert float(value.detach()) == pytest.approx(hand, rel=1e-5)


def test_tokens_that_are_not_selected_learn_the_hard_term_alone(criterion):
    teacher, student, sample = TableModel(1), TableModel(2), make_sample(*SENTENCES)
    kd_ls = criterion([teacher], select="batch:0.25", temperature=2.0)
    losses = []  # (NLL, 4·KL at T = 2) of each of the 9 tokens
    for before, token in transitions():
        s, t = student.table[before].tolist(), teacher.table[before].tolist()
        losses.append((-math.log(softmax(s)[token]), 4 * kl(softmax(t, 2.0), softmax(s, 2.0))))
    losses.sort(reverse=True)  # the hardest first; a quarter of nine tokens are three
    expected = sum(0.5 * nll for nll, _ in losses) + sum(0.5 * soft for _, soft in losses[:3])
    assert float(kd_ls(student, sample)[0].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"temperature": 3.0, "label_smoothing": 0.1},
        {"ignore_prefix_size": 1},
        {"select": "hard-gate-sentence", "ignore_prefix_size": 1},
        {"select": "gap:1"},
    ],
)
def test_padded_batch_is_the_sum_of_its_sentences(criterion, flags):
    student, teacher = TableModel(1), TableModel(2)
    loss = criterion([teacher], report_accuracy=True, **flags)
    _, _, together = loss(student, make_sample(*SENTENCES))
    alone = [loss(student, make_sample(sentence))[2] for sentence in SENTENCES]
    for key in together:
        assert float(together[key]) == pytest.approx(sum(float(logs[key]) for logs in alone), rel=1e-5), key


def test_unreduced_loss_has_a_row_per_position_and_zero_on_padding(criterion):
    student, teacher = TableModel(1), TableModel(2)
    sample = make_sample(*SENTENCES)
    loss = criterion([teacher], temperature=2.0)
    rows, _, _ = loss(student, sample, reduce=False)
    assert rows.shape == (12,)
    assert rows[sample["target"].view(-1).eq(PAD)].eq(0).all()
    torch.testing.assert_close(rows.sum(), loss(student, sample)[0])


def test_what_stands_under_padding_changes_neither_loss_nor_gradient(criterion):
    class Poisoned(TableModel):
        def forward(self, src_tokens, src_lengths, prev_output_tokens):
            logits, extra = super().forward(src_tokens, src_lengths, prev_output_tokens)
            self.logits = logits.clone()
            self.logits[sample["target"].eq(PAD)] = math.nan
            self.logits.retain_grad() if logits.requires_grad else None
            return self.logits, extra

    sample = make_sample(*SENTENCES)
    clean, poisoned = TableModel(1), Poisoned(1)
    loss, _, _ = criterion([TableModel(2)], temperature=2.0)(clean, sample)
    bad_loss, _, _ = criterion([Poisoned(2)], temperature=2.0)(poisoned, sample)
    loss.backward()
    bad_loss.backward()
    torch.testing.assert_close(loss, bad_loss)
    assert poisoned.logits.grad[sample["target"].eq(PAD)].eq(0).all()


def test_two_workers_log_what_one_does(criterion, plugin):
    from fairseq.logging import metrics

    loss = criterion([TableModel(2)], temperature=2.0, report_accuracy=True)
    student = TableModel(1)
    one = [loss(student, make_sample(*SENTENCES))[2]]
    two = [loss(student, make_sample(*part))[2] for part in (SENTENCES[:1], SENTENCES[1:])]
    summed = {key: sum(float(logs[key]) for logs in two) for key in two[0]}
    printed = []
    for logs in (one, two, [summed]):
        with metrics.aggregate(new_root=True) as meters:
            loss.reduce_metrics(logs)
        printed.append(meters.get_smoothed_values())
    for other in printed[1:]:
        assert printed[0] == pytest.approx(other, abs=2e-3)
    assert set(printed[0]) >= {"loss", "nll_loss", "kd_loss", "ppl", "accuracy"}


def test_metrics_are_means_in_bits(criterion, plugin):
    from fairseq.logging import metrics

    logs = [
        {
            "loss": 8.0,
            "nll_loss": 6.0,
            "kd_loss": 4.0,
            "kd_ntokens": 5,
            "seq_loss": 3.0,
            "seq_ntokens": 7,
            "ntokens": 4,
            "sample_size": 2,
            "nsentences": 2,
        }
    ]
    with metrics.aggregate(new_root=True) as meters:
        criterion().reduce_metrics(logs)
    values = meters.get_smoothed_values()
    assert values["loss"] == pytest.approx(8 / 2 / math.log(2), abs=1e-3)
    assert values["nll_loss"] == pytest.approx(6 / 4 / math.log(2), abs=1e-3)
    assert values["kd_loss"] == pytest.approx(4 / 5 / math.log(2), abs=1e-3)
    assert values["seq_loss"] == pytest.approx(3 / 7 / math.log(2), abs=1e-3)
    assert values["ppl"] == pytest.approx(math.exp(6 / 4), abs=1e-2)


@pytest.mark.parametrize("flags", [{}, {"sentence_avg": True}, {"ignore_prefix_size": 1}])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_without_a_teacher_it_is_fairseqs_label_smoothed_cross_entropy(criterion, epsilon, flags):
    from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion

    sample = make_sample(*SENTENCES)
    ours, theirs = TableModel(1), TableModel(1)
    theirs.get_normalized_probs = lambda out, log_probs: out[0].log_softmax(-1)
    reference = LabelSmoothedCrossEntropyCriterion(
        FakeTask(), label_smoothing=epsilon, report_accuracy=True, **{"sentence_avg": False, **flags}
    )
    results = [
        criterion(label_smoothing=epsilon, report_accuracy=True, **flags)(ours, sample),
        reference(theirs, sample),
    ]
    for loss, _, _ in results:
        (2.5 * loss).backward()
    (our_loss, our_size, our_logs), (their_loss, their_size, their_logs) = results
    torch.testing.assert_close(our_loss, their_loss)
    torch.testing.assert_close(ours.table.grad, theirs.table.grad)
    assert our_size == their_size
    assert {k: float(v) for k, v in our_logs.items()} == pytest.approx({k: float(v) for k, v in their_logs.items()})


@pytest.mark.parametrize("temperature", [1.0, 2.0, 64.0])
def test_kd_loss_is_zero_for_a_student_that_is_its_teacher(criterion, temperature):
    _, _, logs = criterion([TableModel(1)], temperature=temperature)(TableModel(1), make_sample(*SENTENCES))
    assert float(logs["kd_loss"]) == pytest.approx(0, abs=1e-5)


def test_ensemble_is_the_mean_of_its_probabilities(criterion):
    student, teachers = TableModel(1), [TableModel(2), TableModel(3)]
    mean = copy.deepcopy(teachers[0])
    mean.table.data = torch.stack([t.table.softmax(-1) for t in teachers]).mean(0).log()
    sample = make_sample(*SENTENCES)
    torch.testing.assert_close(
        criterion(teachers, temperature=2.0)(student, sample)[0], criterion([mean], temperature=2.0)(student, sample)[0]
    )


def test_trainer_cannot_see_the_teacher(criterion):
    teacher = TableModel(2)
    loss = criterion([teacher])
    loss.train()
    assert not teacher.training
    assert list(loss.parameters()) == [] and loss.state_dict() == {}
    loss(TableModel(1), make_sample(*SENTENCES))[0].backward()
    assert teacher.table.grad is None and not teacher.table.requires_grad


def test_teacher_follows_the_students_precision(criterion):
    student, teacher = TableModel(1).to(torch.bfloat16), TableModel(2)
    _, _, logs = criterion([teacher], temperature=2.0)(student, make_sample(*SENTENCES))
    assert teacher.table.dtype == torch.bfloat16
    assert math.isfinite(logs["kd_loss"])


def test_batch_is_left_as_it_was(criterion):
    sample = make_sample(*SENTENCES)
    before = copy.deepcopy(sample)
    criterion([TableModel(2)], temperature=2.0)(TableModel(1), sample)
    for name, tensor in before["net_input"].items():
        assert sample["net_input"][name].equal(tensor)
    assert sample["target"].equal(before["target"])
    assert sample.keys() == before.keys()


def test_batch_without_real_tokens_gives_a_connected_zero(criterion):
    student = TableModel(1)
    loss, _, _ = criterion([TableModel(2)])(student, make_sample([PAD, PAD]))
    loss.backward()
    assert float(loss) == 0 and student.table.grad.eq(0).all()


@pytest.mark.parametrize(
    "logs",
    [
        [],
        [{}],
        [
            {
                "loss": 0.0,
                "nll_loss": 0.0,
                "ntokens": 0,
                "sample_size": 0,
                "nsentences": 0,
                "kd_loss": 0.0,
                "kd_ntokens": 0,
                "tail_dense": 0,
                "kd_selected": 0.0,
                "rank_loss": 0.0,
                "seq_loss": 0.0,
                "seq_ntokens": 0,
                "n_correct": 0,
                "total": 0,
                "kd_weight": 0.0,
                "kd_batches": 0,
            }
        ],
    ],
)
def test_nothing_counted_is_nothing_logged(criterion, logs):
    from fairseq.logging import metrics

    with metrics.aggregate(new_root=True) as meters:
        criterion().reduce_metrics(logs)
    assert not meters.get_smoothed_values()


def test_meters_that_were_reset_can_be_read(criterion):
    """As at every --log-interval: derived meters stay, and what they divide begins again at 0."""
    from fairseq.logging import metrics

    logs = {
        "loss": 8.0,
        "nll_loss": 6.0,
        "ntokens": 4,
        "sample_size": 2,
        "nsentences": 2,
        "n_correct": 1,
        "total": 4,
        "kd_loss": 4.0,
        "kd_ntokens": 5,
        "kd_selected": 2.0,
        "rank_loss": 1.0,
        "tail_bucket": 5,
        "seq_loss": 3.0,
        "seq_ntokens": 7,
        "policy_loss": 1.0,
        "policy_ntokens": 1,
        "r_drop_loss": 1.0,
        "r_drop_ntokens": 4,
        "kd_weight": 0.5,
        "kd_batches": 1,
    }
    with metrics.aggregate(new_root=True) as meters:
        criterion().reduce_metrics([logs])
        assert meters.get_smoothed_values()["accuracy"] == 25
        meters.reset()
        values = meters.get_smoothed_values()
    assert math.isnan(values["accuracy"])
