"""Folders that `lskd export --to ctranslate2` makes: sealed by the hashes of their files, and proved when opened."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lskd_nmt.data.text_form import TextForm
from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.header import digest
from lskd_nmt.storage.typed import Json, from_json, record, to_json

PROOF = "export.json"
MODEL, SUBWORDS = "model.bin", "spm.model"
MAP = "vmap.txt"  # CTranslate2's vocabulary map
HASHES = "sha256"
AGAIN = "export it again with lskd export"


@record
class MapFacts:
    """What export.json says of a vocabulary map: how it was made, and what its use costs on the split."""

    learned_from: str
    pairs: int
    candidates: int  # of each source symbol, at most
    common: int  # the most frequent target symbols, always allowed
    always: int  # symbols that are always allowed: these, and single characters
    source_symbols: int  # that allow more
    bytes: int  # of vmap.txt
    covered: float  # of the references' subwords, the share that the map allows for their source
    allowed: float  # target symbols that one sentence allows, on average
    target_symbols: int  # of all
    identical: int  # translations that are those without the map
    bleu_without: float
    bleu_with: float
    cpu_seconds_without: float  # of translating the split on one thread
    cpu_seconds_with: float

    def __str__(self) -> str:
        return (
            f"BLEU {self.bleu_with:.2f} with the vocabulary map and {self.bleu_without:.2f} without, at "
            f"{self.cpu_seconds_without / self.cpu_seconds_with:.2f} times the speed; a sentence allows "
            f"{self.allowed:,.0f} of {self.target_symbols:,} symbols, {100 * self.covered:.1f} % of the references'"
        )


@record
class Export:
    """What export.json says of a CTranslate2 folder; what older versions did not write has defaults."""

    to: str = "ctranslate2"
    quantization: str | None = None
    parameters: int | None = None
    sentences: int = 0  # that it was proved on
    identical: int = 0  # of these, translated as fairseq does
    bleu_fairseq: float | None = None
    bleu_ctranslate2: float | None = None
    tokenizer: str | None = None  # of these BLEU
    bytes: int | None = None  # of the weights
    source_lang: str | None = None
    target_lang: str | None = None
    form: str | None = None  # of the training text: raw or fairseq14; None of data that others prepared
    text: TextForm | None = None  # how text becomes their subwords, where the user gave what cuts it
    max_source_positions: int | None = None
    max_target_positions: int | None = None
    vocabulary_map: MapFacts | None = None
    sha256: dict[str, str] | None = None  # of every other file of the folder
    digest: str | None = None

    @property
    def positions(self) -> tuple[int | None, int | None]:
        """The most subwords of a source and of a translation, ends included, that the model takes; None: not known."""
        return self.max_source_positions, self.max_target_positions

    @property
    def is_sealed(self) -> bool:
        """Whether the folder's files were proved to be those that were exported."""
        return self.sha256 is not None


def export_json(export: Export) -> dict[str, Json]:
    """An export as export.json has it: without positions, text and map that are not known, and without empty hashes."""
    optional = ("text", "max_source_positions", "max_target_positions", "vocabulary_map", HASHES, "digest")
    return {name: value for name, value in to_json(export).items() if value is not None or name not in optional}


def seal(folder: Path, export: Export) -> Export:
    """The export with the hash of every file of the folder, and a digest of all of it, as `PROOF` is to hold it."""
    files = sorted(file for file in folder.iterdir() if file.name != PROOF)
    hashed = replace(export, sha256={file.name: sha256(file) for file in files})
    return replace(hashed, digest=digest(export_json(hashed)))


def open_folder(folder: Path) -> Export:
    """What `PROOF` says of a folder whose files are those that were exported; the defaults where there is none.

    A folder without hashes, as older versions made them, passes: see `Export.is_sealed`.
    """
    require((folder / MODEL).is_file(), f"{folder} has no {MODEL}: give a folder of lskd export --to ctranslate2")
    proof = folder / PROOF
    if not proof.exists():
        return Export()
    require(proof.is_file(), f"{proof} is no file: {AGAIN}")
    try:
        facts = read_json(proof)
    except (LskdError, OSError) as error:
        raise LskdError(f"{proof} cannot be read ({str(error).split(': ')[0]}): {AGAIN}") from None
    if "digest" in facts or HASHES in facts:
        hashes = facts.get(HASHES)
        if facts.get("digest") != digest(facts) or not isinstance(hashes, dict):
            raise LskdError(f"{proof} was edited or damaged: {AGAIN}")
        require_files(folder, hashes)
    return from_json(Export, facts, str(proof))


def require_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Refuse a folder with other files than those that were exported."""
    for name, wanted in hashes.items():
        file = folder / name
        require(file.is_file(), f"{folder} has no {name}, which was exported with it: copy it again, or {AGAIN}")
        kinds = "damaged, edited, or another model's"
        require(
            sha256(file) == wanted, f"{file} is not the file that was exported ({kinds}): copy it again, or {AGAIN}"
        )
    added = sorted(file.name for file in folder.glob("*vocabulary*") if file.name not in hashes)
    require(not added, f"{folder} holds {', '.join(added)}, which was not exported with it: remove it, or {AGAIN}")
