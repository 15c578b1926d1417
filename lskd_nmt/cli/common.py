"""What several verbs need: the data that they are given, a place to talk, and what made a file."""

import argparse
import fcntl
import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, TypeVar

from lskd_nmt.cli.verbs import Parser, Verbs
from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage import files, provenance

if TYPE_CHECKING:
    from lskd_nmt.fairseq_io import DictionaryPair

Number = TypeVar("Number", int, float)


class Terminated(KeyboardInterrupt):
    """SIGTERM came: as with Ctrl-C, what was half-made is removed and what was started is ended."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM meanwhile raises `Terminated`, unless the caller's process has its own way with it."""

    def end(*_: object) -> None:
        raise Terminated

    is_ours = threading.current_thread() is threading.main_thread() and signal.getsignal(SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(SIGTERM, end)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(SIGTERM, signal.SIG_DFL)


@contextmanager
def held(run: Path, way: str) -> Iterator[None]:
    """Refuse a run folder at work; meanwhile experiments/run.sh does so, whose lock it is."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LskdError(f"{run} is at work: {way}") from None
        yield


def show(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr, flush=True)


def answer(**facts: object) -> None:
    """The one JSON line on stdout."""
    print(json.dumps(facts, ensure_ascii=False))


def origin(args: argparse.Namespace) -> dict[str, object]:
    """What a verb's results begin with."""
    return {"command": args.command, "commit": provenance.commit(), "versions": provenance.versions()}


def publish(args: argparse.Namespace, file: Path, content: Mapping[str, object]) -> None:
    """Write what was found, and the command that found it."""
    files.write_json(file, origin(args) | dict(content))


def verb_of(
    verbs: Verbs,
    name: str,
    about: str,
    run: Callable[[argparse.Namespace], None],
) -> Parser:
    """A verb, and what it runs; `lskd --help` lists it as cli/verbs.py says."""
    verb = verbs.add_parser(name, description=about)

    def bounded(args: argparse.Namespace) -> None:
        for action in verb._actions:
            if isinstance(action.type, Bound):
                action.type.require(action.option_strings[0], getattr(args, action.dest))
        run(args)

    verb.set_defaults(run=bounded)
    return verb


def add_languages(verb: argparse.ArgumentParser) -> None:
    """The flags beside `--data` that `symbols_of` reads."""
    verb.add_argument("--source-lang", "-s", help="taken from the model, or the data, if not given")
    verb.add_argument("--target-lang", "-t", help="taken from the model, or the data, if not given")


def add_subwords(verb: argparse.ArgumentParser) -> None:
    """The flags that say how text became the subwords of data that others prepared."""
    verb.add_argument("--spm", type=Path, metavar="FILE", help="sentencepiece model of data that have none beside them")
    verb.add_argument("--bpe-codes", type=Path, metavar="FILE", help="subword-nmt's or fastBPE's codes of `@@` data")
    about = "raw: words are text; moses: Moses tokens (default: found out, and proved on the data)"
    verb.add_argument("--form", metavar="FORM", help=about)


def add_tokenize(verb: argparse.ArgumentParser, of: str = "of BLEU") -> None:
    """The flag of verbs that compute BLEU."""
    about = f"tokeniser {of}, of sacreBLEU: 13a, intl, char, zh … (default: the target language's own)"
    verb.add_argument("--tokenize", metavar="NAME", help=about)


def add_filters(verb: argparse.ArgumentParser) -> None:
    """The flags of verbs that drop pairs which are not worth learning."""
    about = (
        "drop what is not worth learning: copies, repeats, chatter, numbers, length, language, near-duplicates, or all"
    )
    verb.add_argument("--filters", default="", metavar="NAME,…", help=about)
    shown = "of --filters: pairs that are kept in dropped.jsonl for each reason"
    verb.add_argument("--examples", type=int, default=5, metavar="N", help=shown)


def symbols_of(
    args: argparse.Namespace, checkpoint: str | None = None, decoded: Path | None = None
) -> "DictionaryPair":
    """The dictionaries of `--data`, the first of its folders; loads the plugin.

    Their order is that of the flags, else that of a model or of decoded translations, else that of the files' names.
    """
    from lskd_nmt import fairseq_io  # noqa: PLC0415  NumPy, which most verbs start without

    first = args.data.split(":")[0]
    fairseq_io.require_data(args.data)
    with fairseq_io.quiet():
        fairseq_io.load_plugin()
        langs = direction_of(args, first, checkpoint, decoded)
    symbols = fairseq_io.read_symbols(first, langs)
    if symbols is None:
        raise LskdError(
            f"--data {first} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
            "give the output folder of fairseq-preprocess"
        )
    return symbols


def direction_of(
    args: argparse.Namespace, folder: str, checkpoint: str | None = None, decoded: Path | None = None
) -> tuple[str, str]:
    """In which direction a folder is read, see `symbols_of`."""
    from lskd_nmt import fairseq_io  # noqa: PLC0415

    its: Sequence[str] | None = None if checkpoint is None else fairseq_io.trained_direction(checkpoint)
    if decoded is not None:
        its = decoded_direction(decoded)
    return fairseq_io.direction(folder, (args.source_lang, args.target_lang), checkpoint or decoded, its, show)


def decoded_direction(folder: Path) -> Sequence[str] | None:
    """Source and target language of decoded translations; None if they do not say."""
    from lskd_nmt.seqkd.ledger import FILE, Ledger  # noqa: PLC0415
    from lskd_nmt.storage.typed import read_record  # noqa: PLC0415

    with suppress(LskdError, OSError):  # whatever reads it next says why
        return read_record(folder / FILE, Ledger).langs
    return None


def numbers_of(text: str, flag: str, kind: type[Number], distinct: bool = True) -> tuple[Number, ...]:
    """`1,2,64` as numbers of a kind; with `distinct` none stands twice."""
    try:
        numbers = tuple(kind(part) for part in text.split(",") if part)
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        twice = [number for number in numbers if numbers.count(number) > 1] if distinct else []
        if twice:
            raise LskdError(f"{flag} is '{text}', where {twice[0]} stands twice: give each once")
        return numbers
    except ValueError:
        what, example = ("whole numbers", "15,20") if kind is int else ("numbers", "1,2,3,64")
        raise LskdError(f"{flag} is '{text}': give {what} with commas between, such as {example}") from None


def words_of(text: str | None, flag: str) -> list[str] | None:
    """`bleu,chrf` as a list of different names; None where the flag is not given."""
    if text is None:
        return None
    found = [word for word in text.split(",") if word]
    require(
        bool(found) and len({*found}) == len(found), f"{flag} is '{text}': give names, each once, such as bleu,chrf"
    )
    return found


class Bound:
    """What argparse calls for a number's text; `verb_of` refuses numbers beyond the bounds when the verb runs."""

    def __init__(self, kind: type[int] | type[float], low: float, high: float) -> None:
        self.kind, self.low, self.high = kind, low, high
        self.__name__ = "whole number" if kind is int else "number"  # in argparse's own line

    def __call__(self, text: str) -> float:
        """The number; argparse refuses what is none."""
        return self.kind(text)

    def require(self, flag: str, value: float | None) -> None:
        """Refuse a value of `flag` that is not between the bounds; None is one that was not given."""
        if value is not None and not self.low <= value <= self.high:
            most = f" to {self.high:g}" if value > self.high else ""
            raise LskdError(f"{flag} is {value}: give a {self.__name__} from {self.low:g}{most}")


def whole(low: int) -> Bound:
    """The type of a flag that takes a whole number from `low`."""
    return Bound(int, low, 2**63 - 1)


def real(low: float, high: float = 1e30) -> Bound:
    """The type of a flag that takes a finite number from `low` to `high`."""
    return Bound(float, low, high)


def pairs_of(given: Sequence[str], flag: str, form: str) -> dict[str, str]:
    """`NAME=VALUE …` as a mapping, split at the last `=`; a name twice or without a value is refused."""
    found: dict[str, str] = {}
    for text in given:
        name, _, value = text.rpartition("=")
        require(bool(name and value), f"{flag} has '{text}': give {form}")
        require(name not in found, f"{flag} has {name} twice: give each once")
        found[name] = value
    return found


def write(args: argparse.Namespace, name: str, content: Mapping[str, object], figures: Mapping[str, Any]) -> None:
    """NAME.json, with the command that found it, and each of matplotlib's figures, in `--out`."""
    from lskd_nmt.report.figures import style  # noqa: PLC0415  matplotlib takes a second to import

    publish(args, args.out / f"{name}.json", content)
    for stem, figure in figures.items():
        style.save(figure, args.out / stem, style.PAPER)
