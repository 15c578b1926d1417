"""A teacher's translations: decoded alike by both engines, resumed to the same bytes, proved row by row, chosen."""

import errno
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from conftest import ROOT, call, train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.decode_settings import DecodeSettings, batches
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import corpus, engines, ledger, select, workers
from lskd_nmt.seqkd import decode as decoding
from lskd_nmt.seqkd.engines import FairseqEngine
from lskd_nmt.seqkd.ledger import Hypothesis, Row
from lskd_nmt.seqkd.select import Chooser, Diversity, SelectSettings
from lskd_nmt.seqkd.store import HypothesisStore, StoreWriter
from lskd_nmt.storage import folders
from lskd_nmt.storage.typed import to_json

LANGS = ("aa", "bb")
SETTINGS = DecodeSettings(beam=4, nbest=3, batch_tokens=40, shard_sentences=7)


def decode(out: Path, teacher: Path, data: Path, settings: DecodeSettings = SETTINGS, part=(1, 1), accept=False):
    symbols, place = fairseq_io.read_symbols(str(data), LANGS), decoding.Place(1, 1, "cpu", part)
    return decoding.decode(
        out, [str(teacher)], str(data), symbols, settings, place, lambda line: None, accept_difference=accept
    )


def rows_of(folder: Path) -> list[Row]:
    return list(ledger.read_rows(folder / "rows.jsonl"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory) -> Path:
    """One that has learned to end its translations."""
    flags = "--kd-weight", 0, "--label-smoothing", 0.1, "--max-epoch", 40, "--dropout", 0, "--no-epoch-checkpoints"
    return train(data, tmp_path_factory.mktemp("teacher"), *flags) / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def decoded(teacher, data, tmp_path_factory) -> Path:
    """CTranslate2's three best of every training sentence."""
    out = tmp_path_factory.mktemp("decoded") / "whole"
    assert decode(out, teacher, data).rows == 60
    return out


def generated(capsys, teacher, data, *flags) -> dict[int, list[tuple[str, float]]]:
    """What fairseq-generate finds in train, by row."""
    from fairseq_cli import generate

    capsys.readouterr()
    call(
        generate.cli_main,
        "fairseq-generate",
        data,
        "--user-dir",
        ROOT / "user_dir",
        "--path",
        teacher,
        "--cpu",
        "--gen-subset",
        "train",
        "-s",
        "aa",
        "-t",
        "bb",
        "--max-len-a",
        0,
        "--max-len-b",
        20,
        *flags,
        "--required-batch-size-multiple",
        1,
        "--log-format",
        "none",
    )
    found: dict[int, list[tuple[str, float]]] = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("H-"):
            row, score, text = line.split("\t")
            found.setdefault(int(row[2:]), []).append((text, float(score) * math.log(2)))  # it prints bits
    return found


@pytest.mark.parametrize("engine", ["fairseq", "ctranslate2"])
def test_an_engine_finds_what_fairseq_generate_finds(engine, teacher, data, tmp_path, capsys):
    decode(tmp_path / "d", teacher, data, replace(SETTINGS, engine=engine, lenpen=0.8, max_len_a=0))
    expected = generated(capsys, teacher, data, "--beam", 4, "--nbest", 3, "--lenpen", 0.8)
    found = {row.number: row.hypotheses for row in rows_of(tmp_path / "d")}
    assert len(expected) == len(found) == 60
    if engine == "fairseq":
        for number, hypotheses in found.items():
            assert [h.pieces for h in hypotheses] == [text for text, _ in expected[number]]
            assert [h.score for h in hypotheses] == pytest.approx([score for _, score in expected[number]], abs=1e-3)
    else:  # whose probabilities leave out special symbols: a little mass where there are only sixteen
        assert sum(found[number][0].pieces == expected[number][0][0] for number in found) >= 57
        for number, hypotheses in found.items():
            assert hypotheses[0].score == pytest.approx(expected[number][0][1], abs=0.05)


@pytest.mark.parametrize("engine", ["fairseq", "ctranslate2"])
def test_no_translation_is_longer_than_allowed(engine, teacher, data, tmp_path):
    decode(tmp_path / "d", teacher, data, replace(SETTINGS, engine=engine, max_len_a=0, max_len_b=2), accept=True)
    assert max(len(h.pieces.split()) for row in rows_of(tmp_path / "d") for h in row.hypotheses) == 2


def test_an_ensemble_of_a_model_with_itself_is_that_model(teacher, data):
    one, two = (FairseqEngine([str(teacher)] * count, str(data), LANGS) for count in (1, 2))
    sentences = [["a", "b", "c"], ["h"], ["d", "e"]]
    for left, right in zip(one.translate(sentences, SETTINGS), two.translate(sentences, SETTINGS), strict=True):
        assert [h.pieces for h in left] == [h.pieces for h in right]
        assert [h.score for h in left] == pytest.approx([h.score for h in right], abs=1e-4)


def test_every_row_says_where_it_is_from(decoded, data):
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    rows, content = rows_of(decoded), json.loads((decoded / "ledger.json").read_text())
    assert [row.number for row in rows] == list(range(60))
    assert [row.source for row in rows] == [corpus.source_key(dataset[i]["source"].numpy()) for i in range(60)]
    assert len({row.source for row in rows}) > 50 and len({row.settings for row in rows}) == 1
    for row in rows:
        scores = [hypothesis.score for hypothesis in row.hypotheses]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True) and scores[0] < 0
    assert (content["rows"], content["hypotheses"], content["empty_rows"]) == (60, 180, 0)
    assert content["settings"]["beam"] == 4 and content["teacher"][0]["label_smoothing"] == 0.1
    assert {file.name for file in decoded.iterdir()} == {"check.json", "ledger.json", "plan.json", "rows.jsonl"}
    check = json.loads((decoded / "check.json").read_text())
    assert check["sentences"] == 60 and check["identical"]["float32"] >= 0.85


def test_a_decoding_stopped_anywhere_continues_to_the_same_bytes(decoded, teacher, data, tmp_path, monkeypatch):
    real, draw, published = workers.write_shard, random.Random(3), []

    def unlucky(folder, number, rows):
        if draw.random() < 0.4:
            (folder / "shards").mkdir(exist_ok=True)
            (folder / "shards" / f"{number:05d}.jsonl.part").write_text("half")
            raise KeyboardInterrupt
        real(folder, number, rows)
        published.append(number)

    monkeypatch.setattr(workers, "write_shard", unlucky)
    stops = 0
    while not (tmp_path / "d" / "ledger.json").is_file():
        try:
            decode(tmp_path / "d", teacher, data)
        except KeyboardInterrupt:
            stops += 1
    assert stops >= 3 and sorted(published) == list(range(9))  # no shard twice
    assert files_of(tmp_path / "d") == files_of(decoded)


def test_killed_processes_leave_no_worker_and_what_another_number_of_them_completes(teacher, data, tmp_path):
    words = ["seqkd", "decode", "--teacher-path", teacher, "--data", data, "--out", tmp_path / "d", "--device", "cpu"]
    words += ["--beam", 4, "--nbest", 3, "--batch-tokens", 40, "--shard-sentences", 1, "--workers", 2, "--sampling"]
    command = [sys.executable, "-m", "lskd_nmt.cli", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as child:
        while child.poll() is None and not list(tmp_path.glob("d/shards/*.jsonl")):
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGSTOP)  # merging is the parent's work
        assert child.poll() is None and not (tmp_path / "d" / "ledger.json").exists()
        child.kill()
    for _ in range(100):
        if not processes_of_group(child.pid):
            break
        time.sleep(0.1)
    assert not processes_of_group(child.pid)
    for out in (tmp_path / "d", tmp_path / "whole"):
        decode(out, teacher, data, replace(SETTINGS, shard_sentences=1, sampling=True))
    assert files_of(tmp_path / "d") == files_of(tmp_path / "whole")


def processes_of_group(group: int) -> list[int]:
    """Processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def test_parts_on_several_machines_make_one_whole(decoded, teacher, data, tmp_path):
    assert decode(tmp_path / "d", teacher, data, part=(2, 3)) is None
    assert sorted(file.stem for file in tmp_path.glob("d/shards/*")) == ["00001", "00004", "00007"]
    assert decode(tmp_path / "d", teacher, data, part=(1, 3)) is None
    assert decode(tmp_path / "d", teacher, data, part=(3, 3)).rows == 60
    assert files_of(tmp_path / "d") == files_of(decoded)


@pytest.mark.parametrize("engine", ["fairseq", "ctranslate2"])
def test_empty_and_overlong_sentences_have_no_hypothesis(engine, teacher, data, tmp_path):
    shutil.copytree(data, tmp_path / "bin")
    sources = [[2], [4, 5, 2], [4] * 1024 + [2], [4] * 1023 + [2]]
    pairs = [(np.array(source), np.array([5, 2])) for source in sources]
    fairseq_io.write_pairs(str(tmp_path / "bin"), LANGS, "train", pairs, (16, 16))
    decode(tmp_path / "d", teacher, tmp_path / "bin", replace(SETTINGS, engine=engine), accept=True)
    assert [len(row.hypotheses) for row in rows_of(tmp_path / "d")] == [0, 3, 0, 3]
    assert json.loads((tmp_path / "d" / "ledger.json").read_text())["empty_rows"] == 2
    header = chosen(tmp_path / "d", tmp_path / "bin", tmp_path / "h")
    assert header.sentences_without == 2 and header.hypotheses == 2


@pytest.mark.parametrize("engine", ["fairseq", "ctranslate2"])
def test_samples_follow_the_seed_and_the_temperature(engine, teacher, data, tmp_path):
    base = replace(SETTINGS, engine=engine, sampling=True, nbest=4)
    hot = replace(base, temperature=5.0)
    kinds = {
        "one": base,
        "again": base,
        "seed": replace(base, seed=2),
        "hot": hot,
        "cold": replace(base, temperature=0.01),
    }
    for name, settings in kinds.items():
        decode(tmp_path / name, teacher, data, settings)
    texts = {name: [[h.pieces for h in row.hypotheses] for row in rows_of(tmp_path / name)] for name in kinds}
    assert texts["one"] == texts["again"] != texts["seed"]
    distinct = {name: sum(len(set(each)) for each in texts[name]) for name in kinds}
    assert distinct["cold"] < distinct["one"] <= distinct["hot"]
    decode(tmp_path / "greedy", teacher, data, replace(SETTINGS, engine=engine, beam=1, nbest=1))
    greedy = [row.hypotheses[0].pieces for row in rows_of(tmp_path / "greedy")]
    assert sum(each[0] == best for each, best in zip(texts["cold"], greedy, strict=True)) >= 57


@pytest.mark.parametrize("engine", ["fairseq", "ctranslate2"])
def test_samples_among_two_are_of_the_two_most_probable(engine, teacher, data, tmp_path):
    settings = replace(SETTINGS, engine=engine, sampling=True, sampling_topk=2, temperature=5.0)
    decode(tmp_path / "d", teacher, data, settings)
    model = FairseqEngine([str(teacher)], str(data), LANGS).models[0]
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    for row in rows_of(tmp_path / "d")[:10]:
        for hypothesis in row.hypotheses:
            ids = torch.tensor([*map(dataset.tgt_dict.index, hypothesis.pieces.split()), 2])
            net_input, _ = fairseq_io.net_input([(dataset[row.number]["source"], ids)], 1, 2)
            logits = model(**net_input)[0][0]
            logits[:, 1] = -1e9  # padding is never drawn
            logits[0, 2] = -1e9  # nor an empty translation
            kept = logits.topk(2).indices.eq(ids.unsqueeze(-1)).any(-1)
            assert bool(kept[:-1].all()), hypothesis  # the last end may be that of the longest allowed


def test_a_batch_holds_at_most_its_tokens_and_every_sentence_once():
    draw = random.Random(1)
    sentences = [["x"] * draw.randint(0, 30) for _ in range(200)]
    made = list(batches(sentences, 64))
    assert sorted(at for batch in made for at in batch) == list(range(200))
    for batch in made:
        assert len(batch) == 1 or len(batch) * (max(len(sentences[at]) for at in batch) + 1) <= 64
    assert list(batches([], 64)) == []


def row(number, source=None, settings="x"):
    return Row(number, source or f"s{number}", settings, (Hypothesis("a b", -0.5),))


SOURCES = [f"s{number}" for number in range(6)]


def test_rows_that_are_all_there_once_and_in_order_pass():
    rows = [row(number) for number in range(6)]
    assert list(ledger.prove(rows, SOURCES, "x", 1, 4)) == rows


@pytest.mark.parametrize(
    "rows, part",
    [
        ([0, 1, 3, 5], "missing: 2 rows (2, 4)"),
        ([0, 1, 2, 2, 3, 4, 5], "there twice: 1 rows (2)"),
        ([0, 2, 1, 3, 4, 5], "out of order: 1 rows (1)"),
        ([0, 1, 2, 3, 4, 5, 6], "of another source sentence: 1 rows (6)"),
        ([1, 2, 3, 5], "remove shards/ 00000.jsonl, 00001.jsonl and run"),
    ],
)
def test_rows_that_are_missing_doubled_disordered_or_beyond_are_named(rows, part):
    with pytest.raises(LskdError) as refused:
        list(ledger.prove([row(number) for number in rows], SOURCES, "x", 1, 4))
    assert part in str(refused.value) and "\n" not in str(refused.value)


def test_swapped_translations_and_rows_of_other_settings_are_named():
    swapped = [row(0), row(1, "s2"), row(2, "s1"), *map(row, range(3, 6))]
    with pytest.raises(LskdError, match=r"of another source sentence: 2 rows \(1, 2\)"):
        list(ledger.prove(swapped, SOURCES, "x", 1, 4))
    with pytest.raises(LskdError, match=r"of other settings: 1 rows \(5\)"):
        list(ledger.prove([*map(row, range(5)), row(5, settings="y")], SOURCES, "x", 1, 4))
    with pytest.raises(LskdError, match=r"without their 2 hypotheses: 6 rows"):
        list(ledger.prove(map(row, range(6)), SOURCES, "x", 2, 4))
    assert len(list(ledger.prove([replace(row(0), hypotheses=()), row(1)], SOURCES[:2], "x", 1, 4))) == 2


DAMAGES = {
    "doubled": (lambda lines: [lines[0], *lines], r"there twice: 1 rows \(14\)"),
    "swapped": (
        lambda lines: [
            lines[1].replace('"row": 15', '"row": 14'),
            lines[0].replace('"row": 14', '"row": 15'),
            *lines[2:],
        ],
        r"of another source sentence: 2 rows \(14, 15\)",
    ),
    "cut": (lambda lines: lines[:-1], r"missing: 1 rows \(20\)"),
    "disordered": (lambda lines: [lines[1], lines[0], *lines[2:]], r"out of order: 1 rows \(14\)"),
    "garbage": (lambda lines: ["{", *lines], r"00002\.jsonl line 1 is damaged"),
    "bytes": (lambda lines: [lines[0].replace("hyps", "\udcff"), *lines[1:]], r"00002\.jsonl line 1 is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_never_merged(damage, teacher, data, tmp_path):
    decode(tmp_path / "d", teacher, data, part=(1, 2))
    shard = tmp_path / "d" / "shards" / "00002.jsonl"
    spoil, message = DAMAGES[damage]
    shard.write_text("".join(spoil(shard.read_text().splitlines(keepends=True))), errors="surrogateescape")
    with pytest.raises(LskdError, match=message):
        decode(tmp_path / "d", teacher, data, part=(2, 2))
    assert not (tmp_path / "d" / "ledger.json").exists() and not list(tmp_path.glob("d/rows.jsonl*"))
    shard.unlink()
    assert decode(tmp_path / "d", teacher, data).rows == 60


def test_engines_that_translate_otherwise_stop_a_long_run(teacher, data, tmp_path, monkeypatch):
    honest = engines.CTranslate2Engine.translate

    def wrong(self, batch, settings):
        return [
            [Hypothesis("a", -1.0)] * settings.nbest if number % 3 == 0 else hypotheses
            for number, hypotheses in enumerate(honest(self, batch, settings))
        ]

    monkeypatch.setattr(engines.CTranslate2Engine, "translate", wrong)
    with pytest.raises(LskdError, match=r"BLEU apart and \d\d\.\d % of the float32 translations are identical"):
        decode(tmp_path / "d", teacher, data)
    assert not (tmp_path / "d").exists()
    assert decode(tmp_path / "d", teacher, data, accept=True).rows == 60


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--teacher-path", "TEACHER:TEACHER"], "CTranslate2 has no ensembles: use --engine fairseq"),
        (["--teacher-path", "nothing.pt"], "teacher nothing.pt does not exist"),
        (["--data", "nowhere"], "--data nowhere does not exist"),
        (["--engine", "marian"], "--engine is marian"),
        (["--nbest", "6"], "--nbest is 6 and --beam is 5"),
        (["--temperature", "2"], "--temperature is 2 without --sampling"),
        (["--sampling-topk", "4"], "--sampling-topk is 4 without --sampling"),
        (["--engine", "fairseq", "--quantization", "int8"], "it is of ctranslate2"),
        (["--quantization", "int3"], "--quantization is int3"),
        (["--part", "3/2"], "--part is 3/2"),
        (["--part", "x"], "--part is 'x'"),
        (["--beam", "0"], "--beam is 0"),
        (["--shard-sentences", "0"], "--shard-sentences is 0"),
        (["--max-len-b", "0"], "--max-len-b is 0"),
        (["--max-len-a", "inf"], "--max-len-a is inf"),
        (["--lenpen", "nan"], "--lenpen is nan"),
        (["--lenpen", "1e30"], "--lenpen is 1e+30: give a number from -100 to 100"),
        (["--sampling", "--seed", "-1"], "--seed is -1"),
        (["--split", "dev"], "has no 'dev'"),
        (["--quantization", "float16", "--device", "cpu"], "as float16 on cpu"),
    ],
)
def test_decodings_that_cannot_be_are_refused(extra, part, teacher, data, tmp_path, capsys):
    words = ["seqkd", "decode", "--teacher-path", teacher, "--data", data, "--out", tmp_path / "d"]
    words += [word.replace("TEACHER", str(teacher)) for word in extra]
    assert cli.main(list(map(str, words))) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert not (tmp_path / "d").exists()


def test_a_device_that_is_not_there_is_refused(teacher, data, tmp_path, monkeypatch):
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(LskdError, match="--device is cuda, and CTranslate2 sees no GPU"):
        engines.engine_devices("cuda", "ctranslate2")
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 2)
    assert engines.engine_devices("auto", "ctranslate2") == [("cuda", 0), ("cuda", 1)]
    assert engines.engine_devices("cpu", "ctranslate2") == engines.engine_devices("cpu", "fairseq") == [("cpu", 0)]


def test_a_file_where_a_folder_should_be_is_one_line(teacher, data, tmp_path, capsys):
    (tmp_path / "d").write_text("")
    words = ["seqkd", "decode", "--teacher-path", teacher, "--data", data, "--out", tmp_path / "d"]
    assert cli.main(list(map(str, words))) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"lskd seqkd: error: {tmp_path / 'd'}")


def test_a_second_part_of_train_is_refused(decoded, data, tmp_path):
    shutil.copytree(data, tmp_path / "bin")
    for file in data.glob("train.*"):
        shutil.copyfile(file, tmp_path / "bin" / file.name.replace("train", "train1"))
    with pytest.raises(LskdError, match=r"train1\.aa-bb\.aa\.bin is there, a second part of train"):
        chosen(decoded, tmp_path / "bin", tmp_path / "h")


def test_a_folder_begun_with_other_settings_is_refused_and_a_finished_one_left_alone(decoded, teacher, data):
    before = files_of(decoded)
    with pytest.raises(LskdError, match="holds a decoding with other settings"):
        decode(decoded, teacher, data, replace(SETTINGS, beam=5))
    (decoded / "shards").mkdir()  # as a kill between the ledger and the end leaves it
    (decoded / "ctranslate2-00").mkdir()
    assert decode(decoded, teacher, data).rows == 60
    assert files_of(decoded) == before and not list(decoded.glob("*/"))


@pytest.mark.parametrize("step", ["decode", "select"])
def test_a_full_disk_is_one_line(step, decoded, teacher, data, tmp_path, capsys, monkeypatch):
    from lskd_nmt.seqkd import store

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workers, "write_shard", full)
    monkeypatch.setattr(store.StoreWriter, "finish", full)
    flags = {"decode": ["--teacher-path", teacher, "--workers", 1], "select": ["--decoded", decoded]}[step]
    words = ["seqkd", step, *flags, "--data", data, "--out", tmp_path / "d"]
    assert cli.main(list(map(str, words))) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"lskd seqkd: error: {tmp_path / 'd'}: No space left on device: free some and run again"
    )
    assert step == "decode" or list(tmp_path.iterdir()) == []


def choose(nbest, source="x y", reference="▁the ▁cat ▁sat", **settings):
    chooser = Chooser(SelectSettings(**settings))
    return chooser.choose(0, [Hypothesis(*each) for each in nbest], source.split(), reference), chooser


NBEST = [("▁a ▁dog ▁sat", -0.1), ("▁the ▁cat ▁sits", -0.2), ("▁the ▁cat ▁sat", -0.3), ("▁x", -0.05)]


def test_beam_takes_the_best_interpolate_the_closest_multi_the_first():
    assert choose(NBEST)[0] == [3]
    assert choose(NBEST, method="interpolate")[0] == [2]
    assert choose(NBEST[:2], method="interpolate", similarity="chrf")[0] == [1]
    assert choose(NBEST, method="multi", hypotheses=2)[0] == [0, 1]
    assert choose(NBEST, method="multi")[0] == [0, 1, 2, 3]


def sentence_bleu(pieces, reference):
    """sacreBLEU's, of the joined subwords."""
    texts = ["".join(text.split()).replace("▁", " ").strip() for text in (pieces, reference)]
    return sacrebleu.sentence_bleu(texts[0], texts[1:]).score


def test_the_closest_does_not_depend_on_the_order_and_equals_the_reference_if_that_is_there():
    draw, words = random.Random(2), ["▁the", "▁cat", "▁sat", "▁on", "▁mat", "s", "."]
    reference = "▁the ▁cat ▁sat ▁on ▁mat s ."
    for _ in range(20):
        nbest = [("▁" + " ".join(draw.choices(words, k=draw.randint(1, 7))), -1.0) for _ in range(6)]
        (first,), (last,) = (
            choose(each, reference=reference, method="interpolate")[0] for each in (nbest, nbest[::-1])
        )
        best = max(sentence_bleu(pieces, reference) for pieces, _ in nbest)
        assert sentence_bleu(nbest[first][0], reference) == sentence_bleu(nbest[::-1][last][0], reference) == best
        assert choose([*nbest, (reference, -9.0)], reference=reference, method="interpolate")[0] == [6]


def test_filters_say_what_they_dropped():
    hypotheses = [("", -0.1), ("▁x ▁y", -0.2), ("▁a " * 7, -0.3), ("▁a ▁b", -0.4)]
    positions, chooser = choose(hypotheses, "▁x ▁y", max_ratio=3, drop_copies=True)
    assert positions == [3] and chooser.dropped == {"empty": 1, "copy": 1, "ratio": 1} and chooser.without == []
    positions, chooser = choose(hypotheses[:2], "▁x ▁y", drop_copies=True)
    assert positions == [] and chooser.without == [0]
    assert choose(hypotheses[1:2], "▁x ▁y")[0] == [0]


def test_diversity_is_counted_by_hand():
    report = Diversity()
    report.add(["a b a", "a b a", "c"], "c", 2)
    report.add(["a b"], "x", 0)
    assert to_json(report.facts()) == {
        "hypotheses": 4,
        "sampled_share": 0.5,
        "distinct_share": 0.75,
        "reference_share": 0.25,
        "words": 9,
        "distinct_words": 3,
        "type_token_ratio": 0.3333,
        "distinct_bigram_ratio": 0.4,
    }


def chosen(decoded, data, out, **settings):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    return select.select(
        out,
        decoded if isinstance(decoded, list) else [decoded],
        str(data),
        symbols,
        SelectSettings(**settings),
        lambda line: None,
    )


def test_the_store_the_corpus_and_the_rows_say_the_same(decoded, data, tmp_path):
    header = chosen(decoded, data, tmp_path / "h", method="multi", hypotheses=2)
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    pairs = [(dataset[i]["source"].numpy(), dataset[i]["target"].numpy()) for i in range(60)]
    store = HypothesisStore.open(tmp_path / "h")
    texts = [[" ".join(dataset.tgt_dict[i] for i in ids[:-1]) for ids in each] for each in store.lookup(pairs)]
    expected = [[h.pieces for h in row.hypotheses[:2]] for row in rows_of(decoded)]
    assert texts == expected and all(ids[-1] == 2 for each in store.lookup(pairs) for ids in each)
    assert header.hypotheses == 120 and header.sentences == len({(tuple(s), tuple(t)) for s, t in pairs})
    source, target = fairseq_io.piece_lines(str(tmp_path / "h" / "bin"), LANGS, "train")
    assert target == [text for each in expected for text in each]
    assert source == [line for line in fairseq_io.piece_lines(str(data), LANGS, "train")[0] for _ in range(2)]
    for split in ("valid", "test"):
        assert fairseq_io.piece_lines(str(tmp_path / "h" / "bin"), LANGS, split) == fairseq_io.piece_lines(
            str(data), LANGS, split
        )
    for lang in LANGS:
        assert (tmp_path / "h" / "bin" / f"dict.{lang}.txt").read_bytes() == (data / f"dict.{lang}.txt").read_bytes()
    assert chosen(decoded, data, tmp_path / "h", method="multi", hypotheses=2) == header
    with pytest.raises(LskdError, match="holds hypotheses with other selection"):
        chosen(decoded, data, tmp_path / "h", method="beam")


def test_the_corpus_trains_any_criterion_and_speaks_the_same_words(decoded, data, tmp_path):
    chosen(decoded, data, tmp_path / "h", method="multi")
    flags = "--criterion", "label_smoothed_cross_entropy", "--label-smoothing", 0.1, "--max-epoch", 1
    trained = train(tmp_path / "h" / "bin", tmp_path / "m", *flags) / "checkpoint_last.pt"
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    state = fairseq_io.read_checkpoint(str(trained), "student")
    assert state["model"]["decoder.embed_tokens.weight"].size(0) == len(symbols.target)
    assert state["extra_state"]["train_iterator"]["epoch"] == 2


def test_the_best_and_samples_may_be_united(decoded, teacher, data, tmp_path):
    decode(tmp_path / "s", teacher, data, replace(SETTINGS, sampling=True, nbest=5, temperature=3.0))
    header = chosen([decoded, tmp_path / "s"], data, tmp_path / "h", method="multi")
    assert header.hypotheses == 60 * 8 and header.sampled_share == 0.625
    counts = Counter(len({h.pieces for h in row.hypotheses}) for row in rows_of(tmp_path / "s"))
    assert max(counts) == 5
    with pytest.raises(LskdError, match="whose scores may not be compared"):
        chosen([decoded, tmp_path / "s"], data, tmp_path / "one")
    with pytest.raises(LskdError, match=r"--hypotheses is 2 of 5 samples"):
        chosen(tmp_path / "s", data, tmp_path / "two", method="multi", hypotheses=2)


def test_all_filtered_pairs_stay_in_the_store_and_leave_the_corpus(decoded, data, tmp_path):
    header = chosen(decoded, data, tmp_path / "h", max_ratio=1)
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    found = HypothesisStore.open(tmp_path / "h").lookup(
        [(dataset[i]["source"].numpy(), dataset[i]["target"].numpy()) for i in range(60)]
    )
    empty = sum(not each for each in found)
    assert header.sentences_without == empty > 0 and header.dropped["ratio"] >= empty
    assert len(fairseq_io.piece_lines(str(tmp_path / "h" / "bin"), LANGS, "train")[0]) == 60 - empty


@pytest.fixture
def copy(decoded, tmp_path) -> Path:
    shutil.copytree(decoded, tmp_path / "copy")
    return tmp_path / "copy"


def test_rows_that_were_edited_and_unfinished_decodings_are_refused(copy, data, tmp_path):
    text = (copy / "rows.jsonl").read_text()
    (copy / "rows.jsonl").write_text(text.replace('"row": 3,', '"row": 4,', 1))
    with pytest.raises(LskdError, match=r"rows\.jsonl was edited"):
        chosen(copy, data, tmp_path / "h")
    (copy / "ledger.json").unlink()
    with pytest.raises(LskdError, match="run it again to finish this one"):
        chosen(copy, data, tmp_path / "h")
    assert not (tmp_path / "h").exists()


def test_a_ledger_of_other_data_is_refused(decoded, data, tmp_path):
    other = tmp_path / "bin"
    shutil.copytree(data, other)
    for file in data.glob("valid.*"):
        shutil.copyfile(file, other / file.name.replace("valid", "train"))
    with pytest.raises(LskdError, match=r"was decoded from other data \(train differs\)"):
        chosen(decoded, other, tmp_path / "h")


def test_a_store_that_was_cut_or_edited_is_refused(decoded, data, tmp_path):
    chosen(decoded, data, tmp_path / "h")
    ids = np.load(tmp_path / "h" / "ids.npy")
    np.save(tmp_path / "h" / "ids.npy", ids[::-1])
    with pytest.raises(LskdError, match=r"ids\.npy was edited, damaged or removed"):
        HypothesisStore.open(tmp_path / "h")
    np.save(tmp_path / "h" / "ids.npy", ids)
    header = (tmp_path / "h" / "hypotheses.json").read_text()
    (tmp_path / "h" / "hypotheses.json").write_text(header.replace('"split": "train"', '"split": "valid"'))
    with pytest.raises(LskdError, match=r"hypotheses.json was edited"):
        HypothesisStore.open(tmp_path / "h")


def test_the_verbs_work_together_and_say_what_they_made(teacher, data, tmp_path, capsys):
    common = ["--data", str(data)]
    words = ["seqkd", "decode", "--teacher-path", str(teacher), *common, "--out", str(tmp_path / "d"), "--workers", "1"]
    assert cli.main([*words, "--engine", "fairseq", "--nbest", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["hypotheses"] == 120
    words = ["seqkd", "select", "--decoded", str(tmp_path / "d"), *common, "--out", str(tmp_path / "h")]
    assert cli.main([*words, "--method", "interpolate", "--similarity", "chrf"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["hypotheses"] == 60 and said["dropped"] == {}
    assert cli.main([*words[:-1], str(tmp_path / "x"), "--method", "best"]) == 2
    assert "--method is best: one of beam, interpolate, multi" in capsys.readouterr().err


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_one_line(way, teacher, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(workers, "write_shard", lambda *_: os.kill(os.getpid(), way))
    words = ["seqkd", "decode", "--teacher-path", teacher, "--data", data, "--out", tmp_path / "d", "--workers", 1]
    assert cli.main([*map(str, words), "--engine", "fairseq"]) == 128 + way
    assert capsys.readouterr().err.splitlines()[-1] == "lskd seqkd: interrupted: the same command continues"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_a_selection_that_is_stopped_leaves_nothing(way, decoded, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(StoreWriter, "finish", lambda *_: os.kill(os.getpid(), way))
    words = ["seqkd", "select", "--decoded", decoded, "--data", data, "--out", tmp_path / "h"]
    assert cli.main(list(map(str, words))) == 128 + way
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_selection_left_is_removed_by_the_next(decoded, data, tmp_path):
    for name in ("h.part.killed", "h.part.theirs", "h.parts"):
        (tmp_path / name).mkdir()
    folders.mark(tmp_path / "h.part.killed", select.WHAT)
    with folders.hold(tmp_path / "h", select.WHAT), pytest.raises(LskdError, match="is being written by process"):
        chosen(decoded, data, tmp_path / "h")
    assert (tmp_path / "h.part.killed").exists()  # somebody may be at work in it
    chosen(decoded, data, tmp_path / "h")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["h", "h.part.theirs", "h.parts"]


def test_an_empty_folder_is_filled_and_one_of_others_is_refused(decoded, data, tmp_path):
    """Snakemake makes the folder of a file that a step is to write."""
    (tmp_path / "h").mkdir()
    chosen(decoded, data, tmp_path / "h")
    assert (tmp_path / "h" / "hypotheses.json").is_file()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes").touch()
    with pytest.raises(LskdError, match="theirs is there already and holds no hypotheses: give a new folder"):
        chosen(decoded, data, tmp_path / "theirs")
    assert [file.name for file in (tmp_path / "theirs").iterdir()] == ["notes"]


def test_a_terminated_decoding_takes_its_workers_along():
    """Both are at the making of their engines, which take long."""
    program = """
import time
from functools import partial
from pathlib import Path
from lskd_nmt.cli.common import terminable
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.engines import DecodeSettings
from lskd_nmt.seqkd.workers import Job, Shard, Work, run_shards

class Corpus:
    sources = keys = [[]] * 9

if __name__ == "__main__":
    work = Work(Path("nowhere"), DecodeSettings(), "x", 1, 9)
    with terminable():
        shards = [Shard(number, range(number, number + 1)) for number in range(9)]
        run_shards(work, [partial(time.sleep, 600)], Corpus, shards, 2, Progress(9, "rows", print))
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    ) as child:
        while child.poll() is None and len(processes_of_group(child.pid)) < 4:  # with Python's own tracker
            time.sleep(0.02)
        child.terminate()
        assert child.wait(timeout=60) != 0
    for _ in range(100):
        if not processes_of_group(child.pid):
            break
        time.sleep(0.1)
    assert not processes_of_group(child.pid)


def test_samples_of_a_repeated_pair_are_all_in_the_store_and_in_the_corpus(teacher, data, tmp_path):
    twice = shutil.copytree(data, tmp_path / "bin")
    (dataset,) = fairseq_io.translation_data(str(data), LANGS, "train")
    pairs = [(dataset[i]["source"].numpy(), dataset[i]["target"].numpy()) for i in range(20)] * 2
    fairseq_io.write_pairs(str(twice), LANGS, "train", pairs, (16, 16))
    decode(tmp_path / "d", teacher, twice, replace(SETTINGS, sampling=True, temperature=3.0), accept=True)
    header = chosen(tmp_path / "d", twice, tmp_path / "h", method="multi")
    found = HypothesisStore.open(tmp_path / "h").lookup(pairs[:20])
    source, target = fairseq_io.piece_lines(str(tmp_path / "h" / "bin"), LANGS, "train")
    by_source: dict[str, Counter] = {}
    for left, right in zip(source, target, strict=True):
        by_source.setdefault(left, Counter())[right] += 1
    lines = fairseq_io.piece_lines(str(twice), LANGS, "train")[0][:20]
    for line, each in zip(lines, found, strict=True):
        texts = [" ".join(dataset.tgt_dict[i] for i in ids[:-1]) for ids in each]
        assert not Counter(texts) - by_source[line]
    assert header.hypotheses == 120 and sum(map(len, found)) > 60


@pytest.mark.parametrize("pair", [([1, 4, 2], [5, 2]), ([4, 2], [1, 5, 2])])
def test_a_sentence_that_begins_with_padding_is_refused_and_nothing_written(pair, teacher, data, tmp_path):
    bad = shutil.copytree(data, tmp_path / "bin")
    fairseq_io.write_pairs(str(bad), LANGS, "train", [([4, 1, 2], [5, 1, 2]), pair], (16, 16))
    decode(tmp_path / "d", teacher, bad, accept=True)
    with pytest.raises(LskdError, match=r"a side of pair 1 \(from 0\) begins with <pad>"):
        chosen(tmp_path / "d", bad, tmp_path / "h")
    assert not list(tmp_path.glob("h*"))
