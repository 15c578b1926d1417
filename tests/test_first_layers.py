"""Students that start from layers of their teacher: what they start with, and what is refused before it trains."""

import json

import pytest
from conftest import batch_of, build, train

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.student_start import require_startable

DEEP = ("--encoder-layers", 3, "--decoder-layers", 2)
WIDE = ("--encoder-ffn-embed-dim", 16, "--decoder-ffn-embed-dim", 16)


@pytest.fixture(scope="module")
def deep(data, tmp_path_factory):
    """A teacher with 3 layers in its encoder and 2 in its decoder."""
    folder = train(data, tmp_path_factory.mktemp("deep"), "--kd-weight", 0, *DEEP, "--max-epoch", 1)
    return folder / "checkpoint_last.pt"


def start(teacher, data, out, encoder, decoder):
    words = ["init-student", "--checkpoint", str(teacher), "--encoder", encoder, "--decoder", decoder]
    return main([*words, "--data", str(data), "--out", str(out)])


def weights(file):
    from lskd_nmt.fairseq_io import read_checkpoint

    return read_checkpoint(str(file), "checkpoint")["model"]


def test_chosen_layers_are_the_teachers_and_all_else_too(data, deep, tmp_path):
    assert start(deep, data, tmp_path / "init.pt", "2,0", "1") == 0
    ours, theirs = weights(tmp_path / "init.pt"), weights(deep)
    origin = {"encoder.layers.0": "encoder.layers.2", "encoder.layers.1": "encoder.layers.0"}
    origin["decoder.layers.0"] = "decoder.layers.1"
    for name, tensor in ours.items():
        layer = ".".join(name.split(".")[:3])
        assert tensor.equal(theirs[name.replace(layer, origin.get(layer, layer), 1)])
    assert {name for name in theirs if ".layers." not in name} == {name for name in ours if ".layers." not in name}
    assert {name.split(".")[2] for name in ours if name.startswith("encoder.layers")} == {"0", "1"}


def test_with_all_layers_its_loss_is_the_teachers(data, deep, tmp_path):
    assert start(deep, data, tmp_path / "init.pt", "0,1,2", "0,1") == 0
    losses = []
    for file in (deep, tmp_path / "init.pt"):
        task, model, criterion = build(data, *DEEP, *WIDE, "--kd-weight", 0)
        model.load_state_dict(dict(weights(file)), strict=True)
        losses.append(criterion(model.eval(), batch_of(task))[0].item())
    assert losses[0] == losses[1] > 0


def test_a_training_starts_from_it_and_continues_after_an_interruption(data, deep, tmp_path):
    """The second call goes on from the first one's checkpoint: its weights are not those of the start again."""
    init = tmp_path / "init.pt"
    assert start(deep, data, init, "0,2", "1") == 0
    flags = ["--teacher-path", deep, "--finetune-from-model", init, "--encoder-layers", 2, "--decoder-layers", 1]
    still = [*flags, "--lr", 1e-30, "--weight-decay", 0]
    begun = train(data, tmp_path / "still", *still, "--max-update", 1) / "checkpoint_last.pt"
    assert all(tensor.equal(weights(init)[name]) for name, tensor in weights(begun).items() if "version" not in name)
    one = train(data, tmp_path / "m", *flags, "--max-update", 1, "--no-epoch-checkpoints")
    two = train(data, tmp_path / "m", *flags, "--max-update", 2, "--no-epoch-checkpoints")
    straight = train(data, tmp_path / "n", *flags, "--max-update", 2, "--no-epoch-checkpoints")
    assert one == two
    for name, tensor in weights(straight / "checkpoint_last.pt").items():
        assert tensor.equal(weights(two / "checkpoint_last.pt")[name])


def test_a_start_replaces_a_start_and_nothing_else(data, deep, tmp_path, capsys):
    teacher, notes = tmp_path / "teacher.pt", tmp_path / "notes.pt"
    teacher.write_bytes(deep.read_bytes())
    notes.write_text("mine")
    for out in (teacher, notes):
        before = out.read_bytes()
        assert start(teacher, data, out, "0", "0") == 2
        assert "is nothing that lskd init-student wrote: give a new file" in capsys.readouterr().err
        assert out.read_bytes() == before
    for encoder in ("0", "1,2"):
        assert start(teacher, data, tmp_path / "init.pt", encoder, "0") == 0
    layers = {name.split(".")[2] for name in weights(tmp_path / "init.pt") if name.startswith("encoder.layers")}
    assert layers == {"0", "1"}


@pytest.mark.parametrize(
    "encoder, decoder, part",
    [
        ("0,3", "0", "encoder layer 3 does not exist: the teacher has 3, from 0 to 2"),
        ("0", "2", "decoder layer 2 does not exist"),
        ("0,0", "1", "--encoder is '0,0', where 0 stands twice"),
        ("-1", "1", "--encoder is -1: layers are counted from 0"),
        ("one", "1", "--encoder is 'one': give whole numbers"),
        ("", "1", "--encoder names no layer"),
    ],
)
def test_layers_that_do_not_exist_are_refused(encoder, decoder, part, data, deep, tmp_path, capsys):
    out = tmp_path / "init.pt"
    words = ["init-student", "--checkpoint", str(deep), f"--encoder={encoder}", "--decoder", decoder, "--out", str(out)]
    assert main(words) == 2
    assert part in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_another_vocabulary_and_other_files_are_refused(data, pieces, deep, tmp_path, capsys):
    out = tmp_path / "init.pt"
    assert start(deep, pieces, out, "0", "0") == 2
    assert "dictionaries differ" in capsys.readouterr().err
    assert start(data / "dict.aa.txt", data, out, "0", "0") == 2
    assert "cannot be read" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--encoder-attention-heads", 2], "encoder-attention-heads is 4 in the teacher and 2 in the student"),
        (["--activation-fn", "gelu"], "activation-fn is relu in the teacher and gelu in the student"),
        (["--encoder-ffn-embed-dim", 32], "encoder-ffn-embed-dim is 16 in the teacher and 32"),
        (["--encoder-layers", 2], "is of another model than --arch"),
    ],
)
def test_a_student_of_another_shape_is_refused_before_it_trains(flags, part, data, deep, untrained, tmp_path):
    """Heads and activation fit every weight, and would compute something else in silence."""
    assert start(deep, data, tmp_path / "init.pt", "0", "1") == 0
    untrained(["--kd-weight", 0, "--finetune-from-model", tmp_path / "init.pt", *flags], part)


def test_one_that_started_with_another_vocabulary_of_that_size_is_refused(data, deep, untrained, tmp_path):
    import torch

    assert start(deep, data, tmp_path / "init.pt", "0", "1") == 0
    state = torch.load(tmp_path / "init.pt", weights_only=False)
    symbols = state["task_state"]["lskd_symbols"]["source"]
    symbols[4], symbols[5] = symbols[5], symbols[4]
    torch.save(state, tmp_path / "init.pt")
    untrained(["--kd-weight", 0, "--finetune-from-model", tmp_path / "init.pt"], "another source dictionary")


DATA = {"corpus": "toy"}
INIT = {"from": "teacher", "encoder": [0, 2], "decoder": [1]}
SMALL = {"max-epoch": 1, "encoder-layers": 2, "decoder-layers": 1}
TEACHER = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 1, "encoder-layers": 3}}


def planned(init=INIT, train=SMALL, **sections):
    student = {"arch": "ls_transformer_tiny", "train": train, **({"init": init} if init else {})}
    return expand(resolve({"name": "tiny", "data": DATA, "teacher": TEACHER, "student": student, **sections}))


def test_a_plan_has_the_command_the_name_and_the_flag():
    found = {model.name: model for model in planned().models}
    student = found["student-ls0.1-t1-init0.2x1-s1"]
    command = list(student.init_command)
    assert command[:4] == ["lskd", "init-student", "--checkpoint", "models/teacher-ls0.1-s1/model.pt"]
    assert command[4:8] == ["--encoder", "0,2", "--decoder", "1"]
    at = student.train_command.index("--finetune-from-model")
    assert student.train_command[at + 1] == f"models/{student.name}/init.pt" == command[-1]
    assert found["student-plain-s1"].init_command is None
    assert "--finetune-from-model" not in found["student-plain-s1"].train_command


def test_without_the_key_a_plan_is_what_it_was():
    from lskd_nmt.experiment.records import plan_json

    text = json.dumps(plan_json(planned(init=None)))
    assert "init" not in text.replace("warmup-init-lr", "") and "finetune" not in text


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"init": {**INIT, "encoder": [0, 7]}}, "encoder layer 7 does not exist: the teacher has 3"),
        ({"init": {**INIT, "encoder": [0]}}, "1 encoder layers are chosen, and the student has 2"),
        ({"train": SMALL | {"encoder-embed-dim": 64, "decoder-embed-dim": 64}}, "encoder-embed-dim is 128 in"),
        ({"train": SMALL | {"decoder-ffn-embed-dim": 64}}, "decoder-ffn-embed-dim is 512 in the teacher and 64"),
        ({"train": SMALL | {"encoder-attention-heads": 8}}, "encoder-attention-heads is 4 in the teacher and 8"),
    ],
)
def test_a_plan_that_could_not_start_is_refused_from_any_folder(changes, part, plugin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a plan says user_dir, which is in the folder of the checkout
    with pytest.raises(LskdError) as error:
        require_startable(planned(**changes))
    assert part in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "student, sections, part",
    [
        ({"init": {"from": "teacher", "encoder": [0]}}, {}, "student.init is"),
        ({"init": {**INIT, "from": "elsewhere"}}, {}, "student.init is"),
        ({"init": {**INIT, "encoder": [0, 0]}}, {}, "student.init is"),
        ({"init": {**INIT, "encoder": [True]}}, {}, "student.init is"),
        ({"init": INIT, "kd_level": "sequence"}, {"teacher": {"from": "hf:some/model"}}, "has no layers of fairseq's"),
        ({"init": INIT}, {"train": {"finetune-from-model": "x.pt"}}, "student.init and train.finetune-from-model"),
    ],
)
def test_a_key_that_does_not_do_is_refused(student, sections, part):
    content = {"name": "tiny", "data": DATA, "teacher": TEACHER}
    content["student"] = {"arch": "ls_transformer_tiny", "train": SMALL, **student}
    with pytest.raises(LskdError) as error:
        resolve({**content, **sections})
    assert part in str(error.value)


def test_tables_and_signatures_say_what_a_student_started_from():
    from lskd_nmt.report.results import rows, table_json

    students = [{model.name: model for model in planned(**how).models} for how in ({}, {"init": None})]
    with_init, without = students[0]["student-ls0.1-t1-init0.2x1-s1"], students[1]["student-ls0.1-t1-s1"]
    settings = [rows.setting(model) for model in (with_init, without)]
    assert settings[0].init == "0,2 + 1" and settings[1].init is None and settings[0] != settings[1]
    assert rows.setting_title(settings[0]) == "student, teacher LS 0.1, from layers 0,2 + 1, T = 1"
    assert rows.setting_title(settings[1]) == "student, teacher LS 0.1, T = 1"
    shown = [table_json.record_json(setting) for setting in settings]
    assert shown[0]["init"] == "0,2 + 1" and "init" not in shown[1]  # tables of before are as they were


def test_seeds_of_one_start_have_one_signature_and_others_another(tmp_path, plugin, monkeypatch):
    from types import SimpleNamespace

    from lskd_nmt.experiment.plan import plan
    from lskd_nmt.experiment.run import Run
    from lskd_nmt.report.results import signature

    facts = SimpleNamespace(decode={}, references="r")
    monkeypatch.setattr(signature, "read_metrics", lambda file: SimpleNamespace(scores={}, facts=facts))
    found = {}
    for place, init in (("a", INIT), ("b", {**INIT, "encoder": [0, 1]}), ("c", None)):
        content = planned(init=init, seeds=[1, 2]).config
        plan(content, "", tmp_path / place)
        run = Run(tmp_path / place)
        for model in run.models:
            if model.teacher is not None:
                (run.model_folder(model.name) / "run.json").write_text("{}")
                found[place, model.seed] = signature.expansion(run, model)
    shorts = {key: signature.short(each) for key, each in found.items()}
    assert shorts["a", 1] == shorts["a", 2] and len({*shorts.values()}) == 3
    assert found["a", 1].init == {"encoder": "0,2", "decoder": "1"} and found["c", 1].init is None
    assert "finetune-from-model" not in found["a", 1].train and signature.as_json(found["c", 1]).get("init", 0) == 0
    assert (tmp_path / "a" / "models" / "student-ls0.1-t1-init0.2x1-s1" / "init.sh").is_file()
    assert not list((tmp_path / "c").rglob("init.sh"))
    assert signature.differing(found["a", 1], found["b", 1]) == ["init.encoder (0,2 or 0,1)"]
