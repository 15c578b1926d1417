"""A prepared data folder: what its last stage proves, and the record it leaves."""

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lskd_nmt import __version__
from lskd_nmt.data import bitext, given
from lskd_nmt.data.subwords import SPLITS, Subwords
from lskd_nmt.errors import require
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_json, sha256, write_json
from lskd_nmt.storage.typed import Json

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
    data: Path, langs: Sequence[str], facts: Mapping[str, Json], show: Callable[[str], None] = lambda line: None
) -> dict[str, Json]:
    """Prove the folder's invariants and write `prep.json`: `facts`, counts, hashes.

    Both sides of every split are equally long, in text and in binary; both languages have one dictionary, or those that
    a teacher gave;
    decode(encode(line)) is the line itself in valid and test, but with BPE over Moses' tokens. A model that rewrites
    text by rules of its own, as those that were learned before `identity` do (`m²` becomes `m2`), is told of, and the
    lines that it changes are counted.
    """
    subwords = () if given.has_merges(data / "spm") else given.of_folder(data / "spm")
    progress = Progress(bitext.count_lines(data / "clean" / f"train.{langs[0]}"), "pairs checked", show)
    counts: dict[str, Json] = {}
    changed: dict[str, Json] = {}
    for split in SPLITS:
        count, lines = check_split(data, split, langs, subwords, progress.add)
        require_binarised(data, split, langs, count)
        counts[split] = count
        if lines:
            changed[split] = lines
            show(
                f"{data}/spm/spm.model rewrites {lines} lines of {split} by rules of its own, as m² to m2: "
                "no translation can match such a reference; prepare the data anew to keep them as they are"
            )
    texts = [f"clean/{split}.{lang}" for split in sorted(SPLITS) for lang in sorted(langs)]
    models = [f"spm/{name}" for name in (given.MODEL, *given.names(langs)) if (data / "spm" / name).is_file()]
    content: dict[str, Json] = {
        **facts,
        "source_lang": langs[0],
        "target_lang": langs[1],
        "pairs": counts,
        "dropped_from_train": read_json(data / "clean" / "dropped.json"),
        "dictionary_symbols": max(content.count(b"\n") for content in dictionaries(data, langs)),
        **({"lines_changed_by_subwords": changed} if changed else {}),
        "sha256": {name: sha256(data / name) for name in [*texts, *models]},
        "lskd_nmt": __version__,
    }
    write_json(data / "prep.json", content)
    return content


def check_split(
    data: Path, split: str, langs: Sequence[str], subwords: Sequence[Subwords], done: Callable[[int], None]
) -> tuple[int, int]:
    """How many pairs a split has, and how many of its lines the `subwords` rewrite; a line that they break is refused.

    Without `subwords` the pairs are only counted, and `done` hears of each.
    """
    count = changed = 0
    for count, pair in enumerate(bitext.bitext(str(data / "clean" / split), langs), 1):
        if split == "train":
            done(1)
            continue
        for lang, line, own in zip(langs, pair, subwords, strict=bool(subwords)):
            result = own.decode(own.encode([line]))[0]
            changed += result != line
            survives = result in (line, own.rewritten(line))
            place = f"{data}/clean/{split}.{lang} line {count}"
            require(survives, f"{place} does not survive its subwords: learn them again")
    return count, changed


def require_binarised(data: Path, split: str, langs: Sequence[str], count: int) -> None:
    """Refuse binarised sides of a split that have not `count` sentences."""
    for lang in langs:
        index = data / "bin" / f"{split}.{langs[0]}-{langs[1]}.{lang}.idx"
        found = binarised_sentences(index)
        require(
            found == count,
            f"{index} has {found} sentences, clean/{split}.{lang} has {count}: remove {data}/bin and run again",
        )


def dictionaries(data: Path, langs: Sequence[str]) -> tuple[bytes, bytes]:
    """The contents of both dictionaries: one, shared by both languages, or those that a teacher gave."""
    files = [data / "bin" / f"dict.{lang}.txt" for lang in langs]
    for dictionary in files:
        require(dictionary.is_file(), f"{dictionary} does not exist: remove {data}/bin and run again")
    first, second = (file.read_bytes() for file in files)
    if (data / "spm" / given.NAME).is_file():
        wanted = [(data / "spm" / file.name).read_bytes() for file in files]
        require(
            [first, second] == wanted, f"{data}/bin has other dictionaries than {data}/spm: remove it and run again"
        )
    else:
        require(first == second, f"{data}/bin has two dictionaries: binarise with --joined-dictionary")
    return first, second
