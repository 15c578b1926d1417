"""Translations with their origin: rows in shards while they are made, one file that proves itself once all are there.

A row is one source sentence: its number in the corpus, a hash of its symbols, a hash of the decoder's settings, and its
hypotheses with their scores. `rows.jsonl` holds every row once and in order, `ledger.json` (written last) its hash.

Where text was translated, not a binarised corpus, a row holds the source sentence and its translations as text in the
place of subwords, so that any subword model can read them, and the hash is that of the source sentence's bytes.
"""

import hashlib
import json
import math
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lskd_nmt.errors import LskdError, reason, require, writing
from lskd_nmt.evaluate.scoring import SHOWN, listed
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_json, sha256, write_text
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.typed import absent, from_json, record, to_json, write_record
from lskd_nmt.teacher.source import Hypothesis, TextHypothesis

FORMAT, TEXT_FORMAT = 1, 2  # of subwords; of text
FILE, ROWS, PLAN, SHARDS = "ledger.json", "rows.jsonl", "plan.json", "shards"


@record
class TextSource:
    """The text that was translated; hashes are of the text itself, packed or not."""

    file: str  # its name, without folders
    sha256: str
    lines: int
    dropped: dict[str, int] | None = absent()  # lines that were not translated, by the reason


@record
class TextTeacher:
    """A model that translates text with a tokeniser of its own, and what it is told about the text."""

    kind: str  # hf or ct2
    language_model: bool  # it answers a prompt
    tokenizer: str  # a hash of its files
    versions: dict[str, str]  # of what cuts and translates
    source_lang: str | None = None  # as the teacher names it
    target_lang: str | None = None
    prefix: str = ""  # before every source
    prompt: str | None = None
    chat_template: bool = False  # the prompt is a user's message


@record
class Imported:
    """Translations that were made elsewhere: what is known of them, and what was counted."""

    file: str  # its name, without folders
    sha256: str
    form: str  # plain or jsonl
    systems: list[str]  # what made them, as far as it was said
    prompts: list[str]
    scored: int  # translations that have a score
    empty: int
    runaway: int  # translations with more than `runaway_ratio` times the characters of their source
    runaway_ratio: float


@record
class DecodingPlan:
    """`plan.json`: all that decides the translations. A folder that was begun is only finished with the same plan."""

    teacher: list[Origin]
    langs: list[str]
    data: dict[str, list[str]]  # hashes of each split's binarised files
    settings: dict[str, object]  # a `DecodeSettings`, as the version that decoded had it
    text: TextSource | None = absent()  # where text was translated
    translator: TextTeacher | None = absent()  # what did so, if it is no fairseq model


@record
class Search:
    """Those of a decoding's settings that later steps read."""

    sampling: bool = False
    nbest: int = 1
    shard_sentences: int = 1000


@record
class Ledger:
    """`ledger.json`: a complete decoding, with what its plan says."""

    format: int
    teacher: list[Origin]
    langs: list[str]
    data: dict[str, list[str]]
    settings: dict[str, object]
    rows: int = 0
    hypotheses: int = 0
    empty_rows: int = 0
    sha256: str = ""  # of rows.jsonl
    text: TextSource | None = absent()  # where text was translated
    imported: Imported | None = absent()  # where that was done elsewhere
    translator: TextTeacher | None = absent()  # what did so, if it is no fairseq model
    stripped: dict[str, int] | None = absent()  # a language model's answers from which each rule took something away

    @property
    def search(self) -> Search:
        """The settings that are read."""
        return search_of(self.settings)


@dataclass(frozen=True)
class Row:
    """One source sentence's hypotheses, in the engine's order; a score is NaN where none is known."""

    number: int
    source: str  # hash of its symbols, or of its text
    settings: str
    hypotheses: tuple[Hypothesis, ...]
    source_text: str | None = None  # of a row of text, whose hypotheses have no subwords
    texts: tuple[str, ...] | None = None  # for each hypothesis
    stripped: tuple[str, ...] = ()  # the rules that took something away, once for each hypothesis

    def line(self) -> str:
        """The row as a line of JSON."""
        scores = [None if math.isnan(h.score) else round(h.score, 6) for h in self.hypotheses]
        hypotheses = [[h.pieces, score] for h, score in zip(self.hypotheses, scores, strict=True)]
        content = {"row": self.number, "source": self.source, "settings": self.settings, "hyps": hypotheses}
        if self.texts is not None:
            content |= {"source_text": self.source_text, "texts": list(self.texts)}
        if self.stripped:
            content["stripped"] = list(self.stripped)
        return json.dumps(content, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, line: str) -> "Row":
        """The row of such a line; a ValueError if the line is none."""
        try:
            content = json.loads(line)
            hypotheses = tuple(
                Hypothesis(str(pieces), math.nan if score is None else float(score))
                for pieces, score in content["hyps"]
            )
            row = cls(int(content["row"]), str(content["source"]), str(content["settings"]), hypotheses)
            if "texts" not in content:
                return row
            texts = tuple(str(text) for text, _ in zip(content["texts"], hypotheses, strict=True))
            stripped = tuple(map(str, content.get("stripped", ())))
            return replace(row, source_text=str(content["source_text"]), texts=texts, stripped=stripped)
        except Exception as error:
            raise ValueError(f"no row: {reason(error)}") from None


def text_row(number: int, line: str, settings: str, translations: Iterable[TextHypothesis]) -> Row:
    """The row of a line of text and its translations."""
    found = list(translations)
    scores = (math.nan if each.score is None else each.score for each in found)
    hypotheses = tuple(Hypothesis("", score) for score in scores)
    stripped = tuple(rule for each in found for rule in each.stripped)
    return Row(number, text_key(line), settings, hypotheses, line, tuple(each.text for each in found), stripped)


def text_key(line: str) -> str:
    """A hash of a line of text, in 16 hexadecimal digits."""
    return hashlib.blake2b(line.encode(), digest_size=8).hexdigest()


def search_of(settings: dict[str, object]) -> Search:
    """The settings of a decoding that later steps read."""
    return from_json(Search, settings, "settings of a decoding")


def settings_hash(plan: DecodingPlan) -> str:
    """Eight hexadecimal digits of everything that decides the translations."""
    return hashlib.sha256(json.dumps(to_json(plan), sort_keys=True).encode()).hexdigest()[:8]


def shard_file(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / SHARDS / f"{number:05d}.jsonl"


def write_shard(folder: Path, number: int, rows: Iterable[Row]) -> None:
    """Publish a shard whole or not at all; that it is there means that it is complete."""
    write_text(shard_file(folder, number), "".join(row.line() for row in rows))


def read_rows(file: Path, every: int = 1) -> Iterator[Row]:
    """The rows of a file, or one of `every` so many; `LskdError` names the first line that is none."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number % every:
                continue
            try:
                yield Row.parse(line.decode())
            except ValueError as error:
                raise LskdError(
                    f"{file} line {number} is damaged ({error}): remove the file and run the decoding again"
                ) from None


class Proof:
    """What is wrong with rows that must be one for each source sentence, in order; numbers of rows by the fault."""

    def __init__(self, sources: Sequence[str], settings: str, nbest: int) -> None:
        """`sources` are the hashes of the source sentences, `settings` that of the decoder's."""
        self.sources, self.settings, self.nbest = sources, settings, nbest
        self.seen = bytearray(len(sources))  # 1 for the numbers that were there
        self.beyond: set[int] = set()
        self.last = -1
        names = ("there twice", "out of order", "of another source sentence", "of other settings")
        self.faults: dict[str, list[int]] = {name: [] for name in (*names, f"without their {nbest} hypotheses")}

    def add(self, row: Row) -> None:
        """Look at the next row."""
        number, (twice, disordered, foreign, other, cut) = row.number, self.faults.values()
        is_one = 0 <= number < len(self.sources)
        if self.seen[number] if is_one else number in self.beyond:
            twice.append(number)
        elif number < self.last:
            disordered.append(number)
        elif not is_one or row.source != self.sources[number]:
            foreign.append(number)
        elif row.settings != self.settings:
            other.append(number)
        elif len(row.hypotheses) not in (0, self.nbest):
            cut.append(number)
        if is_one:
            self.seen[number] = 1
        else:
            self.beyond.add(number)
        self.last = max(self.last, number)

    def require(self, size: int) -> None:
        """`LskdError` if anything was wrong; it names the shards, of `size` rows each, that have to be made again."""
        faults = {"missing": [number for number in range(len(self.sources)) if not self.seen[number]], **self.faults}
        text = "; ".join(f"{what}: {listed(numbers)}" for what, numbers in faults.items() if numbers)
        bad = {number // size for numbers in faults.values() for number in numbers if number < len(self.sources)}
        files = ", ".join(shard_file(Path(), number).name for number in sorted(bad)[:SHOWN])
        require(
            not text,
            f"the decoded rows do not match the {len(self.sources)} source sentences ({text}): "
            f"remove {SHARDS}/ {files}{', …' * (len(bad) > SHOWN)} and run the decoding again",
        )


def prove(rows: Iterable[Row], sources: Sequence[str], settings: str, nbest: int, size: int) -> Iterator[Row]:
    """The rows, passed on; after the last, `LskdError` unless each of the sources had its own row, once, in order.

    A row has `nbest` hypotheses, or none where the sentence is empty or too long; a shard has `size` rows.
    """
    proof = Proof(sources, settings, nbest)
    for row in rows:
        proof.add(row)
        yield row
    proof.require(size)


def merge(
    folder: Path,
    plan: DecodingPlan,
    sources: Sequence[str],
    shards: int,
    progress: Progress,
    dropped: Mapping[str, int] | None = None,
) -> Ledger:
    """All shards become `rows.jsonl` and `ledger.json`, once they are proved; the ledger.

    `dropped` are lines of a text that were not translated, by the reason.
    """
    files = [shard_file(folder, number) for number in range(shards)]
    rows = (row for file in files if file.is_file() for row in read_rows(file))
    part = folder / f"{ROWS}.{uuid.uuid4().hex[:8]}.part"
    search, count, hypotheses, empty, stripped = search_of(plan.settings), 0, 0, 0, Counter[str]()
    try:
        with writing(folder / ROWS), part.open("w", encoding="utf-8") as out:
            for row in prove(rows, sources, settings_hash(plan), search.nbest, search.shard_sentences):
                out.write(row.line())
                progress.add(1)
                count, hypotheses, empty = count + 1, hypotheses + len(row.hypotheses), empty + (not row.hypotheses)
                stripped.update(row.stripped)
        made_by = plan.teacher, plan.langs, plan.data, plan.settings
        text = None if plan.text is None else replace(plan.text, dropped=dict(dropped or {}))
        form = FORMAT if text is None else TEXT_FORMAT
        of_model = plan.translator is not None and plan.translator.language_model
        ledger = Ledger(form, *made_by, count, hypotheses, empty, sha256(part), text, translator=plan.translator)
        ledger = replace(ledger, stripped=dict(sorted(stripped.items()))) if of_model else ledger
        part.replace(folder / ROWS)
    finally:
        part.unlink(missing_ok=True)
    write_record(folder / FILE, ledger)
    return ledger


def open_ledger(folder: Path, data: Mapping[str, Sequence[str]]) -> Ledger:
    """The ledger of a finished decoding of this data, its rows unchanged; `data` are the hashes of the split."""
    require(
        (folder / FILE).is_file(),
        f"{folder} has no {FILE}: give a folder that lskd seqkd decode finished, or run it again to finish this one",
    )
    content = read_json(folder / FILE)
    require(
        content.get("format") in (FORMAT, TEXT_FORMAT),
        f"{folder} has format {content.get('format')}, this version reads {FORMAT} and {TEXT_FORMAT}: decode again",
    )
    ledger = from_json(Ledger, content, str(folder / FILE))
    other = [split for split, hashes in data.items() if ledger.data.get(split, hashes) not in ([], hashes)]
    require(
        not other,
        f"{folder} was decoded from other data ({', '.join(other)} differs): "
        "give the data folder that it was decoded from",
    )
    rows = folder / ROWS
    require(rows.is_file() and sha256(rows) == ledger.sha256, f"{rows} was edited or is missing: decode again")
    return ledger
