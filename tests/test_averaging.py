"""Averaged checkpoints: means worked out by hand, laws, and what fairseq, a student and the pipeline make of them."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, USER_DIR, call, train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.deploy import average as deploy_average
from lskd_nmt.deploy import export
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.scoring import hypotheses
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.plan import plan
from lskd_nmt.fairseq_io import read_checkpoint


def save(file: Path, updates: int = 1, maximise: bool = True, **weights: object) -> Path:
    """A checkpoint with these weights, tensors or lists of floats."""
    tensors = {
        name: value if isinstance(value, torch.Tensor) else torch.tensor(value) for name, value in weights.items()
    }
    settings = {"model": {"updates": updates}, "checkpoint": {"maximize_best_checkpoint_metric": maximise}}
    history = {"optimizer_history": [{"num_updates": updates}], "extra_state": {"epoch": updates}}
    optimizer = {"last_optimizer_state": {"exp_avg": torch.ones(1000)}}
    torch.save({"args": None, "cfg": settings, "model": tensors, **history, **optimizer}, file)
    return file


def several(folder: Path, *weights: dict[str, object]) -> list[Path]:
    """Checkpoints 0.pt, 1.pt, … of one training."""
    return [save(folder / f"{number}.pt", number, **each) for number, each in enumerate(weights)]


def averaged(folder: Path, files: list[Path]) -> dict:
    deploy_average.average(files, folder / "mean.pt")
    return read_checkpoint(str(folder / "mean.pt"), "mean", built=False)


def average_refused(capsys, *arguments: object) -> str:
    """The one line on stderr of an `lskd average` that must be refused."""
    assert cli.main(["average", *map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("lskd average: error: ") and err.count("\n") == 1, err
    return err


# the mean


def test_floats_are_their_mean_and_the_rest_is_the_newest(tmp_path):
    steps = torch.tensor([7, 8])
    first = {"weight": [[1.0, 2.0], [4.5, 0.0]], "bias": [0.25], "steps": steps, "flag": torch.tensor(True)}
    files = several(
        tmp_path,
        first,
        {**first, "weight": [[3.0, -2.0], [0.5, 0.0]], "bias": [0.5]},
        {**first, "weight": [[2.0, 3.0], [1.0, -6.0]], "bias": [0.75]},
    )
    state = averaged(tmp_path, files)
    assert state["model"]["weight"].tolist() == [[2.0, 1.0], [2.0, -2.0]] and state["model"]["bias"].tolist() == [0.5]
    assert state["model"]["steps"].tolist() == [7, 8] and state["model"]["flag"].item() is True
    assert list(state["model"]) == list(first)
    assert state["last_optimizer_state"] is None
    newest = read_checkpoint(str(files[2]), "newest", built=False)
    assert all(state[name] == newest[name] for name in ("args", "cfg", "optimizer_history", "extra_state"))
    assert state.keys() == newest.keys()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_mean_is_of_the_tensors_type_and_its_sum_neither_overflows_nor_rounds(kind, tmp_path):
    large, small = 2.0**15, 2.0**-10  # 3 · 2¹⁵ is infinite in float16; 2¹⁵ + 2⁻¹⁰ is 2¹⁵ in 16 bits and in 24
    values = [large, large, large], [large, small, -large], [0.5, 0.75, 1.0]
    files = several(tmp_path, *({"w": torch.tensor(column, dtype=kind)} for column in zip(*values, strict=True)))
    mean = averaged(tmp_path, files)["model"]["w"]
    expected = torch.tensor([large, small / 3, 0.75], dtype=torch.float64).to(kind)
    assert mean.dtype == kind and torch.equal(mean, expected)


def test_the_average_of_one_checkpoint_is_its_weights_to_the_bit(tmp_path):
    weights = torch.randn(41, 127), torch.randn(3, 7).half(), torch.tensor([-0.0, float("inf"), float("nan"), 1e-45])
    (file,) = several(tmp_path, {str(number): tensor for number, tensor in enumerate(weights)})
    model = averaged(tmp_path, [file])["model"]
    for number, tensor in enumerate(weights):
        assert torch.equal(model[str(number)].view(torch.int16), tensor.view(torch.int16))
    assert torch.equal(averaged(tmp_path, [file, file, file])["model"]["0"], weights[0])


def test_the_order_of_the_files_does_not_matter(tmp_path):
    files = several(tmp_path, *({"w": torch.randn(50) * 10**power} for power in (0, 8, -8)))
    results = []
    for order in itertools.permutations(files):
        assert deploy_average.average(order, tmp_path / "mean.pt") == files
        results.append((tmp_path / "mean.pt").read_bytes())
    assert len(set(results)) == 1


def test_an_average_may_be_averaged_and_may_replace_what_it_is_of(tmp_path):
    files = several(tmp_path, {"w": [1.0]}, {"w": [3.0]}, {"w": [8.0]})
    deploy_average.average(files[:2], files[1])
    assert deploy_average.average([files[1], files[2]], files[2]) == files[1:]
    assert read_checkpoint(str(files[2]), "x", built=False)["model"]["w"].tolist() == [5.0]


def test_an_average_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch, capsys):
    files = several(tmp_path, {"w": [1.0]}, {"w": [3.0]})
    before = files[0].read_bytes()

    def half(state, file):
        file.write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 32\nand a stack")  # of torch, on a full disk

    monkeypatch.setattr(torch, "save", half)
    line = average_refused(capsys, "--inputs", *files, "--out", files[0])
    assert f"{files[0]} cannot be written (unexpected pos 64 vs 32): is the disk full?" in line
    assert files[0].read_bytes() == before and sorted(tmp_path.iterdir()) == files


# shared tensors


def test_tied_tensors_stay_tied(tmp_path):
    tied = [torch.randn(100, 30) for _ in range(2)]
    files = several(tmp_path, *({"embed": tensor, "out": tensor, "other": tensor.clone()} for tensor in tied))
    model = averaged(tmp_path, files)["model"]
    assert deploy_average.memory(model["embed"]) == deploy_average.memory(model["out"])
    assert deploy_average.memory(model["embed"]) != deploy_average.memory(model["other"])
    assert torch.equal(model["embed"], (tied[0] + tied[1]) / 2)  # of two floats the same in float32 and float64
    assert (tmp_path / "mean.pt").stat().st_size < 3 * tied[0].nbytes


def test_tensors_tied_in_the_newest_are_tied_where_the_others_have_them_equal_and_only_there(tmp_path):
    tied = torch.tensor([1.0, 2.0])
    equal = {"embed": tied + 1, "out": tied + 1, "half": (tied + 1)[:1]}  # as a training on a GPU stores them
    apart = {"embed": tied + 1, "out": tied + 3, "half": (tied + 1)[:1]}
    newest = {"embed": tied, "out": tied, "half": tied[:1]}
    for older, outputs, shared in ((equal, [1.5, 2.5], True), (apart, [2.5, 3.5], False)):
        model = averaged(tmp_path, several(tmp_path, older, newest))["model"]
        assert (deploy_average.memory(model["embed"]) == deploy_average.memory(model["out"])) is shared
        assert (model["embed"].tolist(), model["out"].tolist(), model["half"].tolist()) == ([1.5, 2.5], outputs, [1.5])
    assert averaged(tmp_path, [tmp_path / "1.pt"])["model"]["half"].tolist() == [1.0]  # a part of a tensor is not tied


# refusals


@pytest.mark.parametrize(
    "other, part",
    [
        ({"a.w": [1.0, 2.0]}, "0.pt has no parameter b.w, unlike"),
        ({"a.w": [1.0, 2.0], "b.w": [1], "c.w": [1.0]}, "0.pt has the parameter c.w, unlike"),
        (
            {"a.w": [[1.0, 2.0]], "b.w": [1]},
            "0.pt: parameter a.w is [1, 2] of torch.float32, in FOLDER/1.pt it is [2] of torch.float32",
        ),
        ({"a.w": torch.ones(2).half(), "b.w": [1]}, "0.pt: parameter a.w is [2] of torch.float16, in FOLDER/1.pt"),
        ({"a.w": [1.0, 2.0], "b.w": [2]}, "0.pt: parameter b.w is of torch.int64 and differs from FOLDER/1.pt's"),
    ],
)
def test_checkpoints_without_a_mean_are_refused_with_file_and_parameter(other, part, tmp_path, capsys):
    files = several(tmp_path, other, {"a.w": [0.0, 0.0], "b.w": [1]})
    line = average_refused(capsys, "--inputs", *files, "--out", tmp_path / "mean.pt")
    assert f"{tmp_path}/{part.replace('FOLDER', str(tmp_path))}" in line
    assert sorted(tmp_path.iterdir()) == files


def test_files_that_are_no_checkpoints_are_refused(tmp_path, capsys):
    torch.save({"w": torch.ones(2)}, tmp_path / "plain.pt")
    cases = {"none.pt": "does not exist", "plain.pt": "holds no fairseq model"}
    for name, part in cases.items():
        line = average_refused(capsys, "--inputs", tmp_path / name, "--out", tmp_path / "mean.pt")
        assert f"checkpoint {tmp_path}/{name} {part}" in line
    assert not (tmp_path / "mean.pt").exists()


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--inputs", "a.pt", "--last", "2"], "--last N or --best N goes with --folder DIR, and only with it"),
        (["--folder", "."], "--last N or --best N goes with --folder DIR, and only with it"),
        (["--folder", ".", "--last", "0"], "--last is 0: give a whole number from 1"),
        (["--folder", ".", "--best", "-3"], "--best is -3: give a whole number from 1"),
        (["--folder", "none", "--best", "1"], "--folder none does not exist: give the --save-dir of fairseq-train"),
        (["--folder", ".", "--last", "1"], ". holds no checkpoint of an epoch (checkpointN.pt)"),
        (
            ["--folder", ".", "--best", "1"],
            ". holds no checkpoint.best_METRIC_X.pt: train with --keep-best-checkpoints",
        ),
    ],
)
def test_calls_that_cannot_be_are_refused(arguments, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "checkpoint_best.pt", w=[1.0])
    assert part in average_refused(capsys, *arguments, "--out", "mean.pt")
    assert os.listdir() == ["checkpoint_best.pt"]


# a training's folder


def used(capsys, folder: Path, *arguments: object) -> tuple[list[str], str]:
    """The names of the files that the verb says it used, and what it said on stderr."""
    out = folder / "mean.pt"
    assert cli.main(["average", "--folder", str(folder), *map(str, arguments), "--out", str(out)]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert said.out.count("\n") == 1 and facts["out"] == str(out) and out.is_file()
    assert {Path(file).parent for file in facts["files"]} == {folder}
    return [Path(file).name for file in facts["files"]], said.err


def test_the_last_epochs_are_the_last_by_number(tmp_path, capsys):
    for epoch in (2, 9, 10, 11):
        save(tmp_path / f"checkpoint{epoch}.pt", epoch, w=[float(epoch)])
    for other in ("_last.pt", "_12_500.pt", ".best_bleu_9.0000.pt", "12.pt.part"):
        save(tmp_path / f"checkpoint{other}", w=[99.0])
    assert used(capsys, tmp_path, "--last", 3) == (["checkpoint9.pt", "checkpoint10.pt", "checkpoint11.pt"], "")
    assert read_checkpoint(str(tmp_path / "mean.pt"), "x", built=False)["model"]["w"].tolist() == [10.0]
    files, said = used(capsys, tmp_path, "--last", 5)
    assert len(files) == 4 and said == f"{tmp_path} holds 4 of the last 5: averaging what is there\n"


@pytest.mark.parametrize(
    "metric, maximise, expected",
    [
        ("bleu", True, ["10.5001", "9.8000"]),
        ("nll_loss", False, ["9.7993", "9.8000"]),
    ],
)
def test_the_best_are_the_best_by_the_metric_in_their_names(metric, maximise, expected, tmp_path, capsys):
    for updates, value in enumerate(("9.8000", "10.5001", "9.7993")):
        save(tmp_path / f"checkpoint.best_{metric}_{value}.pt", updates, maximise, w=[1.0])
    save(tmp_path / "checkpoint_best.pt", w=[1.0])
    files, said = used(capsys, tmp_path, "--best", 2)
    assert sorted(files) == sorted(f"checkpoint.best_{metric}_{value}.pt" for value in expected) and said == ""
    files, said = used(capsys, tmp_path, "--best", 4)
    assert len(files) == 3 and said == f"{tmp_path} holds 3 of the best 4: averaging what is there\n"


def test_the_best_by_two_metrics_are_not_mixed(tmp_path, capsys):
    for metric in ("loss", "bleu"):
        save(tmp_path / f"checkpoint.best_{metric}_9.8000.pt", w=[1.0])
    line = average_refused(capsys, "--folder", tmp_path, "--best", 2, "--out", tmp_path / "mean.pt")
    assert "holds the best by bleu and by loss: name files with --inputs" in line


# fairseq


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """The folder of a training of three epochs that keeps what both kinds of average need."""
    return train(
        data,
        tmp_path_factory.mktemp("trained"),
        "--kd-weight",
        0,
        "--max-epoch",
        3,
        "--keep-last-epochs",
        2,
        "--keep-best-checkpoints",
        2,
    )


@pytest.fixture(scope="module")
def mean(trained, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("mean") / "mean.pt"
    deploy_average.average(deploy_average.last_epochs(trained, 2), out)
    return out


def test_what_fairseq_keeps_is_found_and_averaged(trained, capsys):
    assert used(capsys, trained, "--last", 2) == (["checkpoint2.pt", "checkpoint3.pt"], "")
    epochs = [read_checkpoint(str(trained / f"checkpoint{epoch}.pt"), "x") for epoch in (2, 3)]
    state = read_checkpoint(str(trained / "mean.pt"), "x")
    for name, tensor in state["model"].items():
        assert torch.equal(tensor, (epochs[0]["model"][name] + epochs[1]["model"][name]) / 2)
    assert deploy_average.updates(state) == deploy_average.updates(epochs[1]) > deploy_average.updates(epochs[0])
    assert deploy_average.memory(state["model"]["encoder.embed_tokens.weight"]) == deploy_average.memory(
        state["model"]["decoder.output_projection.weight"]
    )
    files, said = used(capsys, trained, "--best", 2)
    assert len(files) == 2 and all(name.startswith("checkpoint.best_loss_") for name in files) and said == ""


def translations(data: Path, model: Path, capsys) -> list[str]:
    from fairseq_cli import generate

    capsys.readouterr()
    call(
        generate.cli_main,
        "fairseq-generate",
        data,
        "--user-dir",
        USER_DIR,
        "--path",
        model,
        "--gen-subset",
        "test",
        "--cpu",
        "--num-workers",
        0,
        "--required-batch-size-multiple",
        1,
        "--log-format",
        "none",
    )
    return hypotheses(capsys.readouterr().out.splitlines(), 12)


def test_the_average_translates_and_that_of_one_file_as_the_file(trained, mean, data, tmp_path, capsys):
    assert all(translations(data, mean, capsys))
    deploy_average.average([trained / "checkpoint3.pt"], tmp_path / "one.pt")
    assert translations(data, tmp_path / "one.pt", capsys) == translations(data, trained / "checkpoint3.pt", capsys)


def test_a_student_learns_from_an_average(mean, data, tmp_path):
    student = train(data, tmp_path, "--teacher-path", mean, "--max-epoch", 1, "--no-epoch-checkpoints")
    state = read_checkpoint(str(student / "checkpoint_last.pt"), "student")
    assert fairseq_io.section(state, "criterion")["teacher_path"] == str(mean)
    loaded = fairseq_io.load_model(str(mean), {}).state_dict()
    weights = read_checkpoint(str(mean), "teacher")["model"]
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_an_average_can_be_exported(mean, data, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "translate_with_fairseq", lambda *arguments: ["a"] * 12)  # proved in test_export
    export.export_fairseq(mean, data, ("aa", "bb"), tmp_path / "stock.pt", lambda line: None)
    where = {"data": str(data)}
    model, stock = (fairseq_io.load_model(str(path), where).state_dict() for path in (mean, tmp_path / "stock.pt"))
    assert all(torch.equal(model[name], tensor) for name, tensor in stock.items())


# the pipeline


def config(**sections: dict) -> dict:
    """A small config; `teacher`, `student` and `train` add to it."""
    base = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 3}}
    return {
        "name": "small",
        "data": {"corpus": "toy"},
        "teacher": base | sections.get("teacher", {}),
        "student": base | sections.get("student", {}),
        "train": sections.get("train", {}),
    }


def models(**sections: dict) -> dict[str, dict]:
    return {model.name: model for model in expand(resolve(config(**sections))).models}


def flags(model: dict) -> dict[str, str]:
    """What the training command says about checkpoints to keep."""
    words = model.train_command
    names = [word for word in words if word.startswith("--keep-") or word == "--no-epoch-checkpoints"]
    return {name: words[words.index(name) + 1] if name.startswith("--keep") else "" for name in names}


def test_an_average_is_planned_and_its_checkpoints_are_kept():
    planned = models(teacher={"average": {"last": 4}}, student={"average": {"best": 2}})
    assert [model.average for model in planned.values()] == [{"last": 4}, {"best": 2}, {"best": 2}]
    assert flags(planned["teacher-ls0.1-s1"]) == {"--keep-last-epochs": "4"}
    for student in ("student-plain-s1", "student-ls0.1-t1-s1"):
        assert flags(planned[student]) == {"--keep-best-checkpoints": "2", "--no-epoch-checkpoints": ""}


def test_without_an_average_only_the_last_and_the_best_are_kept():
    for model in models().values():
        assert model.average is None and flags(model) == {"--no-epoch-checkpoints": ""}


def test_users_may_keep_more_than_is_averaged():
    teacher = {"average": {"last": 3}, "train": {"max-epoch": 3, "keep-last-epochs": 9}}
    student = {"average": {"best": 3}, "train": {"max-epoch": 3, "keep-best-checkpoints": "3"}}
    planned = models(teacher=teacher, student=student)
    assert flags(planned["teacher-ls0.1-s1"]) == {"--keep-last-epochs": "9"}
    assert flags(planned["student-plain-s1"])["--keep-best-checkpoints"] == "3"
    for every_epoch in (-1, None):
        planned = models(teacher={"average": {"last": 3}}, train={"keep-last-epochs": every_epoch})
        assert "--no-epoch-checkpoints" not in flags(planned["teacher-ls0.1-s1"])


@pytest.mark.parametrize(
    "average, train_flags, part",
    [
        (
            {"last": 3},
            {"keep-last-epochs": 2},
            "train.keep-last-epochs is 2 and teacher.average takes the last 3: remove the first",
        ),
        (
            {"last": 3},
            {"no_epoch_checkpoints": True},
            "train.no-epoch-checkpoints leaves nothing to teacher.average's last 3",
        ),
        (
            {"best": 3},
            {"keep-best-checkpoints": 1},
            "train.keep-best-checkpoints is 1 and teacher.average takes the best 3: remove the first",
        ),
        (
            {"best": 3},
            {"keep-best-checkpoints": None},
            "train.keep-best-checkpoints is None and teacher.average takes the best 3: remove the first",
        ),
    ],
)
def test_users_may_not_keep_less_than_is_averaged(average, train_flags, part):
    for sections in (
        {"teacher": {"average": average, "train": {"max-epoch": 3, **train_flags}}},
        {"teacher": {"average": average}, "train": train_flags},
    ):
        with pytest.raises(LskdError) as refused:
            models(**sections)
        assert part in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        3,
        {},
        "last",
        ["last"],
        {"last": 0},
        {"best": 2.0},
        {"last": True},
        {"best": None},
        {"first": 3},
        {"last": 2, "best": 2},
    ],
)
def test_an_average_that_cannot_be_is_refused(value):
    with pytest.raises(LskdError) as refused:
        resolve(config(student={"average": value}), "x.yaml")
    expected = f"x.yaml: student.average is {value!r}, it must be {{last: N}} or {{best: N}}, N a whole number from 1"
    assert str(refused.value) == expected


def test_a_run_keeps_the_average_it_was_made_with_and_one_of_before_has_none(tmp_path):
    plan(resolve(config()), "", tmp_path)
    file = tmp_path / "plan.json"
    old = json.loads(file.read_text())
    for part in ("teacher", "student"):
        del old["config"][part]["average"]
    for model in old["models"]:
        del model["average"]
    file.write_text(json.dumps(old))
    plan(resolve(config()), "", tmp_path)
    assert json.loads(file.read_text()) == old
    for model in old["models"]:
        (tmp_path / "models" / model["name"] / "model.pt").write_bytes(b"trained")
    with pytest.raises(LskdError, match=r"was made with student\.average\.last = None, the config now says 2"):
        plan(resolve(config(student={"average": {"last": 2}})), "", tmp_path)


def test_the_training_step_publishes_the_average_and_for_an_older_plan_the_best(trained, mean, tmp_path):
    run, tools = tmp_path / "run", tmp_path / "bin"
    plan(resolve(config(teacher={"average": {"last": 3}})), "", run)
    planned = json.loads((run / "plan.json").read_text())
    for model in planned["models"][1:]:
        del model["average"]
    (run / "plan.json").write_text(json.dumps(planned))
    (run / "data" / "bin").mkdir(parents=True)
    (run / "data" / "bin" / "dict.en.txt").write_text("a 1\n")
    tools.mkdir()
    copy = f'for word; do if [ "$before" = --save-dir ]; then cp {trained}/*.pt "$word"; fi; before=$word; done'
    for name, line in (("python", f'exec "{sys.executable}" "$@"'), ("fairseq-train", copy)):
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    done = []
    for name in ("teacher-ls0.1-s1", "student-plain-s1"):
        command = ["bash", ROOT / "experiments" / "steps" / "train.sh", "--run", run, "--model", name]
        environment = {**os.environ, "LSKD_PYTHON": str(tools / "python")}
        done.append(subprocess.run(command, capture_output=True, text=True, check=False, env=environment))
    assert [each.returncode for each in done] == [0, 0], done
    teacher, student = (run / "models" / model["name"] for model in planned["models"][:2])
    found, expected = (read_checkpoint(str(file), "x")["model"] for file in (teacher / "model.pt", mean))
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert f"{teacher}/checkpoints holds 2 of the last 3: averaging what is there" in done[0].stderr
    assert (student / "model.pt").read_bytes() == (trained / "checkpoint_best.pt").read_bytes()
