"""The weight of the divergence over a training: on its schedule, and off while validation BLEU is high enough."""

import json
import math
import sys

import pytest
from conftest import train
from test_kd_ls import SENTENCES, FakeTask, TableModel, make_sample
from test_method_training import flags_of, given

from lskd_nmt.fairseq_io import read_checkpoint
from lskd_nmt.teacher.online import LiveTeacher, TeacherFacts


@pytest.fixture
def distilling(plugin, monkeypatch):
    """`distilling(**flags)`: a step at an update, the criterion, its task, and its teacher."""
    from user_dir.criterions import kd_ls

    def make(**flags):
        teacher, task = TableModel(2), FakeTask()
        loaded = LiveTeacher([teacher], [TeacherFacts("fake.pt", "fake", 0.1)])
        monkeypatch.setattr(LiveTeacher, "load", lambda *arguments: loaded)
        cfg = kd_ls.KdLsConfig(**{"sentence_avg": False, "teacher_path": "fake.pt", **flags})
        criterion = kd_ls.KdLsCriterion.build_criterion(cfg, task)

        def step(update):
            return task.train_step(make_sample(*SENTENCES), TableModel(1).train(), criterion, None, update)

        return step, criterion, task, teacher

    return make


def parts(logs, temperature=2.0):
    """NLL and τ²·KL, the two terms of the loss without label smoothing."""
    return float(logs["nll_loss"]), temperature**2 * float(logs["kd_loss"])


@pytest.mark.parametrize(
    "schedule, weights",
    [
        ("constant", {0: 0.8, 99: 0.8}),
        ("linear:0.2:10", {0: 0.8, 5: 0.5, 10: 0.2, 99: 0.2}),
        ("cosine:0.2:10", {0: 0.8, 5: 0.5, 10: 0.2, 99: 0.2}),
    ],
)
def test_each_update_has_its_weight(distilling, schedule, weights):
    step, criterion, _, _ = distilling(kd_weight=0.8, kd_weight_schedule=schedule, temperature=2.0)
    for update, weight in weights.items():
        loss, _, logs = step(update)
        hard, soft = parts(logs)
        assert float(loss.detach()) == pytest.approx((1 - weight) * hard + weight * soft, rel=1e-5)
        assert ("kd_weight" in logs) == (schedule != "constant")
        if "kd_weight" in logs:
            assert logs["kd_weight"] == pytest.approx(weight)
            in_validation = criterion(TableModel(1).eval(), make_sample(*SENTENCES))
            assert in_validation[2]["kd_weight"] == logs["kd_weight"] and in_validation[0].equal(loss)


@pytest.mark.parametrize(
    "flags, silent, heard",
    [
        ({"kd_weight": 0.8, "kd_weight_schedule": "linear:0:10", "select": "batch:0.5"}, 10, 9),
        ({"kd_weight": 0.0, "kd_weight_schedule": "cosine:0.5:10"}, 0, 1),
        ({"kd_weight": 0.8, "kd_weight_schedule": "linear:0:10", "top_k": 3}, 11, 9),
    ],
)
def test_at_weight_0_the_teacher_is_not_run(distilling, flags, silent, heard):
    step, _, _, teacher = distilling(**flags)
    asked = []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    loss, _, logs = step(silent)
    assert not asked and "kd_loss" not in logs and float(loss.detach()) == pytest.approx(float(logs["nll_loss"]))
    assert "kd_loss" in step(heard)[2] and asked


def test_several_workers_log_the_weight_that_each_has(distilling):
    from fairseq.logging import metrics

    step, criterion, _, _ = distilling(kd_weight=0.8, kd_weight_schedule="linear:0.2:10")
    with metrics.aggregate(new_root=True) as meters:
        for update in (3, 5):
            logs = step(update)[2]
            criterion.reduce_metrics([{key: 2 * float(value) for key, value in logs.items()}])  # the sum of two
    assert meters.get_smoothed_values()["kd_weight"] == pytest.approx(0.5)  # that of the last update


def test_distillation_rests_while_the_last_bleu_is_above_the_bound(distilling):
    step, _, task, _ = distilling(kd_weight=0.4, kd_until_bleu=30.0)
    assert step(0)[2]["kd_weight"] == 0.4
    weights = []
    for number, bleu in enumerate((20.0, 30.5, 31.0, 30.0, 40.0)):
        task.post_validate(None, {"bleu": bleu, "num_updates": number}, None)
        task.post_validate(None, {"bleu": 50 - bleu, "num_updates": number}, None)  # of a second subset
        weights.append(step(number)[2]["kd_weight"])
    assert weights == [0.4, 0, 0, 0.4, 0]
    resumed_step, _, resumed, _ = distilling(kd_weight=0.4, kd_until_bleu=30.0)
    resumed.set_checkpoint_dict(task.get_checkpoint_dict()["FakeTask"])
    assert resumed_step(5)[2]["kd_weight"] == 0


@pytest.fixture
def scored(plugin, monkeypatch):
    """`scored(score)`: validation finds a BLEU of `score(updates)`, whatever the translations."""
    from fairseq_cli import train as fairseq_train

    get_valid_stats = fairseq_train.get_valid_stats

    def give(score):
        def stats_of(cfg, trainer, stats, *rest):
            return get_valid_stats(cfg, trainer, {**stats, "bleu": score(trainer.get_num_updates())}, *rest)

        stats_of.__wrapped__ = get_valid_stats
        monkeypatch.setattr(sys.modules["fairseq_cli.train"], "get_valid_stats", stats_of)

    return give


BEST = "--best-checkpoint-metric", "nll_loss"
BLEU = "--eval-bleu", "--eval-bleu-args", json.dumps({"beam": 1}), "--eval-bleu-detok", "space"


def test_a_training_resumed_at_rest_equals_one_never_stopped(data, teacher, tmp_path, scored, caplog):
    flags = "--teacher-path", teacher, "--kd-until-bleu", 20, "--log-format", "json", "--log-interval", 1, *BLEU, *BEST
    scored(lambda updates: 25.0 if 3 < updates <= 8 else 10.0)
    with caplog.at_level("INFO"):
        train(data, tmp_path / "whole", *flags, "--max-epoch", 4)
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "train_inner"]
    weights = {int(line["num_updates"]): float(line["kd_weight"]) for line in lines}
    assert {weights[1], weights[max(weights)]} == {0.5} and 0 in weights.values()
    stop = next(update for update, weight in sorted(weights.items()) if weight == 0)
    train(data, tmp_path / "parts", *flags, "--max-update", stop)
    state = read_checkpoint(str(tmp_path / "parts" / "checkpoint_last.pt"), "checkpoint")
    train(data, tmp_path / "parts", *flags, "--max-epoch", 4)
    whole, parts = (
        read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint")["model"]
        for name in ("whole", "parts")
    )
    assert state["extra_state"]["TranslationTask"] == {"kd_bleu": 25.0}
    for name, weight in whole.items():
        assert weight.equal(parts[name]), name


def test_a_resumed_schedule_goes_on(data, teacher, tmp_path):
    flags = "--teacher-path", teacher, "--kd-weight", 0.9, "--kd-weight-schedule", "cosine:0:8", *BEST
    train(data, tmp_path / "whole", *flags, "--max-epoch", 3)
    train(data, tmp_path / "parts", *flags, "--max-update", 4)
    train(data, tmp_path / "parts", *flags, "--max-epoch", 3)
    train(data, tmp_path / "constant", *flags[:4], "--max-epoch", 3)
    whole, parts, constant = (
        read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint")["model"]
        for name in ("whole", "parts", "constant")
    )
    assert all(weight.equal(parts[name]) for name, weight in whole.items())
    assert not all(weight.equal(constant[name]) for name, weight in whole.items())


@pytest.mark.parametrize("name, share", [("linear", 3 / 20000), ("cosine", (1 - math.cos(math.pi * 3 / 20000)) / 2)])
def test_the_files_of_the_method_start_at_the_teacher_alone(data, teacher, tmp_path, distilling, name, share):
    flags = flags_of(f"weight_{name}")
    train(data, tmp_path, "--teacher-path", teacher, *given(flags), "--no-save", "--max-update", 3)
    step, *_ = distilling(max_update=20000, **{flag.replace("-", "_"): value for flag, value in flags.items()})
    assert step(0)[2]["kd_weight"] == 1 and step(20000)[2]["kd_weight"] == 0
    assert step(3)[2]["kd_weight"] == pytest.approx(1 - share, abs=1e-9)


def test_a_validation_of_silence_counts_as_0(data, teacher, tmp_path, plugin):
    silent = json.dumps({"beam": 12, "lenpen": -100, "min_len": 0})
    folder = train(
        data,
        tmp_path / "m",
        "--teacher-path",
        teacher,
        "--kd-until-bleu",
        20,
        "--eval-bleu",
        *BEST,
        "--eval-bleu-args",
        silent,
        "--max-epoch",
        1,
    )
    state = read_checkpoint(str(folder / "checkpoint_last.pt"), "checkpoint")
    assert state["extra_state"]["TranslationTask"] == {"kd_bleu": 0.0}


@pytest.mark.parametrize(
    "flags, part",
    [
        (
            ["--kd-weight-schedule", "linear:2:5"],
            "--kd-weight-schedule is linear:2:5: give constant, linear:END[:UPDATES]",
        ),
        (["--kd-weight", 0, "--kd-weight-schedule", "linear:0:5"], "and --kd-weight is 0: give a weight"),
        (["--kd-weight", 0, "--kd-until-bleu", 20], "--kd-until-bleu is 20.0 and --kd-weight is 0: give a weight"),
        (["--kd-until-bleu", 100], "--kd-until-bleu is 100.0: give a BLEU from 0 to below 100"),
        (["--kd-until-bleu", 20], "validation measures no BLEU: add --eval-bleu"),
        (
            ["--kd-weight-schedule", "linear:0:5"],
            "--best-checkpoint-metric is loss, which changes with the weight: give",
        ),
        (["--kd-until-bleu", 20, "--eval-bleu", "--disable-validation"], "validation measures no BLEU"),
        (
            ["--kd-weight", 0, "--kd-weight-schedule", "linear:0.5:5", *BEST],
            "neither --teacher-path nor --teacher-store",
        ),
    ],
)
def test_trainings_that_cannot_be_are_refused(flags, part, untrained):
    untrained(flags, part)
