"""The text that translations are scored against: the clean one, which the binarised one may no longer be."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.subwords import Subwords, joined
from lskd_nmt.data.tokenisation import looks_tokenised
from lskd_nmt.storage.files import read_json, read_lines

UNKNOWN = "<unk>"


@dataclass(frozen=True)
class References:
    """The lines of a split's target side, and how they are to be scored."""

    lines: list[str]
    form: str  # as lskd_nmt.evaluate.scoring takes it: raw, fairseq14 or tokenised
    source: str  # where the lines are from, in words
    changed_by_subwords: int | None  # lines that the data's sentencepiece model rewrites; None if it is not there


def references(data: Path, langs: tuple[str, str], split: str) -> References:
    """The references of a folder of fairseq-preprocess: the clean text beside it if it is the same, else what it holds.

    Binarised text has `<unk>` for what the dictionary lacks, and is as sentencepiece's normalisation left it.
    """
    pieces = fairseq_io.piece_lines(str(data), langs, split)[1]
    clean, prep = data.parent / "clean" / f"{split}.{langs[1]}", data.parent / "prep.json"
    model = next((file for file in (data / "spm.model", data.parent / "spm" / "spm.model") if file.is_file()), None)
    subwords = None if model is None else given.of_folder(model.parent)[1]
    form = str(read_json(prep).get("form", "raw")) if prep.is_file() else None
    if clean.is_file() and form is not None:
        lines = read_lines(clean)
        if is_text_of(pieces, lines, subwords):
            changed = subwords.normalises(lines) if subwords else None
            return References(lines, form, f"clean/{clean.name}", changed)
    lines = [joined(line) for line in pieces]
    unknown = sum(UNKNOWN in line.split() for line in pieces)
    form = form or ("tokenised" if looks_tokenised(lines) else "raw")
    return References(lines, form, f"binarised {split}, {unknown} of {len(lines)} lines with {UNKNOWN}", None)


def is_text_of(pieces: Sequence[str], lines: Sequence[str], subwords: Subwords | None) -> bool:
    """Whether these lines are what was binarised: equally many, and, by the subwords that are known, the same."""
    if len(lines) != len(pieces):
        return False
    wanted = subwords.encode(lines) if subwords else lines
    if subwords is None:  # subwords of another program: letters alone can be held against each other
        return all(
            UNKNOWN in piece.split() or letters(joined(piece)) == letters(line)
            for piece, line in zip(pieces, wanted, strict=True)
        )
    return all(same_pieces(piece.split(), line.split()) for piece, line in zip(pieces, wanted, strict=True))


def same_pieces(binarised: Sequence[str], encoded: Sequence[str]) -> bool:
    """Whether these are the same subwords, but for those that the dictionary lacks."""
    return len(binarised) == len(encoded) and all(
        one in (other, UNKNOWN) for one, other in zip(binarised, encoded, strict=True)
    )


def letters(line: str) -> str:
    """A line's letters and digits, lower-cased and normalised (NFKC)."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", line).lower()))
