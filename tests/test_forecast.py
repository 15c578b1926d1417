"""`lskd forecast`: kinds of training, speeds from hand-written logs, sums by hand, and probes of real ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, binarise, write_copy_corpus

from lskd_nmt import cli
from lskd_nmt.cost import data_sample, kinds, predict, table
from lskd_nmt.cost.records import Forecast, ModelForecast, Speed
from lskd_nmt.cost.speed import speed
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import plan
from lskd_nmt.experiment.config import read_config
from lskd_nmt.experiment.records import RunRecord
from lskd_nmt.storage import files
from lskd_nmt.storage.typed import to_json


def log_line(tag, **values):
    return f"2024-01-01 00:00:00 | INFO | {tag} | {json.dumps(values)}"


def step(epoch, updates, words, per_second):
    return log_line("train_inner", epoch=epoch, num_updates=str(updates), wpb=str(words), wps=str(per_second))


COMMAND = ["fairseq-train", "data/bin", "--arch", "a", "--share-all", "--lr", "-1", "--max-epoch", "4"]


def test_flags_of_a_command_and_their_change():
    assert kinds.flags(COMMAND) == {"arch": "a", "share-all": "", "lr": "-1", "max-epoch": "4"}
    changed = kinds.with_flags(COMMAND, {"share-all": None, "max-epoch": "1", "no-save": ""})
    assert changed == ["fairseq-train", "data/bin", "--arch", "a", "--lr", "-1", "--max-epoch", "1", "--no-save"]


def test_only_what_costs_time_makes_a_kind():
    planned = plan.expand(read_config(ROOT / "experiments" / "configs" / "quickstart.yaml")).models
    assert [len(models) for models in kinds.groups(planned)] == [2, 1, 4]  # teachers, plain, distilled
    longer = replace(
        planned[1], train_command=tuple(kinds.with_flags(planned[1].train_command, {"max-tokens": "1024"}))
    )
    assert [len(models) for models in kinds.groups([planned[0], longer])] == [1, 1]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], "no teacher"),
        (["--teacher-path", "t"], "live teacher"),
        (["--kd-weight", "0"], "plain"),
        (["--teacher-store", "s"], "teacher store"),
        (["--virtual-teacher", "correct"], "virtual teacher"),
        (["--kd-level", "sequence", "--hypotheses", "h"], "sequence level"),
        (["--kd-level", "both", "--hypotheses", "h", "--teacher-path", "t"], "both levels, live teacher"),
        (["--kd-level", "both", "--hypotheses", "h", "--teacher-store", "s"], "both levels, teacher store"),
    ],
)
def test_where_targets_come_from(words, found):
    assert kinds.signal([*COMMAND, *words]) == found


MEASURED = RunRecord(
    wall_seconds=30.0,
    cpu_seconds=45.0,
    gpu_hours=2 * 30 / 3600,
    peak_memory_mb=700,
    peak_gpu_memory_mb=900,
    parameters=1_000_000,
)
LINES = [
    step(1, 10, 100, 1),  # warms up
    step(1, 20, 100, 500),  # 10 updates, 1000 words, 2 seconds
    log_line("valid", epoch=1, valid_wps="100"),
    step(2, 30, 100, 1),  # the validation is in its time
    step(2, 40, 200, 1000),  # 10 updates, 2000 words, 2 seconds
]


def test_speed_leaves_out_warm_up_and_validation():
    found = speed(LINES, MEASURED, valid_words=600)
    assert (found.words_per_second, found.words_per_update) == (3000 / 4, 3000 / 20)
    assert found.validation_seconds == 6
    assert found.startup_seconds == 30 - 40 * 4 / 20 - 6
    assert (found.cpu_share, found.gpus, found.peak_memory_mb) == (1.5, 2, 700)


def test_a_probe_that_is_too_short_is_refused():
    with pytest.raises(LskdError, match="too short to be timed: give more --updates"):
        speed(LINES[:1], MEASURED, 600)


SPEED = Speed([], 100.0, 50.0, 10.0, 5.0, 2.0, 1, 700, None, 1_000_000)  # half a second an update


@pytest.mark.parametrize(
    ("words", "updates", "validations", "at_most"),
    [
        (["--max-epoch", "4", "--patience", "10"], 80, 4, False),  # 1000 words are 20 updates
        (["--max-epoch", "4", "--patience", "2"], 80, 4, True),
        (["--max-update", "30"], 30, 2, False),  # the second where it stops
        (["--max-epoch", "4", "--max-update", "30", "--validate-interval-updates", "10"], 30, 5, False),
        (["--max-epoch", "4", "--disable-validation", "--patience", "2"], 80, 0, False),
    ],
)
def test_time_is_startup_steps_and_validations(words, updates, validations, at_most):
    found = predict.training(["fairseq-train", "data/bin", *words], SPEED, 1000)
    seconds = 10 + updates * 0.5 + validations * 5
    assert (found.updates, found.at_most) == (updates, at_most)
    assert found.minutes == round(seconds / 60, 2) and found.cpu_minutes == round(2 * seconds / 60, 2)
    assert found.gpu_hours == round(seconds / 3600, 4)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--no-epoch-checkpoints"], 3),  # last, best, model.pt
        (["--no-epoch-checkpoints", "--keep-best-checkpoints", "5"], 8),
        (["--keep-last-epochs", "2"], 5),
        (["--keep-last-epochs", "20"], 7),  # there are four epochs
        ([], 7),
    ],
)
def test_disk_is_the_checkpoints_that_stay(words, count):
    found = predict.training(["fairseq-train", "d", "--max-epoch", "4", *words], SPEED, 1000)
    assert found.disk_mb == 12 * count  # 12 bytes a parameter


TEACHERS = {"a": None, "b": None, "a1": "a", "a2": "a", "b1": "b"}


@pytest.mark.parametrize(
    ("minutes", "jobs", "wall"),
    [
        ((5, 4, 3, 2, 1), 1, 15),  # one at a time: the sum
        ((5, 4, 3, 2, 1), 5, 8),  # the longest chain
        ((5, 4, 3, 2, 1), 2, 8),  # a until 5, then a1; b until 4, b1 until 5, a2
        ((1, 9, 2, 1, 1), 2, 10),  # b1 waits for b although a job is free
    ],
)
def test_students_wait_for_their_teacher_and_for_a_free_job(minutes, jobs, wall):
    assert predict.makespan(dict(zip(TEACHERS, minutes, strict=True)), TEACHERS, jobs) == wall


def test_all_together_adds_up_and_memory_is_of_the_largest_at_once():
    models = [
        ModelForecast(name, after=after, minutes=60, cpu_minutes=120, gpu_hours=0.5, disk_mb=10, peak_memory_mb=memory)
        for (name, after), memory in zip(TEACHERS.items(), (100, 300, 200, 50, 1), strict=True)
    ]
    found = to_json(predict.sweep(models, 2, 7.0))
    assert found == {
        "jobs": 2,
        "wall_hours": 3,
        "cpu_hours": 10,
        "gpu_hours": 2.5,
        "checkpoints_mb": 50,
        "stores_mb": 7,
        "peak_memory_mb": 500,
        "peak_gpu_memory_mb": None,
        "at_most": False,
    }


@pytest.mark.parametrize(("load", "said"), [(0.9, False), (2.5, True)])
def test_a_busy_machine_is_named(load, said):
    sweep = predict.sweep([], 1, 0.0)
    found = table.notes(Forecast(other_load=load, updates=30, sweep=sweep))
    assert any(line.startswith("2.5 cores were busy") for line in found) == said


@pytest.fixture(scope="module")
def prepared(plugin, tmp_path_factory) -> Path:
    """A DATA folder with 600 binarised pairs."""
    folder = tmp_path_factory.mktemp("prepared")
    write_copy_corpus(folder / "text", "abcdefgh", pairs=600)
    binarise(folder / "text", folder / "bin")
    facts = {"corpus": "files", "form": "raw", "source_lang": "aa", "target_lang": "bb"}
    (folder / "prep.json").write_text(json.dumps(facts))
    return folder


def test_a_sample_is_whole_pairs_of_the_data_and_knows_its_share(prepared, tmp_path):
    langs = ("aa", "bb")
    words = data_sample.words_of(prepared / "bin", langs, "train")
    lines = (prepared / "text" / "train.bb").read_text().splitlines()
    assert words == sum(len(line.split()) + 1 for line in lines)
    share = data_sample.write_sample(prepared / "bin", langs, words / 4, tmp_path / "bin")
    found = data_sample.words_of(tmp_path / "bin", langs, "train")
    assert 0.25 <= share < 0.27 and share == found / words
    assert data_sample.words_of(tmp_path / "bin", langs, "valid") == data_sample.words_of(
        prepared / "bin", langs, "valid"
    )


SMALL = {f"{side}-{name}": 16 for side in ("encoder", "decoder") for name in ("embed-dim", "ffn-embed-dim")}
SMALL |= {"encoder-layers": 1, "decoder-layers": 1, "max-tokens": 100, "num-workers": 0, "eval-bleu-detok": "space"}


def config_of(prepared, **train):
    return {
        "name": "tiny",
        "data": {"dir": str(prepared)},
        "train": {**SMALL, "max-epoch": 3, **train},
        "teacher": {"arch": "ls_transformer_tiny", "label_smoothing": [0, 0.1]},
        "student": {
            "arch": "ls_transformer_tiny",
            "temperature": [1, 2],
            "kd_level": ["word", "sequence", "both"],
            "hypotheses": ["multi"],
        },
        "seqkd": {"nbest": 3},
    }


def write_config(folder, config):
    (folder / "tiny.yaml").write_text(yaml.dump(config))
    return [str(folder / "tiny.yaml"), "--out", str(folder / "run"), "--device", "cpu", "--threads", "1"]


@pytest.mark.long
def test_every_kind_of_training_is_probed_and_nothing_is_left(prepared, tmp_path, capsys):
    words = write_config(tmp_path, config_of(prepared))
    cli.main(["plan", *words[:3]])
    file = tmp_path / "run" / "plan.json"
    content = files.read_json(file)
    store = "models/teacher-ls0-s1/store"
    (model,) = (model for model in content["models"] if model["name"] == "student-ls0-t2-s1")
    model["train_command"] = kinds.with_flags(model["train_command"], {"teacher-path": None, "teacher-store": store})
    files.write_json(file, content)
    (tmp_path / "run" / "forecast.part").mkdir()  # of a killed forecast
    capsys.readouterr()
    assert cli.main(["forecast", *words, "--updates", "24", "--jobs", "2"]) == 0
    said = capsys.readouterr()
    forecast = files.read_json(tmp_path / "run" / "forecast.json")
    assert json.loads(said.out) == {"forecast": str(tmp_path / "run" / "forecast.json"), **forecast["sweep"]}
    targets = [entry["targets"] for entry in forecast["models"]]
    # two teachers and a plain student; T = 1, 2 from two teachers, one of them from a store; then the other levels
    assert [targets.count(each) for each in dict.fromkeys(targets)] == [3, 3, 1, 2, 4]
    assert len(forecast["probes"]) == 5  # teachers and plain students are of one size here, and of one kind
    assert all(entry["minutes"] > 0 and entry["peak_memory_mb"] > 50 for entry in forecast["models"])
    assert forecast["sweep"]["stores_mb"] > 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock",
        "config.yaml",
        "forecast.json",
        "models",
        "plan.json",
        "run.json",
    ]
    assert "probe 5 of 5" in said.err and "| student-ls0-t2-s1" in said.err
    updates = {entry["name"]: entry["updates"] for entry in forecast["models"]}
    words_of_an_epoch = data_sample.words_of(prepared / "bin", ("aa", "bb"), "train")
    assert updates["teacher-ls0-s1"] == pytest.approx(3 * words_of_an_epoch / 85, rel=0.25)  # of at most 100


def test_what_stops_a_probe_is_said_in_one_line(prepared, tmp_path, refused):
    words = write_config(tmp_path, config_of(prepared, **{"train-subset": "none"}))
    with refused() as line:
        raise SystemExit(cli.main(["forecast", *words]))
    assert "the probe of teacher-ls0-s1 stopped: data folder" in line[0] and "has no 'none'" in line[0]
    assert not (tmp_path / "run" / "forecast.json").exists() and not (tmp_path / "run" / "forecast.part").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["none.yaml"], "none.yaml does not exist: give an experiment's YAML, or its run folder"),
        (["x.yaml", "--updates", "3"], "--updates is 3: give at least 12"),
        (["x.yaml", "--jobs", "0"], "--jobs is 0: a whole number from 1"),
        (["x.yaml", "--threads", "-1"], "--threads is -1: a whole number from 0"),
        (["."], "has no forecast.json: run lskd forecast CONFIG --out"),
        (["tiny.yaml", "--precision", "fp16", "--device", "cpu"], "--precision fp16 needs a GPU"),
        (["tiny.yaml", "--device", "gpu"], "--device gpu needs a GPU, and torch sees none"),
    ],
)
def test_what_cannot_be_forecast_is_refused(words, complaint, prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    write_config(tmp_path, config_of(prepared))
    Path("x.yaml").write_text("")
    assert cli.main(["forecast", *words]) == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.glob("run*"))


def test_afterwards_the_forecast_stands_beside_what_it_came_to(tmp_path, capsys):
    models = [
        {"name": name, "minutes": 2.0, "cpu_minutes": 4.0, "peak_memory_mb": 500, "at_most": True}
        for name in ("a", "b")
    ]
    planned = [{"name": model["name"], "role": "student", "seed": 1} for model in models]
    data = {"folder": "data", "source_lang": "en", "target_lang": "de"}
    files.write_json(tmp_path / "plan.json", {"name": "r", "models": planned, "data": data})
    files.write_json(tmp_path / "forecast.json", {"models": models})
    assert cli.main(["forecast", str(tmp_path)]) == 2  # nothing is trained
    assert "has no trained model" in capsys.readouterr().err
    files.write_json(tmp_path / "models" / "a" / "run.json", {"wall_seconds": 180.0, "cpu_seconds": 120.0})
    (tmp_path / "models" / "a" / "model.pt").touch()
    assert cli.main(["forecast", str(tmp_path)]) == 0
    said = capsys.readouterr()
    (row,) = json.loads(said.out)["models"]
    assert (row["actual_minutes"], row["minutes_ratio"], row["cpu_minutes_ratio"]) == (3, 1.5, 0.5)
    assert row["actual_peak_memory_mb"] is None  # an older record
    assert "1 of 2 models are trained: 2.0 CPU minutes, 0.50 of the forecast" in said.err
