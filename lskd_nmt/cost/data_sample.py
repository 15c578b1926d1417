"""A part of the training data, and stores of it, so that a probe need not make what takes hours."""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt import fairseq_io
from lskd_nmt.seqkd import store as hypotheses
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.pair_keys import pair_key
from lskd_nmt.teacher.coverage import data_hashes

SEED = 1


def words_of(data: Path, langs: tuple[str, str], split: str) -> int:
    """The target subwords of a split, with the ends of sentences."""
    return sum(int(dataset.tgt_sizes.sum()) for dataset in fairseq_io.translation_data(str(data), langs, split))


def write_sample(data: Path, langs: tuple[str, str], words: float, out: Path) -> float:
    """Random training pairs of at least so many target subwords, everything else as it is; their share of all."""
    (dataset,) = fairseq_io.translation_data(str(data), langs, "train")
    order = list(range(len(dataset)))
    random.Random(SEED).shuffle(order)
    pairs, found = list[tuple[Any, Any]](), 0
    for index in order:
        if found >= words:
            break
        item = dataset[index]
        pairs.append((item["source"], item["target"]))
        found += len(item["target"])
    out.mkdir(parents=True)
    for file in data.iterdir():
        if file.is_file() and not file.name.startswith("train."):
            (out / file.name).symlink_to(file.absolute())
    fairseq_io.write_pairs(str(out), langs, "train", pairs, (len(dataset.src_dict), len(dataset.tgt_dict)))
    return found / int(dataset.tgt_sizes.sum())


def write_hypotheses(out: Path, sample: Path, langs: tuple[str, str], count: int, teacher: Path) -> None:
    """A store of hypotheses which are the references, `count` times: an untrained teacher has none of their length."""
    (dataset,) = fairseq_io.translation_data(str(sample), langs, "train")
    found: dict[int, list[tuple[Any, float]]] = {}
    for item in map(dataset.__getitem__, range(len(dataset))):
        source, target = item["source"].numpy(), item["target"].numpy()
        found[pair_key(source, target)] = [(target, 0.0)] * count
    symbols = {"source": list(dataset.src_dict.symbols), "target": list(dataset.tgt_dict.symbols), "langs": list(langs)}
    facts: Mapping[str, Any] = {
        "decoded": [{"teacher": [{"file": str(teacher), "sha256": sha256(teacher)}]}],
        "data": data_hashes(str(sample), langs, ("train",)),
        "symbols": symbols,
    }
    out.mkdir(parents=True)
    hypotheses.write(out, found, facts)
    (out / hypotheses.BIN).symlink_to(sample.absolute())


def store_command(plan: Mapping[str, Any], model: Mapping[str, Any], folder: str, temperature: str) -> list[str]:
    """How the plan writes a teacher store, or how it could."""
    pending: list[Any] = list(plan["models"])
    while pending:
        entry = pending.pop()
        if isinstance(entry, Mapping):
            pending.extend(entry.values())
        elif isinstance(entry, list):
            if entry[:2] == ["lskd", "teacher-store"] and folder in entry:
                return [str(word) for word in entry]
            pending.extend(entry)
    return [
        "lskd",
        "teacher-store",
        "--teacher-path",
        f"models/{model['teacher']}/model.pt",
        "--data",
        model["train_command"][1],
        "--out",
        folder,
        "--temperatures",
        temperature,
    ]


def folder_bytes(folder: Path) -> int:
    """What the folder's own files take."""
    return sum(os.path.getsize(file) for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def moved(command: Sequence[str], data: str, to: str) -> list[str]:
    """A command with another data folder."""
    return [to if word == data else word for word in command]
