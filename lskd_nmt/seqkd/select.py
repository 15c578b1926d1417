"""Which of the teacher's translations the student learns: the best, the one closest to the reference, or several."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import bleu_tokenizer, sentence_bleu
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import ledger, store
from lskd_nmt.seqkd.corpus import SentencePair, corpus_pairs, source_key
from lskd_nmt.seqkd.diversity import Diversity
from lskd_nmt.seqkd.ledger import Ledger, Row
from lskd_nmt.seqkd.store import DecodedFrom, HypothesesHeader, Selection
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.pair_keys import Pair, pair_key
from lskd_nmt.storage.typed import read_record
from lskd_nmt.teacher.batches import Dictionary
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.source import Hypothesis
from lskd_nmt.teacher.vocabulary import stored_as

WHAT = "lskd seqkd select"
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

    def content(self, lang: str) -> Selection:
        """What decides the choice, with the tokeniser of BLEU where it is not the one that was always taken."""
        found = Selection(self.method, self.hypotheses, self.similarity, self.max_ratio, self.drop_copies)
        if self.method == "interpolate" and self.similarity == "bleu":
            tokenizer = bleu_tokenizer(lang, self.tokenize)
            return replace(found, tokenizer=tokenizer if tokenizer != USUAL else None)
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
        self.similarity: BLEU | CHRF = sentence_bleu(lang, settings.tokenize) if interpolates else CHRF()
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
    symbols: DictionaryPair,
    settings: SelectSettings,
    show: Callable[[str], None],
    split: str = "train",
) -> HypothesesHeader:
    """Write the store of chosen hypotheses and its corpus to `out`, whole or not at all; the store's header."""
    hashes = data_hashes(data, symbols.langs, (split,))
    require(
        len(decoded) == 1 or settings.method != "beam",
        f"--method is beam and --decoded names {len(decoded)} folders, whose scores may not be compared: "
        "use multi or interpolate, or give one folder",
    )
    ledgers = open_ledgers(decoded, hashes, split, settings)
    require_all_rows(decoded, ledgers, data, symbols.langs, split)
    facts = HypothesesHeader(
        selection=settings.content(symbols.langs[1]),
        decoded=[
            DecodedFrom(sha256(folder / ledger.FILE), content.teacher, content.settings)
            for folder, content in zip(decoded, ledgers, strict=True)
        ],
        split=split,
        data=hashes,
        symbols=stored_as(symbols),
    )
    if (out / store.KIND.file).is_file():
        return same_store(out, facts, show)
    with folders.hold(out, WHAT) as held:
        is_empty = out.is_dir() and not any(out.iterdir())  # as an engine makes the folder of a file that is to come
        require(
            is_empty or not out.exists(), f"--out {out} is there already and holds no hypotheses: give a new folder"
        )
        with folders.part_of(out, WHAT, held) as part:
            choice = Choice(decoded, [each.search.sampling for each in ledgers], symbols, settings)
            header = choice.write(part / "store", data, split, facts, Progress(ledgers[0].rows, "sentences", show))
            (part / "store").rename(out)
    return header


class Choice:
    """What is chosen of each sentence, passed on as a corpus and kept as a store."""

    def __init__(
        self, decoded: Sequence[Path], sampled: Sequence[bool], symbols: DictionaryPair, settings: SelectSettings
    ) -> None:
        """`sampled` says of each of the decodings whether its hypotheses were drawn."""
        self.decoded, self.sampled, self.symbols = decoded, sampled, symbols
        self.chooser = Chooser(settings, symbols.langs[1])
        self.report = Diversity(), Diversity()  # of the hypotheses; of the references

    def write(
        self, folder: Path, data: str, split: str, facts: HypothesesHeader, progress: Progress
    ) -> HypothesesHeader:
        """Fill a new folder with the store and its corpus; the header, which is `facts` and what was counted."""
        langs, first = self.symbols.langs, data.split(":", maxsplit=1)[0]
        (folder / store.BIN).mkdir(parents=True)
        for file in Path(first).iterdir():
            if file.is_file() and not file.name.startswith(f"{split}."):
                shutil.copyfile(file, folder / store.BIN / file.name)
        writer = store.StoreWriter(folder, len(self.symbols.target))
        pairs = self.pairs(corpus_pairs(data, langs, split), fairseq_io.dictionaries(first, langs), writer, progress)
        sizes = len(self.symbols.source), len(self.symbols.target)
        fairseq_io.write_pairs(str(folder / store.BIN), langs, split, pairs, sizes)
        dropped = dict(self.chooser.dropped)
        require(self.report[0].count > 0, f"no hypothesis is left ({dropped} dropped): loosen --max-ratio")
        counts = replace(
            facts,
            **vars(self.report[0].facts()),
            of_references=self.report[1].facts(),
            dropped=dropped,
            sentences_without=len(self.chooser.without),
        )
        return writer.finish(counts)

    def pairs(
        self,
        corpus: Iterable[SentencePair],
        dictionaries: Sequence[Dictionary],
        writer: store.StoreWriter,
        progress: Progress,
    ) -> Iterator[Pair]:
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
            writer.add(pair_key(pair.source_ids, pair.target_ids), list(zip(ids, scores, strict=True)))
            yield from ((pair.source_ids, each) for each in ids)
            progress.add(1)


def require_all_rows(
    decoded: Sequence[Path], ledgers: Sequence[Ledger], data: str, langs: tuple[str, str], split: str
) -> None:
    """Refuse a decoding of before whose data were not hashed, unless it has a row for each sentence."""
    for folder, content in zip(decoded, ledgers, strict=True):
        if content.data[split] == []:
            count = sum(map(len, fairseq_io.translation_data(data, langs, split)))
            require(content.rows == count, f"{folder} has other rows than the {count} sentences: decode again")


def open_ledgers(
    decoded: Sequence[Path], hashes: Mapping[str, Sequence[str]], split: str, settings: SelectSettings
) -> list[Ledger]:
    """The ledgers of complete decodings of this data that may be chosen from in this way."""
    ledgers = [ledger.open_ledger(folder, hashes) for folder in decoded]
    for folder, content in zip(decoded, ledgers, strict=True):
        require(
            split in content.data,
            f"{folder} holds no '{split}', but {', '.join(content.data)}: name it with --split",
        )
        search = content.search
        require(
            not (search.sampling and 0 < settings.hypotheses < search.nbest),
            f"--hypotheses is {settings.hypotheses} of {search.nbest} samples in {folder}, and the first are "
            "not a random choice: take all, or decode with a smaller --nbest",
        )
    return ledgers


def same_store(out: Path, facts: HypothesesHeader, show: Callable[[str], None]) -> HypothesesHeader:
    """The header of a finished store that was chosen in the same way, or a refusal."""
    header = read_record(out / store.KIND.file, HypothesesHeader)
    names = ("selection", "decoded", "split", "data", "symbols")
    other = [name for name in names if getattr(header, name) != getattr(facts, name)]
    require(not other, f"--out {out} holds hypotheses with other {', '.join(other)}: give another folder, or remove it")
    show(f"{out} is complete: nothing to do")
    return header


def check_row(number: int, entries: Sequence[Row], source: Ids, decoded: Sequence[Path]) -> None:
    """Refuse rows that are not of this sentence: they were proved once, and may have been edited since."""
    for folder, entry in zip(decoded, entries, strict=True):
        require(
            entry.number == number and entry.source == source_key(source),
            f"{folder} row {number} is of another source sentence: decode again",
        )


def to_ids(pieces: str, symbols: Dictionary) -> Ids:
    """Symbol ids with the end symbol; a subword that the dictionary lacks is refused."""
    ids = [symbols.index(piece) for piece in pieces.split()]
    if symbols.unk() in ids:
        unknown = next(piece for piece, i in zip(pieces.split(), ids, strict=True) if i == symbols.unk())
        if unknown != symbols.unk_word:
            raise LskdError(f"the dictionary lacks the decoded subword '{unknown}': decode with this data's dictionary")
    return np.asarray([*ids, symbols.eos()], np.int64)
