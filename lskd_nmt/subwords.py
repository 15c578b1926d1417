"""Sentencepiece: one model for both languages, learned from the training text alone."""

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from lskd_nmt.errors import LskdError, reading, require_file
from lskd_nmt.text import read_lines

SPLITS = ("train", "valid", "test")


def learn(files: Sequence[Path], prefix: Path, vocab_size: int, kind: str = "unigram") -> None:
    """Write `prefix.model` and `prefix.vocab`: every character of the text is covered; same text, same bytes."""
    lines = [line for file in files for line in read_lines(file)]
    model = io.BytesIO()  # a model written by path would hold that path, and no two folders the same bytes
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=vocab_size, model_type=kind,
            character_coverage=1.0, num_threads=1, minloglevel=2,
        )  # fmt: skip
    except RuntimeError as error:
        raise LskdError(complaint(str(error), vocab_size)) from None
    learned = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = (f"{learned.id_to_piece(i)}\t{learned.get_score(i):g}\n" for i in range(learned.get_piece_size()))
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for ending, content in (("vocab", "".join(pieces).encode()), ("model", model.getvalue())):
        part = Path(f"{prefix}.{ending}.part")
        part.write_bytes(content)
        part.replace(f"{prefix}.{ending}")


def complaint(message: str, vocab_size: int) -> str:
    """Sentencepiece's error about a size in our words, with the limit it names."""
    most = re.search(r"value <= (\d+)", message)
    if most:
        return f"--vocab-size is {vocab_size}: this text allows at most {most[1]}"
    least = re.search(r"required_chars\. \d+ vs (\d+)", message)
    if least:
        return f"--vocab-size is {vocab_size}: the characters of this text alone need {least[1]}"
    return f"sentencepiece cannot learn {vocab_size} subwords ({' '.join(message.split())[:200]}): change --vocab-size"


def joined(pieces: str) -> str:
    """A line of subwords as text: sentencepiece's, else those of BPE with `@@`."""
    if "▁" in pieces:
        return pieces.replace(" ", "").replace("▁", " ").strip()
    return f"{pieces} ".replace("@@ ", "").strip()


class Subwords:
    """A learned model."""

    def __init__(self, model: Path) -> None:
        require_file(model, "run the subwords stage of data-prep/prepare.sh")
        with reading(model, "sentencepiece model", "give the spm.model that the data were prepared with"):
            self.processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def encode(self, lines: Iterable[str]) -> list[str]:
        """Subwords separated by spaces."""
        return [" ".join(self.processor.encode(line, out_type=str)) for line in lines]

    def decode(self, lines: Iterable[str]) -> list[str]:
        """Text again."""
        return [self.processor.decode_pieces(line.split()) for line in lines]

    def first_loss(self, lines: Sequence[str]) -> int | None:
        """The number of the first line that does not survive encoding and decoding (normalised), or None."""
        decoded = self.decode(self.encode(lines))
        wanted = (self.processor.normalize(line).replace("▁", " ").strip() for line in lines)
        pairs = enumerate(zip(wanted, decoded, strict=True), 1)
        return next((number for number, (want, got) in pairs if want != got), None)
