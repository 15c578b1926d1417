"""Checks before a long run, each with its fix: the installation, the data, the teacher, memory and disk."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import torch

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, explain, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.losses.fused import chunk_size
from lskd_nmt.sizes import dense_loss_bytes, forecast_line, store_bytes, top_k_bytes, training_bytes
from lskd_nmt.storage.provenance import versions
from lskd_nmt.teacher import online

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: what was checked, whether it passed, and what was found or would help."""

    check: str
    passed: bool
    text: str
    is_needed: bool = True  # always; else only by those who use what the check is named after


@dataclass(frozen=True)
class DoctorSettings:
    """What is to be checked; the checks of what is None or empty are left out."""

    data: str | None = None  # folders of fairseq-preprocess, with colons between
    langs: tuple[str, str] | None = None  # source and target; None: as the files of `data` say
    teacher_path: Sequence[str] = ()  # checkpoints
    teacher_data: str | None = None  # where the teacher's dictionaries are, if its checkpoint does not say
    arch: str = "ls_transformer_iwslt_small"  # of the student
    max_tokens: int = 4096  # in a batch of the training
    top_k: int = 8  # of a teacher store
    temperatures: int = 4  # how many, of a teacher store
    out: Path = Path()  # where the store would be

    @property
    def first_data(self) -> str:
        """The first folder of `data`, which holds the dictionaries."""
        return str(self.data).split(":", maxsplit=1)[0]


class Checks:
    """The findings so far."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def attempt(self, check: str, find: Callable[[], T], describe: Callable[[T], str] = str) -> T | None:
        """What a check found, which `describe` says; a complaint is a finding too, and None is returned for it."""
        try:
            found = find()
        except Exception as error:
            complaint = explain(error)
            if complaint is None:
                raise
            self.findings.append(Finding(check, False, complaint))
            return None
        self.findings.append(Finding(check, True, describe(found)))
        return found


# what works only with more than the toolkit itself: the extra of pip that brings it, its packages, and programs
OPTIONAL: Mapping[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "experiments/run.sh": ("pipeline", ("snakemake",), ("flock", "setsid")),
    "export, translate, fast decoding": ("ctranslate2", ("ctranslate2",), ()),
    "teachers from Hugging Face": ("hf", ("ctranslate2", "transformers"), ()),
    "MBR and language filters": ("filters", ("fastchrf", "lingua-language-detector"), ()),
    "tracking by TensorBoard": ("tracking", ("tensorboardX",), ()),
    "tracking by Weights & Biases": ("tracking", ("wandb",), ()),
    "SLURM": ("slurm", ("snakemake-executor-plugin-slurm",), ("sbatch",)),
}
PROGRAMS = {"flock": "util-linux", "setsid": "util-linux", "sbatch": "slurm-client"}  # Debian's packages


def check_optional(what: str) -> Finding:
    """Whether a part of the toolkit has all that it needs, and the commands that bring the rest."""
    extra, packages, programs = OPTIONAL[what]
    lacking = [name for name in packages if not is_installed(name)]
    absent = [name for name in programs if shutil.which(name) is None]
    if not lacking and not absent:
        return Finding(what, True, ", ".join((*packages, *programs)), is_needed=False)
    debian = sorted({PROGRAMS[name] for name in absent})
    ways = [f"pip install 'lskd_nmt[{extra}]'"] * bool(lacking) + [f"apt install {name}" for name in debian]
    return Finding(what, False, f"{', '.join((*lacking, *absent))} not installed: {', '.join(ways)}", is_needed=False)


def is_installed(package: str) -> bool:
    """Whether pip knows the package here."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def run_checks(settings: DoctorSettings) -> list[Finding]:
    """All checks that the settings allow, in order; what a check finds is given to the later ones."""
    checks = Checks()
    checks.attempt("versions", check_versions)
    checks.attempt("device", check_device)
    checks.findings += map(check_optional, OPTIONAL)
    if not settings.data:
        return checks.findings
    symbols = checks.attempt("data", lambda: read_symbols(settings), partial(describe_symbols, settings))
    if symbols is not None:
        teachers: Sequence[online.TeacherFacts] = ()
        if settings.teacher_path:
            teachers = checks.attempt("teacher", lambda: check_teachers(settings, symbols), describe_teachers) or ()
        checks.attempt("memory", lambda: check_memory(settings, len(symbols.target), teachers))
        checks.attempt("teacher store", lambda: check_store_size(settings, symbols, teachers))
    return checks.findings


def check_versions() -> str:
    """Everything that is needed is installed, and the plugin loads."""
    found = versions()
    missing = [name for name in ("fairseq-fixed", "torch", "sacrebleu", "sentencepiece") if name not in found]
    require(not missing, f"{', '.join(missing)} not installed: run make env")
    fairseq_io.load_plugin()
    return ", ".join(f"{name} {version}" for name, version in found.items())


def check_device() -> str:
    """What trainings will run on."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    cores, threads = len(os.sched_getaffinity(0)), os.environ.get("OMP_NUM_THREADS")
    advice = "" if threads else "; set OMP_NUM_THREADS where several trainings share them"
    return f"no GPU, {cores} CPU cores, {available_bytes() / 1e9:.1f} GB of memory available{advice}"


def available_bytes() -> int:
    """Memory that a new program can have."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if Path("/proc/meminfo").exists() else []
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return found[0] if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def read_symbols(settings: DoctorSettings) -> DictionaryPair:
    """The dictionaries of the data, whose folder must be one of fairseq-preprocess."""
    fairseq_io.require_data(str(settings.data))
    data = settings.first_data
    langs = settings.langs or fairseq_io.language_pair(data)
    symbols = fairseq_io.read_symbols(data, langs)
    if symbols is None:
        raise LskdError(f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: binarise it again")
    return symbols


def describe_symbols(settings: DoctorSettings, symbols: DictionaryPair) -> str:
    """The folder, its languages, and what its dictionaries allow."""
    is_joined = symbols.source == symbols.target
    dictionaries = "one dictionary" if is_joined else "two dictionaries: ls_transformer_* need a joined one"
    return f"{settings.first_data}: {'-'.join(symbols.langs)}, {len(symbols.target):,} target symbols, {dictionaries}"


def check_teachers(settings: DoctorSettings, symbols: DictionaryPair) -> list[online.TeacherFacts]:
    """What the checkpoints of the teachers say; each can be read and has the dictionaries of the data."""
    return [online.check(path, symbols, settings.teacher_data) for path in settings.teacher_path]


def describe_teachers(teachers: Sequence[online.TeacherFacts]) -> str:
    """The training and the size of each."""
    return "; ".join(
        f"{teacher}, {teacher.parameters / 1e6:.1f} M parameters, vocabulary proved equal" for teacher in teachers
    )


def check_memory(settings: DoctorSettings, symbols: int, teachers: Sequence[online.TeacherFacts]) -> str:
    """The predicted peak memory of a training is less than what is free; `symbols` are those of the target."""
    tokens = settings.max_tokens
    require(tokens > 0, f"--max-tokens is {tokens}: give a number above 0")
    model = fairseq_io.arch_settings(settings.arch)
    of_teachers = sum(teacher.parameters for teacher in teachers)
    parts = training_bytes(model, symbols, tokens, chunk_size(symbols), of_teachers)
    needed, free = sum(parts.values()), available_bytes()
    line = f"--arch {settings.arch} --max-tokens {tokens}: {forecast_line(parts)}"
    require(needed < free, f"{line}, and {free / 1e9:.2f} GB are free: lower --max-tokens and raise --update-freq")
    return f"{line} (a dense loss would take {dense_loss_bytes(symbols, tokens) / 1e9:.2f} instead)"


def check_store_size(settings: DoctorSettings, symbols: DictionaryPair, teachers: Sequence[online.TeacherFacts]) -> str:
    """The predicted teacher store of the data fits on the disk; its size, and that of a store of features."""
    tokens, pairs = corpus_size(settings, symbols)
    needed = store_bytes(tokens, pairs, top_k_bytes(settings.top_k, settings.temperatures, len(symbols.target)))
    there = next(folder for folder in (settings.out.absolute(), *settings.out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    kept = f"top {settings.top_k}, {settings.temperatures} temperatures"
    line = f"{tokens:,} target tokens, {kept}: {needed / 1e6:.1f} MB"
    require(needed < free, f"{line}, and {there} has {free / 1e6:.0f} MB free: give another --out or a smaller --top-k")
    widths = [teacher.width for teacher in teachers]
    if not widths or 0 in widths:
        return line
    # A feature has two bytes for each dimension; the output projections, in float32, are stored once.
    features = store_bytes(tokens, pairs, 2 * sum(widths), 4 * len(symbols.target) * sum(widths))
    return f"{line}; --keep features: {features / 1e6:.1f} MB of {free / 1e6:.0f} MB free"


def corpus_size(settings: DoctorSettings, symbols: DictionaryPair) -> tuple[int, int]:
    """Target tokens and sentence pairs of train and valid together."""
    data, langs = settings.first_data, symbols.langs
    splits = [split for split in ("train", "valid") if fairseq_io.split_files(data, langs, split)]
    require(bool(splits), f"--data {data} has neither train nor valid of {'-'.join(langs)}: binarise it again")
    every = [dataset for split in splits for dataset in fairseq_io.translation_data(str(settings.data), langs, split)]
    return sum(int(dataset.tgt_sizes.sum()) for dataset in every), sum(map(len, every))
