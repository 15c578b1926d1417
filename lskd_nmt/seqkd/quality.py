"""Quality estimation: a score for each candidate, by a program of the user's, from a file or asked while one waits.

Scores are matched by the text of source and translation, both in Unicode's NFKC with single spaces, so that neither the
order of a file nor a second decoding matters. A command is asked as `evaluate.score_command` says, for some thousand
candidates at a time; its answers stay beside the decoding in scores/HASH-OF-THE-COMMAND, so that a run that was killed,
or another choice among the same candidates, asks only for what is missing.
"""

import hashlib
import json
import math
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.data.text_files import TextFile
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.score_command import BATCH, item, scored_by
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.candidates import CandidateReader, CandidateTexts
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import Json, read_record, record, write_record

FOLDER = "scores"  # beside a decoding
COMMAND = "--score-command"
SAME = 1e-3  # of its size: a program's scores of one candidate in two batches may differ by so much
SHOWN = 80  # characters quoted of a text


@dataclass(frozen=True)
class Scoring:
    """Where scores come from: a file, or a command; neither where nothing reads them."""

    file: Path | None = None
    command: str | None = None
    batch: int = BATCH  # candidates that a command is asked about at a time

    def __post_init__(self) -> None:
        require(
            self.file is None or self.command is None,
            "--scores and --score-command are both given: give one",
        )
        require(self.command is None or bool(self.command.strip()), "--score-command is empty: give a command")
        require(self.batch > 0, f"--score-batch is {self.batch}: give at least 1")
        require(
            self.command is not None or self.batch == BATCH,
            f"--score-batch is {self.batch}, and no --score-command is asked: give one, or leave it out",
        )

    @property
    def given(self) -> bool:
        """Whether there are scores."""
        return self.file is not None or self.command is not None

    def sha256(self) -> str | None:
        """The hash of the file."""
        if self.file is None:
            return None
        require(self.file.is_file(), f"--scores {self.file} is no file: give one of JSON Lines with a score each")
        return sha256(self.file)


NO_SCORES = Scoring()


@dataclass(frozen=True)
class Quality:
    """Scores of all candidates, and how low one may be."""

    table: "ScoreTable"
    lowest: float = -math.inf  # worse candidates are dropped
    threshold: float | None = None  # of `drop_worst`
    candidates: int = 0  # that have a score; equal ones count each
    about: Mapping[str, Json] = field(default_factory=dict)  # what the program says of itself
    digest: str = ""  # a hash of the candidates' scores

    def of(self, source: str, translations: Sequence[str]) -> list[float]:
        """The score of each translation; an empty one has NaN."""
        return [float(each) for each in self.table.find([candidate_key(source, text) for text in translations])]


class ScoreTable:
    """Scores by the 64-bit hashes of candidates: 16 bytes each."""

    def __init__(self, keys: Iterable[int] = (), values: Iterable[float] = ()) -> None:
        """Of equal keys the first counts."""
        all_keys, all_values = np.array(array("Q", keys), np.uint64), np.array(array("d", values), np.float64)
        self.keys, first = np.unique(all_keys, return_index=True)
        self.values = all_values[first]

    def find(self, keys: Sequence[int] | NDArray[np.uint64]) -> NDArray[np.float64]:
        """The score of each, NaN where there is none.   (N,) -> (N,)"""
        wanted = np.asarray(keys, np.uint64)
        if not len(self.keys):
            return np.full(len(wanted), np.nan)
        at = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.values[at], np.nan)


def folded(text: str) -> str:
    """A text as candidates are matched by it."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def candidate_key(source: str, translation: str) -> int:
    """64 bits of a hash over source and translation."""
    content = f"{folded(source)}\n{folded(translation)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def read_scores(file: Path) -> ScoreTable:
    """The scores in a file of JSON Lines with `source`, `translation` and `score`; .gz and .zst are unpacked."""
    keys, values, lines = array("Q"), array("d"), TextFile(str(file)).lines()
    for number, line in enumerate(lines, 1):
        what = f"--scores {file} line {number}"
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            raise LskdError(f"{what} is no JSON: each line must be an object with source, translation, score") from None
        texts = [content.get(name) for name in ("source", "translation")] if isinstance(content, dict) else [None]
        is_pair = all(isinstance(text, str) for text in texts)
        require(is_pair, f"{what} has no source and translation as text: each line must name both, and a score")
        value = content.get("score")
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        require(is_number, f"{what} has the score {json.dumps(value)[:SHOWN]}: a finite number is needed")
        keys.append(candidate_key(*map(str, texts)))
        values.append(float(value))
    require_one_each(np.array(keys, np.uint64), np.array(values, np.float64), file)
    return ScoreTable(keys, values)


def require_one_each(keys: NDArray[np.uint64], values: NDArray[np.float64], file: Path) -> None:
    """Refuse two different scores of one candidate."""
    order = np.argsort(keys, kind="stable")
    first, second = values[order[:-1]], values[order[1:]]
    differ = np.abs(first - second) > SAME * np.maximum(np.abs(first), 1)
    for at in np.flatnonzero((keys[order[1:]] == keys[order[:-1]]) & differ)[:1]:
        lines, scores = (order[at] + 1, order[at + 1] + 1), (first[at], second[at])
        raise LskdError(
            f"--scores {file} lines {lines[0]} and {lines[1]} have the same source and translation, and the scores "
            f"{scores[0]:g} and {scores[1]:g}: keep one"
        )


def quality_of(
    reader: CandidateReader, scoring: Scoring, drop_worst: float, min_score: float | None, show: Callable[[str], None]
) -> Quality:
    """Scores of all candidates of the decodings; `LskdError` if one has none, or if a command fails.

    `drop_worst` is a share of all candidates: the threshold is the score that so many of them are below, at most, and
    candidates that have this very score stay.
    """
    if scoring.command is not None:
        asking = Asking(scoring.command, scoring.batch, show)
        table, about = asking.ask(reader), asking.about or {}
    else:
        assert scoring.file is not None
        table, about = read_scores(scoring.file), {}
    seen = keys_of_all(reader, table, f"--scores {scoring.file}")
    values = table.find(seen)
    worst = math.floor(drop_worst * len(values) + 1e-9)
    threshold = float(np.partition(values, worst)[worst]) if worst else None
    bounds = [bound for bound in (threshold, min_score) if bound is not None]
    digest = hashlib.sha256(seen.astype("<u8").tobytes() + values.astype("<f8").tobytes()).hexdigest()
    return Quality(table, max(bounds, default=-math.inf), threshold, len(values), about, digest)


def keys_of_all(reader: CandidateReader, table: ScoreTable, name: str) -> NDArray[np.uint64]:
    """The key of each candidate that is not empty, equal ones included; refuses one without a score.   -> (N,)"""
    seen = array("Q")
    for decoded in reader.decodings:
        for source, translations in reader.read(decoded):
            kept = [text for text in translations if text]
            keys = [candidate_key(source, text) for text in kept]
            for at in np.flatnonzero(np.isnan(table.find(keys)))[:1]:
                raise LskdError(
                    f"{name} has none for '{kept[at][:SHOWN]}' as a translation of "
                    f"'{source[:SHOWN]}' ({decoded.folder}): score what lskd seqkd candidates writes"
                )
            seen.extend(keys)
    require(bool(seen), "there is no translation to score")
    return np.array(seen, np.uint64)


@record
class Answers:
    """What a command said of some candidates: a file of scores/HASH beside a decoding."""

    command: str
    about: dict[str, Json]  # what the program says of itself
    keys: list[int]  # of the candidates, see `candidate_key`
    scores: list[float]


class Asking:
    """Asks a command about the candidates that it was not asked about before."""

    def __init__(self, command: str, batch: int, show: Callable[[str], None]) -> None:
        """See `Scoring`."""
        self.command, self.batch, self.show = command, batch, show
        self.name = hashlib.sha256(command.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.keys, self.values = array("Q"), array("d")
        self.about: dict[str, Json] | None = None  # what the program says of itself

    def ask(self, reader: CandidateReader) -> ScoreTable:
        """The scores of all candidates, of before and new ones."""
        places = [(decoded, decoded.folder / FOLDER / self.name) for decoded in reader.decodings]
        for folder in dict.fromkeys(folder for _, folder in places):
            for file in sorted(folder.glob("*.json")):
                self.take(read_record(file, Answers), folder)
        progress = Progress(sum(each.ledger.hypotheses for each in reader.decodings), "candidates", self.show)
        for decoded, folder in places:
            for items in self.missing(reader.read(decoded), progress):
                found = scored_by(self.command, [*items.values()], COMMAND, progress)
                answers = Answers(self.command, found.about, [*items], found.scores)
                self.take(answers, folder)
                folder.mkdir(parents=True, exist_ok=True)
                number, mark = len([*folder.glob("*.json")]), f"{next(iter(items)):016x}"[:8]
                write_record(folder / f"{number:06d}-{mark}.json", answers)
        return ScoreTable(self.keys, self.values)

    def missing(
        self, sentences: Iterable[CandidateTexts], progress: Progress
    ) -> Iterator[dict[int, Mapping[str, Json]]]:
        """Candidates without a score, by their keys, about as many at a time as a batch has."""
        known = ScoreTable(self.keys, self.values)
        waiting: dict[int, Mapping[str, Json]] = {}
        for each in sentences:
            before, texts = len(waiting), each.different
            keys = [candidate_key(each.source, text) for text in texts]
            for key, text, is_new in zip(keys, texts, np.isnan(known.find(keys)), strict=True):
                if is_new and key not in waiting:
                    waiting[key] = item(text, each.source)
            progress.skip(len(each.translations) - len(waiting) + before)
            if len(waiting) >= self.batch:
                yield waiting
                waiting = {}
        if waiting:
            yield waiting

    def take(self, answers: Answers, folder: Path) -> None:
        """Keep answers, which must be of the same program as all."""
        about = self.about if self.about is not None else answers.about
        require(
            about == answers.about,
            f"{COMMAND} '{self.command}' says of itself {json.dumps(answers.about)} and said {json.dumps(about)}: "
            f"remove {folder} to score all with the one that is there now",
        )
        self.about = about
        self.keys.extend(answers.keys)
        self.values.extend(answers.scores)
