"""A sentencepiece model with fewer pieces, so that a text is cut as before and no other text loses a symbol.

D are the symbols of the dictionary, U those that the text uses. Kept are U, every piece of one character, what
sentencepiece finds by other means than scores (user-defined symbols, bytes), symbols that no piece has (a run of
characters that the model does not know is one symbol), and every piece of D that the kept ones do not spell.

So a text whose pieces were all in D still has no `<unk>`: a piece that went falls apart into kept ones. A text whose
pieces are all kept is cut as before: among the ways of cutting it (unigram) the best stays the best.

BPE joins pairs in the order of their scores, and a pair that is no longer there would leave others to be joined. So
all pieces stay in the file, and those that are not kept become `UNUSED`: sentencepiece joins them as ever, and parts
them again at the end. In unigram models they go.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor

from lskd_nmt.errors import reading, require, require_file

REMEDY = "give the spm.model that the model's data were prepared with"
LAST_RESORT = 1000.0  # nats below all others: a character that the dictionary lacks, where nothing else is left
UNIGRAM, BPE = 1, 2  # sentencepiece's kinds of models


class Pieces:
    """The pieces of a sentencepiece model by what they are; `UNKNOWN` and `CONTROL` ones are never cut from text."""

    def __init__(self, file: Path) -> None:
        require_file(file, REMEDY)
        with reading(file, "sentencepiece model", REMEDY):
            self.proto = parsed(file.read_bytes())
        kind = self.proto.trainer_spec.model_type
        whole = len(self.proto.pieces) > 0 and kind in (UNIGRAM, BPE)
        require(whole, f"{file} is no sentencepiece model of kind unigram or bpe: {REMEDY}")
        self.is_bpe = kind == BPE
        types = self.proto.SentencePiece.Type
        found = {
            name: {each.piece for each in self.proto.pieces if each.type == types.Value(name)}
            for name in ("NORMAL", "USER_DEFINED", "BYTE")
        }
        self.normal: set[str] = found["NORMAL"]
        self.fixed: set[str] = found["USER_DEFINED"] | found["BYTE"]
        self.all = {each.piece for each in self.proto.pieces}

    def __len__(self) -> int:
        """How many pieces text can be cut into."""
        return len(self.normal | self.fixed)

    def kept(self, symbols: Collection[str], used: Iterable[str]) -> set[str]:
        """What has to stay of a dictionary's `symbols` for a text that is cut into `used` ones: see this file's top."""
        known = {*symbols}
        found = known & {*used}
        found |= known & (self.fixed | {piece for piece in self.normal if len(piece) == 1})
        found |= self.unknown_runs(known - self.all)
        rest = sorted((known & self.normal) - found, key=lambda piece: (len(piece), piece))
        return self.parted(found, known, rest) if self.is_bpe else self.spelled(found, rest)

    def unknown_runs(self, symbols: Iterable[str]) -> set[str]:
        """Those of the symbols, none of which is a piece, that text can be cut into."""
        cut = literal(self.proto)
        return {symbol for symbol in symbols if cut(symbol) == [symbol]}

    def spelled(self, found: set[str], rest: Sequence[str]) -> set[str]:
        """`found`, and those of the rest, the shortest first, that it does not spell."""
        for piece in rest:
            if not spells(found, piece):
                found.add(piece)
        return found

    def parted(self, found: set[str], known: Collection[str], rest: Sequence[str]) -> set[str]:
        """`found`, and those of the rest, the shortest first, that would be parted into what is not `known`."""
        cut = literal(self.model(found))
        for _, some in groupby(rest, key=len):
            lost = [piece for piece in some if not {*cut(piece)} <= {*known}]
            if lost:
                found.update(lost)
                cut = literal(self.model(found))
        return found

    def model(self, kept: Collection[str]) -> Any:
        """The model, sentencepiece's own message, that cuts text into these pieces alone.

        A single character that is not kept is one that the dictionary lacks, and is cut where nothing else is left,
        unless all bytes are kept, which spell it.
        """
        proto = parsed(self.proto.SerializeToString())
        types = proto.SentencePiece.Type
        unused, normal = types.Value("UNUSED"), types.Value("NORMAL")
        lowest = min((each.score for each in proto.pieces if each.type == normal), default=0.0)
        of_bytes = [each.piece for each in proto.pieces if each.type == types.Value("BYTE")]
        has_bytes = bool(of_bytes) and all(piece in kept for piece in of_bytes)
        del proto.pieces[:]
        for each in self.proto.pieces:
            goes, is_single = each.type == normal and each.piece not in kept, len(each.piece) == 1
            if goes and (has_bytes if is_single else not self.is_bpe):
                continue
            added = proto.pieces.add()
            added.CopyFrom(each)
            if goes and not is_single:
                added.type = unused
            elif goes and not self.is_bpe:
                added.score = lowest - LAST_RESORT
        proto.trainer_spec.vocab_size = len(proto.pieces)
        return proto


def parsed(content: bytes) -> Any:
    """sentencepiece's message of a model's file, without the cuts of sample sentences that some have as a test."""
    proto: Any = import_module("sentencepiece.sentencepiece_model_pb2").ModelProto()  # made by protobuf, without types
    proto.ParseFromString(content)
    proto.DiscardUnknownFields()
    return proto


def literal(proto: Any) -> Callable[[str], list[str]]:
    """Cuts text by a model as it is, without normalisation, or a space before it."""
    bare = parsed(proto.SerializeToString())
    spec = bare.normalizer_spec
    spec.Clear()
    spec.name, spec.add_dummy_prefix, spec.remove_extra_whitespaces, spec.escape_whitespaces = "identity", *[False] * 3
    processor = SentencePieceProcessor(model_proto=bare.SerializeToString())
    return lambda text: list(processor.encode(text, out_type=str))


def spells(pieces: Collection[str], text: str) -> bool:
    """Whether the text is a row of these pieces."""
    if all(character in pieces for character in text):
        return True
    ends = {0}
    for end in range(1, len(text) + 1):
        if any(text[start:end] in pieces for start in ends):
            ends.add(end)
    return len(text) in ends
