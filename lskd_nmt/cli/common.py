"""What several verbs need: the data that they are given, and a place to talk."""

import argparse
import sys
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import Symbols


def show(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr, flush=True)


def symbols_of(args: argparse.Namespace) -> Symbols:
    """The dictionaries of `--data`, the first of its folders; loads the plugin."""
    first = args.data.split(":")[0]
    require(Path(first).is_dir(), f"--data {first} does not exist: give the output folder of fairseq-preprocess")
    with fairseq_io.quiet():
        fairseq_io.load_plugin()
    found = (args.source_lang, args.target_lang)
    langs = found if all(found) else fairseq_io.language_pair(first)
    symbols = fairseq_io.read_symbols(first, langs)
    if symbols is None:
        raise LskdError(f"--data {first} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
                        "give the output folder of fairseq-preprocess")  # fmt: skip
    return symbols
