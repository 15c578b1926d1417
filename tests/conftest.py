"""Shared by the tests: the plugin loaded as fairseq loads it, and a corpus small enough to train on in a second."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from bench import Bench, prepare

ROOT = Path(__file__).resolve().parent.parent
USER_DIR = ROOT / "user_dir"
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models crawl where threads fight for busy cores
sys.path.insert(0, str(ROOT))  # so that a checkout is tested, not an installed copy


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A DATA folder as data-prep leaves it, as far as the pipeline reads it."""
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def bench(tmp_path, prepared):
    """The pipeline with stand-ins for the fairseq commands."""
    return Bench(tmp_path, prepared)


@pytest.fixture(scope="session")
def once_finished(tmp_path_factory, prepared):
    """A bench with a finished run, not to be touched."""
    bench = Bench(tmp_path_factory.mktemp("finished"), prepared)
    done = bench.experiment("--device", "cpu", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return bench


@pytest.fixture
def finished(bench, once_finished):
    """A bench with a finished run of its own."""
    shutil.copytree(once_finished.run, bench.run)
    return bench


@pytest.fixture(scope="session")
def plugin():
    """The module of `--user-dir user_dir`, imported the way training does."""
    from fairseq.utils import import_user_module

    import_user_module(Namespace(user_dir=str(USER_DIR)))
    return sys.modules["user_dir"]


def write_copy_corpus(folder: Path, words: str, seed: int = 1, pairs: int = 60) -> None:
    """`train` and `valid` of a task a tiny model can learn: the target repeats the source."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in (("train", pairs), ("valid", 12), ("test", 12)):
        lines = [" ".join(draw.choices(words, k=draw.randint(2, 6))) for _ in range(size)]
        for lang in ("aa", "bb"):
            (folder / f"{split}.{lang}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def call(entry: object, name: str, *arguments: object) -> None:
    """Run a fairseq command in this process, as its console script would."""
    from fairseq import checkpoint_utils

    before = sys.argv
    sys.argv = [name, *map(str, arguments)]
    checkpoint_utils.save_checkpoint.__dict__.pop("best", None)  # fairseq keeps it for the life of a process
    try:
        entry()  # type: ignore[operator]
    finally:
        sys.argv = before


def binarise(text: Path, out: Path, *extra: object) -> Path:
    """fairseq-preprocess with a joined dictionary."""
    from fairseq_cli import preprocess

    prefixes = [f"--{split}pref={text / split}" for split in ("train", "valid", "test")]
    call(
        preprocess.cli_main,
        "fairseq-preprocess",
        "-s",
        "aa",
        "-t",
        "bb",
        *prefixes,
        "--joined-dictionary",
        "--destdir",
        out,
        "--workers",
        1,
        *extra,
    )
    return out


def train(data: Path, save_dir: Path, *extra: object) -> Path:
    """fairseq-train of a tiny transformer with kd_ls on the CPU; the folder with its checkpoints."""
    from fairseq_cli import train as fairseq_train

    call(
        fairseq_train.cli_main,
        "fairseq-train",
        data,
        "--user-dir",
        USER_DIR,
        "--save-dir",
        save_dir,
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
        "--criterion",
        "kd_ls",
        "--optimizer",
        "adam",
        "--lr",
        0.01,
        "--max-tokens",
        100,
        "--max-epoch",
        2,
        "--num-workers",
        0,
        "--seed",
        7,
        "--log-format",
        "none",
        *extra,
    )
    return save_dir


def build(data: Path, *flags: object):
    """Task, model and criterion as fairseq-train would build them."""
    import torch
    from fairseq import options, tasks
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    parser = options.get_training_parser()
    args = [data, "--user-dir", USER_DIR, "-s", "aa", "-t", "bb", "--criterion", "kd_ls", "--optimizer", "adam"]
    args += [
        "--arch",
        "ls_transformer_tiny",
        "--encoder-embed-dim",
        16,
        "--decoder-embed-dim",
        16,
        "--dropout",
        0,
        *flags,
    ]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, list(map(str, [*args, *flags]))))
    torch.manual_seed(3)
    task = tasks.setup_task(cfg.task)
    return task, task.build_model(cfg.model), task.build_criterion(cfg.criterion)


def gradients(criterion, model, batch):
    """The loss, and its gradient for every parameter of the model."""
    import torch

    loss = criterion(model, batch)[0]
    return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))


def batch_of(task, count: int = 10) -> dict:
    """The first sentence pairs of train."""
    task.load_dataset("train")
    dataset = task.dataset("train")
    return dataset.collater([dataset[index] for index in range(count)])


def peak_bytes(run) -> int:
    """The most bytes that a call had allocated at a time above the level before, on the CPU."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    level = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak


@pytest.fixture(scope="session")
def data(plugin, tmp_path_factory) -> Path:
    """A binarised copy corpus over eight words."""
    folder = tmp_path_factory.mktemp("copy")
    write_copy_corpus(folder / "text", "abcdefgh")
    return binarise(folder / "text", folder / "bin")


@pytest.fixture(scope="session")
def teacher(data, tmp_path_factory) -> Path:
    """A checkpoint trained with label smoothing 0.1 on `data`."""
    folder = train(data, tmp_path_factory.mktemp("teacher"), "--kd-weight", 0, "--label-smoothing", 0.1)
    return folder / "checkpoint_last.pt"


def binarised_pieces(folder: Path) -> Path:
    """A copy corpus of sentencepiece's pieces, binarised, with a model whose pieces they are."""
    from lskd_nmt.data import subwords

    write_copy_corpus(folder / "text", [f"▁{letter}" for letter in "abcdefgh"])
    plain = folder / "plain.txt"
    plain.write_text((folder / "text" / "train.aa").read_text().replace(" ", "").replace("▁", " "))
    subwords.learn([plain], folder / "spm", 20)
    data = binarise(folder / "text", folder / "bin")
    shutil.copyfile(folder / "spm.model", data / "spm.model")
    return data


@pytest.fixture(scope="session")
def pieces(plugin, tmp_path_factory) -> Path:
    """See `binarised_pieces`."""
    return binarised_pieces(tmp_path_factory.mktemp("pieces"))


@pytest.fixture(scope="session")
def checkpoint(pieces, tmp_path_factory) -> Path:
    """A checkpoint trained on `pieces` until it copies most words."""
    folder = train(pieces, tmp_path_factory.mktemp("model"), "--kd-weight", 0, "--max-epoch", 30, "--dropout", 0)
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def model(checkpoint, pieces, tmp_path_factory) -> Path:
    """The CTranslate2 folder of `checkpoint`."""
    from lskd_nmt.deploy import export
    from lskd_nmt.deploy.sealed import export_json

    out = tmp_path_factory.mktemp("ct2") / "model"
    made = export.export_ctranslate2(checkpoint, pieces, ("aa", "bb"), out, lambda line: None)
    assert json.loads((out / "export.json").read_text()) == export_json(made)
    assert made.sentences == 12 and abs(made.bleu_fairseq - made.bleu_ctranslate2) <= 0.5
    return out


@pytest.fixture
def refused(capsys):
    """A context in which a command must stop with one line on stderr and exit code 2; yields a list with that line."""

    @contextlib.contextmanager
    def context() -> Iterator[list[str]]:
        line: list[str] = []
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            yield line
        assert stopped.value.code == 2
        errors = [text for text in capsys.readouterr().err.splitlines() if ": error: " in text]
        assert len(errors) == 1, errors
        line.append(errors[0])

    return context


@pytest.fixture
def untrained(data, tmp_path, refused):
    """A check: a training with these flags is refused in a line that says `part`, and leaves nothing.

    Flags that are names of `files` become these.
    """

    def check(flags: Sequence[object], part: str, **files: object) -> None:
        with refused() as line:
            train(data, tmp_path / "m", *[files.get(str(flag), flag) for flag in flags])
        assert part in line[0]
        assert not (tmp_path / "m").exists()

    return check
