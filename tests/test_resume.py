"""What a training would resume from: all that stock fairseq goes on from, and one line about anything else."""

import shutil

import pytest
import torch
from conftest import train

from lskd_nmt.fairseq_io import SYMBOLS_KEY, read_checkpoint

FRESH = ("--reset-optimizer", "--reset-lr-scheduler", "--reset-dataloader", "--reset-meters")


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    """`begun(*flags)`: a save dir in which one update was made, not to be changed."""
    made = {}

    def save_dir(*flags):
        if flags not in made:
            folder = tmp_path_factory.mktemp("begun")
            made[flags] = train(data, folder, "--kd-weight", 0, "--max-update", 1, "--no-epoch-checkpoints", *flags)
        return made[flags]

    return save_dir


@pytest.fixture
def goes_on(data, teacher, tmp_path, begun):
    """`goes_on(first, *flags, change=…)`: the updates made after a training goes on from one with the flags `first`."""

    def run(first, *flags, change=None):
        shutil.copytree(begun(*first), tmp_path / "m")
        if change:
            change(tmp_path / "m" / "checkpoint_last.pt")
        train(data, tmp_path / "m", "--teacher-path", teacher, "--max-update", 2, "--no-epoch-checkpoints", *flags)
        state = read_checkpoint(str(tmp_path / "m" / "checkpoint_last.pt"), "checkpoint")
        return state["optimizer_history"][-1]["num_updates"]

    return run


@pytest.fixture
def stops(goes_on, refused, tmp_path):
    """`stops(…)` as `goes_on`: the line with which it stops instead; no file is changed, added or removed."""

    def run(first, *flags, change=None):
        before = {}

        def note(last):
            if change:
                change(last)
            before.update({file: file.stat() for file in last.parent.rglob("*")})

        with refused() as line:
            goes_on(first, *flags, change=note)
        after = {file: file.stat() for file in (tmp_path / "m").rglob("*")}
        assert {file: (stat.st_size, stat.st_mtime_ns) for file, stat in before.items()} == {
            file: (stat.st_size, stat.st_mtime_ns) for file, stat in after.items()
        }
        return line[0]

    return run


def edited(change):
    """A change of a checkpoint's content, as one of its file."""

    def edit(file):
        state = torch.load(file, weights_only=True)
        change(state)
        torch.save(state, file)

    return edit


def swap_two_symbols(state):
    symbols = state["task_state"][SYMBOLS_KEY]["target"]
    symbols[5], symbols[6] = symbols[6], symbols[5]


def as_folder(file):
    file.unlink()
    file.mkdir()


STOCK = ("--criterion", "label_smoothed_cross_entropy", "--label-smoothing", 0.1)


@pytest.fixture(scope="module")
def stock(data, tmp_path_factory):
    """A save dir of fairseq's own criterion."""
    from conftest import USER_DIR, call
    from fairseq_cli import train as fairseq_train

    folder = tmp_path_factory.mktemp("stock")
    call(
        fairseq_train.cli_main,
        "fairseq-train",
        data,
        "--user-dir",
        USER_DIR,
        "--save-dir",
        folder,
        "--cpu",
        "--arch",
        "ls_transformer_tiny",
        "--encoder-embed-dim",
        16,
        "--decoder-embed-dim",
        16,
        "--encoder-ffn-embed-dim",
        16,
        "--decoder-ffn-embed-dim",
        16,
        "--encoder-layers",
        1,
        "--decoder-layers",
        1,
        *STOCK,
        "--optimizer",
        "adam",
        "--max-tokens",
        100,
        "--max-update",
        1,
        "--num-workers",
        0,
        "--no-epoch-checkpoints",
        "--log-format",
        "none",
    )
    return folder


def test_a_training_by_another_criterion(data, teacher, stock, tmp_path, refused):
    shutil.copytree(stock, tmp_path / "m")
    last, kd = tmp_path / "m" / "checkpoint_last.pt", ("--teacher-path", teacher, "--max-update", 2)
    with refused() as line:
        train(data, tmp_path / "m", *kd)
    assert f"checkpoint {last} was trained by LabelSmoothedCrossEntropyCriterion" in line[0]
    assert "give another --save-dir, or go on from its weights alone with --reset-optimizer" in line[0]
    with refused() as line:
        train(data, tmp_path / "n", *kd, "--restore-file", last)
    assert "give another checkpoint" in line[0] and not (tmp_path / "n").exists()


@pytest.mark.parametrize("way", [["--reset-optimizer"], FRESH, ["--restore-file"], ["--finetune-from-model"]])
def test_what_fairseq_allows_of_it_still_works(data, teacher, stock, tmp_path, way):
    flags = [*way, stock / "checkpoint_last.pt"] if way[0] in ("--restore-file", "--finetune-from-model") else way
    flags += FRESH if way[0] == "--restore-file" else ()
    if way[0].startswith("--reset"):
        shutil.copytree(stock, tmp_path / "m")
    train(data, tmp_path / "m", "--teacher-path", teacher, "--max-epoch", 1, "--no-epoch-checkpoints", *flags)
    history = read_checkpoint(str(tmp_path / "m" / "checkpoint_last.pt"), "checkpoint")["optimizer_history"]
    assert [each["criterion_name"] for each in history][-2:] == ["LabelSmoothedCrossEntropyCriterion", "KdLsCriterion"]


@pytest.mark.parametrize(
    "first, flags, part",
    [
        ([], ["--encoder-layers", 2], "is of another model than --arch ls_transformer_tiny with its flags"),
        ([], ["--decoder-ffn-embed-dim", 32], "size mismatch for decoder.layers.0.fc2.weight"),
        (
            [],
            [
                "--arch",
                "lightconv",
                "--encoder-attention-heads",
                4,
                "--decoder-attention-heads",
                4,
                "--encoder-conv-dim",
                16,
                "--decoder-conv-dim",
                16,
                "--encoder-kernel-size-list",
                "[3]",
                "--decoder-kernel-size-list",
                "[3]",
            ],
            "is of another model than --arch lightconv",
        ),
        ([], ["--optimizer", "nag"], "was trained with FairseqAdam, and this training has FairseqNAG"),
        ([], ["--fp16", "--memory-efficient-fp16"], "this training has MemoryEfficientFP16Optimizer"),
        ([], ["--lr-scheduler", "reduce_lr_on_plateau"], "checkpoint_last.pt cannot be resumed (KeyError: 'best')"),
        ([], ["--max-tokens", 5000], "go on with --reset-dataloader"),
        ([], ["--select", "global:0.5:100"], "checkpoint_last.pt cannot be resumed (ValueError"),
        ([], ["--finetune-from-model", "t.pt", "--restore-file", "t.pt"], "are both given: give one"),
        ([], ["--finetune-from-model", "t.pt", "--reset-meters"], "resets everything, and --reset-meters is given"),
    ],
)
def test_a_training_with_other_flags(stops, first, flags, part):
    assert part in stops(first, *flags)


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), "cannot be read"),
        (lambda file: file.write_bytes(b""), "cannot be read"),
        (lambda file: file.write_text("no checkpoint\n"), "cannot be read"),
        (as_folder, "is a folder where a checkpoint belongs"),
        (edited(lambda state: state.pop("optimizer_history")), "holds no state of a training to resume"),
        (edited(lambda state: state.update(optimizer_history=[])), "holds no state of a training to resume"),
        (edited(lambda state: state.pop("extra_state")), "holds no state of a training to resume"),
        (edited(lambda state: state["model"].pop("decoder.layers.0.fc1.weight")), "decoder.layers.0.fc1.weight"),
        (
            edited(swap_two_symbols),
            "was trained with another target dictionary (16 symbols, the data have 16, 2 differ)",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_resumed(stops, tmp_path, change, part):
    line = stops([], change=change)
    assert part in line and f"{tmp_path / 'm' / 'checkpoint_last.pt'}" in line
    if "cannot be read" in line:
        best = tmp_path / "m" / "checkpoint_best.pt"
        assert line.endswith(f"go on with --restore-file {best}, or another --save-dir")


def test_the_remedy_for_a_damaged_checkpoint_works(goes_on, begun):
    best = begun() / "checkpoint_best.pt"
    assert goes_on([], "--restore-file", best, change=lambda file: file.write_bytes(b"")) == 2


@pytest.mark.parametrize(
    "first, flags",
    [
        ([], []),
        (["--lr-scheduler", "inverse_sqrt", "--warmup-updates", 2], ["--lr-scheduler", "cosine"]),
        ([], ["--optimizer", "nag", "--reset-optimizer"]),
        ([], ["--max-tokens", 5000, "--reset-dataloader"]),
        ([], ["--bf16"]),
        (["--bf16"], []),
        ([], ["--restore-file", "nowhere.pt"]),  # fairseq begins anew
    ],
)
def test_trainings_that_go_on(goes_on, first, flags):
    assert goes_on(first, *flags) == 2


def test_a_checkpoint_without_an_optimizers_state_goes_on(goes_on):
    assert goes_on([], change=edited(lambda state: state.update(last_optimizer_state=None))) == 2


def test_weights_for_other_symbols_may_be_what_a_training_starts_from(goes_on):
    assert goes_on([], *FRESH, change=edited(swap_two_symbols)) == 2


def test_a_model_to_start_from_that_is_not_there(data, tmp_path, untrained):
    untrained(["--kd-weight", 0, "--finetune-from-model", "nowhere.pt"], "--finetune-from-model nowhere.pt does not")


@pytest.mark.parametrize(
    "place, part",
    [
        ("file", "--save-dir {file} is no folder"),
        ("file/below", "--save-dir {file}/below: {file} is no folder"),
        ("link", "--save-dir {link} is no folder"),
    ],
)
def test_save_dirs_that_cannot_be_made(data, refused, tmp_path, place, part):
    (tmp_path / "file").write_text("of the user's")
    (tmp_path / "link").symlink_to("nowhere")
    with refused() as line:
        train(data, tmp_path / place, "--kd-weight", 0, "--no-save")
    assert part.format(file=tmp_path / "file", link=tmp_path / "link") in line[0]
    assert (tmp_path / "file").read_text() == "of the user's"


def test_a_save_dir_without_permission(data, refused, tmp_path, monkeypatch):
    import os

    monkeypatch.setattr(os, "access", lambda path, mode: False)  # whoever runs this may be allowed everything
    with refused() as line:
        train(data, tmp_path / "m", "--kd-weight", 0)
    assert f"--save-dir {tmp_path / 'm'}: {tmp_path} cannot be written to" in line[0]
