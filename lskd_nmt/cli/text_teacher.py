"""`seqkd decode --teacher hf:… | ct2:…`: its flags, and what it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import show
from lskd_nmt.cli.verbs import Parser
from lskd_nmt.errors import require

if TYPE_CHECKING:
    from lskd_nmt.decode_settings import DecodeSettings
    from lskd_nmt.fairseq_io import DictionaryPair
    from lskd_nmt.seqkd.decode import Place
    from lskd_nmt.seqkd.ledger import Ledger

OWN = ("teacher_tokenizer", "teacher_source_lang", "teacher_target_lang", "teacher_prefix", "prompt")


def add_teacher(decode: Parser) -> None:
    """The flags that name a teacher of any kind, and what one with a tokeniser of its own is told."""
    decode.add_argument(
        "--teacher",
        metavar="KIND:WHERE",
        help="fairseq:A.pt[:B.pt], hf:FOLDER-OR-NAME of Hugging Face, or ct2:FOLDER of CTranslate2",
    )
    decode.add_argument("--teacher-tokenizer", metavar="hf:DIR", help="of ct2:, where none is beside the model")
    decode.add_argument("--teacher-source-lang", metavar="CODE", help="as the teacher writes it, such as eng_Latn")
    decode.add_argument("--teacher-target-lang", metavar="CODE", help="such as deu_Latn; >>deu<< is deu")
    decode.add_argument("--teacher-prefix", metavar="TEXT", help="before every source: 'translate English to German: '")
    prompt = "of a language model: text in which {source} stands for the source sentence"
    decode.add_argument("--prompt", type=Path, metavar="FILE", help=prompt)


def settle(args: argparse.Namespace) -> bool:
    """Whether the teacher is no fairseq model; if it is one, `teacher_path` names it. Sets the default quantization."""
    require(
        args.teacher is not None or args.teacher_path is not None,
        "no teacher is named: give --teacher fairseq:CHECKPOINT, hf:FOLDER-OR-NAME or ct2:FOLDER",
    )
    require(args.teacher is None or args.teacher_path is None, "give --teacher or --teacher-path, not both")
    kind = "fairseq"
    if args.teacher is not None:
        from lskd_nmt.seqkd.text_teacher import kind_of

        kind, name = kind_of(args.teacher)
        args.teacher_path = name if kind == "fairseq" else None
    args.quantization = args.quantization or ("default" if kind == "ct2" else "float32")
    given = [name for name in OWN if getattr(args, name) is not None]
    require(
        kind != "fairseq" or not given,
        f"--{(given or [''])[0].replace('_', '-')} is for teachers with a tokenizer of their own, hf: and ct2:",
    )
    require(
        kind != "fairseq" or args.engine != "transformers",
        "--engine is transformers, which runs models of hf: use ctranslate2 or fairseq",
    )
    return kind != "fairseq"


def decode(
    args: argparse.Namespace, symbols: "DictionaryPair", settings: "DecodeSettings", place: "Place"
) -> "Ledger | None":
    """Let a teacher of Hugging Face or CTranslate2 translate; the ledger, or None while shards are missing."""
    from lskd_nmt.data.cleaning import Limits
    from lskd_nmt.hf_io.tokens import Direction
    from lskd_nmt.seqkd.text_decode import TextTask, decode_data, decode_lines
    from lskd_nmt.seqkd.text_teacher import open_teacher, read_prompt

    prompt = None if args.prompt is None else read_prompt(args.prompt)
    named = args.teacher_source_lang, args.teacher_target_lang
    direction = Direction(*named, args.teacher_prefix or "", prompt, symbols.langs)
    with fairseq_io.quiet():
        teacher = open_teacher(args.teacher, args.teacher_tokenizer, direction, settings.engine)
        task = TextTask(args.out, teacher, settings, place, show, args.accept_difference)
        if args.source is None:
            return decode_data(task, args.data, symbols.langs, args.split)
        return decode_lines(task, args.source, args.data, symbols, Limits(args.max_words))
