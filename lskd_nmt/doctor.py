"""Checks before a long run, each with its fix: the installation, the data, the teacher, memory and disk."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, explain, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.losses.fused import chunk_size
from lskd_nmt.sizes import dense_loss_bytes, forecast_line, store_bytes, top_k_bytes, training_bytes
from lskd_nmt.storage.provenance import versions
from lskd_nmt.teacher import online


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is well, and what was found or would do."""

    what: str
    well: bool
    text: str


@dataclass(frozen=True)
class Patient:
    """What is to be checked; None leaves a check out."""

    data: str | None = None
    langs: tuple[str, str] | None = None
    teacher_path: Sequence[str] = ()
    teacher_data: str | None = None
    arch: str = "ls_transformer_iwslt_small"
    max_tokens: int = 4096
    top_k: int = 8
    temperatures: int = 4
    out: Path = Path()


def examine(patient: Patient) -> list[Finding]:
    """All checks that the patient's settings allow, in order."""
    findings = [attempt("versions", check_versions), attempt("device", check_device)]
    symbols: list[DictionaryPair] = []
    teachers: list[online.TeacherFacts] = []
    if patient.data:
        findings.append(attempt("data", lambda: check_data(patient, symbols)))
    if patient.teacher_path and symbols:
        findings.append(attempt("teacher", lambda: check_teacher(patient, symbols[0], teachers)))
    if symbols:
        findings.append(attempt("memory", lambda: check_memory(patient, len(symbols[0].target), teachers)))
        findings.append(attempt("teacher store", lambda: check_store_size(patient, symbols[0], teachers)))
    return findings


def attempt(what: str, check: Callable[[], str]) -> Finding:
    """Run a check; what it complains about is its finding."""
    try:
        return Finding(what, True, check())
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        return Finding(what, False, line)


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


def check_data(patient: Patient, symbols: list[DictionaryPair]) -> str:
    """The folder is fairseq-preprocess's; its dictionaries go to `symbols`."""
    data = str(patient.data).split(":", maxsplit=1)[0]
    fairseq_io.require_data(str(patient.data))
    langs = patient.langs or fairseq_io.language_pair(data)
    found = fairseq_io.read_symbols(data, langs)
    if found is None:
        raise LskdError(f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: binarise it again")
    symbols.append(found)
    joined = (
        "one dictionary" if found.source == found.target else "two dictionaries: ls_transformer_* need a joined one"
    )
    return f"{data}: {'-'.join(langs)}, {len(found.target):,} target symbols, {joined}"


def check_teacher(patient: Patient, symbols: DictionaryPair, teachers: list[online.TeacherFacts]) -> str:
    """Readable, and of the data's vocabulary; its facts go to `teachers`."""
    facts = [online.check(path, symbols, patient.teacher_data) for path in patient.teacher_path]
    teachers.extend(facts)
    return "; ".join(f"{fact}, {fact.parameters / 1e6:.1f} M parameters, vocabulary proved equal" for fact in facts)


def check_memory(patient: Patient, symbols: int, teachers: Sequence[online.TeacherFacts]) -> str:
    """The predicted peak of a training fits into what is free."""
    require(patient.max_tokens > 0, f"--max-tokens is {patient.max_tokens}: give a number above 0")
    model = fairseq_io.arch_settings(patient.arch)
    of_teachers = sum(teacher.parameters for teacher in teachers)
    parts = training_bytes(model, symbols, patient.max_tokens, chunk_size(symbols), of_teachers)
    needed, free = sum(parts.values()), available_bytes()
    line = f"--arch {patient.arch} --max-tokens {patient.max_tokens}: {forecast_line(parts)}"
    require(needed < free, f"{line}, and {free / 1e9:.2f} GB are free: lower --max-tokens and raise --update-freq")
    return f"{line} (a dense loss would take {dense_loss_bytes(symbols, patient.max_tokens) / 1e9:.2f} instead)"


def check_store_size(patient: Patient, symbols: DictionaryPair, teachers: Sequence[online.TeacherFacts]) -> str:
    """The predicted size of a teacher store of this data fits on the disk, and what one of features would take."""
    data = str(patient.data)
    first = data.split(":", maxsplit=1)[0]
    splits = [split for split in ("train", "valid") if fairseq_io.split_files(first, symbols.langs, split)]
    require(bool(splits), f"--data {first} has neither train nor valid of {'-'.join(symbols.langs)}: binarise it again")
    datasets = [dataset for split in splits for dataset in fairseq_io.translation_data(data, symbols.langs, split)]
    tokens, pairs = sum(int(dataset.tgt_sizes.sum()) for dataset in datasets), sum(map(len, datasets))
    needed = store_bytes(tokens, pairs, top_k_bytes(patient.top_k, patient.temperatures, len(symbols.target)))
    there = next(folder for folder in (patient.out.absolute(), *patient.out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    line = f"{tokens:,} target tokens, top {patient.top_k}, {patient.temperatures} temperatures: {needed / 1e6:.1f} MB"
    require(needed < free, f"{line}, and {there} has {free / 1e6:.0f} MB free: give another --out or a smaller --top-k")
    widths = [teacher.width for teacher in teachers]
    if not widths or 0 in widths:
        return line
    features = store_bytes(tokens, pairs, 2 * sum(widths), 4 * len(symbols.target) * sum(widths))
    return f"{line}; --keep features: {features / 1e6:.1f} MB of {free / 1e6:.0f} MB free"
