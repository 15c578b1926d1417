"""Sentencepiece: one model for both languages, learned from the training text alone."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

import sentencepiece

from lskd_nmt.data.bitext import lines_of, written
from lskd_nmt.errors import LskdError, reading, require, require_file
from lskd_nmt.progress import waiting

T = TypeVar("T")
SPLITS = ("train", "valid", "test")
SENTENCES = 5_000_000  # lines that are learned from if not said otherwise, and for unigram
CHARACTERS = 150_000_000  # of text: sentencepiece holds 19 bytes for each, 3 GB in all
LONGEST = 4192  # bytes: sentencepiece passes over longer lines without a word
RESERVED = "\u2585"  # ▅, and over lines with this sign, which is its own
LANGUAGE = re.compile(r"__[a-z]{2,8}__|[a-z]{3}_[A-Z][a-z]{3}|>>[\w-]+<<")  # symbols of M2M100, NLLB and Marian
SYMBOLS = frozenset({"<s>", "</s>", "<unk>", "<pad>"})  # of sentencepiece and fairseq: in text they are characters


def learn(
    files: Sequence[Path],
    prefix: Path,
    vocab_size: int,
    kind: str = "unigram",
    sentences: int | None = None,
    show: Callable[[str], None] = lambda line: None,
    seed: int = 1,
) -> dict[str, int]:
    """Write `prefix.model` and `prefix.vocab`; answers how many `lines` there are and how many are `learned_from`.

    Every character that was learned from is covered; same text, same bytes. At most `sentences` lines are learned
    from, drawn uniformly from all files; if that is not given, as many as fit into 4 GB of memory. The model leaves
    text as it is: `bitext.normalised` has been there before.
    """
    lines = characters = 0
    for line in lines_of_all(files):
        lines += 1
        characters += len(line)
    count = min(lines, SENTENCES if sentences is None else sentences)
    if sentences is None and kind == "unigram":
        count = min(count, lines * CHARACTERS // max(characters, CHARACTERS))
    sample = sampled(lines_of_all(files), lines, count, seed)
    with waiting(f"learning {vocab_size:,} subwords from {count:,} of {lines:,} lines", show):
        try:
            model = trained(sample, vocab_size, kind)
        except RuntimeError as error:
            raise LskdError(complaint(str(error), vocab_size, files)) from None
        except MemoryError:
            raise LskdError(f"no memory to learn subwords from {count:,} lines: give fewer, --spm-sentences") from None
    learned = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = (f"{learned.id_to_piece(i)}\t{learned.get_score(i):g}\n" for i in range(learned.get_piece_size()))
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for ending, content in (("vocab", "".join(pieces).encode()), ("model", model)):
        with written(Path(f"{prefix}.{ending}")) as stream:
            stream.write(content)
    return {"lines": lines, "learned_from": count}


def trained(lines: Iterable[str], vocab_size: int, kind: str) -> bytes:
    """Sentencepiece's model of these lines; `kind` is unigram or bpe."""
    model = io.BytesIO()  # a model written by path would hold that path, and no two folders the same bytes
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(part for line in lines for part in portions(line)),
        model_writer=model,
        vocab_size=vocab_size,
        model_type=kind,
        normalization_rule_name="identity",
        character_coverage=1.0,
        num_threads=1,
        max_sentence_length=LONGEST,
        minloglevel=2,
    )
    return model.getvalue()


def lines_of_all(files: Sequence[Path]) -> Iterator[str]:
    """The lines of several files in a row."""
    return (line for file in files for line in lines_of(file))


def sampled(lines: Iterable[T], total: int, count: int, seed: int) -> Iterator[T]:
    """`count` of `total` lines, in order, each subset as likely as any other (selection sampling)."""
    draw, wanted = Random(seed), count
    for number, line in enumerate(lines):
        if wanted == total - number or draw.random() * (total - number) < wanted:
            wanted -= 1
            yield line


def portions(line: str) -> Iterator[str]:
    """A line in portions that sentencepiece learns from: itself if it is short, else cut at spaces, or within words."""
    line = line.replace(RESERVED, " ")
    if len(line.encode()) <= LONGEST:
        yield line
        return
    most, portion = LONGEST // 4, ""  # characters of a word, each of at most 4 bytes
    for word in (whole[start : start + most] for whole in line.split() for start in range(0, len(whole), most)):
        if portion and len(f"{portion} {word}".encode()) > LONGEST:
            yield portion
            portion = word
        else:
            portion = f"{portion} {word}".strip()
    yield portion


def complaint(message: str, vocab_size: int, files: Sequence[Path]) -> str:
    """Sentencepiece's error in our words; where it is about the size, with the limit that it names."""
    most = re.search(r"value <= (\d+)", message)
    if most:
        return f"--vocab-size is {vocab_size}: this text allows at most {most[1]}"
    least = re.search(r"required_chars\. \d+ vs (\d+)", message)
    if least:
        return f"--vocab-size is {vocab_size}: the characters of this text alone need {least[1]}"
    names = " and ".join(map(str, files))
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return f"{names} hold no words to learn subwords from: give text"
    return f"sentencepiece learns nothing from {names} ({' '.join(message.split())[:200]})"


def joined(pieces: str) -> str:
    """A line of subwords as text: sentencepiece's, else those of BPE with `@@`."""
    if "▁" in pieces:
        return "".join(without_language(pieces.split(" "))).replace("▁", " ").strip()
    return f"{pieces} ".replace("@@ ", "").strip()


def without_language(pieces: list[str]) -> list[str]:
    """Sentencepiece's pieces without the symbol of a language before the first; a piece of text begins with ▁ there."""
    return pieces[1:] if pieces and LANGUAGE.fullmatch(pieces[0]) else pieces


def has_settings(model: bytes) -> bool:
    """Whether a file of sentencepiece's holds, behind its subwords, how they were learned and how text is normalised.

    Sentencepiece itself loads a file that was cut between two subwords. It is a row of fields: a byte with the field's
    number (1: a subword, 2 and 3: these settings), the length in sevens of bits, the lowest first, and the content.
    """
    fields, at = set(), 0
    while at < len(model):
        fields.add(model[at] >> 3)
        length, shift, more = 0, 0, True
        while more and at + 1 < len(model):
            at += 1
            length |= (model[at] & 0x7F) << shift
            shift, more = shift + 7, model[at] > 0x7F
        at += 1 + length + more  # beyond the end, if the length is not whole
    return at == len(model) and {2, 3} <= fields


class Subwords:
    """A learned sentencepiece model, which cuts text into subwords and puts them together again.

    `prefix` is a symbol that every line begins with, as that of a language: see `given`.
    """

    def __init__(self, model: Path, prefix: str | None = None) -> None:
        self.prefix = [] if prefix is None else [prefix]
        require_file(model, "run the subwords stage of data-prep/prepare.sh")
        with reading(model, "sentencepiece model", "give the spm.model that the data were prepared with"):
            self.processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        require(
            has_settings(model.read_bytes()),
            f"{model} is no readable sentencepiece model (it ends too early): "
            "give the spm.model that the data were prepared with",
        )

    def pieces(self, line: str) -> list[str]:
        """A line's subwords; what looks like a symbol of fairseq's, such as `<s>`, is text: its characters."""
        found: list[str] = self.processor.encode(line, out_type=str)
        if not SYMBOLS.isdisjoint(found):
            found = [part for piece in found for part in (piece if piece in SYMBOLS else [piece])]
        return [*self.prefix, *found] if self.prefix else found

    def encode(self, lines: Iterable[str]) -> list[str]:
        """Each line as subwords separated by spaces."""
        return [" ".join(self.pieces(line)) for line in lines]

    def decode(self, lines: Iterable[str]) -> list[str]:
        """The text of lines of subwords; those that are no pieces of this model are put together all the same."""
        texts = (str(self.processor.decode_pieces(without_language(line.split()))) for line in lines)
        return [text.replace("▁", " ").strip() if "▁" in text else text for text in texts]

    def changed(self, lines: Iterable[str]) -> Iterator[int]:
        """The numbers of the lines that are other text after encoding and decoding."""
        return (number for number, line in enumerate(lines, 1) if self.decode(self.encode([line])) != [line])

    def normalises(self, lines: Iterable[str]) -> int:
        """How many lines are other text after encoding and decoding: no translation can match such a reference.

        Models of ours leave text that `bitext.normalised` has seen as it is; others may write `m2` for `m²`.
        """
        return sum(1 for _ in self.changed(lines))

    def rewritten(self, line: str) -> str:
        """A line as the model's own rules write it: as it is, but by models with such as sentencepiece's `nmt_nfkc`."""
        return str(self.processor.normalize(line)).replace("▁", " ").strip()

    def first_loss(self, lines: Iterable[str]) -> int | None:
        """The number of the first line that does not survive encoding and decoding as it is written, or None."""
        return next(self.changed(lines), None)
