"""A model's vocabulary in the order of fairseq's dictionary, which begins with `<s>`, `<pad>`, `</s>` and `<unk>`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lskd_nmt.errors import LskdError, reading, reason, require, require_file
from lskd_nmt.storage.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
EOS = SPECIAL.index("</s>")
SHOWN = 8  # names of languages in a message
LANGUAGE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")  # NLLB's
REMEDY = "fetch the model's whole folder again"


class Specials(NamedTuple):
    """The ids of fairseq's special symbols in a model; None where it has no such symbol."""

    bos: int | None
    pad: int
    eos: int
    unk: int


@dataclass(frozen=True)
class Vocabulary:
    """The symbols in fairseq's order, and each one's id in the model; None of a symbol that the model does not have."""

    symbols: list[str]
    ids: list[int | None]

    @property
    def missing(self) -> list[int]:
        """The places of the symbols that the model does not have."""
        return [place for place, number in enumerate(self.ids) if number is None]

    def rows(self, table: "Tensor") -> "Tensor":
        """A table with a row for each id in the order of the symbols; zeros where there is none.   (V', D) -> (V, D)"""
        import torch

        found = table[torch.tensor([number or 0 for number in self.ids])].clone()
        found[self.missing] = 0
        return found


@dataclass(frozen=True)
class Symbols:
    """Both vocabularies, how text is cut into their symbols, and the symbols of languages that lines begin with."""

    source: Vocabulary
    target: Vocabulary
    subwords: tuple[Path, Path]  # sentencepiece models of source and target, or twice the merges of BPE
    prefixes: tuple[str | None, str | None] = (None, None)
    tokeniser: tuple[Path, ...] = ()  # the files of transformers' tokeniser, where text is cut by that alone


def in_fairseqs_order(tokens: Mapping[str, int], size: int, specials: Specials) -> Vocabulary:
    """All `size` ids: fairseq's four symbols first, the others as they are; ids without a name are `madeupword…`.

    A name with a space in it, or one that stands in there already, cannot be a symbol of a dictionary: it is no name.
    """
    names = {number: token for token, number in tokens.items()}
    symbols, ids = dict.fromkeys(SPECIAL), list[int | None](specials)
    for number in range(size):
        if number not in specials:
            name = names.get(number, "")
            fits = name not in symbols and name.split() == [name]
            symbols[name if fits else f"madeupword{number:07}"] = None
            ids.append(number)
    require(len(symbols) == len(ids), f"a vocabulary has a symbol madeupword…, and is not to: {REMEDY}")
    return Vocabulary([*symbols], ids)


def token_ids(file: Path) -> dict[str, int]:
    """The ids of a vocabulary's file, JSON."""
    require_file(file, REMEDY)
    with reading(file, "vocabulary", REMEDY):
        found = read_json(file)
        if not all(isinstance(number, int) and number >= 0 for number in found.values()):
            raise ValueError("not all ids are whole numbers")
        return {name: int(str(number)) for name, number in found.items()}


def one_id(config: Any, name: str, folder: Path) -> int:
    """A special symbol's id, which the configuration must say."""
    found = getattr(config, name, None)
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, int):
        raise LskdError(f"{folder}: its {name} is {found}, and fairseq has one such symbol: not imported")
    return found


def named(folder: Path, flag: str, wanted: str | None, known: Mapping[str, str]) -> str:
    """The symbol of the language that a flag names; `known` are all of the model's, by their names."""
    some = ", ".join(sorted(known)[:SHOWN])
    if wanted is None:
        raise LskdError(f"{folder} knows several languages: name one with {flag}, such as {some}")
    if wanted not in known:
        raise LskdError(f"{flag} is {wanted}, which {folder} does not know: one of {some} …")
    return known[wanted]


def marian(folder: Path, config: Any, langs: Sequence[str | None]) -> Symbols:
    """Of MarianMT: sentencepiece's pieces, by vocab.json; a language is named by the source, as `>>deu<<`."""
    files = folder / "source.spm", folder / "target.spm"
    tokens = of_target = token_ids(folder / "vocab.json")
    if not config.share_encoder_decoder_embeddings:
        of_target = token_ids(folder / "target_vocab.json")
    pad, eos = one_id(config, "pad_token_id", folder), one_id(config, "eos_token_id", folder)

    def side(each: Mapping[str, int], size: int) -> Vocabulary:
        require("<unk>" in each, f"{folder}: its vocabulary has no <unk>: {REMEDY}")
        return in_fairseqs_order(each, size, Specials(each.get("<s>"), pad, eos, each["<unk>"]))

    source, target = side(tokens, config.vocab_size), side(of_target, config.decoder_vocab_size)
    known = {name[2:-2]: name for name in tokens if name.startswith(">>") and name.endswith("<<")}
    prefix = None
    if known:
        prefix = named(folder, "--teacher-target-lang", langs[1], known)
    else:
        other = next(filter(None, langs), None)
        require(other is None, f"{folder} has no symbols of languages: leave --teacher-…-lang {other} out")
    return Symbols(source, target, files, (prefix, None))


def several_languages(folder: Path, config: Any, langs: Sequence[str | None]) -> Symbols:
    """Of M2M100 and NLLB: both sides of a line begin with the symbol of their language."""
    from lskd_nmt.hf_io.folders import library

    try:
        tokenizer = library(str(folder)).AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:
        raise LskdError(f"{folder} has no tokeniser that transformers opens ({reason(error)}): {REMEDY}") from None
    if hasattr(tokenizer, "lang_token_to_id"):  # M2M100
        tokens = {**tokenizer.encoder, **tokenizer.lang_token_to_id}
        known = {code: f"__{code}__" for code in tokenizer.lang_code_to_id}
    else:
        tokens = tokenizer.get_vocab()
        known = {name: name for name in tokens if LANGUAGE.fullmatch(name)}
    whole = bool(known) and "<unk>" in tokens
    require(whole, f"{folder} has no symbols of languages, or no <unk>, which its kind of model needs: {REMEDY}")
    prefixes = [
        named(folder, f"--teacher-{side}-lang", lang, known)
        for side, lang in zip(("source", "target"), langs, strict=True)
    ]
    pad, eos = one_id(config, "pad_token_id", folder), one_id(config, "eos_token_id", folder)
    specials = Specials(tokens.get("<s>"), pad, eos, tokens["<unk>"])
    side = in_fairseqs_order(tokens, config.vocab_size, specials)
    file = folder / "sentencepiece.bpe.model"
    return Symbols(side, side, (file, file), (prefixes[0], prefixes[1]))


def fsmt(folder: Path, config: Any, langs: Sequence[str | None]) -> Symbols:
    """Of FSMT: the dictionaries of fairseq's WMT models, by vocab-src.json and vocab-tgt.json, and merges of BPE."""
    other = next(filter(None, langs), None)
    require(other is None, f"{folder} has no symbols of languages: leave --teacher-…-lang {other} out")
    numbers = [one_id(config, f"{name}_token_id", folder) for name in ("bos", "pad", "eos")]

    def side(name: str, size: int) -> Vocabulary:
        tokens = token_ids(folder / name)
        require("<unk>" in tokens, f"{folder / name} has no <unk>: {REMEDY}")
        specials = Specials(numbers[0], numbers[1], numbers[2], tokens["<unk>"])
        return in_fairseqs_order({as_subword_nmt(token): each for token, each in tokens.items()}, size, specials)

    merges = folder / "merges.txt"
    files = [folder / name for name in ("vocab-src.json", "vocab-tgt.json", "tokenizer_config.json")]
    source, target = side("vocab-src.json", config.src_vocab_size), side("vocab-tgt.json", config.tgt_vocab_size)
    return Symbols(source, target, (merges, merges), tokeniser=(merges, *files))


def as_subword_nmt(token: str) -> str:
    """A subword as fairseq's dictionaries have it: `@@` where the word goes on, and no `</w>` where it ends."""
    return token if token in SPECIAL else token.removesuffix("</w>") if token.endswith("</w>") else f"{token}@@"
