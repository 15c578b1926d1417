"""Sentence pairs that are too long for somebody: known before the first batch."""

import json
import shutil

import pytest
import torch
from conftest import binarise
from conftest import train as fit

from lskd_nmt import cli
from lskd_nmt.fairseq_io import read_checkpoint
from lskd_nmt.seqkd import store as hypotheses
from lskd_nmt.storage.files import read_json, write_json
from lskd_nmt.storage.header import digest, write_header

LONGEST = 11  # symbols of the longest pair, its end included
LINES = {"train": [3, 6, LONGEST - 1, 4, 5, 6], "valid": [4, 7], "test": [4]}  # words of each line
FEWER = ("--max-source-positions", 8, "--max-target-positions", 8)
LEARNED = ("--encoder-learned-pos", "--decoder-learned-pos")
SKIP = "--skip-invalid-size-inputs-valid-test"


def train(data, save_dir, *flags):
    """A training of batches of any size."""
    return fit(data, save_dir, "--required-batch-size-multiple", 1, *flags)


@pytest.fixture(scope="module")
def long_data(plugin, tmp_path_factory):
    """Six training pairs, the third of which is the longest, and two of validation."""
    folder = tmp_path_factory.mktemp("long")
    for split, lengths in LINES.items():
        for lang in ("aa", "bb"):
            lines = [" ".join("abcdefgh"[at % 8] for at in range(length)) for length in lengths]
            (folder / f"{split}.{lang}").write_text("".join(line + "\n" for line in lines))
    return binarise(folder, folder / "bin")


@pytest.fixture(scope="module")
def short_teacher(long_data, tmp_path_factory):
    """A teacher that takes 8 symbols."""
    folder = train(long_data, tmp_path_factory.mktemp("short"), "--kd-weight", 0, "--max-update", 1, *FEWER, *LEARNED)
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def short_store(long_data, short_teacher, tmp_path_factory):
    """What it says; the longest pair is not in there."""
    out = tmp_path_factory.mktemp("store") / "store"
    assert (
        cli.main(
            [
                "teacher-store",
                "--teacher-path",
                str(short_teacher),
                "--data",
                str(long_data),
                "--out",
                str(out),
                "--top-k",
                "4",
                "--temperatures",
                "1",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    return out


@pytest.fixture
def stopped(refused, tmp_path):
    """`stopped(data, *flags)`: the line with which the training stops, which leaves nothing."""

    def run(data, *flags):
        with refused() as line:
            train(data, tmp_path / "m", *flags)
        assert not (tmp_path / "m").exists()
        return line[0]

    return run


def updates(folder):
    return read_checkpoint(str(folder / "checkpoint_last.pt"), "checkpoint")["optimizer_history"][-1]["num_updates"]


def test_a_teacher_with_fewer_positions_than_the_longest_pair(stopped, long_data, short_teacher):
    line = stopped(long_data, "--teacher-path", short_teacher)
    assert f"takes 8 source symbols and pair 3 of train in {long_data} has {LONGEST}" in line
    assert f"leave such pairs out with --max-source-positions 8 {SKIP}" in line


def test_a_teacher_with_fewer_target_positions(stopped, long_data, short_teacher, tmp_path):
    state = torch.load(short_teacher, weights_only=True)
    state["cfg"]["model"].max_source_positions = 1024
    torch.save(state, tmp_path / "teacher.pt")
    line = stopped(long_data, "--teacher-path", tmp_path / "teacher.pt")
    assert f"takes 8 target symbols and pair 3 of train in {long_data} has {LONGEST}" in line
    assert f"leave such pairs out with --max-target-positions 8 {SKIP}" in line


def test_positions_that_are_computed_go_on_beyond_those_declared(long_data, tmp_path):
    """A teacher with sinusoidal positions was trained on short pairs and is asked about longer ones."""
    fit(
        long_data,
        tmp_path / "t",
        "--required-batch-size-multiple",
        1,
        "--kd-weight",
        0,
        "--max-update",
        1,
        *FEWER,
        SKIP,
    )
    train(long_data, tmp_path / "m", "--teacher-path", tmp_path / "t" / "checkpoint_last.pt", "--max-update", 2)
    assert updates(tmp_path / "m") == 2


def test_its_remedy_works_and_so_does_a_token_budget_that_leaves_the_pair_out(long_data, short_teacher, tmp_path):
    train(long_data, tmp_path / "a", "--teacher-path", short_teacher, *FEWER, SKIP, "--max-update", 2)
    train(long_data, tmp_path / "b", "--teacher-path", short_teacher, "--max-tokens", 8, "--max-update", 2)
    assert updates(tmp_path / "a") == updates(tmp_path / "b") == 2


def test_a_store_tells_what_it_left_out(short_store, long_data, short_teacher):
    header = json.loads((short_store / "store.json").read_text())
    assert header["left_out"] == {"pairs": 1, "positions": [8, 8]}
    assert header["sentences"] == len({*LINES["train"], *LINES["valid"]}) - 1  # lines of one length are the same here


@pytest.mark.parametrize("older", [False, True])
def test_a_store_that_left_out_a_pair_that_training_uses(stopped, short_store, long_data, older, tmp_path):
    """Its hashes are those of the data. Stores written before this was recorded are found out too."""
    header = read_json(short_store / "store.json")
    if older:
        changed = {key: value for key, value in header.items() if key not in ("left_out", "digest")}
        write_json(short_store / "store.json", {**changed, "digest": digest(changed)})
    try:
        line = stopped(long_data, "--teacher-store", short_store)
    finally:
        write_json(short_store / "store.json", header)
    limits = f"--max-source-positions {LONGEST - 1}" if older else " ".join(map(str, FEWER))
    assert f"lacks pair 3 of train in {long_data}, of {LONGEST} source and {LONGEST} target symbols" in line
    assert f"leave such pairs out with {limits} {SKIP}" in line


def test_a_store_that_left_out_what_training_leaves_out_too(short_store, long_data, tmp_path):
    train(long_data, tmp_path / "m", "--teacher-store", short_store, *FEWER, SKIP, "--max-update", 2)
    assert updates(tmp_path / "m") == 2


@pytest.mark.parametrize(
    "flags, part",
    [
        (
            ["--max-source-positions", 7],
            "pair 2 of valid in {data} has 8 source symbols and the student takes 7: raise "
            "--max-source-positions, or skip it with " + SKIP,
        ),
        (["--max-target-positions", 7], "pair 2 of valid in {data} has 8 target symbols and the student takes 7"),
        (["--max-tokens", 2], "has no sentence pair that training takes"),
        (["--valid-subset", "validation"], "data folder {data} has no 'validation' of this language pair"),
        (["--train-subset", "training"], "data folder {data} has no 'training' of this language pair"),
        (["--ignore-prefix-size", LONGEST], f"--ignore-prefix-size is {LONGEST} and the longest target has {LONGEST}"),
        (["--ignore-prefix-size", 1000], "--ignore-prefix-size is 1000 and the longest target has"),
        (["--ignore-prefix-size", -1], "--ignore-prefix-size is -1: give 0"),
    ],
)
def test_lengths_that_fairseq_stops_at_or_learns_nothing_from(stopped, long_data, flags, part):
    assert part.format(data=long_data) in stopped(long_data, "--kd-weight", 0, *flags)


def test_lengths_that_still_train(long_data, tmp_path):
    train(
        long_data,
        tmp_path / "m",
        "--kd-weight",
        0,
        "--max-source-positions",
        7,
        SKIP,
        "--ignore-prefix-size",
        6,
        "--max-update",
        1,
        "--report-accuracy",
    )
    train(
        long_data,
        tmp_path / "n",
        "--kd-weight",
        0,
        "--max-source-positions",
        7,
        "--disable-validation",
        "--max-update",
        1,
        "--valid-subset",
        "nowhere",
    )
    assert updates(tmp_path / "m") == updates(tmp_path / "n") == 1


def test_every_folder_of_the_training_data_is_measured(stopped, long_data, short_teacher, tmp_path):
    """The first has short pairs alone; fairseq opens the second in the second epoch."""
    first = tmp_path / "first"
    shutil.copytree(long_data, first)
    for lang in ("aa", "bb"):
        for kind in ("bin", "idx"):
            shutil.copyfile(first / f"valid.aa-bb.{lang}.{kind}", first / f"train.aa-bb.{lang}.{kind}")
    line = stopped(f"{first}:{long_data}", "--teacher-path", short_teacher)
    assert f"pair 3 of train in {long_data} has {LONGEST}" in line


def test_hypotheses_longer_than_the_teacher_takes(stopped, long_data, tmp_path):
    """CTranslate2 does not stop at a model's positions, so what it wrote can be longer than what fairseq takes."""
    train(long_data, tmp_path / "t", "--kd-weight", 0, "--max-update", 1, "--max-target-positions", LONGEST, *LEARNED)
    teacher, decoded, chosen = tmp_path / "t" / "checkpoint_last.pt", tmp_path / "decoded", tmp_path / "chosen"
    common = ["--data", str(long_data), "--out"]
    assert (
        cli.main(
            [
                "seqkd",
                "decode",
                "--teacher-path",
                str(teacher),
                *common,
                str(decoded),
                "--engine",
                "fairseq",
                "--workers",
                "1",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert cli.main(["seqkd", "select", "--decoded", str(decoded), *common, str(chosen)]) == 0
    header = read_json(chosen / "hypotheses.json")
    header.pop("digest")
    write_header(chosen, hypotheses.KIND, {**header, "longest": LONGEST + 1})
    line = stopped(long_data, "--teacher-path", teacher, "--hypotheses", chosen, "--kd-level", "both")
    assert f"takes {LONGEST} target symbols and --hypotheses {chosen} have up to {LONGEST + 1}" in line


def test_data_of_which_fairseq_makes_no_batch(refused, long_data, tmp_path):
    with refused() as line:
        fit(long_data, tmp_path / "m", "--kd-weight", 0)  # six pairs, and batches of a multiple of eight
    assert "the data make no batch" in line[0] and "give --required-batch-size-multiple 1" in line[0]


@pytest.mark.parametrize("split", ["train", "train1", "valid"])
@pytest.mark.parametrize(
    "damage, part",
    [
        (lambda content: content[:-2], "is cut, or of another binarisation"),
        (lambda content: b"\x60\xea" + content[2:], "holds symbols that its dictionary of"),
    ],
)
def test_binarised_text_that_is_damaged_is_refused_by_file(stopped, long_data, tmp_path, split, damage, part):
    shutil.copytree(long_data, tmp_path / "bin")
    for lang in ("aa", "bb"):
        for ending in ("bin", "idx"):
            whole = tmp_path / "bin" / f"train.aa-bb.{lang}.{ending}"
            shutil.copyfile(whole, whole.with_name(f"train1.aa-bb.{lang}.{ending}"))
    file = tmp_path / "bin" / f"{split}.aa-bb.bb.bin"
    file.write_bytes(damage(file.read_bytes()))
    line = stopped(tmp_path / "bin", "--kd-weight", 0, "--upsample-primary", 1)
    assert f"{file} {part}" in line and "binarise it again" in line
