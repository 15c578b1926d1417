"""The test set as a teacher translates it whose tokenisation is its own: text in, text out."""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment.records import DecodeRecord
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_command import Cost, watch
from lskd_nmt.fairseq_io.known_flags import given
from lskd_nmt.storage import provenance
from lskd_nmt.storage.files import read_lines
from lskd_nmt.storage.typed import from_json, record, write_record


def decode_as_text(run: Run, name: str, device: str, workers: int, tell: Callable[[str], None]) -> tuple[int, int]:
    """Let a teacher that gives text translate the test set; the exit code, and the number of sentences.

    Makes generate.log, and decode.json once all is decoded.
    """
    folder, cost = run.results(name), Cost()
    command = [*run.decode_command(name), "--device", device, "--workers", str(workers)]
    (folder / "generate.log").unlink(missing_ok=True)
    code = watch(command, run.folder, folder / "generate.log", shown, tell)
    measured = cost.measured()
    if code == 0:
        record = DecodeRecord(
            command=tuple(command),
            commit=provenance.commit(),
            wall_seconds=measured.wall_seconds,
            cpu_seconds=measured.cpu_seconds,
            peak_memory_mb=measured.peak_memory_mb,
            engine=engine(run.plan.config.seqkd.engine),
            compute_type=dict(given(command)).get("quantization", "default"),
        )
        write_record(folder / "decode.json", record)
    return code, len(read_lines(run.text("test", "source")))


def shown(line: str) -> str | None:
    """What of a line of the command a person is shown: not its answer, which is JSON."""
    return None if line.startswith("{") else line.strip()


@record
class TextRow:
    """A row of a ledger whose hypotheses are text."""

    row: int
    texts: list[str]


def texts(folder: Path, sentences: int) -> list[str]:
    """The best translation of each test row in a ledger of text; one that has none is empty."""
    lines = read_lines(folder / "rows.jsonl")
    rows = [from_json(TextRow, json.loads(line), f"{folder}/rows.jsonl line {at}") for at, line in enumerate(lines, 1)]
    whole = [each.row for each in rows] == [*range(sentences)]
    require(whole, f"{folder} does not have the {sentences} test rows in order: remove it and decode again")
    return [each.texts[0] if each.texts else "" for each in rows]


def engine(name: str) -> str:
    """What translates with a model of others, with its version."""
    package = "transformers" if name == "transformers" else "ctranslate2"
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package
