"""Models that are to be compared: whether a path holds one, whether its vocabulary is the data's, how large it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.deploy.sealed import MAP, open_folder
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.storage.records import load
from lskd_nmt.teacher.vocabulary import differences, folder_symbols, stored_symbols

TRANSLATIONS = "translations"  # the kind of what is no model of ours: a file of translations of the split


@dataclass(frozen=True)
class Candidate:
    """A model on disk, or the translations of another translator, whose size is not known."""

    name: str
    path: str
    kind: str  # fairseq, ctranslate2 or translations
    quantization: str | None
    parameters: int | None
    megabytes: float | None  # of 10⁶ bytes; without the optimizer's state
    file_megabytes: float | None
    vocabulary_map: bool = False  # the folder has one, and it is to be used


def parse_models(words: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH …` as a dictionary, in order."""
    models: dict[str, Path] = {}
    for word in words:
        name, _, path = word.partition("=")
        require("=" in word and bool(path), f"--models has '{word}': give NAME=PATH, such as student=student.pt")
        require(
            bool(re.fullmatch(r"[\w.+-]+", name)),
            f"--models has the name '{name}': give letters, digits, and . _ + - only",
        )
        require(name not in models, f"--models has the name '{name}' twice: give each model its own")
        models[name] = Path(path)
    return models


def is_translations(path: Path) -> bool:
    """Whether a path names translations and not a model."""
    return path.suffix == ".hyp"


def own_direction(path: Path) -> tuple[str, str] | None:
    """Source and target language of a model, if it says them."""
    if path.is_file():
        return fairseq_io.trained_direction(str(path))
    try:
        export = open_folder(path)
    except LskdError:
        return None  # `examine` says why
    return (export.source_lang, export.target_lang) if export.source_lang and export.target_lang else None


def examine(name: str, path: Path, symbols: DictionaryPair, use_map: bool = True) -> Candidate:
    """The model at a path with its size; refused are paths without a model and models of another vocabulary.

    `use_map`: a vocabulary map of the folder is used, and weighs.
    """
    require(
        path.exists(),
        f"model '{name}': {path} does not exist: give a fairseq checkpoint (.pt) or a folder of "
        "lskd export --to ctranslate2, or translations of the split (.hyp)",
    )
    if is_translations(path):
        return Candidate(name, str(path), TRANSLATIONS, None, None, None, None)
    return examine_folder(name, path, symbols, use_map) if path.is_dir() else examine_checkpoint(name, path, symbols)


def examine_checkpoint(name: str, path: Path, symbols: DictionaryPair) -> Candidate:
    """A fairseq checkpoint with its size; one that does not name its symbols must at least have as many."""
    state = fairseq_io.read_checkpoint(str(path), f"model '{name}'")
    theirs = stored_symbols(state, symbols.langs) or folder_symbols(state, str(path), symbols.langs)
    if theirs is not None:
        require_vocabulary(name, theirs, symbols)
    for side, ours in (("encoder", symbols.source), ("decoder", symbols.target)):
        table = state["model"].get(f"{side}.embed_tokens.weight")
        if table is None:
            raise LskdError(f"model '{name}': {path} has no {side} with an embedding: give a transformer")
        require(
            len(table) == len(ours),
            f"model '{name}' has {len(table)} symbols in its {side} and the data's "
            f"dictionary {len(ours)}: give --data that it was trained on",
        )
    size = sum(tensor.nbytes for tensor in fairseq_io.weights(state).values())
    return Candidate(
        name,
        str(path),
        "fairseq",
        None,
        fairseq_io.parameter_count(state),
        megabytes(size),
        megabytes(path.stat().st_size),
    )


def examine_folder(name: str, path: Path, symbols: DictionaryPair, use_map: bool) -> Candidate:
    """A CTranslate2 folder with its size, that of its vocabulary map included if it is used."""
    file = path / "model.bin"
    try:
        export = open_folder(path)
    except LskdError as error:
        raise LskdError(f"model '{name}': {error}") from None
    require_vocabulary(name, folder_vocabulary(name, path, symbols.langs), symbols)
    has_map = use_map and export.vocabulary_map is not None
    size = megabytes(sum(each.stat().st_size for each in (file, *([path / MAP] if has_map else []))))
    return Candidate(name, str(path), "ctranslate2", export.quantization, export.parameters, size, size, has_map)


def folder_vocabulary(name: str, path: Path, langs: tuple[str, str]) -> DictionaryPair:
    """The symbols of a CTranslate2 folder on both sides, with fairseq's names for the special ones."""
    files = [
        next(
            (file for file in (path / f"{side}_vocabulary.json", path / "shared_vocabulary.json") if file.is_file()),
            None,
        )
        for side in ("source", "target")
    ]
    lists = []
    for file in files:
        if file is None:
            raise LskdError(f"model '{name}': {path} has no vocabulary: export it again with lskd export")
        lists.append(["<pad>" if symbol == "<blank>" else str(symbol) for symbol in load(file, list)])
    return DictionaryPair(lists[0], lists[1], langs)


def require_vocabulary(name: str, theirs: DictionaryPair, ours: DictionaryPair) -> None:
    """Refuse a model of other symbols than the data's."""
    for side in ("source", "target"):
        lists: tuple[list[str], list[str]] = getattr(theirs, side), getattr(ours, side)
        where = differences(*lists)
        require(
            not where,
            f"model '{name}' has another {side} vocabulary than the data ({len(lists[0])} and "
            f"{len(lists[1])} symbols, {len(where)} indices differ, the first is {[*where, 0][0]}): "
            "give --data that it was trained on",
        )


def megabytes(size: int) -> float:
    """Bytes as megabytes of 10⁶ bytes."""
    return round(size / 1e6, 3)
