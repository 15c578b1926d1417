"""Both languages of a model that is trimmed: text, symbols and subwords, before and after."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.bitext import normalised
from lskd_nmt.data.fewer_pieces import Pieces
from lskd_nmt.data.subwords import Subwords
from lskd_nmt.data.text_files import ENDINGS, TextFile
from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage.typed import record


@record
class Size:
    """What is left, and of how much."""

    kept: int
    of: int


@dataclass(frozen=True)
class Side:
    """One language of the model: its text, its symbols, and what cuts it."""

    lang: str
    files: Sequence[Path]
    spm: Path
    prefix: str | None
    symbols: list[str]

    @property
    def subwords(self) -> Subwords:
        """What cuts its lines."""
        return Subwords(self.spm, self.prefix)

    def lines(self) -> Iterator[str]:
        """Its text, as the text of data is."""
        return (normalised(line) for file in self.files for line in TextFile(str(file)).lines())


@dataclass(frozen=True)
class Kept:
    """What is kept of one side: its symbols in fairseq's order, and the sentencepiece model that cuts into them."""

    symbols: list[str]
    ids: list[int]  # their numbers in the full model
    spm: bytes
    pieces: Size


def sides_of(data: Path, langs: tuple[str, str], files: Sequence[str], spm: Path | None) -> tuple[Side, Side]:
    """Source and target of a folder with dictionaries and subwords, and the text of each."""
    require(
        not given.has_merges(data), f"--data {data} is cut by BPE's {given.MERGES}, no sentencepiece model: keep it"
    )
    symbols = fairseq_io.read_symbols(str(data), langs)
    if symbols is None:
        raise LskdError(f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: give binarised data")
    models = given.models(data) if spm is None else (spm, spm)
    for file in models:
        require(file.is_file(), f"{file} does not exist: give the model's sentencepiece model as --spm")
        Pieces(file)  # refuses what is none
    texts, prefixes = texts_of(files, langs), given.prefixes(data)
    source = Side(langs[0], texts[langs[0]], models[0], prefixes[0], symbols.source)
    target = Side(langs[1], texts[langs[1]], models[1], prefixes[1], symbols.target)
    for side in (source, target):
        require(len({*side.symbols}) == len(side.symbols), f"{data}/dict.{side.lang}.txt has a symbol twice: keep it")
    return source, target


def texts_of(files: Sequence[str], langs: tuple[str, str]) -> Mapping[str, list[Path]]:
    """The files of each language: a name ends with it, or is the beginning of one for each language."""
    found: dict[str, list[Path]] = {lang: [] for lang in langs}
    for name in files:
        path = Path(name)
        if path.is_file():
            plain = path.with_suffix("") if path.suffix in ENDINGS else path
            lang = plain.suffix.removeprefix(".")
            require(lang in langs, f"--keep-for {name} does not say its language: call it {plain.stem}.{langs[0]}")
            found[lang].append(path)
            continue
        both = [Path(f"{name}.{lang}") for lang in langs]
        lacking = [each for each in both if not each.is_file()]
        require(
            not lacking, f"--keep-for {name} is no file, nor is {(lacking or both)[0]}: give text of both languages"
        )
        for lang, each in zip(langs, both, strict=True):
            found[lang].append(each)
    for lang, some in found.items():
        require(bool(some), f"--keep-for names no text of {lang}: its symbols would go; give FILE.{lang}, too")
    return found
