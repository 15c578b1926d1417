"""The pipeline on a bench: a working folder, a prepared corpus, and stand-ins for the fairseq commands (tests/bin)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import sentencepiece

ROOT = Path(__file__).resolve().parent.parent
STEPS = ROOT / "experiments" / "steps"
TEXT = [
    f"{who} {what} {how}."
    for who in ("Anna", "Otto", "Der Hund")
    for what in ("singt", "tanzt", "schläft")
    for how in ("heute", "gern", "nie")
]
CONFIG = """
name: tiny
data: {{dir: {data}}}
teacher: {{arch: ls_transformer_tiny, train: {{max-epoch: 2}}}}
student: {{arch: ls_transformer_tiny, temperature: [1, 2], train: {{max-epoch: 2}}}}
"""
MODELS = ["teacher-ls0.1-s1", "student-plain-s1", "student-ls0.1-t1-s1", "student-ls0.1-t2-s1"]


def prepare(data):
    """A DATA folder as data-prep leaves it, as far as the pipeline reads it."""
    for folder in ("clean", "spm", "bin"):
        (data / folder).mkdir()
    for lang in ("en", "de"):
        (data / "clean" / f"test.{lang}").write_text("".join(f"{line}\n" for line in TEXT), encoding="utf-8")
        (data / "bin" / f"dict.{lang}.txt").write_text("a 1\n")
    prefix = data / "spm" / "spm"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_prefix=str(prefix), vocab_size=28, minloglevel=2
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model").encode(TEXT, out_type=str)
    (data / "pieces").write_text("".join(" ".join(line) + "\n" for line in pieces), encoding="utf-8")
    facts = {"corpus": "files", "form": "raw", "source_lang": "en", "target_lang": "de"}
    (data / "prep.json").write_text(json.dumps(facts))
    return data


class Bench:
    """A working folder with a config, and commands that run in it."""

    def __init__(self, folder, prepared):
        self.folder, self.run, self.config = folder, folder / "runs" / "tiny", folder / "tiny.yaml"
        self.config.write_text(CONFIG.format(data=prepared))
        shutil.copytree(ROOT / "tests" / "bin", folder / "bin")
        # the scripts put their Python's folder first on PATH: this one has the stand-ins beside it
        (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (folder / "bin" / "python").chmod(0o755)
        self.environment = {
            **os.environ,
            "LSKD_PYTHON": str(folder / "bin" / "python"),
            "FAKE_CALLS": str(folder / "calls"),
            "FAKE_HYPOTHESES": str(prepared / "pieces"),
        }

    def __call__(self, script, *arguments, fake="", **environment):
        environment = {**self.environment, "FAKE": fake, **environment}
        return subprocess.run(
            ["bash", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment,
        )

    def experiment(self, *arguments, fake="", **environment):
        return self(ROOT / "experiments" / "run.sh", "--config", "tiny.yaml", *arguments, fake=fake, **environment)

    def calls(self, command="fairseq-train"):
        file = self.folder / "calls"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return {name: words for found, name, threads, *words in calls if found == command}

    def model(self, name):
        return self.run / "models" / name


def checkpoint(file: Path, source="en", target="de", **more) -> Path:
    """A file as fairseq-train writes it, as far as the pipeline reads it."""
    import torch

    cfg = {"task": {"source_lang": source, "target_lang": target}, "model": {"arch": "some_arch"}}
    cfg |= {"criterion": {"_name": "kd_ls", "label_smoothing": 0.1}, "common": {"seed": 5}}
    state = {"model": {"decoder.output_projection.weight": torch.zeros(2, 3)}, "cfg": cfg}
    state |= {"optimizer_history": [{"num_updates": 70}], "extra_state": {"train_iterator": {"epoch": 4}}, **more}
    torch.save(state, file)
    return file


def error_line(done):
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]
