"""Subwords of subword-nmt (Sennrich et al. 2016), whose pieces end in `@@` inside of a word."""

import io
from collections.abc import Collection, Iterable
from pathlib import Path

from lskd_nmt.errors import LskdError, reading, require, require_file

CONTINUES = "@@"
MERGED = (2, 3)  # words of a line: a pair of symbols, in files of fastBPE with its count
FAST = "#version: 0.2\n"  # how fastBPE's files, which do not say so, mark the end of a word
REMEDY = "give what subword-nmt learn-bpe or fastBPE wrote (named code in fairseq's prepare-*.sh)"


def merges(codes: Path) -> str:
    """The content of a file of BPE codes as subword-nmt reads it; `LskdError` names the first line that is no merge."""
    require_file(codes, REMEDY)
    with reading(codes, "file of BPE codes", REMEDY):
        text = codes.read_text(encoding="utf-8")
    lines = text.rstrip("\n").split("\n")
    head = [lines.pop(0) + "\n"] if lines[0].startswith("#version:") else []
    found = [line.rstrip("\r ").split(" ") for line in lines]
    require(bool(found), f"{codes} holds no pair of symbols to merge: {REMEDY}")
    width = len(found[0])
    for number, words in enumerate(found, 1 + len(head)):
        fits = len(words) == width and width in MERGED and all(words) and (width == min(MERGED) or words[2].isdigit())
        require(fits, f"{codes} line {number} is {' '.join(words)[:60]!r}, and no pair of symbols to merge: {REMEDY}")
    if width == max(MERGED) and not head:
        head = [FAST]
    return "".join([*head, *(f"{words[0]} {words[1]}\n" for words in found)])


class Bpe:
    """Learned merges, which cut words into subwords and put them together again; beside `Subwords` of sentencepiece."""

    def __init__(self, codes: Path, vocabulary: Collection[str] = ()) -> None:
        """With a vocabulary, a subword that it lacks is cut into smaller ones, as by `apply-bpe --vocabulary`."""
        content = merges(codes)
        try:
            from subword_nmt.apply_bpe import BPE
        except ModuleNotFoundError:
            raise LskdError(f"{codes} needs subword-nmt: pip install subword-nmt") from None
        self.model = BPE(io.StringIO(content), vocab=set(vocabulary) or None)

    def pieces(self, line: str) -> list[str]:
        """The subwords of words with spaces between."""
        found: list[str] = self.model.segment_tokens(line.split())
        return found

    def encode(self, lines: Iterable[str]) -> list[str]:
        """Each line as subwords separated by spaces."""
        return [" ".join(self.pieces(line)) for line in lines]

    def decode(self, lines: Iterable[str]) -> list[str]:
        """The words of lines of subwords; of a last subword that no other follows, what there is."""
        return [f"{line} ".replace(f"{CONTINUES} ", "").strip() for line in lines]
