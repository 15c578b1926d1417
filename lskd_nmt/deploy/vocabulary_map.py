"""Which target symbols may translate which source symbols: CTranslate2's vocabulary map, learned from translations.

With a map a model computes only the symbols that some source symbol of the batch may become, beside those that are
always allowed. `vmap.txt` has a line `SOURCE<TAB>TARGET TARGET …` for each source symbol; the first line, of the empty
source symbol, has those that are always allowed.

Of the symbols that stand in the same pairs of lines, those are kept that do so more often than chance would have it,
the largest c·log(c·n / (f·g)) first: c pairs of n hold both symbols, f the one and g the other (a term of the
log-likelihood ratio, Dunning 1993). Of symbols that were aligned, c counts alignments, and the most frequent are kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array, csr_array

from lskd_nmt import fairseq_io
from lskd_nmt.data.bpe import CONTINUES
from lskd_nmt.errors import LskdError, reading, require, require_file
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import store
from lskd_nmt.storage.arrays import Float64s, Ids, Rows
from lskd_nmt.teacher.vocabulary import differences

SPLIT = "train"  # of a bitext, or of the pairs of a hypothesis store
SPECIAL = 4  # the first symbols of fairseq's dictionaries, which are no words: <s>, <pad>, </s>, <unk>
AT_ONCE = 512  # source symbols whose target symbols are counted at a time
BITEXT = "give a binarised folder, or a folder of lskd seqkd select"


@dataclass(frozen=True)
class MapSettings:
    """How a vocabulary map is learned; what is None is taken from the data that the model is proved on."""

    source: Path | None = None  # a hypothesis store, or a binarised bitext
    alignments: Path | None = None  # of its subwords, a line a pair, as eflomal and fast_align write them
    candidates: int = 50  # of each source symbol, at most
    common: int = 100  # the most frequent target symbols, always allowed

    def __post_init__(self) -> None:
        require(self.candidates > 0, f"--map-candidates is {self.candidates}: give a number above 0")
        require(self.common > 0, f"--map-common is {self.common}: give a number above 0")


@dataclass(frozen=True)
class VocabularyMap:
    """A learned map: target symbols that are always allowed, and those that a source symbol allows beside them."""

    always: list[str]
    candidates: dict[str, list[str]]
    pairs: int = 0  # that it was learned from
    learned_from: str = ""

    def text(self) -> str:
        """The content of `vmap.txt`."""
        rows = [("", self.always), *self.candidates.items()]
        return "".join(f"{source}\t{' '.join(target)}\n" for source, target in rows)

    def allowed(self, source: Iterable[str]) -> set[str]:
        """The target symbols that a model may choose from for a source sentence of these symbols."""
        return set(self.always).union(*(self.candidates.get(symbol, ()) for symbol in set(source)))


def learn(
    settings: MapSettings, data: Path, langs: tuple[str, str], show: Callable[[str], None] = lambda line: None
) -> VocabularyMap:
    """The map of a hypothesis store or a bitext whose dictionaries are those of `data`, which is the bitext if none is.

    Other symbols, a pair of languages that is not there, no words, and alignments of other lines are an `LskdError`.
    """
    symbols = fairseq_io.read_symbols(str(data), langs)
    if symbols is None:
        raise LskdError(f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: --vocabulary-map needs both")
    folder, said = bitext_of(settings.source or data, symbols)
    sizes = len(symbols.source), len(symbols.target)
    source, target = ([line[:-1] for line in side] for side in fairseq_io.split_ids(str(folder), SPLIT, langs, sizes))
    both = sum(bool((a >= SPECIAL).any() and (b >= SPECIAL).any()) for a, b in zip(source, target, strict=True))
    require(both > 0, f"--map-from {folder} has no pair of {SPLIT} with words on both sides: {BITEXT}")
    show(f"learning a vocabulary map from {len(source):,} pairs of {said}")
    frequency = np.bincount(np.concatenate(target), minlength=sizes[1])
    frequency[:SPECIAL] = 0
    always = always_allowed(symbols.target, frequency, settings.common)
    if settings.alignments is None:
        counted = together(source, target, sizes)
    else:
        counted = aligned(settings.alignments, source, target, sizes)
        said += ", by alignments"
    rows = ranked(counted, settings, always, settings.alignments is None, Progress(sizes[0], "source symbols", show))
    candidates = with_copies(rows, symbols, {symbols.target[at] for at in always})
    return VocabularyMap([symbols.target[at] for at in always], candidates, len(source), said)


def bitext_of(place: Path, symbols: DictionaryPair) -> tuple[Path, str]:
    """The binarised folder of a store or of a bitext, whose symbols are these; and what it is, in words."""
    require(place.is_dir(), f"--map-from {place} is no folder: {BITEXT}")
    is_decoding = (place / "ledger.json").is_file()
    require(not is_decoding, f"--map-from {place} is a decoding: choose translations by lskd seqkd select")
    folder, said = place, f"the bitext {'/'.join(place.resolve().parts[-2:])}"
    if (place / store.KIND.file).is_file():
        store.HypothesisStore.open(place)  # refuses what was cut or edited
        folder, said = place / store.BIN, f"the translations of {place.name}"
    theirs = fairseq_io.read_symbols(str(folder), symbols.langs)
    if theirs is None:
        raise LskdError(f"--map-from {place} has no dictionaries of {'-'.join(symbols.langs)}: {BITEXT}")
    for side in ("source", "target"):
        where = differences(getattr(theirs, side), getattr(symbols, side))
        what = f"--map-from {place} has another {side} dictionary than --data ({len(where)} symbols differ)"
        require(not where, f"{what}: give text that was binarised with the data's dictionaries")
    return folder, said


def always_allowed(symbols: Sequence[str], frequency: Ids, common: int) -> list[int]:
    """The most frequent symbols, and all single characters, by which any word can be written: ids, ascending."""
    frequent = np.argsort(-frequency, kind="stable")[:common]
    characters = [at for at, symbol in enumerate(symbols) if at >= SPECIAL and is_character(symbol)]
    chosen = {*frequent[frequency[frequent] > 0].tolist(), *characters}
    return sorted(at for at in chosen if "\t" not in symbols[at])


def is_character(symbol: str) -> bool:
    """Whether a symbol is one character, beside the signs of where words begin or go on."""
    return symbol == "▁" or len(symbol.removeprefix("▁").removesuffix(CONTINUES)) == 1


def presence(lines: Sequence[Ids], size: int) -> csr_array:
    """Which symbols each line holds.   -> (lines, symbols), 0 or 1"""
    rows = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    columns = np.concatenate(lines) if lines else np.zeros(0, np.int64)
    is_word = columns >= SPECIAL
    found = csr_array((np.ones(is_word.sum()), (rows[is_word], columns[is_word])), shape=(len(lines), size))
    found.data[:] = 1.0
    return found


@dataclass(frozen=True)
class Counted:
    """How often symbols of source and target go together, a block of source symbols at a time."""

    blocks: Callable[[int, int], csr_array]  # of the source symbols from, to   -> (to - from, target symbols)
    source: Float64s  # how often each stands in what was counted   (source symbols,)
    target: Float64s  # (target symbols,)
    total: float


def together(source: Sequence[Ids], target: Sequence[Ids], sizes: tuple[int, int]) -> Counted:
    """In how many pairs of lines each two symbols stand."""
    ours, theirs = (presence(lines, size) for lines, size in zip((source, target), sizes, strict=True))
    by_symbol = csr_array(ours.T)
    return Counted(lambda a, b: csr_array(by_symbol[a:b] @ theirs), ours.sum(axis=0), theirs.sum(axis=0), len(source))


def aligned(file: Path, source: Sequence[Ids], target: Sequence[Ids], sizes: tuple[int, int]) -> Counted:
    """How often each two symbols were aligned."""
    links = list(links_of(file, source, target))
    pairs = np.array([pair for pair in links if min(pair) >= SPECIAL], np.int64).reshape(-1, 2)
    require(len(pairs) > 0, f"--map-alignments {file} aligns no words: give lines such as 0-0 1-2")
    counts = csr_array(coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=sizes))
    return Counted(lambda a, b: counts[a:b], counts.sum(axis=1), counts.sum(axis=0), float(len(pairs)))


def links_of(file: Path, source: Sequence[Ids], target: Sequence[Ids]) -> Iterator[tuple[int, int]]:
    """The ids of the symbols that are aligned by a file of lines `0-0 1-2`, one for each pair."""
    remedy = "give the alignments of the subwords of --map-from, a line for each pair"
    require_file(file, remedy)
    with reading(file, "file of alignments", remedy):
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    same = f"--map-alignments {file} has {len(lines):,} lines and --map-from {len(source):,} pairs"
    require(len(lines) == len(source), f"{same}: {remedy}")
    for number, (line, ours, theirs) in enumerate(zip(lines, source, target, strict=True), 1):
        for word in line.split():
            first, _, second = word.partition("-")
            is_pair = first.isdecimal() and second.isdecimal()
            fits = is_pair and int(first) < len(ours) and int(second) < len(theirs)
            sizes = f"{len(ours)} and {len(theirs)} subwords"
            require(fits, f"--map-alignments {file} line {number} has {word!r}, and the pair {sizes}: {remedy}")
            yield int(ours[int(first)]), int(theirs[int(second)])


def ranked(
    counted: Counted, settings: MapSettings, always: Sequence[int], by_surprise: bool, progress: Progress
) -> Iterator[tuple[int, Rows]]:
    """Each source symbol with the target symbols that go with it most, the best first, without those of `always`."""
    is_always = np.zeros(len(counted.target), bool)
    is_always[list(always)] = True
    for begin in range(0, len(counted.source), AT_ONCE):
        block = counted.blocks(begin, begin + AT_ONCE)
        for row in range(block.shape[0]):
            span = slice(block.indptr[row], block.indptr[row + 1])
            targets, counts = block.indices[span], block.data[span]
            score = counts
            if by_surprise:
                expected = counted.source[begin + row] * counted.target[targets] / counted.total
                score = counts * np.log(counts / expected)
            kept = (score > 0) & ~is_always[targets]
            order = np.lexsort((targets[kept], -score[kept]))[: settings.candidates]
            yield begin + row, targets[kept][order]
        progress.add(block.shape[0])


def with_copies(rows: Iterable[tuple[int, Rows]], symbols: DictionaryPair, always: set[str]) -> dict[str, list[str]]:
    """The candidates of each source symbol as text; a symbol that the target has, too, may always stay as it is."""
    known, found = set(symbols.target[SPECIAL:]), {}
    for at, targets in rows:
        symbol = symbols.source[at]
        if at < SPECIAL or "\t" in symbol:
            continue
        names = [symbols.target[each] for each in targets]
        copy = [symbol] if symbol in known and symbol not in always and symbol not in names else []
        names = [name for name in [*names, *copy] if "\t" not in name]
        if names:
            found[symbol] = names
    return found
