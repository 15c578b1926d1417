"""Binarised folders: their languages, symbols and sentence pairs, read and written."""

import struct
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.errors import LskdError, reading, require
from lskd_nmt.fairseq_io.binarised import require_whole
from lskd_nmt.fairseq_io.dictionaries import dictionaries

if TYPE_CHECKING:
    import numpy as np
    from fairseq.data import LanguagePairDataset
    from fairseq.tasks import FairseqTask
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from lskd_nmt.fairseq_io.types import IntegerType

COUNTED = 10_000  # sentences counted at a time


def language_pair(folder: str) -> tuple[str, str]:
    """Source and target language of a binarised folder, from its file names."""
    from fairseq.data import data_utils

    source, target = data_utils.infer_language_pair(folder)
    require(
        None not in (source, target),
        f"data folder {folder} holds no train.SRC-TGT.* files: give the output folder of fairseq-preprocess",
    )
    return source, target


def is_translation(task: "FairseqTask") -> bool:
    """Whether the task is fairseq's `translation` itself, whose pairs reach the model as they are on disk."""
    from fairseq.tasks.translation import TranslationTask

    return type(task) is TranslationTask


def split_files(folder: str, langs: tuple[str, str], split: str) -> tuple[Path, Path] | None:
    """The .bin files of a split, source then target, or None where there are none.

    As fairseq does, the files of the other direction are found, too: an en-de folder serves de-en.
    """
    for names in (langs, langs[::-1]):
        source, target = (Path(folder) / f"{split}.{names[0]}-{names[1]}.{lang}.bin" for lang in langs)
        if source.exists() and source.with_suffix(".idx").exists():
            return source, target
    return None


def translation_data(data: str, langs: tuple[str, str], split: str) -> "list[LanguagePairDataset]":
    """The sentence pairs of a split as the `translation` task reads them, one dataset for each of the data folders."""
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    settings = {"dataset_impl": None, "train_subset": "train", "required_seq_len_multiple": 1}  # else interpolations
    task = TranslationTask(
        TranslationConfig(data=data, source_lang=langs[0], target_lang=langs[1], **settings),
        *dictionaries(data.split(":", maxsplit=1)[0], langs),
    )
    datasets = []
    for epoch, folder in enumerate(data.split(":"), 1):
        second = split_files(folder, langs, f"{split}1")
        require(second is None, f"{second and second[0]} is there, a second part of {split}: binarise both as one")
        require_whole(folder, split, langs, (len(task.src_dict), len(task.tgt_dict)))
        with reading(f"{split} in the data folder {folder}", "binarised text", "binarise it again"):
            try:
                task.load_dataset(split, epoch=epoch)
            except FileNotFoundError:
                raise LskdError(
                    f"data folder {folder} has no '{split}' of {langs[0]}-{langs[1]}: "
                    "name what it has with --split or --splits"
                ) from None
        datasets.append(task.dataset(split))
    return datasets


def target_counts(data: str, langs: tuple[str, str], split: str) -> "NDArray[np.uint64] | None":
    """How often each target symbol stands in a split, ends included; None if it is not there.   -> (V,) uint64"""
    import numpy as np

    if split_files(data, langs, split) is None:
        return None
    (dataset,) = translation_data(data, langs, split)
    counts = np.zeros(len(dataset.tgt_dict), dtype=np.uint64)
    for start in range(0, len(dataset), COUNTED):
        rows = range(start, min(start + COUNTED, len(dataset)))
        ids = np.concatenate([dataset.tgt[row].numpy() for row in rows])
        counts += np.bincount(ids, minlength=len(counts)).astype(np.uint64)
    return counts


def piece_lines(data: str, langs: tuple[str, str], split: str) -> tuple[list[str], list[str]]:
    """A binarised split as lines of subwords, source and target."""
    (dataset,) = translation_data(data, langs, split)
    require(len(dataset) > 0, f"data folder {data} has no sentence pair in {split}: give another split")
    sides: tuple[list[str], list[str]] = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        for lines, name, symbols in zip(sides, ("source", "target"), (dataset.src_dict, dataset.tgt_dict), strict=True):
            lines.append(" ".join(symbols[i] for i in item[name].tolist() if i != symbols.eos()))
    return sides


def write_pairs(
    folder: str,
    langs: tuple[str, str],
    split: str,
    pairs: "Iterable[tuple[ArrayLike, ArrayLike]]",
    symbols: tuple[int, int],
) -> None:
    """Sentence pairs (source ids, target ids, with their ends) as a split of a binarised folder, in their order.

    The bytes are those of fairseq's builder, which keeps two Python numbers of every sentence in memory.
    """
    import numpy as np
    from fairseq.data.indexed_dataset import best_fitting_int_dtype

    stems = [f"{folder}/{split}.{langs[0]}-{langs[1]}.{lang}" for lang in langs]
    kinds = [np.dtype(best_fitting_int_dtype(size)) for size in symbols]
    sizes = array("i"), array("i")
    with open(f"{stems[0]}.bin", "wb") as source, open(f"{stems[1]}.bin", "wb") as target:
        for pair in pairs:
            for ids, out, kind, lengths in zip(pair, (source, target), kinds, sizes, strict=True):
                line = np.asarray(ids, kind)
                out.write(line.tobytes())
                lengths.append(line.size)
    for stem, kind, lengths in zip(stems, kinds, sizes, strict=True):
        write_index(Path(f"{stem}.idx"), kind, lengths)


def write_index(file: Path, kind: "IntegerType", sizes: "array[int]") -> None:
    """fairseq's index of a memory-mapped file: how many symbols each sentence has, and where it begins."""
    import numpy as np
    from fairseq.data.indexed_dataset import MMapIndexedDataset, _dtype_header_code

    counts = np.frombuffer(sizes, np.int32) if sizes else np.zeros(0, np.int32)
    ends = np.cumsum(counts, dtype=np.int64) * kind.itemsize
    with file.open("wb") as out:
        out.write(MMapIndexedDataset.Index._HDR_MAGIC)
        out.write(struct.pack("<QBQ", 1, _dtype_header_code(kind.type), len(sizes)))
        out.write(counts.tobytes())
        out.write((ends - counts * np.int64(kind.itemsize)).tobytes())


def net_input(pairs: "Sequence[tuple[Tensor, Tensor]]", pad: int, eos: int) -> "tuple[dict[str, Tensor], Tensor]":
    """A model's input and the target of (source, target) tensors, in their order.   -> input, (B, T)"""
    import torch
    from fairseq.data.data_utils import collate_tokens

    sources, targets = (list(side) for side in zip(*pairs, strict=True))
    batch = {
        "src_tokens": collate_tokens(sources, pad, eos, left_pad=True),
        "src_lengths": torch.tensor([len(source) for source in sources]),
        "prev_output_tokens": collate_tokens(targets, pad, eos, left_pad=False, move_eos_to_beginning=True),
    }
    return batch, collate_tokens(targets, pad, eos, left_pad=False)
