"""What cuts text for a model of CTranslate2: its own sentencepiece files, or a tokeniser of Hugging Face."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from lskd_nmt.data.bitext import normalised
from lskd_nmt.data.moses import detokenised, tokenised
from lskd_nmt.data.subwords import Subwords
from lskd_nmt.errors import LskdError, require
from lskd_nmt.hf_io.tokens import Direction, HuggingFaceTokens, known_language, language_symbols
from lskd_nmt.storage.files import read_json, read_lines, read_list

POSITIONS = 512  # symbols of a sentence where a model does not say how many it takes
VOCABULARIES = ("shared_vocabulary", "source_vocabulary", "vocabulary")
GENERATOR = "vocabulary"  # the one of a language model
SPM = (("source.spm", "target.spm"), ("spm.model", "spm.model"))
OF_HUGGING_FACE = ("tokenizer_config.json", "tokenizer.json")
ENOUGH = 0.9  # of a text's symbols, at least, that a model has to know


class TextTokens(Protocol):
    """Cuts lines of text into a model's symbols, and puts symbols together."""

    start: list[str]  # what every translation begins with

    def encode(self, line: str) -> list[str]:
        """A line as symbols with all that the model wants around them."""

    def decode(self, symbols: Sequence[str]) -> str:
        """The text of a translation's symbols."""

    def length(self, line: str) -> int:
        """The symbols of a line alone, without a prompt."""


@dataclass(frozen=True)
class Converted:
    """What CTranslate2's folder says of itself."""

    add_source_bos: bool
    add_source_eos: bool
    eos_token: str
    is_language_model: bool
    positions: int
    form: str  # of the text that it was trained with: raw or fairseq14
    langs: tuple[str | None, str | None]  # source and target; None where it does not say


class SentencepieceTokens:
    """The sentencepiece files beside a model of CTranslate2."""

    def __init__(self, folder: Path, files: tuple[str, str], direction: Direction) -> None:
        """`files` cut the source and put the translation together."""
        self.source, self.target = Subwords(folder / files[0]), Subwords(folder / files[1])
        self.facts, self.direction = converted_facts(folder), direction
        self.before: list[str] = []
        self.start: list[str] = []
        codes = language_symbols(vocabulary(folder))
        given = [code for code in (direction.source, direction.target) if code]
        if codes or given:
            name = f"the vocabulary of {folder}"
            require(bool(codes), f"the language is {given[:1]}, and {name} names none: leave --teacher-*-lang out")
            self.before = [known_language(direction.source, codes, "--teacher-source-lang", name)]
            self.start = [known_language(direction.target, codes, "--teacher-target-lang", name)]

    def encode(self, line: str) -> list[str]:
        """See `TextTokens`."""
        text = self.direction.prefix + normalised(line)
        if self.facts.form == "fairseq14":
            text = tokenised([text.strip()], self.direction.langs[0] or "en", escape=True)[0].lower()
        end = [] if self.facts.add_source_eos else [self.facts.eos_token]
        return [*self.before, *self.source.pieces(text), *end]

    def decode(self, symbols: Sequence[str]) -> str:
        """See `TextTokens`."""
        text = self.target.decode([" ".join(symbols)])[0]
        if self.facts.form == "fairseq14":
            text = detokenised([text], self.direction.langs[1] or "en")[0]
        return text.strip()

    def length(self, line: str) -> int:
        """See `TextTokens`."""
        return len(self.encode(line))


def converted_facts(folder: Path) -> Converted:
    """What the folder says; `LskdError` if it is none of CTranslate2's."""
    needed = "give a folder that a converter of CTranslate2 or lskd export --to ctranslate2 made"
    require((folder / "model.bin").is_file(), f"{folder} has no model.bin: {needed}")
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    export = read_json(folder / "export.json") if (folder / "export.json").is_file() else {}
    said = [export.get(name) for name in ("max_source_positions", "max_target_positions")]
    limits = [limit - 1 for limit in said if isinstance(limit, int) and limit > 1]  # each with its end
    return Converted(
        bool(config.get("add_source_bos", False)),
        bool(config.get("add_source_eos", False)),
        str(config.get("eos_token") or "</s>"),
        vocabulary_file(folder).stem == GENERATOR,
        min(limits, default=POSITIONS),
        str(export.get("form") or "raw"),
        (export.get("source_lang"), export.get("target_lang")),
    )


def vocabulary_file(folder: Path) -> Path:
    """The file with the symbols of sources."""
    for name in VOCABULARIES:
        for ending in ("json", "txt"):
            if (folder / f"{name}.{ending}").is_file():
                return folder / f"{name}.{ending}"
    raise LskdError(f"{folder} has none of {', '.join(f'{name}.json' for name in VOCABULARIES)}: convert it again")


def vocabulary(folder: Path) -> list[str]:
    """The symbols of sources that the model knows."""
    file = vocabulary_file(folder)
    return [str(each) for each in (read_list(file) if file.suffix == ".json" else read_lines(file))]


def tokens_of(folder: Path, tokenizer: Path | None, direction: Direction) -> Callable[[], TextTokens]:
    """What opens the tokeniser of CTranslate2's folder: that given, else that of the files beside the model."""
    if tokenizer is None and any((folder / name).is_file() for name in OF_HUGGING_FACE):
        tokenizer = folder
    if tokenizer is not None:
        return partial(HuggingFaceTokens, tokenizer, direction)
    own = [(f"spm.{direction.langs[0]}.model", "spm.model")]  # of a student whose dictionary was imported
    for files in [*own, *SPM]:
        if all((folder / name).is_file() for name in files):
            return partial(SentencepieceTokens, folder, files, direction)
    raise LskdError(
        f"{folder} has no tokenizer beside its model.bin: put source.spm and target.spm, spm.model, or tokenizer.json "
        "and tokenizer_config.json there, or name them with --teacher-tokenizer hf:DIR"
    )


def require_own_tokens(folder: Path, tokens: TextTokens, lines: Sequence[str]) -> None:
    """Refuse a tokeniser of another model: one that cuts the lines into symbols which the model's vocabulary lacks."""
    known = set(vocabulary(folder))
    symbols = [symbol for line in lines for symbol in tokens.encode(line)]
    share = sum(symbol in known for symbol in symbols) / max(len(symbols), 1)
    file = vocabulary_file(folder)
    require(
        share >= ENOUGH,
        f"{file} knows {100 * share:.0f} % of the symbols of the first {len(lines)} lines, which are to be 90 %: "
        "the tokenizer is of another model; give its own with --teacher-tokenizer hf:DIR",
    )
    lost = [symbol for symbol in tokens.start if symbol not in known]
    require(not lost, f"{file} does not know {', '.join(lost)}: the tokenizer is of another model, give its own")
