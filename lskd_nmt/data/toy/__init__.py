"""A seeded bilingual grammar: English sentences with German or Russian translations, made up on the spot."""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from lskd_nmt.data.toy import compose, english, german, russian
from lskd_nmt.data.toy.meaning import Sentence
from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage import folders

SOURCE = "en"
TARGETS: dict[str, Callable[[Sentence, Random], str]] = {"de": german.render, "ru": russian.render}
SPLITS = ("train", "valid", "test")
MOST_PAIRS = 300_000  # distinct sources beyond these become rare
SHORTEST, LONGEST = 4, 16  # words of a source sentence


def generate(source_lang: str, target_lang: str, pairs: int, seed: int) -> list[tuple[str, str]]:
    """`pairs` sentence pairs with distinct sources; equal arguments give equal bytes.

    The sources depend on the seed alone, so both target languages translate the same text.
    """
    _check(source_lang, target_lang, pairs)
    render, meanings, wording = TARGETS[target_lang], Random(f"meaning {seed}"), Random(f"{target_lang} {seed}")
    made: dict[str, str] = {}
    while len(made) < pairs:
        sentence = compose.sentence(meanings)
        source = english.render(sentence)
        if source not in made and SHORTEST <= len(source.split()) <= LONGEST:
            made[source] = render(sentence, wording)
    return list(made.items())


def write_corpus(out: Path, source_lang: str, target_lang: str, sizes: Mapping[str, int], seed: int) -> None:
    """Write `out/{train,valid,test}.{lang}` with `sizes` lines each and no source line twice.

    All files or none: `out` must not exist, or be an empty folder, and appears when all is written.
    """
    free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    require(free, f"{out} already exists and is not an empty folder: name a new one or delete it")
    require(set(sizes) == set(SPLITS), f"sizes for {', '.join(sizes) or 'nothing'}: give {', '.join(SPLITS)}")
    for split, size in sizes.items():
        require(size > 0, f"{split} size {size} is not positive: ask for at least 1 pair")
    pairs = generate(source_lang, target_lang, sum(sizes.values()), seed)
    files: dict[str, str] = {}
    for split in SPLITS:
        mine, pairs = pairs[: sizes[split]], pairs[sizes[split] :]
        for side, language in enumerate((source_lang, target_lang)):
            files[f"{split}.{language}"] = "".join(pair[side] + "\n" for pair in mine)
    try:
        _publish(out, files)
    except OSError as error:
        raise LskdError(f"cannot write {out} ({error.strerror}): choose a folder with room and rights") from error


def _publish(out: Path, files: Mapping[str, str]) -> None:
    place = out.resolve()
    if place.parent.exists() and not place.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    with folders.hold(place, "lskd toy") as held, folders.part_of(place, "lskd toy", held) as part:
        new = part / "corpus"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8", newline="\n")
        new.replace(place)


def require_languages(source_lang: str, target_lang: str) -> None:
    """Refuse a pair of languages that the grammar has not."""
    known = source_lang == SOURCE and target_lang in TARGETS
    options = " or ".join(f"{SOURCE}-{target}" for target in TARGETS)
    require(known, f"language pair {source_lang}-{target_lang} is not in the toy grammar: use {options}")


def _check(source_lang: str, target_lang: str, pairs: int) -> None:
    require_languages(source_lang, target_lang)
    require(pairs > 0, f"{pairs} pairs is not a positive number: ask for at least 1")
    require(pairs <= MOST_PAIRS, f"{pairs} pairs are more than the toy grammar has: ask for at most {MOST_PAIRS}")
