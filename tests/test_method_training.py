"""The files of experiments/configs/methods in real tiny trainings: their flags reach the loss that is logged."""

import json
import math

import pytest
import yaml
from conftest import ROOT, train

from lskd_nmt.losses.divergences import DIVERGENCES

FILES = ("reverse", "jsd", "skew", "skew_reverse", "tvd", "ttm", "wttm", "tie_rank")


def flags_of(name):
    return yaml.safe_load((ROOT / f"experiments/configs/methods/{name}.yaml").read_text(encoding="utf-8"))["flags"]


def given(flags):
    return [part for flag, value in flags.items() for part in (f"--{flag}", value)]


@pytest.mark.parametrize("name", FILES)
def test_the_loss_of_a_training_is_the_sum_that_the_file_says(data, teacher, tmp_path, caplog, name):
    """One epoch at learning rate ~0, validated: (1-λ)·NLL + λ·(τ^order·D + L_rank), in bits; wttm's D is weighed."""
    flags = flags_of(name) | {"label-smoothing": 0, "temperature": 1.5}
    with caplog.at_level("INFO"):
        train(
            data,
            tmp_path,
            "--teacher-path",
            teacher,
            "--max-epoch",
            1,
            "--no-save",
            "--lr",
            1e-9,
            "--dropout",
            0,
            "--log-format",
            "json",
            *given(flags),
        )
    lines = [record.getMessage() for record in caplog.records]
    (line,) = [json.loads(line) for line in lines if '"valid_loss"' in line]
    loss, nll, kd = (float(line[f"valid_{part}"]) for part in ("loss", "nll_loss", "kd_loss"))
    rank, weight = float(line.get("valid_rank_loss", 0)), flags["kd-weight"]
    assert kd > 0 and (rank > 0) == (name == "tie_rank")
    order = DIVERGENCES[flags.get("divergence", "forward").split(":")[0]].order
    expected = (1 - weight) * nll + weight * (1.5**order * kd + rank / math.log(2))
    assert loss == pytest.approx(expected, rel=0.05 if name == "wttm" else 0, abs=0.004)


@pytest.mark.parametrize("name", FILES)
def test_every_flag_of_a_file_is_one_of_the_criterion(plugin, name):
    from user_dir.criterions.flags import KdLsConfig, options_of

    flags = {flag.replace("-", "_"): value for flag, value in flags_of(name).items()}
    options = options_of(KdLsConfig(**flags))
    assert {flag: getattr(options, flag) for flag in flags} == flags


@pytest.mark.parametrize(
    "flags, complaint",
    [
        (("--divergence", "jsd:2"), "--divergence is jsd:2: give jsd:B with B between 0 and 1"),
        (("--divergence", "tvd", "--top-k", 4), "--divergence is tvd and --tail is bucket"),
        (("--rank", 5, "--top-k", 4), "--rank is 5 and --tail is bucket"),
        (("--rank", -2), "--rank is -2"),
        (
            ("--kd-level", "sequence", "--hypotheses", "h", "--rank", 5),
            "--kd-level is sequence and does not read --rank",
        ),
    ],
)
def test_what_makes_no_sense_ends_in_one_line_before_the_first_batch(data, teacher, tmp_path, capsys, flags, complaint):
    path = () if "sequence" in flags else ("--teacher-path", teacher)
    with pytest.raises(SystemExit) as caught:
        train(data, tmp_path / "save", *path, *flags)
    assert caught.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint in last
    assert not (tmp_path / "save").exists()
