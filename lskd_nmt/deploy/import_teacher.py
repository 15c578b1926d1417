"""A model of Hugging Face as a folder of fairseq's: checkpoint, dictionaries, subwords.

The folder appears whole or not at all, after fairseq has computed the same logits from the checkpoint as transformers
from the model: of made-up sequences of symbols up to the most that the model takes, and of the user's own text.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import Module

from lskd_nmt import fairseq_io
from lskd_nmt.data import bitext, given
from lskd_nmt.data.given import Given
from lskd_nmt.deploy.export import stock_state
from lskd_nmt.errors import require
from lskd_nmt.hf_io.vocabularies import EOS, SPECIAL, Symbols
from lskd_nmt.hf_io.words import NEVER, WordTeacher
from lskd_nmt.progress import Progress
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import sha256, write_json, write_text
from lskd_nmt.storage.typed import record, to_json
from lskd_nmt.teacher import subwords

WHAT = "lskd import-teacher"
CHECKPOINT, PROOF = "checkpoint.pt", "import.json"
TOLERANCE = 1e-5
MADE_UP = (1, 2, 3, 5, 8, 13, 21, 34)  # lengths of sequences of symbols that are made up
MOST_LOGITS = 2**26  # of the longest one, which is else as long as the model takes
PAIRS_AT_ONCE = 8
Pair = tuple[list[int], list[int]]  # fairseq's ids of source and target, with their ends


@dataclass(frozen=True)
class Text:
    """Lines of the user's own, for the proof: PREFIX.SRC and PREFIX.TGT, and how many of them at most."""

    prefix: str
    sentences: int


@record
class Imported:
    """What was proved of an imported teacher."""

    model: str
    kind: str
    parameters: int
    source_symbols: int
    target_symbols: int
    max_positions: int
    made_up: int  # sequences that it was proved on
    sentences: int  # and lines of text
    too_long: int  # lines that the model does not take
    unknown: int  # symbols of these lines that the dictionary does not have
    tokens: int
    difference: float  # the largest between two logits
    precision: str  # of both computations: float32, or float64 where rounding alone was beyond the tolerance
    sha256: str  # of the checkpoint


def import_teacher(
    teacher: WordTeacher,
    name: str,
    langs: tuple[str, str],
    out: Path,
    show: Callable[[str], None],
    text: Text | None = None,
) -> Imported:
    """Write the folder `out` and prove its checkpoint; what was proved. `name` is what was imported."""
    with folders.hold(out, WHAT) as held:
        require(not out.exists(), f"--out {out} is there already: give a new folder")
        with folders.part_of(out, WHAT, held) as part:
            new = part / "teacher"
            folders.mark(new, WHAT)
            write_dictionaries(teacher, langs, new)
            lines, too_long = lines_of(text, new, teacher, langs) if text else ([], 0)
            torch.save(checkpoint(teacher, langs), new / CHECKPOINT)
            with fairseq_io.quiet():
                model = fairseq_io.load_model(str(new / CHECKPOINT), {"data": str(new)})
                invented = made_up(teacher)
                difference, precision = proved(model, teacher, [*invented, *lines], show)
            found = Imported(
                model=name,
                kind=teacher.kind,
                parameters=sum({each.data_ptr(): each.numel() for each in teacher.weights.values()}.values()),
                source_symbols=len(teacher.symbols.source.symbols),
                target_symbols=len(teacher.symbols.target.symbols),
                max_positions=positions(teacher),
                made_up=len(invented),
                sentences=len(lines),
                too_long=too_long,
                unknown=sum(side.count(SPECIAL.index("<unk>")) for pair in lines for side in pair),
                tokens=sum(len(target) for _, target in [*invented, *lines]),
                difference=difference,
                precision=precision,
                sha256=sha256(new / CHECKPOINT),
            )
            write_json(new / PROOF, to_json(found))
            new.replace(out)
    return found


def positions(teacher: WordTeacher) -> int:
    """The most symbols of a sentence, its end included."""
    return int(teacher.settings["max_source_positions"])


def write_dictionaries(teacher: WordTeacher, langs: tuple[str, str], folder: Path) -> None:
    """Dictionaries, subwords and `dictionary.json`; the dictionaries are read again, symbol by symbol."""
    symbols = teacher.symbols
    for lang, side in zip(langs, (symbols.source, symbols.target), strict=True):
        write_text(folder / f"dict.{lang}.txt", "".join(f"{word} 1\n" for word in side.symbols[len(SPECIAL) :]))
    read = fairseq_io.read_symbols(str(folder), langs)
    whole = read is not None and (read.source, read.target) == (symbols.source.symbols, symbols.target.symbols)
    require(whole, f"{folder.name}: fairseq does not read the model's symbols as they are: not imported")
    files = [f"dict.{lang}.txt" for lang in langs] + copied_subwords(symbols, langs, folder)
    hashes = {name: sha256(folder / name) for name in files}
    write_json(folder / given.NAME, to_json(Given(teacher.kind, *langs, *symbols.prefixes, hashes)))


def copied_subwords(symbols: Symbols, langs: tuple[str, str], folder: Path) -> list[str]:
    """The names of the files of subwords, copied: one model for both languages, one for each, or a tokeniser."""
    for file in symbols.tokeniser:
        shutil.copyfile(file, folder / file.name)
    if symbols.tokeniser:
        return [file.name for file in symbols.tokeniser]
    source, target = symbols.subwords
    shutil.copyfile(target, folder / given.MODEL)
    if source.read_bytes() == target.read_bytes():
        return [given.MODEL]
    shutil.copyfile(source, folder / given.source_model(langs[0]))
    return [given.MODEL, given.source_model(langs[0])]


def checkpoint(teacher: WordTeacher, langs: tuple[str, str]) -> dict[str, object]:
    """A stock checkpoint of fairseq that holds its symbols, as those that kd_ls trains do."""
    settings = {**vars(fairseq_io.arch_settings("transformer")), **teacher.settings}
    state = stock_state(
        {
            "cfg": {"model": settings, "task": {"left_pad_source": True, "left_pad_target": False}},
            "model": teacher.weights,
            "extra_state": {"train_iterator": {"epoch": 1}},
        },
        langs,
    )
    symbols = {"source": teacher.symbols.source.symbols, "target": teacher.symbols.target.symbols}
    return {**state, "task_state": {fairseq_io.SYMBOLS_KEY: symbols}}


def made_up(teacher: WordTeacher) -> list[Pair]:
    """Sequences of symbols drawn at random, of several lengths, the last as long as the model takes."""
    draw, most = Random(1), positions(teacher)
    sides = teacher.symbols.source, teacher.symbols.target
    known = [
        [place for place, number in enumerate(side.ids) if place >= EOS + 1 and number is not None] for side in sides
    ]

    def drawn(side: int, length: int) -> list[int]:
        return [*draw.choices(known[side], k=length - 1), EOS]

    lengths = [min(length, most) for length in MADE_UP]
    pairs = list(zip(lengths, reversed(lengths), strict=True))
    pairs.append((most, min(most, max(1, MOST_LOGITS // len(sides[1].symbols)))))
    return [(drawn(0, source), drawn(1, target)) for source, target in pairs]


def lines_of(text: Text, folder: Path, teacher: WordTeacher, langs: tuple[str, str]) -> tuple[list[Pair], int]:
    """The user's lines as symbols, and how many of them are longer than the model takes."""
    cutters, most = subwords.of_folder(folder), positions(teacher)
    places = [
        {word: place for place, word in enumerate(side.symbols)}
        for side in (teacher.symbols.source, teacher.symbols.target)
    ]
    found: list[Pair] = []
    too_long = 0
    for number, pair in enumerate(bitext.bitext(text.prefix, langs)):
        if number == text.sentences:
            break
        source, target = (
            [*(at.get(piece, SPECIAL.index("<unk>")) for piece in side.pieces(line)), EOS]
            for side, at, line in zip(cutters, places, pair, strict=True)
        )
        fits = max(len(source), len(target)) <= most
        too_long += not fits
        if fits:
            found.append((source, target))
    require(bool(found), f"--valid {text.prefix} has no line that the model takes: give text of its languages")
    return found, too_long


def proved(
    model: Module, teacher: WordTeacher, pairs: Sequence[Pair], show: Callable[[str], None]
) -> tuple[float, str]:
    """The largest difference between two logits, and in which precision both were computed; too large: `LskdError`.

    Where 32 bits round by more than the tolerance, as in large models, 64 bits decide whether it was rounding alone.
    """
    model.eval()
    worst = 0.0
    for precision in ("float32", "float64"):
        if precision == "float64":
            show(f"the largest difference is {worst:.1e} in 32 bits: computing in 64 bits")
            model.double()
            teacher.double()
        progress = Progress(len(pairs), "sequences computed by fairseq and transformers", show)
        worst = max(differences(model, teacher, pairs, progress.add))
        if worst <= TOLERANCE:
            return worst, precision
    require(
        False,
        f"fairseq's logits are up to {worst:.1e} from transformers', and {TOLERANCE:g} is allowed: not imported; "
        "let the model teach sequences instead, lskd seqkd decode --teacher hf:DIR",
    )
    return worst, "float64"


def differences(
    model: Module, teacher: WordTeacher, pairs: Sequence[Pair], done: Callable[[int], None]
) -> Iterator[float]:
    """The largest difference in each batch; infinite where a symbol that is `never` predicted could be."""
    pad, never = SPECIAL.index("<pad>"), teacher.never
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        net_input, _ = fairseq_io.net_input([(torch.tensor(one), torch.tensor(two)) for one, two in some], pad, EOS)
        with torch.inference_mode():
            ours: Tensor = model(**net_input)[0]
        for one, wanted in zip(ours, teacher.logits(some), strict=True):
            found = one[: len(wanted)].clone()
            impossible = bool((found[:, never] < NEVER / 2).all())
            found[:, never] = float("-inf")
            wrong = bool(found.isnan().any() or wanted.isnan().any())
            apart = (found - wanted).nan_to_num(nan=0.0).abs().max()  # -inf less -inf is no number
            yield float(apart) if impossible and not wrong else float("inf")
        done(len(some))
