"""A prepared data folder: what its last stage proves, and the record it leaves."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt import __version__, text
from lskd_nmt.errors import require
from lskd_nmt.runs import sha256, write_json
from lskd_nmt.subwords import SPLITS, Subwords

INDEX_HEAD = struct.Struct("<9sQBQ")  # fairseq's .idx: magic, version, type code, number of sentences


def binarised_sentences(index: Path) -> int:
    """How many sentences a file of fairseq-preprocess (`.idx`) holds."""
    require(index.is_file(), f"{index} does not exist: run the binarise stage of data-prep/prepare.sh again")
    magic, _, _, sentences = INDEX_HEAD.unpack(index.read_bytes()[: INDEX_HEAD.size])
    require(magic.startswith(b"MMIDIDX"), f"{index} is no fairseq index: run the binarise stage again")
    return int(sentences)


def check(data: Path, langs: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Prove the folder's invariants and write `prep.json`: `facts`, counts, hashes.

    Both sides of every split are equally long, in text and in binary; both languages have one dictionary;
    decode(encode(line)) is the normalised line on the validation set.
    """
    counts = {}
    subwords = Subwords(data / "spm" / "spm.model")
    for split in SPLITS:
        pairs = text.read_bitext(str(data / "clean" / split), langs)
        counts[split] = len(pairs)
        for side, lang in enumerate(langs):
            index = data / "bin" / f"{split}.{langs[0]}-{langs[1]}.{lang}.idx"
            found = binarised_sentences(index)
            require(found == len(pairs), f"{index} has {found} sentences, clean/{split}.{lang} has {len(pairs)}: "
                                         f"remove {data}/.done/binarise and run again")  # fmt: skip
            lost = subwords.first_loss([pair[side] for pair in pairs]) if split == "valid" else None
            require(lost is None, f"{data}/clean/{split}.{lang} line {lost} does not survive its subwords: "
                                  "train them on text with the same characters")  # fmt: skip
    dictionaries = [(data / "bin" / f"dict.{lang}.txt").read_bytes() for lang in langs]
    require(dictionaries[0] == dictionaries[1], f"{data}/bin has two dictionaries: binarise with --joined-dictionary")
    files = [*sorted((data / "clean").glob("*.*")), data / "spm" / "spm.model"]
    dropped = json.loads((data / "clean" / "dropped.json").read_text(encoding="utf-8"))
    content = {
        **facts,
        "source_lang": langs[0],
        "target_lang": langs[1],
        "pairs": counts,
        "dropped_from_train": dropped,
        "dictionary_symbols": dictionaries[0].count(b"\n"),
        "sha256": {str(f.relative_to(data)): sha256(f) for f in files if f.suffix != ".json"},
        "lskd_nmt": __version__,
    }
    write_json(data / "prep.json", content)
    return content
