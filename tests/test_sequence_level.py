"""Training on a teacher's translations: the equation, one encoder pass or whole forwards, and all that is refused."""

import random
import subprocess
import sys

import numpy as np
import pytest
import slow
import torch
from conftest import ROOT, batch_of, build, gradients, train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import DictionaryPair, read_checkpoint
from lskd_nmt.seqkd import store as stores
from lskd_nmt.seqkd.store import HypothesisStore
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.pair_keys import pair_key
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.vocabulary import stored_as

LANGS = ("aa", "bb")
EOS, PAD = 2, 1


@pytest.fixture(scope="module")
def hypotheses(data, teacher, tmp_path_factory):
    """A store in which the sentences have 0, 1, 2 or 3 hypotheses of random symbols, whatever the teacher."""
    draw = random.Random(5)
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    chosen, pairs = {}, []
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    for number in range(len(dataset)):
        source, target = (dataset[number][side].numpy() for side in ("source", "target"))
        ids = [
            np.array([*draw.choices(range(4, len(symbols.target)), k=draw.randint(1, 6)), EOS])
            for _ in range(number % 4)
        ]
        chosen.setdefault(pair_key(source, target), [(each, -1.0) for each in ids])
        pairs += [(source, each) for each in ids]
    folder = tmp_path_factory.mktemp("hypotheses")
    (folder / "bin").mkdir()
    fairseq_io.write_pairs(str(folder / "bin"), LANGS, "train", pairs, (len(symbols.source), len(symbols.target)))
    for lang in LANGS:
        (folder / "bin" / f"dict.{lang}.txt").write_bytes((data / f"dict.{lang}.txt").read_bytes())
    facts = stores.HypothesesHeader(
        symbols=stored_as(symbols),
        data=data_hashes(str(data), LANGS, ("train",)),
        split="train",
        decoded=[stores.DecodedFrom(teacher=[Origin("t.pt", sha256(teacher))])],
    )
    stores.write(folder, chosen, facts)
    return folder


def flags_of(level, hypotheses, teacher, *extra):
    words = ["--kd-level", level, "--hypotheses", hypotheses, *extra]
    return [*words, "--teacher-path", teacher] if level == "both" else words


def logits_alone(model, source, target):
    """Logits of one sentence pair without padding, as lists."""
    net_input, _ = fairseq_io.net_input([(torch.tensor(source), torch.tensor(target))], PAD, EOS)
    with torch.no_grad():
        return model(**net_input)[0][0].tolist()


@pytest.mark.parametrize("level", ["sequence", "both"])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_loss_is_the_equation_sentence_by_sentence(level, weight, data, teacher, hypotheses):
    from lskd_nmt.teacher.source import pairs_of

    temperature = 2.0 if level == "both" else 1.0
    extra = "--kd-weight", weight, "--label-smoothing", 0.1, "--temperature", temperature
    task, model, criterion = build(data, *flags_of(level, hypotheses, teacher, *extra))
    model.train()
    batch = batch_of(task)
    loss, sample_size, logs = criterion(model, batch)
    pairs = pairs_of(batch["net_input"], batch["target"], criterion._teacher.pads)
    found = HypothesisStore.open(hypotheses).lookup(pairs)
    assert {len(each) for each in found} >= {0, 1, 2, 3}
    expected = reference_nll = sequence = divergence = 0.0
    for (source, target), each in zip(pairs, found, strict=True):
        for z, y in zip(logits_alone(model, source, target), target, strict=True):
            label = slow.smoothed_label(len(z), y, 0.1, "others")
            expected += (1 - weight) * slow.cross_entropy(label, slow.softmax(z))
            reference_nll -= np.log(slow.softmax(z)[y])
        for ids in each:
            theirs = [None] * len(ids)
            if level == "both":
                theirs = logits_alone(criterion._teacher.live.models[0], source, ids)
            for z, z_teacher, y in zip(logits_alone(model, source, ids), theirs, ids, strict=True):
                nll = -np.log(slow.softmax(z)[y])
                kl = 0.0 if z_teacher is None else slow.kl(slow.softmax(z_teacher, 2.0), slow.softmax(z, 2.0))
                expected += weight / len(each) * (nll + temperature**2 * kl)
                sequence, divergence = sequence + nll, divergence + kl
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(logs["nll_loss"]) == pytest.approx(reference_nll, rel=1e-4)
    assert float(logs["seq_loss"]) == pytest.approx(sequence, rel=1e-4)
    assert logs["seq_ntokens"] == sum(len(ids) for each in found for ids in each)
    assert sample_size == logs["ntokens"] == batch["ntokens"]
    if level == "both":
        assert float(logs["kd_loss"]) == pytest.approx(divergence, rel=1e-3)


@pytest.mark.parametrize("level", ["sequence", "both"])
def test_one_encoder_pass_whole_forwards_and_dense_logits_agree(level, data, teacher, hypotheses, monkeypatch):
    extra = "--kd-weight", 0.6, "--label-smoothing", 0.1, "--dropout", 0
    task, model, criterion = build(data, *flags_of(level, hypotheses, teacher, *extra))
    model.train()
    batch, passes = batch_of(task), []
    model.encoder.register_forward_hook(lambda *_: passes.append(1))
    once = gradients(criterion, model, batch)
    assert len(passes) == 1
    monkeypatch.setattr(fairseq_io, "own_transformer", lambda model: None)
    whole = gradients(criterion, model, batch)
    assert len(passes) == 3
    monkeypatch.setattr(criterion, "projection", lambda model: None)
    dense = gradients(criterion, model, batch)
    for other in (whole, dense):
        torch.testing.assert_close(other[0], once[0], rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(other[1], once[1], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_at_full_weight_the_reference_is_logged_and_costs_no_gradient(data, teacher, hypotheses):
    task, model, criterion = build(data, *flags_of("sequence", hypotheses, teacher, "--kd-weight", 1))
    model.train()
    batch = batch_of(task)
    both = gradients(criterion, model, batch)[1]
    batch["net_input"]["prev_output_tokens"] = torch.full_like(batch["net_input"]["prev_output_tokens"], 7)
    for ours, theirs in zip(gradients(criterion, model, batch)[1], both, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_a_batch_without_hypotheses_keeps_its_references_share(weight, data, teacher, hypotheses):
    task, model, criterion = build(data, *flags_of("sequence", hypotheses, teacher, "--kd-weight", weight))
    model.train()
    batch = batch_of(task)
    dataset = task.dataset("train")
    batch = dataset.collater([dataset[number] for number in range(0, 20, 4)])
    loss, _, logs = criterion(model, batch)
    assert float(loss.detach()) == pytest.approx((1 - weight) * float(logs["nll_loss"]), rel=1e-5)
    assert logs["seq_ntokens"] == 0 and loss.requires_grad


def test_in_validation_the_reference_alone_counts(data, teacher, hypotheses):
    task, model, criterion = build(data, *flags_of("both", hypotheses, teacher, "--kd-weight", 1, "--temperature", 2))
    task.load_dataset("valid")
    dataset = task.dataset("valid")
    batch = dataset.collater([dataset[number] for number in range(5)])
    model.eval()
    loss, _, logs = criterion(model, batch)
    assert float(loss.detach()) == float(logs["nll_loss"]) > 0 and "kd_loss" not in logs


@pytest.mark.parametrize("keep", ["top-k", "features"])
def test_the_teacher_store_of_the_hypotheses_stands_for_the_teacher(keep, data, teacher, hypotheses, tmp_path):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    call = ["teacher-store", "--teacher-path", teacher, "--data", hypotheses / "bin", "--splits", "train"]
    call += ["--keep", keep, "--precision", "fp32", "--out", tmp_path / "store"]
    call += ["--top-k", len(symbols.target)] if keep == "top-k" else []
    assert cli.main(list(map(str, call))) == 0
    words = ["--kd-level", "both", "--hypotheses", hypotheses, "--kd-weight", 0.7, "--temperature", 2]
    task, model, stored = build(data, *words, "--teacher-store", tmp_path / "store")
    live = build(data, *words, "--teacher-path", teacher)[2]
    model.train()
    batch = batch_of(task)
    for ours, theirs in zip(gradients(stored, model, batch)[1], gradients(live, model, batch)[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.fixture
def alone(tmp_path):
    """A process group of one."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("level, weight", [("sequence", 0.6), ("both", 1.0)])
def test_under_torchs_ddp_whole_forwards_give_the_same_gradients(level, weight, data, teacher, hypotheses, alone):
    from fairseq.distributed import ModuleProxyWrapper

    task, model, criterion = build(data, *flags_of(level, hypotheses, teacher, "--kd-weight", weight, "--dropout", 0))
    model.train()
    batch, passes = batch_of(task), []
    expected = gradients(criterion, model, batch)[1]
    wrapped = ModuleProxyWrapper(torch.nn.parallel.DistributedDataParallel(model))
    model.encoder.register_forward_hook(lambda *_: passes.append(1))
    criterion(wrapped, batch)[0].backward()  # its reducer needs .backward()
    assert len(passes) == 2
    for parameter, slope in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, slope, rtol=1e-3, atol=1e-5)


def workers(data, save_dir, *flags):
    """Two processes that train together on the CPU."""
    port = random.Random(str(save_dir)).randint(20000, 60000)
    code = "import sys; from conftest import train; train(sys.argv[1], sys.argv[2], *sys.argv[3:])"
    words = ["--distributed-world-size", 2, "--distributed-init-method", f"tcp://localhost:{port}"]
    words += ["--distributed-no-spawn", "--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    started = []
    for rank in range(2):
        call = sys.executable, "-c", code, data, save_dir, *flags, *words, "--distributed-rank", rank
        started.append(subprocess.Popen(list(map(str, call)), cwd=ROOT / "tests", stderr=subprocess.PIPE, text=True))
    for worker in started:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors[-2000:]
    return read_checkpoint(str(save_dir / "checkpoint_last.pt"), "checkpoint")


@pytest.mark.long
def test_two_workers_train_the_student_that_one_trains(data, teacher, hypotheses, tmp_path):
    kd = [*flags_of("both", hypotheses, teacher), "--dropout", 0, "--max-tokens", 40, "--no-epoch-checkpoints"]
    kd += ["--optimizer", "sgd", "--lr", 0.1]  # Adam makes rounding as large as any gradient
    two = workers(data, tmp_path / "two", *kd)
    one = train(data, tmp_path / "one", *kd, "--update-freq", 2)
    one = read_checkpoint(str(one / "checkpoint_last.pt"), "checkpoint")
    assert one["optimizer_history"][-1]["num_updates"] == two["optimizer_history"][-1]["num_updates"] > 5
    for name, weight in one["model"].items():
        torch.testing.assert_close(two["model"][name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("select", ["all", "global:0.5:50"])
def test_workers_without_hypotheses_or_without_a_batch_train_along(select, data, teacher, hypotheses, tmp_path):
    """Batches of one sentence: of some the filters left no hypothesis, and one worker has a batch more."""
    odd = tmp_path / "bin"
    odd.mkdir()
    for file in data.iterdir():
        if not file.name.startswith("train."):
            (odd / file.name).write_bytes(file.read_bytes())
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    pairs = [(dataset[number]["source"], dataset[number]["target"]) for number in range(9)]
    fairseq_io.write_pairs(str(odd), LANGS, "train", pairs, (len(dataset.src_dict), len(dataset.tgt_dict)))
    flags = "--batch-size", 1, "--required-batch-size-multiple", 1, "--max-epoch", 1
    state = workers(odd, tmp_path / "m", *flags_of("both", hypotheses, teacher, "--select", select), *flags)
    assert state["optimizer_history"][-1]["num_updates"] == 5
    assert all(bool(weight.isfinite().all()) for weight in state["model"].values())


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--kd-level", "word", "--teacher-path", "TEACHER", "--hypotheses", "STORE"], "--kd-level is word"),
        (["--kd-level", "sequence"], "--hypotheses is not given"),
        (["--kd-level", "sequence", "--hypotheses", "nowhere"], "nowhere has no hypotheses.json"),
        (["--kd-level", "sequence", "--hypotheses", "STORE", "--kd-weight", "0"], "--kd-weight is 0"),
        (["--kd-level", "sequence", "--hypotheses", "STORE", "--temperature", "2"], "does not read --temperature"),
        (
            ["--kd-level", "sequence", "--hypotheses", "STORE", "--teacher-path", "TEACHER"],
            "does not read --teacher-path",
        ),
        (
            ["--kd-level", "both", "--hypotheses", "STORE", "--teacher-path", "OTHER"],
            "are of another teacher (t.pt) than",
        ),
        (["--kd-level", "sequence", "--hypotheses", "STORE", "--truncate-source"], "leave out --truncate-source"),
        (["--kd-level", "sequence", "--hypotheses", "STORE", "--max-target-positions", "4"], "up to 7 subwords"),
        (["--kd-level", "both", "--hypotheses", "STORE"], "neither --teacher-path nor --teacher-store is given"),
    ],
)
def test_trainings_that_cannot_be_are_refused(flags, part, teacher, hypotheses, tmp_path, untrained):
    other = tmp_path / "other.pt"
    other.write_bytes(teacher.read_bytes() + b" ")
    untrained(flags, part, TEACHER=teacher, STORE=hypotheses, OTHER=other)


def test_hypotheses_of_other_data_or_words_are_refused(data, hypotheses, plugin):
    opened = HypothesisStore.open(hypotheses)
    with pytest.raises(LskdError, match=r"lacks the sentence pair 'a </s>' / 'a a </s>'"):
        a = opened.header.symbols.source.index("a")
        opened.lookup([(np.array([a, EOS]), np.array([a, a, EOS]))])
    theirs = opened.header.symbols
    other = DictionaryPair(theirs.source, [*theirs.target[:-1], "zzz"], LANGS)
    with pytest.raises(LskdError, match="zzz"):
        stores.check(str(hypotheses), other)
