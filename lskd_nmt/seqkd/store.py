"""Chosen hypotheses on disk: written once, memory-mapped, keyed by the sentence pair as the teacher store is.

A store is a folder with `hypotheses.json` (what it holds and of what), `bin/` (the same as an ordinary corpus) and five
arrays, for S distinct sentence pairs with together H hypotheses of N target symbols, each with its end symbol:

    keys uint64 (S,) ascending, first int64 (S + 1,) into the hypotheses, start int64 (H + 1,) into the symbols,
    ids uint16 or uint32 (N,), scores float32 (H,)

A pair may have no hypothesis: the filters left none.
"""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.storage.arrays import AnyArray, DType, Ids, map_array, new_array, write_array
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Kind, Origin, StoredSymbols, read_header, write_header
from lskd_nmt.storage.pair_keys import Pair, ids_key, positions
from lskd_nmt.storage.typed import Json, absent, record
from lskd_nmt.teacher import vocabulary
from lskd_nmt.teacher.layout import id_type

BIN = "bin"
ARRAYS = ("keys", "first", "start", "ids", "scores")
KIND = Kind(
    "hypothesis store",
    "hypotheses.json",
    (1,),
    finish="give a folder that lskd seqkd select wrote",
    again="select again",
    make="decode and select translations",
)
# what of each sentence waits on disk, in the order of the corpus, until all are there to be sorted
WAITING: dict[str, DType] = {
    "ids": np.dtype(np.int64),
    "scores": np.dtype(np.float32),
    "lengths": np.dtype(np.int32),
}
CHUNK = 50_000  # sentences that are sorted into their place at a time

Which = Callable[[int, int], Iterable[int]]  # of a pair's M hypotheses, by its key and M: places from 0


def every_one(key: int, count: int) -> range:
    """All hypotheses of a pair."""
    return range(count)


@record
class Selection:
    """How the hypotheses were chosen, see `select.SelectSettings`."""

    method: str = "beam"
    hypotheses: int = 0
    similarity: str = "bleu"
    max_ratio: float = 0.0
    drop_copies: bool = False
    tokenizer: str | None = absent()  # of BLEU, where it is not the usual one
    utility: str | None = absent()  # of mbr: chrf, bleu, or "chrf, aggregated"
    scores: str | None = absent()  # the hash of the file of candidates' scores
    score_command: str | None = absent()
    drop_worst: float | None = absent()
    min_score: float | None = absent()
    filters: dict[str, str] | None = absent()  # the version of each that was asked for
    reverse_model: Origin | None = absent()
    drop_worst_reverse: float | None = absent()  # the share that goes by this model
    forward_model: Origin | None = absent()  # with it, by the dual cross-entropy of both


@record
class DecodedFrom:
    """A decoding that was chosen from."""

    ledger: str = ""  # the hash of its ledger.json
    teacher: list[Origin] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)


@record
class DiversityFacts:
    """How many translations, how different, in how many words (what spaces separate); shares from 0 to 1."""

    hypotheses: int
    sampled_share: float
    distinct_share: float  # differ from the others of their sentence
    reference_share: float  # are the reference
    words: int
    distinct_words: int
    type_token_ratio: float
    distinct_bigram_ratio: float


@record
class ScoredFacts:
    """Of the scores that candidates were chosen by: how many, what gave them, and how low one could be."""

    candidates: int
    threshold: float | None  # of `drop_worst`; worse ones are dropped
    about: dict[str, Json]  # what the program of the command says of itself
    sha256: str  # of all scores


@record
class Mixture:
    """Text without a target side that was chosen from, alone or beside a bitext.

    Such a store is of the pairs of its own corpus, whose targets are the hypotheses.
    """

    decodings: int  # how many of `decoded` are of such text: the last
    share: float | None  # of the sentences, that was asked for
    seed: int
    data: dict[str, list[str]]  # hashes of the files that gave bitext, dictionaries and held-out text
    bitext: int = 0  # sentences that are learned
    monolingual: int = 0
    available: int = 0  # lines that have something to learn from


@record
class HypothesesHeader:
    """`hypotheses.json`: what a store holds, and of what. Stores of before, and those of forecasts, say less."""

    format: int = 1
    selection: Selection | None = absent()
    decoded: list[DecodedFrom] | None = absent()
    split: str | None = absent()
    data: dict[str, list[str]] = field(default_factory=dict)  # hashes of the split's binarised files
    symbols: StoredSymbols = field(kw_only=True)
    mixture: Mixture | None = absent()  # where there is text without a target side
    sentences: int = 0
    hypotheses: int | None = absent()  # this and what follows as in `DiversityFacts`
    sampled_share: float | None = absent()
    distinct_share: float | None = absent()
    reference_share: float | None = absent()
    words: int | None = absent()
    distinct_words: int | None = absent()
    type_token_ratio: float | None = absent()
    distinct_bigram_ratio: float | None = absent()
    of_references: DiversityFacts | None = absent()  # the same of the references
    dropped: dict[str, int] | None = absent()  # hypotheses, by the reason
    sentences_without: int | None = absent()  # that have no hypothesis left
    scored: ScoredFacts | None = absent()  # where candidates have scores
    typical_ratio: float | None = absent()  # of the two lengths in characters, for the filter `length`
    reverse_limit: float | None = absent()  # the largest reverse cross-entropy that stays, in nats a subword
    dual_limit: float | None = absent()  # the lowest score by dual cross-entropy that stays, from 0 to 1
    longest: int = 0  # target symbols of a hypothesis, with its end
    arrays: dict[str, str] = field(default_factory=dict)  # the hash of each file
    digest: str | None = absent()


class HypothesisStore:
    """A complete store, open for reading."""

    kind = KIND

    def __init__(self, folder: Path, header: HypothesesHeader, arrays: Mapping[str, AnyArray]) -> None:
        """See `open`."""
        self.folder, self.header = folder, header
        self.keys, self.first, self.start, self.ids, self.scores = (arrays[name] for name in ARRAYS)

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> "HypothesisStore":
        """Map a store; `verify` hashes every byte of it and refuses one that was cut or edited."""
        folder, header = Path(folder), read_header(folder, KIND, HypothesesHeader)
        lacking = [name for name in ARRAYS if name not in header.arrays]
        require(not lacking, f"{KIND.name} {folder}: {KIND.file} lacks the hash of {', '.join(lacking)}: {KIND.again}")
        hashes = header.arrays if verify else dict.fromkeys(ARRAYS)
        arrays = {name: map_array(folder / f"{name}.npy", KIND, hashes[name]) for name in ARRAYS}
        fits = all(array.ndim == 1 for array in arrays.values()) and arrays["keys"].dtype == np.uint64
        fits = fits and is_offsets(arrays["first"], len(arrays["keys"]), len(arrays["scores"]))
        fits = fits and is_offsets(arrays["start"], len(arrays["scores"]), len(arrays["ids"]))
        require(fits, f"{KIND.name} {folder}: the sizes of its arrays do not fit together: {KIND.again}")
        return cls(folder, header, arrays)

    def lookup(self, pairs: Sequence[Pair], which: Which = every_one) -> list[list[Ids]]:
        """The hypotheses of each pair that `which` names, with their end symbol; a pair may have none."""
        return [
            [
                np.asarray(self.ids[self.start[h] : self.start[h + 1]], dtype=np.int64)
                for h in (self.first[at] + place for place in which(int(self.keys[at]), int(count)))
            ]
            for at, count in ((at, self.first[at + 1] - self.first[at]) for at in positions(self, pairs))
        ]

    def per_sentence(self, most: int = 0) -> float:
        """The mean number of a sentence's hypotheses, counting at most `most` of each; 0: all."""
        counts = np.diff(self.first)
        return float(np.minimum(counts, most or counts).sum() / max(len(self.keys), 1))


class StoreWriter:
    """Fills a folder with a store, one sentence of the corpus after the other; their text waits on disk.

    In memory are five numbers of each sentence. A pair that stands in the corpus more than once has the hypotheses of
    all its places, as the corpus of the hypotheses has, unless they are the same at each: then once.
    """

    def __init__(self, folder: Path, symbols: int) -> None:
        """`symbols` is the size of the target dictionary."""
        self.folder, self.kind = folder, id_type(symbols)
        self.keys, self.same = array("Q"), array("Q")  # of the pair; of its hypotheses, equal where these are
        self.counts, self.symbols = array("I"), array("I")  # hypotheses of each sentence, their subwords and ends
        self.waiting = {name: (folder / f"{name}.part").open("wb") for name in WAITING}

    def add(self, key: int, hypotheses: Sequence[tuple[Ids, float]]) -> None:
        """Those of the next sentence, as ids and scores."""
        lengths = np.asarray([len(ids) for ids, _ in hypotheses], np.int32)
        ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in hypotheses)]).astype(self.kind)
        scores = np.asarray([score for _, score in hypotheses], np.float32)
        content = {"ids": ids.tobytes(), "scores": scores.tobytes(), "lengths": lengths.tobytes()}
        for name, file in self.waiting.items():
            file.write(content[name])
        self.keys.append(key)
        self.same.append(ids_key(np.frombuffer(content["lengths"] + ids.astype("<u4").tobytes(), "<u4")))
        self.counts.append(len(hypotheses))
        self.symbols.append(len(ids))

    def finish(self, facts: HypothesesHeader) -> HypothesesHeader:
        """Sort all by the keys of their pairs, and complete the store; the header: `facts` and what was counted."""
        for file in self.waiting.values():
            file.close()
        keys, same = (
            np.frombuffer(each, np.uint64) if each else np.zeros(0, np.uint64) for each in (self.keys, self.same)
        )
        counts, symbols = (
            np.frombuffer(each, np.uint32) if each else np.zeros(0, np.uint32) for each in (self.counts, self.symbols)
        )
        order = np.argsort(keys, kind="stable")
        begins = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]][: len(keys)])  # of each distinct pair
        group = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(keys)]))
        differs = same[order] != same[order][begins][group]
        kept = np.isin(group, group[differs])  # all places of a pair whose hypotheses are not the same at each
        kept[begins] = True
        rows, group = order[kept], group[kept]
        of_pair = np.zeros(len(begins), np.int64)
        np.add.at(of_pair, group, counts[rows])
        hashes = {
            "keys": write_array(self.folder / "keys.npy", keys[order][begins]),
            "first": write_array(self.folder / "first.npy", offsets(of_pair)),
        }
        total = int(counts[rows].sum(dtype=np.int64)), int(symbols[rows].sum(dtype=np.int64))
        longest = self.gather(rows, counts, symbols, total)
        hashes |= {name: sha256(self.folder / f"{name}.npy") for name in ("start", "ids", "scores")}
        for name in WAITING:
            (self.folder / f"{name}.part").unlink()
        ordered = {name: hashes[name] for name in ARRAYS}
        return write_header(self.folder, KIND, replace(facts, sentences=len(begins), longest=longest, arrays=ordered))

    def gather(
        self, rows: NDArray[np.int64], counts: NDArray[np.uint32], symbols: NDArray[np.uint32], total: tuple[int, int]
    ) -> int:
        """Write the arrays of hypotheses in the order of `rows`; how many symbols the longest has.

        `total` are the hypotheses and symbols of these rows.
        """
        at_hypothesis, at_symbol = (offsets(each)[:-1] for each in (counts, symbols))
        kinds = {"start": np.dtype(np.int64), "ids": self.kind, "scores": np.dtype(np.float32)}
        shapes = {"start": total[0] + 1, "ids": total[1], "scores": total[0]}
        written = longest = 0
        with ExitStack() as stack:
            put = {
                name: stack.enter_context(new_array(self.folder / f"{name}.npy", kinds[name], (shapes[name],)))
                for name in kinds
            }
            put["start"](np.zeros(1, np.int64))
            for chunk in np.array_split(rows, max(1, -(-len(rows) // CHUNK))):
                maps = {
                    name: map_raw(self.folder / f"{name}.part", kind)
                    for name, kind in {**WAITING, "ids": self.kind}.items()
                }
                hypotheses = ranges(at_hypothesis[chunk], counts[chunk])
                lengths = maps["lengths"][hypotheses]
                put["scores"](maps["scores"][hypotheses])
                put["ids"](maps["ids"][ranges(at_symbol[chunk], symbols[chunk])])
                put["start"](written + np.cumsum(lengths, dtype=np.int64))
                written += int(lengths.sum(dtype=np.int64))
                longest = max(longest, int(lengths.max(initial=0)))
        return longest


def map_raw(file: Path, kind: DType) -> AnyArray:
    """A file of numbers and nothing else."""
    return np.memmap(file, kind, "r") if file.stat().st_size else np.zeros(0, kind)


def ranges(starts: Ids, counts: Ids) -> NDArray[np.int64]:
    """For each start and count the numbers start, start + 1, … start + count - 1, joined.   (n,), (n,) -> (Σ count,)"""
    before = offsets(counts)
    return np.repeat(np.asarray(starts, np.int64) - before[:-1], counts) + np.arange(before[-1])


def write(folder: Path, hypotheses: Mapping[int, Sequence[tuple[Ids, float]]], facts: HypothesesHeader) -> None:
    """Fill `folder` with a store; `hypotheses` are ids and scores by the key of their pair."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = StoreWriter(folder, len(facts.symbols.target))
    for key, found in hypotheses.items():
        writer.add(key, found)
    writer.finish(facts)


def offsets(lengths: Ids) -> NDArray[np.int64]:
    """Where each of consecutive pieces starts, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def is_offsets(array: Ids, pieces: int, total: int) -> bool:
    """Whether the array is `offsets` of so many pieces of so many things."""
    fits = len(array) == pieces + 1 and array.dtype == np.int64 and array[0] == 0 and array[-1] == total
    return bool(fits and (np.diff(array) >= 0).all())


def check(folder: str, student: DictionaryPair) -> HypothesisStore:
    """Refuse a store that is incomplete, damaged or of another vocabulary."""
    store = HypothesisStore.open(folder)
    vocabulary.require_equal(vocabulary.header_symbols(store.header.symbols), student, folder)
    return store
