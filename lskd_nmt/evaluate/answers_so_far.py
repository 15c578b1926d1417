"""The answers of a program so far, in a file that a kill leaves behind: the next call asks for the others alone.

A line is JSON: first what the program said of itself, then for every answer the hash of its question and the score. The
file goes once all is answered, and where an answer cannot be: then the program is at fault, and is asked everything
again. It does so, too, if the program says something else of itself than before.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lskd_nmt.errors import LskdError, writing
from lskd_nmt.evaluate.score_command import CommandError, Heard, Scored, scored_by
from lskd_nmt.progress import Progress
from lskd_nmt.storage.typed import Json

DIGITS = 16  # of a question's hash


def all_answers(
    command: str, questions: Mapping[str, Mapping[str, Json]], name: str, file: Path, progress: Progress
) -> Scored:
    """The program's answers to all questions, in their order, asked only of those that `file` has no answer to.

    Questions are by a text that tells them apart. `LskdError` as `scored_by`.
    """
    about, known = so_far(file)
    digests = {text: hash_of(text) for text in questions}
    rest = [text for text, digest in digests.items() if digest not in known]
    if rest:
        progress.skip(len(questions) - len(rest))
        with kept(file, about, known, [digests[text] for text in rest]) as heard:
            found = scored_by(command, [questions[text] for text in rest], name, progress, heard)
        if known and found.about != about:
            file.unlink(missing_ok=True)
            progress.there = progress.done = 0
            return all_answers(command, questions, name, file, progress)
        about = found.about
        known |= dict(zip((digests[text] for text in rest), found.scores, strict=True))
    return Scored([known[digest] for digest in digests.values()], about)


def hash_of(text: str) -> str:
    """The first digits of a text's hash."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def so_far(file: Path) -> tuple[dict[str, Json], dict[str, float]]:
    """What a program said of itself, and its scores by the hash of the question; a line that was cut is no answer."""
    about, scores = dict[str, Json](), dict[str, float]()
    with contextlib.suppress(OSError, ValueError, TypeError):
        for line in file.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            if isinstance(said, dict):
                about, scores = said, scores if said == about else {}
            else:
                digest, score = said
                scores[str(digest)] = float(score)
    return (about, scores) if about else ({}, {})


@contextmanager
def kept(file: Path, about: Mapping[str, Json], known: Mapping[str, float], digests: list[str]) -> Iterator[Heard]:
    """A function that adds what a program says to the file: answers to these questions in their order.

    Answers of a program that says nothing of itself are not kept: nobody would know whether it is the same one.
    """
    left = iter(digests)
    with writing(file), file.open("w", encoding="utf-8") as lines:

        def write(said: Json) -> None:
            lines.write(f"{json.dumps(said)}\n")
            lines.flush()

        if about:
            write(dict(about))
        for digest, score in known.items():
            write([digest, score])
        try:
            yield lambda said: write(said if isinstance(said, dict) else [next(left), said])
        except LskdError as error:
            if not isinstance(error, CommandError) or not so_far(file)[1]:
                file.unlink(missing_ok=True)
            raise
