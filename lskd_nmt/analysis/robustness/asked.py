"""What models are asked to translate anew: changed sources, short inputs, and sources of the training corpus."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lskd_nmt.errors import require
from lskd_nmt.evaluate.perturbations import PERTURBATIONS, draw, perturbed, prefix, short_input
from lskd_nmt.experiment.run import Run

CLEAN, SHORT, TRAINING, BEGINNINGS = "clean", "short", "training", "training-beginnings"  # tasks beside perturbations
ASKED = {
    **{name: each.about for name, each in PERTURBATIONS.items()},
    SHORT: "one or two words of a test sentence alone",
    TRAINING: "sources of train as they are, and without their last quarter",
}
HASHES = 1 << 62


@dataclass(frozen=True)
class Settings:
    """What is asked: which models (none: all with translations), which changes, of how many sentences (0: all)."""

    models: tuple[str, ...] = ()
    perturbations: tuple[str, ...] = tuple(ASKED)
    sentences: int = 1000

    def __post_init__(self) -> None:
        unknown = [name for name in self.perturbations if name not in ASKED]
        require(not unknown, f"--perturbations has {', '.join(unknown)}: choose of {', '.join(ASKED)}")


@dataclass(frozen=True)
class Changed:
    """Sources that models are to translate anew: rows of the test set and lines, by task."""

    rows: Mapping[str, list[int]]  # of perturbations, and of `CLEAN`
    tasks: Mapping[str, list[str]]
    targets: Sequence[str] = ()  # of the training sources


class Sample:
    """Training pairs that are drawn by a hash of their source while all are read; one of each source."""

    def __init__(self, size: int, lang: str) -> None:
        self.size, self.lang = size, lang
        self.heap: list[tuple[int, str, str]] = []
        self.sources: set[str] = set()

    def watching(self, pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """The same pairs, of which those with the smallest hashes are kept."""
        for pair in pairs:
            if self.size:
                self.see(*pair)
            yield pair

    def see(self, source: str, target: str) -> None:
        """Keep a pair if it is drawn so far."""
        rank = -draw("training", source, HASHES)
        if source in self.sources or (len(self.heap) == self.size and rank <= self.heap[0][0]):
            return
        if prefix(source, self.lang) is None:
            return
        self.sources.add(source)
        entry = (rank, source, target)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        else:
            self.sources.discard(heapq.heapreplace(self.heap, entry)[1])

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What was drawn, in the order of the hashes."""
        return [(source, target) for _, source, target in sorted(self.heap, reverse=True)]


def changed_sources(run: Run, sources: Sequence[str], settings: Settings, sample: Sample) -> Changed:
    """What the models are to translate anew."""
    lang, lowercased = run.plan.data.source_lang, run.plan.data.form == "fairseq14"
    order = sorted(range(len(sources)), key=lambda row: (draw("test", sources[row], HASHES), row))
    rows = sorted(order[: settings.sentences or None])
    places, tasks = dict[str, list[int]](), dict[str, list[str]]()
    for name in PERTURBATIONS:
        if name in settings.perturbations:
            made = {row: perturbed(name, sources[row], lang, lowercased) for row in rows}
            kept = {row: line for row, line in made.items() if line is not None}
            if kept:
                places[name], tasks[name] = list(kept), list(kept.values())
    if places:
        places[CLEAN], tasks[CLEAN] = rows, [sources[row] for row in rows]
    if SHORT in settings.perturbations:
        inputs = dict.fromkeys(line for row in rows if (line := short_input(sources[row], lang)))
        tasks |= {SHORT: list(inputs)} if inputs else {}
    if sample.pairs:
        tasks[TRAINING] = [source for source, _ in sample.pairs]
        tasks[BEGINNINGS] = [prefix(source, lang) or "" for source, _ in sample.pairs]
    return Changed(places, tasks, [target for _, target in sample.pairs])
