"""Verbs of sequence-level distillation: `seqkd decode`, `seqkd import`, `seqkd candidates`, `seqkd select`."""

import argparse
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt import fairseq_io
from lskd_nmt.cli import text_teacher
from lskd_nmt.cli.common import add_filters, add_tokenize, show, symbols_of
from lskd_nmt.cli.verbs import INNER, Parser, Verbs, complete
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.score_command import BATCH

if TYPE_CHECKING:
    from lskd_nmt.seqkd.ledger import Ledger


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    about = "sequence-level distillation: a teacher's translations of the training source, decoded, chosen, stored"
    seqkd = verbs.add_parser("seqkd", description=about)
    steps = seqkd.add_subparsers(dest="step", required=True, metavar="decode|import|candidates|select")
    register_decode(steps)
    register_import(steps)
    register_candidates(steps)
    register_select(steps)
    complete(steps, INNER["seqkd"])


def add(steps: Verbs, name: str, run: Callable[..., None], about: str, out: str = "DIR") -> Parser:
    """A verb of `seqkd` that reads binarised data."""
    parser = step_of(steps, name, run, about, out)
    parser.add_argument("--data", required=True, metavar="DIR[:DIR]", help="binarised data of the student")
    parser.add_argument("--source-lang", "-s", help="taken from the data if not given")
    parser.add_argument("--target-lang", "-t", help="taken from the data if not given")
    parser.add_argument("--split", default="train", help="what is decoded")
    return parser


def step_of(steps: Verbs, name: str, run: Callable[..., None], about: str, out: str = "DIR") -> Parser:
    """A verb of `seqkd`."""
    parser = steps.add_parser(name, help=about, description=about, formatter_class=Defaults)
    parser.set_defaults(run=run)
    place = "a new folder, or one to complete" if out == "DIR" else "a new file"
    parser.add_argument("--out", type=Path, required=True, metavar=out, help=place)
    return parser


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults in the help, but for None and booleans."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_plain = action.default is None or isinstance(action.default, bool)
        return action.help if is_plain else super()._get_help_string(action)


def register_decode(steps: Verbs) -> None:
    """`seqkd decode`."""
    about = "let the teacher translate the training source, or other text, in shards that resume"
    decode = add(steps, "decode", run_decode, about)
    text_teacher.add_teacher(decode)
    decode.add_argument(
        "--teacher-path", metavar="A.pt[:B.pt]", help="as fairseq:…; several are an ensemble, for --engine fairseq"
    )
    text = "translate this text (may be .gz or .zst), cleaned and without what --data has, not the source of --split"
    decode.add_argument("--source", metavar="FILE", help=text)
    decode.add_argument("--max-words", type=int, default=175, help="of --source: longer lines are dropped")
    decode.add_argument("--teacher-data", metavar="DIR", help="where the teacher's dict.*.txt are, if it does not say")
    decode.add_argument("--engine", default="ctranslate2", help="ctranslate2, fairseq, or for hf: transformers")
    decode.add_argument("--quantization", help="of ctranslate2, such as int8; float32, or for ct2: as it was converted")
    decode.add_argument("--beam", type=int, default=5, help="size of the beam")
    decode.add_argument("--nbest", type=int, default=1, help="hypotheses a sentence")
    decode.add_argument("--lenpen", type=float, default=1.0, help="exponent of the length in a score")
    decode.add_argument("--max-len-a", type=float, default=1.5, help="at most a * source length + b subwords")
    decode.add_argument("--max-len-b", type=int, default=20, help="see --max-len-a")
    decode.add_argument("--sampling", action="store_true", help="draw hypotheses instead of searching for the best")
    decode.add_argument("--temperature", type=float, default=1.0, help="of --sampling")
    decode.add_argument("--sampling-topk", type=int, default=0, help="draw among so many subwords; 0: among all")
    decode.add_argument("--seed", type=int, default=1, help="of --sampling")
    add_place(decode)


def add_place(decode: Parser) -> None:
    """The flags that say where and in which parts `seqkd decode` works."""
    decode.add_argument("--batch-tokens", type=int, default=1024, help="padded source subwords of a batch")
    decode.add_argument("--shard-sentences", type=int, default=1000, help="a killed run repeats at most a shard")
    decode.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core or GPU")
    decode.add_argument("--threads", type=int, default=1, help="of each process")
    decode.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it runs")
    decode.add_argument(
        "--part",
        default="1/1",
        metavar="I/N",
        help="do every N-th shard, from the I-th: one of N machines that share the folder",
    )
    decode.add_argument(
        "--accept-difference", action="store_true", help="go on although CTranslate2 and fairseq translate differently"
    )


def register_import(steps: Verbs) -> None:
    """`seqkd import`."""
    about = "take translations that were made elsewhere into a ledger that proves itself, as those of decode"
    take = step_of(steps, "import", run_import, about)
    text = "what was translated, a sentence a line; .gz and .zst are unpacked, - is standard input"
    take.add_argument("--source", required=True, metavar="FILE", help=text)
    lines = "line i translates line i of the source; or JSON Lines with source, translation or translations, score(s)"
    take.add_argument("--translations", required=True, metavar="FILE", help=lines)
    take.add_argument("--format", dest="form", default="auto", help="plain, jsonl, or auto: by the file's name")
    take.add_argument("--system", metavar="NAME", help="what made them")
    runaway = "count translations with more than so many times the characters of their source"
    take.add_argument("--runaway", type=float, default=4.0, metavar="TIMES", help=runaway)


def register_candidates(steps: Verbs) -> None:
    """`seqkd candidates`."""
    about = "write the translations of decodings as JSON Lines, for a program that scores them: see select --scores"
    candidates = add(steps, "candidates", run_candidates, about, "FILE")
    add_decodings(candidates)


def register_select(steps: Verbs) -> None:
    """`seqkd select`."""
    select = add(steps, "select", run_select, "choose among decoded hypotheses, and store them for training")
    add_decodings(select)
    share = "draw monolingual lines until they are this share of the sentences, from 0 to 1 (if not given: all)"
    select.add_argument("--share", type=float, help=share)
    select.add_argument("--seed", type=int, default=1, help="of what is drawn for --share")
    methods = "beam: the best; interpolate: the one closest to the reference; multi: several; mbr: the one that is "
    methods += "closest to all, by minimum Bayes risk; best-score: the one of the highest score"
    select.add_argument("--method", default="beam", help=methods)
    several = "so many of a sentence: of multi the first (0: all), of mbr and best-score the best (0: one)"
    select.add_argument("--hypotheses", type=int, default=0, help=several)
    select.add_argument("--similarity", default="bleu", help="of interpolate: smoothed sentence bleu, or chrf")
    select.add_argument(
        "--max-ratio", type=float, default=0, help="of the lengths of source and hypothesis in subwords; 0: any"
    )
    add_tokenize(select, "of the smoothed sentence bleu")
    select.add_argument("--utility", default="chrf", help="of mbr, how close two translations are: chrf, or bleu")
    linear = "of mbr, compare with the mean counts of all instead of with each: for long lists"
    select.add_argument("--aggregate", action="store_true", help=linear)
    add_scores(select)
    select.add_argument("--workers", type=int, default=0, help="processes of mbr; 0: one for each core")
    select.add_argument("--drop-copies", action="store_true", help="drop hypotheses that repeat the source")
    add_filters(select)
    about = "a fairseq checkpoint of the other direction, with the data's dictionaries, or a run with one teacher: "
    select.add_argument("--reverse-model", metavar="R.pt", help=f"{about}drop what it scores worst")
    both = "one of the data's direction, such as the teacher that decoded: drop what is worst by the dual conditional "
    select.add_argument("--forward-model", metavar="F.pt", help=f"{both}cross-entropy of it and --reverse-model")
    share = "the share of translations that --reverse-model drops"
    select.add_argument("--drop-worst-reverse", type=float, default=0.05, metavar="SHARE", help=share)


def add_decodings(verb: Parser) -> None:
    """The flags that name what was decoded."""
    united = "of lskd seqkd decode or import, of the source side of --split; several are united"
    verb.add_argument("--decoded", metavar="DIR[:DIR]", help=united)
    other = "the data that --decoded are of, where their subwords are not those of --data: the same text, line by line"
    verb.add_argument("--decoded-data", metavar="DIR[:DIR]", help=other)
    text = "of lskd seqkd decode --source or import, of text that has no target side; several follow each other"
    verb.add_argument("--monolingual", metavar="DIR[:DIR]", help=text)


def add_scores(select: Parser) -> None:
    """The flags of `seqkd select` about scores of the candidates."""
    lines = 'a score for each candidate, as JSON Lines: {"source": …, "translation": …, "score": …}'
    select.add_argument("--scores", type=Path, metavar="FILE", help=lines)
    asked = "asked for a score of each candidate: JSON Lines in, a number a line out (see docs/sequence-level.md)"
    select.add_argument("--score-command", metavar="CMD", help=asked)
    select.add_argument("--score-batch", type=int, default=BATCH, help="candidates that it is asked about at a time")
    worst = "drop this share of all candidates, those of the lowest scores"
    select.add_argument("--drop-worst", type=float, default=0.0, metavar="R", help=worst)
    select.add_argument("--min-score", type=float, metavar="S", help="drop candidates with a lower score")


def run_decode(args: argparse.Namespace) -> None:
    """`lskd seqkd decode --teacher-path T.pt --data bin --out DIR`."""
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))  # before the engines are imported
    from lskd_nmt.data.cleaning import Limits
    from lskd_nmt.decode_settings import DecodeSettings
    from lskd_nmt.seqkd.decode import Place, decode
    from lskd_nmt.seqkd.monolingual import decode_source
    from lskd_nmt.teacher.online import split_paths

    names = DecodeSettings.__dataclass_fields__
    is_foreign = text_teacher.settle(args)
    settings = DecodeSettings(**{name: getattr(args, name) for name in names})
    part = re.fullmatch(r"(\d+)/(\d+)", args.part)
    if part is None:
        raise LskdError(f"--part is '{args.part}': give i/n, such as 2/8")
    place = Place(args.workers, args.threads, args.device, (int(part[1]), int(part[2])))
    teachers = [] if is_foreign else split_paths(args.teacher_path)
    symbols = symbols_of(args, next(iter(teachers), None))
    require(args.max_words > 0, f"--max-words is {args.max_words}: give at least 1")
    if is_foreign:
        print_decoded(args, text_teacher.decode(args, symbols, settings, place))
        return
    data, accept = (args.data, symbols, settings), args.accept_difference
    with fairseq_io.quiet():
        if args.source is None:
            ledger = decode(args.out, teachers, *data, place, show, args.split, args.teacher_data, accept)
        else:
            how = *data, Limits(args.max_words), place, show
            ledger = decode_source(args.out, args.source, teachers, *how, args.teacher_data, accept)
    print_decoded(args, ledger)


def print_decoded(args: argparse.Namespace, ledger: "Ledger | None") -> None:
    """What came of a decoding."""
    facts = {} if ledger is None else {name: getattr(ledger, name) for name in ("rows", "hypotheses", "empty_rows")}
    if ledger is not None and ledger.text is not None:
        facts |= {"lines": ledger.text.lines, "dropped": ledger.text.dropped}
    if ledger is not None and ledger.stripped is not None:
        facts |= {"language_model": True, "stripped": ledger.stripped}
    print(json.dumps({"decoded": str(args.out), "complete": ledger is not None, **facts}))


def run_import(args: argparse.Namespace) -> None:
    """`lskd seqkd import --source mono.en --translations out.de --out DIR`."""
    from lskd_nmt.seqkd.imported import ImportSettings, import_translations

    settings = ImportSettings(args.form, args.system, args.runaway)
    ledger = import_translations(args.out, args.source, args.translations, settings, show)
    imported = ledger.imported
    assert imported is not None
    counts = {name: getattr(imported, name) for name in ("scored", "empty", "runaway")}
    rule = f"more than {imported.runaway_ratio:g} times the characters of the source"
    facts = {"rows": ledger.rows, "hypotheses": ledger.hypotheses, "empty_rows": ledger.empty_rows, **counts}
    print(json.dumps({"decoded": str(args.out), "complete": True, **facts, "runaway_rule": rule}))


def run_candidates(args: argparse.Namespace) -> None:
    """`lskd seqkd candidates --decoded DIR --data bin --out candidates.jsonl`."""
    from lskd_nmt.seqkd.candidates import write_candidates
    from lskd_nmt.seqkd.select import opened
    from lskd_nmt.teacher.online import split_paths

    decoded, texts = (tuple(map(Path, split_paths(given))) for given in (args.decoded, args.monolingual))
    require(bool(decoded or texts), "there is nothing to write: give --decoded or --monolingual")
    symbols = symbols_of(args, decoded=(*decoded, *texts)[0])
    with fairseq_io.quiet():
        reader = opened(decoded, texts, args.data, symbols, args.split, args.decoded_data)
        count = write_candidates(args.out, reader, show)
    print(json.dumps({"candidates": str(args.out), "count": count}))


def run_select(args: argparse.Namespace) -> None:
    """`lskd seqkd select --decoded DIR --data bin --out HYPOTHESES`."""
    from lskd_nmt.data.filters.screen import FILE, names_of
    from lskd_nmt.experiment.shared_teachers import checkpoint_of
    from lskd_nmt.seqkd.chooser import SelectSettings
    from lskd_nmt.seqkd.mixture import Monolingual
    from lskd_nmt.seqkd.quality import Scoring
    from lskd_nmt.seqkd.select import select
    from lskd_nmt.teacher.online import split_paths

    args.filters = names_of(args.filters)
    for name in ("reverse_model", "forward_model"):
        setattr(args, name, checkpoint_of(f"--{name.replace('_', '-')}", getattr(args, name)))
    settings = SelectSettings(**{name: getattr(args, name) for name in SelectSettings.__dataclass_fields__})
    decoded, texts = (tuple(map(Path, split_paths(given))) for given in (args.decoded, args.monolingual))
    symbols = symbols_of(args, decoded=next(iter((*decoded, *texts)), None))
    monolingual = Monolingual(texts, args.share, args.seed)
    scoring = Scoring(args.scores, args.score_command, args.score_batch)
    with fairseq_io.quiet():
        header = select(
            *(args.out, decoded, args.data, symbols, settings, show, args.split, monolingual, args.decoded_data),
            args.workers,
            scoring,
        )
    shown = (
        "sentences",
        "hypotheses",
        "dropped",
        "sentences_without",
        "sampled_share",
        "distinct_share",
        "reference_share",
        "distinct_words",
        "type_token_ratio",
        "distinct_bigram_ratio",
    )
    facts = {name: getattr(header, name) for name in shown}
    mixed = ("bitext", "monolingual", "available") if header.mixture else ()
    facts |= {"examples": str(args.out / FILE)} if settings.is_filtered else {}
    facts |= {f"{name}_sentences": getattr(header.mixture, name) for name in mixed}
    print(json.dumps({"hypotheses_store": str(args.out), **facts}))
