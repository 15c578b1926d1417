"""Subwords and dictionaries that a teacher gives: the folder of `lskd import-teacher`, and data that are cut by it.

Source and target may each have a sentencepiece model, and lines may begin with the symbol of their language.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lskd_nmt.data.moses import detokenised
from lskd_nmt.data.subwords import Subwords, joined
from lskd_nmt.errors import require
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import read_record, record

NAME = "dictionary.json"
MODEL = "spm.model"  # of both languages, or of the target
MERGES = "merges.txt"  # of BPE over Moses' tokens, in the place of a sentencepiece model
TOKENISER = (MERGES, "vocab-src.json", "vocab-tgt.json", "tokenizer_config.json")


@record
class Given:
    """What dictionary.json says; `sha256` is of the files that come with it."""

    kind: str
    source_lang: str
    target_lang: str
    source_prefix: str | None
    target_prefix: str | None
    sha256: dict[str, str]

    @property
    def langs(self) -> tuple[str, str]:
        """Source and target."""
        return self.source_lang, self.target_lang


def source_model(lang: str) -> str:
    """The name of the source's own sentencepiece model, where it is not the target's."""
    return f"spm.{lang}.model"


def read(folder: Path, langs: Sequence[str]) -> Given:
    """What a folder gives for these languages, once its files are what it says; `LskdError` if they are not."""
    require((folder / NAME).is_file(), f"{folder} has no {NAME}: give the folder that lskd import-teacher wrote")
    given = read_record(folder / NAME, Given)
    require(
        given.langs == tuple(langs),
        f"{folder} is of {'-'.join(given.langs)}, and the data are {'-'.join(langs)}: give a teacher of that direction",
    )
    for name, wanted in given.sha256.items():
        is_whole = "/" not in name and (folder / name).is_file() and sha256(folder / name) == wanted
        require(is_whole, f"{folder / name} is missing, or not that of {NAME}: import the teacher again")
    return given


def files(folder: Path, langs: Sequence[str]) -> list[Path]:
    """The files of a folder that data of these languages are prepared with; see `read`."""
    return [folder / name for name in (NAME, *read(folder, langs).sha256)]


def names(langs: Sequence[str]) -> list[str]:
    """What these files may be called, beside `spm.model`."""
    return [NAME, source_model(langs[0]), *TOKENISER, *(f"dict.{lang}.txt" for lang in langs)]


def present(folder: Path, langs: Sequence[str]) -> list[Path]:
    """What cuts text in a prepared folder (spm or bin), learned or given."""
    wanted = (MODEL, source_model(langs[0]), NAME, *TOKENISER)
    return [folder / name for name in wanted if (folder / name).is_file()]


def has_merges(folder: Path) -> bool:
    """Whether text is cut by the merges of BPE, in a prepared folder (spm or bin)."""
    return (folder / NAME).is_file() and (folder / MERGES).is_file()


def langs(folder: Path) -> tuple[str, str]:
    """Source and target of a folder that was given."""
    return read_record(folder / NAME, Given).langs


def kind(folder: Path) -> str | None:
    """The kind of model that gave a folder's subwords; None where they were learned."""
    return read_record(folder / NAME, Given).kind if (folder / NAME).is_file() else None


def text_of(folder: Path, lang: str, lines: Sequence[str]) -> list[str]:
    """Lines of the target's subwords as text, by what a prepared folder (spm) cuts it with."""
    if has_merges(folder):
        return detokenised(map(joined, lines), lang)
    return Subwords(folder / MODEL).decode(lines)


def prefixes(folder: Path) -> tuple[str | None, str | None]:
    """The symbols that lines of source and target begin with in a folder (spm or bin)."""
    if not (folder / NAME).is_file():
        return None, None
    found = read_record(folder / NAME, Given)
    return found.source_prefix, found.target_prefix


def prefix(folder: Path) -> list[str]:
    """The symbol that source lines begin with, if there is one."""
    return [each for each in prefixes(folder)[:1] if each is not None]


def models(folder: Path) -> tuple[Path, Path]:
    """The files of the source's and the target's sentencepiece model in a folder (spm or bin): most often one."""
    own = (
        [] if not (folder / NAME).is_file() else [folder / source_model(read_record(folder / NAME, Given).source_lang)]
    )
    return next((file for file in own if file.is_file()), folder / MODEL), folder / MODEL


def of_folder(folder: Path) -> tuple[Subwords, Subwords]:
    """The subwords of source and target in a folder with a sentencepiece model (spm or bin), given or learned."""
    source, target = (Subwords(*each) for each in zip(models(folder), prefixes(folder), strict=True))
    return source, target


class BothSides:
    """Text of the source in, text of the target out; the symbols of languages are left to others."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = map(Subwords, models(folder))

    def encode(self, lines: Iterable[str]) -> list[str]:
        """Each line of the source as subwords separated by spaces."""
        return self.source.encode(lines)

    def decode(self, lines: Iterable[str]) -> list[str]:
        """The text of the target's lines of subwords."""
        return self.target.decode(lines)
