"""A prepared data folder: what its last stage proves, and the record it leaves."""

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt import __version__
from lskd_nmt.data import bitext
from lskd_nmt.data.subwords import SPLITS, Subwords
from lskd_nmt.errors import require
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_json, sha256, write_json

INDEX_HEAD = struct.Struct("<9sQBQ")  # fairseq's .idx: magic, version, type code, number of sentences


def binarised_sentences(index: Path) -> int:
    """How many sentences a file of fairseq-preprocess (`.idx`) holds."""
    require(index.is_file(), f"{index} does not exist: run the binarise stage of data-prep/prepare.sh again")
    with index.open("rb") as stream:
        head = stream.read(INDEX_HEAD.size)
    is_index = len(head) == INDEX_HEAD.size and head.startswith(b"MMIDIDX")
    require(is_index, f"{index} is no fairseq index: run the binarise stage again")
    return int(INDEX_HEAD.unpack(head)[3])


def check(
    data: Path, langs: Sequence[str], facts: Mapping[str, Any], show: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Prove the folder's invariants and write `prep.json`: `facts`, counts, hashes.

    Both sides of every split are equally long, in text and in binary; both languages have one dictionary;
    decode(encode(line)) is the line itself in valid and test. A model that rewrites text by rules of its own, as those
    that were learned before `identity` do (`m²` becomes `m2`), is told of, and the lines that it changes are counted.
    """
    counts = {}
    subwords = Subwords(data / "spm" / "spm.model")
    changed: dict[str, int] = {}
    progress = Progress(bitext.count_lines(data / "clean" / f"train.{langs[0]}"), "pairs checked", show)
    for split in SPLITS:
        counts[split] = 0
        for number, pair in enumerate(bitext.bitext(str(data / "clean" / split), langs), 1):
            counts[split] = number
            if split == "train":
                progress.add(1)
                continue
            for lang, line in zip(langs, pair, strict=True):
                result = subwords.decode(subwords.encode([line]))[0]
                changed[split] = changed.get(split, 0) + (result != line)
                survives = result in (line, subwords.rewritten(line))
                require(
                    survives,
                    f"{data}/clean/{split}.{lang} line {number} does not survive its subwords: learn them again",
                )
        for lang in langs:
            index = data / "bin" / f"{split}.{langs[0]}-{langs[1]}.{lang}.idx"
            found = binarised_sentences(index)
            require(
                found == counts[split],
                f"{index} has {found} sentences, clean/{split}.{lang} has {counts[split]}: "
                f"remove {data}/bin and run again",
            )
    changed = {split: lines for split, lines in changed.items() if lines}
    for split, lines in changed.items():
        show(
            f"{data}/spm/spm.model rewrites {lines} lines of {split} by rules of its own, as m² to m2: "
            "no translation can match such a reference; prepare the data anew to keep them as they are"
        )
    for lang in langs:
        dictionary = data / "bin" / f"dict.{lang}.txt"
        require(dictionary.is_file(), f"{dictionary} does not exist: remove {data}/bin and run again")
    dictionaries = [(data / "bin" / f"dict.{lang}.txt").read_bytes() for lang in langs]
    require(dictionaries[0] == dictionaries[1], f"{data}/bin has two dictionaries: binarise with --joined-dictionary")
    texts = [f"clean/{split}.{lang}" for split in sorted(SPLITS) for lang in sorted(langs)]
    content = {
        **facts,
        "source_lang": langs[0],
        "target_lang": langs[1],
        "pairs": counts,
        "dropped_from_train": read_json(data / "clean" / "dropped.json"),
        "dictionary_symbols": dictionaries[0].count(b"\n"),
        **({"lines_changed_by_subwords": changed} if changed else {}),
        "sha256": {name: sha256(data / name) for name in [*texts, "spm/spm.model"]},
        "lskd_nmt": __version__,
    }
    write_json(data / "prep.json", content)
    return content
