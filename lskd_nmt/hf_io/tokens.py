"""A tokeniser of Hugging Face: text into symbols with all that the model wants around them, and back."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.hf_io.folders import CONFIG, library
from lskd_nmt.storage.files import read_json

SHOWN = 8  # names of languages in a message
LANGUAGE = re.compile(r"[a-z]{2,3}_[A-Za-z]{2,4}")  # a symbol such as eng_Latn or en_XX


@dataclass(frozen=True)
class Direction:
    """What the teacher is told about the text: its own names of the languages, a prefix, or a prompt."""

    source: str | None = None
    target: str | None = None
    prefix: str = ""
    prompt: str | None = None  # with {source}: the teacher is a language model
    langs: tuple[str | None, str | None] = (None, None)  # as the data name them, to be held against the model's


class HuggingFaceTokens:
    """The tokeniser of a folder, for one direction."""

    def __init__(self, folder: Path, direction: Direction) -> None:
        """`LskdError` if files are missing, the direction is another, or a language is not known."""
        transformers = library(str(folder))
        self.folder, self.direction = folder, direction
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        except Exception as error:
            raise LskdError(
                f"{folder} has no tokenizer that can be read ({reason(error)}): put the files that were saved with the "
                "model beside it (tokenizer_config.json with tokenizer.json, or source.spm, target.spm and vocab.json)"
            ) from None
        self.prefix = direction.prefix
        self.start = self.target_start()
        self.has_template = bool(direction.prompt and getattr(self.tokenizer, "chat_template", None))
        two_sided = hasattr(self.tokenizer, "spm_target")  # Marian, which would put targets together by the source's
        self.back: dict[str, bool] = {"use_source_tokenizer": False} if two_sided else {}

    def target_start(self) -> list[str]:
        """The symbols that every translation begins with; the source's language is set on the way."""
        name, wanted = f"the tokenizer of {self.folder}", self.direction
        codes = known_languages(self.tokenizer)
        if hasattr(self.tokenizer, "supported_language_codes"):  # Marian: one direction, or several targets
            self.require_own_direction()
            self.prefix = marian_prefix(codes, wanted, name)
            return []
        if not codes:
            given = wanted.source or wanted.target
            require(
                given is None,
                f"--teacher-source-lang or --teacher-target-lang is {given}, and {name} has no languages: leave them "
                "out, or say it in words, --teacher-prefix 'translate English to German: '",
            )
            return []
        source = known_language(wanted.source, codes, "--teacher-source-lang", name)
        target = known_language(wanted.target, codes, "--teacher-target-lang", name)
        self.tokenizer.src_lang = source
        return [getattr(self.tokenizer, "lang_code_to_token", {}).get(target, target)]

    def require_own_direction(self) -> None:
        """Refuse Marian's model of another direction than the data's."""
        own = self.tokenizer.source_lang, self.tokenizer.target_lang
        others = (
            (str(mine), str(theirs))
            for mine, theirs in zip(own, self.direction.langs, strict=True)
            if mine and theirs and len(str(mine)) == len(str(theirs)) and mine != theirs
        )
        wrong = next(others, None)
        require(
            wrong is None,
            f"{self.folder} translates from {own[0]} to {own[1]}, and the languages are "
            f"{self.direction.langs[0]} and {self.direction.langs[1]} (-s, -t): give the model of this direction",
        )

    def ends(self) -> list[str]:
        """The symbols that end an answer of the folder's language model; none where it does not say."""
        files = (self.folder / name for name in ("generation_config.json", CONFIG))
        said = [read_json(file).get("eos_token_id") for file in files if file.is_file()]
        first: Any = next((each for each in said if each is not None), [])
        numbers = [int(each) for each in (first if isinstance(first, list) else [first])]
        symbols: list[str] = self.tokenizer.convert_ids_to_tokens(numbers)
        return symbols

    def ids(self, line: str) -> list[int]:
        """A line as ids with everything around it."""
        found: list[int]
        if self.direction.prompt is None:
            found = self.tokenizer(self.prefix + line).input_ids
            return found
        text = self.direction.prompt.replace("{source}", line)
        if self.has_template:
            message = [{"role": "user", "content": text}]
            text = self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        found = self.tokenizer(text, add_special_tokens=not self.has_template).input_ids
        return found

    def encode(self, line: str) -> list[str]:
        """A line as symbols with everything around it."""
        symbols: list[str] = self.tokenizer.convert_ids_to_tokens(self.ids(line))
        return symbols

    def length(self, line: str) -> int:
        """The symbols of a line alone, without a prompt."""
        return len(self.ids(line) if self.direction.prompt is None else self.tokenizer(line).input_ids)

    def text(self, ids: Sequence[int]) -> str:
        """The text of a translation's ids."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, **self.back)).strip()

    def decode(self, symbols: Sequence[str]) -> str:
        """The text of a translation's symbols."""
        return self.text(self.tokenizer.convert_tokens_to_ids(list(symbols)))


def known_languages(tokenizer: Any) -> list[str]:
    """The languages as a tokenizer names them: none where it has no symbols for them."""
    if hasattr(tokenizer, "supported_language_codes"):
        return [code[2:-2] for code in tokenizer.supported_language_codes]
    if hasattr(tokenizer, "lang_code_to_token"):
        return sorted(tokenizer.lang_code_to_token)
    if not hasattr(tokenizer, "src_lang"):
        return []
    return language_symbols([*tokenizer.all_special_tokens, *tokenizer.get_added_vocab(), *tokenizer.get_vocab()])


def language_symbols(symbols: Iterable[str]) -> list[str]:
    """Those of a vocabulary's symbols that name a language, such as eng_Latn and en_XX."""
    return sorted({str(symbol) for symbol in symbols if LANGUAGE.fullmatch(str(symbol))})


def known_language(code: str | None, codes: Sequence[str], flag: str, name: str) -> str:
    """The code, if it is one of the codes; else `LskdError` with those near to it."""
    if code is None:
        raise LskdError(f"{name} knows {len(codes)} languages: give {flag}, such as {', '.join(codes[:SHOWN])}")
    if code not in codes:
        near = [each for each in codes if each[:2] == code[:2]]
        near = [*difflib.get_close_matches(code, codes, SHOWN, 0.5), *near] or list(codes)
        shown = ", ".join(dict.fromkeys(near[:SHOWN]))
        raise LskdError(f"{flag} is {code}, which {name} does not know: it has {shown}")
    return code


def marian_prefix(codes: Sequence[str], direction: Direction, name: str) -> str:
    """What stands before each source for Marian: of several target languages the one, >>deu<<."""
    if not codes or direction.prefix.lstrip().startswith(">>"):
        given = direction.target if not codes else None
        require(
            given is None or given in direction.langs,
            f"--teacher-target-lang is {given}, and {name} has one target language: leave it out",
        )
        return direction.prefix
    target = known_language(direction.target, codes, "--teacher-target-lang", name)
    return f">>{target}<< {direction.prefix}"
