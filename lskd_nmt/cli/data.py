"""Verbs of data preparation: `toy`, `iwslt`, `clean`, `subwords`, `check-data`."""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lskd_nmt.cli.common import add_filters, answer, real, show, verb_of, whole
from lskd_nmt.cli.verbs import Parser, Verbs
from lskd_nmt.data import bitext
from lskd_nmt.errors import LskdError, require
from lskd_nmt.progress import Progress
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import read_json, write_json
from lskd_nmt.storage.typed import Json

SPLITS = ("train", "valid", "test")


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    register_toy(verbs)
    register_iwslt(verbs)
    register_clean(verbs)
    register_subwords(verbs)
    check = add(verbs, "check-data", run_check, "prove a prepared folder's invariants and write its prep.json")
    about = "name=value lines of data-prep/prepare.sh to record"
    check.add_argument("--settings", type=Path, required=True, help=about)


def add(verbs: Verbs, name: str, run: Callable[[argparse.Namespace], None], about: str) -> Parser:
    """A verb with the flags that all of this file have."""
    parser = verb_of(verbs, name, about, run)
    parser.add_argument("--source-lang", required=True)
    parser.add_argument("--target-lang", required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser


def register_toy(verbs: Verbs) -> None:
    """`toy`."""
    toy = add(verbs, "toy", run_toy, "write a generated corpus: train, valid and test of a seeded grammar")
    for split, size in zip(SPLITS, (20000, 500, 500), strict=True):
        toy.add_argument(f"--{split}", type=whole(1), default=size, help="pairs (default: %(default)s)")
    toy.add_argument("--seed", type=whole(0), default=1)


def register_iwslt(verbs: Verbs) -> None:
    """`iwslt`."""
    iwslt = add(verbs, "iwslt", run_iwslt, "read train, valid and test out of an archive of TED talks")
    iwslt.add_argument("archive", type=Path)
    iwslt.add_argument("--layout", choices=("wit3", "ted58", "ted2020"), required=True)
    iwslt.add_argument("--form", choices=("raw", "fairseq14"), default="raw")
    iwslt.add_argument("--expected", default="any", help="lines of train,valid,test, or 'any' (default: %(default)s)")


def register_clean(verbs: Verbs) -> None:
    """`clean`."""
    clean = add(verbs, "clean", run_clean, "normalise a bitext and drop from train what should not be trained on")
    clean.add_argument("--raw", type=Path, required=True, metavar="DIR", help="holds {train,valid,test}.LANG")
    clean.add_argument("--max-words", type=int, default=175)
    clean.add_argument("--max-ratio", type=real(0), default=0, help="of the two lengths in words; 0 is any")
    clean.add_argument("--drop-empty", action="store_true", help="drop pairs with an empty side instead of refusing")
    clean.add_argument("--keep-repeated", action="store_true", help="keep repeated and held-out pairs in train")
    add_filters(clean)
    clean.epilog = (
        "Words of a language without spaces are estimated from its characters: a word has 2 in Chinese, "
        "2.5 in Japanese, 5 in Thai, Lao, Khmer, Burmese and Tibetan."
    )


def register_subwords(verbs: Verbs) -> None:
    """`subwords`."""
    about = "learn one sentencepiece model of both languages, or take a teacher's, and encode all splits"
    subwords = add(verbs, "subwords", run_subwords, about)
    subwords.add_argument("--clean", type=Path, required=True, metavar="DIR")
    which = subwords.add_mutually_exclusive_group(required=True)
    which.add_argument("--vocab-size", type=int)
    which.add_argument("--dictionary", type=Path, metavar="DIR", help="of lskd import-teacher: learn nothing")
    subwords.add_argument("--kind", choices=("unigram", "bpe"), default="unigram")
    subwords.add_argument(
        "--spm-sentences",
        type=int,
        metavar="N",
        help="learn from N lines, drawn from both languages (default: as many as fit into 4 GB: at "
        "most 5,000,000, and 150,000,000 characters for unigram)",
    )


def languages(args: argparse.Namespace) -> tuple[str, str]:
    """Source and target, which must be two."""
    require(
        args.source_lang != args.target_lang,
        f"--source-lang and --target-lang are both {args.source_lang}: give two languages",
    )
    for lang in (args.source_lang, args.target_lang):
        require(bool(lang) and "/" not in lang, f"'{lang}' is no language: give a code such as en")
    return args.source_lang, args.target_lang


@contextmanager
def new_folder(out: Path, what: str, names: Iterable[str], known: Sequence[str] = ()) -> Iterator[Path]:
    """A folder to write into, that becomes `out` at the end; see `folders`.

    A folder that is there already is replaced if `what` made it (its mark or a file of `known` says so) and nobody put
    another file into it: it may hold `names`.
    """
    place = out.resolve()
    with folders.hold(place, what) as held:
        require_replaceable(place, what, names, known)
        with folders.part_of(place, what, held) as part:
            new = part / (place.name or "new")
            folders.mark(new, what)
            yield new
            require_replaceable(place, what, names, known)
            folders.remove_own(place, what, known)
            new.rename(place)


def require_replaceable(place: Path, what: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a folder that `what` did not make, or that holds other things than files of `names`."""
    folders.require_own(place, what, known)
    own = {*names, folders.MARK}
    others = sorted(path.name for path in place.glob("*") if path.name not in own or path.is_dir())
    require(
        not others,
        f"--out {place} holds {others[0] if others else ''}, which {what} did not make: "
        "move it to another place, or give another --out",
    )


def text_names(langs: Sequence[str]) -> list[str]:
    """The names of a corpus's files."""
    return [f"{split}.{lang}" for split in SPLITS for lang in langs]


def run_toy(args: argparse.Namespace) -> None:
    """`lskd toy`."""
    from lskd_nmt.data import toy  # noqa: PLC0415

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
    """`lskd iwslt ARCHIVE`: DIR appears whole or not at all."""
    from lskd_nmt.data import iwslt  # noqa: PLC0415

    langs = languages(args)
    splits = iwslt.extract(args.archive, args.layout, langs, args.form, watched)
    counts = {split: len(pairs) for split, pairs in splits.items()}
    found = ",".join(str(counts[split]) for split in SPLITS)
    is_expected = args.expected in ("any", found)
    require(
        is_expected,
        f"{args.archive} gives {found} pairs of train,valid,test, not the published {args.expected}: "
        "it is another edition; give --expected-counts any to use it all the same",
    )
    with new_folder(args.out, "lskd iwslt", text_names(langs)) as new:
        for split, pairs in splits.items():
            bitext.write_bitext(new / split, langs, pairs)
    answer(out=str(args.out), pairs=counts)


def run_clean(args: argparse.Namespace) -> None:
    """`lskd clean`: DIR appears whole or not at all."""
    langs = languages(args)
    require(args.max_words > 0, f"--max-words is {args.max_words}: give at least 1")
    require(
        args.max_ratio == 0 or args.max_ratio >= 1, f"--max-ratio is {args.max_ratio}: give at least 1, or 0 for any"
    )
    require(args.examples >= 0, f"--examples is {args.examples}: give a number above 0, or 0 for none")
    require_apart(args.raw, "--raw", args.out)
    names = [*text_names(langs), "dropped.json", "dropped.jsonl"]
    with new_folder(args.out, "lskd clean", names, ["dropped.json"]) as new:
        counts, dropped = clean_splits(args, langs, new)
        write_json(new / "dropped.json", dropped)
    answer(out=str(args.out), pairs={split: counts[split] for split in SPLITS}, dropped=dropped)


def clean_splits(
    args: argparse.Namespace, langs: tuple[str, str], new: Path
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Write the splits into `new`: the pairs of each, and how many training pairs were dropped for each cause.

    Valid and test are read first, as train may not hold their pairs. What is wrong in any of the three is said at once.
    """
    from lskd_nmt.data import cleaning  # noqa: PLC0415

    held_out: list[bitext.Pair] = []
    counts: dict[str, int] = {}
    dropped: dict[str, int] = {}
    complaints: dict[str, str] = {}
    for split in ("valid", "test", "train"):
        try:
            if split == "train":
                counts[split], dropped = clean_train(args, langs, new, held_out)
            else:
                pairs = bitext.read_bitext(str(args.raw / split), langs)
                counts[split] = bitext.write_bitext(new / split, langs, pairs)
                held_out += pairs
        except LskdError as error:
            complaints[split] = str(error)
    require(not complaints, "; ".join(complaints[split] for split in SPLITS if split in complaints))
    advice = cleaning.advice(dropped) if dropped else ""
    lost = f"all {sum(dropped.values())} training pairs were dropped ({dropped}): {advice}"
    require(counts["train"] > 0, lost)
    return counts, dropped


def clean_train(
    args: argparse.Namespace, langs: tuple[str, str], new: Path, held_out: list[bitext.Pair]
) -> tuple[int, dict[str, int]]:
    """Write the training pairs that are kept; their number, and that of the dropped ones for each cause."""
    from lskd_nmt.data import cleaning  # noqa: PLC0415
    from lskd_nmt.data.filters import screen  # noqa: PLC0415

    raw, total = str(args.raw / "train"), bitext.count_lines(args.raw / f"train.{langs[0]}")
    filters = screen.of_bitext(screen.names_of(args.filters), raw, langs, total)
    examples = screen.Examples(args.examples)
    found = cleaning.clean(
        raw,
        new / "train",
        langs,
        cleaning.Limits(args.max_words, args.max_ratio),
        [] if args.keep_repeated else held_out,
        not args.keep_repeated,
        args.drop_empty,
        Progress(total, "pairs cleaned", show).add,
        filters,
        examples,
    )
    if filters is not None:
        examples.write(new / screen.FILE)
    return found


def require_apart(given: Path, flag: str, out: Path) -> None:
    """Refuse an input folder that is, or is in, the output folder."""
    inside = out.resolve() in (given.resolve(), *given.resolve().parents)
    require(not inside, f"{flag} {given} is in --out {out}, which is replaced: give another --out")


def run_subwords(args: argparse.Namespace) -> None:
    """`lskd subwords`: OUT/spm/spm.{model,vocab} and OUT/pieces/SPLIT.LANG."""
    from lskd_nmt.data import given  # noqa: PLC0415

    langs = languages(args)
    is_enough = args.dictionary is not None or args.vocab_size > 3
    require(is_enough, f"--vocab-size is {args.vocab_size}: give more, <unk>, <s> and </s> take three")
    require(
        args.spm_sentences is None or args.spm_sentences > 0,
        f"--spm-sentences is {args.spm_sentences}: give at least 1",
    )
    for name in ("spm", "pieces"):
        require_apart(args.clean, "--clean", args.out / name)
    given_files = [] if args.dictionary is None else given.files(args.dictionary, langs)
    is_ours = any((args.out / name).is_file() for name in ("settings", "prep.json"))  # made before there were marks
    files, spm = text_names(langs), ["spm.model", "spm.vocab", *given.names(langs)]
    what = "lskd subwords"
    with (
        folders.hold(args.out, what),
        new_folder(args.out / "spm", what, spm, spm if is_ours else []) as new,
        new_folder(args.out / "pieces", what, files, files if is_ours else []) as pieces,
    ):
        total = sum(sum(1 for _ in bitext.rows(str(args.clean / split), langs)) for split in SPLITS)  # refuses bad text
        counts = {} if given_files else learned(args, langs, new / "spm")
        for file in given_files:
            shutil.copyfile(file, new / file.name)
        encode_splits(args.clean, new, pieces, langs, Progress(total, "pairs encoded", show))
    answer(model=str(args.out / "spm" / "spm.model"), pieces=str(args.out / "pieces"), **counts)


def learned(args: argparse.Namespace, langs: tuple[str, str], prefix: Path) -> dict[str, int]:
    """Learn subwords of the training text; see `subwords.learn`."""
    from lskd_nmt.data import subwords  # noqa: PLC0415

    texts = [args.clean / f"train.{lang}" for lang in langs]
    try:
        return subwords.learn(texts, prefix, args.vocab_size, args.kind, args.spm_sentences, show)
    except LskdError as error:
        raise LskdError(f"{error}{reservation(args.clean)}") from None


def encode_splits(clean: Path, spm: Path, pieces: Path, langs: tuple[str, str], progress: Progress) -> None:
    """Write all splits as subwords by what is in the folder `spm`, spaces between them."""
    from lskd_nmt.teacher import subwords  # noqa: PLC0415

    source_subwords, target_subwords = subwords.of_folder(spm)

    def encoded(pairs: Iterable[bitext.Pair]) -> Iterator[bitext.Pair]:
        for source, target in pairs:
            yield " ".join(source_subwords.pieces(source)), " ".join(target_subwords.pieces(target))
            progress.add(1)

    for split in SPLITS:
        bitext.write_bitext(pieces / split, langs, encoded(bitext.rows(str(clean / split), langs)))


def reservation(clean: Path) -> str:
    """What to know of a complaint about the size of a text: that cleaning dropped the larger part of it."""
    from lskd_nmt.data import cleaning  # noqa: PLC0415

    if not (clean / "dropped.json").is_file():
        return ""
    dropped, kept = read_json(clean / "dropped.json"), bitext.count_lines(next(clean.glob("train.*")))
    lost = sum(dropped.values())
    if lost <= kept:
        return ""
    return f" (cleaning dropped {lost:,} of {lost + kept:,} pairs, {dropped}: {cleaning.advice(dropped)})"


def run_check(args: argparse.Namespace) -> None:
    """`lskd check-data`."""
    from lskd_nmt.data import prepared  # noqa: PLC0415

    settings = dict(line.split("=", 1) for line in bitext.lines_of(args.settings) if "=" in line)
    missing = [name for name in ("corpus", "form") if name not in settings]
    require(not missing, f"{args.settings} says no {' and no '.join(missing)}: give that of data-prep/prepare.sh")
    facts: dict[str, Json] = {"corpus": settings["corpus"], "form": settings["form"], "settings": {**settings}}
    with folders.hold(args.out, "lskd check-data"):
        content = prepared.check(args.out, languages(args), facts, show)
    answer(data=str(args.out), pairs=content["pairs"], dictionary_symbols=content["dictionary_symbols"])
