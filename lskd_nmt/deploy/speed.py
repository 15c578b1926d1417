"""Speed at one and at all threads, and latency.

It is measured in rounds over all models, so that whatever else the machine does meanwhile falls on each of them.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lskd_nmt.decode_settings import Pieces
from lskd_nmt.deploy.benchmark_settings import CompareSettings
from lskd_nmt.deploy.candidates import Candidate
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.benchmark import Latency, Speed, Spread
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.engines import CTranslate2Engine, FairseqEngine, best, translate_all, translate_at_once

WARM_UP = 32  # sentences
P95 = 0.95
Translate = Callable[[Sequence[Pieces], int], list[str]]  # sentences, threads -> their best translations, in subwords
Show = Callable[[str], None]


class Clocks(NamedTuple):
    """The clock on the wall, and the clock of the work that all cores together do for this process, in seconds."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time


class Span(NamedTuple):
    """What one timed translation took, and the subwords that came out."""

    seconds: float
    cpu_seconds: float
    subwords: int


class Timing(NamedTuple):
    """A model's speed at each number of threads, and its latency; neither is known of translations alone."""

    subwords_per_second: tuple[Speed, ...] = ()
    latency: Latency | None = None


def load_model(candidate: Candidate, data: Path, langs: tuple[str, str], settings: CompareSettings) -> Translate:
    """The model, ready to translate: one engine for all numbers of threads, or one for each number."""
    decoding = settings.decoding()
    if candidate.kind == "fairseq":
        fairseq = FairseqEngine([candidate.path], str(data), langs)

        def with_fairseq(sentences: Sequence[Pieces], threads: int) -> list[str]:
            with torch_threads(threads):
                return best(translate_all(fairseq, sentences, decoding))

        return with_fairseq
    try:
        engines = {
            count: CTranslate2Engine(Path(candidate.path), workers=count, use_vmap=candidate.vocabulary_map)
            for count in settings.thread_counts()
        }
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise LskdError(
            f"model '{candidate.name}': CTranslate2 cannot load {candidate.path} ({reason}): export it "
            "again with lskd export"
        ) from None

    def with_ctranslate2(sentences: Sequence[Pieces], threads: int) -> list[str]:
        run = translate_all if threads == 1 else translate_at_once
        return best(run(engines[threads], sentences, decoding))

    return with_ctranslate2


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """A context in which torch computes with so many threads, whatever OMP_NUM_THREADS was when it was imported."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(
    models: Mapping[str, Translate], sentences: Sequence[Pieces], settings: CompareSettings, show: Show, clocks: Clocks
) -> dict[str, Timing]:
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
    return {
        name: Timing(tuple(speed(threads, whole[name, threads]) for threads in counts), latency(alone[name]))
        for name in models
    }


def timed(translate: Translate, sentences: Sequence[Pieces], threads: int, clocks: Clocks) -> Span:
    """What one translation of these sentences takes by both clocks."""
    wall, cpu = clocks.wall(), clocks.cpu()
    lines = translate(sentences, threads)
    seconds, cpu_seconds = clocks.wall() - wall, clocks.cpu() - cpu
    return Span(seconds, cpu_seconds, sum(len(line.split()) for line in lines))


def speed(threads: int, spans: Sequence[Span]) -> Speed:
    """Output subwords a second, of one model with so many threads, over the repeats."""
    found = spread([span.subwords / span.seconds for span in spans])
    return Speed(
        found.median,
        found.smallest,
        found.largest,
        found.repeats,
        threads,
        cores_busy(spans),
        subwords=spans[0].subwords,
    )


def latency(repeats: Sequence[Sequence[Span]]) -> Latency:
    """Milliseconds of a sentence alone: the median and the 95th percentile over the sentences of each repeat."""
    times = [[1000 * span.seconds for span in spans] for spans in repeats]
    return Latency(
        spread([statistics.median(each) for each in times]),
        spread([percentile(each, P95) for each in times]),
        cores_busy([span for spans in repeats for span in spans]),
    )


def cores_busy(spans: Sequence[Span]) -> float:
    """Seconds of work a second. More than the number of threads means that the measurement had more than it says."""
    return round(sum(span.cpu_seconds for span in spans) / sum(span.seconds for span in spans), 2)


def spread(values: Sequence[float]) -> Spread:
    """The median of the repeats, the smallest, the largest, and all of them."""
    median, smallest, largest = (round(value, 2) for value in (statistics.median(values), min(values), max(values)))
    return Spread(median, smallest, largest, tuple(round(value, 2) for value in values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1]
