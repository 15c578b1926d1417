"""Distillation on the student's own samples: what is sampled, when, what is learned, and that it resumes."""

import json
import math
from collections import Counter

import pytest
import torch
from conftest import batch_of, build, gradients, train
from test_method_training import flags_of, given
from test_sequence_level import workers

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import read_checkpoint

PAD, EOS = 1, 2


@pytest.fixture
def student(data, teacher):
    """`student(share, *flags)`: task, model and criterion; the untrained model's symbols are far from even."""

    def make(share="1", *flags):
        task, model, criterion = build(data, "--teacher-path", teacher, "--on-policy", share, *flags)
        generator = torch.Generator().manual_seed(5)
        weight = model.decoder.output_projection.weight.data
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.6)
        return task, model.train(), criterion

    return make


def own(criterion, model, batch, update=0):
    """The batch of the model's samples at an update."""
    criterion._on_policy.updates.made = update
    return criterion._on_policy.sampled(model, batch, 1000)


def test_samples_end_at_the_end_symbol_or_at_their_limit(student):
    task, model, criterion = student()
    batch = batch_of(task, 30)
    found = own(criterion, model, batch)
    target, previous = found["target"], found["net_input"]["prev_output_tokens"]
    limits = (batch["net_input"]["src_lengths"] * 1.2 + 10).long().tolist()
    lengths = []
    for row, limit in zip(target.tolist(), limits, strict=True):
        symbols = [symbol for symbol in row if symbol != PAD]
        assert row == symbols + [PAD] * (len(row) - len(symbols))
        assert EOS not in symbols[:-1] and len(symbols) <= limit
        assert symbols[-1] == EOS or len(symbols) == limit
        lengths.append((len(symbols), symbols[-1] == EOS))
    assert {ended for _, ended in lengths} == {True, False}  # both kinds are among them
    assert found["ntokens"] == sum(length for length, _ in lengths)
    for row, start in zip(target.tolist(), previous.tolist(), strict=True):
        length = len(row) - row.count(PAD)
        assert start == [EOS, *row[: length - 1], *[PAD] * (len(row) - length)]


def test_samples_are_no_longer_than_student_or_teacher_can_take(student):
    task, model, criterion = student("1", "--max-target-positions", 4)
    batch = batch_of(task, 60)
    assert criterion._on_policy.sampled(model, batch, 1000)["target"].size(1) == 4
    assert criterion._on_policy.sampled(model, batch, 3)["target"].size(1) == 3


def test_symbols_come_as_often_as_the_model_finds_them_probable(student):
    """The first symbol against its probability; all, decoded one by one, against those of one parallel pass."""
    task, model, criterion = student()
    batch = batch_of(task, 1)
    many = {
        "id": torch.arange(4000),
        "net_input": {
            "src_tokens": batch["net_input"]["src_tokens"].repeat(4000, 1),
            "src_lengths": batch["net_input"]["src_lengths"].repeat(4000),
        },
    }
    found = own(criterion, model, many)
    model.eval()
    with torch.no_grad():
        log_q = model(**found["net_input"])[0].log_softmax(-1)
    q = log_q[0, 0].exp()
    counts = Counter(found["target"][:, 0].tolist())
    assert counts[PAD] == 0
    for symbol, share in enumerate((q / (1 - q[PAD])).tolist()):
        if symbol != PAD:
            assert counts[symbol] / 4000 == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 4000))
    real = found["target"].ne(PAD)
    log_q[..., PAD] = -math.inf
    log_q = log_q.log_softmax(-1)[real]
    nll = -log_q.gather(-1, found["target"][real].unsqueeze(-1)).squeeze(-1)
    entropy = -(log_q.exp() * log_q.clamp(min=-1e9)).sum(-1)
    assert float(nll.mean()) == pytest.approx(float(entropy.mean()), abs=5 * float(nll.std()) / math.sqrt(len(nll)))
    assert float(nll.std()) > 0.3  # the symbols are not all alike, so that the mean says something


def test_samples_depend_on_seed_update_and_batch_alone(student):
    task, model, criterion = student()
    batch = batch_of(task, 30)
    before = torch.get_rng_state()
    first = own(criterion, model, batch, update=3)["target"]
    assert torch.get_rng_state().equal(before) and model.training
    torch.manual_seed(99)
    assert own(criterion, model, batch, update=3)["target"].equal(first)
    assert not own(criterion, model, batch, update=4)["target"].equal(first)
    assert not own(criterion, model, {**batch, "id": batch["id"] + 1}, update=3)["target"].equal(first)
    criterion._on_policy.seed += 1
    assert not own(criterion, model, batch, update=3)["target"].equal(first)


def test_dropout_is_off_while_sampling(student):
    task, model, criterion = student("1", "--dropout", 0.5)
    batch = batch_of(task)
    torch.manual_seed(1)
    first = own(criterion, model, batch)["target"]
    torch.manual_seed(2)
    assert own(criterion, model, batch)["target"].equal(first)


def test_the_share_is_that_of_the_updates(student):
    _, _, criterion = student("0:0.6:1000")
    policy, turns = criterion._on_policy, []
    for update in range(4000):
        policy.updates.made = update
        turns.append(policy.turn())
    assert sum(turns[1000:]) / 3000 == pytest.approx(0.6, abs=5 * math.sqrt(0.24 / 3000))
    assert sum(turns[:1000]) / 1000 == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 1000))
    assert not turns[0]


@pytest.mark.parametrize("divergence", ["forward", "reverse", "jsd:0.1"])
def test_the_loss_is_the_divergence_alone_on_the_samples(student, data, teacher, divergence):
    """Both ways to it: a batch prepared beforehand, and the plain criterion of weight 1."""
    flags = "--temperature", 2, "--divergence", divergence
    task, model, criterion = student("1", *flags, "--kd-weight", 0.3, "--label-smoothing", 0.1, "--report-accuracy")
    _, _, plain = build(data, "--teacher-path", teacher, *flags, "--kd-weight", 1)
    batch = batch_of(task)
    prepared = own(criterion, model, batch)
    loss, slopes = gradients(criterion, model, batch)
    expected, theirs = gradients(plain, model, prepared)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(slopes, theirs)
    _, sample_size, logs = criterion(model, batch)
    assert sample_size == logs["ntokens"] == logs["policy_ntokens"] == prepared["ntokens"] != batch["ntokens"]
    assert float(logs["policy_loss"]) == pytest.approx(float(loss) / 4, rel=1e-5)
    assert logs["nll_loss"] == 0 and not logs.keys() & {"kd_loss", "kd_ntokens", "n_correct"}


def test_a_batch_of_references_and_validation_are_as_without(student, data, teacher):
    task, model, criterion = student("0:1:1000000")
    _, _, plain = build(data, "--teacher-path", teacher)
    batch = batch_of(task)
    before = {name: tensor.clone() for name, tensor in batch["net_input"].items()}
    assert criterion(model, batch)[0].equal(plain(model, batch)[0])
    criterion._on_policy.updates.made = 10**6  # from now on all are samples
    assert criterion(model, batch)[2].keys() >= {"policy_loss"}
    assert all(batch["net_input"][name].equal(tensor) for name, tensor in before.items())
    model.eval()
    assert criterion(model, batch)[0].equal(plain(model, batch)[0])


def test_means_are_of_references_or_of_samples(plugin, student):
    from fairseq.logging import metrics

    _, _, criterion = student()
    references = {
        "loss": 8.0,
        "nll_loss": 6.0,
        "kd_loss": 4.0,
        "kd_ntokens": 4,
        "ntokens": 4,
        "sample_size": 4,
        "nsentences": 2,
    }
    samples = {
        "loss": 3.0,
        "nll_loss": 0.0,
        "policy_loss": 3.0,
        "policy_ntokens": 6,
        "ntokens": 6,
        "sample_size": 6,
        "nsentences": 2,
    }
    printed = []
    for logs in ([references], [samples], [references, samples]):
        with metrics.aggregate(new_root=True) as meters:
            criterion.reduce_metrics(logs)
        printed.append(meters.get_smoothed_values())
    bits = 1 / math.log(2)
    assert printed[2]["loss"] == pytest.approx(11 / 10 * bits, abs=1e-3)
    for values in (printed[0], printed[2]):
        assert values["nll_loss"] == pytest.approx(6 / 4 * bits, abs=1e-3)
        assert values["kd_loss"] == pytest.approx(bits, abs=1e-3)
    for values in (printed[1], printed[2]):
        assert values["policy_loss"] == pytest.approx(bits / 2, abs=1e-3)
    assert not printed[1].keys() & {"nll_loss", "ppl", "kd_loss"}


@pytest.mark.parametrize("form", ["json", "simple", "tqdm"])
def test_a_window_without_references_has_no_accuracy(data, teacher, tmp_path, form, caplog):
    """Every update is the student's but for the validation's: a derived meter outlives the reset of what it divides."""
    with caplog.at_level("INFO"):
        train(
            data,
            tmp_path,
            "--teacher-path",
            teacher,
            "--on-policy",
            "0:1:2",
            "--report-accuracy",
            "--seed",
            1,
            "--log-interval",
            1,
            "--log-format",
            form,
            "--max-update",
            4,
            "--no-save",
        )
    if form == "json":
        logged = [json.loads(record.getMessage()) for record in caplog.records if record.name == "train_inner"]
        values = [(float(each["accuracy"]), "policy_loss" in each) for each in logged if "accuracy" in each]
        assert any(math.isnan(accuracy) for accuracy, _ in values)
        assert any(accuracy >= 0 for accuracy, _ in values)


def test_a_resumed_training_equals_one_never_stopped(data, teacher, tmp_path):
    flags = "--teacher-path", teacher, "--on-policy", "0.2:0.8:10", "--temperature", 2
    train(data, tmp_path / "whole", *flags, "--max-epoch", 3)
    train(data, tmp_path / "parts", *flags, "--max-update", 5)
    train(data, tmp_path / "parts", *flags, "--max-epoch", 3)
    whole, parts = (
        read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint")["model"]
        for name in ("whole", "parts")
    )
    for name, weight in whole.items():
        assert weight.equal(parts[name]), name


def test_the_file_of_the_method_samples_in_half_of_the_updates(data, teacher, tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(
            data,
            tmp_path,
            "--teacher-path",
            teacher,
            *given(flags_of("on_policy")),
            "--no-save",
            "--max-epoch",
            6,
            "--log-format",
            "json",
            "--log-interval",
            1,
        )
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "train_inner"]
    sampled = [line["loss"] == line.get("policy_loss") for line in lines]
    of_references = [line["loss"] == line.get("kd_loss") for line in lines]
    assert len(lines) == 24 and 4 < sum(sampled) < 20
    assert [not each for each in sampled] == of_references  # at full weight there is no hard term in either


def test_two_workers_train_the_student_that_one_trains(data, teacher, tmp_path):
    flags = [
        "--teacher-path",
        teacher,
        "--on-policy",
        0.5,
        "--dropout",
        0,
        "--max-tokens",
        40,
        "--no-epoch-checkpoints",
        "--optimizer",
        "sgd",
        "--lr",
        0.1,
    ]
    two = workers(data, tmp_path / "two", *flags)
    one = read_checkpoint(str(train(data, tmp_path / "one", *flags, "--update-freq", 2) / "checkpoint_last.pt"), "it")
    assert one["optimizer_history"][-1]["num_updates"] == two["optimizer_history"][-1]["num_updates"] > 5
    for name, weight in one["model"].items():
        torch.testing.assert_close(two["model"][name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--on-policy", 1.5, "--teacher-path", "TEACHER"], "--on-policy is 1.5: give S, or S:E:UPDATES"),
        (["--on-policy", 0.5, "--kd-weight", 0], "--on-policy is 0.5 and --kd-weight is 0: give a weight"),
        (["--on-policy", 0.5], "needs a teacher beside it, give --teacher-path"),
        (["--on-policy", 0.5, "--teacher-store", "nowhere"], "what the student says is in no store"),
        (["--on-policy", 0.5, "--kd-level", "sequence", "--hypotheses", "nowhere"], "does not read --on-policy"),
        (["--on-policy", 0.5, "--teacher-path", "TEACHER", "--select", "batch:0.5"], "--select is batch:0.5"),
        (["--on-policy", 0.5, "--teacher-path", "TEACHER", "--r-drop", 5], "--on-policy is 0.5 and --r-drop is 5"),
        (
            ["--on-policy", 0.5, "--teacher-path", "TEACHER", "--self-evolution", "0.5:0.5"],
            "whose prior holds references",
        ),
        (["--on-policy", 0.5, "--teacher-path", "TEACHER", "--ignore-prefix-size", 1], "--ignore-prefix-size is 1"),
        (["--on-policy", 0.5, "--teacher-path", "TEACHER", "--ddp-backend", "fully_sharded"], "is fully_sharded"),
    ],
)
def test_trainings_that_cannot_be_are_refused(flags, part, teacher, untrained):
    untrained(flags, part, TEACHER=teacher)


def test_models_that_cannot_be_sampled_from_are_refused(student):
    from fairseq.models import FairseqDecoder

    task, model, criterion = student()
    model.decoder = FairseqDecoder(task.target_dictionary)
    model.decoder.max_positions = lambda: 100
    with pytest.raises(LskdError, match="symbol by symbol, which FairseqDecoder cannot"):
        own(criterion, model, batch_of(task))
