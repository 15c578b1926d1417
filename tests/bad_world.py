"""A folder with one valid input of every kind that a command reads, small enough to be copied for each bad one."""

import json
import shutil
import tarfile
from pathlib import Path

import frames
from conftest import binarised_pieces, train
from test_data_prep import tgz, wit3_members
from test_table import sweep

from lskd_nmt import cli
from lskd_nmt.analysis.features.folder import TOKENS, write_features
from lskd_nmt.deploy import export
from lskd_nmt.storage import files

SPLITS, LANGS = ("train", "valid", "test"), ("aa", "bb")
CONFIG = """name: exp
data: {corpus: files, source_lang: en, target_lang: de, train: raw/train, valid: raw/valid, test: raw/test,
       vocab_size: 40}
teacher: {arch: ls_transformer_tiny, label_smoothing: [0.1]}
student: {arch: ls_transformer_tiny, METHODS}
train: {max-epoch: 1, max-tokens: 512}
decode: {beam: 2}
seeds: [1]
"""
METHOD = "about: mine\nteacher: true\nlive: false\nflags: {temperature: 2, kd-weight: 0.7, tail: dense}\n"


def pieces_and_model(folder: Path) -> tuple[Path, Path]:
    """A binarised copy corpus with its spm.model, and a checkpoint: what the fixtures of conftest make."""
    data = binarised_pieces(folder)
    made = train(data, folder / "model", "--kd-weight", 0, "--max-epoch", 30, "--dropout", 0)
    return data, made / "checkpoint_last.pt"


def call(*words: object) -> None:
    """A verb that has to succeed."""
    assert cli.main([*map(str, words)]) == 0, words


def build(world: Path, data: Path, checkpoint: Path, exported: Path | None = None) -> Path:
    """Fill the folder; `data` holds spm.model, and pieces that it made."""
    shutil.copytree(data, world / "bin")
    shutil.copyfile(checkpoint, world / "T.pt")
    text_data(world, data)
    if exported is None:
        export.export_ctranslate2(checkpoint, data, LANGS, world / "ct2", lambda line: None)
    else:
        shutil.copytree(exported, world / "ct2")
    (world / "input.txt").write_text("a b c\n\nd e\n" * 3)
    here = ("--data", world / "bin", "--device", "cpu")
    call(
        "teacher-store",
        "--teacher-path",
        world / "T.pt",
        *here,
        "--out",
        world / "store",
        "--top-k",
        3,
        "--temperatures",
        "1,2",
        "--precision",
        "fp32",
        "--shard-pairs",
        30,
    )
    call("features", "--checkpoint", world / "T.pt", *here, "--out", world / "features")
    decode = ("--engine", "fairseq", "--beam", 2, "--nbest", 2, "--workers", 1, "--shard-sentences", 100)
    call("seqkd", "decode", "--teacher-path", world / "T.pt", *here, *decode, "--out", world / "decoded")
    call(
        "seqkd",
        "select",
        "--decoded",
        world / "decoded",
        "--data",
        world / "bin",
        "--method",
        "multi",
        "--out",
        world / "hyps",
    )
    text = ("--source", world / "raw" / "train.aa", "--translations", world / "raw" / "train.bb")
    call("seqkd", "import", *text, "--out", world / "imported")
    for number in range(3):
        drawn(world / f"drawn{number}", number)
    (world / "de-en.tgz").write_bytes(tgz(wit3_members("de-en")))
    with tarfile.open(world / "de-en.tgz") as whole:
        assert whole.getnames()
    a_run(world / "run")
    experiments(world)
    return world


def drawn(folder: Path, seed: int) -> None:
    """Features of a made-up model, whose symbols are words."""
    made = frames.drawn(folder.parent / f"{folder.name}.made", seed, sentences=300)
    arrays = {name: getattr(made, name) for name in (*TOKENS, "projection", "counts")}
    write_features(folder, frames.header_facts([f"▁{letter}" for letter in "abcdefghijkl"]), arrays)


def text_data(world: Path, data: Path) -> None:
    """raw/ and prepared/, a DATA folder of which `data` is the binarised part."""
    from lskd_nmt.fairseq_io import piece_lines

    prepared = world / "prepared"
    shutil.copytree(data, prepared / "bin")
    (prepared / "spm").mkdir()
    shutil.copyfile(data / "spm.model", prepared / "spm" / "spm.model")
    for split in SPLITS:
        for lang, lines in zip(LANGS, piece_lines(str(data), LANGS, split), strict=True):
            text = "".join(line.replace(" ", "").replace("▁", " ").strip() + "\n" for line in lines)
            for folder in ("prepared/clean", "raw"):
                files.write_text(world / folder / f"{split}.{lang}", text)
    files.write_text(prepared / "clean" / "dropped.json", "{}")
    files.write_text(world / "settings", "corpus=files\nform=raw\nvocab_size=20\n")


def a_run(run: Path) -> None:
    """A finished run of stand-ins, with a log, a decoding, analyses, and a forecast."""
    sweep(run, seeds=(1, 2), smoothings=(0.1,), temperatures=(1.0, 2.0))
    plan = files.read_json(run / "plan.json")
    data = run / "data"
    references = (data / "clean" / "test.de").read_text()
    files.write_text(data / "clean" / "test.en", references)
    files.write_text(data / "bin" / "dict.de.txt", "a 1\n")
    (data / "spm").mkdir()
    shutil.copyfile(run.parent / "bin" / "spm.model", data / "spm" / "spm.model")
    for model in plan["models"]:
        folder = run / "models" / model["name"]
        model["train_command"] = ["true", *model["train_command"]]
        model["decode_command"] = ["true", "--cpu"]
        shutil.copyfile(run.parent / "T.pt", folder / "model.pt")
        log = 'x | INFO | train | {"epoch": 1, "train_loss": "4", "train_num_updates": "10", "train_wpb": "9"}\n'
        files.write_text(folder / "train.log", f"num. shared model params: 4,321 (num\n{log}")
        rows = len(references.splitlines())
        files.write_text(folder / "generate.log", "".join(f"H-{n}\t-0.1\t▁a ▁b\n" for n in range(rows)))
        files.write_json(folder / "run.json", {**files.read_json(folder / "run.json"), "attempts": []})
        files.write_json(folder / "decode.json", {"command": ["true"], "words_per_second": 3.0})
    plan["decode"] = {"beam": 5}
    files.write_json(run / "plan.json", plan)
    models = [
        {"name": m["name"], "minutes": 1.0, "cpu_minutes": 2.0, "at_most": False, "peak_memory_mb": 9}
        for m in plan["models"]
    ]
    files.write_json(run / "forecast.json", {"models": models})
    files.write_json(run / "run.json", {"calls": []})
    analysis = run / "analysis"
    drawn = run.parent / "drawn0"
    call("calibrate", drawn, "--out", analysis / "calibration-a.json")
    call("confidence", "--models", f"a={drawn}", f"b={run.parent / 'drawn1'}", "--out", analysis / "confidence.json")
    call("diagnose", "--teacher", drawn, "--out", analysis / "diagnosis")
    call("table", run, "--out", run)


def experiments(world: Path) -> None:
    """Configs, with and without a method, and a planned run."""
    by_lessons = "temperature: [1, 2], plain: true"
    files.write_text(world / "exp.yaml", CONFIG.replace("METHODS", by_lessons))
    files.write_text(world / "exp2.yaml", CONFIG.replace("METHODS", "methods: [mine]"))
    files.write_text(world / "methods" / "mine.yaml", METHOD)
    facts = {"corpus": "files", "form": "raw", "source_lang": "aa", "target_lang": "bb"}
    files.write_text(world / "prepared" / "prep.json", json.dumps(facts))
    given = CONFIG.partition("data:")[0] + "data: {dir: prepared}\nteacher:" + CONFIG.partition("teacher:")[2]
    files.write_text(world / "exp3.yaml", given.replace("METHODS", by_lessons))
    for lang, other in zip(("en", "de"), LANGS, strict=True):
        for split in SPLITS:
            shutil.copyfile(world / "raw" / f"{split}.{other}", world / "raw" / f"{split}.{lang}")
