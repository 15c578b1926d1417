"""A part of the training data, and stores of it, so that a trial run need not make what takes hours."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.seqkd import store as hypotheses
from lskd_nmt.seqkd.store import DecodedFrom, HypothesesHeader
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Origin, StoredSymbols
from lskd_nmt.storage.pair_keys import Pair, pair_key
from lskd_nmt.teacher.coverage import data_hashes

SEED = 1


def words_of(data: Path, langs: tuple[str, str], split: str) -> int:
    """The target subwords of a split, with the ends of sentences."""
    return sum(int(dataset.tgt_sizes.sum()) for dataset in fairseq_io.translation_data(str(data), langs, split))


def write_sample(data: Path, langs: tuple[str, str], words: float, out: Path) -> float:
    """Write a data folder of random training pairs with at least so many target subwords; their share of all.

    Its dictionaries and other splits are those of `data`.
    """
    (dataset,) = fairseq_io.translation_data(str(data), langs, "train")
    order = list(range(len(dataset)))
    random.Random(SEED).shuffle(order)
    pairs, found = list[Pair](), 0
    for index in order:
        if found >= words:
            break
        item = dataset[index]
        pairs.append((item["source"].numpy(), item["target"].numpy()))
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
    found: dict[int, list[tuple[Ids, float]]] = {}
    for item in map(dataset.__getitem__, range(len(dataset))):
        source, target = item["source"].numpy(), item["target"].numpy()
        found[pair_key(source, target)] = [(target, 0.0)] * count
    facts = HypothesesHeader(
        decoded=[DecodedFrom(teacher=[Origin(str(teacher), sha256(teacher))])],
        data=data_hashes(str(sample), langs, ("train",)),
        symbols=StoredSymbols(list(dataset.src_dict.symbols), list(dataset.tgt_dict.symbols), list(langs)),
    )
    out.mkdir(parents=True)
    hypotheses.write(out, found, facts)
    (out / hypotheses.BIN).symlink_to(sample.absolute())


def store_command(teacher: PlannedModel, data: str, folder: str, temperature: str) -> list[str]:
    """How the plan writes a teacher store in `folder`, or how it could."""
    if folder in teacher.store_command:
        return list(teacher.store_command)
    checkpoint = f"models/{teacher.name}/model.pt"
    return [
        *("lskd", "teacher-store", "--teacher-path", checkpoint),
        *("--data", data, "--out", folder, "--temperatures", temperature),
    ]


def folder_bytes(folder: Path) -> int:
    """The bytes of the folder's own files, without those that it links to."""
    return sum(os.path.getsize(file) for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def moved(command: Sequence[str], data: str, to: str) -> list[str]:
    """A command with `to` in the place of the data folder."""
    return [to if word == data else word for word in command]
