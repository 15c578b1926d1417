"""Subwords and dictionaries that a teacher gives: the folder of `lskd import-teacher`, and data that are cut by it.

Source and target may each have a sentencepiece model, and lines may begin with the symbol of their language.
"""

from collections.abc import Sequence
from pathlib import Path

from lskd_nmt.data.subwords import Subwords
from lskd_nmt.errors import require
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import read_record, record

NAME = "dictionary.json"
MODEL = "spm.model"  # of both languages, or of the target


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
    return [NAME, source_model(langs[0]), *(f"dict.{lang}.txt" for lang in langs)]


def of_folder(folder: Path) -> tuple[Subwords, Subwords]:
    """The subwords of source and target in a folder with a sentencepiece model (spm or bin), given or learned."""
    source = folder / MODEL
    prefixes: tuple[str | None, str | None] = None, None
    if (folder / NAME).is_file():
        found = read_record(folder / NAME, Given)
        prefixes = found.source_prefix, found.target_prefix
        own = folder / source_model(found.source_lang)
        source = own if own.is_file() else source
    return Subwords(source, prefixes[0]), Subwords(folder / MODEL, prefixes[1])
