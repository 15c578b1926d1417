"""Teacher, students and their int8 forms side by side: size, scores, speed at one and at all threads, latency.

Speed is measured in rounds over all models, so that whatever else the machine does meanwhile falls on each of them.
"""

import math
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.export import PROOF
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.progress import Progress
from lskd_nmt.runs import load, read_json
from lskd_nmt.scoring import scores
from lskd_nmt.seqkd.engines import (
    CTranslate2Engine,
    DecodeSettings,
    FairseqEngine,
    Pieces,
    batches,
    best,
    translate_all,
    translate_at_once,
)
from lskd_nmt.subwords import joined
from lskd_nmt.teacher.vocabulary import differences, folder_symbols, stored_symbols

WARM_UP = 32  # sentences
P95 = 0.95

Translate = Callable[[Sequence[Pieces], int], list[str]]  # sentences, threads -> their best translations, in subwords
Show = Callable[[str], None]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class CompareSettings:
    """What is translated, how, and how often; the same for all models."""

    split: str = "test"
    beam: int = DecodeSettings.beam
    repeats: int = 3
    sentences: int = 0  # of which speed is measured, the first ones; 0: all
    threads: int = 1  # that count as all
    batch_tokens: int = DecodeSettings.batch_tokens

    def __post_init__(self) -> None:
        self.decoding()  # refuses what it cannot do
        require(self.repeats > 0, f"--repeats is {self.repeats}: give a number above 0")
        require(self.sentences >= 0, f"--sentences is {self.sentences}: give a number above 0, or 0 for all")
        require(1 <= self.threads <= cores(), f"--threads is {self.threads} and this process may use {cores()} cores: "
                                              f"give 1 to {cores()}, or 0 for all")  # fmt: skip

    def decoding(self) -> DecodeSettings:
        """As the engines take it."""
        return DecodeSettings(engine="fairseq", beam=self.beam, batch_tokens=self.batch_tokens)

    def thread_counts(self) -> tuple[int, ...]:
        """One, and all."""
        return tuple(sorted({1, self.threads}))


@dataclass(frozen=True)
class Candidate:
    """A model on disk."""

    name: str
    path: str
    kind: str  # fairseq or ctranslate2
    quantization: str | None
    parameters: int | None
    megabytes: float  # of 10⁶ bytes; without the optimizer's state
    file_megabytes: float


class Clocks(NamedTuple):
    """Seconds that passed, and seconds that all cores together worked for this process."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time


class Span(NamedTuple):
    """What one timed translation took, and the subwords that came out."""

    seconds: float
    cpu_seconds: float
    subwords: int


def parse_models(words: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH …` as a dictionary, in order."""
    models: dict[str, Path] = {}
    for word in words:
        name, _, path = word.partition("=")
        require("=" in word and bool(path), f"--models has '{word}': give NAME=PATH, such as student=student.pt")
        require(bool(re.fullmatch(r"[\w.+-]+", name)),
                f"--models has the name '{name}': give letters, digits, and . _ + - only")  # fmt: skip
        require(name not in models, f"--models has the name '{name}' twice: give each model its own")
        models[name] = Path(path)
    return models


def require_writable(out: Path) -> None:
    """Refuse, before hours of work, a folder that cannot be made or written."""
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    require(there.is_dir() and os.access(there, os.W_OK), f"--out {out} cannot be written: give another folder")


def compare(
    models: Mapping[str, Path], data: Path, settings: CompareSettings, show: Show, clocks: Clocks | None = None
) -> dict[str, Any]:
    """Everything measured of every model; the first one is what the others' ratios are to."""
    langs = fairseq_io.language_pair(str(data))
    symbols = fairseq_io.read_symbols(str(data), langs)
    if symbols is None:
        raise LskdError(f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
                        "give the output folder of fairseq-preprocess")  # fmt: skip
    candidates = [examine(name, path, symbols) for name, path in models.items()]
    source, target = fairseq_io.piece_lines(str(data), langs, settings.split)
    sentences = [line.split() for line in source]
    timed_sentences = sentences[: settings.sentences or None]
    load_before = os.getloadavg()[0]
    loaded = {candidate.name: load_model(candidate, data, langs, settings) for candidate in candidates}
    prep = data.parent / "prep.json"
    form = read_json(prep).get("form", "raw") if prep.is_file() else "raw"
    quality = {}
    for name, translate in loaded.items():
        show(f"{name}: translating {len(sentences)} sentences for its scores")
        translated = translate(sentences, 1)
        require(
            any(translated[: len(timed_sentences)]),
            f"model '{name}' translates every sentence into nothing: train it longer",
        )
        quality[name] = scores([joined(line) for line in translated], [joined(line) for line in target], langs[1], form)
    speed = measure(loaded, timed_sentences, settings, show, clocks or Clocks())
    rows: list[dict[str, Any]] = [
        {**asdict(candidate), "bleu": quality[candidate.name]["bleu"]["score"],
         "chrf": quality[candidate.name]["chrf"]["score"], **speed[candidate.name]} for candidate in candidates
    ]  # fmt: skip
    return {
        "settings": asdict(settings),
        "data": {"folder": str(data), "langs": list(langs), "form": form, "sentences": len(sentences)},
        "timed": {"sentences": len(timed_sentences), "load_before": round(load_before, 2),
                  "batches": len(list(batches(timed_sentences, settings.batch_tokens)))},
        "signatures": {metric: {key: quality[candidates[0].name][metric][key] for key in ("signature", "text")}
                       for metric in ("bleu", "chrf")},
        "models": [{**row, "ratios": ratios(row, rows[0])} for row in rows],
    }  # fmt: skip


def examine(name: str, path: Path, symbols: Symbols) -> Candidate:
    """The model's size, if it is one and its vocabulary that of the data."""
    require(path.exists(), f"model '{name}': {path} does not exist: give a fairseq checkpoint (.pt) or a folder of "
                           "lskd export --to ctranslate2")  # fmt: skip
    return examine_folder(name, path, symbols) if path.is_dir() else examine_checkpoint(name, path, symbols)


def examine_checkpoint(name: str, path: Path, symbols: Symbols) -> Candidate:
    """Of a fairseq checkpoint; one that does not know its symbols must at least have as many."""
    state = fairseq_io.read_checkpoint(str(path), f"model '{name}'")
    theirs = stored_symbols(state, symbols.langs) or folder_symbols(state, str(path), symbols.langs)
    if theirs is not None:
        require_vocabulary(name, theirs, symbols)
    for side, ours in (("encoder", symbols.source), ("decoder", symbols.target)):
        table = state["model"].get(f"{side}.embed_tokens.weight")
        require(table is not None, f"model '{name}': {path} has no {side} with an embedding: give a transformer")
        require(len(table) == len(ours), f"model '{name}' has {len(table)} symbols in its {side} and the data's "
                                         f"dictionary {len(ours)}: give --data that it was trained on")  # fmt: skip
    size = sum(tensor.nbytes for tensor in fairseq_io.weights(state).values())
    return Candidate(name, str(path), "fairseq", None, fairseq_io.parameter_count(state), megabytes(size),
                     megabytes(path.stat().st_size))  # fmt: skip


def examine_folder(name: str, path: Path, symbols: Symbols) -> Candidate:
    """Of a CTranslate2 folder."""
    file = path / "model.bin"
    require(file.is_file(), f"model '{name}': {path} has no model.bin: give a folder of lskd export --to ctranslate2")
    require_vocabulary(name, folder_vocabulary(name, path, symbols.langs), symbols)
    facts = read_json(path / PROOF) if (path / PROOF).is_file() else {}
    size = megabytes(file.stat().st_size)
    return Candidate(name, str(path), "ctranslate2", facts.get("quantization"), facts.get("parameters"), size, size)


def folder_vocabulary(name: str, path: Path, langs: tuple[str, str]) -> Symbols:
    """What a CTranslate2 folder translates from and into, by fairseq's names of the special symbols."""
    files = [next((file for file in (path / f"{side}_vocabulary.json", path / "shared_vocabulary.json")
                   if file.is_file()), None) for side in ("source", "target")]  # fmt: skip
    lists = []
    for file in files:
        if file is None:
            raise LskdError(f"model '{name}': {path} has no vocabulary: export it again with lskd export")
        lists.append(["<pad>" if symbol == "<blank>" else str(symbol) for symbol in load(file, list)])
    return Symbols(lists[0], lists[1], langs)


def require_vocabulary(name: str, theirs: Symbols, ours: Symbols) -> None:
    """Refuse a model of other symbols than the data's."""
    for side in ("source", "target"):
        lists: tuple[list[str], list[str]] = getattr(theirs, side), getattr(ours, side)
        where = differences(*lists)
        require(not where, f"model '{name}' has another {side} vocabulary than the data ({len(lists[0])} and "
                           f"{len(lists[1])} symbols, {len(where)} indices differ, the first is {[*where, 0][0]}): "
                           "give --data that it was trained on")  # fmt: skip


def megabytes(size: int) -> float:
    """Of 10⁶ bytes."""
    return round(size / 1e6, 3)


def load_model(candidate: Candidate, data: Path, langs: tuple[str, str], settings: CompareSettings) -> Translate:
    """The model, ready to translate; one for all thread counts, or one for each."""
    decoding = settings.decoding()
    if candidate.kind == "fairseq":
        fairseq = FairseqEngine([candidate.path], str(data), langs)

        def with_fairseq(sentences: Sequence[Pieces], threads: int) -> list[str]:
            with torch_threads(threads):
                return best(translate_all(fairseq, sentences, decoding))

        return with_fairseq
    try:
        engines = {count: CTranslate2Engine(Path(candidate.path), workers=count) for count in settings.thread_counts()}
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise LskdError(f"model '{candidate.name}': CTranslate2 cannot load {candidate.path} ({reason}): export it "
                        "again with lskd export") from None  # fmt: skip

    def with_ctranslate2(sentences: Sequence[Pieces], threads: int) -> list[str]:
        run = translate_all if threads == 1 else translate_at_once
        return best(run(engines[threads], sentences, decoding))

    return with_ctranslate2


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many for torch, whatever OMP_NUM_THREADS was when it was imported."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(
    models: Mapping[str, Translate], sentences: Sequence[Pieces], settings: CompareSettings, show: Show, clocks: Clocks
) -> dict[str, dict[str, Any]]:
    """Subwords a second at each number of threads, and the latency of one sentence alone, of each model.

    In each repeat and for each of these, one model follows the other.
    """
    counts = settings.thread_counts()
    show(f"warming up, then measuring {len(sentences)} sentences {settings.repeats} times")
    for translate in models.values():
        for threads in counts:
            translate(sentences[:WARM_UP], threads)
    progress = Progress(len(models) * len(sentences) * settings.repeats * (len(counts) + 1), "sentences", show)
    whole: dict[tuple[str, int], list[Span]] = {(name, threads): [] for name in models for threads in counts}
    alone: dict[str, list[list[Span]]] = {name: [] for name in models}
    for repeat in range(1, settings.repeats + 1):
        for threads in counts:
            show(f"repeat {repeat} of {settings.repeats}: {threads} thread{'s' * (threads > 1)}")
            for name, translate in models.items():
                whole[name, threads].append(timed(translate, sentences, threads, clocks))
                progress.add(len(sentences))
        show(f"repeat {repeat} of {settings.repeats}: one sentence at a time")
        for name, translate in models.items():
            spans = []
            for sentence in sentences:
                spans.append(timed(translate, [sentence], 1, clocks))
                progress.add(1)
            alone[name].append(spans)
    return {name: {"subwords_per_second": [speed(threads, whole[name, threads]) for threads in counts],
                   "latency": latency(alone[name])} for name in models}  # fmt: skip


def timed(translate: Translate, sentences: Sequence[Pieces], threads: int, clocks: Clocks) -> Span:
    """One translation by both clocks."""
    wall, cpu = clocks.wall(), clocks.cpu()
    lines = translate(sentences, threads)
    seconds, cpu_seconds = clocks.wall() - wall, clocks.cpu() - cpu
    return Span(seconds, cpu_seconds, sum(len(line.split()) for line in lines))


def speed(threads: int, spans: Sequence[Span]) -> dict[str, Any]:
    """Output subwords a second."""
    return {"threads": threads, **spread([span.subwords / span.seconds for span in spans]),
            "subwords": spans[0].subwords, "cores_busy": cores_busy(spans)}  # fmt: skip


def latency(repeats: Sequence[Sequence[Span]]) -> dict[str, Any]:
    """Milliseconds of a sentence alone: the median and the 95th percentile over the sentences of each repeat."""
    times = [[1000 * span.seconds for span in spans] for spans in repeats]
    return {"median_ms": spread([statistics.median(each) for each in times]),
            "p95_ms": spread([percentile(each, P95) for each in times]),
            "cores_busy": cores_busy([span for spans in repeats for span in spans])}  # fmt: skip


def cores_busy(spans: Sequence[Span]) -> float:
    """Seconds of work a second: above the number of threads it was not measured as it says."""
    return round(sum(span.cpu_seconds for span in spans) / sum(span.seconds for span in spans), 2)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """The median of the repeats, the smallest, the largest, and all of them."""
    return {"median": round(statistics.median(values), 2), "smallest": round(min(values), 2),
            "largest": round(max(values), 2), "repeats": [round(value, 2) for value in values]}  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that is not below this share of them (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ratios(row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Size, speed at each number of threads, and BLEU, each over that of the first model."""
    speeds = zip(row["subwords_per_second"], first["subwords_per_second"], strict=True)
    return {
        "megabytes": round(row["megabytes"] / first["megabytes"], 4),
        "subwords_per_second": [round(ours["median"] / theirs["median"], 4) for ours, theirs in speeds],
        "bleu": round(row["bleu"] / first["bleu"], 4) if first["bleu"] else None,
    }
