"""What the programs of this folder share. Import it first: it puts the repository and its tests on the path."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from lskd_nmt.storage import files, provenance  # noqa: E402


def parser_of(about: str | None, out: str = "OUT") -> argparse.ArgumentParser:
    """A parser with `--out`, whose help shows the text at the head of the program as it stands."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar=out)
    return parser


def show(line: object) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr, flush=True)


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[object]], rule: str = "---") -> str:
    """Rows of a table under the names of its columns; `rule` is `---:` where numbers stand at the right."""
    lines = [names, [rule] * len(names), *rows]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)


def origin() -> dict[str, object]:
    """What made a result: the command, the commit, versions and the machine; of its other paths only the names."""
    command = " ".join(["python", *sys.argv]).replace(f"{ROOT}/", "")
    return {
        "command": re.sub(r"(?<![^ =])/\S*/", "", command),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "host": provenance.host(),
    }


def write_results(out: Path, content: Mapping[str, object], markdown: str) -> None:
    """OUT.json and OUT.md."""
    files.write_json(out.with_suffix(".json"), content)
    files.write_text(out.with_suffix(".md"), markdown)


@dataclass(frozen=True)
class Cost:
    """What a command took with all that it started."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int  # the resident set of its largest process


def cost_of(command: Sequence[str], **environment: str) -> Cost:
    """Run a command whose output nobody needs; one that fails ends the program with what it complained of.

    The peak is never below that of this process, which should thus be small when it calls this.
    """
    start = time.monotonic()
    child = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    complaint = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}\n{complaint}")
    seconds = round(time.monotonic() - start, 1), round(usage.ru_utime + usage.ru_stime, 1)
    return Cost(*seconds, usage.ru_maxrss * 1024)
