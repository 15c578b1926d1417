"""Text without a target side: cleaned, not what the data have already, translated by fairseq teachers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data.cleaning import Limits, clean_lines
from lskd_nmt.data.text_files import STDIN, TextFile
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.corpus import read_corpus
from lskd_nmt.seqkd.decode import Decoding, Place, decode_text, engines_of, plan_of, takeable
from lskd_nmt.seqkd.encoder import Encoder, Wording, known_sources, splits_of, wording
from lskd_nmt.seqkd.engines import translate_all
from lskd_nmt.seqkd.ledger import DecodingPlan, Ledger, TextSource
from lskd_nmt.seqkd.text import LineWriter, TextLines
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.source import TextHypothesis, TextTranslationSource, TranslationSource

LONG = "more subwords than the teacher takes"


class SubwordTranslator:
    """A translator of subwords as one of text, by what cuts the words of its data."""

    def __init__(self, engine: TranslationSource, words: Wording, longest: int) -> None:
        """`longest`: a source of so many subwords, with its end, is the longest that the engine takes."""
        self.engine, self.longest = engine, longest
        self.source, self.target = words.cutters()

    def reseed(self, seed: int) -> None:
        """See `TextTranslationSource`."""
        self.engine.reseed(seed)

    def translate_text(self, lines: Sequence[str], settings: DecodeSettings) -> list[list[TextHypothesis]]:
        """See `TextTranslationSource`; a line that is empty or too long has no hypothesis."""
        sources = [self.source.pieces(line) for line in lines]
        empty = len(self.source.prefix)
        fits = [empty < len(source) < self.longest for source in sources]
        short = [source for source, is_short in zip(sources, fits, strict=True) if is_short]
        found = iter(translate_all(self.engine, short, settings))
        return [
            [TextHypothesis(self.target.text(pieces), score) for pieces, score in next(found)] if is_short else []
            for is_short in fits
        ]


def translator(engine: Callable[[], TranslationSource], words: Wording, longest: int) -> TextTranslationSource:
    """A `SubwordTranslator`, made in the process that uses it."""
    return SubwordTranslator(engine(), words, longest)


def read_source(source: str, show: Callable[[str], None]) -> TextSource:
    """What a text is: read through once, so that what is wrong with it is said before anything is written."""
    require(source != STDIN, "--source is -, and a decoding that goes on reads it again: save it as a file")
    text = TextFile(source)
    progress = Progress(float("inf"), "lines read", show)
    for _ in text.lines():
        progress.add(1)
    return TextSource(text.name, text.sha256, text.count)


def wanted_lines(
    source: str,
    lines: int,
    data: str,
    symbols: DictionaryPair,
    limits: Limits,
    show: Callable[[str], None],
    longest: int | None = None,
) -> LineWriter:
    """A writer of the lines of a text that are worth translating, each once, normalised.

    Out is what is beyond the limits, in the source side of the data's train, valid or test, or, with its end, of more
    than `longest` subwords.
    """

    def write(file: Path) -> Mapping[str, int]:
        langs = symbols.langs
        encoder = Encoder(data, symbols)
        known = known_sources(data, langs, splits_of(data, langs), Progress(0, "sentences of the data read", show))

        def unwanted(line: str) -> str:
            ids = encoder.source_ids(encoder.source_subwords.pieces(line))
            return LONG if longest is not None and len(ids) > longest else known.reason(ids)

        progress = Progress(lines, "lines cleaned", show)
        count, dropped = clean_lines(told(TextFile(source).lines(), progress), file, langs[0], limits, unwanted)
        show(f"{count:,} of {lines:,} lines are translated, dropped are {dropped or 'none'}")
        return dropped

    return write


def told(lines: Iterator[str], progress: Progress) -> Iterator[str]:
    """The lines, while `progress` hears of each."""
    for line in lines:
        progress.add(1)
        yield line


def decode_source(
    out: Path,
    source: str,
    teacher_path: Sequence[str],
    data: str,
    symbols: DictionaryPair,
    settings: DecodeSettings,
    limits: Limits,
    place: Place,
    show: Callable[[str], None],
    teacher_data: str | None = None,
    accept_difference: bool = False,
) -> Ledger | None:
    """Make or complete fairseq teachers' translations of a text; the ledger, or None while shards are missing.

    `data` give dictionaries and what cuts words, and the sentences that are not translated again.
    """
    words = wording(data, symbols)
    splits = splits_of(data, symbols.langs)
    base = plan_of(teacher_path, data, symbols, settings, splits[0], teacher_data)
    cleaning = {"max_words": limits.max_words, **words.facts()}
    hashes = data_hashes(data, symbols.langs, splits)
    text = read_source(source, show)
    plan = DecodingPlan(base.teacher, base.langs, hashes, base.settings | cleaning, text)
    longest = min(fairseq_io.max_source_positions(path) for path in teacher_path)

    def makers(lines: TextLines) -> tuple[Sequence[Callable[[], TextTranslationSource]], bool]:
        corpus = read_corpus(data, symbols.langs, splits[0])
        decoding = Decoding(out, plan, corpus, longest, settings, place, show)
        rows = takeable(corpus.lengths, longest, f"--data {data} has no sentence to compare the engines on")
        found, on_cpu = engines_of(decoding, corpus, rows, teacher_path, data, symbols.langs, accept_difference)
        return [partial(translator, engine, words, longest) for engine in found], on_cpu

    write = wanted_lines(source, text.lines, data, symbols, limits, show, longest)
    return decode_text(out, plan, write, makers, settings, place, show)
