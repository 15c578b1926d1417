"""Translations that were made elsewhere become a ledger as our own are: each source line once, in order, and hashed."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from lskd_nmt.data.text_files import ENDINGS, STDIN, TextFile
from lskd_nmt.errors import require, writing
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.elsewhere import JSONL, PLAIN, Translated, translated
from lskd_nmt.seqkd.ledger import (
    TEXT_FORMAT,
    DecodingPlan,
    Imported,
    Ledger,
    Row,
    TextSource,
    settings_hash,
    text_row,
)
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.typed import write_record

WHAT = "lskd seqkd import"
FORMS = ("auto", PLAIN, JSONL)
NAMED = 20  # different systems and prompts that are kept


@dataclass(frozen=True)
class ImportSettings:
    """How translations are read, and what is said of them."""

    form: str = "auto"  # by the file's name
    system: str | None = None  # what made them
    runaway: float = 4.0  # a translation with more than so many times the characters of its source is counted

    def __post_init__(self) -> None:
        require(self.form in FORMS, f"--format is {self.form}: one of {', '.join(FORMS)}")
        require(0 < self.runaway < math.inf, f"--runaway is {self.runaway:g}: give a number above 0")

    def form_of(self, path: str) -> str:
        """The form of a file of translations."""
        names = [ending for ending in PurePath(path).suffixes if ending not in ENDINGS]
        by_name = JSONL if names and names[-1] in (".jsonl", ".ndjson") else PLAIN
        return by_name if self.form == "auto" else self.form


@dataclass
class Counts:
    """What is counted of translations while they are read."""

    runaway_ratio: float
    rows: int = 0
    translations: int = 0
    most: int = 0  # of one line
    empty_rows: int = 0
    scored: int = 0
    empty: int = 0
    runaway: int = 0
    systems: dict[str, None] = field(default_factory=dict)  # a set in the order of first appearance
    prompts: dict[str, None] = field(default_factory=dict)

    def add(self, source: str, found: Translated) -> None:
        """Count the translations of a source line."""
        self.rows += 1
        self.empty_rows += not found.translations
        self.translations += len(found.translations)
        self.most = max(self.most, len(found.translations))
        for text, score, _ in found.translations:
            self.scored += score is not None
            self.empty += not text
            self.runaway += len(text) > self.runaway_ratio * len(source)
        for name, names in ((found.system, self.systems), (found.prompt, self.prompts)):
            if name is not None and len(names) < NAMED:
                names[name] = None


class Import:
    """A text and its translations, to be read once."""

    def __init__(self, source: str, translations: str, settings: ImportSettings, progress: Progress) -> None:
        """Either of the paths may be `-`, standard input."""
        require(source != STDIN or translations != STDIN, "--source and --translations are both -: name a file")
        self.source, self.translations = TextFile(source), TextFile(translations)
        self.form, self.progress = settings.form_of(translations), progress
        self.system = {} if settings.system is None else {settings.system: None}
        self.counts = Counts(settings.runaway, systems=dict(self.system))

    def rows(self) -> Iterator[Row]:
        """The rows, while both are read; what was counted is complete after the last."""
        made = settings_hash(DecodingPlan([], [], {}, {"import": self.form, "system": [*self.system]}))
        for number, (line, found) in enumerate(translated(self.source, self.translations, self.form)):
            self.counts.add(line, found)
            self.progress.add(1)
            yield text_row(number, line, made, found.translations)

    def text(self) -> TextSource:
        """The text that was read."""
        return TextSource(self.source.name, self.source.sha256, self.source.count)

    def facts(self) -> Imported:
        """The translations that were read."""
        counts = self.counts
        return Imported(
            file=self.translations.name,
            sha256=self.translations.sha256,
            form=self.form,
            systems=[*counts.systems],
            prompts=[*counts.prompts],
            scored=counts.scored,
            empty=counts.empty,
            runaway=counts.runaway,
            runaway_ratio=counts.runaway_ratio,
        )

    def ledger(self, rows: Path) -> Ledger:
        """That of the rows which were written to a file."""
        counts, facts = self.counts, self.facts()
        settings: dict[str, object] = {"import": self.form, "nbest": counts.most}
        made_by = [Origin(facts.file, facts.sha256)]
        counted = counts.rows, counts.translations, counts.empty_rows
        return Ledger(TEXT_FORMAT, made_by, [], {}, settings, *counted, sha256(rows), self.text(), facts)


def import_translations(
    out: Path, source: str, translations: str, settings: ImportSettings, show: Callable[[str], None]
) -> Ledger:
    """Write the ledger of a text and its translations to `out`, whole or not at all, unless it is there; the ledger.

    `source` and `translations` are files, packed or not, of which one may be `-`, standard input.
    """
    given = Import(source, translations, settings, Progress(math.inf, "lines", show))
    with folders.hold(out, WHAT) as held:
        if (out / ledger.FILE).is_file():
            return same_ledger(out, given, show)
        is_empty = out.is_dir() and not any(out.iterdir())
        require(is_empty or not out.exists(), f"--out {out} is there already and holds no import: give a new folder")
        with folders.part_of(out, WHAT, held) as part:
            made = part / "decoded"
            with writing(made / ledger.ROWS), (made / ledger.ROWS).open("w", encoding="utf-8") as file:
                for row in given.rows():
                    file.write(row.line())
            content = given.ledger(made / ledger.ROWS)
            write_record(made / ledger.FILE, content)
            made.rename(out)
    return content


def same_ledger(out: Path, given: Import, show: Callable[[str], None]) -> Ledger:
    """The ledger that is there, if it is of the same text and translations, whatever the files are called."""
    there = ledger.open_ledger(out, {})
    for _ in given.rows():
        pass
    text, facts = given.text(), given.facts()
    same = {
        "text": there.text is not None and replace(there.text, file=text.file) == text,
        "translations": there.imported is not None and replace(there.imported, file=facts.file) == facts,
    }
    other = " and ".join(name for name, is_same in same.items() if not is_same)
    require(not other, f"--out {out} holds other {other}: give another folder, or remove this one")
    show(f"{out} is complete: nothing to do")
    return there
