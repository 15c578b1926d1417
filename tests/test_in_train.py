"""Sentences of a further test set that stand in train are counted."""

import json

from lskd_nmt.experiment.in_train import FILE, in_train
from lskd_nmt.experiment.run import Run


def run_with(folder, train, sets):
    """A run folder with these pairs of train, and of test sets their lines: of the source and of each reference."""
    data = {"folder": "data", "source_lang": "aa", "target_lang": "bb"}
    plan = {"name": "x", "data": data, "models": [], "tests": ["test", *sets]}
    for place, sides in {
        "data": {"train": train},
        **{f"tests/{name}": {"test": of} for name, of in sets.items()},
    }.items():
        clean = folder / place / "clean"
        clean.mkdir(parents=True)
        for split, (source, target, *more) in sides.items():
            for ending, lines in {
                "aa": source,
                "bb": target,
                **{f"bb.{n}": each for n, each in enumerate(more, 1)},
            }.items():
                (clean / f"{split}.{ending}").write_text("".join(f"{line}\n" for line in lines))
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


TRAIN = (["a b", "c d", "e f", "a b"], ["A B", "C D", "E F", "other"])


def test_pairs_and_sources_of_train_are_counted_by_hand(tmp_path):
    sets = {
        "none": (["x", "y"], ["X", "Y"]),
        "some": (
            ["a b", "c d", "x", "a b"],
            ["A B", "another", "X", "new"],
        ),  # two pairs of the source a b, one in train
        "several": (["c d", "e f"], ["one", "two"], ["C D", "three"]),  # the second reference stands in train
    }
    run = Run(run_with(tmp_path, TRAIN, sets))
    found = {name: in_train(run.on(name)) for name in sets}
    assert [(each.sentences, each.pairs, each.sources) for each in found.values()] == [(2, 0, 0), (4, 1, 3), (2, 1, 2)]
    line = "test set some: of 4 sentences 1 stand in train with a reference, and 3 by their source: "
    assert found["some"].line("some") == f"{line}scores on them say less"
    assert json.loads((tmp_path / "tests" / "some" / FILE).read_text()) == {
        "sentences": 4,
        "pairs": 1,
        "sources": 3,
        "data": "",
    }
    (tmp_path / "data" / "clean" / "train.aa").unlink()
    assert in_train(run.on("some")) == found["some"]  # it is counted once
    (tmp_path / "tests" / "some" / FILE).unlink()
    assert in_train(run.on("some")) is None


def test_the_main_set_is_not_counted(tmp_path):
    assert in_train(Run(run_with(tmp_path, TRAIN, {"second": (["x"], ["X"])}))) is None


def test_data_that_are_prepared_anew_are_counted_anew(tmp_path):
    run = Run(run_with(tmp_path, TRAIN, {"second": (["a b", "x"], ["A B", "X"])}))
    (tmp_path / "data" / "prep.json").write_text("{}")
    assert in_train(run.on("second")).pairs == 1
    for side, line in {"aa": "x", "bb": "X"}.items():
        with (tmp_path / "data" / "clean" / f"train.{side}").open("a") as file:
            file.write(f"{line}\n")
    assert in_train(run.on("second")).pairs == 1  # the same preparation: text is not read again
    (tmp_path / "data" / "prep.json").write_text('{"seed": 2}')
    assert in_train(run.on("second")).pairs == 2
