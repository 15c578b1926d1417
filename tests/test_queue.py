"""A selection's memory: what the queue holds, who may fill it, and that it survives a stop."""

import json
import math
import random
from collections import deque

import pytest
import torch
from conftest import USER_DIR, call, train
from slow import kl, softmax
from test_kd_ls import SENTENCES, TableModel, criterion, make_sample, transitions  # noqa: F401  (a fixture)
from test_sequence_level import workers

from lskd_nmt import fairseq_io
from lskd_nmt.deploy import average, export
from lskd_nmt.fairseq_io import read_checkpoint
from lskd_nmt.losses.loss_queue import LossQueue

KEYS = {"queue.anchor", "queue.losses", "queue.filled"}


def queue_of(path) -> torch.Tensor:
    """The losses in a checkpoint's queue, the oldest first."""
    state = read_checkpoint(str(path), "checkpoint")["criterion"]
    assert state.keys() == KEYS and state["queue.anchor"].item() == 0
    return state["queue.losses"][len(state["queue.losses"]) - int(state["queue.filled"]) :]


@pytest.mark.parametrize("size", [1, 5, 100])
def test_the_queue_is_first_in_first_out(size):
    queue, expected, draw = LossQueue(size), deque(maxlen=size), random.Random(size)
    for number in range(20):
        losses = [draw.random() for _ in range(draw.choice([0, 1, 3, 12]))]
        before = list(expected)
        expected.extend(losses)
        window = queue.push(torch.tensor(losses))
        assert queue.held().tolist() == pytest.approx(list(expected)), number
        assert window.tolist() == pytest.approx((before + losses)[-max(size, len(losses)) :])


@pytest.mark.parametrize("convert", [torch.nn.Module.half, torch.nn.Module.bfloat16, torch.nn.Module.double])
def test_the_queue_stays_in_single_precision(convert):
    queue = LossQueue(3)
    queue.push(torch.tensor([math.pi, math.e], requires_grad=True))
    convert(queue)
    assert queue.losses.dtype == torch.float32 and queue.filled.dtype == torch.long
    queue.push(torch.tensor([0.1], dtype=queue.anchor.dtype))
    assert queue.held()[:2].equal(torch.tensor([math.pi, math.e])) and not queue.held().requires_grad
    restored = LossQueue(3)
    restored.load_state_dict(queue.state_dict())
    assert torch.equal(restored.held(), queue.held())


def tokens(student, teacher, sentences):
    """(NLL, KL) of each token."""
    found = []
    for before, token in transitions(sentences):
        q, p = softmax(student.table[before].tolist()), softmax(teacher.table[before].tolist())
        found.append((-math.log(q[token]), kl(p, q)))
    return found


def by_hand(found, window, share):
    """The objective at λ = 1/2, and the share of the tokens that is selected."""
    least = sorted(window)[-math.ceil(share * len(window))]
    chosen = [kd for nll, kd in found if nll >= least]
    return 0.5 * (sum(nll for nll, _ in found) + sum(chosen)), len(chosen)


def test_the_threshold_is_that_of_the_last_tokens_with_the_batch(criterion):  # noqa: F811
    student, teacher = TableModel(1), TableModel(2)
    kd_ls = criterion([teacher], select="global:0.3:8")
    window = []
    for part in (SENTENCES[:1], SENTENCES[1:], SENTENCES[1:2], SENTENCES):  # 4, 5, 2 and 9 tokens
        found = tokens(student, teacher, part)
        window = (window + [nll for nll, _ in found])[-max(8, len(found)) :]
        loss, _, logs = kd_ls(student, make_sample(*part))
        expected, chosen = by_hand(found, window, 0.3)
        assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
        assert float(logs["kd_selected"]) == chosen and logs["kd_ntokens"] == len(found)
        window = window[-8:]


def test_only_training_fills_the_queue_and_validation_reads_it(criterion):  # noqa: F811
    student, teacher = TableModel(1), TableModel(2)
    kd_ls, sample = criterion([teacher], select="global:0.3:8"), make_sample(*SENTENCES[1:])
    found = tokens(student, teacher, SENTENCES[1:])

    def validated():
        with torch.no_grad():
            return float(kd_ls(student, sample)[0])

    student.eval()
    untrained = by_hand(found, [nll for nll, _ in found], 0.3)[0]  # nothing to remember: the batch stands for all
    assert validated() == pytest.approx(untrained, rel=1e-5)
    student.train()
    assert validated() == pytest.approx(untrained, rel=1e-5)
    loss, *_ = kd_ls.task.train_step(sample, student, kd_ls, None, 1, ignore_grad=True)  # a worker without a batch
    loss.backward()
    assert kd_ls.queue.held().numel() == 0
    kd_ls.task.train_step(make_sample(SENTENCES[0]), student, kd_ls, None, 1)
    student.eval()
    trained = by_hand(found, [nll for nll, _ in tokens(student, teacher, SENTENCES[:1])], 0.3)[0]
    assert validated() == pytest.approx(trained, rel=1e-5)
    assert trained != pytest.approx(untrained, rel=1e-3)
    assert kd_ls.queue.held().numel() == 4


def test_the_criterion_has_state_only_where_it_remembers(criterion):  # noqa: F811
    for select in ("all", "batch:0.5", "hard-gate", "hard-gate-sentence", "gap:2"):
        other = criterion([TableModel(2)], select=select)
        assert list(other.parameters()) == [] and other.state_dict() == {}
    kd_ls = criterion([TableModel(2)], select="global:0.5:10")
    assert kd_ls.state_dict().keys() == KEYS
    loss = kd_ls(TableModel(1), make_sample(*SENTENCES))[0]
    assert loss.shape == ()
    loss.backward()
    assert kd_ls.queue.anchor.grad.tolist() == [0]


def test_a_batch_without_real_tokens_leaves_the_queue(criterion):  # noqa: F811
    student, kd_ls = TableModel(1), criterion([TableModel(2)], select="global:0.5:10")
    loss = kd_ls(student, make_sample([1, 1]))[0]
    loss.backward()
    assert loss.item() == 0 and student.table.grad.eq(0).all() and kd_ls.queue.held().numel() == 0


@pytest.mark.parametrize("select", ["hard-gate", "hard-gate-sentence", "gap:2"])
def test_two_workers_log_the_share_that_one_does(criterion, select):  # noqa: F811
    from fairseq.logging import metrics

    student, kd_ls = TableModel(1), criterion([TableModel(2)], select=select)
    printed = []
    for parts in ([SENTENCES], [SENTENCES[:1], SENTENCES[1:]]):
        with metrics.aggregate(new_root=True) as meters:
            kd_ls.reduce_metrics([kd_ls(student, make_sample(*part))[2] for part in parts])
        printed.append(meters.get_smoothed_values())
    assert 0 < printed[0]["kd_selected"] < 1
    assert printed[0] == pytest.approx(printed[1], abs=2e-3)
    with metrics.aggregate(new_root=True) as meters:
        kd_ls.reduce_metrics([criterion([TableModel(2)])(student, make_sample(*SENTENCES))[2]])
    assert "kd_selected" not in meters.get_smoothed_values()


@pytest.fixture
def alone(tmp_path):
    """A process group of one."""
    from fairseq.distributed import utils as distributed_utils

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
    distributed_utils.get_global_group.__dict__.pop("_global_group", None)  # fairseq keeps it


def test_under_torchs_ddp_the_criterion_is_the_same(criterion, alone):  # noqa: F811
    from fairseq.distributed import ModuleProxyWrapper

    found = []
    for parallel in (False, True):
        student, kd_ls = TableModel(1), criterion([TableModel(2)], select="global:0.5:10")
        wrapped = ModuleProxyWrapper(torch.nn.parallel.DistributedDataParallel(kd_ls)) if parallel else kd_ls
        for part in (SENTENCES[:1], SENTENCES[1:]):
            wrapped(student, make_sample(*part))[0].backward()
        assert wrapped.state_dict().keys() == KEYS
        found.append((student.table.grad, wrapped.state_dict()["queue.losses"], kd_ls.queue.anchor.grad))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture(scope="module")
def remembering(data, teacher, tmp_path_factory):
    """Four epochs of a student that remembers some batches' losses, in one go."""
    folder = tmp_path_factory.mktemp("remembering")
    return train(data, folder, "--teacher-path", teacher, "--select", "global:0.3:150", "--max-epoch", 4)


def test_resumed_training_equals_one_never_stopped_queue_included(data, teacher, remembering, tmp_path):
    kd = "--teacher-path", teacher, "--select", "global:0.3:150"
    train(data, tmp_path, *kd, "--max-update", 5)  # stops in the middle of the second epoch
    stopped = queue_of(tmp_path / "checkpoint_last.pt")
    train(data, tmp_path, *kd, "--max-epoch", 4)
    whole, resumed = (folder / "checkpoint_last.pt" for folder in (remembering, tmp_path))
    assert torch.equal(queue_of(whole), queue_of(resumed)) and not torch.equal(queue_of(whole), stopped)
    one, two = (read_checkpoint(str(path), "checkpoint")["model"] for path in (whole, resumed))
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_in_half_precision_it_does_too_and_the_queue_is_not_rounded(data, teacher, tmp_path):
    kd = ["--teacher-path", teacher, "--select", "global:0.3:150"]
    kd += ["--fp16", "--memory-efficient-fp16", "--fp16-init-scale", 4]
    for folder, flag, stop in (("whole", "epoch", 3), ("resumed", "update", 5), ("resumed", "epoch", 3)):
        train(data, tmp_path / folder, *kd, f"--max-{flag}", stop)
    whole, resumed = (queue_of(tmp_path / name / "checkpoint_last.pt") for name in ("whole", "resumed"))
    assert torch.equal(whole, resumed) and not torch.equal(whole, whole.half().float())


def test_a_student_that_remembers_may_start_from_one_that_does_not(data, teacher, tmp_path):
    train(
        data,
        tmp_path / "new",
        "--teacher-path",
        teacher,
        "--finetune-from-model",
        teacher,
        "--max-epoch",
        1,
        "--select",
        "global:0.3:1000",
        "--no-epoch-checkpoints",
        "--required-batch-size-multiple",
        1,
    )
    (dataset,) = fairseq_io.translation_data(str(data), ("aa", "bb"), "train")
    tokens_of_an_epoch = sum(len(pair["target"]) for pair in (dataset[number] for number in range(len(dataset))))
    assert len(queue_of(tmp_path / "new" / "checkpoint_last.pt")) == tokens_of_an_epoch < 1000


def test_a_checkpoint_with_a_queue_is_averaged_decoded_and_exported(data, remembering, tmp_path, capsys):
    from ctranslate2.converters import FairseqConverter
    from fairseq_cli import generate

    mean = tmp_path / "mean.pt"
    average.average([remembering / f"checkpoint{epoch}.pt" for epoch in (3, 4)], mean)
    assert torch.equal(queue_of(mean), queue_of(remembering / "checkpoint4.pt"))
    capsys.readouterr()
    call(
        generate.cli_main,
        "fairseq-generate",
        data,
        "--path",
        mean,
        "--gen-subset",
        "test",
        "--user-dir",
        USER_DIR,
        "--required-batch-size-multiple",
        1,
        "--beam",
        2,
        "--cpu",
    )
    assert sum(line.startswith("H-") for line in capsys.readouterr().out.splitlines()) == 12
    FairseqConverter(str(mean), str(data), user_dir=str(USER_DIR)).convert(str(tmp_path / "ct2"))
    assert (tmp_path / "ct2" / "model.bin").is_file()
    stock = export.stock_state(read_checkpoint(str(mean), "checkpoint"))
    assert "criterion" not in stock and not [name for name in stock["model"] if "queue" in name]


@pytest.fixture(scope="module")
def nine(data, tmp_path_factory):
    """The first nine sentence pairs of `data`: of batches of one sentence, two workers have five and four."""
    folder = tmp_path_factory.mktemp("nine")
    for file in data.iterdir():
        if not file.name.startswith("train."):
            (folder / file.name).write_bytes(file.read_bytes())
    (dataset,) = fairseq_io.translation_data(str(data), ("aa", "bb"), "train")
    pairs = [(dataset[number]["source"], dataset[number]["target"]) for number in range(9)]
    fairseq_io.write_pairs(str(folder), ("aa", "bb"), "train", pairs, (len(dataset.src_dict), len(dataset.tgt_dict)))
    return folder


def test_two_workers_fill_one_queue_as_one_worker_does(nine, teacher, tmp_path):
    """All tokens are selected, so that the students are the same; the last batch of one worker is none of its own."""
    flags = ["--teacher-path", teacher, "--select", "global:1:40", "--batch-size", 1, "--max-epoch", 2]
    flags += ["--required-batch-size-multiple", 1, "--dropout", 0, "--optimizer", "sgd", "--lr", 0.1]
    two = workers(nine, tmp_path / "two", *flags)
    one = train(nine, tmp_path / "one", *flags, "--update-freq", 2)
    theirs, ours = (queue_of(tmp_path / name / "checkpoint_last.pt") for name in ("one", "two"))
    assert len(theirs) == 40
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    for name, weight in read_checkpoint(str(one / "checkpoint_last.pt"), "checkpoint")["model"].items():
        torch.testing.assert_close(two["model"][name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("select", ["global:0.5:100", "hard-gate", "hard-gate-sentence", "gap:1"])
def test_training_logs_the_share_of_tokens_that_it_distils(data, teacher, tmp_path, select, caplog):
    with caplog.at_level("INFO"):
        train(
            data,
            tmp_path,
            "--teacher-path",
            teacher,
            "--select",
            select,
            "--max-epoch",
            1,
            "--no-save",
            "--log-format",
            "json",
        )
    lines = [record.getMessage() for record in caplog.records]
    (logged,) = (json.loads(line) for line in lines if '"train_kd_selected"' in line)
    assert 0 <= float(logged["train_kd_selected"]) <= 1
    (logged,) = (json.loads(line) for line in lines if '"valid_kd_selected"' in line)
    assert 0 <= float(logged["valid_kd_selected"]) <= 1


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--select", "batch:0.5", "--kd-weight", 0], "--select is batch:0.5 and --kd-weight is 0"),
        (["--select", "global:0.5:100", "--ddp-backend", "fully_sharded"], "--ddp-backend is fully_sharded"),
        (["--select", "gap:1", "--kd-level", "both", "--hypotheses", "there"], "--select is gap:1, which chooses"),
    ],
)
def test_selections_that_cannot_be_are_refused(flags, part, teacher, untrained):
    untrained(["--teacher-path", teacher, *flags], part)


def test_a_queue_of_another_size_keeps_the_last_losses():
    before = LossQueue(4)
    before.push(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    for size, held in ((2, [4.0, 5.0]), (4, [2.0, 3.0, 4.0, 5.0]), (6, [2.0, 3.0, 4.0, 5.0])):
        after = LossQueue(size)
        after.load_state_dict(before.state_dict())
        assert after.held().tolist() == held
        assert after.push(torch.tensor([6.0])).tolist() == [*held, 6.0][-size:]
