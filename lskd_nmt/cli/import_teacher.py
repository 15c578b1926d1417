"""`import-teacher`: a model of Hugging Face as a teacher of words."""

import argparse
from pathlib import Path

from lskd_nmt.cli.common import answer, show, verb_of, whole
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.storage.typed import to_json


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = (
        "write a MarianMT, M2M100, NLLB or FSMT model as a fairseq checkpoint with its dictionaries and subwords, "
        "proved by equal logits"
    )
    verb = verb_of(verbs, "import-teacher", about, run_import)
    verb.add_argument("model", metavar="DIR-OR-NAME", help="a model of Hugging Face")
    verb.add_argument("--source-lang", required=True, metavar="LANG", help="names the dictionary, such as en")
    verb.add_argument("--target-lang", required=True, metavar="LANG")
    verb.add_argument("--teacher-source-lang", metavar="NAME", help="the model's own name of it, such as eng_Latn")
    verb.add_argument("--teacher-target-lang", metavar="NAME", help="such as deu_Latn; deu of a Marian with >>deu<<")
    verb.add_argument(
        "--valid",
        metavar="PREFIX",
        help="text to prove it on, PREFIX.en and PREFIX.de (default: made-up sequences of symbols alone)",
    )
    verb.add_argument(
        "--sentences", type=whole(1), default=200, metavar="N", help="of that text (default: %(default)s)"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")


def run_import(args: argparse.Namespace) -> None:
    """`lskd import-teacher DIR --source-lang en --target-lang de --out teacher`."""
    from lskd_nmt.data import bitext
    from lskd_nmt.deploy import import_teacher
    from lskd_nmt.hf_io import folders, words

    langs = (args.source_lang, args.target_lang)
    require(langs[0] != langs[1], f"--source-lang and --target-lang are both {langs[0]}: give two languages")
    for lang in langs:
        require(bool(lang) and "/" not in lang, f"'{lang}' is no language: give a code such as en")
    require(not args.out.exists(), f"--out {args.out} is there already: give a new folder")
    text = None
    if args.valid is not None:
        text = import_teacher.Text(args.valid, args.sentences)
        for _ in bitext.rows(args.valid, langs):  # refuses what is none before the model is loaded
            break
    folder = folders.found(args.model)
    teacher = words.load(folder, (args.teacher_source_lang, args.teacher_target_lang))
    words.require_direction(folder, langs)
    proved = import_teacher.import_teacher(teacher, args.model, langs, args.out, show, text)
    answer(out=str(args.out), **to_json(proved))
