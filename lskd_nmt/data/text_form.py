"""Between text and the subwords of binarised data: which file cuts words, and how text was made words before.

Folders of `data-prep/prepare.sh` say so themselves. For data of others the user gives the file once, and the words tell
the rest.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt.data.bpe import Bpe
from lskd_nmt.data.subwords import Subwords, joined
from lskd_nmt.data.tokenisation import FORMS, Tokenisation, found_in, looks_tokenised
from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage.typed import record

SPM, CODES = "spm.model", "bpe.codes"  # in a folder
SAME_SUBWORDS = 0.5  # of the lines of a split, at least, that are cut as they are in the data
HOW = "give --spm FILE, or --bpe-codes FILE (code of fairseq's prepare-*.sh, bpecodes beside published models)"


@dataclass(frozen=True)
class Stated:
    """What the user says of data that others prepared; None: as the folder or the words tell."""

    spm: Path | None = None  # a sentencepiece model
    bpe_codes: Path | None = None  # of subword-nmt; the source language's, if both have their own
    form: str | None = None  # raw or moses

    def __post_init__(self) -> None:
        require(self.form is None or self.form in FORMS, f"--form is {self.form}: one of {', '.join(FORMS)}")
        twice = self.spm is not None and self.bpe_codes is not None
        require(not twice, "--spm and --bpe-codes are both given: the data have one kind of subwords")

    def subwords(self, data: Path) -> "SubwordFile":
        """The file that cuts words: what is given, or what lies in the folder."""
        if self.spm is not None:
            return SubwordFile(self.spm, SPM)
        if self.bpe_codes is not None:
            return SubwordFile(self.bpe_codes, CODES)
        found = next((SubwordFile(data / name, name) for name in (SPM, CODES) if (data / name).is_file()), None)
        if found is None:
            raise LskdError(f"--data {data} has no {SPM}: {HOW}")
        return found

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return self == Stated()


@dataclass(frozen=True)
class SubwordFile:
    """A file that cuts words into subwords, and which kind it is: the name that it has in folders."""

    file: Path
    name: str

    @property
    def is_bpe(self) -> bool:
        """Whether it holds merges of subword-nmt, and is no model of sentencepiece."""
        return self.name == CODES

    def own_lines(self, source: Sequence[str], target: Sequence[str]) -> list[str]:
        """What the file has cut: merges may be of the source alone, since a translation only has to be joined."""
        return [*source, *([] if self.is_bpe else target)]

    def open(self, vocabulary: Collection[str] = ()) -> Subwords | Bpe:
        """What cuts; a subword of BPE that the vocabulary lacks is cut again."""
        return Bpe(self.file, vocabulary) if self.is_bpe else Subwords(self.file)


@record
class TextForm:
    """How text becomes a model's subwords, and its translations become text: what `export.json` keeps."""

    subwords: str  # the file's name in the folder
    source: Tokenisation
    target: Tokenisation
    lines: int = 0  # of the data that were looked at; those of the source alone with merges
    same_subwords: int = 0  # of these, cut as they are in the data
    comes_out: str = ""  # for people

    def __str__(self) -> str:
        return f"text goes in as {self.source}, and comes out {self.comes_out}"


def text_form(
    cut: SubwordFile, sides: tuple[Sequence[str], Sequence[str]], langs: tuple[str, str], stated: Stated, same: int
) -> TextForm:
    """The form of data whose lines of subwords these are, source and target; the file cuts `same` of them alike."""
    source, target = (
        found_in(list(map(joined, side)), lang, stated.form) for side, lang in zip(sides, langs, strict=True)
    )
    return TextForm(cut.name, source, target, len(cut.own_lines(*sides)), same, described(target))


def described(target: Tokenisation) -> str:
    """What comes out of a model of such data."""
    text = "detokenised by Moses' rules" if target.moses else "as the data's words are written"
    return f"{text}, in lower case" if target.lowercase else text


def require_cut_alike(cut: SubwordFile, lines: Sequence[str], vocabulary: Collection[str], split: str) -> int:
    """Refuse a file that does not cut words as the data are cut: that of others; how many lines it cuts alike."""
    try:
        again = cut.open(vocabulary).encode(map(joined, lines))
    except Exception as error:  # sentencepiece has no error of its own
        if cut.is_bpe:
            raise
        reason = " ".join(str(error).split())[:200]
        what = f"{cut.file} is no sentencepiece model ({reason})"
        raise LskdError(f"{what}: copy it from the data's spm folder") from None
    same = sum(map(str.__eq__, lines, again))
    found = f"{cut.file} cuts {same} of the {len(lines)} lines of {split} as they are in the data"
    require(same >= SAME_SUBWORDS * len(lines), f"{found}: it is of other data; copy that of these")
    return same


def advise(lines: Iterable[str], show: Callable[[str], None]) -> None:
    """Say of data with a sentencepiece model and nothing more, if so, that they are tokenised."""
    if looks_tokenised(list(map(joined, lines))):
        show("the data look tokenised, and text will go in and come out as it is: give --spm FILE to have it tokenised")
