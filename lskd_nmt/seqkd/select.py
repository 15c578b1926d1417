"""Which of the teacher's translations the student learns, written as a store and as a corpus."""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lskd_nmt import fairseq_io
from lskd_nmt.data.filters.screen import FILE, LENGTH
from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import store
from lskd_nmt.seqkd.candidates import CandidateReader
from lskd_nmt.seqkd.chooser import SCORE, SIMILARITIES, Candidates, Chooser, SelectSettings
from lskd_nmt.seqkd.corpus import SentencePair, corpus_pairs
from lskd_nmt.seqkd.decodings import Decoded, of_bitext, of_monolingual
from lskd_nmt.seqkd.diversity import Diversity
from lskd_nmt.seqkd.encoder import HELD_OUT, SPLITS, known_sources, splits_of
from lskd_nmt.seqkd.mbr import Utility
from lskd_nmt.seqkd.mixture import Monolingual, Pool
from lskd_nmt.seqkd.quality import NO_SCORES, Scoring, quality_of
from lskd_nmt.seqkd.reverse import DUAL, REVERSE, facts_of, filter_of, forward_facts_of
from lskd_nmt.seqkd.screening import bitext_ahead, screen_of
from lskd_nmt.seqkd.store import HypothesesHeader, Mixture, ScoredFacts, Selection
from lskd_nmt.storage import folders
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.pair_keys import Pair, pair_key
from lskd_nmt.storage.typed import read_record
from lskd_nmt.teacher.batches import Dictionary
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.source import Hypothesis
from lskd_nmt.teacher.vocabulary import stored_as

WHAT = "lskd seqkd select"
NO_TEXT = Monolingual()


def select(
    out: Path,
    decoded: Sequence[Path],
    data: str,
    symbols: DictionaryPair,
    settings: SelectSettings,
    show: Callable[[str], None],
    split: str = "train",
    monolingual: Monolingual = NO_TEXT,
    decoded_data: str | None = None,
    workers: int = 1,
    scoring: Scoring = NO_SCORES,
) -> HypothesesHeader:
    """Write the store of chosen hypotheses and its corpus to `out`, whole or not at all; the store's header.

    `decoded` are of the source side of the data's `split`, or of that of `decoded_data`: the same text in other
    subwords. With `monolingual` text, whose pairs no data have, the store is of the pairs of its own corpus, in which
    each hypothesis is the target. `workers` are the processes of `mbr` (0: one for each core), which change nothing.
    """
    require(workers >= 0, f"--workers is {workers}: give a number above 0, or 0 for one for each core")
    require(
        settings.method == "mbr" or workers in (0, 1),
        f"--workers is {workers}, and --method is {settings.method}: it is of mbr",
    )
    if settings.method == "mbr":
        Utility(settings.utility).require_ready()
    settings.require_scores(scoring)
    monolingual.require_fit(settings.method, bool(decoded))
    hashes = data_hashes(data, symbols.langs, (split,))
    require(
        len(decoded) <= 1 or settings.method != "beam",
        f"--method is beam and --decoded names {len(decoded)} folders, whose scores may not be compared: "
        "use mbr, best-score, multi or interpolate, or give one folder",
    )
    reader = opened(decoded, monolingual.decoded, data, symbols, split, decoded_data)
    for each in reader.decodings:
        require_all_samples(each, settings)
    facts = HypothesesHeader(
        selection=selection_of(settings, symbols, scoring),
        decoded=[each.origin() for each in reader.decodings],
        split=split,
        data=hashes,
        symbols=stored_as(symbols),
        mixture=mixture_of(monolingual, data, symbols) if reader.texts else None,
    )
    if (out / store.KIND.file).is_file():
        return same_store(out, facts, show)
    with folders.hold(out, WHAT) as held:
        is_empty = out.is_dir() and not any(out.iterdir())  # as an engine makes the folder of a file that is to come
        require(
            is_empty or not out.exists(), f"--out {out} is there already and holds no hypotheses: give a new folder"
        )
        with folders.part_of(out, WHAT, held) as part:
            choice = Choice(reader, symbols, settings, scoring, workers, split, show)
            header = choice.write(part / "store", split, facts, monolingual, show)
            (part / "store").rename(out)
    return header


def selection_of(settings: SelectSettings, symbols: DictionaryPair, scoring: Scoring) -> Selection:
    """What decides the choice, with the models that score by their hashes."""
    found = settings.content(symbols.langs[1], scoring)
    if settings.reverse_model is None:
        return found
    model = facts_of(settings.reverse_model, symbols).origin()
    found = replace(found, reverse_model=model, drop_worst_reverse=settings.drop_worst_reverse)
    if settings.forward_model is None:
        return found
    return replace(found, forward_model=forward_facts_of(settings.forward_model, symbols).origin())


def require_all_samples(decoded: Decoded, settings: SelectSettings) -> None:
    """Refuse to take the first of several samples, which would not be a random choice."""
    search = decoded.ledger.search
    require(
        settings.method != "multi" or not (search.sampling and 0 < settings.hypotheses < search.nbest),
        f"--hypotheses is {settings.hypotheses} of {search.nbest} samples in {decoded.folder}, and the first are "
        "not a random choice: take all, or decode with a smaller --nbest",
    )


def mixture_of(monolingual: Monolingual, data: str, symbols: DictionaryPair) -> Mixture:
    """What decides a selection from monolingual text beside the decodings; nothing is counted yet."""
    hashes = data_hashes(data, symbols.langs, splits_of(data, symbols.langs))
    return Mixture(len(monolingual.decoded), monolingual.share, monolingual.seed, hashes)


def opened(
    decoded: Sequence[Path],
    monolingual: Sequence[Path],
    data: str,
    symbols: DictionaryPair,
    split: str,
    decoded_data: str | None = None,
) -> CandidateReader:
    """Decodings of a bitext, and of text without a target side, proved to be of the data; see `select`."""
    require(
        bool(decoded) or decoded_data is None,
        f"--decoded-data is {decoded_data}, and no --decoded is given, of which these are the data: give both",
    )
    hashes = data_hashes(data, symbols.langs, (split,))
    bitext = of_bitext(decoded, data, symbols.langs, split, hashes, decoded_data)
    return CandidateReader(bitext, of_monolingual(monolingual), data, symbols, split)


class Choice:
    """What is chosen of each sentence, passed on as a corpus and kept as a store."""

    def __init__(
        self,
        reader: CandidateReader,
        symbols: DictionaryPair,
        settings: SelectSettings,
        scoring: Scoring,
        workers: int,
        split: str,
        show: Callable[[str], None],
    ) -> None:
        """`reader` names the decodings, of a bitext that is in its data, and of text that has no target side.

        All candidates have their scores, where these are asked for, before anything is chosen.
        """
        self.bitext, self.texts, self.data, self.symbols = reader.bitext, reader.texts, reader.data, symbols
        self.first = self.data.split(":", maxsplit=1)[0]
        self.dictionaries = fairseq_io.dictionaries(self.first, symbols.langs)
        self.encoder = reader.encoder
        drop = settings.drop_worst, settings.min_score
        quality = quality_of(reader, scoring, *drop, show) if scoring.given else None
        screen = screen_of(settings, symbols.langs, [*self.bitext, *self.texts], self.data, split)
        self.chooser = Chooser(settings, symbols.langs[1], workers, quality, screen)
        self.chooser.reverse = filter_of(settings, reader)
        self.report = Diversity(), Diversity()  # of the hypotheses; of the references
        self.learned, self.learned_text, self.available = 0, 0, 0  # sentences of the bitext; lines; and to draw from

    def write(
        self,
        folder: Path,
        split: str,
        facts: HypothesesHeader,
        monolingual: Monolingual,
        show: Callable[[str], None],
    ) -> HypothesesHeader:
        """Fill a new folder with the store and its corpus; the header, which is `facts` and what was counted."""
        langs = self.symbols.langs
        (folder / store.BIN).mkdir(parents=True)
        for file in Path(self.first).iterdir():
            if file.is_file() and not file.name.startswith(f"{split}."):
                shutil.copyfile(file, folder / store.BIN / file.name)
        writer = store.StoreWriter(folder, len(self.symbols.target))
        sizes = len(self.symbols.source), len(self.symbols.target)
        pairs = self.pairs(split, monolingual, writer, show)
        fairseq_io.write_pairs(str(folder / store.BIN), langs, split, pairs, sizes)
        dropped = dict(self.chooser.dropped)
        flags = {"--min-score": SCORE in dropped, "--filters": self.chooser.screen is not None}
        flags["--drop-worst-reverse"] = REVERSE in dropped or DUAL in dropped
        looser = "".join(f" or {flag}" for flag, is_given in flags.items() if is_given)
        require(self.report[0].count > 0, f"no hypothesis is left ({dropped} dropped): loosen --max-ratio{looser}")
        counts = replace(
            facts,
            **vars(self.report[0].facts()),
            of_references=self.report[1].facts(),
            dropped=dropped,
            sentences_without=len(self.chooser.without),
            scored=self.scored_facts(),
        )
        counts = self.screened(folder, counts)
        if facts.mixture is not None:
            mixed = replace(facts.mixture, bitext=self.learned, monolingual=self.learned_text, available=self.available)
            own = data_hashes(str(folder / store.BIN), langs, (split,))
            counts = replace(counts, data=own, mixture=mixed)
        return writer.finish(counts)

    def scored_facts(self) -> ScoredFacts | None:
        """Of the candidates' scores, where there are some."""
        found = self.chooser.quality
        if found is None:
            return None
        return ScoredFacts(found.candidates, found.threshold, dict(found.about), found.digest)

    def screened(self, folder: Path, counts: HypothesesHeader) -> HypothesesHeader:
        """The header with what the filters went by; examples of what they dropped are written."""
        screen, reverse = self.chooser.screen, self.chooser.reverse
        if self.chooser.settings.is_filtered:
            self.chooser.examples.write(folder / FILE)
        typical = round(screen.typical, 4) if screen is not None and LENGTH in screen.names else None
        counts = replace(counts, typical_ratio=typical)
        if reverse is None or math.isinf(reverse.limit):
            return counts
        if reverse.reason == DUAL:
            return replace(counts, dual_limit=round(math.exp(-reverse.limit), 6))
        return replace(counts, reverse_limit=round(reverse.limit, 6))

    def pairs(
        self, split: str, monolingual: Monolingual, writer: store.StoreWriter, show: Callable[[str], None]
    ) -> Iterator[Pair]:
        """Source and hypothesis as ids, of all that is chosen: of the bitext, then of the monolingual text."""
        looks = 1 if monolingual.share is None else 2
        lines = sum(each.ledger.rows for each in self.texts)
        progress = Progress(sum(each.ledger.rows for each in self.bitext[:1]) + looks * lines, "sentences", show)
        if self.bitext:
            yield from self.bitext_pairs(corpus_pairs(self.data, self.symbols.langs, split), writer, progress)
        if self.texts:
            yield from self.text_pairs(monolingual, writer, progress)

    def bitext_pairs(
        self, corpus: Iterable[SentencePair], writer: store.StoreWriter, progress: Progress
    ) -> Iterator[Pair]:
        """What is chosen of a bitext, in its order."""
        sampled = [each.ledger.search.sampling for each in self.bitext]
        for (pair, counts), candidates, positions in self.chooser.chosen(self.bitext_candidates(corpus)):
            origin = [drawn for count, drawn in zip(counts, sampled, strict=True) for _ in range(count)]
            chosen = [candidates.hypotheses[at] for at in positions]
            truth, texts = joined(pair.reference), [joined(each.pieces) for each in chosen]
            self.report[0].add(texts, truth, sum(origin[at] for at in positions))
            self.report[1].add([truth], truth, 0)
            found = self.in_ids(chosen)
            self.learned += bool(found)
            if self.texts:
                keep_each(writer, pair.source_ids, found)
            else:
                writer.add(pair_key(pair.source_ids, pair.target_ids), found)
            yield from ((pair.source_ids, ids) for ids, _ in found)
            progress.add(1)

    def bitext_candidates(
        self, corpus: Iterable[SentencePair]
    ) -> Iterator[tuple[tuple[SentencePair, list[int]], Candidates]]:
        """The hypotheses of each pair of a bitext, and how many of them each decoding has."""
        rows = [each.in_subwords(self.encoder, self.chooser.dropped) for each in self.bitext]
        together = zip(corpus, zip(*rows, strict=True), strict=True)
        pads = [symbols.pad() for symbols in self.dictionaries]
        for number, (pair, entries) in enumerate(bitext_ahead(together, self.chooser)):
            for decoded, entry in zip(self.bitext, entries, strict=True):
                decoded.require_row(number, entry, pair.source_ids)
            if pair.source_ids[0] == pads[0] or pair.target_ids[0] == pads[1]:  # in a batch, it would be padding
                word = self.dictionaries[0].pad_word
                what = f"a side of pair {number} (from 0) begins with {word}, the symbol of padding"
                raise LskdError(f"{what}: take the word out of the text")
            hypotheses = [hypothesis for entry in entries for hypothesis in entry.hypotheses]
            counts = [len(entry.hypotheses) for entry in entries]
            yield (pair, counts), self.chooser.filtered(number, hypotheses, pair.source, pair.reference)

    def text_pairs(self, monolingual: Monolingual, writer: store.StoreWriter, progress: Progress) -> Iterator[Pair]:
        """What is chosen of text without a target side, in its order: of all lines, or of a sample."""
        assert self.encoder is not None
        langs, share = self.symbols.langs, monolingual.share
        held_out = [split for split in splits_of(self.data, langs) if SPLITS[split] == HELD_OUT]
        quiet = Progress(0, "sentences", lambda line: None)
        pool = Pool(self.texts, self.encoder, known_sources(self.data, langs, held_out, quiet))
        if share is None:
            chosen = pool.whole(self.chooser, progress)
        else:
            trial = self.chooser.apart()  # what it drops is not counted
            chosen = pool.sample(share, monolingual.seed, self.learned, self.chooser, trial, progress)
        for source, hypotheses, is_drawn in chosen:
            self.report[0].add([joined(each.pieces) for each in hypotheses], "", is_drawn * len(hypotheses))
            found = self.in_ids(hypotheses)
            self.learned_text += 1
            keep_each(writer, source, found)
            yield from ((source, ids) for ids, _ in found)
        self.available = pool.available

    def in_ids(self, hypotheses: Iterable[Hypothesis]) -> list[tuple[Ids, float]]:
        """Each hypothesis as ids with the end symbol, and its score."""
        return [(to_ids(each.pieces, self.dictionaries[1]), each.score) for each in hypotheses]


def keep_each(writer: store.StoreWriter, source: Ids, hypotheses: Iterable[tuple[Ids, float]]) -> None:
    """Store each hypothesis as that of the pair which it makes with its source."""
    for ids, score in hypotheses:
        writer.add(pair_key(source, ids), [(ids, score)])


def same_store(out: Path, facts: HypothesesHeader, show: Callable[[str], None]) -> HypothesesHeader:
    """The header of a finished store that was chosen in the same way, or a refusal."""
    header = read_record(out / store.KIND.file, HypothesesHeader)
    there = header
    if header.mixture is not None:  # its data are its own, and name what they were made of
        asked = replace(header.mixture, bitext=0, monolingual=0, available=0)
        there = replace(header, mixture=asked, data=facts.data if facts.mixture else header.data)
    names = ("selection", "decoded", "split", "data", "symbols", "mixture")
    there, facts = (replace(each, selection=deciding(each.selection)) for each in (there, facts))
    other = [name for name in names if getattr(there, name) != getattr(facts, name)]
    require(not other, f"--out {out} holds hypotheses with other {', '.join(other)}: give another folder, or remove it")
    show(f"{out} is complete: nothing to do")
    return header


def deciding(selection: Selection | None) -> Selection | None:
    """What decided a choice: earlier versions took a similarity that nothing read."""
    if selection is None or selection.method == "interpolate":
        return selection
    return replace(selection, similarity=SIMILARITIES[0])


def to_ids(pieces: str, symbols: Dictionary) -> Ids:
    """Symbol ids with the end symbol; a subword that the dictionary lacks is refused."""
    ids = [symbols.index(piece) for piece in pieces.split()]
    if symbols.unk() in ids:
        unknown = next(piece for piece, i in zip(pieces.split(), ids, strict=True) if i == symbols.unk())
        if unknown != symbols.unk_word:
            raise LskdError(f"the dictionary lacks the decoded subword '{unknown}': decode with this data's dictionary")
    return np.asarray([*ids, symbols.eos()], np.int64)
