"""`init-student`: chosen layers of a teacher, for a student to start from."""

import argparse
from pathlib import Path

from lskd_nmt.cli.common import add_languages, answer, numbers_of, symbols_of, verb_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require


def register(verbs: Verbs) -> None:
    """Add this file's verb."""
    about = "write chosen layers of a teacher, its embeddings and its output as a start for --finetune-from-model"
    verb = verb_of(verbs, "init-student", about, run_init)
    verb.add_argument("--checkpoint", type=Path, required=True, metavar="T.pt", help="the teacher")
    for side in ("encoder", "decoder"):
        verb.add_argument(f"--{side}", required=True, metavar="0,3,5", help=f"its {side} layers, counted from 0")
    about = "the student's binarised data: their dictionaries must be the teacher's (default: asked when it trains)"
    verb.add_argument("--data", metavar="DIR", help=about)
    verb.add_argument(
        "--teacher-data", metavar="DIR", help="the teacher's dict.*.txt, if the checkpoint has no symbols"
    )
    add_languages(verb)
    about = "a new file, or one that this verb wrote, which is replaced"
    verb.add_argument("--out", type=Path, required=True, metavar="INIT.pt", help=about)


def layers_of(args: argparse.Namespace, side: str) -> tuple[int, ...]:
    """The numbers of a side's layers."""
    found = numbers_of(getattr(args, side), f"--{side}", int)
    require(all(number >= 0 for number in found), f"--{side} is {getattr(args, side)}: layers are counted from 0")
    return found


def run_init(args: argparse.Namespace) -> None:
    """`lskd init-student --checkpoint T.pt --encoder 0,3,5 --decoder 0,5 --data bin --out init.pt`."""
    from lskd_nmt.teacher import first_layers

    layers = first_layers.Layers(layers_of(args, "encoder"), layers_of(args, "decoder"))
    student = symbols_of(args, str(args.checkpoint)) if args.data is not None else None
    first_layers.write(args.checkpoint, layers, args.out, student, args.teacher_data)
    answer(out=str(args.out), encoder=list(layers.encoder), decoder=list(layers.decoder))
