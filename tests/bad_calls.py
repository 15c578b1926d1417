"""Every entry point with a valid call, the files that it reads, and what happens when one of them is bad."""

import contextlib
import io
import json
import logging
import math
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bad_files import KINDS, NUMBERS
from conftest import ROOT

from lskd_nmt import cli

SECONDS, MEMORY = 120, 12 << 30
DISK, FULL = "disk", ["1500", "3000", "10000", "40000"]  # bytes of a file, above which writing fails


@dataclass(frozen=True)
class Entry:
    """A valid call in a copy of the world, and what can be made bad in it."""

    words: Sequence[str]
    files: dict[str, str] = field(default_factory=dict)  # a file of the world -> its kind
    needs: Sequence[str] = ()  # what else is copied
    numbers: Sequence[str] = ()  # flags that take a number
    out: str = ""  # what a refused call must not leave
    stdin: str = ""
    program: str = "lskd"


def of(names: str, kind: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


SIDES = " ".join(f"{{0}}/{split}.{lang}" for split in ("train", "valid", "test") for lang in ("aa", "bb"))
DICTS = of("bin/dict.aa.txt bin/dict.bb.txt", "dictionary")
BINS = of(
    " ".join(
        f"bin/{split}.aa-bb.{lang}.{end}"
        for split in ("train", "valid")
        for lang in ("aa", "bb")
        for end in ("bin", "idx")
    ),
    "any",
)
TEACHER = {"T.pt": "checkpoint"}
LANGS = ["--source-lang", "aa", "--target-lang", "bb"]
FEATURES = {"{0}/header.json": "header"} | {
    f"{{0}}/{name}.npy": "array"
    for name in (
        "state",
        "target",
        "target_log_prob",
        "top",
        "top_log_prob",
        "entropy",
        "sum_squares",
        "sentence",
        "position",
        "projection",
        "counts",
    )
}
RUN = (
    {"run/plan.json": "json"}
    | {
        f"run/models/{model}/{name}": kind
        for model in ("teacher-ls0.1-s1", "student-ls0.1-dense-t1-s2")
        for name, kind in (("metrics.json", "json"), ("run.json", "json"), ("curve.json", "json"), ("test.hyp", "text"))
    }
    | {"run/data/clean/test.de": "text", "run/significance.json": "json"}
)
STUDENT = ["--run", "run", "--model", "student-ls0.1-dense-t1-s2"]
MODEL = "run/models/student-ls0.1-dense-t1-s2"
SIZES = [
    word
    for side in ("encoder", "decoder")
    for name, size in (("layers", "1"), ("embed-dim", "16"), ("ffn-embed-dim", "16"))
    for word in (f"--{side}-{name}", size)
]
TRAIN = [
    "bin",
    "--arch",
    "ls_transformer_tiny",
    *SIZES,
    "--criterion",
    "kd_ls",
    "--optimizer",
    "adam",
    "--lr",
    "0.01",
    "--max-tokens",
    "100",
    "--max-update",
    "2",
    "--cpu",
    "--num-workers",
    "0",
    "--log-format",
    "none",
    "--save-dir",
    "saved",
]


def features(folder: str) -> dict[str, str]:
    return {file.format(folder): kind for file, kind in FEATURES.items()}


ENTRIES: dict[str, Entry] = {
    "toy": Entry(
        [
            "toy",
            "--source-lang",
            "en",
            "--target-lang",
            "de",
            "--out",
            "o",
            "--train",
            "9",
            "--valid",
            "3",
            "--test",
            "3",
        ],
        numbers=("--train", "--valid", "--seed"),
        out="o",
    ),
    "iwslt": Entry(
        ["iwslt", "de-en.tgz", "--layout", "wit3", "--source-lang", "en", "--target-lang", "de", "--out", "o"],
        {"de-en.tgz": "any"},
        numbers=("--expected",),
        out="o",
    ),
    "clean": Entry(
        ["clean", *LANGS, "--raw", "raw", "--out", "o", "--keep-repeated"],
        of(SIDES.format("raw"), "text"),
        numbers=("--max-words", "--max-ratio", "--examples"),
        out="o",
    ),
    "subwords": Entry(
        ["subwords", *LANGS, "--clean", "raw", "--vocab-size", "20", "--out", "o"],
        of(SIDES.format("raw"), "text"),
        numbers=("--vocab-size",),
        out="o",
    ),
    "check-data": Entry(
        ["check-data", *LANGS, "--out", "prepared", "--settings", "settings"],
        of(SIDES.format("prepared/clean"), "text")
        | of("settings", "text")
        | of("prepared/clean/dropped.json", "json")
        | of("prepared/spm/spm.model", "any")
        | of("prepared/bin/dict.aa.txt prepared/bin/dict.bb.txt", "dictionary")
        | of("prepared/bin/train.aa-bb.aa.idx prepared/bin/valid.aa-bb.bb.idx", "any"),
        needs=("prepared",),
    ),
    "doctor": Entry(
        ["doctor", "--data", "bin", "--teacher-path", "T.pt"],
        DICTS | TEACHER | BINS,
        needs=("bin",),
        numbers=("--max-tokens", "--top-k", "--temperatures"),
    ),
    "plan": Entry(["plan", "exp.yaml", "--out", "o"], {"exp.yaml": "yaml"}, needs=("raw",), out="o"),
    "plan, method": Entry(
        ["plan", "exp2.yaml", "--out", "o"], {"methods/mine.yaml": "yaml", "exp2.yaml": "yaml"}, needs=("raw",), out="o"
    ),
    "plan, prepared": Entry(
        ["plan", "exp3.yaml", "--out", "o"], {"prepared/prep.json": "json"}, needs=("prepared", "exp3.yaml"), out="o"
    ),
    "graph": Entry(["graph", "run"], {"run/plan.json": "json"}, needs=("run",)),
    "curves": Entry(
        ["curves", "run"],
        {name: kind for name, kind in RUN.items() if "curve" in name or "plan" in name},
        needs=("run",),
    ),
    "table": Entry(["table", "run", "--out", "run"], RUN, needs=("run",)),
    "table --compare": Entry(["table", "--compare", "run", "run2", "--out", "o"], RUN, needs=("run", "run2")),
    "report": Entry(
        ["report", "run", "--out", "o"],
        RUN
        | of(
            "run/analysis/calibration-a.json run/analysis/confidence.json "
            "run/analysis/diagnosis/diagnosis.json run/forecast.json",
            "json",
        )
        | of(f"{MODEL}/decode.json", "json")
        | {"run/data/clean/test.en": "text"}
        | of("run/analysis/diagnosis/diagnosis-tail.svg run/analysis/diagnosis/tail.svg", "any"),
        needs=("run",),
        numbers=("--sentences",),
    ),
    "analyse": Entry(["analyse", "run", "--dry-run"], {"run/plan.json": "json"}, needs=("run",), numbers=("--tokens",)),
    "watch": Entry(
        ["watch", *STUDENT],
        of(f"run/plan.json {MODEL}/run.json", "json") | {f"{MODEL}/train.log": "log"},
        needs=("run",),
    ),
    "generate": Entry(
        ["generate", *STUDENT], of("run/plan.json", "json") | {"run/data/clean/test.en": "text"}, needs=("run",)
    ),
    "hyp": Entry(
        ["hyp", *STUDENT],
        {
            f"{MODEL}/generate.log": "log",
            "run/plan.json": "json",
            "run/data/spm/spm.model": "any",
            "run/data/clean/test.en": "text",
        },
        needs=("run",),
    ),
    "score": Entry(
        ["score", *STUDENT],
        {f"{MODEL}/test.hyp": "text", "run/data/clean/test.de": "text", "run/plan.json": "json"},
        needs=("run",),
    ),
    "run-step": Entry(["run-step", "run", *STUDENT[-1:], "score"], of("run/plan.json", "json"), needs=("run",)),
    "forecast RUN": Entry(
        ["forecast", "run"], of(f"run/forecast.json run/plan.json {MODEL}/run.json", "json"), needs=("run",)
    ),
    "teacher-store": Entry(
        [
            "teacher-store",
            "--teacher-path",
            "T.pt",
            "--data",
            "bin",
            "--out",
            "o",
            "--top-k",
            "3",
            "--temperatures",
            "1,2",
            "--splits",
            "valid",
        ],
        TEACHER | DICTS | BINS,
        needs=("bin",),
        numbers=("--top-k", "--temperatures", "--max-tokens", "--shard-pairs"),
        out="o",
    ),
    "teacher-store, complete": Entry(
        [
            "teacher-store",
            "--teacher-path",
            "T.pt",
            "--data",
            "bin",
            "--out",
            "store",
            "--top-k",
            "3",
            "--temperatures",
            "1,2",
            "--precision",
            "fp32",
            "--shard-pairs",
            "30",
        ],
        {"store/store.json": "header"},
        needs=("bin", "store", "T.pt"),
    ),
    "features": Entry(
        ["features", "--checkpoint", "T.pt", "--data", "bin", "--out", "o"],
        TEACHER | DICTS | BINS,
        needs=("bin",),
        numbers=("--tokens", "--seed", "--own-output", "--max-tokens"),
        out="o",
    ),
    "features, complete": Entry(
        ["features", "--checkpoint", "T.pt", "--data", "bin", "--out", "features"],
        {"features/header.json": "header"},
        needs=("bin", "features", "T.pt"),
    ),
    "calibrate": Entry(
        ["calibrate", "drawn0", "--out", "o.json"],
        features("drawn0"),
        needs=("drawn0",),
        numbers=("--bins", "--temperature-tokens", "--seed"),
        out="o.json",
    ),
    "calibrate, of a model": Entry(
        ["calibrate", "features", "--out", "o.json"], features("features"), needs=("features",), out="o.json"
    ),
    "confidence": Entry(
        ["confidence", "--models", "a=drawn0", "b=drawn1", "--teacher", "b", "--out", "o.json"],
        features("drawn0"),
        needs=("drawn0", "drawn1"),
        numbers=("--divergence-tokens", "--seed"),
        out="o.json",
    ),
    "project": Entry(
        ["project", "--out", "o", "--models", "a=drawn0:drawn1", "--teacher", "drawn0", "--minimum", "5"],
        features("drawn0"),
        needs=("drawn0", "drawn1"),
        out="o",
        numbers=("--points", "--classes", "--minimum", "--seed"),
    ),
    "diffuse": Entry(
        [
            "diffuse",
            "--out",
            "o",
            "--teacher",
            "drawn0",
            "--students",
            "1=drawn1",
            "2=drawn2",
            "--minimum",
            "20",
            "--resamples",
            "20",
        ],
        features("drawn0") | features("drawn2"),
        needs=("drawn0", "drawn1", "drawn2"),
        out="o",
        numbers=("--similar", "--occurrences", "--resamples", "--classes", "--minimum", "--seed"),
    ),
    "diagnose": Entry(
        [
            "diagnose",
            "--out",
            "o",
            "--teacher",
            "drawn0",
            "--hypotheses",
            "raw/test.aa",
            "raw/valid.aa",
            "--reference",
            "raw/test.bb",
            "--source",
            "raw/test.en",
            "--train-target",
            "raw/train.bb",
        ],
        features("drawn0") | of("raw/test.aa raw/test.bb raw/valid.aa raw/test.en raw/train.bb", "text"),
        needs=("drawn0", "raw"),
        out="o",
        numbers=("--temperatures", "--top", "--sample", "--seed", "--right", "--margin", "--rare", "--examples"),
    ),
    "seqkd decode": Entry(
        [
            "seqkd",
            "decode",
            "--teacher-path",
            "T.pt",
            "--data",
            "bin",
            "--out",
            "o",
            "--engine",
            "fairseq",
            "--beam",
            "2",
            "--workers",
            "1",
            "--split",
            "valid",
        ],
        TEACHER | DICTS | BINS,
        needs=("bin",),
        out="o",
        numbers=(
            "--beam",
            "--nbest",
            "--lenpen",
            "--max-len-a",
            "--max-len-b",
            "--temperature",
            "--sampling-topk",
            "--seed",
            "--batch-tokens",
            "--shard-sentences",
            "--workers",
            "--threads",
            "--part",
        ),
    ),
    "seqkd decode, complete": Entry(
        [
            "seqkd",
            "decode",
            "--teacher-path",
            "T.pt",
            "--data",
            "bin",
            "--out",
            "decoded",
            "--engine",
            "fairseq",
            "--beam",
            "2",
            "--nbest",
            "2",
            "--workers",
            "1",
            "--shard-sentences",
            "100",
        ],
        of("decoded/ledger.json decoded/plan.json", "json"),
        needs=("bin", "decoded", "T.pt"),
    ),
    "seqkd decode, text": Entry(
        [
            "seqkd",
            "decode",
            "--source",
            "input.txt",
            "--teacher-path",
            "T.pt",
            "--data",
            "bin",
            "--out",
            "o",
            "--engine",
            "fairseq",
            "--beam",
            "2",
            "--workers",
            "1",
        ],
        {"input.txt": "text", "bin/spm.model": "any"},
        needs=("bin", "T.pt"),
        out="o",
        numbers=("--max-words",),
    ),
    "seqkd import": Entry(
        ["seqkd", "import", "--source", "raw/test.aa", "--translations", "raw/test.bb", "--out", "o"],
        of("raw/test.aa raw/test.bb", "text"),
        needs=("raw",),
        out="o",
        numbers=("--runaway",),
    ),
    "seqkd select": Entry(
        ["seqkd", "select", "--decoded", "decoded", "--data", "bin", "--out", "o", "--method", "multi"],
        {"decoded/ledger.json": "json", "decoded/rows.jsonl": "rows"} | DICTS,
        needs=("bin", "decoded"),
        out="o",
        numbers=(
            "--hypotheses",
            "--max-ratio",
            "--share",
            "--seed",
            "--examples",
            "--drop-worst-reverse",
            "--workers",
            "--drop-worst",
            "--min-score",
        ),
    ),
    "seqkd candidates": Entry(
        ["seqkd", "candidates", "--decoded", "decoded", "--data", "bin", "--out", "o"],
        {"decoded/ledger.json": "json", "decoded/rows.jsonl": "rows"} | DICTS,
        needs=("bin", "decoded"),
        out="o",
    ),
    "seqkd select, text": Entry(
        ["seqkd", "select", "--monolingual", "imported", "--data", "bin", "--out", "o"],
        {"imported/ledger.json": "json", "imported/rows.jsonl": "rows", "bin/spm.model": "any"},
        needs=("bin", "imported"),
        out="o",
    ),
    "average": Entry(["average", "--inputs", "T.pt", "T2.pt", "--out", "o.pt"], TEACHER, needs=("T2.pt",), out="o.pt"),
    "export": Entry(
        ["export", "--checkpoint", "T.pt", "--data", "bin", "--to", "ctranslate2", "--out", "o"],
        TEACHER | of("bin/spm.model", "any") | DICTS,
        needs=("bin",),
        out="o",
    ),
    "translate": Entry(
        ["translate", "ct2"],
        {
            "ct2/model.bin": "any",
            "ct2/spm.model": "any",
            "ct2/export.json": "json",
            "ct2/config.json": "json",
            "ct2/shared_vocabulary.json": "json",
        },
        needs=("ct2", "input.txt"),
        stdin="input.txt",
        numbers=("--beam", "--nbest", "--threads"),
    ),
    "translate, text": Entry(["translate", "ct2"], {"input.txt": "text"}, needs=("ct2",), stdin="input.txt"),
    "compare": Entry(
        ["compare", "--data", "bin", "--models", "a=ct2", "b=T.pt", "--out", "o", "--repeats", "1", "--sentences", "2"],
        {"ct2/model.bin": "any", "ct2/export.json": "json", "T.pt": "checkpoint", "ct2/shared_vocabulary.json": "json"}
        | DICTS,
        needs=("ct2", "bin", "T.pt"),
        out="o",
        numbers=("--beam", "--repeats", "--sentences", "--threads", "--batch-tokens"),
    ),
    "fairseq-train": Entry(
        [*TRAIN, "--teacher-path", "T.pt"],
        TEACHER | DICTS,
        needs=("bin",),
        out="saved",
        numbers=("--temperature", "--kd-weight", "--label-smoothing", "--top-k", "--ignore-prefix-size", "--kd-passes"),
        program="fairseq-train",
    ),
    "fairseq-train, store": Entry(
        [*TRAIN, "--teacher-store", "store", "--top-k", "3", "--tail", "bucket"],
        {"store/store.json": "header", "store/shards/00000.bin": "any"},
        needs=("bin", "store"),
        out="saved",
        program="fairseq-train",
    ),
    "fairseq-train, hypotheses": Entry(
        [*TRAIN, "--hypotheses", "hyps", "--kd-level", "sequence", "--kd-weight", "1"],
        {"hyps/hypotheses.json": "header"} | of("hyps/ids.npy hyps/keys.npy hyps/first.npy hyps/start.npy", "array"),
        needs=("bin", "hyps"),
        out="saved",
        program="fairseq-train",
    ),
    "fairseq-train, resumed": Entry(
        [*TRAIN, "--kd-weight", "0"],
        {"saved/checkpoint_last.pt": "checkpoint"},
        needs=("bin",),
        program="fairseq-train",
    ),
    "prepare.sh": Entry(
        [
            "--corpus",
            "files",
            *LANGS,
            "--train",
            "raw/train",
            "--valid",
            "raw/valid",
            "--test",
            "raw/test",
            "--vocab-size",
            "20",
            "--out",
            "o",
            "--stop-stage",
            "2",
        ],
        of(SIDES.format("raw"), "text"),
        program="data-prep/prepare.sh",
        numbers=(
            "--pairs",
            "--seed",
            "--vocab-size",
            "--max-words",
            "--max-ratio",
            "--workers",
            "--stage",
            "--stop-stage",
            "--subwords",
            "--form",
            "--drop-empty",
            "--corpus",
        ),
    ),
    "run.sh": Entry(
        ["--config", "exp.yaml", "--out", "o", "--device", "cpu", "--dry-run", "yes"],
        {"exp.yaml": "yaml"},
        needs=("raw",),
        program="experiments/run.sh",
        numbers=("--jobs", "--gpus", "--threads", "--retries", "--until", "--precision", "--profile"),
    ),
}


ANEW = ("compare",)  # of several threads, which a copy of a process cannot have


@dataclass(frozen=True)
class Bad:
    """A bad input: an entry point, what is bad in it, and how."""

    entry: str
    target: str  # a file of the world, or a flag
    how: str
    seed: int

    @property
    def kind(self) -> str:
        """What is made bad."""
        entry = ENTRIES[self.entry]
        return self.target if self.target == DISK else entry.files.get(self.target, "number")

    @property
    def words(self) -> list[str]:
        """The command."""
        entry = ENTRIES[self.entry]
        words = [entry.program, *entry.words]
        given = [self.target, self.how] if words[0].endswith(".sh") else [f"{self.target}={self.how}"]
        return [*words, *given] if self.target in entry.numbers else words


def drawn(count: int, seed: int, entries: Sequence[str] = ()) -> list[Bad]:
    """Different bad inputs, entry points in turn."""
    draw, found = random.Random(seed), dict[tuple[str, str, str, int], Bad]()
    names = [*(entries or ENTRIES)]
    while len(found) < count:
        name = names[len(found) % len(names)]
        entry = ENTRIES[name]
        target = draw.choice([*entry.files, *entry.numbers, *([DISK] if entry.out else [])])
        how = draw.choice(
            [*KINDS[entry.files[target]]] if target in entry.files else FULL if target == DISK else NUMBERS
        )
        each = Bad(name, target, how, draw.randrange(1 << 30))
        plain = how in ("empty", "folder", "gone", "FIFO", "html", "zeros", "device") or how.endswith("link loop")
        found[name, target, how, 0 if plain or each.kind == "number" else each.seed] = each
    return list(found.values())


@dataclass(frozen=True)
class Outcome:
    """What happened: `accepted`, `refused`, or what was bad about it."""

    what: str
    line: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was answered well."""
        return self.what in ("accepted", "refused")


def train_in_process(words: Sequence[str]) -> int:
    """fairseq-train in this process."""
    from conftest import USER_DIR
    from conftest import call as run
    from fairseq_cli import train

    run(train.cli_main, "fairseq-train", *words, "--user-dir", USER_DIR)
    return 0


def inside(bad: Bad, pipes: Sequence[int]) -> None:
    """In the child: run the command with its output in pipes, which no limit of files cuts, and end with its code."""
    stdin = ENTRIES[bad.entry].stdin
    given = stdin if Path(stdin).is_file() else os.devnull  # of no file the shell complains
    for number, descriptor in enumerate((os.open(given, os.O_RDONLY), *pipes)):
        os.dup2(descriptor, number)
    logging.disable(logging.DEBUG)  # of what the processes before it imported
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(os.fdopen(n, mode, closefd=False), "utf-8")
        if n == 0
        else os.fdopen(n, mode, 1, "utf-8", "backslashreplace", closefd=False)
        for n, mode in enumerate(("rb", "w", "w"))
    )
    if bad.entry in ANEW:
        os.environ["PYTHONPATH"] = str(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "lskd_nmt.cli", *bad.words[1:]])
    if bad.words[0].endswith(".sh"):
        os.execvpe(
            "bash", ["bash", str(ROOT / bad.words[0]), *bad.words[1:]], {**os.environ, "LSKD_PYTHON": sys.executable}
        )
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if bad.target == DISK:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(bad.how), int(bad.how)))
    code: object = 1
    try:
        program: Callable[[Sequence[str]], int] = cli.main if bad.words[0] == "lskd" else train_in_process
        code = program(bad.words[1:])
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def run(bad: Bad, world: Path, folder: Path) -> Outcome:
    """Copy what the call reads, make it bad, call, and judge."""
    entry, case = ENTRIES[bad.entry], folder / "case"
    case.mkdir(parents=True)
    for name in sorted({Path(file).parts[0] for file in [*entry.files, *entry.needs]}):
        place_in(case, name, world)
    if bad.target in entry.files and (case / bad.target).exists():
        KINDS[bad.kind][bad.how](case / bad.target, random.Random(bad.seed))
    before = set(case.rglob("*"))
    pipes = [os.pipe() for _ in range(2)]
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.chdir(case)
            inside(bad, [write for _, write in pipes])
        finally:
            os._exit(99)
    for _, write in pipes:
        os.close(write)
    with ThreadPoolExecutor(2) as readers:
        reading = [
            readers.submit(lambda end: os.fdopen(end, "rb").read().decode("utf-8", "replace"), read)
            for read, _ in pipes
        ]
        code = waited(child)
        texts = [each.result() for each in reading]
    if code is None:
        return Outcome("hangs", f"longer than {SECONDS} s")
    return judged(entry, code, *texts, [file for file in case.rglob("*") if file not in before], case)


def place_in(case: Path, name: str, world: Path) -> None:
    """Copy a part of the world; some are made here."""
    if name == "saved":
        (case / name).mkdir()
        shutil.copyfile(world / "T.pt", case / name / "checkpoint_last.pt")
        return
    source = world / {"T2.pt": "T.pt", "run2": "run"}.get(name, name)
    if source.is_dir():
        shutil.copytree(source, case / name, symlinks=True)
    else:
        shutil.copyfile(source, case / name)


def waited(child: int) -> int | None:
    """The child's exit code, negative for a signal; None if it takes too long, and is ended with all it started."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def judged(entry: Entry, code: int, out: str, err: str, new: Sequence[Path], case: Path) -> Outcome:
    """Success with numbers, or exit code 2 with exactly one line of error, and nothing half-written in both."""
    errors = [line for line in err.splitlines() if ": error: " in line]
    last = err.strip().splitlines()[-1][:300] if err.strip() else ""
    said = errors[0] if errors else last
    left = [str(file.relative_to(case)) for file in new if ".part" in file.name]
    full = next((line for line in errors if "File too large" in line or "could not be written" in line), None)
    there = [case / entry.out, *(case / entry.out).glob("*")] if entry.out and (case / entry.out).exists() else []
    is_empty = there == [case / entry.out] and entry.program == "lskd"
    if code == 2 and there and (is_empty or not full):  # on a full disk what is complete may stay
        left.append(entry.out)
    if "Traceback" in err or code not in (0, 2):
        return Outcome(f"crashes with {code}" if code < 0 else "traceback", last)
    if left:
        return Outcome("leaves " + ", ".join(sorted(left)[:3]), said)
    if full and entry.out not in full.partition("error: ")[2]:
        return Outcome("does not name what is written", full)
    return refused(entry, err, errors) if code == 2 else accepted(out)


def refused(entry: Entry, err: str, errors: Sequence[str]) -> Outcome:
    """Whether it is one line, of which a person has some use; the doctor has a line for each problem."""
    problems = [line for line in err.splitlines() if "PROBLEM" in line] if entry.words[0] == "doctor" else []
    if len(errors) != 1 and not problems:
        return Outcome(f"{len(errors)} lines of error", err[-300:])
    for line in [*errors, *problems]:
        if not line.isprintable() or len(line) > 1000 or any(word in line for word in ("weights_only", "allow_pickle")):
            return Outcome("line that is none", line[:300])
    return Outcome("refused", [*errors, *problems][0])


def accepted(out: str) -> Outcome:
    """Whether it ends in numbers."""
    answer = out.strip().splitlines()[-1] if out.strip() else ""
    with contextlib.suppress(ValueError):
        if has_nan(json.loads(answer)):
            return Outcome("accepted with NaN", answer[:300])
    return Outcome("accepted", answer[:300])


def has_nan(value: object) -> bool:
    """Whether a number in it is none."""
    if isinstance(value, dict | list):
        return any(map(has_nan, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and math.isnan(value)
