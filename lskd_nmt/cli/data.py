"""Verbs of data preparation: `toy`, `iwslt`, `clean`, `subwords`, `encode`, `check-data`."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lskd_nmt import text
from lskd_nmt.cli.common import real, verb_of, whole
from lskd_nmt.errors import LskdError, require

SPLITS = ("train", "valid", "test")


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this file's verbs."""

    def add(name: str, run: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        parser = verb_of(verbs, name, about, run)
        parser.add_argument("--source-lang", required=True)
        parser.add_argument("--target-lang", required=True)
        parser.add_argument("--out", type=Path, required=True, metavar="DIR")
        return parser

    toy = add("toy", run_toy, "write a generated corpus: train, valid and test of a seeded grammar")
    for split, size in zip(SPLITS, (20000, 500, 500), strict=True):
        toy.add_argument(f"--{split}", type=whole(1), default=size, help="pairs (default: %(default)s)")
    toy.add_argument("--seed", type=whole(0), default=1)

    iwslt = add("iwslt", run_iwslt, "read train, valid and test out of an archive of TED talks")
    iwslt.add_argument("archive", type=Path)
    iwslt.add_argument("--layout", choices=("wit3", "ted58", "ted2020"), required=True)
    iwslt.add_argument("--form", choices=("raw", "fairseq14"), default="raw")
    iwslt.add_argument("--expected", default="any", help="lines of train,valid,test, or 'any' (default: %(default)s)")

    clean = add("clean", run_clean, "normalise a bitext and drop from train what should not be trained on")
    clean.add_argument("--raw", type=Path, required=True, metavar="DIR", help="holds {train,valid,test}.LANG")
    clean.add_argument("--max-words", type=int, default=175)
    clean.add_argument("--max-ratio", type=real(0), default=0, help="of the two lengths in words; 0 is any")
    clean.add_argument("--drop-empty", action="store_true", help="drop pairs with an empty side instead of refusing")
    clean.add_argument("--keep-repeated", action="store_true", help="keep repeated and held-out pairs in train")

    subwords = add("subwords", run_subwords, "learn one sentencepiece model of both languages, and encode all splits")
    subwords.add_argument("--clean", type=Path, required=True, metavar="DIR")
    subwords.add_argument("--vocab-size", type=int, required=True)
    subwords.add_argument("--kind", choices=("unigram", "bpe"), default="unigram")

    check = add("check-data", run_check, "prove a prepared folder's invariants and write its prep.json")
    check.add_argument(
        "--settings", type=Path, required=True, help="name=value lines of data-prep/prepare.sh to record"
    )


def answer(**facts: object) -> None:
    """The one JSON line on stdout."""
    print(json.dumps(facts, ensure_ascii=False))


def languages(args: argparse.Namespace) -> tuple[str, str]:
    """Source and target."""
    return args.source_lang, args.target_lang


def run_toy(args: argparse.Namespace) -> None:
    """`lskd toy`."""
    from lskd_nmt import toy  # noqa: PLC0415

    sizes = {split: getattr(args, split) for split in SPLITS}
    toy.write_corpus(args.out, *languages(args), sizes, args.seed)
    answer(out=str(args.out), pairs=sizes)


def watched(lines: Sequence[str], what: str) -> Iterable[str]:
    """Lines passed on, with a line on stderr every 20,000 of them."""
    for number, line in enumerate(lines):
        if number % 20_000 == 0:
            print(f"{what}: {number} of {len(lines)} lines", file=sys.stderr, flush=True)
        yield line


def run_iwslt(args: argparse.Namespace) -> None:
    """`lskd iwslt ARCHIVE`."""
    from lskd_nmt import iwslt  # noqa: PLC0415

    splits = iwslt.extract(args.archive, args.layout, languages(args), args.form, watched)
    counts = {split: len(pairs) for split, pairs in splits.items()}
    found = ",".join(str(counts[split]) for split in SPLITS)
    is_expected = args.expected in ("any", found)
    require(is_expected, f"{args.archive} gives {found} pairs of train,valid,test, not the published {args.expected}: "
                         "it is another edition; give --expected-counts any to use it all the same")  # fmt: skip
    for split, pairs in splits.items():
        text.write_bitext(args.out / split, languages(args), pairs)
    answer(out=str(args.out), pairs=counts)


def run_clean(args: argparse.Namespace) -> None:
    """`lskd clean`: DIR appears whole or not at all."""
    langs = languages(args)
    require(args.max_words > 0, f"--max-words is {args.max_words}: give at least 1")
    require(
        args.max_ratio == 0 or args.max_ratio >= 1, f"--max-ratio is {args.max_ratio}: give at least 1, or 0 for any"
    )
    complaints, splits = [], {}
    for split in SPLITS:
        try:
            drop_empty = args.drop_empty and split == "train"
            splits[split] = text.read_bitext(str(args.raw / split), langs, drop_empty)
        except LskdError as error:
            complaints.append(str(error))
    require(not complaints, "; ".join(complaints))
    held_out = [] if args.keep_repeated else [*splits["valid"], *splits["test"]]
    raw = len(splits["train"])
    splits["train"], dropped = text.clean(
        splits["train"], args.max_words, args.max_ratio, held_out, distinct=not args.keep_repeated
    )
    require(
        bool(splits["train"]), f"all {raw} training pairs were dropped ({dropped}): loosen --max-words or --max-ratio"
    )
    part = args.out.with_name(args.out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for split, pairs in splits.items():
        text.write_bitext(part / split, langs, pairs)
    (part / "dropped.json").write_text(json.dumps(dropped) + "\n", encoding="utf-8")
    shutil.rmtree(args.out, ignore_errors=True)
    part.rename(args.out)
    answer(out=str(args.out), pairs={split: len(pairs) for split, pairs in splits.items()}, dropped=dropped)


def run_subwords(args: argparse.Namespace) -> None:
    """`lskd subwords`: OUT/spm/spm.{model,vocab} and OUT/pieces/SPLIT.LANG."""
    from lskd_nmt import subwords  # noqa: PLC0415

    langs = languages(args)
    require(args.vocab_size > 0, f"--vocab-size is {args.vocab_size}: give at least 1")
    subwords.learn(
        [args.clean / f"train.{lang}" for lang in langs], args.out / "spm" / "spm", args.vocab_size, args.kind
    )
    model = subwords.Subwords(args.out / "spm" / "spm.model")
    for split in SPLITS:
        sides = [model.encode(text.read_lines(args.clean / f"{split}.{lang}")) for lang in langs]
        text.write_bitext(args.out / "pieces" / split, langs, list(zip(*sides, strict=True)))
    answer(model=str(args.out / "spm" / "spm.model"), pieces=str(args.out / "pieces"))


def run_check(args: argparse.Namespace) -> None:
    """`lskd check-data`."""
    from lskd_nmt import prep  # noqa: PLC0415

    settings = dict(line.split("=", 1) for line in text.read_lines(args.settings))
    facts = {name: settings[name] for name in ("corpus", "form")} | {"settings": settings}
    content = prep.check(args.out, languages(args), facts)
    answer(data=str(args.out), pairs=content["pairs"], dictionary_symbols=content["dictionary_symbols"])
