"""Verb of the teacher store: `teacher-store`."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import add_languages, numbers_of, show, symbols_of, verb_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require

if TYPE_CHECKING:
    from lskd_nmt.teacher.layout import Layout

TOP_K, TEMPERATURES = 8, "1,2,3,64"


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "write what a teacher says of every target token, so that students train without it at several temperatures"
    verb = verb_of(verbs, "teacher-store", about, run_store)
    verb.add_argument("--teacher-path", required=True, metavar="A.pt[:B.pt]", help="checkpoints; several are averaged")
    verb.add_argument("--teacher-data", metavar="DIR", help="where the teacher's dict.*.txt are, if it does not say")
    verb.add_argument("--data", required=True, metavar="DIR[:DIR]", help="binarised data of the student")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_languages(verb)
    verb.add_argument(
        "--keep",
        choices=("top-k", "features"),
        default="top-k",
        help="of each token: its most probable symbols, or the decoder's features, from which students "
        "have every symbol at every temperature (default: %(default)s)",
    )
    verb.add_argument("--top-k", type=int, help=f"symbols kept of each token (default: {TOP_K})")
    verb.add_argument("--temperatures", help=f"students can train at these (default: {TEMPERATURES})")
    verb.add_argument("--precision", choices=("fp16", "fp32"), default="fp16", help="stored as (default: %(default)s)")
    verb.add_argument("--splits", default="train,valid", help="(default: %(default)s)")
    verb.add_argument("--max-tokens", type=int, default=4096, help="in a batch of the teacher (default: %(default)s)")
    verb.add_argument("--shard-pairs", type=int, default=8192, help="a killed run repeats at most one shard of so many")
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run_store(args: argparse.Namespace) -> None:
    """`lskd teacher-store --teacher-path T.pt --data bin --out DIR`."""
    from lskd_nmt.teacher.layout import layout_of
    from lskd_nmt.teacher.online import split_paths
    from lskd_nmt.teacher.writer import WriterSettings, write_store

    teachers = split_paths(args.teacher_path)
    symbols = symbols_of(args, next(iter(teachers), None))
    layout = layout_for(args, len(symbols.target))
    settings = WriterSettings(layout, tuple(args.splits.split(",")), args.max_tokens, args.shard_pairs)
    device = fairseq_io.device(args.device)
    with fairseq_io.quiet():
        header = write_store(args.out, teachers, args.data, symbols, settings, device, show, args.teacher_data)
    for temperature, mass in header.tail_mass.items():
        k = header.layout["k"]
        show(f"T = {temperature}: {100 * mass:.1f} % of the teacher's mass lies outside of its top {k}")
    print(
        json.dumps(
            {
                "store": str(args.out),
                "sentences": header.sentences,
                "tokens": header.tokens,
                "bytes_per_token": layout_of(header.format, header.layout, args.out).token_bytes,
                "tail_mass": header.tail_mass,
            }
        )
    )


def layout_for(args: argparse.Namespace, symbols: int) -> "Layout":
    """What is kept of each token, as the flags say, of a target dictionary with so many symbols."""
    from lskd_nmt.teacher.layout import FeatureLayout, TopKLayout

    if args.keep == "features":
        require(
            args.top_k is None and args.temperatures is None,
            "--keep features has every symbol at every temperature: leave out --top-k and --temperatures",
        )
        return FeatureLayout((), symbols, args.precision)
    given = TEMPERATURES if args.temperatures is None else args.temperatures
    grid = numbers_of(given, "--temperatures", float)
    return TopKLayout(TOP_K if args.top_k is None else args.top_k, grid, symbols, args.precision)
