"""What several verbs need: the data that they are given, a place to talk, and what made a file."""

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lskd_nmt import fairseq_io, runs
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import Symbols

Number = TypeVar("Number", int, float)


def show(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr, flush=True)


def origin(args: argparse.Namespace) -> dict[str, Any]:
    """What a verb's results begin with."""
    return {"command": args.command, "commit": runs.commit(), "versions": runs.versions()}


def publish(args: argparse.Namespace, file: Path, content: Mapping[str, Any]) -> None:
    """Write what was found, and the command that found it."""
    runs.write_json(file, origin(args) | dict(content))


def verb_of(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, about: str,
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:  # fmt: skip
    """A verb, and what it runs."""
    verb = verbs.add_parser(name, help=about, description=about)
    verb.set_defaults(run=run)
    return verb


def add_languages(verb: argparse.ArgumentParser) -> None:
    """The flags beside `--data` that `symbols_of` reads."""
    verb.add_argument("--source-lang", "-s", help="taken from the data if not given")
    verb.add_argument("--target-lang", "-t", help="taken from the data if not given")


def symbols_of(args: argparse.Namespace) -> Symbols:
    """The dictionaries of `--data`, the first of its folders; loads the plugin."""
    first = args.data.split(":")[0]
    fairseq_io.require_data(args.data)
    with fairseq_io.quiet():
        fairseq_io.load_plugin()
    found = (args.source_lang, args.target_lang)
    langs = found if all(found) else fairseq_io.language_pair(first)
    symbols = fairseq_io.read_symbols(first, langs)
    if symbols is None:
        raise LskdError(f"--data {first} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
                        "give the output folder of fairseq-preprocess")  # fmt: skip
    return symbols


def numbers_of(text: str, flag: str, kind: type[Number]) -> tuple[Number, ...]:
    """`1,2,64` as numbers of a kind."""
    try:
        numbers = tuple(kind(part) for part in text.split(",") if part)
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        return numbers
    except ValueError:
        what, example = ("whole numbers", "15,20") if kind is int else ("numbers", "1,2,3,64")
        raise LskdError(f"{flag} is '{text}': give {what} with commas between, such as {example}") from None
