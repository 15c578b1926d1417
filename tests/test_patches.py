"""What the plugin changes in fairseq: listed, changed for trainings with kd_ls, and for no other."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, USER_DIR

# Trains, or validates a checkpoint, in a process of its own. Prints which functions of fairseq are replaced while the
# model is built and at the end, the tokeniser that validation gives to sacreBLEU, and the class of an error at the end.

PROBE = """
import json, sys
import sacrebleu
from fairseq import checkpoint_utils, models
from fairseq.data import iterators
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from fairseq.tasks import FairseqTask
from fairseq.tasks.translation import TranslationTask
from fairseq.trainer import Trainer
from fairseq_cli import train, validate
from torch.nn import functional

places = [
    (FairseqTask, "get_batch_iterator"), (Trainer, "get_valid_iterator"), (Trainer, "load_checkpoint"),
    (iterators.EpochBatchIterator, "first_batch"), (iterators.EpochBatchIterator, "load_state_dict"),
    (models, "build_model"), (PathManager, "copy"), (checkpoint_utils, "torch_persistent_save"),
    (TranslationTask, "_inference_with_bleu"), (train, "get_valid_stats"),
    (functional, "linear"),
]
before = [vars(owner)[name] for owner, name in places]
replaced = lambda: [name for (owner, name), old in zip(places, before) if vars(owner)[name] is not old]
found = {}
build_model, corpus_bleu = FairseqTask.build_model, sacrebleu.corpus_bleu

def look(self, *args, **kwargs):
    found["while"] = replaced()
    return build_model(self, *args, **kwargs)

def scored(*args, **kwargs):
    found["tokenize"] = kwargs.get("tokenize")
    return corpus_bleu(*args, **kwargs)

FairseqTask.build_model, sacrebleu.corpus_bleu = look, scored
try:
    (train if "--save-dir" in sys.argv else validate).cli_main()
except BaseException as error:
    found["error"] = type(error).__name__
print(json.dumps({**found, "after": replaced()}))
"""
SIZES = [
    word
    for side in ("encoder", "decoder")
    for size in ("embed-dim", "ffn-embed-dim")
    for word in (f"--{side}-{size}", "16")
]
STOCK = ("--arch", "transformer", "--criterion", "cross_entropy")
PRESET = ("--arch", "ls_transformer_tiny")
OURS = (*PRESET, "--criterion", "kd_ls", "--kd-weight", "0")
BLEU = ("--eval-bleu", "--eval-bleu-args", json.dumps({"beam": 1, "tokenize": "char"}), "--eval-bleu-detok", "space")
ALL = {
    "get_batch_iterator",
    "get_valid_iterator",
    "load_checkpoint",
    "first_batch",
    "load_state_dict",
    "build_model",
    "copy",
    "torch_persistent_save",
    "_inference_with_bleu",
    "get_valid_stats",
    "linear",
}


def run_probe(*flags):
    """What `PROBE` prints of fairseq-train or fairseq-validate with these flags."""
    command = [sys.executable, "-c", PROBE, *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def trained(data, save_dir, *flags):
    """What `PROBE` prints of a training of one update."""
    words = [data, "--user-dir", USER_DIR, "--save-dir", save_dir, "--cpu", "--optimizer", "adam", "--max-update", 1]
    words += ["--max-tokens", 100, "--num-workers", 0, "--no-epoch-checkpoints", *SIZES, *BLEU, *flags]
    return run_probe(*words)


def validated(data, save_dir):
    """What `PROBE` prints of the validation of the checkpoint that a training left."""
    words = ["--path", save_dir / "checkpoint_last.pt", "--task", "translation", "--max-tokens", 100]
    return run_probe(data, "--user-dir", USER_DIR, "--cpu", "--num-workers", 0, *words)


def test_programs_that_do_not_run_kd_ls_see_fairseq_as_it_is(data, tmp_path):
    assert trained(data, tmp_path / "m", *STOCK) == {"while": [], "tokenize": None, "after": []}
    assert validated(data, tmp_path / "m") == {"while": [], "tokenize": None, "after": []}


def test_so_does_a_preset_with_a_criterion_of_fairseqs_and_its_errors_are_fairseqs(data, tmp_path):
    found = trained(data, tmp_path / "m", *PRESET, "--criterion", "cross_entropy", "--encoder-attention-heads", 3)
    assert found == {"while": [], "error": "AssertionError", "after": []}


def test_a_program_that_runs_kd_ls_has_every_patch_until_it_ends(data, tmp_path):
    for found in (trained(data, tmp_path / "m", *OURS), validated(data, tmp_path / "m")):
        assert set(found["while"]) == ALL and found["tokenize"] == "char" and found["after"] == []


def test_the_table_names_every_file_and_each_is_applied(plugin):
    from user_dir import patches

    files = {file.stem for file in (USER_DIR / "patches").glob("*.py")} - {"__init__"}
    assert [patch.name for patch in patches.PATCHES if patch.at_import] == ["launch", "start", "activations"]
    assert files == {patch.name for patch in patches.PATCHES}
    for patch in patches.PATCHES:
        module = sys.modules[f"user_dir.patches.{patch.name}"]
        assert patch.apply is module.apply and module.__doc__ and patch.mends and patch.why
        replaced = []
        patch.apply(lambda owner, name, new, seen=replaced: seen.append(name))
        for name in replaced:
            assert f"{name}`" in patch.where, f"{name} is replaced by {patch.name} and not named as where it acts"
        assert bool(replaced) == (patch.name != "launch")


def say_what_is_replaced(cfg, queue):
    """A `main` of fairseq in a process that it started."""
    from fairseq.tasks import FairseqTask

    queue.put(hasattr(FairseqTask.get_batch_iterator, "__wrapped__"))


def test_processes_that_fairseq_starts_have_them_too():
    from argparse import Namespace

    from lskd_nmt.fairseq_io.plugin import MainWithPatches

    spawn = multiprocessing.get_context("spawn")  # as torch.multiprocessing.spawn does: nothing is inherited
    queue = spawn.Queue()
    cfg = Namespace(common=Namespace(user_dir=str(USER_DIR)))
    main = MainWithPatches(say_what_is_replaced, "user_dir.patches")
    process = spawn.Process(target=main, args=(cfg,), kwargs={"queue": queue})
    process.start()
    process.join()
    assert process.exitcode == 0 and queue.get(timeout=10) is True


@pytest.mark.parametrize("criterion, joined", [("kd_ls", True), ("cross_entropy", False)])
def test_a_launcher_joins_only_trainings_with_kd_ls(criterion, joined, tmp_path):
    program = tmp_path / "fairseq-train"
    program.write_text(
        "import sys; from argparse import Namespace; from fairseq.utils import import_user_module\n"
        f"import_user_module(Namespace(user_dir={str(USER_DIR)!r})); print('--distributed-rank' in sys.argv)\n"
    )
    launched = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    environment = {**os.environ, **launched, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(program), "data", "--criterion", criterion]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=Path(tmp_path))
    assert done.stdout.split() == [str(joined)]
