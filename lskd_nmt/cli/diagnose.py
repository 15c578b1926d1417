"""Verb over a teacher before it is distilled, and over what its student gets wrong: `diagnose`."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from lskd_nmt.cli.common import add_tokenize, numbers_of, real, show, verb_of, whole, write
from lskd_nmt.cli.verbs import Parser, Verbs
from lskd_nmt.errors import require
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_lines, sha256
from lskd_nmt.storage.typed import from_json, to_json


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "a teacher before it is distilled: its tail; and what it translates well and its student does not"
    diagnose = verb_of(verbs, "diagnose", about, run_diagnose)
    diagnose.add_argument("--out", type=Path, required=True, metavar="DIR")
    diagnose.add_argument("--teacher", metavar="FEATURES", help="for the tail")
    diagnose.add_argument("--temperatures", default="1,2,3,64", help="(default: %(default)s)")
    diagnose.add_argument("--top", default="1,2,4,8,16,64", help="(default: %(default)s)")
    diagnose.add_argument("--sample", type=whole(1), default=20_000, help="tokens (default: %(default)s)")
    diagnose.add_argument("--seed", type=whole(0), default=1, help="of the sample (default: %(default)s)")
    add_comparison(diagnose)


def add_comparison(diagnose: Parser) -> None:
    """The flags of the sentences that the teacher gets right and the student wrong, which `compared` reads."""
    diagnose.add_argument("--hypotheses", nargs=2, type=Path, metavar=("TEACHER", "STUDENT"), help="translations")
    diagnose.add_argument("--reference", type=Path, metavar="FILE")
    diagnose.add_argument(
        "--target-lang", metavar="LANG", help="of BLEU's tokeniser (default: the ending of --reference)"
    )
    add_tokenize(diagnose, "of sentence BLEU")
    diagnose.add_argument("--source", type=Path, metavar="FILE", help="for names, and shown with examples")
    diagnose.add_argument("--train-target", type=Path, metavar="FILE", help="text of the training targets: rare words")
    diagnose.add_argument(
        "--right", type=real(0, 100), default=60.0, help="sentence chrF at least (default: %(default)s)"
    )
    diagnose.add_argument(
        "--margin",
        type=real(0, 100),
        default=20.0,
        help="wrong is below --right, and so far below the other (default: %(default)s)",
    )
    diagnose.add_argument("--rare", type=whole(0), default=5, help="occurrences at most (default: %(default)s)")
    diagnose.add_argument(
        "--names",
        choices=("copied", "reference"),
        default="copied",
        help="words with a capital inside a sentence: written alike in source and reference, or in "
        "the reference (for another script; not for German, default: %(default)s)",
    )
    diagnose.add_argument("--examples", type=whole(0), default=20, help="sentences shown (default: %(default)s)")


def run_diagnose(args: argparse.Namespace) -> None:
    """`lskd diagnose [--teacher FEATURES] [--hypotheses TEACHER STUDENT --reference FILE] --out DIR`."""
    from lskd_nmt.analysis import diagnose as analysis_diagnose
    from lskd_nmt.analysis.features.folder import open_features
    from lskd_nmt.report.figures import teacher_tail
    from lskd_nmt.report.results.analyses import LostTranslations, TeacherTail

    require(bool(args.teacher or args.hypotheses), "give --teacher, or --hypotheses with --reference, or both")
    require(bool(args.hypotheses) == bool(args.reference), "--hypotheses and --reference need each other: give both")
    content: dict[str, object] = {"analysis": "diagnosis"}
    figures = {}
    if args.hypotheses:
        content["sentences"] = to_json(compared(args))
        figures["sentences"] = teacher_tail.sentences(from_json(LostTranslations, content["sentences"], "sentences"))
    if args.teacher:
        features = open_features(args.teacher)
        progress = Progress(min(args.sample, features.tokens), "tokens", show)
        tops = numbers_of(args.top, "--top", int)
        temperatures = numbers_of(args.temperatures, "--temperatures", float)
        tail = analysis_diagnose.diagnose(features, temperatures, tops, args.sample, args.seed, progress.add)
        content["tail"] = to_json(tail)
        figures["tail"] = teacher_tail.figure(from_json(TeacherTail, content["tail"], "tail"))
    write(args, "diagnosis", content, figures)
    print(json.dumps({"diagnosis": str(args.out / "diagnosis.json"), "parts": list(figures)}))


def compared(args: argparse.Namespace) -> dict[str, object]:
    """What the teacher gets right and the student wrong, with the hashes of what was read."""
    from lskd_nmt.analysis import lost_translations
    from lskd_nmt.evaluate.words import word_counts

    files = {
        "teacher": args.hypotheses[0],
        "student": args.hypotheses[1],
        "reference": args.reference,
        "source": args.source,
        "train_target": args.train_target,
    }
    teacher, student, reference = map(read_lines, (*args.hypotheses, args.reference))
    source = read_lines(args.source) if args.source else None
    frequency = word_counts(read_lines(args.train_target)) if args.train_target else None
    texts = lost_translations.Texts(reference, teacher, student, source, frequency)
    lang = args.target_lang or args.reference.suffix.removeprefix(".")
    rules = lost_translations.Rules(
        args.right, args.margin, args.rare, args.names == "copied", args.examples, lang, args.tokenize
    )
    return {
        "settings": asdict(rules),
        "sha256": {name: sha256(file) for name, file in files.items() if file},
        **to_json(lost_translations.comparison(texts, rules)),
    }
