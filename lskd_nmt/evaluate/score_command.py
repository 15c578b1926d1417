"""Scores by a program of the user's, which runs in an environment of its own: JSON Lines in, one number a line out.

The command is a line of the shell. It reads one JSON object a line on its standard input until that ends:
`{"source": …, "translation": …, "references": […]}`, without the keys that nobody knows. It prints one line for each of
them, in their order: a number, or an object with a `score`. The first line may be an object without a `score`: what
the program says of itself, such as `{"signature": "wmt22-comet-da|version:2.2.7", "sha256": …}`.
"""

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from lskd_nmt.errors import LskdError, require
from lskd_nmt.progress import Progress
from lskd_nmt.storage.typed import Json

Heard = Callable[[float | dict[str, Json]], None]  # takes each whole line that a command said, as it comes
SAFE_PATH = "PYTHONSAFEPATH"  # run.sh sets it for our programs; with it, others do not find modules beside themselves
LONGEST = 200  # characters quoted of what a command printed
BATCH = 10_000  # items that a command is asked about at a time, where nothing else is said


class CommandError(LskdError):
    """The command ended with an error; what it said before that counts."""


@dataclass(frozen=True)
class Scored:
    """What a command answered."""

    scores: list[float]  # one for each item
    about: dict[str, Json] = field(default_factory=dict)  # what the program says of itself


def item(translation: str, source: str | None = None, references: Sequence[str] = ()) -> dict[str, Json]:
    """What a command is asked of one translation."""
    found: dict[str, Json] = {} if source is None else {"source": source}
    return found | {"translation": translation} | ({"references": list(references)} if references else {})


def scored_by(
    command: str, items: Sequence[Mapping[str, Json]], name: str, progress: Progress, heard: Heard | None = None
) -> Scored:
    """What the command answers; `name` is what errors call it, such as `--score-command`.

    `CommandError` if it fails, `LskdError` if its answer is not one finite number for each item.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as asked, tempfile.TemporaryFile("w+b") as said:
        asked.writelines(f"{json.dumps(dict(each), ensure_ascii=False)}\n" for each in items)
        asked.flush()
        asked.seek(0)
        theirs = {name: value for name, value in os.environ.items() if name != SAFE_PATH}
        process = subprocess.Popen(
            ["bash", "-c", command], stdin=asked, stdout=subprocess.PIPE, stderr=said, env=theirs
        )
        assert process.stdout is not None
        with process:
            try:
                lines = (line.decode("utf-8", "replace") for line in process.stdout)
                found = answers(lines, len(items), progress, heard)
                complaint = None
            except LskdError as error:
                process.kill()
                found, complaint = Scored([]), str(error)
            except BaseException:  # Ctrl-C, SIGTERM: the command would be waited for
                process.kill()
                raise
        if complaint is None and process.returncode != 0:
            raise CommandError(failed(name, command, process.returncode, said))
    require(complaint is None, f"{name} '{command}' {complaint}: it must print one number a line, and nothing else")
    count, wanted = len(found.scores), len(items)
    require(count == wanted, f"{name} '{command}' gave {count} scores of {wanted} sentences: one a line is needed")
    return found


def failed(name: str, command: str, code: int, said: IO[bytes]) -> str:
    """A line for a command that ended with an error, and the last that it said."""
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").split("\n")
    last = next((line.strip()[:LONGEST] for line in reversed(lines) if line.strip()), "it said nothing")
    return f"{name} '{command}' ended with exit code {code} ({last}): run it by hand to see why"


def answers(lines: Iterable[str], most: int, progress: Progress, heard: Heard | None = None) -> Scored:
    """The numbers in a command's output, and what its first line says of it."""
    found = Scored([])
    for number, line in enumerate(lines, start=1):
        said = answer(line.strip(), number)
        if isinstance(said, dict):
            require(number == 1, f"said on line {number} {line.strip()[:LONGEST]}, which has no 'score'")
            found.about.update(said)
        else:
            require(len(found.scores) < most, f"printed more than {most} scores")
            found.scores.append(said)
            progress.add(1)
        if heard is not None and line.endswith("\n"):  # a line that a kill cut is none
            heard(said)
    return found


def answer(line: str, number: int) -> float | dict[str, Json]:
    """The score on a line, or the object on it if that has none."""
    what = f"said on line {number} '{line[:LONGEST]}', which is no number"
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise LskdError(what) from None
    if isinstance(said, dict) and "score" not in said:
        return said
    value = said["score"] if isinstance(said, dict) else said
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    require(is_number, what)
    try:
        score = float(value)
    except OverflowError:
        score = math.inf
    require(math.isfinite(score), what.replace("no number", "no finite number"))
    return score
