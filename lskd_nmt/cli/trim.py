"""`trim`: a model with the symbols alone that a text needs."""

import argparse
from pathlib import Path

from lskd_nmt.cli.common import add_languages, answer, direction_of, show, verb_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.storage.typed import to_json


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = (
        "cut a model's dictionaries, embeddings and sentencepiece model to the symbols that a text needs, and single "
        "characters; proved by the same subwords and equal logits"
    )
    verb = verb_of(verbs, "trim", about, run_trim)
    verb.add_argument("--checkpoint", type=Path, required=True, metavar="M.pt", help="a transformer of fairseq")
    verb.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="its binarised data with spm.model, a folder of data-prep/prepare.sh, or that of lskd import-teacher "
        "(default: the checkpoint's folder)",
    )
    verb.add_argument(
        "--keep-for",
        nargs="+",
        required=True,
        metavar="FILE",
        help="text of both languages whose symbols stay: train.en train.de, or train for both",
    )
    add_languages(verb)
    verb.add_argument("--spm", type=Path, metavar="FILE", help="sentencepiece model of data that have none beside them")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")


def run_trim(args: argparse.Namespace) -> None:
    """`lskd trim --checkpoint M.pt --data bin --keep-for train.en train.de --out small`."""
    from lskd_nmt import fairseq_io
    from lskd_nmt.data import given
    from lskd_nmt.deploy import trim, trim_sides

    data: Path = args.data or args.checkpoint.parent
    require(
        args.data is not None or any(data.glob("dict.*.txt")),
        f"{data}, the checkpoint's folder, has no dict.*.txt: give the model's binarised data as --data",
    )
    fairseq_io.require_data(str(data), several=False)
    if (data / "prep.json").is_file() and (data / "bin").is_dir():
        data = data / "bin"
    require(not args.out.exists(), f"--out {args.out} is there already: give a new folder")
    with fairseq_io.quiet():
        if (data / given.NAME).is_file():
            langs = given.langs(data)
            for wish, lang in ((args.source_lang, langs[0]), (args.target_lang, langs[1])):
                require(
                    wish in (None, lang), f"--data {data} is of {'-'.join(langs)}, and {wish} is asked for: leave it"
                )
        else:
            langs = direction_of(args, str(data), str(args.checkpoint))
        sides = trim_sides.sides_of(data, langs, args.keep_for, args.spm)
        found = trim.trim(args.checkpoint, data, langs, sides, args.out, show)
    answer(out=str(args.out), **to_json(found))
