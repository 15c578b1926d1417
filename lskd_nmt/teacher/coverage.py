"""Whether a store has every sentence pair of a training's data."""

from collections.abc import Sequence

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.pair_keys import Keyed, positions


def data_hashes(data: str, langs: tuple[str, str], splits: Sequence[str]) -> dict[str, list[str]]:
    """Hashes of the binarised text of each split, source then target, over all data folders that have it.

    The first has to have it: where nothing was hashed, two hashes would always agree.
    """
    result: dict[str, list[str]] = {}
    for split in splits:
        folders = data.split(":")
        found = [fairseq_io.split_files(folder, langs, split) for folder in folders]
        require(
            found[0] is not None,
            f"data folder {folders[0]} has no '{split}' of {langs[0]}-{langs[1]}: "
            "name what it has with --split or --splits",
        )
        result[split] = [sha256(file) for files in found if files is not None for file in files if file.is_file()]
    return result


def require_pairs(store: Keyed, data: str, langs: tuple[str, str], splits: Sequence[str]) -> None:
    """Refuse data with a sentence pair that the store lacks; data that it was made of are known by their hashes.

    A header without hashes proves nothing: its store is asked for each pair.
    """
    hashes = data_hashes(data, langs, splits)
    for split in splits:
        if hashes[split] and hashes[split] == store.header.data.get(split):
            continue
        for dataset in fairseq_io.translation_data(data, langs, split):
            for item in map(dataset.__getitem__, range(len(dataset))):
                positions(store, [(item["source"].numpy(), item["target"].numpy())])
