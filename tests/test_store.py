"""The teacher store: what it keeps, how it is found again, that a killed writer resumes, and all that it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import batch_of, binarise, build, gradients, train, write_copy_corpus

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.losses import signals
from lskd_nmt.storage.header import StoredSymbols
from lskd_nmt.storage.pair_keys import pair_key
from lskd_nmt.storage.typed import read_record
from lskd_nmt.teacher import writer
from lskd_nmt.teacher.layout import TopKLayout
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.shards import ShardBuffer, ShardFacts
from lskd_nmt.teacher.store import LeftOut, TeacherStore

GRID = (1.0, 2.0, 64.0)
LANGS = ("aa", "bb")


def write(out: Path, teacher: Path, data: Path, k: int = 4, shard_pairs: int = 20) -> dict:
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    settings = writer.WriterSettings(TopKLayout(k, GRID, len(symbols.target)), max_tokens=40, shard_pairs=shard_pairs)
    return writer.write_store(out, [str(teacher)], str(data), symbols, settings, "cpu", lambda line: None)


@pytest.fixture(scope="module")
def store(teacher, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "whole"
    write(folder, teacher, data)
    return folder


def pairs_of(data: Path, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, split)
    items = [dataset[index] for index in range(len(dataset))]
    return [(item["source"].numpy(), item["target"].numpy()) for item in items]


def test_a_token_costs_what_the_readme_says():
    assert TopKLayout(8, (1.0, 2.0, 3.0, 64.0), 65536).token_bytes == 32 + 4 * 4
    assert TopKLayout(8, (1.0,), 65537).token_bytes == 8 * (4 + 2) + 4
    assert TopKLayout(8, (1.0,), 65536, "fp32").token_bytes == 8 * (2 + 4) + 4


def test_a_key_tells_pairs_apart_and_does_not_depend_on_how_ids_are_held():
    source, target = np.array([4, 5, 2]), np.array([6, 2])
    assert pair_key(source, target) == pair_key(source.astype(np.int32), target.astype(np.uint16)) < 2**64
    others = [(target, source), (source[:2], np.array([2, 6, 2])), (source, target[:1]), (source[::-1], target)]
    assert len({pair_key(*pair) for pair in [*others, (source, target)]}) == 5


def test_every_target_token_of_train_and_valid_has_the_teachers_record(store, teacher, data, plugin):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    live, opened = LiveTeacher.load([str(teacher)], symbols, str(data), None), TeacherStore.open(store)
    layout = opened.layout
    pairs = pairs_of(data, "train")[::7] + pairs_of(data, "valid")
    for source, target in pairs:
        alone, gold = fairseq_io.net_input([(torch.from_numpy(source), torch.from_numpy(target))], 1, 2)
        log_p = live.log_probs(alone, gold.ne(1))
        record = layout.decode(opened.lookup([(source, target)]))
        kept = log_p.gather(-1, record.ids)
        torch.testing.assert_close(record.log_probs, kept, rtol=1e-3, atol=1e-3)  # fp16
        torch.testing.assert_close(kept, log_p.topk(4).values, rtol=1e-4, atol=1e-4)
        sums = torch.stack([(log_p / t).logsumexp(-1) for t in GRID], -1)
        torch.testing.assert_close(record.log_sum_exps, sums, rtol=1e-4, atol=1e-5)
    together = opened.lookup(pairs, prefix=1)["ids"]
    assert np.array_equal(together, np.concatenate([opened.lookup([pair])["ids"][1:] for pair in pairs]))


def test_the_mass_outside_of_the_top_k_is_reported_for_every_temperature(store, teacher, data, plugin):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    live = LiveTeacher.load([str(teacher)], symbols, str(data), None)
    unique = {pair_key(*pair): pair for split in ("train", "valid") for pair in pairs_of(data, split)}
    batch, gold = fairseq_io.net_input([tuple(map(torch.from_numpy, pair)) for pair in unique.values()], 1, 2)
    log_p = live.log_probs(batch, gold.ne(1))
    header = TeacherStore.open(store).header
    for temperature in GRID:
        p = (log_p / temperature).softmax(-1)
        expected = float((1 - p.topk(4).values.sum(-1)).mean())
        assert header.tail_mass[f"{temperature:g}"] == pytest.approx(expected, abs=1e-3)
    assert header.tokens == int(gold.ne(1).sum()) and header.sentences == len(unique)


def test_a_pair_that_is_not_there_is_named_in_its_words(store, data):
    symbols = fairseq_io.read_symbols(str(data), LANGS).source
    pair = np.array([symbols.index(word) for word in ("a", "a", "h", "</s>")])
    with pytest.raises(LskdError, match="lacks the sentence pair 'a a h </s>' / 'h </s>': write a store of the data"):
        TeacherStore.open(store).lookup([(pair, pair[2:])])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_killed_writer_resumes_to_the_same_bytes(store, teacher, data, tmp_path, monkeypatch):
    real, written = ShardBuffer.write, []

    def killed(self, folder, name):
        if len(written) == 2:
            (folder / f"{name}.bin").write_bytes(b"half")  # published, but its facts were not
            raise KeyboardInterrupt
        written.append(name)
        real(self, folder, name)

    monkeypatch.setattr(ShardBuffer, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "s", teacher, data)
    with pytest.raises(LskdError, match="run it again to finish"):
        TeacherStore.open(tmp_path / "s")
    monkeypatch.setattr(ShardBuffer, "write", lambda self, *where: (written.append(where[1]), real(self, *where)))
    write(tmp_path / "s", teacher, data)
    assert len(written) == len(set(written)) > 3  # no shard twice
    assert files_of(tmp_path / "s") == files_of(store)


@pytest.fixture
def copy(store, tmp_path) -> Path:
    shutil.copytree(store, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_truncated_or_edited_store_is_refused(copy):
    shard = copy / "shards" / "00001.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(LskdError, match=r"00001.bin has \d+ bytes instead of \d+"):
        TeacherStore.open(copy)
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(LskdError, match="edited or damaged"):
        TeacherStore.open(copy)
    shard.write_bytes(whole)
    TeacherStore.open(copy)
    header = (copy / "store.json").read_text()
    (copy / "store.json").write_text(header.replace('"k": 4', '"k": 2'))
    with pytest.raises(LskdError, match=r"store.json was edited"):
        TeacherStore.open(copy)


def test_a_folder_begun_with_other_settings_is_refused(copy, teacher, data):
    with pytest.raises(LskdError, match="holds a teacher store with other layout"):
        write(copy, teacher, data, k=5)
    with pytest.raises(LskdError, match="other shard_pairs"):
        write(copy, teacher, data, shard_pairs=7)


@pytest.mark.parametrize("tail", ["bucket", "uniform", "renormalise"])
def test_a_step_from_the_store_is_the_live_step_through_the_records_encoding(tail, teacher, data, tmp_path, plugin):
    flags = "--temperature", 2, "--kd-weight", 0.7, "--label-smoothing", 0.1, "--tail", tail
    task, model, live = build(data, *flags, "--teacher-path", teacher, "--top-k", 4)
    batch = batch_of(task)
    real = batch["target"].ne(1)
    record = signals.record(signals.Dense(live._teacher.live.log_probs(batch["net_input"], real), 1.0), 4, GRID)
    layout = TopKLayout(4, GRID, len(task.target_dictionary))

    lengths = real.sum(1).tolist()
    rows = [
        (s[s != 1].numpy(), t[t != 1].numpy())
        for s, t in zip(batch["net_input"]["src_tokens"], batch["target"], strict=True)
    ]
    buffer = ShardBuffer(layout)
    buffer.add([pair_key(*row) for row in rows], lengths, layout.encode(record))
    buffer.write(tmp_path / "s" / "shards", "00000")
    facts = read_record(tmp_path / "s" / "shards" / "00000.json", ShardFacts)
    plan = writer.StorePlan([], StoredSymbols([], [], []), {}, {}, 1, 1, [])
    writer.finish(tmp_path / "s", layout, plan, LeftOut(0, []), None, [facts])

    _, same_model, stored = build(data, *flags, "--teacher-store", tmp_path / "s")
    encoded = layout.decode(layout.encode(record)).at(2.0)
    live._teacher.signal = lambda *arguments: encoded
    loss, slopes = gradients(live, model, batch)
    stored_loss, stored_slopes = gradients(stored, same_model, batch)
    assert loss.equal(stored_loss)
    assert all(ours.equal(theirs) for ours, theirs in zip(slopes, stored_slopes, strict=True))


def test_a_step_from_a_real_store_is_the_live_top_k_step(store, teacher, data, plugin):
    flags = "--temperature", 2, "--kd-weight", 0.7, "--ignore-prefix-size", 1
    task, model, live = build(data, *flags, "--teacher-path", teacher, "--top-k", 3)
    _, same_model, stored = build(data, *flags, "--teacher-store", store, "--top-k", 3)  # of the four that it keeps
    batch = batch_of(task)
    (loss, slopes), (stored_loss, stored_slopes) = (
        gradients(criterion, its_model, batch) for criterion, its_model in ((live, model), (stored, same_model))
    )
    torch.testing.assert_close(stored_loss, loss, rtol=1e-3, atol=0)
    largest = max(float(slope.abs().max()) for slope in slopes)
    for ours, theirs in zip(stored_slopes, slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * largest)


def test_a_student_trains_from_the_store_without_a_teacher(store, data, tmp_path, monkeypatch):
    monkeypatch.setattr(LiveTeacher, "load", lambda *arguments: pytest.fail("a teacher was loaded"))
    folder = train(data, tmp_path, "--teacher-store", store, "--temperature", 64, "--kd-weight", 1, "--max-epoch", 1)
    assert (folder / "checkpoint_last.pt").is_file()


def test_part_of_the_stores_data_in_another_folder_is_enough(store, data, tmp_path):
    for split in ("train", "valid", "test"):
        for lang in LANGS:
            lines = (data.parent / "text" / f"{split}.{lang}").read_text().splitlines(keepends=True)
            (tmp_path / f"{split}.{lang}").write_text("".join(lines[3:11]))
    part = binarise(tmp_path, tmp_path / "bin", "--srcdict", data / "dict.aa.txt")
    train(part, tmp_path / "model", "--teacher-store", store, "--max-epoch", 1)


def test_stores_that_cannot_stand_for_the_teacher_are_refused(store, copy, teacher, data, tmp_path, refused):
    write_copy_corpus(tmp_path / "new" / "text", "abcdefgh", seed=9)
    fresh = binarise(tmp_path / "new" / "text", tmp_path / "new" / "bin", "--srcdict", data / "dict.aa.txt")
    write_copy_corpus(tmp_path / "other" / "text", "hgfedcba", seed=2)
    other = binarise(tmp_path / "other" / "text", tmp_path / "other" / "bin")
    (copy / "shards" / "00000.bin").write_bytes(b"")
    cases = [
        ((data, "--teacher-store", tmp_path / "nothing"), "has no store.json"),
        ((data, "--teacher-store", copy), "00000.bin has 0 bytes instead of"),
        ((data, "--teacher-store", store, "--temperature", 3), "--temperature is 3, the teacher store has 1, 2, 64"),
        ((data, "--teacher-store", store, "--teacher-path", teacher), "are both given"),
        ((data, "--teacher-store", store, "--kd-weight", 0), "--kd-weight is 0"),
        ((data, "--teacher-store", store, "--top-k", 5), "--top-k is 5, and the teacher store keeps 4"),
        ((data, "--teacher-store", store, "--tail", "dense"), "--tail is dense"),
        ((data, "--teacher-store", store, "--task", "translation_lev"), "is for the translation task"),
        ((fresh, "--teacher-store", store), "lacks the sentence pair '"),
        ((other, "--teacher-store", store), "dictionaries differ"),
    ]
    for (folder, *flags), part in cases:
        with refused() as line:
            train(folder, tmp_path / "model", *flags)
        assert part in line[0]
        assert not (tmp_path / "model").exists()


def test_a_criterion_refuses_another_task_when_it_is_built(store, data, plugin):
    with pytest.raises(LskdError, match="translation task"):
        build(data, "--teacher-store", store, "--task", "translation_lev")


def test_the_verb_writes_says_what_the_tail_holds_and_does_nothing_twice(teacher, data, tmp_path, capsys):
    call = ["teacher-store", "--teacher-path", str(teacher), "--data", str(data), "--out", str(tmp_path / "s")]
    call += ["--top-k", "4", "--temperatures", "1,2"]
    assert cli.main(call) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["bytes_per_token"] == 4 * 4 + 8 and set(answer["tail_mass"]) == {"1", "2"}
    assert "T = 2: " in err and "lies outside of its top 4" in err
    before = files_of(tmp_path / "s")
    assert cli.main(call) == 0
    assert "nothing to do" in capsys.readouterr().err and files_of(tmp_path / "s") == before


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--top-k", "0"], "--top-k is 0"),
        (["--temperatures", "1,zwei"], "--temperatures is '1,zwei'"),
        (["--temperatures", "0"], "--temperatures holds"),
        (["--data", "nowhere"], "--data nowhere does not exist"),
        (["--teacher-path", "nothing.pt"], "teacher nothing.pt does not exist"),
        (["--splits", "train,dev"], "has no 'dev'"),
        (["--shard-pairs", "0"], "--shard-pairs is 0"),
    ],
)
def test_the_verb_refuses_in_one_line_and_leaves_nothing(extra, part, teacher, data, tmp_path, capsys):
    call = ["teacher-store", "--teacher-path", str(teacher), "--data", str(data), "--out", str(tmp_path / "s"), *extra]
    assert cli.main(call) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert not (tmp_path / "s").exists()


def test_the_size_of_a_shard_follows_from_its_counts():
    layout = TopKLayout(3, GRID, 100)
    size = sum(kind.itemsize * int(np.prod(shape)) for kind, shape in layout.parts(5, 40).values())
    assert size == 5 * (8 + 4) + 40 * layout.token_bytes
