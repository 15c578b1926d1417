"""The sentences' statistics of a model's translations, kept beside its scores: tables wait for n-grams to be counted.

`MODEL/statistics/METRIC.bin` is a line of JSON, {"key": …, "sha256": …}, and a NumPy array of (S, M) after it. The key
is a hash of all on which the statistics depend: translations, references, sources, and how the metric reads them. A
file of another key, or whose bytes are not those of its `sha256`, is not read: statistics are computed again. What a
program of the user's computed says in its first line, under `about`, what the program said of itself.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numpy as np

from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.formulas import Array
from lskd_nmt.evaluate.metrics import EvaluationSet, KeptScores, Scorer, Statistics, described, detokenised_text, scorer
from lskd_nmt.storage.files import read_lines, write_bytes
from lskd_nmt.storage.typed import Json

FOLDER = "statistics"  # in a model's folder
WIDEST = 2**32  # whole numbers below it are packed
VERSION = 1  # to be raised where the same text gets other statistics


@dataclass(frozen=True)
class Reading:
    """How one metric reads translations of one evaluation set, and the hash of all that decides their statistics."""

    name: str  # of the metric
    data: EvaluationSet
    signature: str = ""  # of a metric that a program computes, which nobody here knows otherwise

    @cached_property
    def scorer(self) -> Scorer:
        """The metric with all references, which takes time."""
        return self.by_one_line if described(self.name).by_program else scorer(self.name, self.data)

    @cached_property
    def by_one_line(self) -> Scorer:
        """The metric, if it is not there yet with the first sentence alone: signature and formula are the same."""
        if "scorer" in vars(self):
            return self.scorer
        if described(self.name).by_program:
            return KeptScores(self.name, self.signature, detokenised_text(self.data).words)
        data, sources = self.data, None if self.data.sources is None else self.data.sources[:1]
        first, *others = (stream[:1] for stream in data.streams)
        return scorer(self.name, replace(data, references=first, sources=sources, others=others))

    @cached_property
    def facts(self) -> str:
        """What decides the statistics beside the translations, hashed."""
        entry, data = described(self.name), self.data
        about: dict[str, Json] = {
            "version": VERSION,
            "metric": self.name,
            "signature": self.by_one_line.signature,
            "text": self.by_one_line.text,
            "lang": data.lang,
            "form": data.form,
            "tokenizer": data.tokenizer,
            "packages": {name: metadata.version(name) for name in sorted({*entry.packages, "sacrebleu", "sacremoses"})},
            "references": hash_of(data.references),
            "sources": hash_of(data.sources) if entry.needs_source and data.sources is not None else None,
        }
        if entry.by_program:  # its signature says what it is: no new version of another package makes it run again
            about = {name: value for name, value in about.items() if name not in ("text", "tokenizer", "packages")}
        if data.others:
            about["others"] = [hash_of(stream) for stream in data.others]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def score(self, sums: Array) -> Array:
        """The score of a corpus from its summed statistics.   (…, M) -> (…)"""
        return self.by_one_line.score(sums)

    def statistics(self, file: Path) -> Statistics:
        """The statistics of the translations in a file: those that are kept beside it, or computed and kept there.

        -> (S, M), whole numbers in the smallest type that holds them
        """
        hyps, lines = read_lines(file), len(self.data.references)
        require(len(hyps) == lines, f"{file} has {len(hyps)} lines and the test set {lines}: decode it again")
        place = place_of(file, self.name)
        kept = read(place, key_of(self.facts, hyps))
        if kept is not None and len(kept) == lines:
            return kept
        require(
            not described(self.name).by_program,
            f"{place} does not hold the scores of {file}: lskd score --run RUN --metrics {self.name} makes them",
        )
        return self.keep(place, hyps, self.scorer.statistics(hyps))

    def keep(
        self, place: Path, hyps: Sequence[str], statistics: Array, about: Mapping[str, Json] | None = None
    ) -> Statistics:
        """Write statistics to a file unless that fails, as where a run folder is only read; returns them, packed.

        What a program computed must be kept: with what it said of itself, `about`, failures are raised.
        """
        small, key = packed(statistics), key_of(self.facts, hyps)
        if about is not None:
            write(place, key, statistics, about)
            return statistics
        with contextlib.suppress(OSError, LskdError):
            write(place, key, small)
        return small


def place_of(file: Path, name: str) -> Path:
    """Where the statistics of the translations in `file` by a metric are."""
    return file.parent / FOLDER / f"{name}.bin"


def hash_of(lines: Sequence[str]) -> str:
    """SHA-256 of lines of text, in hexadecimal."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def key_of(facts: str, hyps: Sequence[str]) -> str:
    """The hash of what was read and how."""
    return hashlib.sha256(f"{facts} {hash_of(hyps)}".encode()).hexdigest()


def packed(statistics: Array) -> Statistics:
    """Whole numbers of 0 or more in the smallest type that holds them, others as they are.   (S, M) -> (S, M)"""
    is_whole = statistics.size and (statistics == np.rint(statistics)).all()
    if is_whole and statistics.min() >= 0 and statistics.max() < WIDEST:
        return statistics.astype(np.min_scalar_type(int(statistics.max())))
    return statistics


def write(place: Path, key: str, statistics: Statistics, about: Mapping[str, Json] | None = None) -> None:
    """Write a file of statistics, whole or not at all."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, statistics, allow_pickle=False)
    content = stream.getvalue()
    head = json.dumps(
        {"key": key, "sha256": hashlib.sha256(content).hexdigest()} | ({} if about is None else {"about": dict(about)})
    )
    write_bytes(place, f"{head}\n".encode() + content)


def read(place: Path, key: str) -> Statistics | None:
    """The statistics in a file; None if it is not there, is of another key, or is not as it was written."""
    try:
        head, _, content = place.read_bytes().partition(b"\n")
        said = json.loads(head)
        said.pop("about", None)
        if said != {"key": key, "sha256": hashlib.sha256(content).hexdigest()}:
            return None
        found: Statistics = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        return found
    except (OSError, ValueError, RecursionError, AttributeError):
        return None


def about_of(place: Path) -> dict[str, Json]:
    """What a program said of itself whose scores are in the file; nothing where there is no such file."""
    try:
        with place.open("rb") as lines:
            found = json.loads(lines.readline())["about"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
