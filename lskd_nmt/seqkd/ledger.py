"""Translations with their origin: rows in shards while they are made, one file that proves itself once all are there.

A row is one source sentence: its number in the corpus, a hash of its symbols, a hash of the decoder's settings, and its
hypotheses with their scores. `rows.jsonl` holds every row once and in order, `ledger.json` (written last) its hash.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lskd_nmt.errors import LskdError, reason, require, writing
from lskd_nmt.evaluate.scoring import SHOWN, listed
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_json, sha256, write_json, write_text

FORMAT = 1
FILE, ROWS, PLAN, SHARDS = "ledger.json", "rows.jsonl", "plan.json", "shards"


class Hypothesis(NamedTuple):
    """Subwords, and the log-probability over their number (with the end) to the power of the length penalty."""

    pieces: str
    score: float


@dataclass(frozen=True)
class Row:
    """One source sentence's hypotheses, in the engine's order."""

    number: int
    source: str  # hash of its symbols
    settings: str
    hypotheses: tuple[Hypothesis, ...]

    def line(self) -> str:
        """As it is on disk."""
        hypotheses = [[h.pieces, round(h.score, 6)] for h in self.hypotheses]
        content = {"row": self.number, "source": self.source, "settings": self.settings, "hyps": hypotheses}
        return json.dumps(content, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, line: str) -> "Row":
        """From a line; what is none is a ValueError."""
        try:
            content = json.loads(line)
            hypotheses = tuple(Hypothesis(str(pieces), float(score)) for pieces, score in content["hyps"])
            return cls(int(content["row"]), str(content["source"]), str(content["settings"]), hypotheses)
        except Exception as error:
            raise ValueError(f"no row: {reason(error)}") from None


def settings_hash(plan: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of everything that decides the translations."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:8]


def shard_file(folder: Path, number: int) -> Path:
    """Where a shard is."""
    return folder / SHARDS / f"{number:05d}.jsonl"


def write_shard(folder: Path, number: int, rows: Iterable[Row]) -> None:
    """Publish a shard whole or not at all; that it is there means that it is complete."""
    write_text(shard_file(folder, number), "".join(row.line() for row in rows))


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file; `LskdError` names the first line that is none."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Row.parse(line.decode())
            except ValueError as error:
                raise LskdError(
                    f"{file} line {number} is damaged ({error}): remove the file and run the decoding again"
                ) from None


def prove(rows: Iterable[Row], sources: Sequence[str], settings: str, nbest: int, size: int) -> Iterator[Row]:
    """The rows, passed on; after the last, `LskdError` unless each of the sources had its own row, once, in order.

    A row has `nbest` hypotheses, or none where the sentence is empty or too long; a shard has `size` rows.
    """
    seen = bytearray(len(sources))  # 1 for the numbers that were there
    beyond: set[int] = set()
    twice, foreign, other, cut = [], [], [], []
    last, disordered = -1, []
    for row in rows:
        number = row.number
        is_one = 0 <= number < len(sources)
        if seen[number] if is_one else number in beyond:
            twice.append(number)
        elif number < last:
            disordered.append(number)
        elif not is_one or row.source != sources[number]:
            foreign.append(number)
        elif row.settings != settings:
            other.append(number)
        elif len(row.hypotheses) not in (0, nbest):
            cut.append(number)
        if is_one:
            seen[number] = 1
        else:
            beyond.add(number)
        last = max(last, number)
        yield row
    missing = [number for number in range(len(sources)) if not seen[number]]
    problems = {
        "missing": missing,
        "there twice": twice,
        "out of order": disordered,
        "of another source sentence": foreign,
        "of other settings": other,
        f"without their {nbest} hypotheses": cut,
    }
    text = "; ".join(f"{what}: {listed(numbers)}" for what, numbers in problems.items() if numbers)
    spoilt = sorted({number // size for numbers in problems.values() for number in numbers if number < len(sources)})
    files = ", ".join(shard_file(Path(), number).name for number in spoilt[:SHOWN]) + ", …" * (len(spoilt) > SHOWN)
    require(
        not text,
        f"the decoded rows do not match the {len(sources)} source sentences ({text}): "
        f"remove {SHARDS}/ {files} and run the decoding again",
    )


def merge(
    folder: Path, plan: Mapping[str, Any], sources: Sequence[str], shards: int, progress: Progress
) -> dict[str, Any]:
    """All shards become `rows.jsonl` and `ledger.json`, once they are proved; the ledger."""
    files = [shard_file(folder, number) for number in range(shards)]
    rows = (row for file in files if file.is_file() for row in read_rows(file))
    part = folder / f"{ROWS}.{uuid.uuid4().hex[:8]}.part"
    counts = {"rows": 0, "hypotheses": 0, "empty_rows": 0}
    try:
        with writing(folder / ROWS), part.open("w", encoding="utf-8") as out:
            for row in prove(
                rows, sources, settings_hash(plan), plan["settings"]["nbest"], plan["settings"]["shard_sentences"]
            ):
                out.write(row.line())
                progress.add(1)
                counts["rows"] += 1
                counts["hypotheses"] += len(row.hypotheses)
                counts["empty_rows"] += not row.hypotheses
        ledger = {"format": FORMAT, **plan, **counts, "sha256": sha256(part)}
        part.replace(folder / ROWS)
    finally:
        part.unlink(missing_ok=True)
    write_json(folder / FILE, ledger)
    return ledger


def open_ledger(folder: Path, data: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The ledger of a finished decoding of this data, its rows unchanged; `data` are the hashes of the split."""
    require(
        (folder / FILE).is_file(),
        f"{folder} has no {FILE}: give a folder that lskd seqkd decode finished, or run it again to finish this one",
    )
    ledger = read_json(folder / FILE)
    require(
        ledger.get("format") == FORMAT,
        f"{folder} has format {ledger.get('format')}, this version reads {FORMAT}: decode again",
    )
    other = [split for split, hashes in data.items() if ledger["data"].get(split, hashes) not in ([], hashes)]
    require(
        not other,
        f"{folder} was decoded from other data ({', '.join(other)} differs): "
        "give the data folder that it was decoded from",
    )
    rows = folder / ROWS
    require(rows.is_file() and sha256(rows) == ledger["sha256"], f"{rows} was edited or is missing: decode again")
    return ledger
