"""Verb of the preflight checks: `doctor`."""

import argparse
import json
import sys
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import add_languages, numbers_of, verb_of, whole
from lskd_nmt.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "check installation, data and teacher, and predict the memory of a training and the size of a teacher store"
    verb = verb_of(verbs, "doctor", about, run_doctor)
    verb.add_argument("--data", metavar="DIR[:DIR]", help="binarised data of the student")
    add_languages(verb)
    verb.add_argument("--teacher-path", default="", metavar="A.pt[:B.pt]")
    verb.add_argument("--teacher-data", metavar="DIR", help="where the teacher's dict.*.txt are, if it does not say")
    verb.add_argument("--arch", default="ls_transformer_iwslt_small", help="of the student (default: %(default)s)")
    verb.add_argument("--max-tokens", type=whole(1), default=4096, help="of the training (default: %(default)s)")
    verb.add_argument("--top-k", type=whole(1), default=8, help="of a teacher store (default: %(default)s)")
    verb.add_argument("--temperatures", default="1,2,3,64", help="of a teacher store (default: %(default)s)")
    verb.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the store would be")


def run_doctor(args: argparse.Namespace) -> None:
    """`lskd doctor --data bin --teacher-path T.pt`; exit code 2 if something that everybody needs is not well."""
    from lskd_nmt.doctor import DoctorSettings, run_checks
    from lskd_nmt.teacher.online import split_paths

    langs = (args.source_lang, args.target_lang)
    temperatures = numbers_of(args.temperatures, "--temperatures", float)
    settings = DoctorSettings(
        args.data,
        langs if all(langs) else None,
        split_paths(args.teacher_path),
        args.teacher_data,
        args.arch,
        args.max_tokens,
        args.top_k,
        len(temperatures),
        args.out,
    )
    with fairseq_io.quiet():
        findings = run_checks(settings)
    for finding in findings:
        state = "ok" if finding.passed else "PROBLEM" if finding.is_needed else "absent"
        print(f"{state:<7} {finding.check}: {finding.text}", file=sys.stderr)
    needed, optional = (
        {each.check: each.passed for each in findings if each.is_needed is kind} for kind in (True, False)
    )
    print(json.dumps({**needed, "optional": optional}))
    if not all(needed.values()):
        sys.exit(2)
