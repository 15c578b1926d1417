"""Passes on the student's own predictions: the equation, what they reduce to, and what is refused."""

import math
from dataclasses import replace

import pytest
import slow
import torch
from conftest import batch_of, build, gradients, train
from test_kd_ls import EOS, PAD, SENTENCES, SYMBOLS, TableModel, criterion, make_sample  # noqa: F401
from test_method_training import flags_of, given

from lskd_nmt import fairseq_io
from lskd_nmt.teacher import online

LIVE = {"teacher_path": "fake.pt"}


@pytest.fixture
def passes(plugin):
    from user_dir.criterions import iterated_prefixes

    return iterated_prefixes


def best(logits):
    """The most probable symbol."""
    return max(range(len(logits)), key=logits.__getitem__)


@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("number", [2, 3])
def test_loss_is_the_equation(criterion, number, weight):  # noqa: F811
    student, teacher = TableModel(1), TableModel(2)
    student.table.data[:, PAD] = -99.0  # where it is predicted: test_own_prefixes…
    kd_ls = criterion([teacher], **LIVE, kd_passes=number, kd_weight=weight, temperature=2.0, label_smoothing=0.1)
    loss, sample_size, logs = kd_ls(student.train(), make_sample(*SENTENCES))
    expected = kd = nll = 0.0
    for sentence in SENTENCES:
        prefix = [EOS, *sentence[:-1]]
        for turn in range(number):
            own = []
            for previous, target in zip(prefix, sentence, strict=True):
                z, z_teacher = student.table[previous].tolist(), teacher.table[previous].tolist()
                divergence = slow.kl(slow.softmax(z_teacher, 2.0), slow.softmax(z, 2.0))
                kd, expected = kd + divergence, expected + weight / number * 4 * divergence
                own.append(best(z))
                if turn == 0:
                    label = slow.smoothed_label(SYMBOLS, target, 0.1, "others")
                    expected += (1 - weight) * slow.cross_entropy(label, slow.softmax(z))
                    nll -= math.log(slow.softmax(z)[target])
            prefix = [EOS, *own[:-1]]
    assert sample_size == logs["ntokens"] == 9 and logs["kd_ntokens"] == 9 * number
    for value, hand in ((loss, expected), (logs["loss"], expected), (logs["kd_loss"], kd), (logs["nll_loss"], nll)):
        assert float(value.detach()) == pytest.approx(hand, rel=1e-5)


def test_a_student_that_predicts_the_references_repeats_its_first_pass(criterion):  # noqa: F811
    student, sample = TableModel(1), make_sample([4, 5, 6, 7, EOS])
    for previous, target in zip([EOS, 4, 5, 6, 7], [4, 5, 6, 7, EOS], strict=True):
        student.table.data[previous, target] = 20.0
    results = []
    for number in (1, 4):
        kd_ls = criterion([TableModel(2)], **LIVE, kd_passes=number, temperature=2.0)
        results.append(gradients(kd_ls, student.train(), sample))
    (one, slopes), (four, same) = results
    torch.testing.assert_close(one, four)
    torch.testing.assert_close(slopes, same)


def test_one_pass_is_the_objective_itself(criterion, passes):  # noqa: F811
    kd_ls, student, sample = criterion([TableModel(2)], temperature=2.0), TableModel(1).train(), make_sample(*SENTENCES)
    seen = []

    def terms(net_input, options, sentence_weights):
        seen.append((options, sentence_weights.tolist()))
        return kd_ls.terms(Student(student, net_input, None, False), net_input, sample["target"], options)

    from user_dir.criterions.student import Student

    found = passes.iterated_terms(terms, sample, kd_ls.options, 1, 0, PAD)
    assert seen == [(kd_ls.options, [1.0] * 3)]
    expected, _, logs = kd_ls(student, sample)
    torch.testing.assert_close(found.loss, expected, rtol=0, atol=0)
    torch.testing.assert_close(found.kd.sum(), logs["kd_loss"], rtol=0, atol=0)


def test_validation_is_the_pass_on_the_references_alone(criterion):  # noqa: F811
    student, sample = TableModel(1).eval(), make_sample(*SENTENCES)
    one, many = (criterion([TableModel(2)], **LIVE, kd_passes=number)(student, sample) for number in (1, 5))
    assert one[0].equal(many[0]) and one[2] == many[2]


def test_own_prefixes_are_the_predictions_one_later(passes):
    previous = torch.tensor([[EOS, 4, 5, 6], [EOS, 7, PAD, PAD]])
    real = torch.tensor([[True, True, True, True], [True, True, False, False]])
    predicted = torch.tensor([10, 11, 12, 13, 20, 21])
    found = passes.own_prefixes(previous, predicted, real, PAD)
    assert found.tolist() == [[EOS, 10, 11, 12], [EOS, 20, PAD, PAD]]
    padding_predicted = torch.tensor([10, PAD, 12, 13, 20, 21])
    found = passes.own_prefixes(previous, padding_predicted, real, PAD)
    assert found.tolist() == [[EOS, 10, 5, 12], [EOS, 20, PAD, PAD]]  # the reference stays
    found = passes.own_prefixes(previous, predicted[[0, 1, 2, 4]], real[:, 1:], PAD)
    assert found.tolist() == [[EOS, 4, 10, 11], [EOS, 7, PAD, PAD]]  # the first target symbol is given
    left = torch.tensor([[PAD, PAD, EOS, 4]])
    found = passes.own_prefixes(left, torch.tensor([10, 11]), torch.tensor([[False, False, True, True]]), PAD)
    assert found.tolist() == [[PAD, PAD, EOS, 10]]


def composed(kd_ls, model, batch, number):
    """The loss as a sum of plain losses on batches whose decoder inputs are prepared beforehand."""
    from user_dir.criterions.iterated_prefixes import own_prefixes

    weight, real = kd_ls.options.kd_weight, batch["target"].ne(PAD)
    single = type(kd_ls).forward
    kd_ls.cfg.kd_passes = 1
    kd_ls.options = replace(kd_ls.options, kd_weight=0.0)
    kd_ls._weight.schedule = kd_ls._weight.schedule._replace(start=0.0, end=0.0)
    total = (1 - weight) * single(kd_ls, model, batch)[0]
    kd_ls.options = replace(kd_ls.options, kd_weight=1.0)
    kd_ls._weight.schedule = kd_ls._weight.schedule._replace(start=1.0, end=1.0)
    for _ in range(number):
        total = total + weight / number * single(kd_ls, model, batch)[0]
        with torch.no_grad():
            predicted = model(**batch["net_input"])[0][real].argmax(-1)
        prefixes = own_prefixes(batch["net_input"]["prev_output_tokens"], predicted, real, PAD)
        batch = {**batch, "net_input": {**batch["net_input"], "prev_output_tokens": prefixes}}
    return total


@pytest.mark.parametrize("extra", [[], ["--rank", 5], ["--divergence", "wttm"]])
def test_features_dense_logits_and_a_sum_of_plain_losses_agree(data, teacher, monkeypatch, extra):
    flags = [
        "--teacher-path",
        teacher,
        "--kd-passes",
        3,
        "--kd-weight",
        0.4,
        "--label-smoothing",
        0.1,
        "--temperature",
        2,
        *extra,
    ]
    task, model, kd_ls = build(data, *flags)
    model.train()
    batch, runs, asked = batch_of(task), [], []
    model.encoder.register_forward_hook(lambda *_: runs.append(1))
    kd_ls._teacher.live.models[0].encoder.layers[0].fc1.register_forward_hook(lambda *_: asked.append(1))
    once = gradients(kd_ls, model, batch)
    assert len(runs) == len(asked) == 1
    gradients(kd_ls, model, batch)
    assert len(runs) == len(asked) == 2  # a batch's sources are never another one's
    results = []
    with monkeypatch.context() as patched:
        patched.setattr(fairseq_io, "own_transformer", lambda model: None)  # whole forwards, as DDP needs them
        patched.setattr(online, "plain_transformer", lambda model: None)
        results.append(gradients(kd_ls, model, batch))
        assert len(runs) == len(asked) == 5
        patched.setattr(kd_ls, "projection", lambda model: None)
        results.append(gradients(kd_ls, model, batch))
    results.append(gradients(lambda model, batch: [composed(kd_ls, model, batch, 3)], model, batch))
    for loss, slopes in results:
        torch.testing.assert_close(loss, once[0], rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(slopes, once[1], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--kd-passes", 0, "--teacher-path", "TEACHER"], "--kd-passes is 0: give 1"),
        (["--kd-passes", 1_000_000, "--teacher-path", "TEACHER"], "--kd-passes is 1000000: give 1"),
        (["--kd-passes", 3, "--kd-weight", 0], "--kd-passes is 3 and --kd-weight is 0: give a weight"),
        (["--kd-passes", 3], "needs a teacher beside it, give --teacher-path"),
        (["--kd-passes", 3, "--teacher-store", "nowhere"], "what the student says is in no store"),
        (["--kd-passes", 3, "--kd-level", "sequence", "--hypotheses", "nowhere"], "does not read --kd-passes"),
        (
            ["--kd-passes", 3, "--kd-level", "both", "--hypotheses", "nowhere"],
            "--kd-passes is 3 and --kd-level is both",
        ),
        (["--kd-passes", 3, "--teacher-path", "TEACHER", "--select", "batch:0.5"], "--select is batch:0.5"),
        (["--kd-passes", 3, "--teacher-path", "TEACHER", "--r-drop", 5], "--kd-passes is 3 and --r-drop is 5"),
        (
            ["--kd-passes", 3, "--teacher-path", "TEACHER", "--self-evolution", "0.5:0.5"],
            "whose prior holds references",
        ),
        (["--kd-passes", 3, "--virtual-teacher", "reg_power"], "needs a teacher beside it, give --teacher-path"),
        (["--kd-passes", 3, "--teacher-path", "TEACHER", "--on-policy", 0.5], "--on-policy is 0.5: both learn from"),
    ],
)
def test_trainings_that_cannot_be_are_refused(flags, part, teacher, untrained):
    untrained(flags, part, TEACHER=teacher)


@pytest.mark.parametrize("name", ["tie", "tie_passes"])
def test_the_files_of_the_method_train_another_student_than_one_pass(data, teacher, tmp_path, name):
    flags = ["--teacher-path", teacher, *given(flags_of(name))]
    folders = [train(data, tmp_path / str(number), *flags, "--kd-passes", number) for number in (3, 1)]
    three, one = (fairseq_io.read_checkpoint(str(folder / "checkpoint_last.pt"), "checkpoint") for folder in folders)
    assert all(bool(weight.isfinite().all()) for weight in three["model"].values())
    assert any(not weight.equal(three["model"][name]) for name, weight in one["model"].items())
    assert flags_of(name)["kd-passes"] == 3 and ("rank" in flags_of(name)) == (name == "tie")
