"""Numbers that no verb can work with: one line that names the flag, the value and what would do."""

import pytest

from lskd_nmt.cli import main
from lskd_nmt.cli.common import numbers_of, real, whole
from lskd_nmt.errors import LskdError

FEATURES = ["features", "--checkpoint", "m.pt", "--data", "d", "--out", "o"]
LANGS = ["--source-lang", "en", "--target-lang", "de"]


@pytest.mark.parametrize(
    "words, line",
    [
        ([*FEATURES, "--tokens", "-1"], "--tokens is -1: give a whole number from 1"),
        ([*FEATURES, "--own-output", "-2"], "--own-output is -2: give a whole number from 0"),
        ([*FEATURES, "--seed", "9" * 30], ": give a whole number from 0 to 9.22337e+18"),
        (["diagnose", "--out", "o", "--right", "nan"], "--right is nan: give a number from 0"),
        (["diagnose", "--out", "o", "--margin", "101"], "--margin is 101.0: give a number from 0 to 100"),
        (["diagnose", "--out", "o", "--sample", "0"], "--sample is 0: give a whole number from 1"),
        (["doctor", "--top-k", "-8"], "--top-k is -8: give a whole number from 1"),
        (["analyse", "run", "--tokens", "-1"], "--tokens is -1: give a whole number from 1"),
        (["toy", *LANGS, "--out", "o", "--train", "-5"], "--train is -5: give a whole number from 1"),
        (["translate", "m", "--threads", "-1"], "--threads is -1: give a whole number from 0"),
    ],
)
def test_a_number_that_is_out_of_bounds_is_refused_before_anything_is_read(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as stopped:
        pytest.fail(f"argparse refused the words: {stopped.code} {capsys.readouterr().err}")
    said = capsys.readouterr().err
    assert code == 2 and line in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_bounds_hold_what_they_name():
    bounds = ((whole(0), (0, 5, None), (-1, 2**63)), (real(0, 100), (0.0, 100.0), (100.1, float("nan"))))
    for bound, good, bad in bounds:
        for value in good:
            bound.require("--x", value)
        for value in bad:
            with pytest.raises(LskdError, match="--x is"):
                bound.require("--x", value)


def test_a_number_that_is_given_twice_is_refused():
    assert numbers_of("1,2,64", "--temperatures", float) == (1.0, 2.0, 64.0)
    assert numbers_of("9,9", "--points", int, distinct=False) == (9, 9)
    for text in ("1,1", "1,2,1.0"):
        with pytest.raises(LskdError, match=f"--temperatures is '{text}', where 1.0 stands twice: give each once"):
            numbers_of(text, "--temperatures", float)
    with pytest.raises(LskdError, match="--top is 'x': give whole numbers"):
        numbers_of("x", "--top", int)
