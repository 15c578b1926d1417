"""Which of the teacher's translations the student learns: the best, the one closest to the reference, or several."""

import shutil
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import bleu_tokenizer, sentence_bleu
from lskd_nmt.fairseq_io import Symbols
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import ledger, store
from lskd_nmt.seqkd.corpus import SentencePair, corpus_pairs, source_key
from lskd_nmt.seqkd.ledger import Hypothesis, Row
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.pair_keys import pair_key
from lskd_nmt.teacher.coverage import data_hashes

WHAT = "lskd seqkd select"
RUN = 500_000  # hashes of different things that are sorted at a time
KEPT = 1 << 24  # hashes of different things that are kept: 128 MB, and counts to 0.02 % beyond
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it keeps hashes apart: Python's of small numbers lie together
METHODS = ("beam", "interpolate", "multi")
SIMILARITIES = ("bleu", "chrf")


@dataclass(frozen=True)
class SelectSettings:
    """How hypotheses are chosen."""

    method: str = "beam"
    hypotheses: int = 0  # of `multi`; 0: all
    similarity: str = "bleu"  # of `interpolate`: smoothed sentence BLEU, or chrF
    max_ratio: float = 0.0  # of the lengths of source and hypothesis in subwords; 0: any
    drop_copies: bool = False
    tokenize: str | None = None  # of the smoothed sentence BLEU, instead of the target language's own

    def __post_init__(self) -> None:
        require(self.method in METHODS, f"--method is {self.method}: one of {', '.join(METHODS)}")
        require(self.similarity in SIMILARITIES, f"--similarity is {self.similarity}: one of {', '.join(SIMILARITIES)}")
        require(self.hypotheses >= 0, f"--hypotheses is {self.hypotheses}: give a number above 0, or 0 for all")
        require(
            self.method == "multi" or not self.hypotheses,
            f"--hypotheses is {self.hypotheses} and --method is {self.method}: it is of multi",
        )
        require(
            self.max_ratio == 0 or self.max_ratio >= 1,
            f"--max-ratio is {self.max_ratio:g}: give at least 1, or 0 for any",
        )

    def content(self, lang: str) -> dict[str, Any]:
        """What decides the choice, with the tokeniser of BLEU where it is not the one that was always taken."""
        found = {name: value for name, value in asdict(self).items() if name != "tokenize"}
        if self.method == "interpolate" and self.similarity == "bleu":
            tokenizer = bleu_tokenizer(lang, self.tokenize)
            found |= {"tokenizer": tokenizer} if tokenizer != USUAL else {}
        return found


def fault(hypothesis: Hypothesis, source: Sequence[str], settings: SelectSettings) -> str | None:
    """Why a hypothesis is dropped, or None."""
    lengths = len(hypothesis.pieces.split()), len(source)
    if not lengths[0]:
        return "empty"
    if settings.max_ratio and max(lengths) > settings.max_ratio * min(lengths):
        return "ratio"
    if settings.drop_copies and joined(hypothesis.pieces) == joined(" ".join(source)):
        return "copy"
    return None


class Chooser:
    """Filters and chooses, and counts what it dropped; `lang` is the target language."""

    def __init__(self, settings: SelectSettings, lang: str = "en") -> None:
        self.settings = settings
        interpolates = settings.method == "interpolate" and settings.similarity == "bleu"
        self.similarity: Any = sentence_bleu(lang, settings.tokenize) if interpolates else CHRF()
        self.dropped: Counter[str] = Counter()
        self.without: list[int] = []  # rows that have no hypothesis left

    def choose(self, row: int, hypotheses: Sequence[Hypothesis], source: Sequence[str], reference: str) -> list[int]:
        """The positions of those chosen.   `reference` in subwords"""
        faults = [fault(hypothesis, source, self.settings) for hypothesis in hypotheses]
        self.dropped.update(reason for reason in faults if reason)
        kept = [at for at, reason in enumerate(faults) if reason is None]
        if not kept:
            self.without.append(row)
            return []
        if self.settings.method == "beam":
            return [max(kept, key=lambda at: hypotheses[at].score)]
        if self.settings.method == "interpolate":
            truth = [joined(reference)]
            return [
                max(kept, key=lambda at: self.similarity.sentence_score(joined(hypotheses[at].pieces), truth).score)
            ]
        return kept[: self.settings.hypotheses or len(kept)]


def select(
    out: Path,
    decoded: Sequence[Path],
    data: str,
    symbols: Symbols,
    settings: SelectSettings,
    show: Callable[[str], None],
    split: str = "train",
) -> dict[str, Any]:
    """Write the store of chosen hypotheses and its corpus to `out`, whole or not at all; the store's header."""
    langs, first = symbols.langs, data.split(":", maxsplit=1)[0]
    hashes = data_hashes(data, langs, (split,))
    require(
        len(decoded) == 1 or settings.method != "beam",
        f"--method is beam and --decoded names {len(decoded)} folders, whose scores may not be compared: "
        "use multi or interpolate, or give one folder",
    )
    ledgers = open_ledgers(decoded, hashes, split, settings)
    for folder, content in zip(decoded, ledgers, strict=True):
        if content["data"][split] == []:  # of before: nothing was hashed, the rows below have to do, each and all
            count = sum(map(len, fairseq_io.translation_data(data, langs, split)))
            require(content["rows"] == count, f"{folder} has other rows than the {count} sentences: decode again")
    facts: dict[str, Any] = {
        "selection": settings.content(langs[1]),
        "decoded": [
            {"ledger": sha256(folder / ledger.FILE), "teacher": content["teacher"], "settings": content["settings"]}
            for folder, content in zip(decoded, ledgers, strict=True)
        ],
        "split": split,
        "data": hashes,
        "symbols": {"source": symbols.source, "target": symbols.target, "langs": list(langs)},
    }
    if (out / store.KIND.file).is_file():
        return same_store(out, facts, show)
    with folders.hold(out, WHAT) as held:
        is_empty = out.is_dir() and not any(out.iterdir())  # as an engine makes the folder of a file that is to come
        require(
            is_empty or not out.exists(), f"--out {out} is there already and holds no hypotheses: give a new folder"
        )
        with folders.part_of(out, WHAT, held) as part:
            new = part / "store"
            (new / store.BIN).mkdir(parents=True)
            for file in Path(first).iterdir():
                if file.is_file() and not file.name.startswith(f"{split}."):
                    shutil.copyfile(file, new / store.BIN / file.name)
            sampled = [content["settings"]["sampling"] for content in ledgers]
            choice = Choice(decoded, sampled, symbols, settings, store.StoreWriter(new, len(symbols.target)))
            progress = Progress(ledgers[0]["rows"], "sentences", show)
            pairs = choice.pairs(corpus_pairs(data, langs, split), fairseq_io.dictionaries(first, langs), progress)
            sizes = len(symbols.source), len(symbols.target)
            fairseq_io.write_pairs(str(new / store.BIN), langs, split, pairs, sizes)
            dropped = dict(choice.chooser.dropped)
            require(choice.report[0].count > 0, f"no hypothesis is left ({dropped} dropped): loosen --max-ratio")
            counts = {
                "sentences": 0,
                **choice.report[0].facts(),
                "of_references": choice.report[1].facts(),
                "dropped": dropped,
                "sentences_without": len(choice.chooser.without),
            }
            choice.writer.finish(facts | counts)
            new.rename(out)
    return read_json(out / store.KIND.file)


class Choice:
    """What is chosen of each sentence, passed on as a corpus and kept as a store."""

    def __init__(
        self,
        decoded: Sequence[Path],
        sampled: Sequence[bool],
        symbols: Symbols,
        settings: SelectSettings,
        writer: store.StoreWriter,
    ) -> None:
        """`sampled` says of each of the decodings whether its hypotheses were drawn."""
        self.decoded, self.sampled, self.symbols, self.writer = decoded, sampled, symbols, writer
        self.chooser = Chooser(settings, symbols.langs[1])
        self.report = Diversity(), Diversity()  # of the hypotheses; of the references

    def pairs(
        self, corpus: Iterable[SentencePair], dictionaries: Sequence[Any], progress: Progress
    ) -> Iterator[tuple[Any, Any]]:
        """Source and hypothesis as ids, of all that is chosen, in the corpus' order."""
        rows = [ledger.read_rows(folder / ledger.ROWS) for folder in self.decoded]
        pads = [symbols.pad() for symbols in dictionaries]
        for number, (pair, entries) in enumerate(zip(corpus, zip(*rows, strict=True), strict=True)):
            check_row(number, entries, pair.source_ids, self.decoded)
            if pair.source_ids[0] == pads[0] or pair.target_ids[0] == pads[1]:  # in a batch, it would be padding
                what = f"a side of pair {number} (from 0) begins with {dictionaries[0].pad_word}, the symbol of padding"
                raise LskdError(f"{what}: take the word out of the text")
            hypotheses = [hypothesis for entry in entries for hypothesis in entry.hypotheses]
            origin = [drawn for entry, drawn in zip(entries, self.sampled, strict=True) for _ in entry.hypotheses]
            positions = self.chooser.choose(number, hypotheses, pair.source, pair.reference)
            truth, texts = joined(pair.reference), [joined(hypotheses[at].pieces) for at in positions]
            self.report[0].add(texts, truth, sum(origin[at] for at in positions))
            self.report[1].add([truth], truth, 0)
            ids = [to_ids(hypotheses[at].pieces, dictionaries[1]) for at in positions]
            scores = (hypotheses[at].score for at in positions)
            self.writer.add(pair_key(pair.source_ids, pair.target_ids), list(zip(ids, scores, strict=True)))
            yield from ((pair.source_ids, each) for each in ids)
            progress.add(1)


def open_ledgers(
    decoded: Sequence[Path], hashes: Mapping[str, Any], split: str, settings: SelectSettings
) -> list[dict[str, Any]]:
    """The ledgers of complete decodings of this data that may be chosen from in this way."""
    ledgers = [ledger.open_ledger(folder, hashes) for folder in decoded]
    for folder, content in zip(decoded, ledgers, strict=True):
        require(
            split in content["data"],
            f"{folder} holds no '{split}', but {', '.join(content['data'])}: name it with --split",
        )
        search = content["settings"]
        require(
            not (search["sampling"] and 0 < settings.hypotheses < search["nbest"]),
            f"--hypotheses is {settings.hypotheses} of {search['nbest']} samples in {folder}, and the first are "
            "not a random choice: take all, or decode with a smaller --nbest",
        )
    return ledgers


def same_store(out: Path, facts: Mapping[str, Any], show: Callable[[str], None]) -> dict[str, Any]:
    """The header of a finished store that was chosen in the same way, or a refusal."""
    header = read_json(out / store.KIND.file)
    other = [name for name, value in facts.items() if header.get(name) != value]
    require(not other, f"--out {out} holds hypotheses with other {', '.join(other)}: give another folder, or remove it")
    show(f"{out} is complete: nothing to do")
    return header


def check_row(number: int, entries: Sequence[Row], source: Any, decoded: Sequence[Path]) -> None:
    """A row that was proved once still is where it must be."""
    for folder, entry in zip(decoded, entries, strict=True):
        require(
            entry.number == number and entry.source == source_key(source),
            f"{folder} row {number} is of another source sentence: decode again",
        )


def to_ids(pieces: str, symbols: Any) -> Any:
    """Symbol ids with the end symbol; a subword that the dictionary lacks is refused."""
    ids = [symbols.index(piece) for piece in pieces.split()]
    if symbols.unk() in ids:
        unknown = next(piece for piece, i in zip(pieces.split(), ids, strict=True) if i == symbols.unk())
        if unknown != symbols.unk_word:
            raise LskdError(f"the dictionary lacks the decoded subword '{unknown}': decode with this data's dictionary")
    return np.asarray([*ids, symbols.eos()], np.int64)


class Distinct:
    """How many different things were seen, by their hashes of 64 bits; sorted runs of them are in memory.

    The count is exact up to `KEPT` different things. Of more, the `KEPT` smallest hashes are kept, and the count is
    estimated from how close together these lie, to a standard error of 1/√KEPT (Bar-Yossef et al. 2002).
    """

    def __init__(self) -> None:
        """None yet."""
        self.new: set[int] = set()
        self.runs: list[NDArray[np.uint64]] = []

    def add(self, things: Iterable[Hashable]) -> None:
        """Some, which may have been seen."""
        self.new.update(map(hash, things))
        if len(self.new) >= RUN:
            self.settle()

    def settle(self) -> None:
        """Put the new ones to the others; runs grow by factors, so that each is merged into a few only."""
        new = np.fromiter(self.new, np.int64, len(self.new)).view(np.uint64)
        self.runs.append(np.unique(new * SPREAD)[:KEPT])
        self.new.clear()
        while len(self.runs) > 1 and len(self.runs[-2]) <= 2 * len(self.runs[-1]):
            self.runs[-2:] = [np.union1d(*self.runs[-2:])[:KEPT]]

    def __len__(self) -> int:
        """How many."""
        self.settle()
        while len(self.runs) > 1:
            self.runs[-2:] = [np.union1d(*self.runs[-2:])[:KEPT]]
        kept = self.runs[0]
        return len(kept) if len(kept) < KEPT else round((KEPT - 1) * 2.0**64 / float(kept[-1]))


class Diversity:
    """How many hypotheses, how different, in how many words."""

    def __init__(self) -> None:
        self.count = self.distinct = self.references = self.sampled = self.words = self.pairs = 0
        self.different_words, self.different_pairs = Distinct(), Distinct()

    def add(self, texts: Sequence[str], reference: str, sampled: int) -> None:
        """The chosen hypotheses of a sentence."""
        self.count += len(texts)
        self.distinct += len(set(texts))
        self.references += sum(text == reference for text in texts)
        self.sampled += sampled
        for text in texts:
            words = text.split()
            self.words += len(words)
            self.pairs += max(len(words) - 1, 0)
            self.different_words.add(words)
            self.different_pairs.add(pairwise(words))

    def facts(self) -> dict[str, Any]:
        """Shares from 0 to 1; words are what spaces separate."""
        words, pairs = len(self.different_words), len(self.different_pairs)
        return {
            "hypotheses": self.count,
            "sampled_share": share(self.sampled, self.count),
            "distinct_share": share(self.distinct, self.count),  # differ from the others of their sentence
            "reference_share": share(self.references, self.count),
            "words": self.words,
            "distinct_words": words,
            "type_token_ratio": share(words, self.words),
            "distinct_bigram_ratio": share(pairs, self.pairs),
        }


def share(part: int, whole: int) -> float:
    """part/whole, rounded."""
    return round(part / whole, 4) if whole else 0.0
