"""Training on a teacher's translations: the equation, one encoder pass or whole forwards, and all that is refused."""

import itertools
import random
import subprocess
import sys
from collections import Counter

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


def drawing(data, hypotheses, number, *flags):
    """`at(update, batch)`: loss and gradients of N drawn hypotheses; and the task."""
    words = flags_of("sequence", hypotheses, None, "--kd-weight", 0.7, "--hypotheses-drawn", number, *flags)
    task, model, criterion = build(data, *words)
    model.train()

    def at(update, batch):
        criterion._updates.made = update
        return gradients(criterion, model, batch)

    return at, task


@pytest.mark.parametrize("level", ["sequence", "both"])
@pytest.mark.parametrize("number", [1, 2])
def test_the_mean_over_all_draws_is_the_loss_of_all_hypotheses(number, level, data, teacher, hypotheses, monkeypatch):
    """Of sentences with 0 to 3 hypotheses: the m-th of their draws in turn, until each had as many turns as others."""
    extra = "--kd-weight", 0.7, "--hypotheses-drawn", number
    task, model, criterion = build(data, *flags_of(level, hypotheses, teacher, *extra))
    model.train().double()
    if level == "both":
        criterion._teacher.live.models[0].double()
    batch, turns, losses, tokens = batch_of(task), 6, [], []
    for turn in range(turns):  # 6 is a multiple of the 1, 2 or 3 draws of a sentence

        def drawn(key, count, turn=turn):
            draws = [*itertools.combinations(range(count), min(number, count))]
            return draws[turn % len(draws)]

        monkeypatch.setattr(criterion, "_drawn", drawn)
        loss, slopes = gradients(criterion, model, batch)
        losses.append((loss, slopes))
        tokens.append(criterion(model, batch)[2]["seq_ntokens"])
    monkeypatch.setattr(criterion, "_drawn", stores.every_one)
    loss, slopes = gradients(criterion, model, batch)
    assert len({float(each) for each, _ in losses}) > 1  # draws differ
    # in double precision but for the shares 1/M and 1/N, which are single: 6e-8
    torch.testing.assert_close(sum(each for each, _ in losses) / turns, loss, rtol=1e-7, atol=0)
    for place, slope in enumerate(slopes):
        mean = sum(each[place] for _, each in losses) / turns
        torch.testing.assert_close(mean, slope, rtol=1e-6, atol=1e-6)
    assert max(tokens) < criterion(model, batch)[2]["seq_ntokens"]


def test_each_subset_of_a_sentences_hypotheses_is_drawn_as_often_as_any_other(plugin):
    from types import SimpleNamespace

    from user_dir.criterions.hypotheses import Drawn

    updates = SimpleNamespace(made=0)
    drawn, found = Drawn(SimpleNamespace(hypotheses_drawn=2, seed=1), updates), Counter()
    for update in range(3000):
        updates.made = update
        found[tuple(drawn(2**63 + 5, 4))] += 1
    assert set(found) == set(itertools.combinations(range(4), 2))
    expected = 3000 / 6
    assert sum((count - expected) ** 2 / expected for count in found.values()) < 20.5  # χ² of 5 degrees at p = 0.001


def test_a_draw_is_of_the_seed_the_update_and_the_sentence_alone(data, hypotheses):
    at, task = drawing(data, hypotheses, 1)
    batch = batch_of(task)
    first = at(4, batch)
    losses = [float(at(update, batch)[0]) for update in range(8)]
    assert float(first[0]) == losses[4] and len(set(losses)) > 4
    other = drawing(data, hypotheses, 1)[0]  # as after a resume: the same seed, nothing drawn before
    again = other(4, batch)
    assert again[0].equal(first[0]) and all(map(torch.equal, again[1], first[1]))
    seeded = drawing(data, hypotheses, 1, "--seed", 2)[0]
    assert [float(seeded(update, batch)[0]) for update in range(8)] != losses
    dataset = task.dataset("train")
    parts = [dataset.collater([dataset[number] for number in rows]) for rows in ([0, 2, 9, 7], [1, 3, 4, 5, 6, 8])]
    whole = sum(float(at(4, part)[0]) for part in parts)
    assert whole == pytest.approx(losses[4], rel=1e-5)  # beside others it has the same draw
    assert all(whole != pytest.approx(loss, rel=1e-4) for loss in {*losses} - {losses[4]})


@pytest.mark.parametrize("number", [3, 99])
def test_to_draw_as_many_as_there_are_is_to_learn_all(number, data, hypotheses):
    at, task = drawing(data, hypotheses, number)
    loss, slopes = at(3, batch_of(task))
    found = drawing(data, hypotheses, 0)[0](8, batch_of(task))
    assert loss.equal(found[0]) and all(map(torch.equal, slopes, found[1]))
    opened = HypothesisStore.open(hypotheses)
    counts = np.diff(opened.first)
    assert opened.per_sentence(number) == opened.per_sentence() == counts.mean()
    assert opened.per_sentence(1) == (counts > 0).mean() < opened.per_sentence(2) < counts.mean()


def test_a_training_with_draws_resumes_to_the_same_student(data, hypotheses, tmp_path):
    flags = flags_of("sequence", hypotheses, None, "--kd-weight", 1, "--hypotheses-drawn", 1)
    train(data, tmp_path / "whole", *flags)
    train(data, tmp_path / "parts", *flags, "--max-update", 5)
    train(data, tmp_path / "parts", *flags)
    train(data, tmp_path / "all", *flags[:-2])
    whole, parts, every = (
        read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint")["model"]
        for name in ("whole", "parts", "all")
    )
    assert all(weight.equal(parts[name]) for name, weight in whole.items())
    assert not all(weight.equal(every[name]) for name, weight in whole.items())


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
        (["--kd-level", "sequence", "--hypotheses", "STORE", "--hypotheses-drawn", "-1"], "--hypotheses-drawn is -1"),
        (["--teacher-path", "TEACHER", "--hypotheses-drawn", "2"], "2 and --hypotheses is not given"),
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
