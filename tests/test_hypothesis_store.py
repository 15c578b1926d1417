"""Hypotheses on disk: the same bytes however they are written, and every place of a pair counts."""

import random
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import diversity, store
from lskd_nmt.seqkd.diversity import Distinct
from lskd_nmt.seqkd.store import ARRAYS, HypothesesHeader, HypothesisStore, StoreWriter
from lskd_nmt.storage.header import StoredSymbols
from lskd_nmt.storage.pair_keys import pair_key
from lskd_nmt.teacher.batches import Entry, distinct_pairs

LANGS = ("aa", "bb")


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_pairs_are_written_as_fairseq_s_own_builder_writes_them(tmp_path):
    from fairseq.data.indexed_dataset import make_builder

    draw = random.Random(1)
    pairs = [
        tuple(np.array([draw.randrange(4, size) for _ in range(draw.randint(0, 300))]) for size in (90, 70_000))
        for _ in range(20)
    ]
    for some in (pairs, []):
        fairseq_io.write_pairs(str(tmp_path), LANGS, "train", iter(some), (90, 70_000))
        for side, (lang, size) in enumerate(zip(LANGS, (90, 70_000), strict=True)):
            builder = make_builder(str(tmp_path / "x.bin"), "mmap", size)
            for pair in some:
                builder.add_item(torch.as_tensor(pair[side]))
            builder.finalize(str(tmp_path / "x.idx"))
            for ending in ("bin", "idx"):
                ours = tmp_path / f"train.aa-bb.{lang}.{ending}"
                assert ours.read_bytes() == (tmp_path / f"x.{ending}").read_bytes()


FACTS = HypothesesHeader(symbols=StoredSymbols(["x"] * 16, ["x"] * 16, list(LANGS)))


def stored(folder, rows):
    """The store of these rows, a key and hypotheses each, and what it has of each key."""
    folder.mkdir()
    writer = StoreWriter(folder, 16)
    for key, hypotheses in rows:
        writer.add(key, [(np.array(ids), score) for ids, score in hypotheses])
    writer.finish(FACTS)
    made = HypothesisStore.open(folder)
    assert {file.name for file in folder.iterdir()} == {"hypotheses.json", *(f"{name}.npy" for name in ARRAYS)}
    return made, {
        int(key): [
            (made.ids[made.start[h] : made.start[h + 1]].tolist(), float(made.scores[h]))
            for h in range(made.first[at], made.first[at + 1])
        ]
        for at, key in enumerate(made.keys)
    }


def test_a_pair_that_stands_twice_has_the_hypotheses_of_both_places(tmp_path):
    """Drawn ones differ from place to place; those of a search are the same, and once then."""
    a, b, c = ([4, 2], -1.0), ([5, 6, 2], -2.0), ([2], -3.0)
    rows = [(9, [a, b]), (2**63 + 1, [c]), (9, [a, c]), (5, []), (3, [b]), (3, [b]), (7, []), (7, [a])]
    made, found = stored(tmp_path / "s", rows)
    assert found == {3: [b], 5: [], 7: [a], 9: [a, b, a, c], 2**63 + 1: [c]}
    assert made.header.sentences == 5 and made.header.longest == 3
    assert stored(tmp_path / "one", [(1, [])])[1] == {1: []}


def test_a_store_is_the_same_however_many_sentences_are_sorted_at_a_time(tmp_path, monkeypatch):
    draw = random.Random(4)
    rows = [
        (
            draw.getrandbits(4),
            [([draw.randrange(3, 16) for _ in range(draw.randint(1, 5))], -1.0) for _ in range(draw.randint(0, 3))],
        )
        for _ in range(40)
    ]
    whole = stored(tmp_path / "whole", rows)
    monkeypatch.setattr(store, "CHUNK", 3)
    assert stored(tmp_path / "parts", rows)[1] == whole[1]
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")
    by_key: dict[int, list] = {}
    for key, hypotheses in rows:
        by_key.setdefault(key, []).append([(ids, score) for ids, score in hypotheses])
    assert whole[1] == {
        key: each[0] if all(one == each[0] for one in each) else list(chain(*each)) for key, each in by_key.items()
    }


def test_different_things_are_counted_exactly_in_sorted_runs(monkeypatch):
    monkeypatch.setattr(diversity, "RUN", 50)
    draw, seen, counted = random.Random(2), set(), Distinct()
    for _ in range(400):
        things = [(draw.randrange(40), f"w{draw.randrange(40)}") for _ in range(draw.randint(0, 9))]
        seen.update(things)
        counted.add(iter(things))
    assert len(counted) == len(seen) > 500 and len(counted) == len(seen)
    assert len(Distinct()) == 0


def test_more_different_things_than_are_kept_are_estimated(monkeypatch):
    monkeypatch.setattr(diversity, "KEPT", 4096)
    monkeypatch.setattr(diversity, "RUN", 1000)
    exact, estimated = Distinct(), Distinct()
    exact.add(f"word{number % 4000}" for number in range(9000))
    assert len(exact) == 4000
    for start in range(0, 60_000, 500):
        estimated.add((f"word{number}", "next") for number in range(start, start + 500))
    assert abs(len(estimated) / 60_000 - 1) < 6 / 4096**0.5  # six standard errors
    assert max(map(len, estimated.runs)) <= 4096


def test_padding_inside_of_a_sentence_belongs_to_it(plugin):
    from lskd_nmt.teacher.source import pairs_of

    sources, targets = [[4, 1, 5, 2], [6, 2]], [[7, 1, 1, 2], [8, 2]]
    pairs = [(torch.tensor(s), torch.tensor(t)) for s, t in zip(sources, targets, strict=True)]
    net_input, target = fairseq_io.net_input(pairs, 1, 2)
    for turned in (net_input["src_tokens"], torch.tensor([[4, 1, 5, 2], [6, 2, 1, 1]])):  # either side may be padded
        assert [s.tolist() for s, _ in pairs_of({"src_tokens": turned}, target, (1, 1))] == sources
    assert [t.tolist() for _, t in pairs_of(net_input, target, (1, 1))] == targets


class Texts(Sequence):
    """Stands in for fairseq's dataset."""

    class Symbols:
        pad_word = "<pad>"
        pad = staticmethod(lambda: 1)

    src_dict = tgt_dict = Symbols

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, at):
        return {side: torch.tensor(ids) for side, ids in zip(("source", "target"), self.pairs[at], strict=True)}


def test_a_teacher_is_asked_about_each_pair_once_short_ones_first():
    draw = random.Random(3)
    sides = [[[draw.randrange(4, 6) for _ in range(draw.randint(1, 3))] + [2] for _ in range(60)] for _ in range(2)]
    pairs = list(zip(*sides, strict=True))
    found, too_long = distinct_pairs([Texts(pairs[:40]), Texts(pairs[40:])], (3, 4))
    assert too_long == sum(len(source) > 3 for source, _ in pairs)
    first: dict[int, Entry] = {}
    for number, (source, target) in enumerate(pairs):
        if len(source) <= 3:
            key = pair_key(np.array(source), np.array(target))
            place = (0, number) if number < 40 else (1, number - 40)
            first.setdefault(key, Entry(key, *place, len(source), len(target)))
    wanted = sorted(first.values(), key=lambda entry: (entry.target_tokens, entry.source_tokens, entry.key))
    assert list(found) == found[:] == wanted and len(found) == len(wanted) and found[3] == wanted[3]
    assert list(distinct_pairs([Texts([])], (3, 4))[0]) == []


@pytest.mark.parametrize(
    "pair, is_fine",
    [
        (([4, 1, 2], [5, 2]), True),
        (([1, 4, 2], [5, 2]), False),
        (([4, 2], [5, 1, 2]), False),
        (([4, 2], [1, 2]), False),
    ],
)
def test_padding_that_a_store_cannot_tell_from_padding_is_refused(pair, is_fine):
    datasets = [Texts([([4, 2], [4, 2]), pair])]
    if is_fine:
        assert len(distinct_pairs(datasets, (9, 9))[0]) == 2
        return
    with pytest.raises(LskdError, match=r"pair 1 \(from 0\) of the data has the symbol of padding, <pad>"):
        distinct_pairs(datasets, (9, 9))
