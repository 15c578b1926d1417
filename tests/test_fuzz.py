"""Every entry point with bad inputs: answered in one line, or valid. benchmarks/bad_inputs.py tries more of them."""

import pytest
from bad_calls import ENTRIES, drawn, run
from bad_files import KINDS
from bad_world import build

# slow, as what they accept is a whole training or measurement; the benchmark has them
SLOW = ("compare", "export", "seqkd decode", "report", "table --compare", "prepare.sh", "run.sh")
SEED, COUNT = 15, 80


@pytest.fixture(scope="module")
def world(pieces, checkpoint, model, tmp_path_factory):
    """One valid input of every kind."""
    return build(tmp_path_factory.mktemp("fuzz") / "world", pieces, checkpoint, model)


@pytest.mark.parametrize(
    "bad",
    drawn(COUNT, SEED, [name for name in ENTRIES if name not in SLOW]),
    ids=lambda bad: f"{bad.entry}: {bad.target} {bad.how}",
)
def test_a_bad_input_is_answered_in_one_line(bad, world, tmp_path):
    outcome = run(bad, world, tmp_path)
    assert outcome.is_good, (bad, outcome)


def test_mutations_are_those_of_their_seed(world, tmp_path):
    file = world / "raw" / "test.aa"
    for how in ("flipped", "cut", "random bytes"):
        made = []
        for number in range(2):
            import random
            import shutil

            copied = tmp_path / f"{how}{number}"
            shutil.copyfile(file, copied)
            KINDS["text"][how](copied, random.Random(3))
            made.append(copied.read_bytes())
        assert made[0] == made[1] != file.read_bytes()
