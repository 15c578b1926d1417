"""Experiment tracking: what each training is told, event files read back, a stand-in for wandb, and signatures."""

import json
import os
import struct
import sys
import types
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, train
from test_plan import config
from test_table import sweep

from lskd_nmt.cli import main
from lskd_nmt.cost.trial_runs import Machine, TrialRuns
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import steps, tracking
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_config import TrackConfig
from lskd_nmt.report.results.signature import flags as signed
from lskd_nmt.storage.files import read_json, write_json

TEACHER, STUDENT = "teacher-ls0.1-s1", "student-ls0.1-t1-s1"
TRAIN = """#!{python}
import json, os, sys
from pathlib import Path
told = {{name: value for name, value in os.environ.items() if name.startswith("WANDB_")}}
with open(os.environ["FAKE_CALLS"], "a") as calls:
    calls.write(json.dumps([sys.argv[1:], told]) + "\\n")
folder = Path(sys.argv[sys.argv.index("--save-dir") + 1])
(folder / "checkpoint_last.pt").write_text("a checkpoint")
"""
WANDB = """
import json, os
def note(*what):
    with open(os.environ["WANDB_CALLS"], "a") as file:
        file.write(json.dumps(what, default=str) + "\\n")
class Values:
    def __init__(self, kind): self.kind = kind
    def update(self, values, **how): note(self.kind, values, how)
class Run:
    config, summary = Values("config"), Values("summary")
    def log(self, values, **how): note("log", sorted(values), how)
    def finish(self): note("finish")
run = None
def init(**how):
    global run
    note("init", how)
    run = Run()
    return run
def log(values, **how): note("log", values, how)
class Table:
    def __init__(self, columns, data): note("table", columns, data)
config = Values("config")
"""


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """A stand-in for wandb, and what it was told so far."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "wandb.py").write_text(WANDB)
    monkeypatch.syspath_prepend(tmp_path / "stub")
    monkeypatch.setenv("WANDB_CALLS", str(tmp_path / "told"))
    sys.modules.pop("wandb", None)
    yield lambda: lines_of(tmp_path / "told")
    sys.modules.pop("wandb", None)


@pytest.fixture
def trainings(tmp_path, prepared, monkeypatch):
    """Run a model's training with a stand-in for fairseq-train; what each was told."""
    program = tmp_path / "bin" / "fairseq-train"
    program.parent.mkdir()
    program.write_text(TRAIN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))

    def run(*names, **sections):
        plan(resolve(config(data={"corpus": None, "dir": str(prepared)}, **sections)), "", tmp_path / "run")
        for name in names:
            (tmp_path / "run/models" / name / "checkpoints").mkdir(exist_ok=True)
            assert steps.train(Run(tmp_path / "run"), name, (), lambda line: None) == 0
        return lines_of(tmp_path / "calls")

    return run


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def value(words, flag):
    assert words.count(f"--{flag}") == 1
    return words[words.index(f"--{flag}") + 1]


def events(folder):
    """Step, tag and value of everything in the event files under a folder: TFRecords of TensorBoard's Event."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack("<Q", content[at : at + 8])
            event = Event.FromString(content[at + 12 : at + 12 + size])
            found += [
                (
                    event.step,
                    each.tag,
                    each.tensor.string_val[0].decode() if each.tensor.string_val else each.simple_value,
                )
                for each in event.summary.value
            ]
            at += 12 + size + 4
    return found


def test_each_model_has_a_folder_a_name_and_an_id_of_its_own(trainings, wandb, tmp_path):
    calls = trainings(TEACHER, STUDENT, track={"tensorboard": str(tmp_path / "logs"), "wandb": "kd"})
    assert [value(words, "tensorboard-logdir") for words, _ in calls] == [
        f"{tmp_path}/logs/run/{name}" for name in (TEACHER, STUDENT)
    ]
    assert [value(words, "wandb-project") for words, _ in calls] == ["kd", "kd"]
    told = [environment for _, environment in calls]
    assert [each["WANDB_NAME"] for each in told] == [TEACHER, STUDENT]
    assert told[0]["WANDB_RUN_ID"] != told[1]["WANDB_RUN_ID"]
    assert {each["WANDB_RUN_GROUP"] for each in told} == {"run"} and {each["WANDB_RESUME"] for each in told} == {
        "allow"
    }
    script = (tmp_path / "run/models" / STUDENT / "command.sh").read_text()
    assert f"--tensorboard-logdir {tmp_path}/logs/run/{STUDENT}" in script


def test_a_continued_training_goes_on_in_the_same_run_and_another_one_does_not(trainings, wandb, tmp_path):
    track = {"tensorboard": str(tmp_path / "logs"), "wandb": "kd"}
    first, again = trainings(TEACHER, TEACHER, track=track)
    assert first == again
    write_json(tmp_path / "run/models" / TEACHER / "inputs.json", {"data bin/dict.en.txt": "other"})
    *_, anew = trainings(TEACHER, track=track)
    assert anew[1]["WANDB_RUN_ID"] != again[1]["WANDB_RUN_ID"] and anew[0] == again[0]


def test_a_folder_inside_of_the_run_needs_no_name_of_it(trainings):
    ((words, told),) = trainings(TEACHER, train={"tensorboard-logdir": "logs"})
    assert value(words, "tensorboard-logdir") == f"logs/{TEACHER}" and "WANDB_NAME" not in told


@pytest.mark.parametrize("given", [["--tensorboard-logdir", "a"], ["--tensorboard-logdir=a"]])
def test_a_flag_behind_the_command_is_held_to_the_same(given, tmp_path):
    words = tracking.own(["fairseq-train", "data", *given, "--cpu"], tmp_path, "m")
    assert words == ["fairseq-train", "data", "--cpu", "--tensorboard-logdir", "a/m"]
    inside = tracking.own(["fairseq-train", "--tensorboard-logdir", str(tmp_path / "tb")], tmp_path, "m")
    assert inside[-1] == f"{tmp_path}/tb/m"


def test_what_is_tracked_changes_no_signature_and_no_finished_model(tmp_path, trainings, wandb):
    def commands(**sections):
        found = expand(resolve(config(**sections))).models
        return [model.train_command for model in found]

    plain, tracked = commands(), commands(track={"tensorboard": str(tmp_path), "wandb": "kd"})
    assert plain != tracked and list(map(signed, plain)) == list(map(signed, tracked))
    assert signed([*plain[0], "--wandb-project=kd"]) == signed(plain[0])
    trainings(TEACHER)
    (tmp_path / "run/models" / TEACHER / "model.pt").touch()
    trainings(STUDENT, track={"wandb": "kd"})  # the YAML of a run may ask for it later
    kept = {model.name: model for model in Run(tmp_path / "run").models}
    assert "--wandb-project" not in kept[TEACHER].train_command and "--wandb-project" in kept[STUDENT].train_command
    assert tracking.planned(Run(tmp_path / "run").plan) == {"wandb-project": "kd"}


def test_trial_runs_of_a_forecast_are_not_tracked(tmp_path):
    model = expand(resolve(config(track={"tensorboard": str(tmp_path), "wandb": "kd"}))).models[0]
    words = TrialRuns.short(types.SimpleNamespace(machine=Machine()), model)
    assert len(tracking.asked(model.train_command)) == 2 and tracking.asked(words) == {}


def test_a_config_without_it_tracks_nothing():
    found = expand(resolve(config()))
    assert tracking.planned(found) == {} == tracking.flags_of(TrackConfig())


@pytest.mark.parametrize(
    "sections, line",
    [
        ({"track": {"tensorboard": "logs"}}, "--tensorboard-logdir needs tensorboardX, which is not installed: pip"),
        ({"student": {"train": {"max-epoch": 1, "wandb-project": "kd"}}}, "--wandb-project needs wandb, which is not"),
    ],
)
def test_a_package_that_is_missing_is_named_before_anything_is_made(sections, line, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(**sections)))
    for more in (["--check"], []):
        assert main(["plan", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), *more]) == 2
        error = capsys.readouterr().err
        assert f"lskd plan: error: {line}" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_training_by_hand_is_refused_too(data, tmp_path, monkeypatch, capsys, plugin):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        train(data, tmp_path / "save", "--kd-weight", 0, "--tensorboard-logdir", tmp_path / "tb")
    assert stopped.value.code == 2
    assert "--tensorboard-logdir needs tensorboardX" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.pt"))


def test_fairseqs_own_curves_and_a_continued_run_whose_configuration_differs(
    data, tmp_path, monkeypatch, wandb, plugin
):
    import wandb as stub  # the stand-in
    from fairseq.logging import progress_bar

    monkeypatch.setattr(progress_bar, "wandb", stub)
    monkeypatch.setattr(progress_bar, "_tensorboard_writers", {})
    tracked = ("--kd-weight", 0, "--tensorboard-logdir", tmp_path / "tb", "--wandb-project", "kd", "--log-interval", 1)
    train(data, tmp_path / "save", *tracked, "--max-epoch", 1)
    of_train = [tag for _, tag, _ in events(tmp_path / "tb/train_inner")]
    assert {"loss", "nll_loss", "lr"} <= set(of_train)
    told = [call for call in wandb() if call[0] == "config"]
    assert told and all(how == {"allow_val_change": True} for _, _, how in told)
    before = dict.fromkeys(step for step, tag, _ in events(tmp_path / "tb/train"))
    train(data, tmp_path / "save", *tracked, "--max-epoch", 2)
    assert [*dict.fromkeys(step for step, tag, _ in events(tmp_path / "tb/train"))] == [*before, 2 * max(before)]
    assert [how["project"] for kind, *rest in wandb() if kind == "init" for how in rest] == ["kd"]
    assert progress_bar.WandBProgressBarWrapper.update_config.__module__ == progress_bar.__name__  # undone


@pytest.fixture
def tabled(tmp_path):
    """A finished run of stand-ins, with its table."""
    run = sweep(tmp_path / "run", seeds=(1,), smoothings=(0.1,), temperatures=(1.0,))
    assert main(["table", str(run)]) == 0
    return run


def test_results_costs_and_table_are_read_back_from_the_event_files(tabled, tmp_path, capsys):
    rows = read_json(tabled / "table.json")["rows"]
    for _ in range(2):  # the second time replaces the first
        assert main(["track", str(tabled), "--tensorboard-logdir", str(tmp_path / "logs")]) == 0
        (tmp_path / "logs/run/results/notes.txt").write_text("mine")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["models"] == [row["name"] for row in rows]
    for row in rows:
        found = events(tmp_path / "logs/run" / row["name"])
        scalars = {tag: value for _, tag, value in found if not tag.startswith("_hparams_")}
        assert len([tag for _, tag, _ in found]) == len(scalars) + 3  # three records of hyperparameters; nothing twice
        assert scalars["test/bleu"] == pytest.approx(row["bleu"]) and scalars["cost/parameters"] == 10
        assert scalars["cost/cpu_hours"] == pytest.approx(1) and scalars["cost/gpu_hours"] == pytest.approx(0.5)
    assert [text for _, _, text in events(tmp_path / "logs/run/results")] == [(tabled / "table.md").read_text()]
    assert (tmp_path / "logs/run/results/notes.txt").read_text() == "mine"
    assert not list((tmp_path / "logs").rglob("*.part"))


def test_further_test_sets_are_logged_and_names_are_those_that_tensorboard_has(tabled, tmp_path):
    assert main(["score", "--run", str(tabled), "--metrics", "chrf++"]) == 0
    assert main(["table", str(tabled), "--metrics", "bleu,chrf++"]) == 0
    content = read_json(tabled / "table.json")
    first, *_ = content["rows"]
    news = {**content, "rows": [{**first, "bleu": 12.5}]}  # of one model alone
    write_json(tabled / "table.json", {**content, "main_set": "test", "sets": {"news": news}})
    assert main(["track", str(tabled), "--tensorboard-logdir", str(tmp_path / "logs")]) == 0
    for row in content["rows"]:
        found = {tag: value for _, tag, value in events(tmp_path / "logs/run" / row["name"])}
        assert found["test/chrfpp"] == pytest.approx(row["chrf++"]) and not any("chrf_" in tag for tag in found)
        assert found.get("test-news/bleu") == (12.5 if row == first else None)


def test_results_go_to_the_run_that_has_the_models_curves(tabled, wandb, tmp_path):
    ids = {
        row["name"]: tracking.wandb_id(tabled / "models" / row["name"])
        for row in read_json(tabled / "table.json")["rows"]
    }
    for _ in range(2):
        assert main(["track", str(tabled), "--wandb-project", "kd"]) == 0
    calls = wandb()
    begun = [how for kind, *rest in calls if kind == "init" for how in rest]
    assert {(how["name"], how["id"]) for how in begun} >= set(ids.items())
    assert len({how["id"] for how in begun}) == len(ids) + 1 and len(begun) == 2 * (len(ids) + 1)  # and the table
    assert {(how["project"], how["group"], how["resume"], how["dir"]) for how in begun} == {
        ("kd", "run", "allow", str(tabled))
    }
    scores = [call[1]["test/bleu"] for call in calls if call[0] == "summary" and "test/bleu" in call[1]]
    assert scores == 2 * [row["bleu"] for row in read_json(tabled / "table.json")["rows"]]
    settings = next(call for call in calls if call[0] == "config")
    assert settings[1]["role"] == "teacher" and settings[2] == {"allow_val_change": True}
    assert next(call for call in calls if call[0] == "table")[1][0] == "model"


def test_a_run_that_tracks_nothing(tabled, capsys):
    assert main(["track", str(tabled), "--if-planned"]) == 0 and '"models": []' in capsys.readouterr().out
    assert main(["track", str(tabled)]) == 2
    assert (
        "plan.json tracks nothing: give --tensorboard-logdir DIR or --wandb-project PROJECT" in capsys.readouterr().err
    )


def test_a_run_is_tracked_where_its_plan_says(tabled, tmp_path):
    content = read_json(tabled / "plan.json")
    write_json(tabled / "plan.json", content | {"config": {"track": {"tensorboard": str(tmp_path / "logs")}}})
    assert main(["track", str(tabled), "--if-planned"]) == 0
    assert events(tmp_path / "logs/run/student-plain-s1/results")


def test_without_a_table_or_a_package_nothing_is_logged(tabled, tmp_path, monkeypatch, capsys):
    (tabled / "table.json").rename(tmp_path / "kept.json")
    assert main(["track", str(tabled), "--tensorboard-logdir", str(tmp_path / "logs")]) == 2
    assert f"table.json does not exist: run lskd table {tabled} first" in capsys.readouterr().err
    monkeypatch.setattr(tracking, "find_spec", lambda name: None if name == "tensorboardX" else types.SimpleNamespace())
    with pytest.raises(LskdError, match="pip install tensorboardX"):
        tracking.require_packages({"tensorboard-logdir": "x"}, {"tensorboard-logdir": ("tensorboardX",)})
    tracking.require_packages({"tensorboard-logdir": "x"})  # fairseq takes either package
    assert not (tmp_path / "logs").exists()


def test_the_pipeline_tracks_after_the_table():
    text = Path(ROOT / "experiments/run.sh").read_text()
    assert text.index("table.md") < text.index('lskd track "$out" --if-planned')
