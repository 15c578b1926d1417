"""Binarised folders: their languages, symbols and sentence pairs, read and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lskd_nmt.errors import LskdError, require

COUNTED = 10_000  # sentences counted at a time


@dataclass(frozen=True)
class Symbols:
    """The symbols of both dictionaries in index order, special ones included, and their languages."""

    source: list[str]
    target: list[str]
    langs: tuple[str, str]


def read_symbols(folder: str, langs: tuple[str, str]) -> Symbols | None:
    """The symbols of `dict.LANG.txt` of both languages in a data folder, or None where one is missing."""
    from fairseq.data import Dictionary

    files = [Path(folder) / f"dict.{lang}.txt" for lang in langs]
    if not all(file.is_file() for file in files):
        return None
    source, target = (list(Dictionary.load(str(file)).symbols) for file in files)
    return Symbols(source, target, langs)


def language_pair(folder: str) -> tuple[str, str]:
    """Source and target language of a binarised folder, from its file names."""
    from fairseq.data import data_utils

    source, target = data_utils.infer_language_pair(folder)
    require(None not in (source, target), f"data folder {folder} holds no train.SRC-TGT.* files: "
                                          "give the output folder of fairseq-preprocess")  # fmt: skip
    return source, target


def dictionaries(folder: str, langs: tuple[str, str]) -> list[Any]:
    """fairseq's dictionaries of a data folder, source and target."""
    from fairseq.data import Dictionary

    return [Dictionary.load(str(Path(folder) / f"dict.{lang}.txt")) for lang in langs]


def is_translation(task: Any) -> bool:
    """Whether the task is fairseq's `translation` itself, whose pairs reach the model as they are on disk."""
    from fairseq.tasks.translation import TranslationTask

    return type(task) is TranslationTask


def translation_data(data: str, langs: tuple[str, str], split: str) -> list[Any]:
    """The sentence pairs of a split as the `translation` task reads them, one dataset for each of the data folders."""
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    settings = {"dataset_impl": None, "train_subset": "train", "required_seq_len_multiple": 1}  # else interpolations
    task = TranslationTask.setup_task(
        TranslationConfig(data=data, source_lang=langs[0], target_lang=langs[1], **settings)
    )
    datasets = []
    for epoch in range(1, len(data.split(":")) + 1):
        second = Path(data.split(":")[epoch - 1], f"{split}1.{langs[0]}-{langs[1]}.{langs[0]}.bin")
        require(not second.exists(), f"{second} is there, a second part of {split}: binarise both as one")
        try:
            task.load_dataset(split, epoch=epoch)
        except FileNotFoundError:
            raise LskdError(f"data folder {data.split(':')[epoch - 1]} has no '{split}' of {langs[0]}-{langs[1]}: "
                            "name what it has with --split or --splits") from None  # fmt: skip
        datasets.append(task.dataset(split))
    return datasets


def target_counts(data: str, langs: tuple[str, str], split: str) -> Any:
    """How often each target symbol stands in a split, ends included; None if it is not there.   -> (V,) uint64"""
    import numpy as np

    if not Path(data, f"{split}.{langs[0]}-{langs[1]}.{langs[1]}.bin").is_file():
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
    sides: tuple[list[str], list[str]] = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        for lines, name, symbols in zip(sides, ("source", "target"), (dataset.src_dict, dataset.tgt_dict), strict=True):
            lines.append(" ".join(symbols[i] for i in item[name].tolist() if i != symbols.eos()))
    return sides


def write_pairs(
    folder: str, langs: tuple[str, str], split: str, pairs: Sequence[tuple[Any, Any]], symbols: tuple[int, int]
) -> None:
    """Sentence pairs (source ids, target ids, with their ends) as a split of a binarised folder, in their order."""
    import torch
    from fairseq.data import indexed_dataset

    for side, (lang, size) in enumerate(zip(langs, symbols, strict=True)):
        stem = f"{folder}/{split}.{langs[0]}-{langs[1]}.{lang}"
        builder = indexed_dataset.make_builder(f"{stem}.bin", "mmap", size)
        for pair in pairs:
            builder.add_item(torch.as_tensor(pair[side]))
        builder.finalize(f"{stem}.idx")


def net_input(pairs: Sequence[tuple[Any, Any]], pad: int, eos: int) -> tuple[dict[str, Any], Any]:
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
